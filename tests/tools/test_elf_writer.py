"""Executables: what the project's own reader, pyelftools and the assembly say is the same."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from isa.errors import TrapgateError
from tools import elf_reader
from tools.assembler import Assembly, assemble_file, assemble_text

GUESTS = Path(__file__).resolve().parents[2] / "guests"

KERNEL = """\
global _start, LIMIT
LIMIT equ 3
section .multiboot align=4
    dd 0x1BADB002, 0, -0x1BADB002
section .text
_start:
    mov ecx, LIMIT
.again:
    loop .again
    mov eax, [table]
    hlt
section .rodata
table: dd _start, message
section .data
message: db "hi", 0
section .bss align=64
buffer: resb 100
"""


@pytest.fixture(scope="module")
def kernel() -> Assembly:
    return assemble_text(KERNEL, name="kernel.asm", format="elf32")


@pytest.fixture
def elf(kernel) -> ELFFile:
    return ELFFile(io.BytesIO(kernel.bytes))


def test_the_header_is_a_static_i386_executable(kernel, elf):
    header = elf.header
    assert (header.e_type, header.e_machine) == ("ET_EXEC", "EM_386")
    assert header.e_entry == kernel.entry == kernel.symbols["_start"]


def test_segments_have_pages_and_rights_of_their_own(kernel, elf):
    segments = list(elf.iter_segments())
    assert [(part["p_vaddr"], part["p_flags"]) for part in segments] == [
        (0x100000, 4),  # .multiboot and .rodata: read only, and first in the file
        (0x101000, 5),  # .text
        (0x102000, 6),  # .data, then .bss
    ]
    for part, own in zip(segments, kernel.segments, strict=True):
        assert part["p_offset"] % 0x1000 == part["p_vaddr"] % 0x1000
        assert part["p_paddr"] == part["p_vaddr"] == own.address
        assert part.data() == own.content
        assert part["p_memsz"] == own.memory_bytes
    assert segments[0]["p_offset"] < 8192  # where a multiboot loader looks


def test_sections_are_where_the_segments_have_them(elf):
    names = [section.name for section in elf.iter_sections()]
    assert names[1:6] == [".multiboot", ".rodata", ".text", ".data", ".bss"]
    bss = elf.get_section_by_name(".bss")
    assert (bss["sh_type"], bss["sh_size"], bss["sh_addralign"]) == ("SHT_NOBITS", 100, 64)
    assert bss["sh_addr"] % 64 == 0
    rodata = elf.get_section_by_name(".rodata")
    assert rodata.data() == bytes.fromhex("00101000 00201000")


def test_symbols_are_local_or_global_and_have_their_section(kernel, elf):
    table = elf.get_section_by_name(".symtab")
    symbols = {symbol.name: symbol for symbol in table.iter_symbols() if symbol.name}
    assert symbols["_start"]["st_info"].bind == "STB_GLOBAL"
    assert symbols["_start.again"]["st_info"].bind == "STB_LOCAL"
    assert symbols["_start.again"]["st_value"] == kernel.symbols["_start.again"]
    assert symbols["LIMIT"]["st_shndx"] == "SHN_ABS"
    text = elf.get_section(symbols["_start"]["st_shndx"])
    assert text.name == ".text"
    first_global = next(
        index for index, s in enumerate(table.iter_symbols()) if s["st_info"].bind == "STB_GLOBAL"
    )
    assert table["sh_info"] == first_global


def test_line_numbers_are_read_by_pyelftools(kernel, elf):
    dwarf = elf.get_dwarf_info()
    (unit,) = dwarf.iter_CUs()
    die = unit.get_top_DIE()
    assert die.attributes["DW_AT_name"].value == b"kernel.asm"
    assert die.attributes["DW_AT_low_pc"].value == kernel.symbols["_start"]
    rows = [entry.state for entry in dwarf.line_program_for_CU(unit).get_entries() if entry.state]
    found = [(row.address, row.line) for row in rows if not row.end_sequence]
    code = [(line.address, line.line) for line in kernel.lines if line.is_code]
    assert found == code
    assert rows[-1].end_sequence
    assert rows[-1].address == code[-1][0] + 1


def test_our_own_reader_finds_the_same(kernel):
    executable = elf_reader.read_elf(kernel.bytes, "kernel")
    assert executable.entry == kernel.entry
    assert [(s.physical, s.data, s.memory_bytes) for s in executable.segments] == [
        (s.address, s.content, s.memory_bytes) for s in kernel.segments
    ]
    assert dict(kernel.symbols).items() <= executable.symbols.items()
    sections = elf_reader.read_sections(kernel.bytes, "kernel")
    assert {".debug_line", ".debug_info", ".debug_abbrev"} <= sections.keys()


def test_org_and_vstart_say_where_sections_go():
    text = "org 0xC0000000\nnop\nsection .high vstart=0xD0000000 exec\nstart: hlt\n"
    assembly = assemble_text(text, format="elf32")
    assert [part.address for part in assembly.segments] == [0xC0000000, 0xD0000000]
    assert assembly.entry == 0xD0000000
    assert assembly.origin == 0xC0000000


def test_the_entry_is_the_first_code_without_a_customary_name():
    text = "section .data\ndd 1\nsection .text\nfirst: nop\nsecond: hlt\n"
    assert assemble_text(text, format="elf32").entry == 0x101000
    assert assemble_text(text, format="elf32", entry="second").entry == 0x101001


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("section .a vstart=0\nnop\nsection .b vstart=0\nnop", "sections .a and .b overlap"),
        ("global nowhere\nnop", "global symbol 'nowhere' is not defined"),
        ("section .a vstart=0xFFFFFFFF\ndd 1", "outside of the 4 GiB address space"),
    ],
)  # fmt: skip
def test_impossible_executables_are_refused(text, message):
    with pytest.raises(TrapgateError, match=message):
        assemble_text(text, format="elf32")


def test_an_empty_source_makes_a_valid_file():
    elf = ELFFile(io.BytesIO(assemble_text("", format="elf32").bytes))
    assert list(elf.iter_segments()) == []


def test_the_code_does_not_depend_on_the_format():
    """A guest without sections of its own has the same bytes in both formats."""
    path = GUESTS / "hello" / "hello.asm"
    flat, executable = assemble_file(path), assemble_file(path, format="elf32")
    assert executable.segments[0].content == flat.bytes
    assert executable.entry == flat.entry
