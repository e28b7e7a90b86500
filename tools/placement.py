"""Placing parts of a program in memory: refuse what does not fit, find room for the rest.

Knows addresses only, no file format and no protocol.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from isa.errors import TrapgateError
from isa.firmware.memory_map import EBDA_GPA, VIDEO_GPA

Range = tuple[int, int]
Segments = tuple[tuple[int, bytes], ...]

PAGE_BYTES: Final = 4096
# Between the real-mode tables and the firmware's data: room for what a loader hands over.
LOW_ROOM: Final[Range] = (0x1000, EBDA_GPA)
_VIDEO_MEMORY: Final[Range] = (VIDEO_GPA, 0xC0000)


def checked(parts: Iterable[tuple[int, bytes, int]], where: str, ram_bytes: int) -> Segments:
    """Sort parts (address, bytes, size in memory), refuse impossible ones, fill up with zeros."""
    segments: list[tuple[int, bytes]] = []
    end_before = 0
    for address, data, size in sorted(parts):
        if address < 0 or address + size > ram_bytes:
            raise TrapgateError(
                f"{where}: needs {address:#x}..{address + size:#x}, outside memory"
                f" ({ram_bytes >> 20} MiB end at {ram_bytes:#x}; -m gives more)"
            )
        if address < _VIDEO_MEMORY[1] and _VIDEO_MEMORY[0] < address + size:
            raise TrapgateError(
                f"{where}: {address:#x}..{address + size:#x} overlaps video memory at"
                f" {_VIDEO_MEMORY[0]:#x}"
            )
        if address < end_before:
            raise TrapgateError(f"{where}: segments overlap at {address:#x}")
        segments.append((address, data.ljust(size, b"\0")))
        end_before = address + size
    return tuple(segments)


def range_of(segment: tuple[int, bytes]) -> Range:
    """First address of a segment, and the first behind it."""
    return segment[0], segment[0] + len(segment[1])


def find_room(taken: Sequence[Range], size: int, room: Range, *, top: bool = False) -> int | None:
    """The lowest (or highest) page-aligned place of `size` bytes in `room` that is not taken."""
    starts = range(room[0], room[1] - size + 1, PAGE_BYTES)
    for start in reversed(starts) if top else starts:
        if all(start + size <= first or last <= start for first, last in taken):
            return start
    return None


def page_up(address: int) -> int:
    """The next page boundary, `address` itself if it is one."""
    return -(-address // PAGE_BYTES) * PAGE_BYTES
