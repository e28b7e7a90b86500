"""Delivery through the IDT, against the SDM's pseudo-code of INT written down again."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa import events, state, vectors
from isa import workspace as w
from isa.events import EXTERNAL, HARDWARE, PRIVILEGED, SOFTWARE
from isa.exits import Exit
from isa.host_calls import refresh
from isa.records import TRANSFER, TROUBLED
from isa.registers import ATTR_UNUSABLE, CS, SS, TR
from tests.isa.protected_machine import (
    CODE,
    CODES,
    DATA_RO,
    DATA_RW,
    DATAS,
    GDT,
    IDT,
    INT16,
    INT32,
    STACKS,
    TRAP16,
    TRAP32,
    TSS,
    TSS16,
    TSS_SELECTOR,
    ProtectedMachine,
    descriptor,
    gate,
)
from tests.isa.transfer_scenes import (
    CODE_SLOT,
    LEVEL,
    STACK_SLOT,
    TARGET,
    flat_machine,
    frame,
    mostly,
    selector_of,
)

HANDLER = TARGET
IF, TF, NT, RF, VM, AC = 1 << 9, 1 << 8, 1 << 14, 1 << 16, 1 << 17, 1 << 18


def attempt(machine: ProtectedMachine, vector: int, error: int, kind: int) -> int:
    machine.core[w.TROUBLE] = 0
    refresh(machine.cpu, machine.core)
    status = events.attempt(*machine.arrays, vector, error, kind)
    machine.check_derived()
    return int(status)


# --- all rules at once -----------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One attempt to deliver: the gate, the code segment it names, the stack of the TSS."""

    kind: int
    cpl: int
    gate_type: int
    gate_dpl: int
    gate_present: int
    in_idt: bool
    selector: str  # "null", "outside" or "fine"
    code_kind: int
    code_dpl: int
    code_present: int
    tss: str  # "32", "16", "short", "none"
    stack: str  # "null", "outside" or "fine"
    stack_rpl: int
    stack_dpl: int
    stack_kind: int
    stack_present: int
    room: bool
    reachable: bool


@st.composite
def cases(draw: st.DrawFn) -> Case:
    cpl = draw(LEVEL)
    code_dpl = draw(st.integers(0, cpl)) if draw(st.booleans()) else draw(LEVEL)
    stack_level = code_dpl if draw(mostly(True, False)) else draw(LEVEL)
    return Case(
        kind=draw(st.sampled_from((HARDWARE, EXTERNAL, SOFTWARE, PRIVILEGED))),
        cpl=cpl,
        gate_type=draw(st.one_of(st.sampled_from((INT32, TRAP32, INT16, TRAP16)), LEVEL)),
        gate_dpl=draw(mostly(3, 0, 1, 2)),
        gate_present=draw(mostly(1, 0)),
        in_idt=draw(mostly(True, False)),
        selector=draw(mostly("fine", "null", "outside")),
        code_kind=draw(mostly(0x1A, 0x18, 0x1C, 0x1E, 0x12, 0x0C)),
        code_dpl=code_dpl,
        code_present=draw(mostly(1, 0)),
        tss=draw(mostly("32", "16", "short", "none")),
        stack=draw(mostly("fine", "null", "outside")),
        stack_rpl=stack_level,
        stack_dpl=draw(mostly(stack_level, 0, 3)),
        stack_kind=draw(mostly(DATA_RW, DATA_RO, 0x1A)),
        stack_present=draw(mostly(1, 0)),
        room=draw(mostly(True, False)),
        reachable=draw(mostly(True, False)),
    )


VECTOR = 0x21


def expected(case: Case) -> tuple[int, int] | None:
    """Vector and error code without EXT, or None if the handler is entered (INT n, Operation)."""
    gate_code = VECTOR * 8 + 2
    if not case.in_idt or case.gate_type not in (INT32, TRAP32, INT16, TRAP16):
        return vectors.GP, gate_code
    if case.kind == SOFTWARE and case.gate_dpl < case.cpl:
        return vectors.GP, gate_code
    if not case.gate_present:
        return vectors.NP, gate_code
    if case.selector == "null":
        return vectors.GP, 0
    code = selector_of(case.selector, CODE_SLOT, 0)
    if case.selector == "outside":
        return vectors.GP, code
    if case.code_kind & 0x18 != 0x18 or case.code_dpl > case.cpl:
        return vectors.GP, code
    if not case.code_present:
        return vectors.NP, code
    if not case.code_kind & 4 and case.code_dpl < case.cpl:
        return expected_stack(case)
    if not case.room:
        return vectors.SS, 0
    return None if case.reachable else (vectors.GP, 0)


def expected_stack(case: Case) -> tuple[int, int] | None:
    if case.tss in ("short", "none"):
        return vectors.TS, TSS_SELECTOR
    if case.stack == "null":
        return vectors.TS, 0
    stack = selector_of(case.stack, STACK_SLOT, 0)
    if case.stack == "outside":
        return vectors.TS, stack
    same_level = case.stack_rpl == case.stack_dpl == case.code_dpl
    if not same_level or case.stack_kind != DATA_RW:
        return vectors.TS, stack
    if not case.stack_present:
        return vectors.SS, stack
    if not case.room:
        return vectors.SS, stack
    return None if case.reachable else (vectors.GP, 0)


def build(case: Case) -> ProtectedMachine:
    machine = ProtectedMachine()
    cpu = machine.cpu
    cpu[state.GDTR_LIMIT] = 0x1EF
    machine.set_level(case.cpl)
    offset = HANDLER if case.gate_type in (INT32, TRAP32) else HANDLER & 0xFFFF
    code = selector_of(case.selector, CODE_SLOT, 0)
    # 16-bit gates do not have the upper half of the offset: here it is rubbish.
    words = gate(code, HANDLER, case.gate_type, case.gate_dpl, present=case.gate_present)
    machine.gate(VECTOR, words)
    cpu[state.IDTR_LIMIT] = VECTOR * 8 + (7 if case.in_idt else 6)
    limit = offset if case.reachable else offset - 1
    words = descriptor(
        0, limit, case.code_kind, case.code_dpl, present=case.code_present, pages=0, accessed=0
    )
    machine.describe(CODE_SLOT, words)
    stack_limit = 0xFFFFF if case.room else 3
    words = descriptor(
        0, stack_limit, case.stack_kind, case.stack_dpl, present=case.stack_present, pages=0,
        accessed=0,
    )  # fmt: skip
    machine.describe(STACK_SLOT, words)
    if not case.room:
        cpu[state.LIMIT + SS] = 3
    ss = selector_of(case.stack, STACK_SLOT, case.stack_rpl)
    for level in range(3):
        if case.tss == "16":
            machine.poke(TSS + 2 + 4 * level, 0xE000, 2)
            machine.poke(TSS + 4 + 4 * level, ss, 2)
        else:
            machine.poke(TSS + 4 + 8 * level, 0xE000)
            machine.poke(TSS + 8 + 8 * level, ss)
    if case.tss == "16":
        cpu[state.ATTRIBUTES + TR] = 0x80 | TSS16 | 2
        cpu[state.LIMIT + TR] = 0x2B
    elif case.tss == "short":
        cpu[state.LIMIT + TR] = 4 + 8 * case.code_dpl + 4
    elif case.tss == "none":
        cpu[state.ATTRIBUTES + TR] |= ATTR_UNUSABLE
    return machine


@settings(max_examples=500)
@given(case=cases(), error=st.sampled_from((-1, 0, 0xFFF8)), low_flags=st.integers(0, 0xFFF))
def test_delivery_follows_the_pseudo_code(case: Case, error: int, low_flags: int) -> None:
    machine = build(case)
    machine.eflags = low_flags & 0xED5 | 2 | NT | AC
    before, esp = machine.eflags, machine.esp
    old_ss, old_cs = machine.selector(SS), machine.selector(CS)
    fault = expected(case)
    if fault is not None:
        with machine.unchanged():
            assert attempt(machine, VECTOR, error, case.kind) == TROUBLED
        assert machine.trouble == fault
        return
    assert attempt(machine, VECTOR, error, case.kind) == TRANSFER
    wide = case.gate_type in (INT32, TRAP32)
    size, mask = (4, 0xFFFFFFFF) if wide else (2, 0xFFFF)
    inner = not case.code_kind & 4 and case.code_dpl < case.cpl
    eip = CODE + 2 if case.kind in (SOFTWARE, PRIVILEGED) else CODE
    words = ([] if error < 0 else [error]) + [eip, old_cs, before]
    words += [esp, old_ss] if inner else []
    level = case.code_dpl if inner else case.cpl
    assert machine.esp == (0xE000 if inner else esp) - size * len(words)
    assert frame(machine, len(words), size) == [word & mask for word in words]
    assert machine.level == level
    assert machine.selector(CS) == CODE_SLOT | level
    assert machine.selector(SS) == (STACK_SLOT | level if inner else old_ss)
    assert machine.eip == (HANDLER if wide else HANDLER & 0xFFFF)
    cleared = TF | NT | RF | VM | (IF if case.gate_type in (INT32, INT16) else 0)
    assert machine.eflags == before & ~cleared
    assert machine.descriptor_type(CODE_SLOT) & 1
    assert machine.descriptor_type(STACK_SLOT) & 1 == int(inner)


# --- single rules ----------------------------------------------------------------------------


@pytest.mark.parametrize("vector", range(20))
@pytest.mark.parametrize("kind", [HARDWARE, EXTERNAL])
def test_faults_save_the_resume_flag(vector: int, kind: int) -> None:
    machine = flat_machine()
    assert machine.deliver(vector, -1, kind) == TRANSFER
    faults = {0, 5, 6, 7, 10, 11, 12, 13, 14, 16, 17}
    assert bool(frame(machine, 3)[2] & RF) == (kind == HARDWARE and vector in faults)
    assert not machine.eflags & RF


@pytest.mark.parametrize(
    ("kind", "ext"), [(HARDWARE, 1), (EXTERNAL, 1), (SOFTWARE, 0), (PRIVILEGED, 1)]
)
def test_the_error_code_says_whether_the_event_was_external(kind: int, ext: int) -> None:
    machine = flat_machine()
    machine.gate(6, gate(CODES[0], 0, INT32, 3, present=0))
    status = machine.deliver(6, -1, kind)
    if kind in (SOFTWARE, PRIVILEGED):
        assert status == TROUBLED
        assert machine.trouble == (vectors.NP, 6 * 8 + 2 + ext)
        assert (machine.level, machine.eip) == (3, CODE)
    else:
        assert status == TRANSFER
        assert machine.eip == HANDLER + vectors.NP
        assert frame(machine, 2) == [6 * 8 + 2 + ext, CODE]


def test_an_interrupt_without_a_gate_becomes_a_protection_fault() -> None:
    machine = flat_machine()
    machine.cpu[state.PENDING_INTERRUPT] = 0x40
    assert machine.deliver(0x40, -1, EXTERNAL) == TRANSFER
    assert machine.eip == HANDLER + vectors.GP
    assert frame(machine, 2) == [0x40 * 8 + 3, CODE]
    assert machine.cpu[state.PENDING_INTERRUPT] == -1


BENIGN, CONTRIBUTORY, PAGE = vectors.UD, vectors.GP, vectors.PF


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        (BENIGN, CONTRIBUTORY, vectors.NP),
        (BENIGN, PAGE, vectors.PF),
        (CONTRIBUTORY, CONTRIBUTORY, vectors.DF),
        (CONTRIBUTORY, PAGE, vectors.PF),
        (PAGE, CONTRIBUTORY, vectors.DF),
        (PAGE, PAGE, vectors.DF),
        (vectors.DE, CONTRIBUTORY, vectors.DF),
        (vectors.DB, CONTRIBUTORY, vectors.NP),
    ],
)
def test_the_double_fault_table(first: int, second: int, outcome: int) -> None:
    machine = flat_machine()
    machine.enable_paging()
    if second == PAGE:
        # The gate of the first event leads to a stack that is not there.
        machine.gate(first, gate(CODES[1], HANDLER, INT32))
        machine.map_page(STACKS[1] - 4, 2)
    else:
        machine.gate(first, gate(CODES[0], HANDLER, INT32, present=0))
    assert machine.deliver(first, 0 if first in (BENIGN, CONTRIBUTORY, PAGE) else -1) == TRANSFER
    assert machine.eip == HANDLER + outcome
    assert machine.core[w.TROUBLE] == 0
    error = frame(machine, 1)[0]
    if outcome == vectors.DF:
        assert error == 0
    elif outcome == vectors.PF:
        assert error == vectors.PF_WRITE
    else:
        assert error == first * 8 + 3


def test_a_fault_in_the_double_fault_handler_is_a_shutdown() -> None:
    machine = flat_machine()
    machine.cpu[state.IDTR_LIMIT] = 0
    with machine.unchanged():
        assert machine.deliver(vectors.GP, 0) == TROUBLED
    assert machine.exit is not None
    assert machine.exit[0] == Exit.SHUTDOWN
    assert machine.core[w.EXIT_D] == 0
    assert machine.core[w.DELIVERING] == -1


def test_three_benign_failures_shut_down_through_the_double_fault() -> None:
    machine = flat_machine()
    machine.cpu[state.IDTR_LIMIT] = 0
    assert machine.deliver(0x80, -1, EXTERNAL) == TROUBLED
    assert machine.exit is not None
    assert machine.exit[0] == Exit.SHUTDOWN


@pytest.mark.parametrize("kind", [HARDWARE, EXTERNAL, SOFTWARE])
def test_delivery_is_counted_at_the_level_it_interrupts(kind: int) -> None:
    machine = flat_machine()
    core, cpu = machine.core, machine.cpu
    core[w.COST + w.EVENT_DELIVERY], core[w.COST + w.EVENT_INTERRUPT] = 100, 1000
    core[w.COST + w.EVENT_INSTRUCTION] = 1
    core[w.LIMIT_TOTAL], core[w.BUDGET], core[w.LEFT] = 50, 30, 10  # ten have retired
    assert machine.deliver(0x80, -1, kind) == TRANSFER
    retired = 11 if kind == SOFTWARE else 10
    assert list(cpu[state.RETIRED : state.RETIRED + 4]) == [0, 0, 0, retired]
    event = w.EVENT_INTERRUPT if kind == EXTERNAL else w.EVENT_DELIVERY
    assert core[w.COUNT + 3 * w.EVENTS + event] == 1
    assert cpu[state.CYCLES] == retired + (1000 if kind == EXTERNAL else 100)


def test_an_interrupt_wakes_a_halted_processor() -> None:
    machine = flat_machine()
    machine.cpu[state.HALTED] = 1
    machine.cpu[state.PENDING_INTERRUPT] = 0x80
    assert machine.deliver(0x80, -1, EXTERNAL) == TRANSFER
    assert machine.cpu[state.HALTED] == 0
    assert machine.cpu[state.PENDING_INTERRUPT] == -1


def test_the_inner_stack_is_pushed_as_supervisor_and_the_same_stack_as_user() -> None:
    machine = flat_machine()
    machine.enable_paging()
    for page in (GDT, IDT, TSS, STACKS[0] - 4):
        machine.map_page(page, 3)
    assert machine.deliver(0x80, -1, SOFTWARE) == TRANSFER
    machine = flat_machine()
    machine.enable_paging()
    machine.gate(0x80, gate(CODES[3], HANDLER, TRAP32, 3))
    machine.map_page(STACKS[3] - 4, 3)
    with machine.unchanged():
        assert machine.deliver(0x80, -1, SOFTWARE) == TROUBLED
    assert machine.trouble == (
        vectors.PF,
        vectors.PF_PRESENT | vectors.PF_WRITE | vectors.PF_USER,
    )
    assert machine.cpu[state.CR2] == STACKS[3] - 12


def test_a_frame_over_a_page_boundary_is_written_whole() -> None:
    machine = flat_machine()
    machine.enable_paging()
    machine.poke(TSS + 4, 0x18008)
    flags = machine.eflags | RF
    assert machine.deliver(vectors.PF, 6) == TRANSFER
    assert machine.esp == 0x18008 - 24
    assert frame(machine, 6) == [6, CODE, CODES[3] | 3, flags, STACKS[3], DATAS[3] | 3]


def test_a_16_bit_inner_stack_keeps_the_high_half_of_the_new_pointer() -> None:
    machine = flat_machine()
    machine.describe(DATAS[0], descriptor(0, 0xFFFF, big=0, pages=0))
    machine.poke(TSS + 4, 0x00128000)
    assert machine.deliver(0x80, -1, SOFTWARE) == TRANSFER
    assert machine.esp == 0x00128000 - 20
    assert machine.peek(0x8000 - 20) == CODE + 2


@pytest.mark.parametrize("level", range(3))
@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("missing", [0, 1])
def test_the_stack_entry_must_be_inside_the_tss(level: int, wide: bool, missing: int) -> None:
    machine = flat_machine()
    machine.gate(0x80, gate(CODES[level], HANDLER, INT32, 3))
    if not wide:
        machine.cpu[state.ATTRIBUTES + TR] = 0x80 | TSS16 | 2
        machine.poke(TSS + 2 + 4 * level, 0x8000, 2)
        machine.poke(TSS + 4 + 4 * level, 0xFFFF0000 | DATAS[level] | level)
    last = 4 + 8 * level + 5 if wide else 2 + 4 * level + 3
    machine.cpu[state.LIMIT + TR] = last - missing
    assert machine.deliver(0x80, -1, SOFTWARE) == (TROUBLED if missing else TRANSFER)
    assert machine.trouble == ((vectors.TS, TSS_SELECTOR) if missing else None)


def test_only_the_bytes_of_a_stack_entry_are_read_from_the_tss() -> None:
    machine = flat_machine()
    machine.enable_paging()
    machine.cpu[state.BASE + TR] = 0x4FF6
    machine.poke(0x4FFA, STACKS[0])
    machine.poke(0x4FFE, DATAS[0], 2)
    machine.map_page(0x5000, 2)
    assert machine.deliver(0x80, -1, SOFTWARE) == TRANSFER
    assert (machine.esp, machine.selector(SS)) == (STACKS[0] - 20, DATAS[0])
