"""Power management registers by the ACPI specification, and the reset control register."""

from __future__ import annotations

import pytest

from isa.devices.acpi import BASE_PORT, TIMER_HZ, AcpiPower, tick_of_pulse
from isa.devices.clock import TICKS_PER_SECOND, EventClock
from isa.devices.platform import Platform

STATUS, ENABLE, CONTROL, TIMER = 0, 2, 4, 8
HALF = 1 << 23


class Board:
    """The registers, their interrupt line and what was asked of the board."""

    def __init__(self) -> None:
        self.clock = EventClock()
        self.line = False
        self.is_off = False
        self.power = AcpiPower(self.clock, self._set_line, self._switch_off)

    def _set_line(self, level: bool) -> None:
        self.line = level

    def _switch_off(self) -> None:
        self.is_off = True

    def wait_until(self, tick: int) -> None:
        self.clock.advance_to(tick)
        self.clock.run_due()


def test_the_timer_counts_at_its_rate_in_24_bits() -> None:
    board = Board()
    assert board.power.read(TIMER, 4) == 0
    board.wait_until(TICKS_PER_SECOND)
    assert board.power.read(TIMER, 4) == TIMER_HZ
    board.wait_until(tick_of_pulse(2 * HALF) - 1)
    assert board.power.read(TIMER, 4) == 0xFFFFFF
    board.wait_until(tick_of_pulse(2 * HALF))
    assert board.power.read(TIMER, 4) == 0
    board.power.write(TIMER, 4, 0xFFFFFFFF)
    assert board.power.read(TIMER, 4) == 0


def test_the_timer_says_when_its_highest_bit_changes() -> None:
    board = Board()
    board.wait_until(tick_of_pulse(HALF) - 1)
    assert board.power.read(STATUS, 2) == 0
    board.wait_until(tick_of_pulse(HALF))
    assert board.power.read(STATUS, 2) == 1
    board.power.write(STATUS, 2, 0xFFFE)
    assert board.power.read(STATUS, 2) == 1
    board.power.write(STATUS, 2, 1)
    assert board.power.read(STATUS, 2) == 0
    assert not board.line
    assert board.clock.next_deadline() is None


def test_the_timer_interrupts() -> None:
    board = Board()
    board.power.write(ENABLE, 2, 1)
    for carry in (1, 2, 3):
        assert board.clock.next_deadline() == tick_of_pulse(carry * HALF)
        board.wait_until(tick_of_pulse(carry * HALF))
        assert board.line
        board.power.write(STATUS, 1, 1)
        assert not board.line
    board.power.write(ENABLE, 2, 0)
    assert board.clock.next_deadline() is None


def test_the_power_button() -> None:
    board = Board()
    board.power.press_power_button()
    assert not board.line
    board.power.write(ENABLE, 2, 0x100)
    assert board.line
    assert board.power.read(STATUS, 4) == 0x01000100
    board.power.write(STATUS, 2, 0x100)
    assert not board.line


def test_it_is_always_in_acpi_mode() -> None:
    board = Board()
    assert board.power.read(CONTROL, 2) == 1
    board.power.write(CONTROL, 2, 0xFFFE & ~0x2000)
    assert board.power.read(CONTROL, 2) == 0x1C03


@pytest.mark.parametrize(("value", "is_off"), [(0x2000, True), (0x2400, False), (0x0000, False)])
def test_sleep_type_0_switches_off(value: int, is_off: bool) -> None:
    board = Board()
    board.power.write(CONTROL, 2, value)
    assert board.is_off is is_off


def test_a_saved_board_interrupts_at_the_same_time() -> None:
    board, other = Board(), Board()
    board.wait_until(1000)
    board.power.write(ENABLE, 2, 1)
    other.clock.restore(board.clock.save())
    other.power.restore(board.power.save())
    assert other.clock.next_deadline() == board.clock.next_deadline()
    other.wait_until(tick_of_pulse(HALF))
    assert other.line


def test_on_the_platform() -> None:
    made = Platform(lambda gpa, size: bytes(size), 4 << 20)
    made.bus.write_memory(0xFEC00000, 4, 0x10 + 18)
    made.bus.write_memory(0xFEC00010, 4, 0x8049)
    made.acpi.press_power_button()
    made.bus.write_port(BASE_PORT + ENABLE, 2, 0x100)
    assert made.acknowledge_interrupt() == 0x49
    assert not made.power_off_requested
    made.bus.write_port(0x604, 2, 0x2000)
    assert made.power_off_requested
    made.reset()
    assert not made.power_off_requested


def test_the_reset_control_register() -> None:
    made = Platform(lambda gpa, size: bytes(size), 4 << 20)
    made.bus.write_port(0xCF9, 1, 0x02)
    assert made.bus.read_port(0xCF9, 1) == 0x02
    assert not made.reset_requested
    made.bus.write_port(0xCF8, 4, 0xFFFFFFFF)  # a doubleword is not for it
    assert not made.reset_requested
    made.bus.write_port(0xCF9, 1, 0x06)
    assert made.reset_requested
    assert made.bus.read_port(0xCF8, 1) == 0xFF
