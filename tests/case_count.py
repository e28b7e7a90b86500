"""How many cases a test has compared: more than one where a test is a loop over many.

A test calls `count_case`; examples of Hypothesis are counted by themselves. The numbers travel with
the test's report as the property "cases" and are summed up by tests/oracles/conformance.py.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_PASSING = re.compile(r"(\d+) passing")
_counted = 0


def count_case(cases: int = 1) -> None:
    """Say that the test that runs now has compared one more case, or several."""
    global _counted  # noqa: PLW0603 - one test runs at a time
    _counted += cases


def take(item: pytest.Item) -> int:
    """Cases of the test that has just run; at least one."""
    global _counted
    cases, _counted = _counted, 0
    examples = sum(map(int, _PASSING.findall(getattr(item, "hypothesis_statistics", ""))))
    return max(cases, examples, 1)
