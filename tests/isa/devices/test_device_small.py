"""The small devices: debug console, exit port, system control ports, CMOS."""

from __future__ import annotations

import datetime

import pytest

from isa.devices.bus import Bus
from isa.devices.clock import TICKS_PER_SECOND, EventClock
from isa.devices.cmos import Cmos
from isa.devices.debug_console import DebugConsole
from isa.devices.exit_port import ExitPort
from isa.devices.system_control import SystemControlA


def test_debug_console() -> None:
    sent = bytearray()
    bus = Bus()
    bus.claim_ports(0xE9, 0xE9, DebugConsole(sent.extend))
    assert bus.read_port(0xE9, 1) == 0xE9
    for byte in b"hi":
        bus.write_port(0xE9, 1, byte)
    bus.write_port(0xE9, 4, 0x44434221)
    assert sent == b"hi!"


@pytest.mark.parametrize(
    ("size", "value", "code"),
    [(1, 0, 1), (1, 0x10, 0x21), (4, 0x20, 0x41), (1, 0xFF, 0xFF), (2, 0x1234, 0x69)],
)
def test_exit_port(size: int, value: int, code: int) -> None:
    bus, port = Bus(), ExitPort()
    bus.claim_ports(0xF4, 0xF7, port)
    assert port.exit_code is None
    bus.write_port(0xF4, size, value)
    assert port.exit_code == code
    assert port.state.value == value
    bus.write_port(0xF4, size, value + 1)
    assert port.exit_code == code  # the first counts
    assert bus.read_port(0xF4, 1) == 0
    port.reset()
    assert port.exit_code is None


def test_port_92() -> None:
    resets: list[bool] = []
    port = SystemControlA(lambda: resets.append(True))
    assert not port.opens_a20
    port.write(0, 1, 0x02)
    assert port.opens_a20
    assert port.read(0, 1) == 0x02
    assert resets == []
    port.write(0, 1, 0x03)
    assert resets == [True]
    port.write(0, 1, 0x03)
    assert resets == [True]  # bit 0 must rise


class Clockwork:
    """CMOS behind its ports."""

    def __init__(self, ram_bytes: int = 32 << 20) -> None:
        self.clock = EventClock()
        self.cmos = Cmos(self.clock, ram_bytes)
        self.bus = Bus()
        self.bus.claim_ports(0x70, 0x71, self.cmos)

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
    clockwork.put(0x0A, 0xFF)
    assert clockwork.get(0x0A) == 0x7F  # never in an update
    clockwork.put(0x0D, 0x00)
    assert clockwork.get(0x0D) == 0x80
    clockwork.put(0x00, 0x33)
    assert clockwork.get(0x00) == 0x00  # the calendar cannot be set
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
