"""Read static ELF32 executables for i386: segments to load, the entry point, symbols.

Nothing in the file is trusted: every offset and size is checked against the file, every address
against 32 bits. Does not relocate, does not read debug information, and refuses what needs a
dynamic linker.

Source: System V ABI, Intel386 Architecture Processor Supplement, "Object Files"; the generic ABI,
"Program Header", "Symbol Table".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from isa.errors import TrapgateError

MAGIC = b"\x7fELF"
_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_PROGRAM_HEADER = struct.Struct("<8I")
_SECTION_HEADER = struct.Struct("<10I")
_SYMBOL = struct.Struct("<IIIBBH")

_CLASS_32, _LITTLE_ENDIAN, _MACHINE_386 = 1, 1, 3
_TYPE_NAMES = {
    1: "an object file that still has to be linked",
    3: "position-independent",
    4: "a core dump",
}
_TYPE_EXECUTABLE, _TYPE_RELOCATABLE = 2, 3
_PT_LOAD, _PT_INTERP, _FLAG_EXECUTE = 1, 3, 1
_SHT_PROGBITS, _SHT_SYMTAB, _FLAG_ALLOCATED = 1, 2, 2
_SYMBOL_SECTION, _SYMBOL_FILE, _UNDEFINED_SECTION = 3, 4, 0
_SHT_NOBITS = 8
# More than any kernel has; what keeps a hostile file from costing minutes or all of memory.
_MOST_SYMBOLS = 1_000_000
_MOST_NAME_BYTES = 1024


@dataclass(frozen=True)
class Segment:
    """A loadable segment: `data` at `physical`, followed by zeros up to `memory_bytes`."""

    physical: int
    linear: int
    data: bytes
    memory_bytes: int
    executable: bool


@dataclass(frozen=True)
class Executable:
    """What an ELF file says about loading it. `entry` is the address as the file gives it."""

    entry: int
    segments: tuple[Segment, ...]
    symbols: dict[str, int]

    @property
    def physical_entry(self) -> int:
        """The entry point where the segment is loaded, for kernels linked to run elsewhere."""
        for segment in self.segments:
            if segment.physical <= self.entry < segment.physical + segment.memory_bytes:
                return self.entry
        for segment in self.segments:
            if segment.linear <= self.entry < segment.linear + segment.memory_bytes:
                return self.entry - segment.linear + segment.physical
        return self.entry


def is_elf(data: bytes) -> bool:
    """Whether the bytes begin like an ELF file of any kind."""
    return data[:4] == MAGIC


class Header(NamedTuple):
    """What the ELF header says."""

    kind: int
    entry: int
    phoff: int
    shoff: int
    phentsize: int
    phnum: int
    shentsize: int
    shnum: int
    shstrndx: int

    @property
    def is_relocatable(self) -> bool:
        """Addresses are relative to where it is put: a shared object or such an executable."""
        return self.kind == _TYPE_RELOCATABLE


class ProgramHeader(NamedTuple):
    """An entry of the program header table, in the order of the file."""

    kind: int
    offset: int
    linear: int
    physical: int
    file_bytes: int
    memory_bytes: int
    flags: int
    alignment: int


def read_header(data: bytes, where: str, *, may_relocate: bool = False) -> Header:
    """The ELF header of an executable for i386; `where` names the file in errors."""
    if len(data) < _HEADER.size:
        raise TrapgateError(f"{where}: truncated ELF file: {len(data)} bytes, no complete header")
    ident, kind, machine, _, entry, phoff, shoff, _, _, *sizes = _HEADER.unpack_from(data)
    if ident[:4] != MAGIC:
        raise TrapgateError(f"{where}: not an ELF file")
    if ident[4] != _CLASS_32 or ident[5] != _LITTLE_ENDIAN or machine != _MACHINE_386:
        raise TrapgateError(f"{where}: an ELF file, but not for 32-bit i386")
    if kind != _TYPE_EXECUTABLE and not (may_relocate and kind == _TYPE_RELOCATABLE):
        what = _TYPE_NAMES.get(kind, f"of type {kind}")
        raise TrapgateError(f"{where}: not a static executable: the ELF file is {what}")
    return Header(kind, entry, phoff, shoff, *sizes)


def program_headers(data: bytes, header: Header, where: str) -> list[ProgramHeader]:
    """The program header table; what needs a dynamic linker is refused."""
    rows = _table(
        data, _PROGRAM_HEADER, header.phoff, header.phentsize, header.phnum, "program", where
    )
    found = [ProgramHeader(*row) for row in rows]
    if any(row.kind == _PT_INTERP for row in found):
        raise TrapgateError(f"{where}: needs a dynamic linker; link it statically")
    return found


def loadable(data: bytes, headers: list[ProgramHeader], where: str) -> list[ProgramHeader]:
    """The headers of segments to load, checked against the file and 4 GiB."""
    found = [row for row in headers if row.kind == _PT_LOAD and row.memory_bytes > 0]
    if not found:
        raise TrapgateError(f"{where}: the ELF file has no segment to load")
    if sum(row.file_bytes for row in found) > 2 * len(data):
        raise TrapgateError(f"{where}: the segments of the ELF file are larger than the file")
    for row in found:
        _check_segment(data, row, where)
    return found


def read_symbols(data: bytes, header: Header, where: str) -> dict[str, int]:
    """Names and addresses of the symbol table, in address order; empty in a stripped file."""
    sections = _table(
        data, _SECTION_HEADER, header.shoff, header.shentsize, header.shnum, "section", where
    )
    return _symbols(data, sections, where)


def read_elf(data: bytes, where: str) -> Executable:
    """Read an executable; `where` names the file in errors."""
    header = read_header(data, where)
    segments = tuple(
        Segment(
            row.physical,
            row.linear,
            data[row.offset : row.offset + row.file_bytes],
            row.memory_bytes,
            bool(row.flags & _FLAG_EXECUTE),
        )
        for row in loadable(data, program_headers(data, header, where), where)
    )
    return Executable(header.entry, segments, read_symbols(data, header, where))


def _table(
    data: bytes, record: struct.Struct, offset: int, size: int, count: int, what: str, where: str
) -> list[tuple[int, ...]]:
    """The headers of one kind, as tuples of their fields."""
    if count == 0 or offset == 0:
        return []
    if size < record.size:
        raise TrapgateError(f"{where}: {what} headers of {size} bytes, expected {record.size}")
    if offset + size * count > len(data):
        raise TrapgateError(f"{where}: truncated ELF file: {what} headers lie beyond its end")
    return [record.unpack_from(data, offset + size * index) for index in range(count)]


def _check_segment(data: bytes, row: ProgramHeader, where: str) -> None:
    if row.file_bytes > row.memory_bytes:
        raise TrapgateError(
            f"{where}: segment at {row.physical:#x} is larger in the file than in memory"
        )
    if row.offset + row.file_bytes > len(data):
        raise TrapgateError(
            f"{where}: truncated ELF file: segment at {row.physical:#x} lies beyond its end"
        )
    if max(row.physical, row.linear) + row.memory_bytes > 1 << 32:
        raise TrapgateError(f"{where}: segment at {row.physical:#x} runs past 4 GiB")


def _symbols(data: bytes, sections: list[tuple[int, ...]], where: str) -> dict[str, int]:
    """Names and addresses of the symbol table, in address order; empty in a stripped file."""
    found: list[tuple[int, str]] = []
    left = _MOST_SYMBOLS
    for section in sections:
        _, kind, _, _, offset, size, link, _, _, entry_bytes = section
        if kind != _SHT_SYMTAB:
            continue
        if entry_bytes != _SYMBOL.size or link >= len(sections) or offset + size > len(data):
            raise TrapgateError(f"{where}: damaged ELF symbol table")
        strings = data[sections[link][4] : sections[link][4] + sections[link][5]]
        count = min(size // _SYMBOL.size, left)
        left -= count
        for index in range(count):
            name, value, _, info, _, home = _SYMBOL.unpack_from(data, offset + index * _SYMBOL.size)
            if home == _UNDEFINED_SECTION or info & 15 in (_SYMBOL_SECTION, _SYMBOL_FILE):
                continue
            text = _name(strings, name)
            if text:
                found.append((value, text))
    return {text: value for value, text in sorted(found)}


def _name(strings: bytes, at: int) -> str:
    """The string at an offset of a string table."""
    text = strings[at : at + _MOST_NAME_BYTES].partition(b"\0")[0]
    return text.decode("utf-8", "replace")


@dataclass(frozen=True)
class SectionHeaders:
    """The section header table, and which sections no segment loads.

    Attributes:
        headers: the table's bytes.
        count, entry_bytes: its shape.
        names_index: the section that holds the names.
        unloaded: number of a section → (offset in the file, bytes), where sh_addr is 0.
    """

    headers: bytes
    count: int
    entry_bytes: int
    names_index: int
    unloaded: dict[int, tuple[int, int]]


def section_headers(data: bytes) -> SectionHeaders | None:
    """The section headers of a file that `read_elf` has read; None if they are absent or lie."""
    header = _HEADER.unpack_from(data)
    offset, size, count, names_index = header[6], header[11], header[12], header[13]
    if not count or not offset or names_index >= count:
        return None
    unloaded: dict[int, tuple[int, int]] = {}
    for index in range(count):
        _, kind, _, address, at, length, *_ = _SECTION_HEADER.unpack_from(
            data, offset + size * index
        )
        if kind in (0, _SHT_NOBITS) or address or not length:
            continue
        if at + length > len(data):
            return None
        unloaded[index] = (at, length)
    if sum(length for _, length in unloaded.values()) > len(data):
        return None
    table = data[offset : offset + size * count]
    return SectionHeaders(table, count, size, names_index, unloaded)


def read_sections(data: bytes, where: str) -> dict[str, bytes]:
    """Name and content of the sections that are not loaded: debug information and the like."""
    read_elf(data, where)  # the same checks and errors as for loading
    header = _HEADER.unpack_from(data)
    shoff, shentsize, shnum, names_at = header[6], header[11], header[12], header[13]
    headers = _table(data, _SECTION_HEADER, shoff, shentsize, shnum, "section", where)
    if not headers or names_at >= len(headers):
        return {}
    names = data[headers[names_at][4] : headers[names_at][4] + headers[names_at][5]]
    found: dict[str, bytes] = {}
    total = 0
    for name, kind, flags, _, offset, size, *_ in headers:
        if kind != _SHT_PROGBITS or flags & _FLAG_ALLOCATED:
            continue
        if offset + size > len(data):
            raise TrapgateError(f"{where}: truncated ELF file: a section lies beyond its end")
        total += size
        if total > len(data):
            raise TrapgateError(f"{where}: the sections of the ELF file are larger than the file")
        found.setdefault(_name(names, name), data[offset : offset + size])
    return found
