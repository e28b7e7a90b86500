"""What the BIOS leaves in low memory, for guests that are started without it.

    00000000h   interrupt vectors, pointing into the ROM
    00000400h   BIOS data area
    0009FC00h   extended BIOS data area: its size

A kernel that a boot loader has loaded finds these on a PC, because the BIOS ran before the loader.
Here the loader comes first, so it leaves them itself. There are no disks in them: the BIOS has not
looked for any.

Source: IBM PC/AT Technical Reference, "ROM BIOS Data Areas"; IBM PS/2 BIOS Interface Technical
Reference, "Data Areas".
"""

from __future__ import annotations

import struct
from typing import Final

from isa.firmware.memory_map import EBDA_GPA, VIDEO_GPA
from isa.firmware.rom import ROM_GPA, VECTORS_BYTES, rom

BDA_GPA: Final = 0x400
BDA_BYTES: Final = 0x100

_KEYS, _KEYS_END = 0x1E, 0x3E
_CRTC: Final = 0x3D4
# Offset, structure, value. The screen is in mode 3, as the adapter starts.
_FIELDS: Final = (
    (0x00, "<4H", (0x3F8, 0x2F8, 0, 0)),  # serial ports
    (0x0E, "<H", (EBDA_GPA >> 4,)),
    (0x10, "<H", (2 << 9 | 0x20,)),  # equipment: serial ports, 80 columns in colour
    (0x13, "<H", (EBDA_GPA >> 10,)),  # KiB of memory
    (0x1A, "<2H", (_KEYS, _KEYS)),  # the key buffer is empty
    (0x49, "<BHH", (3, 80, 0x1000)),  # video mode, columns, bytes of a page
    (0x60, "<HBH", (0x0607, 0, _CRTC)),  # cursor, active page, CRT controller
    (0x78, "<8B", (0x14,) * 4 + (1,) * 4),  # timeouts
    (0x80, "<2H", (_KEYS, _KEYS_END)),
    (0x84, "<BH", (24, 16)),  # last row, lines of a character
    (0x87, "<4B", (0x60, 0x09, 0x10, 0x0B)),  # VGA
    (0x96, "<B", (0x10,)),  # a keyboard with 101 keys
)


def data_areas() -> tuple[tuple[int, bytes], ...]:
    """Pieces of memory as (address, bytes), by ascending address; the ROM is the last."""
    area = bytearray(BDA_BYTES)
    for offset, layout, values in _FIELDS:
        struct.pack_into(layout, area, offset, *values)
    extended = bytearray(VIDEO_GPA - EBDA_GPA)
    extended[0] = len(extended) >> 10
    return (
        (0, rom()[:VECTORS_BYTES]),
        (BDA_GPA, bytes(area)),
        (EBDA_GPA, bytes(extended)),
        (ROM_GPA, rom()),
    )
