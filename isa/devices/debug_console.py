"""The debug console of Bochs and QEMU: a byte written to port 0xE9 appears at once.

Reading gives 0xE9, by which a guest finds out that the port is there.

Source: Bochs user manual, "port_e9_hack"; QEMU documentation, "isa-debugcon".
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from isa.devices.device import Device
from isa.devices.lending import Lender, Writes

PRESENT = 0xE9


class DebugConsoleState(msgspec.Struct):
    """The port remembers nothing."""


class DebugConsole(Device[DebugConsoleState]):
    """One byte-wide port."""

    widths = (1,)

    def __init__(self, transmit: Callable[[bytes], None]) -> None:
        super().__init__(DebugConsoleState)
        self._transmit = transmit
        self.lender: Lender | None = None

    def lend(self) -> None:
        """Lend the port: nothing ever changes in it."""
        if self.lender is not None:
            self.lender.lend(0, PRESENT, writes=Writes.POST)

    def post(self, offset: int, data: bytes) -> None:
        """Write bytes to the console."""
        self._transmit(data)

    def read(self, offset: int, size: int) -> int:
        """Say that the port is there."""
        return PRESENT

    def write(self, offset: int, size: int, value: int) -> None:
        """Write one byte to the console."""
        self._transmit(bytes((value,)))
