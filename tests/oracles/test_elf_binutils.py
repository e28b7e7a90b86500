"""Executables against NASM with GNU ld: equal sections when they are placed alike; and readelf."""

from __future__ import annotations

import io
import shutil
import subprocess

import pytest
from elftools.elf.elffile import ELFFile

from tools.assembler import assemble_text

pytestmark = pytest.mark.oracle

SOURCE = """\
bits 32
global _start, message
section .text
_start:
    mov ecx, message
    mov [counter], ecx
    jmp .next
    times 200 nop
.next:
    call print
    hlt
print:
    mov esi, [table + ecx*4]
    cmp byte [ecx], limit
    ret
limit equ 7
section .rodata
table: dd _start, print, message, counter, $ - $$
section .data
message: db "text", 0
    align 4
pointer: dd pointer, message + 2
section .bss
    resb 3
counter: resd 1
"""
SECTIONS = (".text", ".rodata", ".data", ".bss")


@pytest.mark.skipif(
    shutil.which("nasm") is None or shutil.which("ld") is None,
    reason="nasm or ld is not installed",
)
def test_sections_hold_what_ld_links_from_nasms_object(tmp_path):
    own = ELFFile(io.BytesIO(assemble_text(SOURCE, format="elf32").bytes))
    source, objects, linked = (tmp_path / name for name in ("a.asm", "a.o", "a.elf"))
    source.write_text(SOURCE)
    places = [
        f"--section-start={name}={own.get_section_by_name(name)['sh_addr']:#x}" for name in SECTIONS
    ]
    subprocess.run(["nasm", "-f", "elf32", "-o", objects, source], check=True)
    subprocess.run(["ld", "-m", "elf_i386", *places, "-o", linked, objects], check=True)
    with linked.open("rb") as file:
        other = ELFFile(file)
        assert own.header.e_entry == other.header.e_entry
        for name in SECTIONS[:3]:
            ours, theirs = own.get_section_by_name(name), other.get_section_by_name(name)
            assert ours.data() == theirs.data()
            assert ours["sh_flags"] == theirs["sh_flags"]
        values = [
            {symbol.name: symbol["st_value"] for symbol in table.iter_symbols()}
            for table in (own.get_section_by_name(".symtab"), other.get_section_by_name(".symtab"))
        ]
        for name in ("_start", "_start.next", "print", "message", "counter", "pointer"):
            assert values[0][name] == values[1][name]


@pytest.mark.skipif(shutil.which("readelf") is None, reason="readelf is not installed")
def test_readelf_has_nothing_to_complain_about(tmp_path):
    path = tmp_path / "kernel.elf"
    path.write_bytes(assemble_text(SOURCE, format="elf32").bytes)
    run = subprocess.run(
        ["readelf", "--all", "--debug-dump=line,decodedline,info,abbrev", str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""
    assert "Warning" not in run.stdout
    assert "DW_LANG_Mips_Assembler" not in run.stderr
