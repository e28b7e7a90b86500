"""Where ring compression breaks: instructions that tell the rings apart without a trap.

Each of the classic holes is shown by a guest that looks through it. The comparison must say that
the runs are not equal and name the instruction. A hole that is closed one day makes its test fail,
and then belongs among the guests that are equal. On a processor on which everything sensitive traps
outside ring 0 there are none, as Popek and Goldberg's first theorem says.
"""

from __future__ import annotations

import pytest

from tests.hypervisor.small_guests import assert_equal, compare

pytestmark = pytest.mark.compiled

# Instruction as the comparison names it, and code in which it shows.
HOLES = {
    "pushfd": "pushfd\npop eax",
    "popfd": "resume_at .back\npush dword 0x202\npopfd\nint 0x30\n.back:",
    "smsw eax": "smsw eax",
    "sgdt [0x1d0000]": "sgdt [SCRATCH]",
    "sidt [0x1d0000]": "sidt [SCRATCH]",
    "str ax": "str ax",
    "mov eax, cs": "mov eax, cs",
    "mov eax, ss": "mov eax, ss",
    "push cs": "push cs\npop eax",
    "lar eax, word [0x1d0000]": "mov word [SCRATCH], KERNEL_CODE\nlar eax, [SCRATCH]",
    "lsl eax, word [0x1d0000]": "mov word [SCRATCH], KERNEL_DATA\nlsl eax, [SCRATCH]",
    "verr word [0x1d0000]": """
        mov word [SCRATCH], FREE_SEL        ; good, but never loaded: it has no shadow yet
        mov dword [gdt_free], 0xFFFF
        mov dword [gdt_free + 4], 0xCF9200
        verr [SCRATCH]
        setz al
    """,
    "call 0x8:": "call KERNEL_CODE:.l\n.l: add esp, 8",
}
RESULTS = ((0x180000, 0x60000),)


@pytest.mark.parametrize("instruction", HOLES)
def test_a_hole_is_found_and_named(instruction):
    outcome = compare(HOLES[instruction] + "\nmov [SCRATCH + 0x100], eax", RESULTS)
    assert not outcome.equivalent
    assert outcome.divergence is not None
    assert outcome.divergence.instruction.startswith(instruction)


@pytest.mark.parametrize("instruction", HOLES)
def test_there_is_no_hole_where_everything_sensitive_traps(instruction):
    body = HOLES[instruction] + "\nmov [SCRATCH + 0x100], eax"
    ring = assert_equal(body, cpu="virtualizable")
    assert ring.exit_code == 1  # (0 << 1) | 1: the kit says that all went well
