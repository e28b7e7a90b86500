"""Where a source line came from, and the errors that are reported about it.

A position remembers how the line was reached: through which macro expansions and which included
files. A diagnostic is one line of text; an AssemblyError carries all that were collected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from isa.errors import TrapgateError

MAX_ERRORS: Final = 20
MAX_WARNINGS: Final = 1000
MAX_MESSAGE: Final = 300


@dataclass(frozen=True, slots=True)
class Position:
    """A line of a file; `outer` is the line that expanded the macro or included the file."""

    file: str
    line: int
    macro: str = ""
    outer: Position | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file

    def trail(self) -> str:
        """How the line was reached, innermost first; empty for a line of the main file."""
        parts: list[str] = []
        position = self
        while position.outer is not None and len(parts) < 8:
            how = f"in macro '{position.macro}' expanded" if position.macro else "included"
            parts.append(f"{how} at {position.outer}")
            position = position.outer
        if position.outer is not None:
            parts.append("…")
        return ", ".join(parts)

    def source_line(self) -> Position:
        """The line outside any macro: the one a reader of the program steps through."""
        position = self
        while position.macro and position.outer is not None:
            position = position.outer
        return position


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """An error or a warning about one line."""

    position: Position
    message: str
    severity: str = "error"

    def __str__(self) -> str:
        trail = self.position.trail()
        suffix = f" [{trail}]" if trail else ""
        return f"{self.position}: {self.severity}: {self.message}{suffix}"


class AssemblyError(TrapgateError):
    """The source cannot be assembled; `diagnostics` has one entry for each error."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(str(diagnostic) for diagnostic in self.diagnostics))


class SourceError(Exception):
    """Raised while one line is worked on; whoever knows the line makes it a diagnostic."""


class FatalError(Exception):
    """Nothing that follows in the source would mean anything, or the source asks for too much."""


class TooManyErrors(Exception):
    """Raised by Diagnostics when collecting more would only bury the first ones."""


class Diagnostics:
    """What was found wrong so far, in order, each line and message once."""

    def __init__(self) -> None:
        self.errors: list[Diagnostic] = []
        self.warnings: list[Diagnostic] = []
        self._seen: set[tuple[Position, str]] = set()

    def error(self, position: Position, message: str) -> None:
        """Record an error; gives up once there are MAX_ERRORS of them."""
        if self._is_new(position, message):
            self.errors.append(Diagnostic(position, _shortened(message)))
            if len(self.errors) >= MAX_ERRORS:
                raise TooManyErrors

    def warning(self, position: Position, message: str) -> None:
        """Record a warning."""
        if self._is_new(position, message) and len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(Diagnostic(position, _shortened(message), "warning"))

    def forget(self) -> None:
        """Start again: the source is read once more."""
        self.errors.clear()
        self.warnings.clear()
        self._seen.clear()

    def raise_if_any(self) -> None:
        """Raise all recorded errors as one."""
        if self.errors:
            raise AssemblyError(self.errors)

    def _is_new(self, position: Position, message: str) -> bool:
        key = (position, message)
        if key in self._seen:
            return False
        self._seen.add(key)
        return True


def readable(text: str) -> str:
    """Source text, which has one character per byte, as people read it."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _shortened(message: str) -> str:
    """The message on one line of sensible length, whatever the source has in it."""
    line = "".join(letter if letter.isprintable() else "?" for letter in readable(message))
    return line if len(line) <= MAX_MESSAGE else f"{line[:MAX_MESSAGE]}…"
