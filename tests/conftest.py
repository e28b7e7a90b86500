"""Settings shared by all tests: how Hypothesis searches, and when the machine is compiled."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything about the processor is run again with bounds checks in the compiled code."""
    processor_tests = Path(__file__).parent / "isa"
    for item in items:
        if item.path.parent == processor_tests:
            item.add_marker(pytest.mark.bounds)


@pytest.fixture(scope="session")
def compiled_machine() -> None:
    """Compile before the test, not in the middle of what it measures or reads."""
    from isa.compilation import compile_all

    compile_all()
