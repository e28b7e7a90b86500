"""Assembles NASM-dialect source into flat images and ELF32 executables.

The dialect is NASM's as far as it goes: for a source that both accept, the flat image is byte for
byte NASM's. There is no linker: a source is whole. Floating point, MMX and SSE are not there.

    >>> assemble_text("bits 32\\n mov eax, cr0").bytes.hex()
    '0f20c0'
"""

from tools.assembler.assemble import assemble_file, assemble_text
from tools.assembler.assembly import Assembly, Line, Segment
from tools.assembler.errors import AssemblyError, Diagnostic, Position

__all__ = [
    "Assembly",
    "AssemblyError",
    "Diagnostic",
    "Line",
    "Position",
    "Segment",
    "assemble_file",
    "assemble_text",
]
