"""The real-time clock and CMOS memory of a PC (ports 0x70 and 0x71).

The calendar starts at a moment that is given, 2000-01-01 00:00:00 unless somebody chooses another,
and goes with the event clock. It can be set, stopped and read in all formats; the periodic, alarm
and update-ended interrupts come on IRQ8. The memory bytes that firmware would set are set: memory
sizes, equipment, drives as far as `describe` is told, and the checksum over them.

An update takes 1984 µs, announced 244 µs before (UIP); the calendar changes at its end, so a read
never finds it torn. Numbers that are no date are taken modulo what a field can hold. Daylight
saving (DSE) and the square wave do nothing.

Source: Motorola MC146818A datasheet; IBM PC/AT Technical Reference, "Real-Time Clock/CMOS RAM".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Final

import msgspec

from isa.devices.calendar import (
    SECONDS,
    SECONDS_OF_DAY,
    Moment,
    days_of_month,
    moment_of,
    seconds_of,
    weekday_of,
)
from isa.devices.clock import TICKS_PER_SECOND, Event, EventClock, SavedEvent
from isa.devices.device import Byte, Device, Instant

POWER_ON: Final = Moment(2000, 1, 1, 0, 0, 0)

CMOS_BYTES = 128
INDEX_MASK = 0x7F  # bit 7 of port 0x70 masks NMI, which no device raises

SECOND, MINUTE, HOUR, WEEKDAY, DAY, MONTH, YEAR, CENTURY = 0, 2, 4, 6, 7, 8, 9, 0x32
CALENDAR = (SECOND, MINUTE, HOUR, WEEKDAY, DAY, MONTH, YEAR, CENTURY)
ALARM_SECOND, ALARM_MINUTE, ALARM_HOUR, ALARM_ANY = 1, 3, 5, 0xC0
STATUS_A, STATUS_B, STATUS_C, STATUS_D = 0x0A, 0x0B, 0x0C, 0x0D
READ_ONLY = (STATUS_C, STATUS_D)

A_32KHZ, A_UPDATING, A_RATE, A_DIVIDER_RESET = 0x26, 0x80, 0x0F, 0x60
B_SET, B_INTERRUPTS, B_BINARY, B_24_HOURS = 0x80, 0x70, 0x04, 0x02
B_KEPT_BY_RESET = 0x87
PERIODIC, ALARM, UPDATE, REQUEST = 0x40, 0x20, 0x10, 0x80
STATUS_D_VALID = 0x80
PM = 0x80

OSCILLATOR_HZ = 32_768
UPDATE_TICKS = (1984 + 244) * TICKS_PER_SECOND // 1_000_000

EQUIPMENT, EQUIPMENT_MOUSE = 0x14, 0x04  # neither floppies nor a coprocessor
CHECKED, CHECKSUM = range(0x10, 0x2E), 0x2E
BASE_KIB = 640
KIB, MIB = 1 << 10, 1 << 20


Memory = Annotated[bytearray, msgspec.Meta(min_length=CMOS_BYTES, max_length=CMOS_BYTES)]


class CmosState(msgspec.Struct):
    """State of the chip."""

    index: Byte = 0
    memory: Memory = msgspec.field(default_factory=lambda: bytearray(CMOS_BYTES))
    """Of the calendar's bytes only those written while it is being set (SET) are used."""
    seconds: Annotated[int, msgspec.Meta(ge=0, lt=SECONDS)] = 0
    """What the calendar showed at `since`."""
    since: int = 0
    """When the dividers began to count; before the beginning of time after half a second."""
    weekday_shift: Annotated[int, msgspec.Meta(ge=0, le=6)] = 0
    """By how many days the weekday was set apart from the date."""
    flags: Byte = 0
    """Register C without the request bit."""
    settled: Instant = 0
    """Up to when `flags` are true."""
    event: SavedEvent | None = None


def memory_size_bytes(ram_bytes: int) -> dict[int, int]:
    """What firmware leaves in CMOS about the memory: address → byte."""
    extended_kib = min(max(ram_bytes - MIB, 0) // KIB, 0xFFFF)
    above_16_mib = min(max(ram_bytes - 16 * MIB, 0) // (64 * KIB), 0xFFFF)
    words = {0x15: BASE_KIB, 0x17: extended_kib, 0x30: extended_kib, 0x34: above_16_mib}
    return {
        address + byte: word >> 8 * byte & 0xFF
        for address, word in words.items()
        for byte in (0, 1)
    }


class Cmos(Device[CmosState]):
    """Index port (offset 0) and data port (offset 1)."""

    widths = (1,)

    def __init__(
        self,
        clock: EventClock,
        set_irq: Callable[[bool], None],
        ram_bytes: int,
        start: Moment = POWER_ON,
    ) -> None:
        super().__init__(CmosState)
        self._clock = clock
        self._set_irq = set_irq
        self._event: Event | None = None
        state = self.state
        state.seconds = seconds_of(start)
        state.since = state.settled = clock.now
        state.memory[STATUS_A] = A_32KHZ
        state.memory[STATUS_B] = B_24_HOURS
        state.memory[STATUS_D] = STATUS_D_VALID
        self.describe({EQUIPMENT: EQUIPMENT_MOUSE} | memory_size_bytes(ram_bytes))

    def describe(self, settings: Mapping[int, int]) -> None:
        """Set bytes as firmware does, which knows what the machine has: address → byte."""
        memory = self.state.memory
        for address, byte in settings.items():
            memory[address] = byte
        total = sum(memory[address] for address in CHECKED)
        memory[CHECKSUM], memory[CHECKSUM + 1] = total >> 8 & 0xFF, total & 0xFF

    # --- registers -----------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        """Read the selected byte. The index port cannot be read: nothing drives the bus."""
        if offset == 0:
            return 0xFF
        index, memory = self.state.index, self.state.memory
        if index in CALENDAR and not memory[STATUS_B] & B_SET:
            return self._encoded(self._now)[index]
        if index == STATUS_A:
            return memory[STATUS_A] | (A_UPDATING if self._is_updating else 0)
        return self._take_flags() if index == STATUS_C else memory[index]

    def write(self, offset: int, size: int, value: int) -> None:
        """Select a byte, or write the selected one."""
        index, memory = self.state.index, self.state.memory
        if offset == 0:
            self.state.index = value & INDEX_MASK
        elif index == STATUS_A:
            self._write_a(value & ~A_UPDATING)
        elif index == STATUS_B:
            self._write_b(value)
        elif index in CALENDAR and not memory[STATUS_B] & B_SET:
            self._settle()
            self._show()
            memory[index] = value
            self._load()
            self._update()
        elif index in (ALARM_SECOND, ALARM_MINUTE, ALARM_HOUR):
            self._settle()
            memory[index] = value
            self._update()
        elif index not in READ_ONLY:
            memory[index] = value

    def reset(self) -> None:
        """Do what the RESET pin does: no more interrupts. The rest runs on its battery."""
        self._settle()
        self.state.memory[STATUS_B] &= B_KEPT_BY_RESET
        self.state.flags = 0
        self._update()

    def save(self) -> CmosState:
        """Return a copy of the state."""
        state = super().save()
        state.event = self._event.save() if self._event is not None else None
        return state

    def restore(self, state: CmosState) -> None:
        """Take over a saved state. The clock must have been restored before."""
        super().restore(state)
        self._event = self._clock.restore_event(state.event, self._on_event)

    def _write_a(self, value: int) -> None:
        state, was_held = self.state, self._is_held
        self._settle()
        now = self._now
        state.memory[STATUS_A] = value
        if self._is_held:
            state.seconds = now
        elif was_held:  # "the first update occurs 500 ms later"
            state.since = self._clock.now - TICKS_PER_SECOND // 2
        self._update()

    def _write_b(self, value: int) -> None:
        memory = self.state.memory
        self._settle()
        rises, falls = value & ~memory[STATUS_B], memory[STATUS_B] & ~value
        if value & B_SET:
            value &= ~UPDATE
        if rises & B_SET:
            self._show()
        memory[STATUS_B] = value
        if falls & B_SET:
            self._load()
        self._update()

    def _take_flags(self) -> int:
        """Read register C, which clears it."""
        self._settle()
        flags, self.state.flags = self.state.flags, 0
        request = REQUEST if flags & self.state.memory[STATUS_B] & B_INTERRUPTS else 0
        self._update()
        return flags | request

    # --- time ----------------------------------------------------------------------------------

    @property
    def _is_held(self) -> bool:
        """Whether the dividers are held in reset."""
        return self.state.memory[STATUS_A] & A_DIVIDER_RESET == A_DIVIDER_RESET

    @property
    def _is_going(self) -> bool:
        """Whether the calendar is updated every second."""
        return not self._is_held and not self.state.memory[STATUS_B] & B_SET

    @property
    def _is_updating(self) -> bool:
        within = (self._clock.now - self.state.since) % TICKS_PER_SECOND
        return self._is_going and within >= TICKS_PER_SECOND - UPDATE_TICKS

    def _updates(self, tick: int) -> int:
        """Updates from `since` to a time."""
        return 0 if self._is_held else (tick - self.state.since) // TICKS_PER_SECOND

    @property
    def _now(self) -> int:
        return (self.state.seconds + self._updates(self._clock.now)) % SECONDS

    @property
    def _period(self) -> int:
        """Oscillations between periodic interrupts; 0: there are none."""
        rate = self.state.memory[STATUS_A] & A_RATE
        if not rate or self._is_held:
            return 0
        return 1 << (rate + 7 if rate < 3 else rate) - 1

    def _periods(self, tick: int) -> int:
        """Periodic interrupts from `since` to a time."""
        elapsed = (tick - self.state.since) * OSCILLATOR_HZ // TICKS_PER_SECOND
        return elapsed // self._period if self._period else 0

    # --- the calendar as bytes -----------------------------------------------------------------

    def _encoded(self, seconds: int) -> dict[int, int]:
        """The calendar's bytes at a moment."""
        moment = moment_of(seconds)
        numbers = {
            SECOND: moment.second,
            MINUTE: moment.minute,
            WEEKDAY: (weekday_of(seconds) + self.state.weekday_shift) % 7 + 1,  # "Sunday = 1"
            DAY: moment.day,
            MONTH: moment.month,
            YEAR: moment.year % 100,
            CENTURY: moment.year // 100,
        }
        fields = {index: self._encode(number) for index, number in numbers.items()}
        return fields | {HOUR: self._encode_hour(moment.hour)}

    def _show(self) -> None:
        """Put the running calendar into its bytes, to be changed there."""
        for index, byte in self._encoded(self._now).items():
            self.state.memory[index] = byte

    def _load(self) -> None:
        """Let the calendar go on from what is in its bytes."""
        state = self.state

        def number(index: int, count: int, first: int = 0) -> int:
            return (self._decode(state.memory[index]) - first) % count + first

        year = number(CENTURY, 100) * 100 + number(YEAR, 100)
        month = number(MONTH, 12, 1)
        day = number(DAY, days_of_month(year, month), 1)
        minute, second = number(MINUTE, 60), number(SECOND, 60)
        seconds = seconds_of(Moment(year, month, day, self._decode_hour(), minute, second))
        state.weekday_shift = (number(WEEKDAY, 7, 1) - 1 - weekday_of(seconds)) % 7
        state.seconds = (seconds - self._updates(self._clock.now)) % SECONDS

    def _encode(self, number: int) -> int:
        if self.state.memory[STATUS_B] & B_BINARY:
            return number
        return number // 10 << 4 | number % 10

    def _decode(self, byte: int) -> int:
        return byte if self.state.memory[STATUS_B] & B_BINARY else (byte >> 4) * 10 + (byte & 15)

    def _encode_hour(self, hour: int) -> int:
        if self.state.memory[STATUS_B] & B_24_HOURS:
            return self._encode(hour)
        return self._encode((hour - 1) % 12 + 1) | (PM if hour >= 12 else 0)

    def _decode_hour(self) -> int:
        byte = self.state.memory[HOUR]
        if self.state.memory[STATUS_B] & B_24_HOURS:
            return self._decode(byte) % 24
        return self._decode(byte & ~PM) % 12 + (12 if byte & PM else 0)

    # --- flags and interrupts ------------------------------------------------------------------

    def _until_alarm(self, seconds: int) -> int | None:
        """Seconds from a moment to the next alarm, 1 to a day; None if the bytes fit no time."""
        memory = self.state.memory

        def matches(index: int, byte: int) -> bool:
            return memory[index] >= ALARM_ANY or memory[index] == byte

        hours = [n for n in range(24) if matches(ALARM_HOUR, self._encode_hour(n))]
        minutes = [n for n in range(60) if matches(ALARM_MINUTE, self._encode(n))]
        within = [n for n in range(60) if matches(ALARM_SECOND, self._encode(n))]
        if not (hours and minutes and within):
            return None
        moment = moment_of(seconds)
        today = seconds % SECONDS_OF_DAY
        times = (
            hour * 3600 + minute * 60 + second
            for hour in hours
            if hour >= moment.hour
            for minute in minutes
            for second in within
        )
        following = next((time for time in times if time > today), None)
        if following is None:
            following = hours[0] * 3600 + minutes[0] * 60 + within[0] + SECONDS_OF_DAY
        return following - today

    def _settle(self) -> None:
        """Raise the flags of what has happened up to now."""
        state, now = self.state, self._clock.now
        if now <= state.settled:
            return
        if self._periods(now) != self._periods(state.settled):
            state.flags |= PERIODIC
        before = self._updates(state.settled)
        count = self._updates(now) - before
        if count > 0 and self._is_going:
            state.flags |= UPDATE
            if not state.flags & ALARM:
                distance = self._until_alarm((state.seconds + before) % SECONDS)
                if distance is not None and distance <= count:
                    state.flags |= ALARM
        state.settled = now

    def _update(self) -> None:
        """Drive IRQ8, and owe an event for the next interrupt that may come."""
        state = self.state
        enabled = state.memory[STATUS_B] & B_INTERRUPTS
        self._set_irq(bool(state.flags & enabled))
        self._clock.cancel(self._event)
        self._event = None
        if state.flags & enabled:
            return
        ticks = []
        if enabled & PERIODIC and self._period:
            pulse = (self._periods(self._clock.now) + 1) * self._period
            ticks.append(state.since - -pulse * TICKS_PER_SECOND // OSCILLATOR_HZ)
        if enabled & (UPDATE | ALARM) and self._is_going:
            seconds = 1 if enabled & UPDATE else self._until_alarm(self._now)
            if seconds is not None:
                update = self._updates(self._clock.now) + seconds
                ticks.append(state.since + update * TICKS_PER_SECOND)
        if ticks:
            self._event = self._clock.schedule(min(ticks), self._on_event)

    def _on_event(self) -> None:
        self._settle()
        self._update()
