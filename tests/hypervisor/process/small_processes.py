"""Processes for tests: programs in assembly, their files below a folder, their output kept."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from hypervisor.process.host_streams import MemoryInput, MemoryOutput
from hypervisor.process.path_tree import PathTree
from hypervisor.process.process import Ending, Process
from tools.assembler import assemble_text
from tools.program_loader import parse_program

RAM = 16 << 20
HEAD = """
bits 32
org 0x08048000
%macro call_system 1-6 0, 0, 0, 0, 0
    mov eax, %1
    mov ebx, %2
    mov ecx, %3
    mov edx, %4
    mov esi, %5
    mov edi, %6
    int 0x80
%endmacro
%macro leave_with 1
    mov ebx, %1
    mov eax, 1
    int 0x80
%endmacro
section .text
global _start
_start:
"""


@cache
def image_of(source: str) -> bytes:
    """The executable that a program's instructions make."""
    return assemble_text(HEAD + source, name="program.asm", format="elf32", entry="_start").bytes


def process_of(
    source: str,
    root: Path | str = ".",
    *,
    writable: bool = False,
    stdin: bytes = b"",
    **more: object,
) -> tuple[Process, MemoryOutput]:
    """A process at its first instruction, and where its output goes."""
    out = MemoryOutput()
    process = Process(
        parse_program(image_of(source), "program", "program"),
        PathTree(str(root), is_writable=writable),
        (MemoryInput(stdin), out, out),
        memory_bytes=RAM,
        **more,  # type: ignore[arg-type]
    )
    return process, out


def run(source: str, root: Path | str = ".", **more: object) -> tuple[Ending, bytes]:
    """How a program ended, and what it wrote."""
    process, out = process_of(source, root, **more)  # type: ignore[arg-type]
    ending = process.run(budget=20_000_000)
    process.close()
    return ending, bytes(out.data)
