"""Small guests about interrupts, gates and endings: the same state bare and in rings 1 and 3.

As in test_small_guests.py, all registers and all of RAM are compared at the end.
"""

from __future__ import annotations

import pytest

from tests.hypervisor.small_guests import assert_equal

pytestmark = pytest.mark.compiled


def test_the_timer_interrupts_the_same_instruction():
    ring = assert_equal("""
        mov ecx, 50
        call timer_on
        sti
        xor ebx, ebx
    .wait:
        inc ebx
        in al, 0x61
        cmp dword [ticks], 9
        jb .wait
        cli
        mov [SCRATCH], ebx
    """)
    assert ring.exits["virtual_interrupt"] >= 9


def test_the_timer_interrupts_a_task_and_ends_halts():
    assert_equal("""
        call paging_on
        mov ecx, 100
        call timer_on
        sti
        hlt
        hlt
        cli
        sti
        nop
        sti
        hlt
        cli
        resume_at back
        mov dword [ticks], 0
        user_at task
    task:
        inc ebx
        cmp dword [ticks], 5
        jb task
        int 0x40
    back:
        mov [SCRATCH], ebx
        ret
    """)


def test_the_shadow_of_sti_and_of_mov_ss_holds_interrupts_off():
    assert_equal("""
        mov ecx, 3
        call timer_on
        mov ecx, 40
        mov edx, KERNEL_DATA
    .again:
        cli
        nop
        sti
        cli
        sti
        mov ss, dx
        nop
        mov ss, dx
        mov ss, dx
        nop
        sti
        dec ecx
        jnz .again
        cli
    """)


def test_repeated_port_input_is_interrupted_alike():
    assert_equal("""
        mov ecx, 20
        call timer_on
        sti
        mov edi, SCRATCH
        mov ecx, 200
        mov edx, 0x61
        rep insb
        nop
        hlt
        cli
    """)


def test_interrupt_gates_of_all_kinds():
    assert_equal("""
        mov word [IDT + 0x21 * 8 + 4], 0x8F00   ; trap gate
        mov word [IDT + 0x22 * 8 + 4], 0x0E00   ; not present
        mov word [IDT + 0x23 * 8 + 4], 0x8500   ; task gate
        mov word [IDT + 0x24 * 8 + 2], KERNEL_DATA
        mov word [IDT + 0x25 * 8 + 2], 0
        resume_at .a
        sti
        int 0x21
    .a: resume_at .b
        int 0x22
    .b: resume_at .c
        int 0x23
    .c: resume_at .d
        int 0x24
    .d: resume_at .e
        int 0x25
    .e: resume_at .f
        mov word [TSS + 8], USER_DATA
        user_at .f
    .f: mov word [TSS + 8], KERNEL_DATA
        cli
    """)


def test_16_bit_interrupt_gates_and_code():
    assert_equal("""
        mov eax, code16
        mov word [gdt_free], 0xFFFF
        mov [gdt_free + 2], ax
        shr eax, 16
        mov [gdt_free + 4], al
        mov byte [gdt_free + 5], 0x9A
        mov dword [IDT + 0x21 * 8], FREE_SEL << 16
        mov dword [IDT + 0x21 * 8 + 4], 0x8600
        int 0x21
    bits 16
    code16:
        mov ax, [bx]
        push ax
        mov eax, cr0
        cli
        db 0x66, 0xEA
        dd back
        dw KERNEL_CODE
    bits 32
    back:
        mov esp, STACK_TOP - 4
        ret
    """)


@pytest.mark.parametrize("handler", ["unmapped", "no gate", "bad stack"])
def test_double_and_triple_faults(handler):
    body = {
        "unmapped": "mov dword [IDT + 14 * 8], 0x08FFFF\nmov eax, [0x80000000]",
        "no gate": "mov dword [IDT + 6 * 8 + 4], 0\nud2",
        "bad stack": "mov esp, 0x80000000\nud2",
    }[handler]
    assert_equal(
        f"""
        call paging_on
        resume_at back
        {body}
    back:
        mov dword [IDT + 8 * 8 + 4], 0
        {body}
        """,
        reason="shutdown",
    )


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("cli\nhlt", "halt"),
        ("sti\nhlt", "halt"),
        ("mov al, 0xFE\nout 0x64, al\nnop", "shutdown"),
        (".l: jmp .l", "budget"),
        ("lidt [empty]\nint 3\nempty: dd 0, 0", "shutdown"),
    ],
)
def test_a_guest_ends_for_the_same_reason(code, reason):
    assert_equal(code, reason=reason)
