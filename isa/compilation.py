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

_POINTER: Final[Any] = types.CPointer
# The machine's arrays by letter, as Python passes them, and as compiled functions do.
_ARRAYS: Final = {
    "c": types.int64[::1],  # cpu
    "w": types.int64[::1],  # core, the workspace
    "r": types.uint8[::1],  # ram
    "m": types.uint8[::1],  # marks
}
_POINTERS: Final = {name: _POINTER(kind.dtype) for name, kind in _ARRAYS.items()}

# Group -> (module, function, its arrays, number of integer arguments after them). The order is
# such that the two processes work on different things: what one needs last the other does first.
GROUPS: Final[dict[str, tuple[tuple[str, str, str, int], ...]]] = {
    "events": (
        ("events", "deliver", "cwrm", 3),
        ("interrupt_return", "interrupt_return", "cwrm", 1),
        ("system", "interrupt", "cwrm", 2),
        ("system", "execute_system", "cwrm", 1),
        ("host_calls", "refresh", "cw", 0),
        ("host_calls", "code_written", "wm", 2),
        ("host_calls", "write_cr0", "cwr", 1),
        ("host_calls", "write_cr3", "cwr", 1),
        ("host_calls", "write_cr4", "cwr", 1),
        ("host_calls", "invalidate", "cw", 1),
        ("host_calls", "flush_tlb", "w", 0),
        ("host_calls", "load_ldtr", "cwrm", 1),
        ("host_calls", "load_tr", "cwrm", 1),
        ("host_calls", "load_data_segment", "cwrm", 2),
    ),
    "instructions": (
        ("blocks", "find_block", "cwrm", 1),
        ("execute", "execute_arithmetic", "cwrm", 1),
        ("execute", "execute_multiply", "cwrm", 1),
        ("execute", "execute_exchange", "cwrm", 1),
        ("execute", "compare_exchange_8", "cwrm", 1),
        ("execute", "execute_bits", "cwrm", 1),
        ("execute", "execute_simple", "cwrm", 1),
        ("near", "execute_near", "cwrm", 1),
        ("near", "execute_stack", "cwrm", 1),
        ("strings", "execute_string", "cwrm", 1),
        ("ports", "execute_port", "cwrm", 1),
        ("system", "execute_moves", "cwrm", 3),
        ("control_registers", "execute_control", "cwrm", 2),
        ("descriptor_tables", "execute_tables", "cwrm", 2),
        ("descriptor_queries", "query", "cwrm", 2),
        ("transfers", "execute_transfer", "cwrm", 1),
    ),
    "loop": (("interpreter", "run", "cwrm", 1),),
}
_CALLED_FROM_PYTHON: Final = ("host_calls", "interpreter")

_MARK: Final = CACHE_FOLDER / "complete"


def is_compiled() -> bool:
    """Whether run() can start without compiling."""
    return not ENABLED or _MARK.exists()


def compile_group(group: str) -> None:
    """Compile, or load from the cache, the functions of one group."""
    for module, name, arrays, integers in GROUPS[group]:
        function = getattr(importlib.import_module(f"isa.{module}"), name)
        kinds = _ARRAYS if CHECKED or module in _CALLED_FROM_PYTHON else _POINTERS
        function.compile((*(kinds[array] for array in arrays), *[types.int64] * integers))


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
