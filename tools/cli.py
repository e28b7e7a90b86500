"""The trapgate command: finds the verb, runs it, turns errors into one line and a status.

One file per verb, imported only when that verb is used, so that `--help` and the verbs that run no
guest start in a fraction of a second. Exit statuses are listed in `tools.status`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from isa.errors import TrapgateError
from tools import status
from tools.interrupts import deferred_interrupts

if TYPE_CHECKING:
    from cyclopts import App

# Verb, one-line description. `tools/VERB.py` holds an `App` of that name with details and examples.
VERBS: Final[tuple[tuple[str, str], ...]] = (
    ("run", "Run a guest under one technique; its console is standard output."),
    ("exec", "Run a Linux program, with the files below a folder and no others."),
    ("compare", "Run a guest under several techniques and compare results and costs."),
    ("classify", "Classify every instruction as Popek and Goldberg do, by executing it."),
    ("diff", "Find the first instruction after which two runs differ."),
    ("cpus", "List the processors that a machine can have."),
    ("asm", "Assemble a source file (NASM syntax)."),
    ("disasm", "Disassemble a file or bytes given in hexadecimal."),
    ("version", "Show the versions of trapgate and of what it runs on."),
)


def build_app() -> App:
    """The command-line interface, with every verb registered by name only."""
    from cyclopts import App

    app = App(
        name="trapgate",
        help="A small x86 machine, several ways to virtualize it, and what each of them costs.",
        help_epilogue="Start here:  trapgate compare guests/minikernel",
        help_format="plaintext",
        version=_version,
        # The exit status and the wording of errors are ours, below.
        result_action="return_value",
        print_error=False,
        exit_on_error=False,
        help_on_error=False,
        suppress_keyboard_interrupt=False,
    )
    for verb, summary in VERBS:
        app.command(f"tools.{verb}:app", name=verb, help=summary)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    try:
        code = _run(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()
    except TrapgateError as error:
        return _refuse(str(error))
    except MemoryError:
        return _refuse("not enough memory on this computer; -m asks for less")
    except KeyboardInterrupt:
        return _refuse("interrupted", status.INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has left (`| head`). Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return status.BROKEN_PIPE
    except OSError as error:
        return _refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    return code


def _run(arguments: list[str]) -> int:
    with deferred_interrupts():  # also the verb's module is imported here
        from cyclopts import CycloptsError

        if arguments[:1] == ["exec"]:
            from tools.exec_arguments import divided

            arguments = ["exec", *divided(arguments[1:])]
        try:
            command, bound, _ = build_app().parse_args(arguments)
        except CycloptsError as error:
            raise TrapgateError(" ".join(str(error).split())) from None
    result = command(*bound.args, **bound.kwargs)
    return result if isinstance(result, int) else status.SUCCESS


def _version() -> str:
    from tools.version import installed_version

    return f"trapgate {installed_version('trapgate')}"


def _refuse(message: str, code: int = status.USAGE) -> int:
    """Print the message, one line for each problem in a source, and give the status.

    The assembler's lines say "FILE:LINE: error: ..." by themselves; once is enough.
    """
    for line in message.splitlines() or [message]:
        text = " ".join(line.split()).replace(": error: ", ": ", 1)
        print(f"trapgate: error: {text}", file=sys.stderr)
    return code
