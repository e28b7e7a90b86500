"""Writes the comparison that README.md shows: `python -m tools.readme_session`.

Everything in it but the host's seconds repeats exactly, so it changes only when the machine, the
monitor, the guest or the cost profile does; `--check` tells whether it is current.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from isa.errors import TrapgateError
from tools.cli import main as trapgate

README: Final = Path(__file__).resolve().parent.parent / "README.md"
COMMAND: Final = ("compare", "guests/minikernel")
_SHOWN: Final = re.compile(rf"(?<=^\$ trapgate {' '.join(COMMAND)}\n).*?(?=^```$)", re.M | re.S)
_SECONDS: Final = re.compile(r"(?<= x) +[\d.]+$", re.M)


def session() -> str:
    """What the command prints, without trailing spaces."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        trapgate(COMMAND)
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def without_seconds(text: str) -> str:
    """The text without the last column of the table of runs."""
    return _SECONDS.sub("", text)


def shown(readme: str) -> str:
    """The session in the text of README.md."""
    match = _SHOWN.search(readme)
    if match is None:
        raise TrapgateError(f"README.md: shows no output of trapgate {' '.join(COMMAND)}")
    return match[0]


def main(arguments: Sequence[str]) -> int:
    """Write the session, or check it."""
    readme = README.read_text(encoding="utf-8")
    current = session()
    if without_seconds(current) == without_seconds(shown(readme)):
        return 0
    if "--check" in arguments:
        print("README.md: the session is out of date; run: make readme", file=sys.stderr)
        return 1
    README.write_text(_SHOWN.sub(lambda _match: current, readme), encoding="utf-8")
    print("wrote README.md")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
