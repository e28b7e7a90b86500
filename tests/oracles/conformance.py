"""Runs every oracle exhaustively, prints one table, and writes docs/conformance.md.

    python -m tests.oracles.conformance [--workers N] [--only NAME]

An oracle is something nobody on the project wrote that says what an instruction does or how it is
encoded: recordings of a processor, another emulator, a processor, assemblers; last, the rules of
the manual, as properties. Each is a set of the project's tests, run here with large volumes. Seeds
are fixed: a second run compares the same cases.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console
from rich.table import Table

from tests.oracles import table_coverage

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "conformance.md"
EXAMPLES_FACTOR = 3  # of what Hypothesis tries in `make test`
CHOICES = 20  # cases per form that show how the host leaves undefined flags
COLUMNS = ("Oracle", "Version", "Cases", "Mismatches", "Not run", "Seconds")


@dataclass(frozen=True)
class Oracle:
    """One row of the table.

    Attributes:
        says: what it is compared about, for the page.
        source: a Python distribution or "nasm", "host", or the text that stands for a version.
        files: patterns of test files below tests.
        select: expression of pytest -k.
        volume: environment variables that ask for more than `make test` does.
    """

    name: str
    says: str
    source: str
    files: tuple[str, ...]
    select: str = ""
    volume: dict[str, str] = field(default_factory=dict)


ORACLES = (
    Oracle(
        "recorded 80286",
        "every instruction of the 80286 in real mode: registers, memory, defined flags, exceptions",
        "SingleStepTests/80286 1.0.0, Harris N80C286-12",
        ("oracles/test_recorded_*.py",),
        volume={"TRAPGATE_ORACLE_VECTORS": "1000"},
    ),
    Oracle(
        "Unicorn, single instructions",
        "every form it knows, in 16- and 32-bit code, in both lanes of the interpreter",
        "unicorn",
        ("oracles/test_unicorn_16bit.py", "oracles/test_unicorn_32bit.py"),
        volume={"TRAPGATE_ORACLE_CASES": "300"},
    ),
    Oracle(
        "Unicorn, sequences",
        "instructions in a row in real mode, at ring 0 and at ring 3, in 16- and 32-bit code",
        "unicorn",
        ("oracles/test_sequences.py",),
        "not host",
        {"TRAPGATE_ORACLE_INSTRUCTIONS": "250000"},
    ),
    Oracle(
        "Unicorn, programs",
        "random programs with loops, calls and strings",
        "unicorn",
        ("oracles/test_unicorn_programs.py",),
        volume={"TRAPGATE_ORACLE_PROGRAMS": "3000"},
    ),
    Oracle(
        "undefined opcodes",
        "the whole opcode space: #UD or not on a Pentium II, LOCK also on the host's processor",
        "unicorn",
        ("oracles/test_undefined_opcodes.py",),
    ),
    Oracle(
        "Unicorn, system",
        "paging, segment loads, gates, task switches, privileged instructions: effect or fault",
        "unicorn",
        ("oracles/test_*unicorn*.py",),
        volume={"TRAPGATE_ORACLE_CASES": "300"},
    ),
    Oracle(
        "host's processor",
        "user-mode instructions, single and in a row, executed natively in 16- and 32-bit code",
        "host",
        ("oracles/test_host_*.py", "oracles/test_sequences.py"),
        "host",
        {"TRAPGATE_ORACLE_HOST_CASES": "300", "TRAPGATE_ORACLE_INSTRUCTIONS": "500000"},
    ),
    Oracle(
        "LLVM's assembler",
        "the bytes of every form with every operand and address",
        "llvmlite",
        ("oracles/test_encodings_llvm.py",),
    ),
    Oracle(
        "NASM",
        "the bytes of every form, and whole programs",
        "nasm",
        ("oracles/test_*nasm.py", "oracles/test_elf_*.py"),
    ),
    Oracle(
        "capstone",
        "what bytes mean: all forms, all opcodes, and what is no instruction",
        "capstone",
        ("oracles/test_decoding_capstone.py",),
    ),
    Oracle(
        "compiled programs",
        "what gcc makes of C for protected and real mode, three processors and three levels of "
        "optimisation, against the same sources on the host's own processor",
        "gcc 12.2.0",
        ("oracles/test_c_matrix.py",),
        volume={"TRAPGATE_ORACLE_C_CELLS": "18"},
    ),
    Oracle(
        "the manual's rules",
        "privilege, descriptors, gates, tasks, events, debugging, paging, undefined opcodes: as "
        "properties of the SDM's pseudo-code",
        "Intel SDM",
        ("oracles/test_*.py", "isa/test_*.py"),
    ),
)


@dataclass
class Result:
    """What came of one oracle."""

    oracle: Oracle
    cases: int = 0
    mismatches: int = 0
    not_run: int = 0
    seconds: float = 0.0

    def row(self) -> tuple[str, ...]:
        """The row of the table."""
        numbers = (f"{self.cases:,}", str(self.mismatches), str(self.not_run))
        source = source_version(self.oracle.source)
        return (self.oracle.name, source, *numbers, f"{self.seconds:.0f}")


def files_of(oracle: Oracle) -> list[Path]:
    """The test files of an oracle: those its patterns name and no earlier row has taken whole."""
    taken: set[Path] = set()
    for earlier in ORACLES[: ORACLES.index(oracle)]:
        if earlier.select != "not host":
            taken |= matching(earlier)
    return sorted(matching(oracle) - taken)


def matching(oracle: Oracle) -> set[Path]:
    """What the patterns of an oracle name; of the unit tests, those that Hypothesis steers."""
    found = {path for pattern in oracle.files for path in (ROOT / "tests").glob(pattern)}
    return {
        path
        for path in found
        if path.parent.name == "oracles" or "from hypothesis import" in path.read_text()
    }


def source_version(source: str) -> str:
    """The version of an oracle on this machine."""
    if source in ("unicorn", "llvmlite", "capstone"):
        return f"{source} {version(source)}"
    if source == "nasm":
        if shutil.which("nasm") is None:
            return "not installed"
        words = subprocess.run(["nasm", "-v"], capture_output=True, text=True, check=True).stdout
        return " ".join(words.split()[:3]).replace("version ", "").lower()
    if source == "host":
        from tests.oracles.host_machine import host_name

        return host_name()
    return source


def run(oracle: Oracle, workers: int) -> Result:
    """Run the tests of one oracle in their own process, their output on the screen."""
    environment = {
        **os.environ,
        "CI": "1",  # Hypothesis searches the same way every time
        "TRAPGATE_EXAMPLES_FACTOR": str(EXAMPLES_FACTOR),
        **oracle.volume,
    }
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-o", "timeout=1500", "--no-header"]
        command += ["-p", "no:cacheprovider", "-n", str(workers), "--dist", "worksteal"]
        command += [f"--junitxml={report}", *(["-k", oracle.select] if oracle.select else [])]
        command += map(str, files_of(oracle))
        subprocess.run(command, env=environment, cwd=ROOT, check=False)
        if not report.exists():
            raise SystemExit(f"conformance: error: the tests of {oracle.name} did not run")
        result = read_report(oracle, report)
    result.seconds = time.monotonic() - began
    return result


def read_report(oracle: Oracle, report: Path) -> Result:
    """Sum up the cases of a report in JUnit's format."""
    result = Result(oracle)
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        if case.find("skipped") is not None:
            result.not_run += 1
            continue
        result.mismatches += case.find("failure") is not None or case.find("error") is not None
        result.cases += sum(
            int(found.get("value", "1"))
            for found in case.iter("property")
            if found.get("name") == "cases"
        )
    return result


def show(results: list[Result], console: Console) -> None:
    """Print the table."""
    table = Table(title="Conformance")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in COLUMNS[:2] else "right")
    for result in results:
        table.add_row(*result.row(), style="red" if result.mismatches else "")
    console.print(table)


def undefined_choices() -> dict[str, tuple[int, int]]:
    """By operation: cases in which the host left undefined flags as ours does, and all cases.

    Not a question of right or wrong; empty if the host cannot be asked.
    """
    from tests.oracles.host_machine import HostUnavailableError
    from tests.oracles.host_pair import HostPair
    from tests.oracles.single_instructions import forms_of_family, run_forms

    try:
        pair = HostPair(32)
    except HostUnavailableError:
        return {}
    for forms in forms_of_family.values():
        run_forms(pair, forms, 5, CHOICES)
    pair.other.close()
    counts = pair.undefined
    choices = {}
    for operation in sorted({operation for operation, _ in counts}):
        same = counts[operation, "equal"]
        choices[operation] = (same, same + counts[operation, "different"])
    return choices


def page(results: list[Result], choices: dict[str, tuple[int, int]], forms: dict[str, int]) -> str:
    """The text of docs/conformance.md."""
    rows = [COLUMNS, tuple("---" for _ in COLUMNS), *(result.row() for result in results)]
    today = datetime.now(UTC)
    lines = [
        "# Conformance",
        "",
        *paragraph(
            "Is the processor right? Every oracle, run exhaustively. Written by `make test-full`; "
            "the same tests with smaller volumes are part of `make test`."
        ),
        *paragraph(
            f"Run on {today:%Y-%m-%d} with Python {platform.python_version()}, "
            f"numba {version('numba')}, Hypothesis {version('hypothesis')}. Seeds are fixed."
        ),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
        *paragraph(
            "A case is one comparison: an instruction in one state (of sequences: every "
            "instruction that was executed), an encoding, an example of a property. A mismatch is "
            "a test that failed. Not run are tests whose oracle was not there. Where an oracle "
            "departs from the manual, [quirks.md](quirks.md) says so, with the section that proves "
            "it."
        ),
        *(f"- **{result.oracle.name}**: {result.oracle.says}." for result in results),
        "",
        "## Coverage of the instruction table",
        "",
        *paragraph(
            "Forms of `isa/table.txt`, and who encodes, decodes and executes them "
            "(`python -m tests.oracles.table_coverage --all` says it of each; forms that are only "
            "decoded are second encodings of others)."
        ),
        "| Forms | Number |",
        "| --- | --- |",
        *(f"| {name} | {number} |" for name, number in forms.items()),
        "",
        "## Flags that the manual leaves undefined",
        "",
        *paragraph(
            "They are not compared. For information: how often the host's processor left all of "
            "them as ours does. Processor families differ here; ours follows one documented model, "
            "see [quirks.md](quirks.md)."
        ),
        "| Operation | Same | Cases |",
        "| --- | --- | --- |",
        *(f"| {name} | {same} | {cases} |" for name, (same, cases) in choices.items()),
    ]
    return "\n".join(lines) + "\n"


def replace_row(result: Result) -> None:
    """Bring one row of the page up to date."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    for at, line in enumerate(lines):
        if line.startswith(f"| {result.oracle.name} |"):
            lines[at] = "| " + " | ".join(result.row()) + " |"
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def paragraph(text: str) -> list[str]:
    """Lines of a page, and an empty one."""
    return [*textwrap.wrap(text, 100, break_on_hyphens=False), ""]


def main() -> int:
    """Run the oracles; 1 if anything differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, default=2, help="test processes (default 2)")
    parser.add_argument("--only", metavar="NAME", help="one oracle and its row of the page")
    options = parser.parse_args()
    chosen = [oracle for oracle in ORACLES if options.only in (None, oracle.name)]
    if not chosen:
        parser.error("no such oracle; there are: " + ", ".join(o.name for o in ORACLES))
    console = Console()
    results: list[Result] = []
    try:
        for number, oracle in enumerate(chosen, 1):
            volume = ", ".join(f"{name}={value}" for name, value in oracle.volume.items())
            console.rule(f"{number} of {len(chosen)}: {oracle.name} {volume}".rstrip())
            results.append(run(oracle, options.workers))
    except KeyboardInterrupt:
        console.print("interrupted; docs/conformance.md is left as it was")
        return 130
    show(results, console)
    if options.only is not None:
        replace_row(results[0])
    else:
        text = page(results, undefined_choices(), table_coverage.measure())
        PAGE.write_text(text, encoding="utf-8")
    return int(any(result.mismatches for result in results))


if __name__ == "__main__":
    sys.exit(main())
