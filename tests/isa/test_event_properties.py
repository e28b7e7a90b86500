"""The software interrupts as instructions, and what every delivery has in common.

INT n, INT3, INTO and INT1 enter through their gate; only INT1 is not held to the gate's DPL. A gate
is eight bytes of the IDT; an error code of #PF is never changed.

Source: SDM vol. 2, "INT n/INTO/INT3/INT1"; vol. 3A, "Error Code", "Interrupt Descriptor Table".
"""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa import state, vectors
from isa.events import EXTERNAL, HARDWARE, PRIVILEGED, SOFTWARE
from isa.records import DONE, TRANSFER, TROUBLED
from isa.registers import SS
from tests.isa.manual_privileges import subsets
from tests.isa.protected_machine import (
    CALL32,
    CODE_RX,
    CODES,
    DATA_RO,
    DATA_RW,
    DATAS,
    IDT,
    INT16,
    INT32,
    LDT_TYPE,
    TRAP16,
    TRAP32,
    TSS,
    ProtectedMachine,
    descriptor,
    gate,
)
from tests.isa.transfer_scenes import (
    GATE_SLOT,
    STACK_SLOT,
    TARGET,
    flat_machine,
    frame,
    transfer,
)

STATUS, OF = 0x8D5, 1 << 11
TF, IF, IOPL, NT = 1 << 8, 1 << 9, 3 << 12, 1 << 14
RF, VM, AC = 1 << 16, 1 << 17, 1 << 18
INTERRUPTS = {
    "INT_imm8": (0x41, True),
    "INT3": (vectors.BP, True),
    "INTO": (vectors.OF, True),
    "INT1": (vectors.DB, False),
}
LEVELS = range(4)


@pytest.mark.parametrize("name", INTERRUPTS)
def test_software_interrupts_are_held_to_the_dpl_of_their_gate(name: str) -> None:
    vector, held = INTERRUPTS[name]
    for cpl, dpl, kind in product(LEVELS, LEVELS, (INT32, TRAP32)):
        machine = flat_machine(cpl)
        machine.gate(vector, gate(CODES[0], TARGET, kind, dpl))
        machine.eflags = OF | 2
        if held and dpl < cpl:
            with machine.unchanged():
                assert machine.execute(name, immediate=vector) == TROUBLED
            assert machine.trouble == (vectors.GP, vector * 8 + vectors.ERROR_IDT)
        else:
            assert machine.execute(name, immediate=vector) == TRANSFER
            assert (machine.level, machine.eip) == (0, TARGET)
            assert frame(machine, 1) == [0x10002]  # behind the instruction


@given(cpl=st.integers(0, 3), flags=st.integers(0, 0xFFF))
def test_into_is_an_interrupt_only_on_overflow(cpl: int, flags: int) -> None:
    machine = flat_machine(cpl)
    machine.gate(vectors.OF, gate(CODES[0], TARGET, TRAP32, 3))
    machine.eflags = flags & 0xED5 | 2
    assert machine.execute("INTO") == (TRANSFER if flags & OF else DONE)


@given(
    vector=st.integers(0, 255),
    limit=st.integers(0, 0x7FF),
    level=st.integers(0, 3),
    near=st.integers(-8, 8),
)
def test_all_eight_bytes_of_a_gate_are_within_the_idt(
    vector: int, limit: int, level: int, near: int
) -> None:
    for end in (limit, max(0, vector * 8 + 7 + near)):
        machine = flat_machine(level)
        machine.gate(vector, gate(CODES[0], TARGET, TRAP32, 3))
        machine.gate(vectors.GP, gate(CODES[0], TARGET + 1, TRAP32, 3))
        machine.cpu[state.IDTR_LIMIT] = end
        inside = vector * 8 + 7 <= end
        if inside and vector != vectors.GP:
            assert machine.execute("INT_imm8", immediate=vector) == TRANSFER
            assert machine.eip == TARGET
        elif not inside:
            with machine.unchanged():
                assert machine.execute("INT_imm8", immediate=vector) == TROUBLED
            assert machine.trouble == (vectors.GP, vector * 8 + vectors.ERROR_IDT)


@pytest.mark.parametrize("kind", [HARDWARE, EXTERNAL])
def test_the_error_code_of_a_page_fault_has_no_ext(kind: int) -> None:
    """The IDT's entry of an event lies on an absent page; that of #PF on another."""
    machine = flat_machine(0)
    machine.gate(0x80, gate(CODES[0], TARGET, TRAP32, 3))
    machine.gate(vectors.PF, gate(CODES[0], TARGET + 1, TRAP32, 3))
    machine.enable_paging()
    base = IDT + 0x1000 - 0x80 * 8  # 0x80 begins the next page
    table = machine.ram[IDT : IDT + 0x800].copy()
    machine.ram[base : base + 0x800] = table
    machine.cpu[state.IDTR_BASE] = base
    machine.map_page(IDT + 0x1000, 2)
    assert machine.deliver(0x80, -1, kind) == TRANSFER
    assert machine.eip == TARGET + 1
    assert frame(machine, 1) == [0]
    assert machine.cpu[state.CR2] == IDT + 0x1000


# --- the handler and its stack ---------------------------------------------------------------


@pytest.mark.parametrize("kind", [INT16, TRAP16, INT32, TRAP32])
@pytest.mark.parametrize("source", [HARDWARE, EXTERNAL, SOFTWARE, PRIVILEGED])
def test_the_flags_of_a_handler(kind: int, source: int) -> None:
    """TF, NT, RF and VM are cleared; IF by interrupt gates only; everything else stays."""
    for cpl, flags in product(LEVELS, subsets(IF | TF | NT | RF | AC | IOPL)):
        machine = flat_machine(cpl)
        machine.gate(0x80, gate(CODES[0], 0x9000, kind, 3))
        machine.eflags = flags | STATUS | 2
        assert machine.deliver(0x80, -1, source) == TRANSFER
        cleared = TF | NT | RF | VM | (IF if kind in (INT16, INT32) else 0)
        assert machine.eflags == flags & ~cleared | STATUS | 2
        assert (machine.level, machine.eip) == (0, 0x9000)


def enter_by_call_gate(machine: ProtectedMachine) -> int:
    return transfer(machine, "CALL", GATE_SLOT, 0, 4)


def enter_by_interrupt(machine: ProtectedMachine) -> int:
    return machine.execute("INT_imm8", immediate=0x80)


WAYS_IN = {"CALL": enter_by_call_gate, "INT": enter_by_interrupt}


def inner_machine(level: int, ss: int, cpl: int) -> ProtectedMachine:
    """Gates to a level, whose stack in the TSS is `ss` and different from those of the others."""
    machine = flat_machine(cpl)
    machine.gate(0x80, gate(CODES[level], TARGET, TRAP32, 3))
    machine.describe(GATE_SLOT, gate(CODES[level], TARGET, CALL32, 3))
    for number in range(3):
        machine.poke(TSS + 4 + 8 * number, 0xE000 + 0x100 * number)
        machine.poke(TSS + 8 + 8 * number, ss if number == level else DATAS[number] | number)
    return machine


@pytest.mark.parametrize("way", WAYS_IN)
@pytest.mark.parametrize("level", range(3))
def test_the_inner_stack_is_the_one_of_its_level(way: str, level: int) -> None:
    for cpl in range(level + 1, 4):
        machine = inner_machine(level, DATAS[level] | level, cpl)
        esp = machine.esp
        assert WAYS_IN[way](machine) == TRANSFER
        words = 4 if way == "CALL" else 5
        assert (machine.level, machine.esp) == (level, 0xE000 + 0x100 * level - 4 * words)
        assert machine.selector(SS) == DATAS[level] | level
        assert frame(machine, words)[-2:] == [esp, DATAS[cpl] | cpl]


@pytest.mark.parametrize("way", WAYS_IN)
@pytest.mark.parametrize("level", range(3))
def test_every_inner_stack_is_judged(way: str, level: int) -> None:
    """Writable data with RPL and DPL of the new level, or #TS; present, or #SS."""
    kinds = (DATA_RW, DATA_RO, CODE_RX, LDT_TYPE)
    for rpl, dpl, kind, present in product(LEVELS, LEVELS, kinds, (0, 1)):
        machine = inner_machine(level, STACK_SLOT | rpl, 3)
        machine.describe(STACK_SLOT, descriptor(kind=kind, dpl=dpl, present=present, accessed=0))
        fits = rpl == dpl == level and kind == DATA_RW
        if fits and present:
            assert WAYS_IN[way](machine) == TRANSFER
            continue
        with machine.unchanged():
            assert WAYS_IN[way](machine) == TROUBLED
        assert machine.trouble == (vectors.SS if fits else vectors.TS, STACK_SLOT)


@pytest.mark.parametrize("way", WAYS_IN)
@pytest.mark.parametrize("rpl", LEVELS)
def test_a_null_inner_stack_is_an_invalid_tss(way: str, rpl: int) -> None:
    machine = inner_machine(0, rpl, 3)
    with machine.unchanged():
        assert WAYS_IN[way](machine) == TROUBLED
    assert machine.trouble == (vectors.TS, 0)
