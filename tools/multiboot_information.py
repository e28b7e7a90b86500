"""What a multiboot-1 kernel finds at EBX: the boot information with all that it points to.

Told are memory sizes and map, command line, modules, the section headers of an ELF kernel, the
loader's name, and the text screen to a kernel that asks for one. Not told, because they are not
there or would not be true: boot device (no BIOS disk was booted from), a.out symbols, drives,
configuration table, APM table, VBE.

Source: Multiboot Specification version 0.6.96, "Boot information format".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from isa.firmware.memory_map import lower_kib, memory_map, upper_kib

LOADER_NAME: Final = "Trapgate"

_FLAG_MEMORY, _FLAG_COMMAND_LINE, _FLAG_MODULES = 1 << 0, 1 << 2, 1 << 3
_FLAG_SECTIONS, _FLAG_MEMORY_MAP, _FLAG_LOADER_NAME = 1 << 5, 1 << 6, 1 << 9
_FLAG_FRAMEBUFFER: Final = 1 << 12

# flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms (4 words),
# mmap_length, mmap_addr, drives (2), config_table, boot_loader_name, apm_table, vbe (16 bytes),
# framebuffer: address, pitch, width, height, bits, type, colours (6 bytes).
INFORMATION: Final = struct.Struct("<I II I I II 4I II 8x 4x I 4x 16x Q III BB 6x")
_MODULE: Final = struct.Struct("<IIII")
_MAP_ENTRY: Final = struct.Struct("<IQQI")

# The screen after power-on: VGA mode 3.
_TEXT_SCREEN: Final = (0xB8000, 160, 80, 25, 16, 2)
_NO_SCREEN: Final = (0,) * 6


@dataclass(frozen=True)
class Module:
    """A file that was loaded along with the kernel."""

    first: int
    end: int
    string: bytes


@dataclass(frozen=True)
class SectionTable:
    """Section headers of an ELF kernel, as they lie in memory."""

    count: int
    entry_bytes: int
    address: int
    names_index: int


@dataclass(frozen=True)
class Handover:
    """What there is to tell.

    Attributes:
        ram_bytes: memory of the machine.
        command_line: of the kernel.
        modules: in the order the user gave them.
        sections: the section headers, if they were loaded.
        tells_screen: whether the kernel asked for a text mode.
    """

    ram_bytes: int
    command_line: bytes = b""
    modules: Sequence[Module] = ()
    sections: SectionTable | None = None
    tells_screen: bool = False


def boot_information(address: int, handover: Handover) -> bytes:
    """The structure with everything it points to, for placing at `address`."""
    tail = bytearray()

    def place(part: bytes) -> int:
        at = address + INFORMATION.size + len(tail)
        tail.extend(part)
        return at

    ram_bytes, modules, sections = handover.ram_bytes, handover.modules, handover.sections
    ranges = _packed_map(ram_bytes)
    map_at = place(ranges)
    modules_at = place(bytes(_MODULE.size * len(modules)))
    command_line_at = place(handover.command_line + b"\0")
    loader_name_at = place(LOADER_NAME.encode() + b"\0")
    strings_at = [place(module.string + b"\0") for module in modules]
    for index, (module, string_at) in enumerate(zip(modules, strings_at, strict=True)):
        at = modules_at - address - INFORMATION.size + index * _MODULE.size
        _MODULE.pack_into(tail, at, module.first, module.end, string_at, 0)
    flags = _FLAG_MEMORY | _FLAG_COMMAND_LINE | _FLAG_MODULES | _FLAG_MEMORY_MAP | _FLAG_LOADER_NAME
    if sections is not None:
        flags |= _FLAG_SECTIONS
    if handover.tells_screen:
        flags |= _FLAG_FRAMEBUFFER
    structure = INFORMATION.pack(
        flags,
        lower_kib(ram_bytes),
        upper_kib(ram_bytes),
        0,
        command_line_at,
        len(modules),
        modules_at if modules else 0,
        *_section_fields(sections),
        len(ranges),
        map_at,
        loader_name_at,
        *(_TEXT_SCREEN if handover.tells_screen else _NO_SCREEN),
    )
    return structure + bytes(tail)


def _packed_map(ram_bytes: int) -> bytes:
    """The memory map; the size field of an entry does not count itself."""
    return b"".join(
        _MAP_ENTRY.pack(_MAP_ENTRY.size - 4, part.first, part.size, part.kind)
        for part in memory_map(ram_bytes)
    )


def _section_fields(sections: SectionTable | None) -> tuple[int, int, int, int]:
    if sections is None:
        return 0, 0, 0, 0
    return sections.count, sections.entry_bytes, sections.address, sections.names_index
