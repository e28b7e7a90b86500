"""Load a multiboot-1 kernel: its parts, its modules, its section headers, its boot information.

Order in memory above 1 MiB: kernel, modules on page boundaries, sections that the kernel did not
load itself (symbols, debug information). Where there is no room for the last, they are not told of.

Source: Multiboot Specification version 0.6.96, "Machine state", "Boot information format".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from isa.boot import BootImage
from isa.errors import TrapgateError
from isa.firmware.memory_map import HIGH_MEMORY_GPA
from tools import elf_reader, multiboot
from tools.boot_modules import ModuleFile
from tools.multiboot_information import Handover, Module, SectionTable, boot_information
from tools.placement import LOW_ROOM, Segments, checked, find_room, page_up, range_of
from tools.program import STACK_BYTES, Content, protected_image

_SECTION_ALIGNMENT: Final = 16
_WORD: Final = struct.Struct("<I")
_SECTION_ADDRESS: Final = 12  # offset of sh_addr in a section header


@dataclass(frozen=True)
class Loaded:
    """What was added to the kernel, and where the memory behind it begins."""

    segments: Segments
    end: int


def load_multiboot(
    content: Content, command_line: str, modules: Sequence[ModuleFile], ram_bytes: int
) -> BootImage:
    """The kernel with everything the protocol hands over, for a machine with `ram_bytes`."""
    header = multiboot.find_header(content.data, content.where, required=True)
    assert header is not None
    kernel, is_elf = _load_kernel(content, header, ram_bytes)
    end = max((range_of(segment)[1] for segment in kernel.segments), default=0)
    placed, told = _place_modules(modules, max(end, HIGH_MEMORY_GPA), ram_bytes)
    sections, table = Loaded((), placed.end), None
    if is_elf:
        sections, table = _place_sections(content.data, placed.end, ram_bytes)
    handover = Handover(
        ram_bytes, command_line.encode(), told, table, tells_screen=header.wants_text_mode
    )
    information = _place_information(content.where, kernel, handover)
    segments = (*kernel.segments, *placed.segments, *sections.segments, information)
    return replace(
        kernel,
        segments=tuple(sorted(segments)),
        eax=multiboot.BOOT_MAGIC,
        ebx=information[0],
    )


def _load_kernel(
    content: Content, header: multiboot.Header, ram_bytes: int
) -> tuple[BootImage, bool]:
    """The kernel alone, and whether its ELF header said where it belongs."""
    if header.addresses is not None:
        placement = multiboot.place(header, header.addresses, len(content.data), content.where)
        part = content.data[placement.first : placement.last]
        segments = checked(
            [(placement.load, part, placement.memory_bytes)], content.where, ram_bytes
        )
        entry, symbols = placement.entry, content.symbols
        return protected_image(content, segments, entry, symbols, ram_bytes), False
    if not elf_reader.is_elf(content.data):
        raise TrapgateError(
            f"{content.where}: the multiboot header has no load addresses and the file is not ELF"
        )
    return load_elf(content, ram_bytes), True


def load_elf(content: Content, ram_bytes: int) -> BootImage:
    """A static ELF32 executable, at its physical addresses."""
    executable = elf_reader.read_elf(content.data, content.where)
    parts = [(part.physical, part.data, part.memory_bytes) for part in executable.segments]
    segments = checked(parts, content.where, ram_bytes)
    return protected_image(
        content, segments, executable.physical_entry, executable.symbols, ram_bytes
    )


def _place_modules(
    modules: Sequence[ModuleFile], first: int, ram_bytes: int
) -> tuple[Loaded, tuple[Module, ...]]:
    segments: list[tuple[int, bytes]] = []
    told: list[Module] = []
    at = page_up(first)
    for module in modules:
        end = at + len(module.data)
        if end > ram_bytes:
            raise TrapgateError(
                f"{module.string.partition(' ')[0]}: a module of {len(module.data)} bytes does not"
                f" fit into memory behind the kernel at {at:#x} (-m gives more)"
            )
        if module.data:
            segments.append((at, module.data))
        told.append(Module(at, end, module.string.encode()))
        at = page_up(end)
    return Loaded(tuple(segments), at), tuple(told)


def _place_sections(data: bytes, first: int, ram_bytes: int) -> tuple[Loaded, SectionTable | None]:
    """Section headers with the addresses of what they describe, and the sections not yet loaded."""
    table = elf_reader.section_headers(data)
    if table is None:
        return Loaded((), first), None
    headers = bytearray(table.headers)
    segments: list[tuple[int, bytes]] = []
    at = first
    for index, (offset, size) in table.unloaded.items():
        at = -(-at // _SECTION_ALIGNMENT) * _SECTION_ALIGNMENT
        if at + size > ram_bytes:
            return Loaded((), first), None
        _WORD.pack_into(headers, index * table.entry_bytes + _SECTION_ADDRESS, at)
        segments.append((at, data[offset : offset + size]))
        at += size
    at = -(-at // _SECTION_ALIGNMENT) * _SECTION_ALIGNMENT
    if at + len(headers) > ram_bytes:
        return Loaded((), first), None
    segments.append((at, bytes(headers)))
    told = SectionTable(table.count, table.entry_bytes, at, table.names_index)
    return Loaded(tuple(segments), at + len(headers)), told


def _place_information(where: str, kernel: BootImage, handover: Handover) -> tuple[int, bytes]:
    """The boot information in low memory, clear of the kernel and of its first stack."""
    taken = [range_of(segment) for segment in kernel.segments]
    taken.append((kernel.esp - STACK_BYTES, kernel.esp))
    size = len(boot_information(0, handover))
    at = find_room(taken, size, LOW_ROOM)
    if at is None:
        raise TrapgateError(f"{where}: leaves no room for boot information below 640 KiB")
    return at, boot_information(at, handover)
