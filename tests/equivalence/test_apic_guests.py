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


def test_a_kernel_finds_its_controllers_by_the_mp_tables():
    """As small multiprocessor kernels start: search, check, walk, then use what was found."""
    ring = assert_equal(
        HANDLERS
        + """
        jmp start_up

    ; EBX bytes from ESI on: ZF if they sum to zero.
    sum:
        xor eax, eax
        mov ecx, ebx
        xor edx, edx
    .byte:
        mov dl, [esi + ecx - 1]
        add al, dl
        loop .byte
        test al, al
        ret

    ; The floating pointer between ESI and EDI: ZF if it is there.
    search:
        cmp esi, edi
        jae .none
        cmp dword [esi], '_MP_'
        jne .next
        mov ebx, 16
        call sum
        jz .end
    .next:
        add esi, 16
        jmp search
    .none:
        test esp, esp
    .end:
        ret

    start_up:
        movzx esi, word [0x40E]
        shl esi, 4
        lea edi, [esi + 1024]
        call search
        je found
        movzx esi, word [0x413]
        shl esi, 10
        sub esi, 1024
        lea edi, [esi + 1024]
        call search
        je found
        mov esi, 0xF0000
        mov edi, 0x100000
        call search
        jne failed
    found:
        mov esi, [esi + 4]
        cmp dword [esi], 'PCMP'
        jne failed
        movzx ebx, word [esi + 4]
        call sum
        jne failed
        mov ebp, [esi + 36]
        lea edi, [esi + ebx]
        add esi, 44
    .entry:
        cmp esi, edi
        jae .done
        movzx eax, byte [esi]
        test eax, eax
        jz .processor
        cmp eax, 2
        jne .eight
        movzx ebx, byte [esi + 1]
        mov [SCRATCH + 0x20], ebx
        mov ebx, [esi + 4]
        mov [SCRATCH + 0x24], ebx
    .eight:
        add esi, 8
        jmp .entry
    .processor:
        inc dword [SCRATCH + 0x28]
        add esi, 20
        jmp .entry
    .done:
        mov [SCRATCH + 0x2C], ebp
        mov ebx, [SCRATCH + 0x24]
        mov dword [ebx], 0
        mov eax, [ebx + 0x10]
        shr eax, 24
        mov [SCRATCH + 0x30], eax
        mov dword [ebx], 1
        mov eax, [ebx + 0x10]
        mov [SCRATCH + 0x34], eax
        mov dword [ebx], 0x18
        mov dword [ebx + 0x10], 0x32
        mov dword [ebx], 0x19
        mov dword [ebx + 0x10], 0

        mov dword [ebp + 0xF0], 0x13F
        mov dword [ebp + 0x3E0], 0xB
        mov dword [ebp + 0x320], 0x20031
        mov dword [ebp + 0x380], 10000
        mov dword [ebp + 0x350], 0x10000
        mov dword [ebp + 0x360], 0x10000
        mov eax, [ebp + 0x30]
        shr eax, 16
        cmp al, 4
        jb failed
        mov dword [ebp + 0x340], 0x10000
        mov dword [ebp + 0x370], 0x3E
        mov dword [ebp + 0x280], 0
        mov dword [ebp + 0x280], 0
        mov dword [ebp + 0xB0], 0
        mov dword [ebp + 0x310], 0
        mov dword [ebp + 0x300], 0x88500
    .delivery:
        test dword [ebp + 0x300], 0x1000
        jnz .delivery
        mov dword [ebp + 0x80], 0

        mov edx, 0x3FC
        mov al, 8
        out dx, al
        mov edx, 0x3F9
        mov al, 2
        out dx, al
        sti
    .wait:
        hlt
        cmp dword [SCRATCH + 4], 3
        jb .wait
        cli
        mov eax, [ebp + 0x280]
        mov [SCRATCH + 0x38], eax
        mov dword [SCRATCH], 1
    failed:
    """
    )
    words = [ring.read_u32(0x1D0000 + 4 * index) for index in range(15)]
    assert words[:3] == [1, 3, 1]
    assert words[8:] == [1, 0xFEC00000, 1, 0xFEE00000, 1, 0x00170011, 0]
