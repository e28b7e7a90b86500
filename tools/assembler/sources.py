"""Where lines come from: files, macro expansions and repetitions, stacked on one another."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tools.assembler.conditionals import Conditionals
from tools.assembler.errors import Position, SourceError
from tools.assembler.lexer import PARAMETER, tokenize
from tools.assembler.macros import Expansion, RawLine

MAX_FILE_BYTES: Final = 16 << 20
MAX_SOURCE_BYTES: Final = 4 << 20


@dataclass(slots=True)
class Source:
    """Lines being read: `rounds` are still to come after this one, for %rep."""

    file: str
    lines: Sequence[RawLine]
    texts: Sequence[str] = ()
    outer: Position | None = None
    expansion: Expansion | None = None  # the macro whose parameters the lines may name
    folder: Path | None = None
    is_repetition: bool = False
    rounds: int = 0
    index: int = 0
    conditionals: Conditionals = field(default_factory=Conditionals)

    def position(self, number: int) -> Position:
        """The position of one of its lines."""
        macro = self.expansion.macro.name if self.expansion is not None else ""
        return Position(self.file, number, macro, self.outer)


def split_lines(text: str) -> tuple[list[str], list[RawLine]]:
    """The text as lines for the listing, and as token lines with continuations joined."""
    texts = text.replace("\r\n", "\n").split("\n")
    if texts and not texts[-1]:
        texts.pop()
    lines: list[RawLine] = []
    pending, start = "", 0
    for number, line in enumerate(texts, start=1):
        if line.endswith("\\"):
            start = start or number
            pending += line[:-1]
            continue
        tokens = tokenize(pending + line if pending else line)
        lines.append(RawLine(start or number, tokens, any(t.kind is PARAMETER for t in tokens)))
        pending, start = "", 0
    if start:
        lines.append(RawLine(start, tokenize(pending), True))
    return texts, lines


def decode(content: bytes) -> str:
    """Source text with one character per byte, so that strings keep their bytes."""
    return content.removeprefix(b"\xef\xbb\xbf").decode("latin-1")


def read_regular(path: Path, limit: int) -> bytes:
    """The content of a regular file of bounded size."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(f"'{path}' is not a file")
        if status.st_size > limit:
            raise SourceError(f"'{path}' is larger than {limit >> 20} MiB")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        raise SourceError(f"cannot read '{path}': {reason}") from None


def find_file(name: str, folder: Path | None, include_paths: Sequence[Path]) -> Path:
    """The file an %include or incbin means: next to the source, then in the include paths."""
    if not name or "\0" in name or len(name) > 4096:
        raise SourceError("not a file name")
    try:
        written = Path(name.encode("latin-1").decode("utf-8"))
    except UnicodeDecodeError:
        raise SourceError("the file name is not UTF-8") from None
    for base in [folder or Path(), *include_paths]:
        candidate = base / written
        try:
            if candidate.exists():
                return candidate
        except OSError:
            continue
    raise SourceError(f"no file '{written}' next to the source or in the include paths")
