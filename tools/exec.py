"""The verb `exec`: one i386 Linux program under the process monitor."""

from __future__ import annotations

import json as json_text
import os
import signal
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import App, Parameter

from isa.cpu_models import DEFAULT, load_model
from isa.errors import TrapgateError
from tools import status
from tools.arguments import Count, Flag, Size
from tools.interrupts import deferred_interrupts

if TYPE_CHECKING:
    from hypervisor.process.calls.table import Call
    from hypervisor.process.process import Ending, Process
    from hypervisor.process.program import Program

SMALLEST_MEMORY: Final = 16 << 20
LARGEST_MEMORY: Final = 2048 << 20
_MOST_ENVIRONMENT: Final = 1000
_DEFAULT_ENVIRONMENT: Final = {"PATH": "/bin:/usr/bin", "HOME": "/", "LANG": "C"}

EPILOGUE: Final = f"""\
Examples:
  trapgate exec ./hello
  trapgate exec --root data --writable ./sort -r names.txt
  trapgate exec --trace ./hello 2>calls.txt
  trapgate exec --stat -m 64M ./interpreter program.txt
  trapgate exec --json ./crc <picture.png

PROGRAM is a static executable for i386 Linux (gcc -m32 -static). It sees the
files below --root (the current directory) as /, read-only without --writable,
and no others. Options of trapgate come before PROGRAM.

Exit status:
  the program's; 128 + N if signal N ended it
  {status.USAGE}           usage error: wrong option, not such a program
  {status.BUDGET}         out of budget or time (--budget, --timeout)
  {status.GAVE_UP}         the program waits for what can never happen
  {status.INTERRUPTED}         interrupted (Ctrl-C)"""

app = App(name="exec", help_epilogue=EPILOGUE)


@app.default
def exec_(
    program: Annotated[str, Parameter(help="The executable.")],
    /,
    *arguments: Annotated[
        str, Parameter(help="Its arguments, options too.", allow_leading_hyphen=True)
    ],
    root: Annotated[str, Parameter(help="The folder the program sees as /.")] = ".",
    writable: Annotated[Flag, Parameter(help="Let it change and make files there.")] = False,
    env: Annotated[
        tuple[str, ...],
        Parameter(
            help="NAME=VALUE for its environment; may be repeated.", negative="", show_default=False
        ),
    ] = (),
    argv0: Annotated[
        str | None, Parameter(help="What the program is called (default: PROGRAM).")
    ] = None,
    memory: Annotated[
        Size,
        Parameter(
            name=["--memory", "-m"],
            help="Memory it may use: 64M, 1G (default: 256M).",
            show_default=False,
        ),
    ] = 256 << 20,
    cpu: Annotated[
        str, Parameter(help="The processor: a model of `trapgate cpus`, as in 486+cpuid.")
    ] = DEFAULT,
    realtime: Annotated[
        Flag, Parameter(help="The host's time and randomness, in place of those of every run.")
    ] = False,
    budget: Annotated[
        Count | None, Parameter(help="Stop after that many instructions: 2000000, 2M.")
    ] = None,
    timeout: Annotated[float | None, Parameter(help="Stop after that many seconds.")] = None,
    trace: Annotated[Flag, Parameter(help="Show every system call on standard error.")] = False,
    stat: Annotated[Flag, Parameter(help="Show counts of what happened at the end.")] = False,
    json: Annotated[
        Flag, Parameter(help="Print a JSON report with the program's output in it.")
    ] = False,
) -> int:
    """Run a Linux program on the simulated processor, with this computer's files below a root.

    The process monitor is the program's operating system: it executes the instructions of a static
    i386 executable in ring 3 and serves its system calls itself.
    """
    if timeout is not None and not timeout > 0:
        raise TrapgateError("--timeout must be more than 0 seconds")
    if not SMALLEST_MEMORY <= memory <= LARGEST_MEMORY or memory % 4096:
        raise TrapgateError("-m must be whole pages, from 16M to 2G")
    environment = _environment(env)
    model = load_model(cpu)
    with deferred_interrupts():
        from tools.program_loader import load_program
        from tools.progress import prepare_machine

    loaded = load_program(program)
    prepare_machine()
    words = [program if argv0 is None else argv0, *arguments]
    with deferred_interrupts():
        process = _start(
            loaded,
            root=root,
            writable=writable,
            is_json=json,
            arguments=[os.fsencode(word) for word in words],
            environment=environment,
            memory_bytes=memory,
            is_realtime=realtime,
            model=model,
            tracer=_show_call if trace else None,
        )
    started = time.perf_counter()
    ending = _run(process, budget, timeout)
    seconds = time.perf_counter() - started
    _report(process, ending, seconds, is_json=json, with_counts=stat)
    return _status(ending)


def _environment(assignments: tuple[str, ...]) -> list[bytes]:
    """NAME=VALUE words over a small environment that is the same everywhere."""
    if len(assignments) > _MOST_ENVIRONMENT:
        raise TrapgateError(f"more than {_MOST_ENVIRONMENT} times --env")
    values = dict(_DEFAULT_ENVIRONMENT)
    for word in assignments:
        name, sign, value = word.partition("=")
        if not name or not sign:
            raise TrapgateError(f"--env {word}: write NAME=VALUE")
        values[name] = value
    words = [os.fsencode(f"{name}={value}") for name, value in values.items()]
    if any(b"\0" in word for word in words):
        raise TrapgateError("--env: a zero byte ends a word")
    return words


def _start(program: Program, *, root: str, writable: bool, is_json: bool, **more: Any) -> Process:
    """The process before its first instruction."""
    from hypervisor.process.host_streams import HostStream, MemoryOutput
    from hypervisor.process.open_files import O_RDONLY, O_WRONLY
    from hypervisor.process.path_tree import PathTree
    from hypervisor.process.process import Process

    tree = PathTree(root, is_writable=writable)
    stdin = HostStream(0, O_RDONLY)
    if is_json:
        return Process(program, tree, (stdin, MemoryOutput(), MemoryOutput()), **more)
    sys.stdout.flush()
    streams = (stdin, HostStream(1, O_WRONLY), HostStream(2, O_WRONLY))
    return Process(program, tree, streams, is_interactive=stdin.is_terminal, **more)


def _run(process: Process, budget: int | None, timeout: float | None) -> Ending:
    """Run to the end; Ctrl-C is a signal for the program."""

    def pass_on(_number: int, _frame: FrameType | None) -> None:
        process.interrupt()

    former = signal.getsignal(signal.SIGINT)
    is_ours = former is signal.default_int_handler
    if is_ours:
        signal.signal(signal.SIGINT, pass_on)
    try:
        return process.run(budget, timeout)
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, former)
        process.close()


def _show_call(
    process: Process, call: Call, arguments: tuple[int, ...], result: int | None
) -> None:
    from hypervisor.process.trace import describe

    print(describe(process, call, arguments, result), file=sys.stderr)


def _status(ending: Ending) -> int:
    if ending.reason == "exit":
        return ending.status
    if ending.reason in ("signal", "memory"):
        return 128 + ending.status
    return status.GAVE_UP if ending.reason == "deadlock" else status.BUDGET


# --- what is said at the end ------------------------------------------------------------------


def _report(
    process: Process, ending: Ending, seconds: float, *, is_json: bool, with_counts: bool
) -> None:
    if is_json:
        print(json_text.dumps(_record(process, ending, seconds), indent=2))
        return
    name = process.program.name
    if ending.reason != "exit":
        what = "killed by " if ending.reason in ("signal", "memory") else ""
        if ending.reason == "memory":
            what += "SIGKILL: "
        at = f" at {ending.eip:#010x}{_symbol(process, ending.eip)}"
        print(f"trapgate: {name}: {what}{ending.detail}{at}", file=sys.stderr)
    if process.unknown:
        calls = ", ".join(f"{call} ({n})" for call, n in sorted(process.unknown.items()))
        missing = f"system calls that do not exist here (ENOSYS): {calls}"
        if ending.reason != "exit" or with_counts or _asks_in_vain(process):
            print(f"trapgate: {name}: {missing}", file=sys.stderr)
    if with_counts:
        _show_counts(process, seconds)


def _asks_in_vain(process: Process) -> bool:
    """Whether a call is missing that C libraries do not merely try."""
    return bool(process.unknown.keys() - _MERELY_TRIED)


_MERELY_TRIED: Final = {"rseq"}


def _symbol(process: Process, address: int) -> str:
    from tools.symbols import locate

    named = locate(address - process.placement.base, process.program.symbols)
    return f" <{named}>" if named else ""


def _show_counts(process: Process, seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    space = process.space
    rows = [
        ("instructions", process.world.retired),
        ("system calls", process.calls.total() + process.unknown.total()),
        *((f"  {name}", count) for name, count in process.calls.most_common()),
        *((f"  {name} (ENOSYS)", count) for name, count in process.unknown.most_common()),
        ("signals handled", process.delivered.total()),
        *((f"  {name}", count) for name, count in process.delivered.most_common()),
        ("page faults", space.faults),
        ("resident pages", space.resident_pages),
    ]
    table = Table(box=None, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for text, count in rows:
        table.add_row(text, f"{count:,}")
    table.add_row("seconds", f"{seconds:.3f}")
    Console(stderr=True, highlight=False).print(table)


def _record(process: Process, ending: Ending, seconds: float) -> dict[str, Any]:
    def text(fd: int) -> str:
        from hypervisor.process.host_streams import MemoryOutput

        file = process.streams[fd]
        data = bytes(file.data) if isinstance(file, MemoryOutput) else b""
        return data.decode("utf-8", "replace")

    return {
        "program": process.program.name,
        "arguments": [word.decode("utf-8", "replace") for word in process.arguments],
        "cpu": process.world.processor.model.name,
        "ending": {
            "reason": str(ending.reason),
            "status": ending.status,
            "detail": ending.detail,
            "eip": ending.eip,
        },
        "exit_status": _status(ending),
        "stdout": text(1),
        "stderr": text(2),
        "instructions": process.world.retired,
        "system_calls": dict(sorted(process.calls.items())),
        "unknown_calls": dict(sorted(process.unknown.items())),
        "signals": dict(sorted(process.delivered.items())),
        "page_faults": process.space.faults,
        "resident_pages": process.space.resident_pages,
        "host_seconds": round(seconds, 6),
    }
