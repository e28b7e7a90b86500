"""Tell a waiting user what is going on, on standard error.

The first run on a machine compiles the interpreter, which takes most of a minute: that is said even
where standard error is a file, because silence that long looks like a fault. Moving displays are
for terminals only.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

import tools
from tools.interrupts import deferred_interrupts


def prepare_machine() -> None:
    """Compile the machine if that is still to be done, say so, and load it."""
    with deferred_interrupts():
        from isa import compilation, jit

    if not jit.ENABLED:
        return
    if not compilation.is_compiled():
        _compile()
    with deferred_interrupts():
        compilation.compile_all()
        compilation.compile_group("loop")


def _compile() -> None:
    """Fill the cache, in a process of its own that Ctrl-C can end at any moment."""
    started = time.perf_counter()
    text = "compiling the machine, once for this version (up to a minute; later runs start at once)"
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        print(f"trapgate: {text}", file=sys.stderr, flush=True)
    compiler = subprocess.Popen(
        [sys.executable, "-m", "isa.compilation"],
        cwd=Path(tools.__file__).parent.parent,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        with console.status(f"trapgate: {text}"):
            compiler.wait()
    except BaseException:
        _end(compiler)
        raise
    seconds = time.perf_counter() - started
    print(f"trapgate: compiled in {seconds:.0f} s", file=sys.stderr, flush=True)


def _end(compiler: subprocess.Popen[bytes]) -> None:
    """End the compiler and the process that helps it."""
    try:
        os.killpg(compiler.pid, signal.SIGTERM)
    except (AttributeError, OSError):
        compiler.terminate()
    compiler.wait()


# Called with what is being done and the guest instructions completed in it.
Report = Callable[[str, int], None]


@contextmanager
def running() -> Iterator[Report]:
    """A display of what runs and how far it has got; silent where nobody is looking."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda _what, _instructions: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.completed:>15,} instructions"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=None)

        def report(what: str, instructions: int) -> None:
            progress.update(task, description=what, completed=instructions)

        yield report


# Called with how many are done and how many there are.
Count = Callable[[int, int], None]


@contextmanager
def counting(what: str, unit: str) -> Iterator[Count]:
    """A bar for work whose amount is known; silent where nobody is looking."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda _done, _total: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=None)

        def report(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield report
