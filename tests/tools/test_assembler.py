"""The assembler as a library: what an assembly says about its result."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from isa.errors import TrapgateError
from tests.tools.golden import LINES, PROGRAMS, read_lines, read_program
from tools.assembler import Assembly, AssemblyError, assemble_file, assemble_text

ROOT = Path(__file__).resolve().parents[2]

KERNEL = """\
    bits 32
    org 0x100000
global start
LIMIT equ 3
start:
    mov ecx, LIMIT
.again:
    dec ecx
    jnz .again
    hlt
section .data
message: db "hi"
section .bss
buffer: resb 10
"""


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_programs_have_their_recorded_bytes(path):
    assert assemble_file(path).bytes == read_program(path)


@pytest.mark.parametrize("bits", [16, 32])
def test_lines_have_their_recorded_bytes(bits):
    recorded = read_lines(LINES[bits])
    assert len(recorded) > 1000
    different = [
        f"{line}: {data.hex()} was recorded"
        for line, data in recorded.items()
        if assemble_text(line, bits=bits).bytes != data
    ]
    assert not different


def test_the_image_is_code_then_data():
    assembly = assemble_text(KERNEL)
    assert assembly.bytes == bytes.fromhex("b903000000 49 75fd f4 000000 6869".replace(" ", ""))
    assert assembly.origin == assembly.entry == 0x100000
    assert assembly.format == "bin"


def test_symbols_are_places_and_constants_are_apart():
    assembly = assemble_text(KERNEL)
    assert dict(assembly.symbols) == {
        "start": 0x100000,
        "start.again": 0x100005,
        "message": 0x10000C,
        "buffer": 0x100010,
    }
    assert dict(assembly.constants) == {"LIMIT": 3}
    assert assembly.homes["message"] == ".data"
    assert assembly.globals == {"start"}


def test_lines_tell_where_every_byte_comes_from():
    assembly = assemble_text(KERNEL, name="kernel.asm")
    code = [(line.address, line.file, line.line) for line in assembly.lines if line.is_code]
    assert code == [
        (0x100000, "kernel.asm", 6),
        (0x100005, "kernel.asm", 8),
        (0x100006, "kernel.asm", 9),
        (0x100008, "kernel.asm", 10),
    ]
    assert [line.line for line in assembly.lines if not line.is_code] == [12, 14]


def test_a_macros_bytes_belong_to_the_line_that_calls_it():
    text = "%macro two 0\n nop\n nop\n%endmacro\n hlt\n two\n"
    assert [line.line for line in assemble_text(text).lines] == [5, 6, 6]


def test_segments_are_what_has_to_be_in_memory():
    segments = assemble_text(KERNEL).segments
    assert [(part.address, len(part.content), part.memory_bytes) for part in segments] == [
        (0x100000, 9, 9),
        (0x10000C, 2, 2),
        (0x100010, 0, 10),
    ]
    assert [part.executable for part in segments] == [True, False, False]
    assert [part.writable for part in segments] == [False, True, True]


def test_the_entry_can_be_chosen():
    assert assemble_text(KERNEL, entry="start.again").entry == 0x100005
    assert assemble_text("nop\n..start: hlt\n").entry == 1
    with pytest.raises(TrapgateError, match="entry point 'nowhere' is not a symbol"):
        assemble_text(KERNEL, entry="nowhere")


def test_defines_come_from_outside():
    assert assemble_text("db N, M", defines={"N": 5, "M": "N + 1"}).bytes == b"\x05\x06"
    with pytest.raises(TrapgateError, match="'5' cannot be defined"):
        assemble_text("nop", defines={"5": 1})


def test_the_bits_at_the_start_depend_on_the_format():
    assert assemble_text("mov eax, 1").bytes.startswith(b"\x66")
    assert assemble_text("mov eax, 1", bits=32).bytes.startswith(b"\xb8")
    assert assemble_text("dd __BITS__", format="elf32").segments[0].content == b"\x20\0\0\0"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"format": "coff"}, "unknown output format 'coff'"), ({"bits": 64}, "bits 64")],
)
def test_impossible_requests_are_refused(arguments, message):
    with pytest.raises(TrapgateError, match=message):
        assemble_text("nop", **arguments)


def test_files_are_found_next_to_the_source_then_in_the_include_paths(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "near.inc").write_text("db 1\n%include 'far.inc'\n")
    (tmp_path / "lib" / "far.inc").write_text("db 2\nincbin 'data.bin', 1, 2\n")
    (tmp_path / "lib" / "data.bin").write_bytes(b"abcd")
    source = tmp_path / "main.asm"
    source.write_text('%include "near.inc"\n')
    assembly = assemble_file(source, include_paths=[tmp_path / "lib"])
    assert assembly.bytes == b"\x01\x02bc"
    assert [Path(line.file).name for line in assembly.lines] == ["near.inc", "far.inc", "far.inc"]


def test_warnings_say_what_the_source_may_not_have_meant():
    assembly = assemble_text("monitr\n")
    (warning,) = assembly.warnings
    assert str(warning) == (
        "<text>:1: warning: label 'monitr' alone on a line without a colon might be a mistake"
    )
    (warning,) = assemble_text("org 0x12345\nbits 16\nmov si, x\nx:\n").warnings
    assert "address 0x12348 is cut to 16 bits" in str(warning)


def test_source_bytes_survive(tmp_path):
    source = tmp_path / "text.asm"
    source.write_bytes(b"\xef\xbb\xbfdb '\xc3\xa9', `\xe2\x82\xac`\r\n")
    assert assemble_file(source).bytes == "é€".encode()
    assert assemble_text("db 'é€'").bytes == "é€".encode()


def test_names_may_be_in_any_language():
    assembly = assemble_text("début: nop\nfin equ début\n", format="elf32")
    assert dict(assembly.symbols) == {"début": 0x100000}
    with pytest.raises(AssemblyError, match="unknown instruction 'début'"):
        assemble_text("début fin")


def test_nothing_at_all_is_an_empty_image():
    for text in ("", "\n\n", "; only a comment", "bits 32"):
        assembly = assemble_text(text)
        assert (assembly.bytes, list(assembly.segments), assembly.lines) == (b"", [], [])


def test_the_compiler_is_not_needed():
    """Assembling stays quick to start: neither numba nor numpy is imported."""
    program = (
        "import sys; from tools.assembler import assemble_text; assemble_text('hlt');"
        "sys.exit(bool({'numba', 'llvmlite', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


def test_assemblies_do_not_disturb_one_another():
    def run(text: str) -> Assembly:
        return assemble_text(text)

    first = run("%define X 1\nx: db X\n")
    assert run("%ifdef X\n db 9\n%endif\nx: db 2\n").bytes == b"\x02"
    assert first.bytes == b"\x01"
