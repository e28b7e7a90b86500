"""System control ports of the AT and PS/2: A (0x92: reset and A20) and B (0x61: timer and speaker).

Port B gates counter 2 of the 8254 and shows its output; its refresh bit toggles every 18 pulses of
the timer's clock, the rate at which an AT refreshes memory, whether counter 1 is programmed or not.
Parity and channel-check errors do not happen. No sound is made.

Source: Intel 82371SB (PIIX3) datasheet, "NMI Status and Control Register"; IBM Personal System/2
Hardware Interface Technical Reference, "System Control Port A".
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from isa.devices.clock import EventClock
from isa.devices.device import Byte, Device
from isa.devices.lending import Lender
from isa.devices.pit import Pit, pulses_until, tick_of_pulse

PORT_A_RESET, PORT_A_A20 = 0x01, 0x02
PORT_B_GATE, PORT_B_WRITABLE, PORT_B_REFRESH, PORT_B_OUTPUT = 0x01, 0x0F, 0x10, 0x20
REFRESH_PULSES = 18
SPEAKER_COUNTER = 2


class SystemControlAState(msgspec.Struct):
    """State of port A."""

    value: Byte = 0


class SystemControlA(Device[SystemControlAState]):
    """Port 0x92. A20 is open when this port or the keyboard controller opens it."""

    widths = (1,)

    def __init__(
        self, request_reset: Callable[[], None], a20_changed: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(SystemControlAState)
        self._request_reset = request_reset
        self._a20_changed = a20_changed

    @property
    def opens_a20(self) -> bool:
        """Whether this port lets address line 20 through."""
        return bool(self.state.value & PORT_A_A20)

    def read(self, offset: int, size: int) -> int:
        """Read back what was written."""
        return self.state.value

    def write(self, offset: int, size: int, value: int) -> None:
        """Write; bit 0 going from 0 to 1 pulses the reset line."""
        rises = value & ~self.state.value & PORT_A_RESET
        self.state.value = value
        self._a20_changed()
        if rises:
            self._request_reset()


class SystemControlBState(msgspec.Struct):
    """State of port B; its timer bits belong to the timer."""

    value: Byte = 0


class SystemControlB(Device[SystemControlBState]):
    """Port 0x61."""

    widths = (1,)

    def __init__(self, clock: EventClock, pit: Pit) -> None:
        super().__init__(SystemControlBState)
        self._clock = clock
        self._pit = pit
        self.lender: Lender | None = None
        pit.watch(self.lend)

    def lend(self) -> None:
        """Take back what was lent: the timer has changed. A read lends it again."""
        if self.lender is not None:
            self.lender.lend(0, None)

    def read(self, offset: int, size: int) -> int:
        """Read the port, and lend what was read until the next change of a bit in it."""
        value = self._value()
        if self.lender is not None:
            now = self._clock.now
            toggle = (pulses_until(now) // REFRESH_PULSES + 1) * REFRESH_PULSES
            change = self._pit.next_change(SPEAKER_COUNTER)
            until = tick_of_pulse(toggle) if change is None else min(tick_of_pulse(toggle), change)
            self.lender.lend(0, value, until=until)
        return value

    def _value(self) -> int:
        """The four writable bits, the refresh toggle and the output of counter 2."""
        value = self.state.value
        if pulses_until(self._clock.now) // REFRESH_PULSES & 1:
            value |= PORT_B_REFRESH
        if self._pit.output(SPEAKER_COUNTER):
            value |= PORT_B_OUTPUT
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        """Write the four low bits; bit 0 is the gate of counter 2."""
        self.state.value = value & PORT_B_WRITABLE
        self.lend()
        self._pit.set_gate(SPEAKER_COUNTER, bool(value & PORT_B_GATE))
