"""Whole classifications, made once for all tests of a process."""

from __future__ import annotations

from functools import cache

import pytest

from isa.cpu_models import load_model
from tools.popek_goldberg.survey import Survey, survey

SEED = 1


@cache
def whole(cpu: str) -> Survey:
    """All forms of a processor."""
    return survey(load_model(cpu), SEED, workers=2)


@pytest.fixture(scope="session")
def p6(compiled_machine: None) -> Survey:
    return whole("p6")
