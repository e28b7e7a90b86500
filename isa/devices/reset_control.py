"""The reset control register of the south bridge: byte 0xCF9.

It lies among the bytes of PCI's address register (0xCF8), which answers to doublewords only; so
accesses by doubleword are for whoever stands `behind`. Bit 2 going from 0 to 1 pulses the reset
line; hard and soft resets do not differ here.

Source: Intel 82371SB (PIIX3) datasheet, "Reset Control Register".
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from isa.devices.bus import RegisterBlock
from isa.devices.device import Byte, Device

FIRST_PORT, LAST_PORT, OFFSET = 0xCF8, 0xCFB, 1
RESET, WRITABLE = 0x04, 0x0E


class ResetControlState(msgspec.Struct):
    """State of the register."""

    value: Byte = 0


class ResetControl(Device[ResetControlState]):
    """Four ports: the register at offset 1 for bytes, another device for doublewords."""

    widths = (1, 4)

    def __init__(
        self, request_reset: Callable[[], None], behind: RegisterBlock | None = None
    ) -> None:
        super().__init__(ResetControlState)
        self._request_reset = request_reset
        self._behind = behind

    def read(self, offset: int, size: int) -> int:
        """Read back what was written."""
        if size == 1:
            return self.state.value if offset == OFFSET else 0xFF
        return self._behind.read(offset, size) if self._behind is not None else 0xFFFFFFFF

    def write(self, offset: int, size: int, value: int) -> None:
        """Write the register; or whatever is behind."""
        if size == 1 and offset == OFFSET:
            rises = value & ~self.state.value & RESET
            self.state.value = value & WRITABLE
            if rises:
                self._request_reset()
        elif size == 4 and self._behind is not None:
            self._behind.write(offset, size, value)
