"""From addresses to names and lines and back, from an assembly and from an executable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa.errors import TrapgateError
from tools.assembler import assemble_text
from tools.source_map import SourceMap

SOURCE = """\
ENTRY equ 0x100000
_start:
    nop
.inner:
    nop
    nop
alias:
    hlt
section .data
value: dd 1
"""


@pytest.fixture(params=["assembly", "executable"])
def source_map(request) -> SourceMap:
    assembly = assemble_text(SOURCE, name="src/kernel.asm", format="elf32")
    if request.param == "assembly":
        return SourceMap.of_assembly(assembly)
    return SourceMap.of_elf(assembly.bytes, "kernel.elf")


def test_names_and_addresses(source_map):
    assert source_map.address_of("_start.inner") == 0x100001
    assert source_map.address_of("nowhere") is None
    assert source_map.address_of("ENTRY") is None


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (0x100000, "_start"),
        (0x100001, "_start.inner"),
        (0x100002, "_start.inner+0x1"),
        (0x100003, "alias"),
        (0x100010, "alias+0xd"),
        (0x0FFFFF, "None"),
    ],
)
def test_the_nearest_symbol(source_map, address, text):
    assert str(source_map.nearest(address)) == text


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (0x100000, "src/kernel.asm:3"),
        (0x100001, "src/kernel.asm:5"),
        (0x100002, "src/kernel.asm:6"),
        (0x100003, "src/kernel.asm:8"),
        (0x100004, "None"),
        (0x0FFFFF, "None"),
    ],
)
def test_the_line_of_an_address(source_map, address, text):
    assert str(source_map.line_of(address)) == text


def test_the_addresses_of_a_line(source_map):
    assert source_map.addresses_of("kernel.asm", 6) == [0x100002]
    assert source_map.addresses_of("src/kernel.asm", 6) == [0x100002]
    assert source_map.addresses_of("kernel.asm", 2) == []
    assert source_map.addresses_of("other.asm", 6) == []


IMAGE = assemble_text(SOURCE, name="src/kernel.asm", format="elf32").bytes


def outcome(image: bytes) -> str:
    """What a map says of an executable, or why it is refused; any other exception ends the test."""
    try:
        source_map = SourceMap.of_elf(image, "kernel.elf")
        return f"{source_map.nearest(0x100001)} {source_map.line_of(0x100001)}"
    except TrapgateError as error:
        return str(error)


@given(st.data())
def test_damaged_executables_are_refused_or_read(data):
    image = bytearray(IMAGE)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(
            st.one_of(st.integers(0, 200), st.integers(len(image) - 900, len(image) - 1))
        )
        image[at] = data.draw(st.sampled_from([0, 1, 3, 0x7F, 0x80, 0xFF]))
    found = outcome(bytes(image[: data.draw(st.integers(1, len(image)))]))
    assert "\n" not in found


def test_every_truncation_is_one_line():
    for length in range(0, len(IMAGE), 7):
        assert "\n" not in outcome(IMAGE[:length])


def test_a_label_that_is_not_local_is_preferred():
    assembly = assemble_text("a:\n.x:\nb: nop\n")
    assert str(SourceMap.of_assembly(assembly).nearest(0)) == "a"


def test_data_has_lines_too():
    assembly = assemble_text(SOURCE, format="elf32")
    line = SourceMap.of_assembly(assembly).line_of(assembly.symbols["value"] + 3)
    assert line is not None
    assert line.line == 10
