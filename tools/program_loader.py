"""Load a program for the process monitor: a static i386 Linux executable.

Nothing in the file is trusted. Position-independent static executables are taken too; what needs a
dynamic linker is refused.

Source: System V ABI, Intel386 Architecture Processor Supplement, "Program Loading".
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from isa.errors import TrapgateError
from tools import elf_reader

if TYPE_CHECKING:
    from hypervisor.process.program import Program

LARGEST_FILE: Final = 256 << 20
_FLAG_TO_PROTECTION: Final = {4: 1, 2: 2, 1: 4}  # PF_R, PF_W, PF_X -> PROT_READ, _WRITE, _EXEC


def read_program(path: str) -> bytes:
    """The bytes of a program's file; anything but a plain file is refused."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise TrapgateError(f"{path}: {error.strerror}") from None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise TrapgateError(f"{path}: not a file")
        if found.st_size > LARGEST_FILE:
            raise TrapgateError(f"{path}: {found.st_size} bytes are too large for a program")
        with os.fdopen(fd, "rb", closefd=False) as file:
            return file.read(LARGEST_FILE)
    finally:
        os.close(fd)


def load_program(path: str) -> Program:
    """The program in a file. Raises TrapgateError."""
    return parse_program(read_program(path), Path(path).name, path)


def parse_program(data: bytes, name: str, where: str) -> Program:
    """The program in the bytes of a file; `where` names it in errors."""
    from hypervisor.process.program import Program, ProgramSegment

    if data[:2] == b"#!":
        raise TrapgateError(f"{where}: a script, not a program")
    header = elf_reader.read_header(data, where, may_relocate=True)
    rows = elf_reader.program_headers(data, header, where)
    segments = []
    headers_at = 0
    for row in elf_reader.loadable(data, rows, where):
        protection = sum(p for flag, p in _FLAG_TO_PROTECTION.items() if row.flags & flag)
        content = data[row.offset : row.offset + row.file_bytes]
        segments.append(ProgramSegment(row.linear, content, row.memory_bytes, protection))
        if row.offset <= header.phoff < row.offset + row.file_bytes:
            headers_at = row.linear + header.phoff - row.offset
    symbols = elf_reader.read_symbols(data, header, where)
    return Program(
        name,
        tuple(segments),
        header.entry,
        headers_at,
        header.phnum,
        header.is_relocatable,
        symbols,
    )
