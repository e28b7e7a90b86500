"""The multiboot-1 header: find it, refuse what it requires and we lack, apply its addresses.

Knows nothing of files or of ELF. What a kernel is told in return: `tools.multiboot_information`.

Source: Multiboot Specification version 0.6.96, "The layout of Multiboot header".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from isa.errors import TrapgateError

HEADER_MAGIC = 0x1BADB002
BOOT_MAGIC = 0x2BADB002

# "must be contained completely within the first 8192 bytes", on a 32-bit boundary.
_SEARCH_BYTES = 8192
_MAGIC_FLAGS_CHECKSUM = struct.Struct("<3I")
_ADDRESSES = struct.Struct("<5I")
_VIDEO = struct.Struct("<4I")
_VIDEO_OFFSET = 32

# Modules are always aligned to pages, memory is always described; so these need no answer.
_FLAG_PAGE_ALIGN, _FLAG_MEMORY, _FLAG_VIDEO = 1 << 0, 1 << 1, 1 << 2
_FLAG_ADDRESSES = 1 << 16
_REQUIREMENTS = 0xFFFF
_MODE_TEXT = 1


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
    wants_text_mode: bool = False
    """Whether it asks for a text mode, and so to be told which one it got."""


@dataclass(frozen=True)
class Placement:
    """Where the address fields put a file: its bytes `first` to `last`, then zeros."""

    load: int
    first: int
    last: int
    memory_bytes: int
    entry: int


def header_offset(data: bytes) -> int | None:
    """Where a header is, whatever it says, or None."""
    return _search(data)[0]


def _search(data: bytes) -> tuple[int | None, int | None]:
    """Where the first header is, and where one with a wrong checksum is if there is no other."""
    window = min(len(data), _SEARCH_BYTES) - _MAGIC_FLAGS_CHECKSUM.size
    wrong: int | None = None
    for offset in range(0, window + 1, 4):
        magic, flags, checksum = _MAGIC_FLAGS_CHECKSUM.unpack_from(data, offset)
        if magic != HEADER_MAGIC:
            continue
        if not (magic + flags + checksum) & 0xFFFFFFFF:
            return offset, None
        wrong = offset
    return None, wrong


def find_header(data: bytes, where: str, *, required: bool) -> Header | None:
    """The header, or None if there is none and none is required.

    The magic number alone proves nothing (a boot loader contains it too), so a wrong checksum
    means "no header" unless the user insists on one.
    """
    offset, wrong = _search(data)
    if offset is not None:
        return _header(data, offset, _MAGIC_FLAGS_CHECKSUM.unpack_from(data, offset)[1], where)
    if not required:
        return None
    if wrong is not None:
        raise TrapgateError(f"{where}: multiboot header at {wrong:#x} has a wrong checksum")
    raise TrapgateError(f"{where}: no multiboot header in the first {_SEARCH_BYTES} bytes")


def _header(data: bytes, offset: int, flags: int, where: str) -> Header:
    unknown = flags & _REQUIREMENTS & ~(_FLAG_PAGE_ALIGN | _FLAG_MEMORY | _FLAG_VIDEO)
    if unknown:
        raise TrapgateError(f"{where}: the multiboot header has unknown requirements {unknown:#x}")
    wants_text_mode = bool(flags & _FLAG_VIDEO)
    if wants_text_mode:
        _check_video(data, offset, where)
    if not flags & _FLAG_ADDRESSES:
        return Header(offset, flags, None, wants_text_mode)
    fields = _fields(data, offset, _MAGIC_FLAGS_CHECKSUM.size, _ADDRESSES, where)
    return Header(offset, flags, Addresses(*fields), wants_text_mode)


def _fields(
    data: bytes, offset: int, at: int, fields: struct.Struct, where: str
) -> tuple[int, ...]:
    if offset + at + fields.size > len(data):
        raise TrapgateError(
            f"{where}: truncated: the multiboot header at {offset:#x} is incomplete"
        )
    return fields.unpack_from(data, offset + at)


def _check_video(data: bytes, offset: int, where: str) -> None:
    """A text mode is what there is, of whatever size is preferred; graphics cannot be given."""
    kind, width, height, depth = _fields(data, offset, _VIDEO_OFFSET, _VIDEO, where)
    if kind != _MODE_TEXT:
        raise TrapgateError(
            f"{where}: the multiboot header requires a graphics mode"
            f" ({width}x{height}, {depth} bits); there is only text"
        )


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
