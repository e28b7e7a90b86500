"""INT n in virtual-8086 mode: the SDM's table of methods 1 to 6, and where its bit map lies."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa import state, vectors
from isa import workspace as w
from isa.records import TRANSFER, TROUBLED
from isa.registers import ATTR_UNUSABLE, CR4_VME, CS, ESP, SS, TR
from tests.isa.protected_machine import (
    CODES,
    DATAS,
    INT32,
    STACKS,
    TRAP32,
    TSS,
    TSS16,
    ProtectedMachine,
    gate,
)

IF, TF, IOPL, NT, RF = 1 << 9, 1 << 8, 3 << 12, 1 << 14, 1 << 16
VM, AC, VIF, VIP = 1 << 17, 1 << 18, 1 << 19, 1 << 20
MAP = 0x88  # offset of the I/O permission bit map in the TSS
HANDLER = 0x11000
OWN_IP, OWN_CS = 0x5678, 0x1234
STACK_BASE = 0x2000
FLAGS = st.integers(0, 0x1FFFFF).map(lambda value: value & (IF | TF | NT | AC | VIF | VIP | 0xCD5))


def machine_with_map(vector: int, bit: int, iopl: int, flags: int, cr4: int) -> ProtectedMachine:
    """In virtual-8086 mode; every other bit of the redirection map is the opposite."""
    machine = ProtectedMachine()
    machine.cpu[state.LIMIT + TR] = 0x2100
    machine.poke(TSS + 0x66, MAP, 2)
    everything = ((1 << 256) - 1) * (1 - bit) ^ 1 << vector
    machine.poke(TSS + MAP - 32, everything, 32)
    machine.poke(vector * 4, OWN_CS << 16 | OWN_IP)
    machine.enter_v86(iopl)
    machine.eflags = VM | 2 | iopl << 12 | flags
    machine.cpu[state.CR4] = cr4
    return machine


@dataclass(frozen=True)
class Case:
    vme: bool
    iopl: int
    bit: int
    vector: int
    trap: bool
    gate_dpl: int
    flags: int


CASES = st.builds(
    Case,
    vme=st.booleans(),
    iopl=st.integers(0, 3),
    bit=st.integers(0, 1),
    vector=st.integers(0, 255),
    trap=st.booleans(),
    gate_dpl=st.sampled_from((3, 3, 0)),
    flags=FLAGS,
)


def method_of(case: Case) -> int:
    """SDM vol. 3B, "Software Interrupt Handling Methods While in Virtual-8086 Mode"."""
    if not case.vme:
        return 1 if case.iopl == 3 else 2
    if case.bit:
        return 4 if case.iopl == 3 else 3
    return 5 if case.iopl == 3 else 6


@settings(max_examples=400)
@given(CASES)
def test_every_method(case: Case) -> None:
    machine = machine_with_map(
        case.vector, case.bit, case.iopl, case.flags, CR4_VME if case.vme else 0
    )
    words = gate(CODES[0], HANDLER, TRAP32 if case.trap else INT32, case.gate_dpl)
    machine.gate(case.vector, words)
    before = machine.eflags
    method = method_of(case)
    if method in (2, 3) or (method in (1, 4) and case.gate_dpl < 3):
        with machine.unchanged():
            assert machine.execute("INT_imm8", immediate=case.vector) == TROUBLED
        gate_fault = 0 if method in (2, 3) else case.vector * 8 + 2
        assert machine.trouble == (vectors.GP, gate_fault)
        return
    assert machine.execute("INT_imm8", immediate=case.vector) == TRANSFER
    if method in (1, 4):
        assert (machine.level, machine.eip, machine.selector(CS)) == (0, HANDLER, CODES[0])
        assert (machine.selector(SS), machine.esp) == (DATAS[0], STACKS[0] - 36)
        found = [machine.peek(machine.esp + 4 * slot) for slot in range(9)]
        assert found == [0x22, 0x100, before, 0x1000, 0x200, 0x300, 0x300, 0x300, 0x300]
        assert machine.eflags == before & ~(VM | RF | NT | TF | (0 if case.trap else IF))
        return
    assert (machine.level, machine.eip, machine.selector(CS)) == (3, OWN_IP, OWN_CS)
    assert machine.cpu[state.BASE + CS] == OWN_CS << 4
    assert machine.esp == 0x1000 - 6
    image = before & 0xFFFF
    if method == 6:
        image = image & ~IF | IOPL | (IF if before & VIF else 0)
    found = [machine.peek(STACK_BASE + machine.esp + 2 * slot, 2) for slot in range(3)]
    assert found == [0x22, 0x100, image]
    assert machine.eflags == before & ~(TF | (IF if method == 5 else VIF))
    assert machine.cpu[state.RETIRED + 3] == 1
    assert machine.core[w.COUNT + 3 * w.EVENTS + w.EVENT_DELIVERY] == 1


@pytest.mark.parametrize(("name", "vector"), [("INT3", 3), ("INTO", 4), ("INT1", 1)])
@pytest.mark.parametrize("iopl", [0, 3])
@pytest.mark.parametrize("vme", [0, CR4_VME])
def test_other_software_interrupts_always_leave(
    name: str, vector: int, iopl: int, vme: int
) -> None:
    """INT3, INTO and INT1 heed neither IOPL nor the bit map."""
    machine = machine_with_map(vector, 0, iopl, 0x800, vme)
    machine.gate(vector, gate(CODES[0], HANDLER, INT32, 3))
    assert machine.execute(name) == TRANSFER
    assert (machine.level, machine.eip) == (0, HANDLER)
    assert not machine.eflags & VM


# --- the bit map -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "limit", "fits"),
    [
        (MAP, MAP - 32 + 0x10, True),  # the byte that is looked at is the last of the TSS
        (MAP, MAP - 32 + 0x0F, False),
        (32 - 0x10, 0x2100, True),
        (32 - 0x11, 0x2100, False),  # it would lie before the TSS
        (MAP, 0x66, False),  # no room for the pointer itself
    ],
)
@pytest.mark.parametrize("iopl", [0, 3])
def test_the_bit_map_lies_within_the_tss(base: int, limit: int, fits: bool, iopl: int) -> None:
    machine = machine_with_map(0x80, 0, iopl, 0, CR4_VME)
    machine.poke(TSS, 0, 0x66)
    machine.poke(TSS + 0x66, base, 2)
    machine.cpu[state.LIMIT + TR] = limit
    if fits:
        assert machine.execute("INT_imm8", immediate=0x80) == TRANSFER
        assert machine.eip == OWN_IP
    else:
        with machine.unchanged():
            assert machine.execute("INT_imm8", immediate=0x80) == TROUBLED
        assert machine.trouble == (vectors.GP, 0)


@pytest.mark.parametrize("attributes", [0x80 | TSS16 | 2, 0x8B | ATTR_UNUSABLE])
def test_only_a_32_bit_tss_has_the_bit_map(attributes: int) -> None:
    machine = machine_with_map(0x80, 0, 3, 0, CR4_VME)
    machine.cpu[state.ATTRIBUTES + TR] = attributes
    assert machine.execute("INT_imm8", immediate=0x80) == TROUBLED
    assert machine.trouble == (vectors.GP, 0)


def test_the_bit_map_is_read_as_supervisor_and_the_vector_table_as_user() -> None:
    machine = machine_with_map(0x80, 0, 0, 0, CR4_VME)
    machine.enable_paging()
    machine.map_page(TSS, 3)
    assert machine.execute("INT_imm8", immediate=0x80) == TRANSFER
    machine = machine_with_map(0x80, 0, 0, 0, CR4_VME)
    machine.enable_paging()
    machine.map_page(0, 3)
    with machine.unchanged():
        assert machine.execute("INT_imm8", immediate=0x80) == TROUBLED
    assert machine.trouble == (vectors.PF, 5)


# --- the program's own handler -----------------------------------------------------------------


@pytest.mark.parametrize(("sp", "fault"), [(6, None), (0, None), (1, vectors.SS), (5, vectors.SS)])
def test_the_frame_wraps_like_any_push(sp: int, fault: int | None) -> None:
    machine = machine_with_map(0x80, 0, 0, 0, CR4_VME)
    machine.cpu[state.GPR + ESP] = sp
    if fault is None:
        assert machine.execute("INT_imm8", immediate=0x80) == TRANSFER
        assert machine.esp == (sp - 6) & 0xFFFF
    else:
        with machine.unchanged():
            assert machine.execute("INT_imm8", immediate=0x80) == TROUBLED
        assert machine.trouble == (fault, 0)


@pytest.mark.parametrize("iopl", [0, 3])
def test_iret_undoes_a_redirected_interrupt(iopl: int) -> None:
    machine = machine_with_map(0x80, 0, iopl, VIF | IF | 0x41, CR4_VME)
    before = machine.eflags
    assert machine.execute("INT_imm8", immediate=0x80) == TRANSFER
    assert machine.eflags != before
    assert machine.execute("IRET") == TRANSFER
    assert machine.eflags == before
    assert (machine.eip, machine.selector(CS), machine.esp) == (0x22, 0x100, 0x1000)
