"""Errors planted in privileged instructions are caught by the properties: a sample of them.

`make test-mutants` plants all of them. Both start a process of their own, in which the machine is
plain Python.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.mutants.catalogue import ROOT, PlantedError, read_catalogue
from tests.mutants.report import CAUGHT, INVALID, SURVIVED, Verdict
from tests.mutants.trial import Failure, Outcome

PROPERTY = "tests/isa/test_flag_properties.py"


@pytest.mark.slow
def test_a_sample_of_planted_errors_is_caught() -> None:
    command = [sys.executable, "-m", "tests.mutants", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    quick = sum(error.quick for error in read_catalogue())
    assert quick >= 25
    assert done.stdout.rstrip().endswith(f"mutants: {quick} of {quick} caught")


# --- what counts as caught -------------------------------------------------------------------

ERROR = PlantedError("an-error", "A rule.", "", "isa.exits", "a", "b", (PROPERTY,), "levels")
ASSERTION = Failure(f"{PROPERTY}::test_one", by_assertion=True, message="")
BREAKDOWN = Failure(f"{PROPERTY}::test_one", by_assertion=False, message="KeyError: 1")
ELSEWHERE = Failure("tests/isa/test_ports.py::test_two", by_assertion=True, message="")


def word(*failures: Failure, trouble: str = "") -> str:
    return Verdict(ERROR, Outcome(5, list(failures), trouble=trouble)).word


def test_only_an_assertion_of_a_named_property_catches() -> None:
    assert word(ASSERTION) == CAUGHT
    assert word(ASSERTION, BREAKDOWN) == CAUGHT
    assert word() == SURVIVED
    assert word(ELSEWHERE) == SURVIVED
    assert word(BREAKDOWN) == INVALID
    assert word(ASSERTION, trouble="out of time") == INVALID
