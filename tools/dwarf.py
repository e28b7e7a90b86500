"""DWARF line tables: which source line the code at an address comes from.

Writes a minimal but valid version 2 (one compile unit for each source, one line sequence for each
section with code) and reads versions 2 to 5 as compilers write them. Does not read anything else
of DWARF: no variables, no types, no call frames.

Source: DWARF Debugging Information Format, versions 2 to 5, "Line Number Information".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from isa.errors import TrapgateError

_VERSION: Final = 2
_LINE_BASE: Final = -5
_LINE_RANGE: Final = 14
_OPCODE_BASE: Final = 10
_OPERAND_COUNTS: Final = bytes([0, 1, 1, 1, 1, 0, 0, 0, 1])  # of the standard opcodes 1 to 9

_LNS_COPY, _LNS_ADVANCE_PC, _LNS_ADVANCE_LINE, _LNS_SET_FILE = 1, 2, 3, 4
_LNS_CONST_ADD_PC, _LNS_FIXED_ADVANCE_PC = 8, 9
_LNE_END_SEQUENCE, _LNE_SET_ADDRESS = 1, 2

_TAG_COMPILE_UNIT: Final = 0x11
_AT_NAME, _AT_STMT_LIST, _AT_LOW_PC, _AT_HIGH_PC = 0x03, 0x10, 0x11, 0x12
_AT_LANGUAGE, _AT_COMP_DIR, _AT_PRODUCER = 0x13, 0x1B, 0x25
_FORM_ADDR, _FORM_DATA2, _FORM_DATA4, _FORM_STRING = 0x01, 0x05, 0x06, 0x08
_LANGUAGE_ASSEMBLER: Final = 0x8001

_LNCT_PATH, _LNCT_DIRECTORY = 1, 2
# Enough for any kernel that fits this machine; keeps a hostile file from costing minutes.
_MOST_ROWS: Final = 2_000_000


class LineRow(NamedTuple):
    """The code from `address` on comes from this line; `ends` closes a run of rows."""

    address: int
    file: str
    line: int
    ends: bool = False


@dataclass(frozen=True, slots=True)
class LineRun:
    """Rows in address order for code without gaps, from the first row up to `end`."""

    rows: Sequence[LineRow]
    end: int


def write_sections(name: str, producer: str, runs: Sequence[LineRun]) -> dict[str, bytes]:
    """The contents of .debug_line, .debug_info and .debug_abbrev for one source."""
    return {
        ".debug_line": _line_section(runs),
        ".debug_info": _info_section(name, producer, runs),
        ".debug_abbrev": _abbreviations(),
    }


def _uleb(value: int) -> bytes:
    output = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        output.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(output)


def _sleb(value: int) -> bytes:
    output = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        done = value == (-1 if byte & 0x40 else 0)
        output.append(byte | (0 if done else 0x80))
        if done:
            return bytes(output)


def _text(text: str) -> bytes:
    return text.encode("utf-8", "replace").replace(b"\0", b"?") + b"\0"


def _with_length(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content


def _line_section(runs: Sequence[LineRun]) -> bytes:
    files = list(dict.fromkeys(row.file for run in runs for row in run.rows))
    numbers = {file: index for index, file in enumerate(files, start=1)}
    names = b"".join(_text(file) + b"\0\0\0" for file in files)
    tables = b"\0" + names + b"\0"  # no directories; the files
    fixed = struct.pack("<BBbBB", 1, 1, _LINE_BASE, _LINE_RANGE, _OPCODE_BASE)
    header = fixed + _OPERAND_COUNTS + tables
    program = b"".join(_sequence(run, numbers) for run in runs)
    return _with_length(struct.pack("<HI", _VERSION, len(header)) + header + program)


def _sequence(run: LineRun, numbers: Mapping[str, int]) -> bytes:
    """The line program of one run."""
    address, line, file = run.rows[0].address, 1, 1
    output = bytearray(b"\0\x05" + bytes([_LNE_SET_ADDRESS]) + struct.pack("<I", address))
    for row in run.rows:
        if numbers[row.file] != file:
            file = numbers[row.file]
            output += bytes([_LNS_SET_FILE]) + _uleb(file)
        output += _step(row.address - address, row.line - line)
        address, line = row.address, row.line
    output += bytes([_LNS_ADVANCE_PC]) + _uleb(run.end - address)
    output += b"\0\x01" + bytes([_LNE_END_SEQUENCE])
    return bytes(output)


def _step(address_delta: int, line_delta: int) -> bytes:
    """Advance both and add a row: a special opcode if it reaches, standard ones otherwise."""
    if _LINE_BASE <= line_delta < _LINE_BASE + _LINE_RANGE:
        opcode = line_delta - _LINE_BASE + _LINE_RANGE * address_delta + _OPCODE_BASE
        if opcode <= 255:
            return bytes([opcode])
    advance_line = bytes([_LNS_ADVANCE_LINE]) + _sleb(line_delta)
    return advance_line + bytes([_LNS_ADVANCE_PC]) + _uleb(address_delta) + bytes([_LNS_COPY])


def _info_section(name: str, producer: str, runs: Sequence[LineRun]) -> bytes:
    low = min((run.rows[0].address for run in runs), default=0)
    high = max((run.end for run in runs), default=0)
    unit = b"\x01" + struct.pack("<III", 0, low, high & 0xFFFFFFFF)
    unit += _text(name) + _text(".") + _text(producer) + struct.pack("<H", _LANGUAGE_ASSEMBLER)
    return _with_length(struct.pack("<HIB", _VERSION, 0, 4) + unit + b"\0")


def _abbreviations() -> bytes:
    attributes = (
        (_AT_STMT_LIST, _FORM_DATA4),
        (_AT_LOW_PC, _FORM_ADDR),
        (_AT_HIGH_PC, _FORM_ADDR),
        (_AT_NAME, _FORM_STRING),
        (_AT_COMP_DIR, _FORM_STRING),
        (_AT_PRODUCER, _FORM_STRING),
        (_AT_LANGUAGE, _FORM_DATA2),
    )
    output = b"\x01" + bytes([_TAG_COMPILE_UNIT, 0])
    output += b"".join(bytes(pair) for pair in attributes)
    return output + b"\0\0" + b"\0"


# -- reading -------------------------------------------------------------------------------------


class _Cursor:
    """Reads little-endian fields and refuses to read beyond the end."""

    def __init__(self, data: bytes, where: str, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.where = where
        self.at = at
        self.end = len(data) if end is None else end

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if count < 0 or self.at + count > self.end:
            raise TrapgateError(f"{self.where}: damaged line table: it ends inside of an entry")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, width: int) -> int:
        """An unsigned number of fixed width."""
        return int.from_bytes(self.take(width), "little")

    def uleb(self) -> int:
        """An unsigned LEB128 number."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return value
        raise TrapgateError(f"{self.where}: damaged line table: a number without an end")

    def sleb(self) -> int:
        """A signed LEB128 number."""
        start = self.at
        value = self.uleb()
        bits = 7 * (self.at - start)
        return value - (1 << bits) if value >> (bits - 1) & 1 else value

    def text(self) -> str:
        """A string up to its zero byte."""
        stop = self.data.find(b"\0", self.at, self.end)
        if stop < 0:
            raise TrapgateError(f"{self.where}: damaged line table: a name without an end")
        text = self.data[self.at : stop].decode("utf-8", "replace")
        self.at = stop + 1
        return text


def read_lines(sections: Mapping[str, bytes], where: str) -> list[LineRow]:
    """All rows of .debug_line, by address; empty if there is no such section."""
    data = sections.get(".debug_line", b"")
    cursor = _Cursor(data, where)
    rows: list[LineRow] = []
    while cursor.at < len(data):
        length = cursor.number(4)
        if length >= 0xFFFFFFF0:
            raise TrapgateError(f"{where}: 64-bit DWARF is not supported")
        unit = _Cursor(data, where, cursor.at, cursor.at + length)
        cursor.take(length)
        rows.extend(_read_unit(unit, sections, where, _MOST_ROWS - len(rows)))
    return sorted(rows, key=lambda row: (row.address, not row.ends))


@dataclass(slots=True)
class _Header:
    """What a line program has to know before it runs."""

    version: int = 0
    minimum_length: int = 1
    line_base: int = 0
    line_range: int = 1
    operand_counts: bytes = b""
    files: Sequence[str] = ()
    program: int = 0


def _read_unit(
    cursor: _Cursor, sections: Mapping[str, bytes], where: str, most: int
) -> list[LineRow]:
    header = _Header(version=cursor.number(2))
    if not 2 <= header.version <= 5:
        raise TrapgateError(f"{where}: line table of unknown version {header.version}")
    if header.version >= 5:
        cursor.take(2)  # address size, segment selector size
    length = cursor.number(4)
    header.program = cursor.at + length
    header.minimum_length = cursor.number(1)
    if header.version >= 4:
        cursor.take(1)  # operations per instruction: 1 on this processor
    cursor.take(1)  # the initial is_stmt
    header.line_base = int.from_bytes(cursor.take(1), "little", signed=True)
    header.line_range = cursor.number(1)
    header.operand_counts = cursor.take(max(cursor.number(1) - 1, 0))
    if header.line_range == 0:
        raise TrapgateError(f"{where}: damaged line table: a line range of zero")
    header.files = _read_files(cursor, header.version, sections, where)
    cursor.at = header.program
    return _run_program(cursor, header, most)


def _read_files(
    cursor: _Cursor, version: int, sections: Mapping[str, bytes], where: str
) -> list[str]:
    """File names by number; before version 5 numbers start at 1."""
    if version >= 5:
        folders = _read_entries(cursor, sections, where)
        files = _read_entries(cursor, sections, where)
        return [_joined(name, folder, [name for name, _ in folders]) for name, folder in files]
    names = [""]
    while folder := cursor.text():
        names.append(folder)
    found = [""]
    while name := cursor.text():
        number = cursor.uleb()
        cursor.uleb()
        cursor.uleb()
        found.append(_joined(name, number, names))
    return found


def _joined(name: str, folder: int, folders: Sequence[str]) -> str:
    """The path of a file; folder 0 is where the compiler ran, which says nothing to a reader."""
    if name.startswith("/") or not 0 < folder < len(folders):
        return name
    return f"{folders[folder]}/{name}"


def _read_entries(
    cursor: _Cursor, sections: Mapping[str, bytes], where: str
) -> list[tuple[str, int]]:
    """Name and folder number of the entries of a version-5 table."""
    formats = [(cursor.uleb(), cursor.uleb()) for _ in range(cursor.number(1))]
    count = cursor.uleb()
    if count and not formats:
        raise TrapgateError(f"{where}: damaged line table: entries without a format")
    entries: list[tuple[str, int]] = []
    for _ in range(count):
        name, folder = "", 0
        for content, form in formats:
            value = _read_form(cursor, form, sections, where)
            if content == _LNCT_PATH and isinstance(value, str):
                name = value
            elif content == _LNCT_DIRECTORY and isinstance(value, int):
                folder = value
        entries.append((name, folder))
    return entries


def _read_form(cursor: _Cursor, form: int, sections: Mapping[str, bytes], where: str) -> str | int:
    fixed = {0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8}  # DW_FORM_data1, data2, data4, data8
    strings = {0x0E: ".debug_str", 0x1F: ".debug_line_str"}  # DW_FORM_strp, line_strp
    if form in fixed:
        return cursor.number(fixed[form])
    if form in strings:
        table = sections.get(strings[form], b"")
        return _Cursor(table, where, cursor.number(4)).text()
    if form == _FORM_STRING:
        return cursor.text()
    if form == 0x0F:  # DW_FORM_udata
        return cursor.uleb()
    if form == 0x1E:  # DW_FORM_data16: an MD5 sum
        cursor.take(16)
        return 0
    raise TrapgateError(f"{where}: line table uses unknown form {form:#x}")


def _run_program(cursor: _Cursor, header: _Header, most: int) -> list[LineRow]:
    """Run the line program up to the end of its unit."""
    rows: list[LineRow] = []
    address, file, line = 0, 1, 1
    opcode_base = len(header.operand_counts) + 1
    constant_advance = (255 - opcode_base) // header.line_range * header.minimum_length

    def add(ends: bool = False) -> None:
        if len(rows) >= most:
            raise TrapgateError(f"{cursor.where}: line table with more than {_MOST_ROWS} rows")
        name = header.files[file] if file < len(header.files) else ""
        rows.append(LineRow(address & 0xFFFFFFFF, name, line & 0xFFFFFFFF, ends))

    while cursor.at < cursor.end:
        opcode = cursor.number(1)
        if opcode >= opcode_base:
            steps, remainder = divmod(opcode - opcode_base, header.line_range)
            address += steps * header.minimum_length
            line += header.line_base + remainder
            add()
        elif opcode == 0:
            inner = _Cursor(cursor.data, cursor.where, cursor.at, cursor.end)
            length = inner.uleb()
            cursor.take(inner.at - cursor.at)
            body = cursor.take(length)
            if body[:1] == bytes([_LNE_END_SEQUENCE]):
                add(ends=True)
                address, file, line = 0, 1, 1
            elif body[:1] == bytes([_LNE_SET_ADDRESS]):
                address = int.from_bytes(body[1:5], "little")
        elif opcode == _LNS_COPY:
            add()
        elif opcode == _LNS_ADVANCE_PC:
            address += cursor.uleb() * header.minimum_length
        elif opcode == _LNS_ADVANCE_LINE:
            line += cursor.sleb()
        elif opcode == _LNS_SET_FILE:
            file = cursor.uleb()
        elif opcode == _LNS_CONST_ADD_PC:
            address += constant_advance
        elif opcode == _LNS_FIXED_ADVANCE_PC:
            address += cursor.number(2)
        else:
            for _ in range(header.operand_counts[opcode - 1]):
                cursor.uleb()
    return rows
