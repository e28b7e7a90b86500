"""One trial: the properties against a machine with a planted error, in a process of its own.

The process is a fork of one that has imported pytest, numpy, numba and Hypothesis, but nothing of
the project's machine: so a trial costs little more than its tests, and every module of the machine
is imported afresh, with the error in it. The machine runs in plain Python.
"""

from __future__ import annotations

import functools
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.mutants.catalogue import ROOT, PlantedError
from tests.mutants.planting import plant

CPU_SECONDS = 240  # of processor time, so that a busy computer changes nothing

PROFILE = "planted"
# The same examples every time, none remembered from elsewhere, and the first failure as it is.
settings.register_profile(
    PROFILE,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    report_multiple_bugs=False,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)

OPTIONS = (
    "-q", "--tb=native", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly",
    "-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning",
    "-o", "timeout=0", f"--hypothesis-profile={PROFILE}",
)  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """A test that failed: how, and with which instructions having reached the error."""

    test: str
    by_assertion: bool
    message: str


@dataclass
class Outcome:
    """What a trial has found."""

    passed: int = 0
    failures: list[Failure] = field(default_factory=list)
    forms: set[str] = field(default_factory=set)  # that reached the error in a test that failed
    trouble: str = ""  # why the trial says nothing: no tests, an import error, out of time

    def catchers(self, tests: str) -> list[str]:
        """Those of some tests, a file or one function, that caught the error, by assertion."""
        own = (f"{tests}::", f"{tests}[")
        return [
            failure.test
            for failure in self.failures
            if failure.by_assertion and (failure.test == tests or failure.test.startswith(own))
        ]


def is_assertion(error: BaseException) -> bool:
    """Whether a test failed because something was not as it says, and not by breaking down."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_assertion(inner) for inner in error.exceptions)
    return isinstance(error, (AssertionError, pytest.fail.Exception))


class Witness:
    """A pytest plugin that notes what failed, and the form executing when the error was reached."""

    def __init__(self) -> None:
        self.outcome = Outcome()
        self.form = ""
        self.reached_by: set[str] = set()

    def reached(self) -> None:
        """The function with the error has been called."""
        if self.form:
            self.reached_by.add(self.form)

    def watched(self, function: Callable[..., int], names: Any, shift: int) -> Callable[..., int]:
        @functools.wraps(function)
        def execute(cpu: Any, core: Any, ram: Any, marks: Any, at: int) -> int:
            self.form = names[core[at] >> shift & 0xFFF]
            status = function(cpu, core, ram, marks, at)
            self.form = ""
            return status

        return execute

    def pytest_collection_finish(self) -> None:
        """Watch the functions that carry out a record, in every module that has them by now."""
        from isa import cold
        from isa.generated.forms import FORM_NAMES
        from isa.records import FORM_SHIFT
        from tests.oracles.form_recorder import FAMILIES

        watchers = {
            getattr(cold, name): self.watched(getattr(cold, name), FORM_NAMES, FORM_SHIFT)
            for name in FAMILIES
        }
        for module in list(sys.modules.values()):
            for name in FAMILIES:
                found = getattr(module, name, None)
                if callable(found) and found in watchers:
                    setattr(module, name, watchers[found])

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            last = str(report.longrepr).strip().splitlines()[-1]
            self.outcome.trouble = f"not collected: {last}"

    def pytest_runtest_setup(self) -> None:
        self.form = ""
        self.reached_by.clear()

    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        if call.excinfo is None:
            self.outcome.passed += call.when == "call"
            return
        if isinstance(call.excinfo.value, pytest.skip.Exception):
            return
        message = f"{call.excinfo.typename}: {call.excinfo.value}".splitlines()[0]
        caught = call.when == "call" and is_assertion(call.excinfo.value)
        self.outcome.failures.append(Failure(item.nodeid, caught, message))
        if caught:
            self.outcome.forms |= self.reached_by


def silence() -> None:
    """Let nothing of the trial be seen: its outcome is told through a pipe."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)


def run_trial(
    error: PlantedError | None, tests: tuple[str, ...], stop_early: bool, result: Connection
) -> None:
    """The body of the forked process: run the tests with the error, or without any."""
    silence()
    os.chdir(ROOT)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
    witness = Witness()
    if error is not None:
        plant(error, witness.reached)
    arguments = [*OPTIONS, *(["-x"] if stop_early else []), *tests]
    code = pytest.main(arguments, plugins=[witness])
    outcome = witness.outcome
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and not outcome.trouble:
        outcome.trouble = f"pytest ended with {pytest.ExitCode(code).name}"
    result.send(outcome)
    result.close()
