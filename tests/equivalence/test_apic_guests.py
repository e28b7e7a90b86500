"""Guests that use the local and the I/O APIC: the same state bare and in rings 1 and 3.

As in test_small_guests.py, all registers and all of RAM are compared at the end.
"""

from __future__ import annotations

import pytest

from hypervisor.bare import Bare
from hypervisor.ring_compression.technique import RingCompression
from tests.hypervisor.small_guests import assert_equal, run

pytestmark = pytest.mark.compiled

# Vector 31h counts in [SCRATCH + 4], vector 32h in [SCRATCH + 8]; both end at the local APIC.
HANDLERS = """
    LAPIC equ 0xFEE00000
    IOAPIC equ 0xFEC00000
    %macro gate 2
        mov eax, %2
        mov [IDT + %1 * 8], ax
        mov word [IDT + %1 * 8 + 2], KERNEL_CODE
        mov [IDT + %1 * 8 + 4], eax
        mov word [IDT + %1 * 8 + 4], 0x8E00
    %endmacro
    %macro io_apic 2
        mov dword [IOAPIC], %1
        mov dword [IOAPIC + 0x10], %2
    %endmacro
        gate 0x31, on_timer
        gate 0x32, on_line
        jmp begin
    on_timer:
        inc dword [SCRATCH + 4]
        mov dword [LAPIC + 0xB0], 0
        iret
    on_line:
        inc dword [SCRATCH + 8]
        mov dword [LAPIC + 0xB0], 0
        iret
    begin:
        mov al, 0xFF
        out 0x21, al
        out 0xA1, al
"""


def test_the_timer_interrupts_periodically_and_wakes_from_hlt():
    ring = assert_equal(
        HANDLERS
        + """
        mov dword [LAPIC + 0xF0], 0x13F
        mov dword [LAPIC + 0x3E0], 0xB
        mov dword [LAPIC + 0x320], 0x20031
        mov dword [LAPIC + 0x380], 777
        sti
    .count:
        inc ebx
        cmp dword [SCRATCH + 4], 5
        jb .count
        hlt
        hlt
        cli
        mov eax, [LAPIC + 0x390]
        mov [SCRATCH], eax
        mov [SCRATCH + 12], ebx
        rdtsc
        mov [SCRATCH + 16], eax
    """
    )
    assert ring.exits["virtual_interrupt"] >= 7
    assert ring.read_u32(0x1D0004) == 7


def test_a_line_interrupts_through_the_io_apic():
    """The 8254's ticks arrive at input 2."""
    ring = assert_equal(
        HANDLERS
        + """
        mov ecx, 100
        call timer_on
        mov al, 0xFF
        out 0x21, al
        mov dword [LAPIC + 0x350], 0x10000
        io_apic 0x14, 0x32
        sti
    .wait:
        cmp dword [SCRATCH + 8], 3
        jb .wait
        hlt
        cli
        io_apic 0x14, 0x10032
    """
    )
    assert ring.read_u32(0x1D0008) == 4
    assert ring.read_u32(0x1D0004) == 0


def test_under_paging_and_in_user_mode():
    assert_equal(
        HANDLERS
        + """
        call paging_on
        mov dword [DIRECTORY + 0x3FB * 4], 0x1CD000 | PRESENT | WRITABLE
        mov dword [0x1CD000 + 0x200 * 4], 0xFEE00000 | PRESENT | WRITABLE
        mov dword [LAPIC + 0x3E0], 0xB
        mov dword [LAPIC + 0x320], 0x20031
        mov dword [LAPIC + 0x380], 1000
        resume_at back
        user_at task
    task:
        inc ebx
        cmp dword [SCRATCH + 4], 4
        jb task
        int 0x40
    back:
        mov [SCRATCH], ebx
        ret
    """
    )


def test_priorities_and_commands_to_self():
    ring = assert_equal(
        HANDLERS
        + """
        mov dword [LAPIC + 0x80], 0x40
        mov dword [LAPIC + 0x300], 0x40031
        sti
        nop
        cmp dword [SCRATCH + 4], 0
        jne .end
        mov dword [LAPIC + 0x80], 0x20
        nop
        mov eax, [SCRATCH + 4]
        mov [SCRATCH], eax
    .end:
        cli
        push dword [LAPIC + 0x30]
        pop dword [SCRATCH + 12]
        or dword [LAPIC + 0x320], 0x20000
        movzx eax, word [LAPIC + 0x322]
        mov [SCRATCH + 16], eax
        bt dword [LAPIC + 0x320], 16
        setc [SCRATCH + 20]
        btr dword [LAPIC + 0x340], 16
        mov eax, 0x10000
        cmpxchg [LAPIC + 0x340], eax
        shl dword [LAPIC + 0x80], 1
        mov eax, [LAPIC + 0x80]
        mov [SCRATCH + 28], eax
    """
    )
    assert ring.read_u32(0x1D0000) == 1
    assert ring.read_u32(0x1D000C) == 0x00040011
    assert ring.read_u32(0x1D0010) == 3


def test_the_base_register_hides_and_moves_it():
    ring = assert_equal(
        """
        mov eax, 1
        cpuid
        mov [SCRATCH], edx
        mov ecx, [0xFEE00030]
        mov [SCRATCH + 4], ecx
        mov eax, [0xD0000030]
        mov [SCRATCH + 8], eax
        mov ecx, 0x1B
        mov eax, 0xD0000900
        xor edx, edx
        wrmsr
        mov eax, [0xD0000030]
        mov [SCRATCH + 12], eax
        mov eax, [0xFEE00030]
        mov [SCRATCH + 16], eax
        mov eax, 0xFEE00100
        xor edx, edx
        wrmsr
        mov eax, 1
        cpuid
        mov [SCRATCH + 20], edx
        mov eax, [0xFEE00030]
        mov [SCRATCH + 24], eax
    """
    )
    words = [ring.read_u32(0x1D0000 + 4 * n) for n in range(7)]
    assert words[0] ^ words[5] == 0x200
    assert words[1] == words[3] == 0x00040011
    assert words[2] == words[4] == words[6] == 0xFFFFFFFF


@pytest.mark.parametrize("kind", [Bare, RingCompression])
def test_an_nmi_to_itself_ends_the_run(kind):
    _, stop = run(kind, "mov dword [0xFEE00300], 0x4400")
    assert stop.reason == "error"
    assert "NMI" in stop.detail


@pytest.mark.parametrize("kind", [Bare, RingCompression])
def test_switching_off_ends_the_run(kind):
    _, stop = run(kind, "mov dx, 0x604\nmov ax, 0x2000\nout dx, ax")
    assert stop.reason == "power-off"


@pytest.mark.parametrize("kind", [Bare, RingCompression])
def test_the_reset_control_register_ends_the_run(kind):
    _, stop = run(kind, "mov dx, 0xCF9\nmov al, 2\nout dx, al\nmov al, 6\nout dx, al")
    assert stop.reason == "shutdown"
