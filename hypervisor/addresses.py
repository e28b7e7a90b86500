"""The three kinds of addresses a monitor deals with, as types that mypy refuses to mix.

A guest program uses guest-linear addresses; the guest's page tables turn them into guest-physical
ones; the monitor's frame map turns these into host-physical ones, the machine's own.
"""

from __future__ import annotations

from typing import Final, NewType

Gva = NewType("Gva", int)  # guest-linear: after segmentation, before paging, in the guest
Gpa = NewType("Gpa", int)  # guest-physical: what the guest calls physical
Hpa = NewType("Hpa", int)  # host-physical: the machine's own

PAGE_BYTES: Final = 4096
PAGE_SHIFT: Final = 12
PAGE_MASK: Final = 0xFFFFF000
ENTRIES: Final = 1024  # of a page directory or page table
M32: Final = 0xFFFFFFFF


def pages_of(address: int, size: int) -> range:
    """Numbers of the pages that `size` bytes at `address` touch; addresses wrap at 4 GiB."""
    last = address + max(size, 1) - 1
    return range(address >> PAGE_SHIFT, (last >> PAGE_SHIFT) + 1)
