"""The ledger: every modelled cycle has exactly one cause, and the causes add up to the clock.

The machine counts events by privilege level and charges them as it goes; software monitors charge
their own work here. `by_cause` splits both. It does not keep a clock: that is the processor's.

Rules for the machine's own cycles
    page walks                                   tlb_refill
    port and device-memory accesses              device
    everything else at CPL 0 under a monitor,
    and every delivery of an event to it         world_switch
    everything else                              guest
"""

from typing import Final

from isa.processor import Processor
from isa.workspace import (
    EVENT_DELIVERY,
    EVENT_INTERRUPT,
    EVENT_MEMORY_IO,
    EVENT_NAMES,
    EVENT_PORT,
    EVENT_TLB_REFILL,
)

CAUSES: Final = (
    "guest",
    "world_switch",
    "decode",
    "emulation",
    "shadow",
    "tlb_refill",
    "device",
)


class Ledger:
    """Cycles by cause of one machine.

    Args:
        processor: whose clock is accounted for.
        monitored: True if ring 0 of the machine belongs to a monitor, not to the guest.
    """

    def __init__(self, processor: Processor, *, monitored: bool) -> None:
        self._processor = processor
        self._monitored = monitored
        self._software = dict.fromkeys(CAUSES, 0)

    def charge(self, cause: str, cycles: int) -> None:
        """Charge work of ring-0 software that is not executed by the machine itself."""
        self._software[cause] += cycles
        self._processor.charge(cycles)

    def by_cause(self) -> dict[str, int]:
        """Cycles by cause; the sum is the clock."""
        total = dict(self._software)
        counts, costs = self._processor.counts, self._processor.costs.machine
        for level in range(4):
            for event, name in enumerate(EVENT_NAMES):
                total[self._cause(level, event)] += int(counts[level, event]) * costs[name]
        return total

    def _cause(self, level: int, event: int) -> str:
        if event == EVENT_TLB_REFILL:
            return "tlb_refill"
        if event in (EVENT_PORT, EVENT_MEMORY_IO):
            return "device"
        if self._monitored and (level == 0 or event in (EVENT_DELIVERY, EVENT_INTERRUPT)):
            return "world_switch"
        return "guest"
