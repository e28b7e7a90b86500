"""A guest that calibrates itself gets the same answer from every clock, bare and in ring 1.

It measures the 8254, the timer of power management, the local APIC's timer and the real-time clock
against the time-stamp counter, by polling and by waiting in HLT, as kernels do when they start.
"""

from __future__ import annotations

import pytest

from isa.devices.clock import TICKS_PER_SECOND
from tests.hypervisor.small_guests import assert_equal

pytestmark = pytest.mark.compiled

RESULTS = 0x1D0000
POLL = 40  # instructions by which a polling loop may be late
PIT_PULSES, PM_PULSES, RTC_PERIODS, HALTS = 600, 1000, 8, 5

GUEST = f"""
    %macro tsc 1
        rdtsc
        mov [SCRATCH + %1], eax
    %endmacro
    %macro cmos 2
        mov al, %1
        out 0x70, al
        mov al, %2
        out 0x71, al
    %endmacro

    ; Counter 2 of the 8254, mode 0, and the local APIC's timer during the same time.
        mov al, 1
        out 0x61, al
        mov al, 0xB0
        out 0x43, al
        mov dword [0xFEE003E0], 0xB
        mov al, {PIT_PULSES & 0xFF}
        out 0x42, al
        mov al, {PIT_PULSES >> 8}
        out 0x42, al
        mov dword [0xFEE00380], 0xFFFFFFFF
        tsc 0
    .pit:
        in al, 0x61
        test al, 0x20
        jz .pit
        tsc 4
        mov eax, [0xFEE00390]
        not eax
        mov [SCRATCH + 8], eax

    ; The timer of power management.
        mov edx, 0x608
        in eax, dx
        mov ebx, eax
        tsc 12
    .pm:
        mov edx, 0x608
        in eax, dx
        sub eax, ebx
        and eax, 0xFFFFFF
        cmp eax, {PM_PULSES}
        jb .pm
        tsc 16

    ; The periodic interrupt of the real-time clock, 8192 times a second, in HLT.
        mov eax, on_clock
        mov [IDT + 0x38 * 8], ax
        mov word [IDT + 0x38 * 8 + 2], KERNEL_CODE
        mov [IDT + 0x38 * 8 + 4], eax
        mov word [IDT + 0x38 * 8 + 4], 0x8E00
        mov ecx, 0
        call timer_on
        mov al, 0x11
        out 0xA0, al
        mov al, 0x38
        out 0xA1, al
        mov al, 2
        out 0xA1, al
        mov al, 1
        out 0xA1, al
        mov al, 0xFE
        out 0xA1, al
        mov al, 0xFB
        out 0x21, al
        cmos 0x0A, 0x23
        cmos 0x0B, 0x42
        sti
        hlt
        tsc 20
        mov ecx, {RTC_PERIODS}
    .rtc:
        hlt
        loop .rtc
        tsc 24

    ; The end of updates, once a second.
        cmos 0x0B, 0x12
        hlt
        tsc 28
        hlt
        tsc 32
        cli
        cmos 0x0B, 0x02

    ; The 8254's interrupt, 1193 pulses each, in HLT.
        mov al, 0xFF
        out 0xA1, al
        mov ecx, 1193
        call timer_on
        sti
        hlt
        tsc 36
        mov ecx, {HALTS}
    .halts:
        hlt
        loop .halts
        tsc 40
        cli
        ret

    on_clock:
        push eax
        mov al, 0x0C
        out 0x70, al
        in al, 0x71
        mov al, 0x20
        out 0xA0, al
        out 0x20, al
        pop eax
        iret
"""


def test_all_clocks_agree() -> None:
    ring = assert_equal(GUEST)
    word = [ring.read_u32(RESULTS + 4 * index) for index in range(11)]

    def ticks(first: int) -> int:
        return word[first + 1] - word[first] & 0xFFFFFFFF

    pit = (PIT_PULSES + 1) * TICKS_PER_SECOND / 1_193_182
    assert ticks(0) == pytest.approx(pit, abs=POLL + 84)  # the first pulse loads the count
    assert word[2] == pytest.approx(ticks(0), abs=POLL)
    power = PM_PULSES * TICKS_PER_SECOND / 3_579_545
    assert ticks(3) == pytest.approx(power, abs=POLL + 28)
    assert ticks(5) == pytest.approx(RTC_PERIODS * TICKS_PER_SECOND / 8192, abs=POLL)
    assert ticks(7) == pytest.approx(TICKS_PER_SECOND, abs=POLL)
    assert ticks(9) == pytest.approx(HALTS * 1193 * TICKS_PER_SECOND / 1_193_182, abs=POLL + 84)
