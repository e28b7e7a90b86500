"""Tell a waiting user what is going on, on standard error.

The first run on a machine compiles the interpreter, which takes most of a minute: that is said even
where standard error is a file, because silence that long looks like a fault. Moving displays are
for terminals only.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


def prepare_machine() -> None:
    """Compile the machine if that is still to be done, and say so."""
    from isa import compilation

    if compilation.is_compiled():
        return
    started = time.perf_counter()
    text = "compiling the machine, once for this version (up to a minute; later runs start at once)"
    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        with console.status(f"trapgate: {text}"):
            compilation.compile_all()
    else:
        print(f"trapgate: {text}", file=sys.stderr, flush=True)
        compilation.compile_all()
    seconds = time.perf_counter() - started
    print(f"trapgate: compiled in {seconds:.0f} s", file=sys.stderr, flush=True)


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
