"""How long does one wait: with an empty cache, with a full one, and for a whole comparison?

Every case is a process of its own, timed from its start to its end, as a user waits for it.
`first_instruction` runs one guest instruction and says so; that includes the end of the process, so
it is an upper bound of the time to the first instruction.

    python -m benchmarks.startup [--repeats N] [--cold N] [--save]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from benchmarks.circumstances import ROOT
from benchmarks.measure import Sample, Timing, interleave, stopwatch
from benchmarks.report import described, load, report, save, table

CACHE_VARIABLE: Final = "TRAPGATE_CACHE"
COLD: Final = "cold"
_COMMAND: Final = "import sys; from tools.cli import main; sys.exit(main())"


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something to wait for.

    Attributes:
        arguments: of the trapgate command; or Python code, for what it is measured against.
        target_s: what the wall clock may say at most, if something is promised.
    """

    name: str
    what: str
    arguments: tuple[str, ...] = ()
    code: str = _COMMAND
    target_s: float | None = None


# `--budget 1` ends with the status for "stopped by the budget", hence no check of the status.
WARM: Final = (
    Case("python", "Python doing nothing", code="pass"),
    Case("numba", "Python importing numba", code="import numba"),
    Case("help", "`trapgate --help`", ("--help",)),
    Case(
        "first_instruction",
        "first guest instruction",
        ("run", "guests/hello", "--budget", "1"),
        target_s=1.5,
    ),
    Case("hello", "`trapgate run guests/hello`", ("run", "guests/hello")),
    Case("minikernel", "`trapgate run guests/minikernel`", ("run", "guests/minikernel")),
    Case(
        "compare",
        "`trapgate compare guests/minikernel`",
        ("compare", "guests/minikernel"),
        target_s=4.0,
    ),
)
COLD_CASE: Final = Case(
    COLD, "`trapgate run guests/hello`, empty cache", ("run", "guests/hello"), target_s=60.0
)
_PLACE_OF_COLD: Final = 5  # behind `trapgate run guests/hello`


class Waited(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A case with what it took, in seconds."""

    case: Case
    seconds: Timing


class Results(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All cases, in the order of the table."""

    cases: list[Waited]


def measure(warm: Sequence[Case] = WARM, *, repeats: int, cold: int) -> Results:
    """Measure warm cases in turns, then the cold one. The first turn fills the cache."""
    samples = interleave({case.name: partial(time_process, case) for case in warm}, repeats=repeats)
    waited = [Waited(case, Timing.of(samples[case.name], digits=3)) for case in warm]
    if cold:
        taken = [time_cold() for _ in range(cold)]
        waited.insert(_PLACE_OF_COLD, Waited(COLD_CASE, Timing.of(taken, digits=3)))
    return Results(waited)


def time_cold() -> Sample:
    """Time the smallest guest with a cache folder that is empty."""
    with TemporaryDirectory() as folder:
        return time_process(COLD_CASE, {CACHE_VARIABLE: folder})


def time_process(case: Case, environment: Mapping[str, str] = {}) -> Sample:
    """Time one process from start to end, with all the processes it starts."""
    command = [sys.executable, "-c", case.code, *case.arguments]
    with stopwatch(children=True) as sample:
        outcome = subprocess.run(
            command,
            cwd=ROOT,
            env={**_environment(), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
    if "Traceback" in outcome.stderr or "trapgate: error" in outcome.stderr:
        raise RuntimeError(f"{case.what}: {outcome.stderr.splitlines()[-1]}")
    return sample


def _environment() -> dict[str, str]:
    """Ours, except that Python keeps its compiled modules, as it does for everybody."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def render(results: Results) -> str:
    """The table of the page."""
    header = ("", "seconds", "least", "most", "processor time", "target")
    rows = [
        (
            waited.case.what,
            f"{waited.seconds.wall.median:.2f}",
            f"{waited.seconds.wall.least:.2f}",
            f"{waited.seconds.wall.most:.2f}",
            f"{waited.seconds.cpu.median:.2f}",
            "–" if waited.case.target_s is None else f"{waited.case.target_s:g}",
        )
        for waited in results.cases
    ]
    return table(header, rows)


def tables() -> dict[str, str]:
    """The page's tables, from the saved results."""
    saved = load("startup", Results)
    return {"startup": f"{render(saved.results)}\n\n{described(saved.circumstances)}"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and save if asked to."""
    parser = argparse.ArgumentParser(description="start-up times")
    parser.add_argument("--repeats", type=int, default=7, help="turns of warm cases (default: 7)")
    parser.add_argument("--cold", type=int, default=1, help="runs with an empty cache (default: 1)")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results")
    chosen = parser.parse_args(arguments)
    print("startup: warm, then cold; about two minutes", flush=True)
    finished = report("startup", measure(repeats=chosen.repeats, cold=chosen.cold))
    print(render(finished.results), described(finished.circumstances), sep="\n\n")
    if chosen.save:
        save(finished)


if __name__ == "__main__":
    main()
