"""Good images of every kind that a loader takes: what the mutations start from.

Made here byte by byte, so that a mutation can know where the fields are that matter.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tools.catalogue import Protocol

MIB = 1 << 20
CODE = bytes.fromhex("b810000000e6f4f4ebfd")  # mov eax, 10h; out F4h, al; hlt; jmp back
MULTIBOOT_MAGIC = 0x1BADB002


@dataclass(frozen=True)
class Seed:
    """A good image.

    Attributes:
        name: for reports.
        data: the file.
        fields: offsets of the words in it that say something to a loader.
        protocols: how it may be loaded.
    """

    name: str
    data: bytes
    fields: tuple[int, ...]
    protocols: tuple[Protocol, ...] = ("auto",)


def multiboot_header(flags: int, *fields: int) -> bytes:
    checksum = -(MULTIBOOT_MAGIC + flags) & 0xFFFFFFFF
    return struct.pack(f"<{3 + len(fields)}I", MULTIBOOT_MAGIC, flags, checksum, *fields)


def flat_kernel() -> Seed:
    """A multiboot kernel whose header has its addresses, and asks for a text mode."""
    header = multiboot_header(0x10007, MIB, MIB, MIB + 128, MIB + 4096, MIB + 48, 1, 80, 25, 0)
    data = (header + CODE).ljust(200, b"\x90")
    return Seed("flat multiboot", data, tuple(range(0, 48, 4)), ("auto", "multiboot"))


def elf(code: bytes, name: str, *, with_symbols: bool) -> Seed:
    """An ELF executable with two segments, symbols and their strings."""
    parts = [(MIB, code, len(code) + 64), (2 * MIB, b"data", 0x2000)]
    headers_end = 52 + 32 * len(parts)
    at = headers_end
    program_headers, contents = b"", b""
    for physical, content, size in parts:
        program_headers += struct.pack(
            "<8I", 1, at, physical + 0xC0000000, physical, len(content), size, 5, 4
        )
        contents += content
        at += len(content)
    strings = b"\0main\0end\0"
    symbols = bytes(16)
    symbols += struct.pack("<IIIBBH", 1, 0xC0000000 + MIB, 0, 0x12, 0, 1)
    symbols += struct.pack("<IIIBBH", 6, 0xC0000000 + 2 * MIB, 0, 0x10, 0, 1)
    names = b"\0.symtab\0.strtab\0.shstrtab\0"
    strings_at = at + len(symbols)
    names_at = strings_at + len(strings)
    sections_at = names_at + len(names)
    table = b"".join(
        struct.pack("<10I", *section)
        for section in (
            (0,) * 10,
            (1, 2, 0, 0, at, len(symbols), 2, 1, 4, 16),
            (9, 3, 0, 0, strings_at, len(strings), 0, 0, 1, 0),
            (17, 3, 0, 0, names_at, len(names), 0, 0, 1, 0),
        )
    )
    sections = (sections_at, 40, 4, 3) if with_symbols else (0, 0, 0, 0)
    header = b"\x7fELF\x01\x01\x01" + bytes(9)
    header += struct.pack("<HHIIIII", 2, 3, 1, 0xC0000000 + MIB, 52, sections[0], 0)
    header += struct.pack("<6H", 52, 32, len(parts), *sections[1:])
    data = header + program_headers + contents + symbols + strings + names + table
    words = tuple(range(16, headers_end, 2))
    tail = tuple(range(sections_at, sections_at + len(table), 4)) + tuple(range(at, strings_at, 4))
    return Seed(name, data, words + (tail if with_symbols else ()), ("auto", "elf", "multiboot"))


def boot_sector() -> Seed:
    """A disk of a few sectors with a partition table."""
    code = bytes.fromhex("b0 10 e6 f4 f4 eb fd").ljust(446, b"\x90")
    partition = struct.pack("<BBBBBBBBII", 0x80, 0, 2, 0, 0x0C, 0, 9, 0, 1, 8)
    data = (code + partition).ljust(510, b"\0") + b"\x55\xaa" + bytes(8 * 512)
    return Seed("disk", data, tuple(range(446, 512, 2)), ("auto", "disk"))


def seeds() -> tuple[Seed, ...]:
    """One of each kind."""
    return (
        flat_kernel(),
        elf(CODE, "ELF", with_symbols=False),
        elf(multiboot_header(3) + CODE, "ELF multiboot", with_symbols=True),
        boot_sector(),
        Seed("flat", CODE, (), ("flat",)),
    )
