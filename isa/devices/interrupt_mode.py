"""The interrupt mode configuration register of MP-compliant boards (ports 0x22 and 0x23).

Register 0x70, bit 0: 0 wires the 8259 pair to the processor past its local APIC (*PIC mode*), 1
sends its requests through the APICs. Other registers behind these ports do not exist.

Source: MultiProcessor Specification 1.4, "Interrupt Mode Configuration Register".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec

from isa.devices.device import Byte, Device

IMCR_INDEX, IMCR_APIC = 0x70, 0x01


class InterruptModeState(msgspec.Struct):
    """State of the register."""

    index: Byte = 0
    value: Annotated[int, msgspec.Meta(ge=0, le=IMCR_APIC)] = 0


class InterruptMode(Device[InterruptModeState]):
    """Index port (offset 0) and data port (offset 1)."""

    widths = (1,)

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        super().__init__(InterruptModeState)
        self._changed = changed

    @property
    def bypasses_apic(self) -> bool:
        """PIC mode."""
        return not self.state.value & IMCR_APIC

    def enter_virtual_wire_mode(self) -> None:
        """Send the pair's requests through the APICs, as firmware does."""
        self.write(0, 1, IMCR_INDEX)
        self.write(1, 1, IMCR_APIC)

    def read(self, offset: int, size: int) -> int:
        """Read the register, if it is the one selected."""
        return self.state.value if offset and self.state.index == IMCR_INDEX else 0xFF

    def write(self, offset: int, size: int, value: int) -> None:
        """Select a register, or write the selected one."""
        if not offset:
            self.state.index = value
        elif self.state.index == IMCR_INDEX:
            self.state.value = value & IMCR_APIC
            self._changed()
