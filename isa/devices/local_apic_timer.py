"""The timer of a local APIC: a 32-bit count-down of bus cycles, once or again and again.

The bus runs at 100 MHz, one cycle per tick of the event clock, divided by 1 to 128. The count is
computed when somebody reads it; an event is owed only while the timer's interrupt is unmasked. A
new divisor applies to what is left of the count.

Source: SDM vol. 3A, "APIC Timer".
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from isa.devices.clock import TICKS_PER_SECOND, Event, EventClock, SavedEvent
from isa.devices.device import DoubleWord, Instant

BUS_HZ = TICKS_PER_SECOND
DIVIDE_WRITABLE = 0x0B


class TimerState(msgspec.Struct):
    """State of the timer."""

    divide: DoubleWord = 0
    """The divide configuration register."""
    initial: DoubleWord = 0
    is_periodic: bool = False
    is_masked: bool = True
    count: DoubleWord = 0
    """The count at `since`; 0: stopped."""
    since: Instant = 0
    event: SavedEvent | None = None


class ApicTimer:
    """The count-down over its state, which belongs to the local APIC."""

    def __init__(self, clock: EventClock, fired: Callable[[], None]) -> None:
        self._clock = clock
        self._fired = fired
        self._event: Event | None = None
        self._state = TimerState()

    def bind(self, state: TimerState) -> None:
        """Work on this state from now on."""
        self._state = state

    @property
    def divisor(self) -> int:
        """By what the bus clock is divided: bits 3, 1 and 0 say 2, 4, … 128, 1."""
        code = self._state.divide & 3 | (self._state.divide & 8) >> 1
        return 1 if code == 7 else 2 << code

    @property
    def current(self) -> int:
        """The current count."""
        self._settle()
        state = self._state
        return state.count - (self._clock.now - state.since) // self.divisor if state.count else 0

    def start(self, count: int) -> None:
        """Write the initial count: counting begins, or stops if it is 0."""
        state = self._state
        state.initial = state.count = count
        state.since = self._clock.now
        self._schedule()

    def stop(self) -> None:
        """Owe nothing any more."""
        self._clock.cancel(self._event)
        self._event = None

    def set_divide(self, value: int) -> None:
        """Write the divide configuration; what is left is counted at the new rate."""
        state = self._state
        state.count = self.current
        state.since = self._clock.now
        state.divide = value & DIVIDE_WRITABLE
        self._schedule()

    def set_entry(self, is_periodic: bool, is_masked: bool) -> None:
        """The timer's entry of the local vector table was written."""
        self._settle()
        self._state.is_periodic, self._state.is_masked = is_periodic, is_masked
        self._schedule()

    def note_event(self) -> None:
        """Write the event into the state, to be saved."""
        self._state.event = self._event.save() if self._event is not None else None

    def restore_event(self) -> None:
        """Owe the saved event again."""
        self._event = self._clock.restore_event(self._state.event, self._on_event)

    @property
    def _end(self) -> int:
        return self._state.since + self._state.count * self.divisor

    def _settle(self) -> None:
        """Let what has run out by now begin again, or stop."""
        state = self._state
        if not state.count or self._clock.now < self._end:
            return
        if not state.is_periodic or not state.initial:
            state.count = 0
            return
        period = state.initial * self.divisor
        state.since = self._end + (self._clock.now - self._end) // period * period
        state.count = state.initial

    def _schedule(self) -> None:
        self.stop()
        if self._state.count and not self._state.is_masked:
            self._event = self._clock.schedule(self._end, self._on_event)

    def _on_event(self) -> None:
        self._settle()
        self._schedule()
        self._fired()
