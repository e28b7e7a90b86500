"""Line tables: what is written is read back; what compilers write is read; damage is refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa.errors import TrapgateError
from tools import dwarf
from tools.dwarf import LineRow, LineRun

FILES = st.sampled_from(["kernel.asm", "boot.inc", "lib/print.inc"])


@st.composite
def runs(draw: st.DrawFn) -> list[LineRun]:
    """Runs of rows, one behind the other."""
    address = draw(st.integers(0, 1 << 31))
    found: list[LineRun] = []
    for _ in range(draw(st.integers(1, 4))):
        rows = []
        for _ in range(draw(st.integers(1, 20))):
            rows.append(LineRow(address, draw(FILES), draw(st.integers(1, 5000))))
            address += draw(st.integers(1, 300))
        found.append(LineRun(rows, address))
        address += draw(st.integers(1, 1 << 20))
    return found


@given(runs())
def test_rows_written_are_read_back(written):
    sections = dwarf.write_sections("kernel.asm", "test", written)
    expected = [row for run in written for row in [*run.rows, LineRow(run.end, "", 0, ends=True)]]
    read = dwarf.read_lines(sections, "kernel")
    assert [(row.address, row.ends) for row in read] == [(r.address, r.ends) for r in expected]
    assert [row for row in read if not row.ends] == [row for row in expected if not row.ends]


def version_5() -> dict[str, bytes]:
    """A table as a recent compiler writes it, with names in a section of their own."""
    names = b"/src\0boot\0kernel.c\0"
    fixed = struct.pack("<BBBbBB", 1, 1, 1, -5, 14, 13)
    counts = bytes([0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1])
    folders = bytes([1, 1, 0x1F]) + b"\x02" + struct.pack("<II", 0, 5)
    files = bytes([3, 1, 0x1F, 2, 0x0B, 5, 0x1E]) + b"\x02"
    files += (struct.pack("<IB", 10, 0) + bytes(16)) + (struct.pack("<IB", 10, 1) + bytes(16))
    header = fixed + counts + folders + files
    program = b"\0\x05\x02" + struct.pack("<I", 0x1000)  # set address
    program += bytes([3, 9, 1])  # advance line by 9, copy
    program += bytes([8])  # constant add pc
    program += bytes([9, 4, 0, 1])  # fixed advance pc by 4, copy
    program += bytes([5, 7, 11, 12, 0])  # set column, an unused standard one, set isa
    program += bytes([13 + 5 + 14 * 2])  # special: address + 2, same line
    program += b"\x02\x03\0\x01\x01"  # advance pc by 3, end sequence
    body = struct.pack("<HBBI", 5, 4, 0, len(header)) + header + program
    return {
        ".debug_line": struct.pack("<I", len(body)) + body,
        ".debug_line_str": names,
    }


def test_version_5_is_read():
    step = (255 - 13) // 14
    assert dwarf.read_lines(version_5(), "kernel") == [
        LineRow(0x1000, "boot/kernel.c", 10),
        LineRow(0x1000 + step + 4, "boot/kernel.c", 10),
        LineRow(0x1000 + step + 6, "boot/kernel.c", 10),
        LineRow(0x1000 + step + 9, "boot/kernel.c", 10, ends=True),
    ]


def outcome(sections: dict[str, bytes]) -> str:
    """The rows, or the message of an error; any other exception ends the test."""
    try:
        return str(dwarf.read_lines(sections, "kernel"))
    except TrapgateError as error:
        return str(error)


def test_no_table_is_no_lines():
    assert dwarf.read_lines({}, "kernel") == []


@given(st.data())
def test_damaged_tables_are_refused_or_read(data):
    sections = dict(version_5())
    table = bytearray(sections[".debug_line"])
    for _ in range(data.draw(st.integers(1, 3))):
        table[data.draw(st.integers(0, len(table) - 1))] = data.draw(st.integers(0, 255))
    sections[".debug_line"] = bytes(table[: data.draw(st.integers(1, len(table)))])
    assert outcome(sections).startswith(("kernel: ", "["))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"\x08\0\0", "it ends inside of an entry"),
        (b"\xff\xff\xff\xff" + bytes(8), "64-bit DWARF is not supported"),
        (struct.pack("<IH", 2, 9), "unknown version 9"),
        (struct.pack("<IHIBBbBB", 11, 2, 100, 1, 1, -5, 0, 1), "a line range of zero"),
    ],
)
def test_what_is_wrong_is_said(table, message):
    with pytest.raises(TrapgateError, match=message):
        dwarf.read_lines({".debug_line": table}, "kernel")
