"""Which fault a task switch raises, and in which task: the SDM's table written down again.

Vol. 3A, "Exception Conditions Checked During a Task Switch"; vol. 2, JMP, CALL, INT n, IRET.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa import events, state, vectors
from isa import workspace as w
from isa.modes import refresh
from isa.records import TRANSFER, TROUBLED
from isa.registers import CS, DS, ES, FS, GS, LDTR, SS, TR
from tests.isa.protected_machine import (
    CODE_RX,
    CODE_RX_CONFORMING,
    CODE_X,
    DATA_RO,
    DATA_RW,
    GDT,
    INT32,
    LDT_TYPE,
    TASK,
    TSS,
    TSS_SELECTOR,
    descriptor,
    gate,
)
from tests.isa.task_machine import (
    AVAILABLE,
    BUSY,
    EVENTS,
    GATE,
    LAST,
    NESTING,
    NT,
    OTHER,
    OTHER_CODE,
    OTHER_DATA,
    OTHER_LDT,
    OTHER_LDT_BASE,
    OTHER_STACK,
    OTHER_TOP,
    OTHER_TSS,
    OTHER_TSS_LDT,
    TARGET,
    VECTOR,
    VM,
    WAYS,
    TaskMachine,
)

LEVEL = st.integers(0, 3)
OUTSIDE = 0x1F0
ODD = OTHER_TSS_LDT + 8  # a data segment of its own
ERROR = 0x1234
REGISTERS = {"ds": DS, "es": ES, "fs": FS, "gs": GS}
DATA_ORDER = ("ds", "es", "fs", "gs")


@dataclass(frozen=True)
class Segment:
    """One selector of the new task and what it names."""

    word: str  # "fine", "null" or "outside"
    rpl: int
    kind: int
    dpl: int
    present: int


@dataclass(frozen=True)
class Case:
    """One switch of tasks."""

    way: str
    old: int
    new: int
    cpl: int
    rpl: int  # of the selector in the instruction
    gate_dpl: int
    gate_present: int
    tss_word: str  # "fine", "null", "outside" or "local"
    tss_kind: int
    tss_dpl: int
    tss_present: int
    tss_short: bool
    old_short: bool
    ldt: str  # "none", "fine", "local", "outside", "type" or "absent"
    virtual: bool
    code: Segment
    stack: Segment
    data: Segment
    odd: str  # the register that `data` is for
    error: int
    room: bool
    reachable: bool


def mostly(value: object, *others: object) -> st.SearchStrategy[object]:
    return st.sampled_from((value,) * 8 * len(others) + others)


@st.composite
def segments(draw: st.DrawFn, level: int, *kinds: int) -> Segment:
    return Segment(
        draw(mostly("fine", "null", "outside")),
        draw(mostly(level, 0, 1, 2, 3)),
        draw(mostly(*kinds)),
        draw(mostly(level, 0, 1, 2, 3)),
        draw(mostly(1, 0)),
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    way = draw(st.sampled_from(WAYS))
    new = draw(st.sampled_from((4, 2)))
    cpl, level = draw(LEVEL), draw(LEVEL)
    kind = AVAILABLE[new] if way != "IRET" else BUSY[new]
    code = draw(st.sampled_from((CODE_RX, CODE_X, CODE_RX_CONFORMING)))
    data = draw(st.permutations((DATA_RW, DATA_RO, CODE_RX, CODE_X, CODE_RX_CONFORMING)))
    ldt = draw(st.sampled_from(("none", "fine")))
    return Case(
        way=way,
        old=draw(st.sampled_from((4, 2))),
        new=new,
        cpl=cpl,
        rpl=draw(mostly(cpl, 0, 3)),
        gate_dpl=draw(mostly(3, 0, 1, 2)),
        gate_present=draw(mostly(1, 0)),
        tss_word=draw(mostly("fine", "null", "outside", "local")),
        tss_kind=draw(mostly(kind, kind ^ 2, LDT_TYPE, INT32, 0)),
        tss_dpl=draw(mostly(3, 0, 1, 2)),
        tss_present=draw(mostly(1, 0)),
        tss_short=draw(mostly(False, True)),
        old_short=draw(mostly(False, True)),
        ldt=draw(mostly(ldt, "local", "outside", "type", "absent")),
        virtual=draw(mostly(False, True)),
        code=draw(segments(level, code, DATA_RW, 0x0C)),
        stack=draw(segments(level, DATA_RW, DATA_RO, CODE_RX)),
        data=draw(segments(level, *data)),
        odd=draw(st.sampled_from(DATA_ORDER if new == 4 else DATA_ORDER[:2])),
        error=draw(st.sampled_from((-1, ERROR))) if way == "exception" else -1,
        room=draw(mostly(True, False)),
        reachable=draw(mostly(True, False)),
    )  # fmt: skip


Fault = tuple[int, int]


def fault_of_old(case: Case) -> Fault | None:
    """Steps 1 to 5 of "Task Switching": faults of the task that is left."""
    direct = case.way in ("JMP", "CALL")
    if not direct and case.way != "IRET":
        code = GATE if case.way.endswith("gate") else VECTOR * 8 + 2
        rpl = case.rpl if case.way.endswith("gate") else 0
        if case.way not in EVENTS and case.gate_dpl < max(case.cpl, rpl):
            return vectors.GP, code
        if not case.gate_present:
            return vectors.NP, code
    vector = vectors.TS if case.way == "IRET" else vectors.GP
    if case.tss_word != "fine":
        return vector, {"null": 0, "outside": OUTSIDE, "local": OTHER | 4}[case.tss_word]
    if direct and case.tss_dpl < max(case.cpl, case.rpl):
        return vectors.GP, OTHER
    if case.tss_kind != (BUSY if case.way == "IRET" else AVAILABLE)[case.new]:
        return vector, OTHER
    if not case.tss_present:
        return vectors.NP, OTHER
    if case.tss_short:
        return vectors.TS, OTHER
    return (vectors.TS, TSS_SELECTOR) if case.old_short else None


def fault_of_segment(segment: Segment, register: str, slot: int, level: int) -> Fault | None:
    code = {"fine": slot, "null": 0, "outside": OUTSIDE}[segment.word]
    if segment.word == "null":
        return (vectors.TS, 0) if register in ("cs", "ss") else None
    if segment.word == "outside":
        return vectors.TS, code
    is_code, is_conforming = segment.kind & 0x18 == 0x18, segment.kind & 0x1C == 0x1C
    if register == "cs":
        fits = is_code and (segment.dpl <= level if is_conforming else segment.dpl == level)
    elif register == "ss":
        fits = segment.kind & 0x1A == 0x12 and segment.rpl == level == segment.dpl
    else:
        readable = segment.kind & 0x10 and (not is_code or segment.kind & 2)
        fits = bool(readable) and (is_conforming or segment.dpl >= max(level, segment.rpl))
    if not fits:
        return vectors.TS, code
    if not segment.present:
        return vectors.SS if register == "ss" else vectors.NP, code
    return None


def is_virtual(case: Case) -> bool:
    return case.virtual and case.new == 4


def fault_of_new(case: Case) -> tuple[Fault | None, frozenset[int]]:
    """Step 13: the fault of the task that was entered, and the registers loaded before it."""
    loaded: set[int] = set()
    codes = {"local": OTHER_LDT | 4, "outside": OUTSIDE, "type": OTHER_LDT, "absent": OTHER_LDT}
    if case.ldt in codes:
        return (vectors.TS, codes[case.ldt]), frozenset(loaded)
    loaded |= {LDTR} if case.ldt == "fine" else set()
    if is_virtual(case):
        loaded |= {ES, CS, SS, DS, FS, GS}
    else:
        level = case.code.rpl
        for segment, name, slot, register in (
            (case.code, "cs", OTHER_CODE, CS),
            (case.stack, "ss", OTHER_STACK, SS),
            *((case.data, name, ODD, REGISTERS[name]) for name in DATA_ORDER if name == case.odd),
        ):
            fault = fault_of_segment(segment, name, slot, level)
            if fault is not None:
                return fault, frozenset(loaded)
            if segment.word == "fine":
                loaded.add(register)
    if case.error >= 0 and not case.room:
        return (vectors.SS, 0), frozenset(loaded)
    return (None if case.reachable else (vectors.GP, 0)), frozenset(loaded)


def build(case: Case) -> TaskMachine:
    machine = TaskMachine(case.old, case.new, case.cpl)
    machine.use_ldt()
    machine.cpu[state.GDTR_LIMIT] = OUTSIDE - 1
    last = LAST[case.new] - case.tss_short
    words = descriptor(
        OTHER_TSS,
        last,
        case.tss_kind,
        case.tss_dpl,
        present=case.tss_present,
        big=0,
        pages=0,
        accessed=0,
    )
    machine.describe(OTHER, words)
    machine.describe(OTHER | 4, words)
    machine.cpu[state.LIMIT + TR] -= case.old_short
    link = {"null": 3, "outside": OUTSIDE, "local": OTHER | 4, "fine": OTHER | 3}[case.tss_word]
    machine.describe(GATE, gate(link, 0xDEAD, TASK, case.gate_dpl, present=case.gate_present))
    machine.gate(VECTOR, gate(link, 0xDEAD, TASK, case.gate_dpl, present=case.gate_present))
    machine.poke(TSS, link, 2)
    if case.way == "IRET":
        machine.eflags |= NT

    def selector(segment: Segment, slot: int) -> int:
        return {"fine": slot, "null": 0, "outside": OUTSIDE}[segment.word] | segment.rpl

    virtual, wide = is_virtual(case), case.new == 4
    target = TARGET & 0xFFFF if virtual or not wide else TARGET
    for segment, slot in ((case.code, OTHER_CODE), (case.stack, OTHER_STACK), (case.data, ODD)):
        limit = 0xFFFF if slot == OTHER_STACK and not wide else 0xFFFFF
        if slot == OTHER_CODE:
            limit = target - (not case.reachable)
        machine.describe(
            slot,
            descriptor(
                0, limit, segment.kind, segment.dpl,
                present=segment.present, big=int(wide), pages=int(limit == 0xFFFFF), accessed=0,
            ),
        )  # fmt: skip
    ldt = {"none": 0, "local": OTHER_LDT | 4, "outside": OUTSIDE}.get(case.ldt, OTHER_LDT)
    kind = DATA_RW if case.ldt == "type" else LDT_TYPE
    present = int(case.ldt != "absent")
    machine.describe(
        OTHER_LDT, descriptor(OTHER_LDT_BASE, 0xFF, kind, big=0, pages=0, present=present)
    )
    machine.write_tss(
        OTHER_TSS,
        case.new,
        {
            "eip": target if not virtual or case.reachable else TARGET,
            "eflags": VM | 2 if virtual else 2,
            "esp": OTHER_TOP if case.room else 1,
            "cs": selector(case.code, OTHER_CODE),
            "ss": selector(case.stack, OTHER_STACK),
            "ds": 0,
            "es": 0,
            "ldt": ldt,
            case.odd: selector(case.data, ODD),
        },
    )
    return machine


def perform(machine: TaskMachine, case: Case) -> int:
    """One attempt, without the events that it may lead to; the status."""
    forms = {"JMP": "JMP_ptr16_32", "CALL": "CALL_ptr16_32"}
    if case.way in ("IRET",):
        return machine.execute("IRETD")
    if case.way.split()[0] in forms:
        link = {"null": 0, "outside": OUTSIDE, "local": OTHER | 4, "fine": OTHER}[case.tss_word]
        selector = GATE if case.way.endswith("gate") else link
        return machine.execute(forms[case.way.split()[0]], second=selector | case.rpl)
    kinds = {"INT": events.SOFTWARE, "exception": events.HARDWARE, "interrupt": events.EXTERNAL}
    machine.core[w.TROUBLE] = 0
    refresh(machine.cpu, machine.core)
    status = events.attempt(*machine.arrays, VECTOR, case.error, kinds[case.way])
    machine.check_derived()
    return int(status)


@settings(max_examples=1500)
@given(cases())
def test_faults_follow_the_table(case: Case) -> None:
    check_switch(case)


@pytest.mark.parametrize("way", WAYS)
def test_every_level_a_switch_starts_from(way: str) -> None:
    """Who may switch: CPL, RPL, and the DPL of the task gate or TSS, in all combinations."""
    kind = (BUSY if way == "IRET" else AVAILABLE)[4]
    code, stack = Segment("fine", 0, CODE_RX, 0, 1), Segment("fine", 0, DATA_RW, 0, 1)
    for cpl, rpl, tss_dpl, gate_dpl in product(range(4), range(4), (0, 1, 3), (0, 2, 3)):
        check_switch(
            Case(
                way, 4, 4, cpl, rpl, gate_dpl, 1, "fine", kind, tss_dpl, 1, False, False, "none",
                False, code, stack, stack, "ds", -1, True, True,
            )
        )  # fmt: skip


def check_switch(case: Case) -> None:
    machine = build(case)
    fault = fault_of_old(case)
    if fault is not None:
        with machine.unchanged():
            assert perform(machine, case) == TROUBLED
        assert machine.trouble == fault
        return
    fault, loaded = fault_of_new(case)
    before = machine.registers()
    status = perform(machine, case)
    assert (machine.trouble if status == TROUBLED else None) == fault
    assert status == (TRANSFER if fault is None else TROUBLED)
    # Whatever happened, it happened in the new task.
    assert machine.selector(TR) & ~3 == OTHER
    assert {n for n in range(7) if machine.is_usable(n)} == loaded
    assert machine.level == (3 if is_virtual(case) else case.code.rpl)
    assert machine.read_tss(TSS, case.old)["ebx"] == before["ebx"] & (1 << 8 * case.old) - 1
    left = (AVAILABLE if case.way not in NESTING else BUSY)[case.old]
    assert machine.descriptor_type(TSS_SELECTOR) == left
    assert machine.descriptor_type(OTHER) == BUSY[case.new]
    assert bool(machine.eflags & NT) == (case.way in NESTING)
    # What followed is an event of the new task: the instruction has retired.
    retired = int(machine.cpu[state.RETIRED + case.cpl])
    assert retired == (40 if case.way in EVENTS else 41)
    assert machine.core[w.LEFT] == (9 if fault is not None and case.way not in EVENTS else 10)


@given(st.sampled_from(WAYS), st.sampled_from((OTHER_CODE, OTHER_STACK, OTHER_DATA)))
def test_segments_of_the_new_task_are_marked_accessed(way: str, slot: int) -> None:
    machine = TaskMachine()
    machine.set_type(slot, machine.descriptor_type(slot) & ~1)
    assert machine.switch(way) == TRANSFER
    assert machine.peek(GDT + slot + 5, 1) & 1
