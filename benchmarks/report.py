"""Results as files and as tables: benchmarks/results/NAME.json, and docs/performance.md from them.

A result file is a Report with typed results; reading one checks it. The tables of the page stand
between markers and are made from the files alone, so page and files cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec

from benchmarks.circumstances import ROOT, Circumstances, circumstances

SCHEMA: Final = 1
RESULTS: Final = ROOT / "benchmarks" / "results"
PAGE: Final = ROOT / "docs" / "performance.md"

T = TypeVar("T")


class Report(msgspec.Struct, Generic[T], frozen=True, forbid_unknown_fields=True):
    """One benchmark's results.

    Attributes:
        schema: version of this layout; a reader refuses others.
        benchmark: its name.
        command: what to type to repeat it.
        results: depends on the benchmark.
    """

    schema: int
    benchmark: str
    command: str
    circumstances: Circumstances
    results: T


def report(benchmark: str, results: T) -> Report[T]:
    """Results just measured, with the circumstances."""
    command = f"python -m benchmarks.{benchmark}"
    return Report(SCHEMA, benchmark, command, circumstances(), results)


def save(finished: Report[T], folder: Path = RESULTS) -> Path:
    """Write a result file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{finished.benchmark}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(finished), indent=2) + b"\n")
    return path


def load(benchmark: str, results: type[T], folder: Path = RESULTS) -> Report[T]:
    """Read a result file and check it."""
    content = (folder / f"{benchmark}.json").read_bytes()
    found = msgspec.json.decode(content, type=Report[results])  # type: ignore[valid-type]
    if found.schema != SCHEMA:
        raise ValueError(f"{benchmark}.json: schema {found.schema}, this reader knows {SCHEMA}")
    return found


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """A Markdown table with aligned columns; the first `left` are text, the others numbers."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    rule = ["-" * width if i < left else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    lines.insert(1, rule)
    return "\n".join("| " + " | ".join(_aligned(line, widths, left)) + " |" for line in lines)


def _aligned(line: Sequence[str], widths: Sequence[int], left: int) -> list[str]:
    return [
        cell.ljust(width) if column < left else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]


def described(facts: Circumstances) -> str:
    """The circumstances in one sentence."""
    versions = ", ".join(f"{name} {version}" for name, version in facts.packages.items())
    changed = " with changes" if facts.modified else ""
    return (
        f"Measured {facts.date} UTC at commit {facts.commit}{changed} on {facts.cpu},"
        f" {facts.cores} cores, {facts.system}, {facts.python}, {versions};"
        f" load average {facts.load[0]} (1 minute), {facts.load[1]} (5 minutes)."
    )


def with_tables(page: str, tables: Mapping[str, str]) -> str:
    """The page with the text between `<!-- begin NAME -->` and `<!-- end NAME -->` replaced."""
    for name, text in tables.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        before, has_begin, rest = page.partition(begin)
        _, has_end, after = rest.partition(end)
        if not (has_begin and has_end):
            raise ValueError(f"the page lacks {begin} or {end}")
        page = f"{before}{begin}\n\n{text}\n\n{end}{after}"
    return page
