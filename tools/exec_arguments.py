"""Where the options of `trapgate exec` end and the program's own arguments begin.

`trapgate exec --stat ls -l` gives -l to the program: the first word that is neither an option nor
the value of one is the program, and everything after it belongs to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

OPTIONS_WITH_VALUE: Final = frozenset(
    {"--root", "--env", "--argv0", "--memory", "-m", "--cpu", "--budget", "--timeout"}
)


def divided(arguments: Sequence[str]) -> list[str]:
    """The arguments of `exec` with "--" before the program."""
    at = 0
    while at < len(arguments):
        word = arguments[at]
        if word == "--" or "--help" in (word, "") or word == "-h":
            return list(arguments)
        if not word.startswith("-") or word == "-":
            return [*arguments[:at], "--", *arguments[at:]]
        at += 2 if word in OPTIONS_WITH_VALUE else 1
    return list(arguments)
