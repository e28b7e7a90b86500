"""Compiling the interpreter ahead of its first use, in two processes.

Compilation takes most of a minute of processor time, once per version of the sources; after that
everything is loaded from the cache folder (isa.jit). Half of the cold functions are compiled by a
second process meanwhile; the loop itself comes last, from the parts both have left in the cache.

    python -m isa.compilation [GROUP]
"""

import importlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Final

from numba import types

from isa.jit import CACHE_FOLDER, CHECKED, ENABLED

_ARRAYS: Final = (types.int64[::1], types.int64[::1], types.uint8[::1], types.uint8[::1])
_POINTER: Final[Any] = types.CPointer
_MACHINE: Final = _ARRAYS if CHECKED else tuple(_POINTER(kind.dtype) for kind in _ARRAYS)

# Group -> (module, function, number of integer arguments after the machine's arrays).
GROUPS: Final[dict[str, tuple[tuple[str, str, int], ...]]] = {
    "events": (
        ("events", "deliver", 3),
        ("system", "execute_system", 1),
    ),
    "instructions": (
        ("blocks", "find_block", 1),
        ("execute", "execute_arithmetic", 1),
        ("execute", "execute_multiply", 1),
        ("execute", "execute_exchange", 1),
        ("execute", "compare_exchange_8", 1),
        ("execute", "execute_bits", 1),
        ("execute", "execute_simple", 1),
        ("near", "execute_near", 1),
        ("near", "execute_stack", 1),
        ("strings", "execute_string", 1),
        ("ports", "execute_port", 1),
        ("transfers", "execute_transfer", 1),
    ),
    "loop": (("interpreter", "run", 1),),
}

_MARK: Final = CACHE_FOLDER / "complete"


def is_compiled() -> bool:
    """Whether run() can start without compiling."""
    return not ENABLED or _MARK.exists()


def compile_group(group: str) -> None:
    """Compile, or load from the cache, the functions of one group."""
    for module, name, integers in GROUPS[group]:
        function = getattr(importlib.import_module(f"isa.{module}"), name)
        arrays = _ARRAYS if name == "run" else _MACHINE
        function.compile(arrays + (types.int64,) * integers)


def compile_all(report: Callable[[str], None] | None = None) -> None:
    """Compile everything run() needs, unless the cache has it.

    Args:
        report: called with one line of text when compilation begins and when it ends.
    """
    if is_compiled():
        return
    say = report or (lambda _text: None)
    say("compiling the interpreter, once for this version: up to a minute")
    helper = subprocess.Popen([sys.executable, "-m", "isa.compilation", "events"])
    try:
        compile_group("instructions")
        helper.wait()
    finally:
        if helper.poll() is None:
            helper.terminate()
            helper.wait()
    compile_group("loop")
    if CACHE_FOLDER.is_dir():
        _MARK.touch()
    say("compiled")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        compile_group(sys.argv[1])
    else:
        compile_all(lambda text: print(text, file=sys.stderr))
