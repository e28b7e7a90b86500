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
_TYPE_EXECUTABLE = 2
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


def read_elf(data: bytes, where: str) -> Executable:
    """Read an executable; `where` names the file in errors."""
    if len(data) < _HEADER.size:
        raise TrapgateError(f"{where}: truncated ELF file: {len(data)} bytes, no complete header")
    (ident, kind, machine, _, entry, phoff, shoff, _, _, phentsize, phnum, shentsize, shnum, _) = (
        _HEADER.unpack_from(data)
    )
    if ident[:4] != MAGIC:
        raise TrapgateError(f"{where}: not an ELF file")
    if ident[4] != _CLASS_32 or ident[5] != _LITTLE_ENDIAN or machine != _MACHINE_386:
        raise TrapgateError(f"{where}: an ELF file, but not for 32-bit i386")
    if kind != _TYPE_EXECUTABLE:
        what = _TYPE_NAMES.get(kind, f"of type {kind}")
        raise TrapgateError(f"{where}: not a static executable: the ELF file is {what}")
    headers = [
        header
        for header in _table(data, _PROGRAM_HEADER, phoff, phentsize, phnum, "program", where)
        if _is_loadable(header, where)
    ]
    if not headers:
        raise TrapgateError(f"{where}: the ELF file has no segment to load")
    if sum(header[4] for header in headers) > 2 * len(data):
        raise TrapgateError(f"{where}: the segments of the ELF file are larger than the file")
    segments = tuple(_segment(data, header, where) for header in headers)
    sections = _table(data, _SECTION_HEADER, shoff, shentsize, shnum, "section", where)
    return Executable(entry, segments, _symbols(data, sections, where))


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


def _is_loadable(header: tuple[int, ...], where: str) -> bool:
    if header[0] == _PT_INTERP:
        raise TrapgateError(f"{where}: needs a dynamic linker; link it statically")
    return header[0] == _PT_LOAD and header[5] > 0


def _segment(data: bytes, header: tuple[int, ...], where: str) -> Segment:
    _, offset, linear, physical, file_bytes, memory_bytes, flags, _ = header
    if file_bytes > memory_bytes:
        raise TrapgateError(
            f"{where}: segment at {physical:#x} is larger in the file than in memory"
        )
    if offset + file_bytes > len(data):
        raise TrapgateError(
            f"{where}: truncated ELF file: segment at {physical:#x} lies beyond its end"
        )
    if physical + memory_bytes > 1 << 32 or linear + memory_bytes > 1 << 32:
        raise TrapgateError(f"{where}: segment at {physical:#x} runs past 4 GiB")
    content = data[offset : offset + file_bytes]
    return Segment(physical, linear, content, memory_bytes, bool(flags & _FLAG_EXECUTE))


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
