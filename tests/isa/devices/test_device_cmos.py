"""The real-time clock and CMOS memory, statement by statement of the MC146818A datasheet."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa.devices.bus import Bus
from isa.devices.calendar import Moment, days_of_month, moment_of, seconds_of, weekday_of
from isa.devices.clock import TICKS_PER_SECOND, EventClock
from isa.devices.cmos import Cmos

MICROSECOND = TICKS_PER_SECOND // 1_000_000


class Clockwork:
    """CMOS behind its ports."""

    def __init__(self, ram_bytes: int = 32 << 20) -> None:
        self.clock = EventClock()
        self.line = False
        self.cmos = Cmos(self.clock, self._set_line, ram_bytes)
        self.bus = Bus()
        self.bus.claim_ports(0x70, 0x71, self.cmos)

    def _set_line(self, level: bool) -> None:
        self.line = level

    def wait(self, ticks: int) -> None:
        end = self.clock.now + ticks
        while (at := self.clock.next_deadline()) is not None and at <= end:
            self.clock.advance_to(max(at, self.clock.now))
            self.clock.run_due()
        self.clock.advance_to(end)

    def get(self, index: int) -> int:
        self.bus.write_port(0x70, 1, index)
        return self.bus.read_port(0x71, 1)

    def put(self, index: int, value: int) -> None:
        self.bus.write_port(0x70, 1, index)
        self.bus.write_port(0x71, 1, value)

    def calendar(self) -> list[int]:
        return [self.get(index) for index in (0x32, 9, 8, 7, 6, 4, 2, 0)]


def test_the_calendar_starts_at_a_fixed_moment_and_follows_the_clock() -> None:
    clockwork = Clockwork()
    assert clockwork.calendar() == [0x20, 0x00, 0x01, 0x01, 7, 0x00, 0x00, 0x00]  # a Saturday
    day = datetime.datetime(2024, 2, 29, 23, 59, 58)
    seconds = int((day - datetime.datetime(2000, 1, 1)).total_seconds())
    clockwork.clock.advance_to(seconds * TICKS_PER_SECOND)
    assert clockwork.calendar() == [0x20, 0x24, 0x02, 0x29, 5, 0x23, 0x59, 0x58]
    clockwork.clock.advance(2 * TICKS_PER_SECOND)
    assert clockwork.calendar() == [0x20, 0x24, 0x03, 0x01, 6, 0x00, 0x00, 0x00]


def test_binary_and_12_hour_formats() -> None:
    clockwork = Clockwork()
    hours = []
    clockwork.put(0x0B, 0x04)  # binary, 12 hours
    for _ in range(24):
        hours.append(clockwork.get(4))
        clockwork.clock.advance(3600 * TICKS_PER_SECOND)
    assert hours == [12, *range(1, 12), 0x8C, *(0x80 | hour for hour in range(1, 12))]
    clockwork.put(0x0B, 0x00)
    clockwork.clock.advance(22 * 3600 * TICKS_PER_SECOND)
    assert clockwork.get(4) == 0x90


def test_the_calendar_never_ends() -> None:
    clockwork = Clockwork()
    clockwork.clock.advance_to(10**30)
    assert len(clockwork.calendar()) == 8


def test_cmos_status_and_memory() -> None:
    clockwork = Clockwork()
    assert clockwork.get(0x0A) == 0x26
    assert clockwork.get(0x0B) == 0x02
    assert clockwork.get(0x0C) == 0x00
    assert clockwork.get(0x0D) == 0x80
    assert not clockwork.get(0x14) & 0x02  # no coprocessor
    clockwork.put(0x0D, 0x00)
    assert clockwork.get(0x0D) == 0x80
    clockwork.put(0x80 | 0x0F, 0x0A)  # NMI mask bit is not part of the index
    assert clockwork.get(0x0F) == 0x0A
    clockwork.cmos.reset()
    assert clockwork.get(0x0F) == 0x0A
    assert clockwork.bus.read_port(0x70, 1) == 0xFF


@pytest.mark.parametrize(
    ("ram_bytes", "extended_kib", "blocks"),
    [
        (1 << 20, 0, 0),
        (512 << 10, 0, 0),
        (16 << 20, 15 << 10, 0),
        (64 << 20, 63 << 10, 768),
        (3 << 30, 0xFFFF, 48896),
    ],
)
def test_memory_size(ram_bytes: int, extended_kib: int, blocks: int) -> None:
    clockwork = Clockwork(ram_bytes)

    def word(index: int) -> int:
        return clockwork.get(index) | clockwork.get(index + 1) << 8

    assert word(0x15) == 640
    assert word(0x17) == word(0x30) == extended_kib
    assert word(0x34) == blocks


@settings(deadline=None)
@given(st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31)))
def test_the_calendar_is_the_hosts(day: datetime.datetime) -> None:
    moment = Moment(day.year, day.month, day.day, day.hour, day.minute, day.second)
    seconds = seconds_of(moment)
    assert moment_of(seconds) == moment
    assert weekday_of(seconds) == day.isoweekday() % 7
    following = day.replace(day=28) + datetime.timedelta(4)
    last = following - datetime.timedelta(following.day)
    assert days_of_month(day.year, day.month) == last.day


def test_the_checksum_covers_what_firmware_has_set() -> None:
    clockwork = Clockwork()
    clockwork.cmos.describe({0x10: 0x40, 0x12: 0xF0})
    assert clockwork.get(0x10) == 0x40
    total = sum(clockwork.get(index) for index in range(0x10, 0x2E))
    assert clockwork.get(0x2E) << 8 | clockwork.get(0x2F) == total


def test_setting_with_the_updates_stopped() -> None:
    clockwork = Clockwork()
    clockwork.wait(TICKS_PER_SECOND // 4)
    clockwork.put(0x0B, 0x82)
    for index, value in ((0x32, 0x19), (9, 0x99), (8, 0x12), (7, 0x31), (6, 6), (4, 0x23)):
        clockwork.put(index, value)
    clockwork.put(2, 0x59)
    clockwork.put(0, 0x58)
    clockwork.wait(10 * TICKS_PER_SECOND)
    assert clockwork.get(0) == 0x58
    clockwork.put(0x0B, 0x02)
    assert clockwork.calendar() == [0x19, 0x99, 0x12, 0x31, 6, 0x23, 0x59, 0x58]
    clockwork.wait(TICKS_PER_SECOND * 3 // 4)  # the dividers never stopped
    assert clockwork.get(0) == 0x59
    clockwork.wait(TICKS_PER_SECOND)
    assert clockwork.calendar() == [0x20, 0x00, 0x01, 0x01, 7, 0x00, 0x00, 0x00]


def test_setting_a_running_clock() -> None:
    clockwork = Clockwork()
    clockwork.put(4, 0x17)
    clockwork.put(6, 2)
    clockwork.wait(24 * 3600 * TICKS_PER_SECOND)
    assert clockwork.calendar() == [0x20, 0x00, 0x01, 0x02, 3, 0x17, 0x00, 0x00]


def test_an_update_is_announced() -> None:
    clockwork = Clockwork()
    clockwork.wait(TICKS_PER_SECOND - 2228 * MICROSECOND - 1)
    assert clockwork.get(0x0A) == 0x26
    clockwork.wait(1)
    assert clockwork.get(0x0A) == 0xA6
    clockwork.wait(2228 * MICROSECOND - 1)
    assert (clockwork.get(0x0A), clockwork.get(0)) == (0xA6, 0)
    clockwork.wait(1)
    assert (clockwork.get(0x0A), clockwork.get(0)) == (0x26, 1)
    clockwork.put(0x0B, 0x82)
    clockwork.wait(TICKS_PER_SECOND - 1)
    assert clockwork.get(0x0A) == 0x26


def test_the_divider_held_in_reset_and_released() -> None:
    clockwork = Clockwork()
    clockwork.wait(TICKS_PER_SECOND * 5 // 2)
    clockwork.put(0x0A, 0x70)
    clockwork.wait(10 * TICKS_PER_SECOND)
    assert clockwork.get(0) == 2
    clockwork.put(0x0A, 0x26)
    clockwork.wait(TICKS_PER_SECOND // 2 - 1)
    assert clockwork.get(0) == 2
    clockwork.wait(1)
    assert clockwork.get(0) == 3


@pytest.mark.parametrize(
    ("rate", "hertz"), [(1, 256), (2, 128), (3, 8192), (6, 1024), (13, 8), (15, 2)]
)
def test_the_periodic_interrupt(rate: int, hertz: int) -> None:
    clockwork = Clockwork()
    clockwork.put(0x0A, 0x20 | rate)
    clockwork.put(0x0B, 0x42)
    count = 0
    while clockwork.clock.now < TICKS_PER_SECOND:
        at = clockwork.clock.next_deadline()
        assert at is not None
        clockwork.wait(at - clockwork.clock.now)
        assert clockwork.line
        assert clockwork.get(0x0C) & 0xC0 == 0xC0
        assert not clockwork.line
        count += 1
    assert count == hertz
    assert clockwork.clock.now == TICKS_PER_SECOND


def test_flags_without_interrupts_and_without_events() -> None:
    clockwork = Clockwork()
    assert clockwork.clock.next_deadline() is None
    clockwork.wait(TICKS_PER_SECOND)
    assert clockwork.get(0x0C) == 0x50
    assert clockwork.get(0x0C) == 0x00
    clockwork.put(0x0A, 0x20)  # rate 0: no periodic flag
    clockwork.wait(TICKS_PER_SECOND)
    assert clockwork.get(0x0C) == 0x10


def test_the_update_ended_interrupt() -> None:
    clockwork = Clockwork()
    clockwork.put(0x0B, 0x12)
    assert clockwork.clock.next_deadline() == TICKS_PER_SECOND
    clockwork.wait(TICKS_PER_SECOND)
    assert clockwork.line
    assert clockwork.get(0x0C) & 0x90 == 0x90
    clockwork.put(0x0B, 0x92)  # SET clears UIE
    assert clockwork.get(0x0B) == 0x82


@pytest.mark.parametrize(
    ("hour", "minute", "second", "after"),
    [
        (0x00, 0x00, 0x05, 5),
        (0x13, 0x30, 0x00, 13 * 3600 + 30 * 60),
        (0xFF, 0x01, 0x02, 62),
        (0xC0, 0xC0, 0x30, 30),
        (0xFF, 0xFF, 0xFF, 1),
        (0x00, 0x00, 0x00, 24 * 3600),
        (0x25, 0x00, 0x00, None),
    ],
)
def test_the_alarm(hour: int, minute: int, second: int, after: int | None) -> None:
    clockwork = Clockwork()
    for index, value in ((5, hour), (3, minute), (1, second)):
        clockwork.put(index, value)
    clockwork.put(0x0B, 0x22)
    due = clockwork.clock.next_deadline()
    assert due == (None if after is None else after * TICKS_PER_SECOND)
    if after is not None:
        clockwork.wait(after * TICKS_PER_SECOND - 1)
        assert not clockwork.get(0x0C) & 0x20
        clockwork.wait(1)
        assert clockwork.line
        assert clockwork.get(0x0C) & 0xA0 == 0xA0


def test_reset_ends_interrupts_and_keeps_the_time() -> None:
    clockwork = Clockwork()
    clockwork.put(0x0B, 0x76)
    clockwork.wait(TICKS_PER_SECOND)
    clockwork.cmos.reset()
    assert not clockwork.line
    assert clockwork.get(0x0B) == 0x06
    assert clockwork.get(0x0C) == 0
    assert clockwork.get(0) == 1


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 0x7F), st.integers(0, 255), st.integers(0, 10**9))))
def test_any_bytes_leave_a_calendar(writes: list[tuple[int, int, int]]) -> None:
    clockwork = Clockwork()
    for index, value, ticks in writes:
        clockwork.put(index, value)
        clockwork.clock.advance(ticks)
        clockwork.clock.run_due()
        for any_index in range(0x80):
            assert 0 <= clockwork.get(any_index) <= 0xFF
