"""What IDENTIFY DEVICE says: 256 words about a disk.

Source: ATA/ATAPI-6 (T13/1410D), "IDENTIFY DEVICE", table "IDENTIFY DEVICE data".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from isa.devices.disk_geometry import Geometry, ata_geometry

WORDS: Final = 256
MODEL: Final = "TRAPGATE HARDDISK"
FIRMWARE: Final = "1.0"
LBA28_SECTORS: Final = 0x0FFFFFFF
CHECKSUM_SIGNATURE: Final = 0xA5

NOP, LOOK_AHEAD, WRITE_CACHE, POWER_MANAGEMENT = 1 << 14, 1 << 6, 1 << 5, 1 << 3
FLUSH_EXT, FLUSH, LBA48 = 1 << 13, 1 << 12, 1 << 10
VALID = 1 << 14
"""Bits 15 and 14 of some words say by 01 that the word is valid."""


def text(words: str, characters: int) -> bytes:
    """A string as IDENTIFY has it: padded with spaces, the first of two in the high byte."""
    padded = words.encode("ascii").ljust(characters)[:characters]
    return b"".join(padded[at : at + 2][::-1] for at in range(0, characters, 2))


def _doubleword(value: int) -> tuple[int, int]:
    return value & 0xFFFF, value >> 16 & 0xFFFF


def identity(
    sectors: int,
    serial: str,
    translation: Geometry,
    *,
    multiple: int,
    most_multiple: int,
    write_cache: bool,
    look_ahead: bool,
    is_slave: bool,
) -> bytes:
    """Return the 512 bytes.

    Args:
        sectors: all that can be addressed.
        serial: of the disk, up to 20 characters.
        translation: in force, by INITIALIZE DEVICE PARAMETERS.
        multiple: sectors a block has in READ and WRITE MULTIPLE; 0: these are disabled.
        most_multiple: the most it can have.
        write_cache: whether it is enabled.
        look_ahead: whether it is enabled.
        is_slave: whether this is device 1.
    """
    native = ata_geometry(sectors)
    optional = NOP | LOOK_AHEAD | WRITE_CACHE | POWER_MANAGEMENT
    enabled = NOP | POWER_MANAGEMENT
    enabled |= (LOOK_AHEAD if look_ahead else 0) | (WRITE_CACHE if write_cache else 0)
    words: Mapping[int, int | tuple[int, ...]] = {
        0: 0x0040,  # an ATA device, not removable
        1: native.cylinders,
        2: 0xC837,  # no SET FEATURES is needed to spin up, and these data are complete
        3: native.heads,
        6: native.track_sectors,
        47: 0x8000 | most_multiple,
        49: 0x0A00,  # LBA, IORDY; no DMA
        50: VALID,
        51: 0x0200,  # PIO timing of old, mode 2
        53: 0x0003,  # words 54 to 58 and 64 to 70 are valid
        54: (translation.cylinders, translation.heads, translation.track_sectors),
        57: _doubleword(translation.sectors),
        59: 0x0100 | multiple if multiple else 0,
        60: _doubleword(min(sectors, LBA28_SECTORS)),
        64: 0x0003,  # PIO modes 3 and 4
        67: (120, 120),  # ns a PIO cycle takes, without and with flow control
        80: 0x0078,  # ATA/ATAPI-3 to ATA/ATAPI-6
        82: (optional, VALID | FLUSH_EXT | FLUSH | LBA48, VALID),
        85: (enabled, FLUSH_EXT | FLUSH | LBA48, VALID),
        93: VALID | (0x0B00 if is_slave else 0x000B),  # number by jumper, diagnostics passed
        100: (*_doubleword(sectors), *_doubleword(sectors >> 32)),
    }
    data = bytearray(2 * WORDS)
    data[20:40] = text(serial, 20)
    data[46:54] = text(FIRMWARE, 8)
    data[54:94] = text(MODEL, 40)
    for first, entry in words.items():
        for index, word in enumerate(entry if isinstance(entry, tuple) else (entry,)):
            data[2 * (first + index) : 2 * (first + index) + 2] = word.to_bytes(2, "little")
    data[510] = CHECKSUM_SIGNATURE
    data[511] = -sum(data) & 0xFF
    return bytes(data)
