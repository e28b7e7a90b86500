"""The little world in which instructions are tried: descriptor tables, page tables, code, data.

Everything lies in the first 64 KiB of the linear address space, and whatever the owner of a machine
could have put elsewhere lies in two places at once, so that a register can be made to point to the
other copy. All pages are accessible at every level, and every accessed, dirty and busy bit is set
already: an instruction that only uses memory changes nothing but what it stores.

Source: SDM vol. 3A, "Segment Descriptors", "32-Bit Task-State Segment (TSS)", "Interrupt
Descriptor Table (IDT)", "32-Bit Paging".
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from isa.registers import (
    ATTR_DB,
    ATTR_DPL_SHIFT,
    ATTR_G,
    ATTR_P,
    ATTR_S,
)

Image = NDArray[np.uint8]

SPACE: Final = 0x10000  # bytes of linear memory
FRAMES_AWAY: Final = 0x20000  # physical distance of the second set of page frames
GDT: Final = (0x1000, 0x1800)
GDT_BYTES: Final = 0x800
IDT: Final = (0x2000, 0x2800)
IDT_BYTES: Final = 0x800
HANDLERS: Final = 0x3000
HANDLER_BYTES: Final = 4
LDT: Final = (0x3800, 0x3900)
LDT_BYTES: Final = 0x40
CODE: Final = 0x4200  # of the instruction that is tried
TARGET: Final = 0x4300  # where far transfers go
DATA: Final = 0x5000  # of the memory operand
STACK: Final = 0x6800  # the top of the stack
SEGMENT_DISTANCE: Final = 0x4000  # pages 4 to 7 (code, data, stack) are copied that much higher
SEGMENT_PAGES: Final = (0x4000, 0x8000)
TSS: Final = (0xC000, 0xC200)
TSS_BYTES: Final = 0x88 + 0x20 + 1
PORT_MAP: Final = 0x88  # offset of the I/O permission bit map, for ports 0 to 255
INNER_STACKS: Final = (0xD400, 0xD800, 0xDC00)  # of rings 0 to 2, from the TSS
DIRECTORY: Final = 0xE000
TABLE: Final = 0xF000

# Selectors, without RPL. Four of a kind are those of rings 0 to 3.
CODES: Final = (0x08, 0x10, 0x18, 0x20)
STACKS: Final = (0x28, 0x30, 0x38, 0x40)
DATA3: Final = 0x40
CONFORMING: Final = 0x50
HANDLER_CODE: Final = 0x58
HANDLER_STACKS: Final = (0x60, 0x68, 0x70)
READ_ONLY: Final = 0x78
TASKS: Final = (0x80, 0x88)
TABLES: Final = (0x90, 0x98)  # of the two LDTs
CALL_GATE: Final = 0xA0
SPARE_TASK: Final = 0xA8  # an available TSS
SYSTEM_CALLS: Final = (0x100, 0x120)  # values of IA32_SYSENTER_CS
ALIAS: Final = 0x200  # the same descriptors again, this much further on
PARAGRAPHS: Final = (0x400, 0x430)  # 16-bit segments whose selector times 16 is their base

INT_VECTOR: Final = 0x80  # its gate may be used from every ring
USER_VECTORS: Final = (3, 4, INT_VECTOR)

ACCESS_DATA: Final = 0x3 | ATTR_S | ATTR_P
ACCESS_READ_ONLY: Final = 0x1 | ATTR_S | ATTR_P
ACCESS_CODE: Final = 0xB | ATTR_S | ATTR_P
ACCESS_CONFORMING: Final = 0xF | ATTR_S | ATTR_P
WIDE: Final = ATTR_DB | ATTR_G
TYPE_LDT: Final = 0x2
TYPE_TSS: Final = 0x9
TYPE_TSS_BUSY: Final = 0xB
TYPE_CALL_GATE: Final = 0xC
TYPE_INTERRUPT_GATE: Final = 0xE

FULL_LIMIT: Final = 0xFFFFFFFF
SHORT_LIMIT: Final = 0x0FFFEFFF  # also its low half is another


def attributes(access: int, level: int = 0, wide: bool = True) -> int:
    """Attributes of a segment cache."""
    return access | level << ATTR_DPL_SHIFT | (WIDE if wide else 0)


def descriptor(base: int, limit: int, attribute_word: int) -> bytes:
    """The eight bytes of a segment descriptor; `limit` in bytes."""
    if attribute_word & ATTR_G:
        limit >>= 12
    low = (base & 0xFFFF) << 16 | limit & 0xFFFF
    high = base & 0xFF000000 | base >> 16 & 0xFF | limit & 0xF0000
    high |= (attribute_word & 0xF0FF) << 8
    return low.to_bytes(4, "little") + high.to_bytes(4, "little")


def gate(selector: int, offset: int, kind: int, level: int) -> bytes:
    """The eight bytes of a call or interrupt gate."""
    low = selector << 16 | offset & 0xFFFF
    high = offset & 0xFFFF0000 | (ATTR_P | level << ATTR_DPL_SHIFT | kind) << 8
    return low.to_bytes(4, "little") + high.to_bytes(4, "little")


def program_segments(base: int, limit: int) -> dict[int, bytes]:
    """Descriptors of the segments that programs use, by selector."""
    found: dict[int, bytes] = {}
    for level in range(4):
        found[CODES[level]] = descriptor(base, limit, attributes(ACCESS_CODE, level))
        found[STACKS[level]] = descriptor(base, limit, attributes(ACCESS_DATA, level))
    found[CONFORMING] = descriptor(base, limit, attributes(ACCESS_CONFORMING))
    found[READ_ONLY] = descriptor(base, limit, attributes(ACCESS_READ_ONLY, 3))
    return found


def system_segments() -> dict[int, bytes]:
    """Descriptors of handlers, tasks, local tables and the gate, by selector."""
    found = {
        HANDLER_CODE: descriptor(0, FULL_LIMIT, attributes(ACCESS_CODE)),
        CALL_GATE: gate(HANDLER_CODE, TARGET, TYPE_CALL_GATE, 3),
        SPARE_TASK: descriptor(TSS[1], TSS_BYTES - 1, TYPE_TSS | ATTR_P),
    }
    for level, selector in enumerate(HANDLER_STACKS):
        found[selector] = descriptor(0, FULL_LIMIT, attributes(ACCESS_DATA, level))
    for place in range(2):
        found[TASKS[place]] = descriptor(TSS[place], TSS_BYTES - 1, TYPE_TSS_BUSY | ATTR_P)
        found[TABLES[place]] = descriptor(LDT[place], LDT_BYTES - 1, TYPE_LDT | ATTR_P)
    return found


def paragraph_segments() -> dict[int, bytes]:
    """Descriptors of 16-bit segments that begin where virtual-8086 mode puts them."""
    found = {}
    for selector in range(*PARAGRAPHS, 8):
        access = ACCESS_CODE if selector == PARAGRAPHS[0] else ACCESS_DATA
        found[selector] = descriptor(selector << 4, 0xFFFF, attributes(access, wide=False))
    return found


def put(image: Image, address: int, data: bytes) -> None:
    """Store bytes in an image."""
    image[address : address + len(data)] = np.frombuffer(data, np.uint8)


def put_descriptors(image: Image, entries: dict[int, bytes], alias: bool) -> None:
    """Write descriptors into both copies of the GDT, and again at their aliases."""
    for table in GDT:
        for selector, data in entries.items():
            put(image, table + selector, data)
            if alias:
                put(image, table + selector + ALIAS, data)


def new_image() -> Image:
    """The whole world, all page frames at home."""
    image: Image = np.zeros(SPACE, np.uint8)
    put_descriptors(image, program_segments(0, FULL_LIMIT), alias=True)
    put_descriptors(image, system_segments(), alias=False)
    put_descriptors(image, paragraph_segments(), alias=False)
    for table in IDT:
        for vector in range(256):
            level = 3 if vector in USER_VECTORS else 0
            entry = gate(
                HANDLER_CODE, HANDLERS + HANDLER_BYTES * vector, TYPE_INTERRUPT_GATE, level
            )
            put(image, table + 8 * vector, entry)
    put(image, HANDLERS, b"\x90" * HANDLER_BYTES * 256)
    for table in LDT:
        put(image, table + 8, descriptor(0, FULL_LIMIT, attributes(ACCESS_DATA, 3)))
    for place in TSS:
        for level, top in enumerate(INNER_STACKS):
            put(image, place + 4 + 8 * level, top.to_bytes(4, "little"))
            put(image, place + 8 + 8 * level, (HANDLER_STACKS[level] | level).to_bytes(2, "little"))
        put(image, place + 0x66, PORT_MAP.to_bytes(2, "little"))
        put(image, place + PORT_MAP, b"\xff" * 0x21)
    put_page_tables(image, 0)
    return image


def put_page_tables(image: Image, frames_at: int) -> None:
    """Map every page for everybody, accessed and dirty, to frames that begin at `frames_at`."""
    put(image, DIRECTORY, (frames_at + TABLE | 0x27).to_bytes(4, "little"))
    for page in range(SPACE >> 12):
        put(image, TABLE + 4 * page, (frames_at + (page << 12) | 0x67).to_bytes(4, "little"))


def copy_segments(image: Image) -> None:
    """Make the copy of code, data and stack equal to the original."""
    first, end = SEGMENT_PAGES
    image[first + SEGMENT_DISTANCE : end + SEGMENT_DISTANCE] = image[first:end]
