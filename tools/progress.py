"""Tell a waiting user what is going on, on standard error, and only if somebody is there to read.

The first run on a machine compiles the interpreter, which takes most of a minute: that is said in
one line even where standard error is a file, because silence that long looks like a fault.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


def error_console() -> Console:
    """Where progress and stop reports are shown."""
    return Console(stderr=True, highlight=False)


def is_compiled() -> bool:
    """Whether compiled code is in the cache already."""
    from isa import jit

    return not jit.ENABLED or any(jit.CACHE_FOLDER.glob("**/*.nbi"))


@contextmanager
def compilation() -> Iterator[None]:
    """Around the first use of the machine: announces compilation where it is still to be done."""
    if is_compiled():
        yield
        return
    started = time.perf_counter()
    text = "compiling the machine once, about 40 seconds; later runs start from the cache"
    console = error_console()
    if console.is_terminal:
        with console.status(f"trapgate: {text}"):
            yield
    else:
        print(f"trapgate: {text}", file=sys.stderr, flush=True)
        yield
    print(
        f"trapgate: compiled in {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True
    )
