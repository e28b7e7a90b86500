"""The verb asm: what it writes where, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import elf_reader, status
from tools.cli import main

SOURCE = """\
    bits 32
    org 0x100000
start:
    mov al, VALUE
    out 0xF4, al
"""


@pytest.fixture
def source(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "kernel.asm"
    path.write_text(SOURCE)
    return path


def test_the_output_is_named_after_the_source(source):
    assert main(["asm", "kernel.asm", "-D", "VALUE=5"]) == 0
    assert source.with_suffix(".bin").read_bytes() == bytes.fromhex("b005e6f4")


def test_an_executable_has_an_entry_and_symbols(source):
    text = SOURCE.replace("    org 0x100000\n", "")
    source.write_text(text)
    assert main(["asm", "kernel.asm", "-f", "elf32", "-DVALUE=5"]) == 0
    executable = elf_reader.read_elf(source.with_suffix(".elf").read_bytes(), "kernel.elf")
    assert executable.symbols["start"] == executable.entry


def test_listing_and_symbols_are_written_beside(source, tmp_path):
    assert main(["asm", "kernel.asm", "-DVALUE=5", "-l", "k.lst", "--symbols", "k.map"]) == 0
    assert "B005" in (tmp_path / "k.lst").read_text()
    assert "mov al, VALUE" in (tmp_path / "k.lst").read_text()
    assert (tmp_path / "k.map").read_text() == "00100000 place    start\n"


def test_a_dash_is_standard_output(source, capfdbinary):
    assert main(["asm", "kernel.asm", "-DVALUE=5", "-o", "-"]) == 0
    assert capfdbinary.readouterr().out == bytes.fromhex("b005e6f4")


def test_include_folders_are_searched(source, tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "value.inc").write_text("VALUE equ 7\n")
    source.write_text('%include "value.inc"\n' + SOURCE)
    assert main(["asm", "kernel.asm", "-I", "parts"]) == 0
    assert source.with_suffix(".bin").read_bytes() == bytes.fromhex("b007e6f4")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "kernel.asm:4: "),
        (["-DVALUE=5", "-o", "kernel.asm"], "would overwrite the source"),
        (["-DVALUE=5", "-o", "missing/kernel.bin"], "missing/kernel.bin: cannot be written"),
        (["-DVALUE=5", "-o", "-l"], "-l: an option where the name of a file was expected"),
        (["-D", "5=VALUE"], "write NAME or NAME=VALUE"),
        (["-f", "elf64"], 'Choose from: "bin", "elf32"'),
    ],
)
def test_a_mistake_gets_one_line_and_no_output(source, capsys, tmp_path, arguments, text):
    assert main(["asm", "kernel.asm", *arguments]) == status.USAGE
    error = capsys.readouterr().err
    assert error.startswith("trapgate: error: ")
    assert text in error
    assert error.count("\n") == 1
    assert source.read_text() == SOURCE
    assert [path.name for path in tmp_path.iterdir()] == ["kernel.asm"]


def test_every_error_of_a_source_is_shown(source, capsys):
    source.write_text("bits 32\n mov eax, bl\n jmp nowhere\n")
    assert main(["asm", "kernel.asm"]) == status.USAGE
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[2] for line in lines] == ["kernel.asm:2", "kernel.asm:3"]
