"""INT 08h, INT 1Ah, INT 15h AH=86h: ticks, the real-time clock, waiting.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 1Ah—System-Timer and
Real-Time Clock Services"; IBM PC/AT Technical Reference, "Interrupt 15h".
"""

from __future__ import annotations

import pytest

from isa.devices.clock import TICKS_PER_SECOND
from tests.isa.firmware.bios_machine import BiosMachine

pytestmark = [pytest.mark.compiled, pytest.mark.usefixtures("compiled_machine")]


@pytest.fixture
def bios() -> BiosMachine:
    return BiosMachine()


def test_the_timer_counts_and_calls_int_1c(bios):
    bios.call(
        "mov word [0x1C * 4], tick\nmov word [0x1C * 4 + 2], 0\n"
        "mov ah, 0\nint 0x1A\nmov bx, dx\n"
        "again: hlt\nmov ah, 0\nint 0x1A\nsub dx, bx\ncmp dx, 3\njb again\n"
        "mov cx, [cs:count]\njmp done\ntick: inc word [cs:count]\niret\ncount: dw 0\n"
        "done: mov word [0x1C * 4], 0x9000\n"
    )
    assert (bios.dx, bios.cx) == (3, 3)


def test_the_time_of_day_can_be_set(bios):
    bios.call("mov ah, 1\nmov cx, 0x0012\nmov dx, 0x3456\nint 0x1A\nmov ah, 0\nint 0x1A")
    assert (bios.cx, bios.dx, bios.al) == (0x12, 0x3456, 0)


def test_midnight_is_told_once(bios):
    bios.call(
        "mov ah, 1\nmov cx, 0x0018\nmov dx, 0x00AF\nint 0x1A\n"
        "again: hlt\nmov ah, 0\nint 0x1A\nmov [DATA], al\ncmp cx, 0x18\nje again\n"
        "mov ah, 0\nint 0x1A"
    )
    assert bios.byte(0x9000) == 1
    assert (bios.al, bios.cx) == (0, 0)
    assert bios.dx <= 1


def test_the_clock_at_power_on(bios):
    bios.call("mov ah, 2\nint 0x1A")
    assert (bios.carry, bios.cx, bios.dh) == (False, 0, 0)
    bios.call("mov ah, 4\nint 0x1A")
    assert (bios.carry, bios.cx, bios.dx) == (False, 0x2000, 0x0101)


def test_date_and_time_can_be_set(bios):
    bios.call("mov ah, 5\nmov cx, 0x1987\nmov dx, 0x1231\nint 0x1A")
    bios.call("mov ah, 3\nmov cx, 0x2315\nmov dx, 0x4000\nint 0x1A")
    bios.call("mov ah, 2\nint 0x1A")
    assert (bios.cx, bios.dh) == (0x2315, 0x40)
    bios.call("mov ah, 4\nint 0x1A")
    assert (bios.cx, bios.dx) == (0x1987, 0x1231)


def test_the_alarm_calls_int_4a(bios):
    bios.call(
        "mov word [0x4A * 4], alarm\nmov word [0x4A * 4 + 2], 0\n"
        "mov ah, 6\nmov cx, 0\nmov dx, 0x0200\nint 0x1A\n"
        "again: hlt\ncmp byte [cs:rang], 0\nje again\nmov ah, 2\nint 0x1A\n"
        "pusha\nmov ah, 7\nint 0x1A\npopa\njmp done\n"
        "alarm: mov byte [cs:rang], 1\niret\nrang: db 0\ndone:"
    )
    assert (bios.carry, bios.cx, bios.dh) == (False, 0, 2)


def test_there_is_one_alarm(bios):
    set_alarm = "mov ah, 6\nmov cx, 0x2300\nmov dx, 0\nint 0x1A"
    bios.call(set_alarm)
    assert not bios.carry
    bios.call(set_alarm)
    assert bios.carry
    bios.call("mov ah, 7\nint 0x1A")
    bios.call(set_alarm)
    assert not bios.carry


@pytest.mark.parametrize("function", [0x08, 0x0B, 0xB1, 0xFF])
def test_functions_that_there_are_not(bios, function):
    bios.call(f"mov ah, {function}\nint 0x1A")
    assert bios.carry


@pytest.mark.parametrize("microseconds", [0, 100, 5_000, 70_000, 400_000, 2_000_000])
def test_waiting_takes_its_time(bios, microseconds):
    bios.call(
        "rdtsc\nmov [DATA], eax\n"
        f"mov cx, {microseconds >> 16}\nmov dx, {microseconds & 0xFFFF}\nmov ah, 0x86\nint 0x15\n"
        "pushf\nrdtsc\nmov [DATA + 4], eax\npopf"
    )
    took = (bios.dword(0x9004) - bios.dword(0x9000)) * 1_000_000 // TICKS_PER_SECOND
    assert microseconds <= took <= microseconds * 1.01 + 100
    assert not bios.carry


def test_waiting_without_interrupts(bios):
    bios.call("mov al, 0xFF\nout 0x21, al\nmov cx, 2\nmov dx, 0\nmov ah, 0x86\nint 0x15")
    assert not bios.carry
