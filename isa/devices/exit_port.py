"""The exit port: any write ends the machine (QEMU's isa-debug-exit at port 0xF4).

The exit code is `(value << 1) | 1`, cut to the eight bits that a process status has; so it is
always odd, and 0 remains the host's own success. The value as written is kept beside it. After the
first write further ones change nothing. Reading gives 0.

Source: QEMU documentation, "isa-debug-exit".
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from isa.devices.device import Device


class ExitPortState(msgspec.Struct):
    """State of the exit port."""

    value: Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)] | None = None
    """What the guest wrote, 8, 16 or 32 bits of it; None while it runs."""


class ExitPort(Device[ExitPortState]):
    """Four ports that take a byte, word or doubleword."""

    widths = (1, 2, 4)

    def __init__(self) -> None:
        super().__init__(ExitPortState)

    @property
    def exit_code(self) -> int | None:
        """The process status that the guest asked for, 1..255, or None while it runs."""
        value = self.state.value
        return None if value is None else (value << 1 | 1) & 0xFF

    def read(self, offset: int, size: int) -> int:
        """Nothing to read."""
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """End the machine."""
        if self.state.value is None:
            self.state.value = value
