"""Classifications, made once for all tests of a process."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from isa.cpu_models import load_model
from isa.notation import load_table
from tools.popek_goldberg.classes import INNOCUOUS
from tools.popek_goldberg.document import BASE, SEED
from tools.popek_goldberg.survey import Survey, survey

FORMS = {form.name: form for form in load_table()}


@cache
def whole() -> Survey:
    """All forms of the p6."""
    return survey(load_model(BASE), SEED, workers=2)


@cache
def rest(cpu: str) -> Survey:
    """What is not innocuous on the p6, on another processor; the rest is the same code there."""
    chosen = [FORMS[r.form] for r in whole().results if INNOCUOUS not in r.classes]
    return survey(load_model(cpu), SEED, forms=chosen)


@pytest.fixture(scope="session")
def p6(compiled_machine: None) -> Survey:
    return whole()


@pytest.fixture(scope="session")
def variant(compiled_machine: None) -> Callable[[str], Survey]:
    """Classifications of the p6's variants."""
    return rest
