"""Segments as a monitor handles them: descriptors taken apart and put together again.

Attributes use the layout of the machine's segment caches (isa.registers, ATTR_*). Limits are in
bytes with the granularity applied. Checks of a load are made where the load is emulated.

Source: SDM vol. 3A, "Segment Descriptors", "System Descriptor Types", "Segment Selectors".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from isa.registers import (
    ATTR_ACCESSED,
    ATTR_CODE,
    ATTR_DB,
    ATTR_DPL_SHIFT,
    ATTR_EXPAND_DOWN,
    ATTR_G,
    ATTR_P,
    ATTR_S,
    ATTR_TYPE,
    ATTR_UNUSABLE,
    ATTR_WRITABLE,
)

SELECTOR_RPL: Final = 3
SELECTOR_TI: Final = 4  # the selector refers to the LDT
SELECTOR_INDEX: Final = 0xFFF8
SELECTOR_NOT_RPL: Final = 0xFFFC  # zero for null selectors; the form error codes take

TYPE_TSS16: Final = 0x1
TYPE_LDT: Final = 0x2
TYPE_BUSY: Final = 0x2  # this bit makes an available TSS a busy one
TYPE_TSS32: Final = 0x9
TSS_IS_32_BIT: Final = 0x8


class Segment(NamedTuple):
    """A segment register: the selector and what was loaded with it."""

    selector: int
    base: int
    limit: int
    attributes: int

    @property
    def dpl(self) -> int:
        """Descriptor privilege level."""
        return self.attributes >> ATTR_DPL_SHIFT & 3

    @property
    def is_present(self) -> bool:
        """The P bit."""
        return bool(self.attributes & ATTR_P)

    @property
    def is_usable(self) -> bool:
        """False after a null selector was loaded."""
        return not self.attributes & ATTR_UNUSABLE

    @property
    def is_code(self) -> bool:
        """A code segment."""
        return self.attributes & (ATTR_S | ATTR_CODE) == ATTR_S | ATTR_CODE

    @property
    def is_conforming(self) -> bool:
        """A code segment that runs at its caller's privilege level."""
        mask = ATTR_S | ATTR_CODE | ATTR_EXPAND_DOWN
        return self.attributes & mask == mask

    @property
    def is_writable(self) -> bool:
        """A data segment that may be written."""
        mask = ATTR_S | ATTR_CODE | ATTR_WRITABLE
        return self.attributes & mask == ATTR_S | ATTR_WRITABLE

    @property
    def is_readable(self) -> bool:
        """Data, or code that may be read."""
        if not self.attributes & ATTR_S:
            return False
        return self.attributes & (ATTR_CODE | ATTR_WRITABLE) != ATTR_CODE

    @property
    def is_accessed(self) -> bool:
        """The accessed bit of code and data segments."""
        return bool(self.attributes & ATTR_ACCESSED)

    @property
    def is_32_bit(self) -> bool:
        """The D/B flag."""
        return bool(self.attributes & ATTR_DB)

    @property
    def system_type(self) -> int:
        """The type of a system descriptor, or -1 for code and data."""
        return -1 if self.attributes & ATTR_S else self.attributes & ATTR_TYPE

    @property
    def offset_mask(self) -> int:
        """Mask of the stack pointer when this is the stack segment."""
        return 0xFFFFFFFF if self.attributes & ATTR_DB else 0xFFFF

    def allows(self, first: int, size: int) -> bool:
        """Whether `size` bytes from offset `first` lie within the limit."""
        last = first + size - 1
        if self.attributes & (ATTR_CODE | ATTR_EXPAND_DOWN) == ATTR_EXPAND_DOWN:
            return first > self.limit and last <= self.offset_mask
        return last <= self.limit

    def made_null(self) -> Segment:
        """This register after it was taken away: null and unusable."""
        return Segment(0, self.base, self.limit, self.attributes | ATTR_UNUSABLE)


class TableRegister(NamedTuple):
    """GDTR or IDTR."""

    base: int
    limit: int


FLAT_CODE: Final = ATTR_P | ATTR_S | ATTR_DB | ATTR_G | 0xB  # DPL 0, readable, accessed
FLAT_DATA: Final = ATTR_P | ATTR_S | ATTR_DB | ATTR_G | 0x3  # DPL 0, writable, accessed


@lru_cache(maxsize=4096)
def parse(selector: int, low: int, high: int) -> Segment:
    """The segment that a descriptor of two doublewords describes."""
    attributes = high >> 8 & 0xF0FF
    base = low >> 16 & 0xFFFF | (high & 0xFF) << 16 | high & 0xFF000000
    limit = low & 0xFFFF | high & 0xF0000
    if attributes & ATTR_G:
        limit = limit << 12 | 0xFFF
    return Segment(selector, base, limit, attributes)


def pack(base: int, limit: int, attributes: int) -> tuple[int, int]:
    """The two doublewords of a descriptor. With ATTR_G the limit must end a page."""
    raw = limit >> 12 if attributes & ATTR_G else limit
    if raw >> 20 or (attributes & ATTR_G and limit & 0xFFF != 0xFFF):
        raise ValueError(f"limit {limit:#x} does not fit a descriptor")
    low = raw & 0xFFFF | (base & 0xFFFF) << 16
    high = base >> 16 & 0xFF | (attributes & 0xF0FF) << 8 | raw & 0xF0000 | base & 0xFF000000
    return low, high


def parse_gate(low: int, high: int) -> tuple[int, int, int, int]:
    """Selector, offset, type with the S bit, and DPL of a gate."""
    kind = high >> 8 & 0x1F
    offset = low & 0xFFFF | (high & 0xFFFF0000 if kind & 8 else 0)
    return low >> 16, offset, kind, high >> 13 & 3
