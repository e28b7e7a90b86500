"""A pytest plugin that records which forms the tests execute, in the plain-Python lane.

    NUMBA_DISABLE_JIT=1 python -m pytest -p tests.oracles.form_recorder --forms FOLDER ...

The functions that carry out one record are wrapped wherever they have been imported to. FOLDER gets
one JSON file per process with the test files by form: those in which it completed (or ended run(),
as HLT does) and those in which it faulted. tests/oracles/table_coverage.py reads them.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isa import cold, workspace
from isa.generated.forms import FORM_NAMES
from isa.records import FORM_SHIFT, TROUBLED

FAMILIES = (
    "execute_arithmetic", "execute_multiply", "execute_exchange", "compare_exchange_8",
    "execute_bits", "execute_simple", "execute_near", "execute_stack", "execute_string",
    "execute_system", "execute_transfer", "execute_port",
)  # fmt: skip


class Recorder:
    """What has been executed so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.test = ""
        self.completed: dict[str, set[str]] = defaultdict(set)
        self.faulted: dict[str, set[str]] = defaultdict(set)

    def wrapped(self, function: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(function)
        def execute(cpu: Any, core: Any, ram: Any, marks: Any, at: int) -> int:
            name = FORM_NAMES[core[at] >> FORM_SHIFT & 0xFFF]
            status = function(cpu, core, ram, marks, at)
            fault = status == TROUBLED and core[workspace.TROUBLE] == workspace.FAULT
            (self.faulted if fault else self.completed)[name].add(self.test)
            return status

        return execute

    def pytest_collection_finish(self) -> None:
        """Wrap the functions in every module that has them by now."""
        originals = {getattr(cold, name): name for name in FAMILIES}
        wrappers = {function: self.wrapped(function) for function in originals}
        for module in list(sys.modules.values()):
            for name in FAMILIES:
                found = getattr(module, name, None)
                if callable(found) and found in wrappers:
                    setattr(module, name, wrappers[found])

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.test = item.nodeid.partition("::")[0]

    def pytest_sessionfinish(self) -> None:
        found = {
            kind: {name: sorted(tests) for name, tests in sorted(forms.items())}
            for kind, forms in (("completed", self.completed), ("faulted", self.faulted))
        }
        if self.completed or self.faulted:
            self.folder.mkdir(parents=True, exist_ok=True)
            name = os.environ.get("PYTEST_XDIST_WORKER", "only")
            (self.folder / f"forms-{name}.json").write_text(json.dumps(found))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--forms", type=Path, help="where to write the forms that were executed")


def pytest_configure(config: pytest.Config) -> None:
    folder = config.getoption("--forms")
    if folder is not None:
        config.pluginmanager.register(Recorder(folder))
