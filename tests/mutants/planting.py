"""Put a planted error into a module while it is imported; the sources in the tree stay as they are.

The function that holds the error is given a call that tells when it is reached, so that a trial
knows which instruction was executing then.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, ModuleType

from tests.mutants.catalogue import PlantedError

_CALLBACK = "_planted_error_reached"


def holders(tree: ast.Module, first: int, last: int) -> Iterator[ast.FunctionDef]:
    """The functions with these lines; if the lines are a constant's, the functions that use it."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    inside = [node for node in functions if node.lineno <= last and first <= (node.end_lineno or 0)]
    if inside:
        yield from inside
        return
    changed = [
        node for node in tree.body if node.lineno <= last and first <= (node.end_lineno or 0)
    ]
    names = {
        name.id
        for node in changed
        for name in ast.walk(node)
        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
    }
    for function in functions:
        if any(isinstance(node, ast.Name) and node.id in names for node in ast.walk(function)):
            yield function


def planted_code(error: PlantedError) -> CodeType:
    """The module with the error, compiled."""
    source = error.planted_source()
    tree = ast.parse(source, str(error.path))
    first = source.count("\n", 0, error.place()) + 1
    for function in holders(tree, first, first + error.new.count("\n")):
        call = ast.Expr(ast.Call(ast.Name(_CALLBACK, ast.Load()), [], []))
        function.body.insert(1 if ast.get_docstring(function) else 0, call)
    return compile(ast.fix_missing_locations(tree), str(error.path), "exec")


class PlantedLoader(importlib.machinery.SourceFileLoader):
    """Loads one module with an error in it, and leaves no compiled file behind."""

    def __init__(self, error: PlantedError, reached: Callable[[], None]) -> None:
        super().__init__(error.module, str(error.path))
        self.error = error
        self.reached = reached

    def get_code(self, fullname: str) -> CodeType:
        return planted_code(self.error)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__[_CALLBACK] = self.reached
        super().exec_module(module)


class Planter(importlib.abc.MetaPathFinder):
    """Finds the module that gets the error before anybody else finds it."""

    def __init__(self, error: PlantedError, reached: Callable[[], None]) -> None:
        self.error = error
        self.reached = reached

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.error.module:
            return None
        loader = PlantedLoader(self.error, self.reached)
        return importlib.util.spec_from_file_location(fullname, self.error.path, loader=loader)


def plant(error: PlantedError, reached: Callable[[], None]) -> None:
    """From now on the error's module is imported with the error in place."""
    if error.module in sys.modules:
        raise RuntimeError(f"{error.module} was imported before the error could be planted")
    sys.meta_path.insert(0, Planter(error, reached))
