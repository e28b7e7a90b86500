"""The port table: what the processor knows about ports without asking the devices.

A chipset answers some port accesses from shadow registers; this table does the same for compiled
code (isa.ports). Ports where nothing answers are in it, and the registers that devices have lent
(isa.devices.lending). Writes made to it are collected by whoever runs the processor, before
anything else happens to the devices, so that no device ever sees them late.

The table is wiring, not state: empty of writes at every end of run(), it can be built again from
the devices.
"""

from __future__ import annotations

from itertools import groupby
from typing import Final

from isa import workspace as w
from isa.devices.lending import Writes
from isa.workspace import Workspace

FOR_EVER: Final = 1 << 62
_VACANT: Final = 1  # the LENT entry of all ports where nothing answers
_FIRST_LENT: Final = 2


class PortTable:
    """The port table of one processor, over its workspace."""

    def __init__(self, core: Workspace) -> None:
        self._core = core
        self._numbers: dict[int, int] = {}  # port -> number of its LENT entry
        entry = w.LENT + _VACANT * w.LENT_WORDS
        core[entry : entry + w.LENT_WORDS] = 0xFF, FOR_EVER, w.WRITES_DROP, 0

    def vacate(self, first: int, last: int) -> None:
        """Nothing answers at the ports first..last: reads give all ones, writes are lost."""
        self._core[w.PORTS + first : w.PORTS + last + 1] = _VACANT

    def occupy(self, first: int, last: int) -> None:
        """Somebody answers at the ports first..last, and has lent nothing yet."""
        self._core[w.PORTS + first : w.PORTS + last + 1] = 0

    def lend(
        self,
        port: int,
        value: int | None,
        *,
        until: int | None = None,
        writes: Writes = Writes.ASK,
    ) -> None:
        """Take a register from a device, see isa.devices.lending. A full table takes no more."""
        number = self._numbers.setdefault(port, _FIRST_LENT + len(self._numbers))
        if number >= w.LENT_ENTRIES:
            return
        self._core[w.PORTS + port] = number
        entry = w.LENT + number * w.LENT_WORDS
        self._core[entry : entry + w.LENT_WORDS] = (
            -1 if value is None else value,
            FOR_EVER if until is None else until,
            writes,
            0,
        )

    @property
    def has_writes(self) -> bool:
        """Whether writes wait to be collected."""
        return bool(self._core[w.PORT_WRITES])

    def collect(self) -> list[tuple[int, bytes]]:
        """The (port, bytes) writes since the last time: posted ones in order, then the latches."""
        core = self._core
        count = int(core[w.POSTED_BYTES])
        posted = core[w.POSTED_BYTE : w.POSTED_BYTE + count]
        writes = [
            (port, bytes(word & 0xFF for word in words))
            for port, words in groupby(posted.tolist(), key=lambda word: word >> 8)
        ]
        core[w.POSTED_BYTES] = 0
        core[w.PORT_WRITES] = 0
        for port, number in self._numbers.items():
            entry = w.LENT + number * w.LENT_WORDS
            if number < w.LENT_ENTRIES and core[entry + w.LENT_WRITTEN]:
                core[entry + w.LENT_WRITTEN] = 0
                writes.append((port, bytes((int(core[entry + w.LENT_VALUE]),))))
        return writes


class DeviceLender:
    """The port table as one device sees it: by its own offsets, at one range of ports or more."""

    def __init__(self, table: PortTable) -> None:
        self._table = table
        self._ranges: list[tuple[range, int]] = []  # offsets, and the port less the offset

    def add(self, offsets: range, base: int) -> None:
        """The device's registers at `offsets` are at ports `base` + offset."""
        self._ranges.append((offsets, base))

    def lend(
        self,
        offset: int,
        value: int | None,
        *,
        until: int | None = None,
        writes: Writes = Writes.ASK,
    ) -> None:
        """See isa.devices.lending.Lender. Registers that are at no port yet are not lent."""
        for offsets, base in self._ranges:
            if offset in offsets:
                self._table.lend(base + offset, value, until=until, writes=writes)
