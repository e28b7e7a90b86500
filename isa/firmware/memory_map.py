"""The physical memory map of the machine, as its firmware reports it (INT 15h AX=E820h).

The one description of where RAM is and where it is not: boot loaders hand it on, and the BIOS gives
the same answer, which a test watches.

Source: ACPI Specification, "System Address Map Interfaces" (address range types, INT 15h E820h);
Intel 82371AB (PIIX4) datasheet, "Memory and I/O Map".
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

EBDA_GPA: Final = 0x9FC00
"""The extended BIOS data area: the last KiB below 640 KiB."""
VIDEO_GPA: Final = 0xA0000
FIRMWARE_GPA: Final = 0xF0000
HIGH_MEMORY_GPA: Final = 0x100000
FLASH_GPA: Final = 0xFFFC0000
FOUR_GIB: Final = 1 << 32


class RangeType(IntEnum):
    """Address range types."""

    AVAILABLE = 1
    RESERVED = 2


class MemoryRange(NamedTuple):
    """A range of physical addresses; `end` is the first address behind it."""

    first: int
    end: int
    kind: RangeType

    @property
    def size(self) -> int:
        """Bytes in the range."""
        return self.end - self.first


def memory_map(ram_bytes: int) -> tuple[MemoryRange, ...]:
    """The ranges by ascending address. What lies between them belongs to devices."""
    ranges = [
        MemoryRange(0, EBDA_GPA, RangeType.AVAILABLE),
        MemoryRange(EBDA_GPA, VIDEO_GPA, RangeType.RESERVED),
        MemoryRange(FIRMWARE_GPA, HIGH_MEMORY_GPA, RangeType.RESERVED),
    ]
    if ram_bytes > HIGH_MEMORY_GPA:
        ranges.append(MemoryRange(HIGH_MEMORY_GPA, ram_bytes, RangeType.AVAILABLE))
    ranges.append(MemoryRange(FLASH_GPA, FOUR_GIB, RangeType.RESERVED))
    return tuple(ranges)


def lower_kib(ram_bytes: int) -> int:
    """KiB of usable memory from address 0 (INT 12h)."""
    return min(ram_bytes, EBDA_GPA) >> 10


def upper_kib(ram_bytes: int) -> int:
    """KiB of usable memory from 1 MiB up to the first hole."""
    return max(ram_bytes - HIGH_MEMORY_GPA, 0) >> 10
