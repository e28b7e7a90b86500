"""The multiboot-1 protocol, seen from the boot loader: find the header, describe the machine.

Knows nothing of files or of ELF. Offers what a small machine has: memory sizes, a memory map, a
command line and the loader's name; no modules, no disks, no video modes.

Source: Multiboot Specification version 0.6.96, "The layout of Multiboot header", "Boot information
format".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from isa.errors import TrapgateError

HEADER_MAGIC = 0x1BADB002
BOOT_MAGIC = 0x2BADB002
LOADER_NAME = "Trapgate"

# "must be contained completely within the first 8192 bytes", on a 32-bit boundary.
_SEARCH_BYTES = 8192
_MAGIC_FLAGS_CHECKSUM = struct.Struct("<3I")
_ADDRESSES = struct.Struct("<5I")

_FLAG_PAGE_ALIGN, _FLAG_MEMORY, _FLAG_VIDEO = 1 << 0, 1 << 1, 1 << 2
_FLAG_ADDRESSES = 1 << 16
_REQUIREMENTS = 0xFFFF

_INFO_MEMORY, _INFO_COMMAND_LINE, _INFO_MEMORY_MAP, _INFO_LOADER_NAME = 1, 1 << 2, 1 << 6, 1 << 9
# flags, memory, boot device, command line, modules, (symbols), map, (drives), configuration, name,
# (APM and video).
_INFO = struct.Struct("<I II I I II 16x II 8x I I 20x")
_MAP_ENTRY = struct.Struct("<IQQI")
_AVAILABLE, _RESERVED = 1, 2
LOW_MEMORY_END, HIGH_MEMORY = 0xA0000, 0x100000


@dataclass(frozen=True)
class Addresses:
    """The address fields of the header, which let a flat file say where it belongs."""

    header: int
    load: int
    load_end: int
    bss_end: int
    entry: int


@dataclass(frozen=True)
class Header:
    """A multiboot header, `offset` bytes into the file."""

    offset: int
    flags: int
    addresses: Addresses | None


@dataclass(frozen=True)
class Placement:
    """Where the address fields put a file: its bytes `first` to `last`, then zeros."""

    load: int
    first: int
    last: int
    memory_bytes: int
    entry: int


def find_header(data: bytes, where: str, *, required: bool) -> Header | None:
    """The header, or None if there is none and none is required.

    The magic number alone proves nothing (a boot loader contains it too), so a wrong checksum
    means "no header" unless the user insists on one.
    """
    window = min(len(data), _SEARCH_BYTES) - _MAGIC_FLAGS_CHECKSUM.size
    wrong: int | None = None
    for offset in range(0, window + 1, 4):
        magic, flags, checksum = _MAGIC_FLAGS_CHECKSUM.unpack_from(data, offset)
        if magic != HEADER_MAGIC:
            continue
        if (magic + flags + checksum) & 0xFFFFFFFF:
            wrong = offset
            continue
        return _header(data, offset, flags, where)
    if not required:
        return None
    if wrong is not None:
        raise TrapgateError(f"{where}: multiboot header at {wrong:#x} has a wrong checksum")
    raise TrapgateError(f"{where}: no multiboot header in the first {_SEARCH_BYTES} bytes")


def _header(data: bytes, offset: int, flags: int, where: str) -> Header:
    unknown = flags & _REQUIREMENTS & ~(_FLAG_PAGE_ALIGN | _FLAG_MEMORY)
    if unknown & _FLAG_VIDEO:
        raise TrapgateError(
            f"{where}: the multiboot header asks for a video mode; there is only text"
        )
    if unknown:
        raise TrapgateError(f"{where}: the multiboot header has unknown requirements {unknown:#x}")
    if not flags & _FLAG_ADDRESSES:
        return Header(offset, flags, None)
    at = offset + _MAGIC_FLAGS_CHECKSUM.size
    if at + _ADDRESSES.size > len(data):
        raise TrapgateError(
            f"{where}: truncated: the multiboot header at {offset:#x} is incomplete"
        )
    return Header(offset, flags, Addresses(*_ADDRESSES.unpack_from(data, at)))


def place(header: Header, addresses: Addresses, file_bytes: int, where: str) -> Placement:
    """Apply the address fields to a file of the given size."""
    first = header.offset - (addresses.header - addresses.load)
    if addresses.header < addresses.load or first < 0:
        raise TrapgateError(
            f"{where}: multiboot load address {addresses.load:#x} does not fit"
            f" a header at {addresses.header:#x} that is {header.offset:#x} bytes into the file"
        )
    last = file_bytes
    if addresses.load_end:
        if addresses.load_end < addresses.load:
            raise TrapgateError(f"{where}: multiboot load end lies before the load address")
        last = first + addresses.load_end - addresses.load
        if last > file_bytes:
            raise TrapgateError(
                f"{where}: truncated: the multiboot header announces {last} bytes, the file has"
                f" {file_bytes}"
            )
    memory_bytes = last - first
    if addresses.bss_end:
        if addresses.bss_end < addresses.load + memory_bytes:
            raise TrapgateError(f"{where}: multiboot bss ends before the data does")
        memory_bytes = addresses.bss_end - addresses.load
    return Placement(addresses.load, first, last, memory_bytes, addresses.entry)


def boot_information(address: int, command_line: str, ram_bytes: int) -> bytes:
    """The structure EBX points to, with everything it points to, for placing at `address`."""
    memory_map = b"".join(
        _MAP_ENTRY.pack(_MAP_ENTRY.size - 4, base, end - base, kind)
        for base, end, kind in _memory_ranges(ram_bytes)
    )
    texts = [text.encode("utf-8") + b"\0" for text in (command_line, LOADER_NAME)]
    map_at = address + _INFO.size
    command_line_at = map_at + len(memory_map)
    loader_name_at = command_line_at + len(texts[0])
    structure = _INFO.pack(
        _INFO_MEMORY | _INFO_COMMAND_LINE | _INFO_MEMORY_MAP | _INFO_LOADER_NAME,
        min(ram_bytes, LOW_MEMORY_END) >> 10,
        max(ram_bytes - HIGH_MEMORY, 0) >> 10,
        0,  # boot device: flag not set
        command_line_at,
        0,  # modules: none
        0,
        len(memory_map),
        map_at,
        0,  # configuration table: flag not set
        loader_name_at,
    )
    return structure + memory_map + b"".join(texts)


def _memory_ranges(ram_bytes: int) -> list[tuple[int, int, int]]:
    ranges = [(0, min(ram_bytes, LOW_MEMORY_END), _AVAILABLE)]
    ranges.append((LOW_MEMORY_END, HIGH_MEMORY, _RESERVED))
    if ram_bytes > HIGH_MEMORY:
        ranges.append((HIGH_MEMORY, ram_bytes, _AVAILABLE))
    return ranges
