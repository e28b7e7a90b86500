"""The fixed power management registers of an ACPI board: events, control, and a timer.

    offset 0  PM1 status     written ones clear; bit 0 timer, bit 5 global, bit 8 power button
    offset 2  PM1 enable
    offset 4  PM1 control    bit 0 SCI_EN, always set; bits 12..10 SLP_TYP, bit 13 SLP_EN
    offset 8  PM timer       24 bits at 3.579545 MHz

The machine is always in ACPI mode: there is no SMI. SLP_EN with SLP_TYP 0, the only sleeping state
announced (\\_S5), switches the machine off. The interrupt, SCI, is a level on IRQ9.

Source: ACPI Specification 1.0b, "ACPI Hardware Specification"; Intel 82371AB (PIIX4) datasheet,
"Power Management I/O Registers".
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from isa.devices.clock import TICKS_PER_SECOND, Event, EventClock, SavedEvent
from isa.devices.device import Device, Instant, Word

BASE_PORT, REGISTER_BYTES, SCI_IRQ = 0x600, 12, 9
EVENT, ENABLE, CONTROL, TIMER = 0, 2, 4, 8
TIMER_HZ, TIMER_BITS = 3_579_545, 24

STATUS_TIMER, STATUS_POWER_BUTTON = 0x0001, 0x0100
ENABLE_BITS = 0x0121 | 0x0400
CONTROL_SCI, CONTROL_SLEEP, CONTROL_BITS = 0x0001, 0x2000, 0x1C02
CONTROL_TYPE_SHIFT, SLEEP_TYPE_OFF = 10, 0


def pulses_until(tick: int) -> int:
    """Pulses of the timer's clock when the event clock shows `tick`."""
    return tick * TIMER_HZ // TICKS_PER_SECOND


def tick_of_pulse(pulse: int) -> int:
    """First tick at which `pulse` pulses have happened."""
    return -(-pulse * TICKS_PER_SECOND // TIMER_HZ)


class AcpiState(msgspec.Struct):
    """State of the registers."""

    status: Word = 0
    """Without the timer's bit, which follows from the time."""
    enable: Word = 0
    control: Word = CONTROL_SCI
    carries_seen: Instant = 0
    """How often the timer's highest bit had changed when its status bit was cleared."""
    event: SavedEvent | None = None


class AcpiPower(Device[AcpiState]):
    """The registers at twelve consecutive ports."""

    widths = (1, 2, 4)

    def __init__(
        self,
        clock: EventClock,
        set_irq: Callable[[bool], None],
        power_off: Callable[[], None],
    ) -> None:
        super().__init__(AcpiState)
        self._clock = clock
        self._set_irq = set_irq
        self._power_off = power_off
        self._event: Event | None = None
        self.state.carries_seen = self._carries

    def press_power_button(self) -> None:
        """Let the system know that somebody wants it to switch off."""
        self.state.status |= STATUS_POWER_BUTTON
        self._update()

    def read(self, offset: int, size: int) -> int:
        """Read registers; two that are neighbours may be read at once."""
        state = self.state
        words = {EVENT: self._status, ENABLE: state.enable, CONTROL: state.control}
        value = sum(word << 8 * at for at, word in words.items())
        value |= pulses_until(self._clock.now) % (1 << TIMER_BITS) << 8 * TIMER
        return value >> 8 * offset & ((1 << 8 * size) - 1)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write registers; the timer takes no writes."""
        mask = ((1 << 8 * size) - 1) << 8 * offset
        value <<= 8 * offset
        state = self.state
        self._clear(value >> 8 * EVENT & 0xFFFF)
        if touched := mask >> 8 * ENABLE & 0xFFFF:
            state.enable = (state.enable & ~touched | value >> 8 * ENABLE & 0xFFFF) & ENABLE_BITS
        self._update()
        if touched := mask >> 8 * CONTROL & 0xFFFF:
            written = value >> 8 * CONTROL & 0xFFFF
            state.control = (state.control & ~touched | written) & CONTROL_BITS | CONTROL_SCI
            sleep_type = state.control >> CONTROL_TYPE_SHIFT & 7
            if written & CONTROL_SLEEP and sleep_type == SLEEP_TYPE_OFF:
                self._power_off()

    def reset(self) -> None:
        """Return to the state after power-on; the timer goes on."""
        super().reset()
        self.state.carries_seen = self._carries
        self._update()

    def save(self) -> AcpiState:
        """Return a copy of the state."""
        state = super().save()
        state.event = self._event.save() if self._event is not None else None
        return state

    def restore(self, state: AcpiState) -> None:
        """Take over a saved state. The clock must have been restored before."""
        super().restore(state)
        self._event = self._clock.restore_event(state.event, self._update)

    @property
    def _carries(self) -> int:
        return pulses_until(self._clock.now) >> TIMER_BITS - 1

    @property
    def _status(self) -> int:
        carried = self._carries != self.state.carries_seen
        return self.state.status | (STATUS_TIMER if carried else 0)

    def _clear(self, bits: int) -> None:
        self.state.status &= ~bits
        if bits & STATUS_TIMER:
            self.state.carries_seen = self._carries

    def _update(self) -> None:
        """Drive SCI, and owe an event for the timer's next carry if that is to interrupt."""
        status = self._status
        self._set_irq(bool(status & self.state.enable))
        self._clock.cancel(self._event)
        self._event = None
        if self.state.enable & STATUS_TIMER and not status & STATUS_TIMER:
            at = tick_of_pulse(self._carries + 1 << TIMER_BITS - 1)
            self._event = self._clock.schedule(at, self._update)
