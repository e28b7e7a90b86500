"""What a monitor's work costs, and how often the guest is left: charges and exit counts.

Costs are those of the profile's [monitor] section. A monitor written in Python does its work
outside the machine's clock; charging it here puts it back, with its cause.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from isa.errors import TrapgateError
from isa.ledger import Ledger
from isa.processor import Processor

# Handlers of a monitor, and the cause their cycles are booked on.
CAUSE_OF_HANDLER: Final = {
    "dispatch": "world_switch",
    "decode": "decode",
    "emulate": "emulation",
    "reflect": "emulation",
    "shadow_fill": "shadow",
    "trace": "shadow",
    "device": "device",
}


class Accounts:
    """Charges and exit counts of one VM under a monitor."""

    def __init__(self, processor: Processor) -> None:
        self.ledger = Ledger(processor, monitored=True)
        self.exits: Counter[str] = Counter()
        costs = processor.costs
        missing = CAUSE_OF_HANDLER.keys() - costs.monitor.keys()
        if missing:
            raise TrapgateError(
                f"cost profile {costs.name}: [monitor] has no {', '.join(sorted(missing))}"
            )
        self._costs = costs.monitor
        self._pending = dict.fromkeys(CAUSE_OF_HANDLER, 0)
        self.handled: Counter[str] = Counter()

    def charge(self, handler: str) -> None:
        """Note the work of a handler."""
        self._pending[handler] += 1

    def settle(self) -> None:
        """Book all noted work. Nobody sees the clock in between."""
        for handler, times in self._pending.items():
            if times:
                self._pending[handler] = 0
                self.handled[handler] += times
                self.ledger.charge(CAUSE_OF_HANDLER[handler], self._costs[handler] * times)
