"""Guests that switch tasks in hardware: refused under ring compression, faults alike everywhere."""

from __future__ import annotations

import pytest

from hypervisor.bare import Bare
from hypervisor.ring_compression.technique import RingCompression
from hypervisor.technique import StopReason
from tests.hypervisor.small_guests import assert_equal, boot, log_of, run

# A TSS at FREE_SEL, a task gate to it behind that, and task gates in the IDT.
OTHER_TASK = """
    mov dword [gdt_free], (SCRATCH & 0xFFFF) << 16 | 103
    mov dword [gdt_free + 4], 0x8900 | SCRATCH >> 16
    mov dword [gdt_free + 8], FREE_SEL << 16
    mov dword [gdt_free + 12], 0x8500
    mov dword [SCRATCH + 0x20], .other
    mov dword [SCRATCH + 0x24], 2
    mov dword [SCRATCH + 0x38], USER_STACK
    mov dword [SCRATCH + 0x4C], KERNEL_CODE
    mov dword [SCRATCH + 0x50], KERNEL_DATA
    mov dword [SCRATCH + 0x54], KERNEL_DATA
    jmp .ready
.other:
    mov al, 5
    out 0xF4, al
.ready:
"""

# Words for a gate of the IDT at a vector: its task gate.
TASK_GATE = """
    mov word [IDT + {0} * 8 + 2], FREE_SEL
    mov word [IDT + {0} * 8 + 4], 0x8500
"""

SWITCHES = {
    "jump": "jmp FREE_SEL:0",
    "call": "call FREE_SEL:0",
    "jump through a gate": "jmp FREE_SEL + 8:0",
    "call through a gate": "call FREE_SEL + 8:0",
    "software interrupt": TASK_GATE.format(0x30) + "int 0x30",
    "exception": TASK_GATE.format(6) + "ud2",
    "interrupt": TASK_GATE.format(0x20) + "mov ecx, 9\ncall timer_on\nsti\nhlt",
    "double fault": TASK_GATE.format(8)
    + """
        mov word [IDT + 13 * 8 + 2], 0          ; the handler of #GP leads nowhere
        mov eax, 0xFFF8
        mov ds, ax
    """,
    "interrupt return": """
        mov byte [gdt_free + 5], 0x8B           ; busy, as if it had called this task
        mov word [TSS], FREE_SEL
        pushfd
        or dword [esp], 0x4000
        popfd
        iret
    """,
}


@pytest.mark.parametrize("way", SWITCHES)
def test_a_switch_works_bare_and_ends_a_ring_compressed_vm(way: str) -> None:
    body = OTHER_TASK + SWITCHES[way]
    bare, stop = run(Bare, body)
    assert stop.reason is StopReason.EXIT
    assert bare.exit_code == 11
    stop = boot(RingCompression, body).run(100_000)
    assert stop.reason is StopReason.ERROR
    assert "switches to task 0x0038" in stop.detail


DIRECT = ("jmp FREE_SEL:0", "call FREE_SEL:0")
GATES = ("jmp FREE_SEL + 8:0", "call FREE_SEL + 8:0", "int 0x30")

# Attempts that fault before anything is switched: the log of exceptions must be the same.
FAULTS = {
    "busy": (DIRECT + GATES, "mov byte [gdt_free + 5], 0x8B"),
    "absent": (DIRECT + GATES, "mov byte [gdt_free + 5], 0x09"),
    "short": (DIRECT + GATES, "mov word [gdt_free], 102"),
    "short, of 16 bits": (DIRECT, "mov word [gdt_free], 42\nmov byte [gdt_free + 5], 0x81"),
    "null": (GATES, "mov word [gdt_free + 10], 0"),
    "no task": (GATES, "mov word [gdt_free + 10], KERNEL_CODE"),
    "local": (GATES, "mov word [gdt_free + 10], FREE_SEL + 4"),
    "outside": (GATES, "mov word [gdt_free + 10], 0xFFF8"),
    "absent gate": (GATES, "and byte [gdt_free + 13], 0x7F\nand byte [IDT + 0x185], 0x7F"),
}


@pytest.mark.compiled
@pytest.mark.parametrize("what", FAULTS)
def test_a_switch_that_faults_faults_alike(what: str) -> None:
    attempts, setting = FAULTS[what]
    body = OTHER_TASK + TASK_GATE.format(0x30) + setting
    if attempts is GATES:
        body += "\nmov ax, [gdt_free + 10]\nmov [IDT + 0x182], ax"
    for number, attempt in enumerate(attempts):
        body += f"\nresume_at .after{number}\n{attempt}\n.after{number}:"
    ring = assert_equal(body)
    assert len(log_of(ring)) == len(attempts)


@pytest.mark.compiled
def test_a_nested_return_without_a_task_faults_alike() -> None:
    body = OTHER_TASK
    for number, link in enumerate(("FREE_SEL", "FREE_SEL + 4", "0", "KERNEL_DATA", "0xFFF8")):
        body += f"""
            mov word [TSS], {link}
            resume_at .after{number}
            pushfd
            or dword [esp], 0x4000
            popfd
            iret
        .after{number}:
        """
    assert len(log_of(assert_equal(body))) == 5
