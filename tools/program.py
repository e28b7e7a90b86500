"""A program as the user names it: found, read or assembled, before any boot protocol is applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from isa.boot import BootImage
from isa.errors import TrapgateError
from tools import catalogue
from tools.files import read_bounded, read_head
from tools.interrupts import deferred_interrupts
from tools.placement import LOW_ROOM, Segments, find_room, range_of
from tools.recognition import HEAD_BYTES

SOURCE_SUFFIXES: Final = (".asm", ".s", ".nasm")
STACK_BYTES: Final = 16 << 10


@dataclass(frozen=True)
class Content:
    """The bytes of a program before any protocol is applied.

    Attributes:
        name: in reports.
        where: as the user called it.
        data: of a source what it assembles to; of a file all of it or its first bytes.
        file: where it is.
        address, entry, symbols: of a source.
        is_source: whether it was assembled just now.
    """

    name: str
    where: str
    data: bytes
    file: Path
    address: int | None = None
    entry: int | None = None
    symbols: Mapping[str, int] | None = None
    is_source: bool = False

    def whole(self) -> Content:
        """The same with all of the file."""
        if self.is_source:
            return self
        return replace(self, data=read_bounded(self.file, self.where))


def read_content(path: str | Path) -> Content:
    """The program `path` names, assembled if it is a source."""
    return read_beginning(path).whole()


def read_beginning(path: str | Path) -> Content:
    """The program `path` names, as far as is needed to recognise it."""
    guest = catalogue.find(path)
    file = guest.source_path if guest is not None else Path(path)
    where = guest.display_path if guest is not None else str(path)
    name = guest.name if guest is not None else file.stem
    if guest is None and not file.exists():
        raise TrapgateError(
            f"{where}: no such file, and no guest of that name{catalogue.hint(path)}"
        )
    if file.is_dir():
        raise TrapgateError(f"{where}: a folder that is not a guest{catalogue.hint(path)}")
    if file.suffix.lower() in SOURCE_SUFFIXES:
        return _assembled(name, where, file)
    return Content(name, where, read_head(file, where, HEAD_BYTES), file)


def _assembled(name: str, where: str, file: Path) -> Content:
    with deferred_interrupts():
        from tools.assembler import assemble_file

    assembly = assemble_file(file, format="bin")
    return Content(
        name=name,
        where=where,
        data=assembly.bytes,
        file=file,
        address=assembly.origin,
        entry=assembly.entry,
        symbols=assembly.symbols,
        is_source=True,
    )


def protected_image(
    content: Content,
    segments: Segments,
    entry: int,
    symbols: Mapping[str, int] | None,
    ram_bytes: int,
) -> BootImage:
    """A program in 32-bit protected mode, with a stack in low memory where there is room."""
    check_entry(content.where, segments, entry)
    taken = [range_of(segment) for segment in segments]
    stack = find_room(taken, STACK_BYTES, LOW_ROOM, top=True)
    return BootImage(
        name=content.name,
        segments=segments,
        entry=entry,
        eax=0,
        ebx=0,
        esp=min(ram_bytes, LOW_ROOM[1]) if stack is None else stack + STACK_BYTES,
        protected=True,
        symbols=symbols,
        source=content.where,
    )


def check_entry(where: str, segments: Segments, entry: int) -> None:
    """Refuse an entry point where nothing has been loaded."""
    if not any(first <= entry < last for first, last in map(range_of, segments)):
        raise TrapgateError(f"{where}: entry point {entry:#x} lies outside what is loaded")
