"""Write an assembly as a static ELF32 executable for i386, with symbols and line numbers.

Nothing is relocated: the assembler has placed everything. Debug sections are written in a form
that tools/dwarf.py and other readers understand.

Source: System V ABI, Intel386 Architecture Processor Supplement, "Object Files"; the generic ABI,
"Sections", "Program Header".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tools import dwarf

if TYPE_CHECKING:
    from tools.assembler.assembly import Assembly, Line, Segment
    from tools.assembler.sections import Section

PAGE: Final = 4096
PRODUCER: Final = "trapgate asm"

_HEADER: Final = struct.Struct("<16sHHIIIIIHHHHHH")
_PROGRAM_HEADER: Final = struct.Struct("<8I")
_SECTION_HEADER: Final = struct.Struct("<10I")
_SYMBOL: Final = struct.Struct("<IIIBBH")

_IDENT: Final = b"\x7fELF\x01\x01\x01" + bytes(9)  # 32 bits, little-endian, version 1
_TYPE_EXECUTABLE, _MACHINE_386, _VERSION = 2, 3, 1
_PT_LOAD, _PF_X, _PF_W, _PF_R = 1, 1, 2, 4
_SHT_PROGBITS, _SHT_SYMTAB, _SHT_STRTAB, _SHT_NOBITS = 1, 2, 3, 8
_SHF_WRITE, _SHF_ALLOC, _SHF_EXECINSTR = 1, 2, 4
_STB_LOCAL, _STB_GLOBAL = 0, 1
_STT_NOTYPE, _STT_FILE = 0, 4
_SHN_ABS: Final = 0xFFF1


@dataclass(slots=True)
class _Entry:
    """A section of the file."""

    name: str
    kind: int
    content: bytes = b""
    flags: int = 0
    address: int = 0
    size: int = 0
    align: int = 1
    link: int = 0
    info: int = 0
    entry_size: int = 0
    offset: int = 0


class _Strings:
    """A string table that keeps every string once."""

    def __init__(self) -> None:
        self.content = bytearray(1)
        self._known: dict[str, int] = {"": 0}

    def add(self, text: str) -> int:
        """The offset of the string."""
        if text not in self._known:
            self._known[text] = len(self.content)
            self.content += text.encode("utf-8", "replace") + b"\0"
        return self._known[text]


def write_executable(assembly: Assembly, name: str) -> bytes:
    """The bytes of the file. `name` is what its symbols and line numbers call the source."""
    sections = sorted(assembly.sections, key=lambda section: section.address)
    entries = [_Entry("", 0), *(_loaded(section) for section in sections)]
    debug = dwarf.write_sections(name, PRODUCER, _runs(assembly.lines))
    entries += [_Entry(key, _SHT_PROGBITS, content) for key, content in debug.items()]
    strings = _Strings()
    symbols, first_global = _symbols(assembly, name, sections, strings)
    entries.append(
        _Entry(".symtab", _SHT_SYMTAB, symbols, align=4, info=first_global, entry_size=_SYMBOL.size)
    )
    entries[-1].link = len(entries)
    entries.append(_Entry(".strtab", _SHT_STRTAB, bytes(strings.content)))
    return _file(assembly, entries)


def _loaded(section: Section) -> _Entry:
    flags = _SHF_ALLOC
    flags |= _SHF_WRITE if section.writable else 0
    flags |= _SHF_EXECINSTR if section.executable else 0
    kind = _SHT_NOBITS if section.nobits else _SHT_PROGBITS
    return _Entry(
        section.name,
        kind,
        bytes(section.content),
        flags,
        section.address,
        section.size,
        section.alignment,
    )


def _file(assembly: Assembly, entries: list[_Entry]) -> bytes:
    """Headers, segments on file offsets that agree with their addresses, the rest behind."""
    names = _Strings()
    for entry in entries:
        names.add(entry.name)
    names.add(".shstrtab")
    entries.append(_Entry(".shstrtab", _SHT_STRTAB, bytes(names.content)))
    segments = assembly.segments
    output = bytearray(_HEADER.size + _PROGRAM_HEADER.size * len(segments))
    program = b""
    for segment in segments:
        offset = len(output) + (segment.address - len(output)) % PAGE
        program += _program_header(segment, offset)
        if segment.content:
            output += bytes(offset - len(output)) + segment.content
        for entry in entries:
            if entry.flags & _SHF_ALLOC and _within(entry, segment):
                entry.offset = offset + entry.address - segment.address
    for entry in entries:
        if entry.kind and not entry.flags & _SHF_ALLOC:
            output += bytes(-len(output) % entry.align)
            entry.offset = len(output)
            entry.size = len(entry.content)
            output += entry.content
    output += bytes(-len(output) % 4)
    table = len(output)
    for entry in entries:
        output += _section_header(entry, names)
    header = _HEADER.pack(
        _IDENT,
        _TYPE_EXECUTABLE,
        _MACHINE_386,
        _VERSION,
        assembly.entry,
        _HEADER.size if segments else 0,
        table,
        0,
        _HEADER.size,
        _PROGRAM_HEADER.size,
        len(segments),
        _SECTION_HEADER.size,
        len(entries),
        len(entries) - 1,
    )
    output[: _HEADER.size + len(program)] = header + program
    return bytes(output)


def _within(entry: _Entry, segment: Segment) -> bool:
    return segment.address <= entry.address < segment.address + max(segment.memory_bytes, 1)


def _program_header(segment: Segment, offset: int) -> bytes:
    flags = _PF_R | (_PF_W if segment.writable else 0) | (_PF_X if segment.executable else 0)
    return _PROGRAM_HEADER.pack(
        _PT_LOAD,
        offset,
        segment.address,
        segment.address,
        len(segment.content),
        segment.memory_bytes,
        flags,
        PAGE,
    )


def _section_header(entry: _Entry, names: _Strings) -> bytes:
    return _SECTION_HEADER.pack(
        names.add(entry.name),
        entry.kind,
        entry.flags,
        entry.address,
        entry.offset,
        entry.size,
        entry.link,
        entry.info,
        entry.align if entry.kind else 0,
        entry.entry_size,
    )


def _symbols(
    assembly: Assembly, name: str, sections: Sequence[Section], strings: _Strings
) -> tuple[bytes, int]:
    """The symbol table, local symbols first, and how many are local."""
    numbers = {section.name: index for index, section in enumerate(sections, start=1)}
    local = [bytes(_SYMBOL.size), _SYMBOL.pack(strings.add(name), 0, 0, _STT_FILE, 0, _SHN_ABS)]
    visible: list[bytes] = []
    for symbol, value in {**assembly.symbols, **assembly.constants}.items():
        home = numbers.get(assembly.homes.get(symbol, ""), _SHN_ABS)
        if symbol in assembly.globals:
            binding = _STB_GLOBAL << 4 | _STT_NOTYPE
            visible.append(_SYMBOL.pack(strings.add(symbol), value, 0, binding, 0, home))
        elif home != _SHN_ABS:  # a constant that nobody asked for would pass for an address
            binding = _STB_LOCAL << 4 | _STT_NOTYPE
            local.append(_SYMBOL.pack(strings.add(symbol), value, 0, binding, 0, home))
    return b"".join([*local, *visible]), len(local)


def _runs(lines: Sequence[Line]) -> list[dwarf.LineRun]:
    """The lines of code as runs without gaps; a line that goes on makes one row."""
    runs: list[dwarf.LineRun] = []
    rows: list[dwarf.LineRow] = []
    end = -1
    for line in lines:
        if not line.is_code:
            continue
        if line.address != end and rows:
            runs.append(dwarf.LineRun(rows, end))
            rows = []
        if not rows or (rows[-1].file, rows[-1].line) != (line.file, line.line):
            rows.append(dwarf.LineRow(line.address, line.file, line.line))
        end = line.address + line.size
    if rows:
        runs.append(dwarf.LineRun(rows, end))
    return runs
