"""The 8254 interval timer of a PC: three counters on one 1.193182 MHz clock.

Counter 0 drives IRQ0, counter 2 the speaker (system_control.py has its gate). Pulse k happens at
tick ceil(k * TICKS_PER_SECOND / PIT_HZ), in integers, counted from power-on: no drift, however
long the machine runs. Only counter 0 needs the event clock; the others are brought up to date when
somebody looks. An 8254 has no reset input: here a reset leaves OUT low until programmed.

Source: Intel 8254 Programmable Interval Timer datasheet (231164), "Programming the 8254".
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from isa.devices.clock import TICKS_PER_SECOND, Event, EventClock, SavedEvent
from isa.devices.device import Device
from isa.devices.pit_counter import Counter, CounterState

PIT_HZ = 1_193_182

CONTROL_PORT = 3
READ_BACK = 3
READ_BACK_NO_COUNT, READ_BACK_NO_STATUS = 0x20, 0x10


def pulses_until(tick: int) -> int:
    """How many CLK pulses have happened when the clock shows `tick`."""
    return tick * PIT_HZ // TICKS_PER_SECOND


def tick_of_pulse(pulse: int) -> int:
    """First tick at which `pulse` pulses have happened."""
    return -(-pulse * TICKS_PER_SECOND // PIT_HZ)


class PitState(msgspec.Struct):
    """State of the 8254."""

    counters: tuple[CounterState, CounterState, CounterState] = msgspec.field(
        default_factory=lambda: (CounterState(), CounterState(), CounterState(gate=False))
    )
    pulse: int = 0
    """Pulses that the counters have seen."""
    event: SavedEvent | None = None


class Pit(Device[PitState]):
    """The timer at four consecutive ports: counters 0, 1, 2 and the control word."""

    widths = (1,)

    def __init__(self, clock: EventClock, set_irq: Callable[[bool], None]) -> None:
        super().__init__(PitState)
        self._clock = clock
        self._set_irq = set_irq
        self._event: Event | None = None
        self._watcher: Callable[[], None] = lambda: None
        self._bind_counters()
        self.state.pulse = pulses_until(clock.now)

    def read(self, offset: int, size: int) -> int:
        """Read a counter. The control word cannot be read: nothing drives the bus."""
        if offset == CONTROL_PORT:
            return 0xFF
        self._synchronise()
        return self._counters[offset].read()

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a count byte or a control word."""
        self._synchronise()
        if offset == CONTROL_PORT:
            self._write_control(value)
        else:
            self._counters[offset].write(value)
        self._watcher()
        self._update()

    def set_gate(self, counter: int, level: bool) -> None:
        """Drive a GATE input. The PC ties those of counters 0 and 1 high."""
        self._synchronise()
        self._counters[counter].set_gate(level)
        self._watcher()
        self._update()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` whenever a counter is programmed, gated, reset or restored."""
        self._watcher = watcher

    def next_change(self, counter: int) -> int | None:
        """The tick at which OUT of a counter changes if nobody touches it; None if never."""
        self._synchronise()
        step = self._counters[counter].until_transition()
        return None if step is None else tick_of_pulse(self.state.pulse + step)

    def gate(self, counter: int) -> bool:
        """Level of a GATE input."""
        return self._counters[counter].state.gate

    def output(self, counter: int) -> bool:
        """Level of an OUT pin now."""
        self._synchronise()
        return self._counters[counter].state.output

    def reset(self) -> None:
        """Return to the unprogrammed state; pulses go on from where the clock is."""
        super().reset()
        self._bind_counters()
        self.state.pulse = pulses_until(self._clock.now)
        self._update()

    def save(self) -> PitState:
        """Return a copy of the state as of now, however long ago somebody looked."""
        self._synchronise()
        state = super().save()
        state.event = self._event.save() if self._event is not None else None
        return state

    def restore(self, state: PitState) -> None:
        """Take over a saved state. The clock must have been restored before."""
        super().restore(state)
        self._bind_counters()
        self._event = self._clock.restore_event(state.event, self._on_event)

    def _bind_counters(self) -> None:
        self._counters = tuple(Counter(state) for state in self.state.counters)
        self._watcher()

    def _write_control(self, value: int) -> None:
        select = value >> 6
        if select == READ_BACK:
            for index, counter in enumerate(self._counters):
                if value & 2 << index:
                    if not value & READ_BACK_NO_COUNT:
                        counter.latch_count()
                    if not value & READ_BACK_NO_STATUS:
                        counter.latch_status()
        elif value & 0x30:
            self._counters[select].write_control(value)
        else:
            self._counters[select].latch_count()

    def _synchronise(self) -> None:
        """Bring the counters up to the clock, showing IRQ0 every edge of counter 0 in order."""
        pulses = pulses_until(self._clock.now) - self.state.pulse
        if not pulses:
            return
        self.state.pulse += pulses
        self._counters[1].advance(pulses)
        self._counters[2].advance(pulses)
        timer = self._counters[0]
        pulses = self._without_spare_periods(pulses)
        while (step := timer.until_transition()) is not None and step <= pulses:
            timer.advance(step)
            self._set_irq(timer.state.output)
            pulses = self._without_spare_periods(pulses - step)
        timer.advance(pulses)

    def _without_spare_periods(self, pulses: int) -> int:
        """Leave out whole periods of counter 0 that IRQ0 need not be shown.

        Nobody could acknowledge between edges that lie in the past, so of many whole periods the
        last one leaves the interrupt controller as all of them would.
        """
        period = self._counters[0].period
        if period is None or pulses < 2 * period:
            return pulses
        return period + pulses % period

    def _update(self) -> None:
        """Show IRQ0 the output of counter 0 and ask for its next transition."""
        timer = self._counters[0]
        self._set_irq(timer.state.output)
        step = timer.until_transition()
        at = tick_of_pulse(self.state.pulse + step) if step is not None else None
        if self._event is not None and self._event.is_due:
            if self._event.at == at:
                return
            self._clock.cancel(self._event)
        self._event = self._clock.schedule(at, self._on_event) if at is not None else None

    def _on_event(self) -> None:
        self._synchronise()
        self._update()
