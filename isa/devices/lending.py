"""Lending registers to the processor, so that an access to them needs no device.

Most port accesses of a kernel read a status that has not changed or write a byte that nothing
depends on at once. A device may say so: this register reads as `value` (until some time), and
writes to it may be kept for later. It must take back, or lend anew, what it lent before anything
else can show that it is no longer true. What a guest sees is the same with and without lending.

Where nobody wants to borrow (the devices of a VM, whose ports are the monitor's business) a device
has no lender and need not think about it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol, runtime_checkable

from isa import workspace


class Writes(IntEnum):
    """What a write to a lent register needs."""

    ASK = workspace.WRITES_ASK
    """The device, at once."""
    DROP = workspace.WRITES_DROP
    """Nothing: it is lost."""
    LATCH = workspace.WRITES_LATCH
    """The register to hold the value; the device learns the last one later."""
    POST = workspace.WRITES_POST
    """The device to get every byte in order, but not at once."""


class Lender(Protocol):
    """Takes what a device lends; offsets are those of the device's registers."""

    def lend(
        self,
        offset: int,
        value: int | None,
        *,
        until: int | None = None,
        writes: Writes = Writes.ASK,
    ) -> None:
        """Lend one byte-wide register, in place of what was lent of it before.

        Args:
            offset: of the register.
            value: what a read gives, without any effect of reading; None: ask the device.
            until: the time (ticks of the event clock) at which `value` is no longer true.
            writes: what a write needs.
        """


@runtime_checkable
class Lending(Protocol):
    """A block of registers that lends."""

    lender: Lender | None
    """Set by the bus, once the block's addresses are known and somebody borrows."""

    def lend(self) -> None:
        """Lend what can be lent now."""


@runtime_checkable
class Posting(Protocol):
    """A block of registers that lets writes be kept for later."""

    def post(self, offset: int, data: bytes) -> None:
        """Take the bytes written to a register whose writes were kept: one, if it is a latch."""
