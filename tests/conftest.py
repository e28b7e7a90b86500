"""Settings shared by all tests: how Hypothesis searches, and when the machine is compiled."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.case_count import take

# The first call of compiled code may take a minute, so no example has a deadline; on continuous
# integration the search is the same every time, so that a red run can be repeated.
settings.register_profile("dev", deadline=None)
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


# `make test-full` searches this many times as long.
EXAMPLES_FACTOR = int(os.environ.get("TRAPGATE_EXAMPLES_FACTOR", "1"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything about the processor is run again with bounds checks in the compiled code."""
    processor_tests = Path(__file__).parent / "isa"
    for item in items:
        if item.path.parent == processor_tests:
            item.add_marker(pytest.mark.bounds)
    if EXAMPLES_FACTOR > 1:
        for function in {getattr(item, "function", None) for item in items}:
            search_longer(function)


def search_longer(function: object) -> None:
    """Multiply the number of examples of a test function that Hypothesis steers."""
    name = "_hypothesis_internal_use_settings"  # there is no public way for a decorated test
    own = getattr(function, name, None)
    if own is not None:
        setattr(function, name, settings(own, max_examples=own.max_examples * EXAMPLES_FACTOR))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note in the report how many cases a test compared."""
    if call.when == "call":
        item.user_properties.append(("cases", take(item)))
    return (yield)


@pytest.fixture(scope="session")
def compiled_machine() -> None:
    """Compile before the test, not in the middle of what it measures or reads."""
    from isa.compilation import compile_all

    compile_all()
