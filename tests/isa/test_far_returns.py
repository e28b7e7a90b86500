"""RETF, against the SDM's pseudo-code written down again."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa import state, vectors
from isa import workspace as w
from isa.records import TRANSFER, TROUBLED
from isa.registers import CS, DS, ES, ESP, SS
from tests.isa.protected_machine import (
    CALL32,
    CODE,
    CODES,
    DATA_RO,
    DATA_RW,
    DATAS,
    FREE,
    STACKS,
    ProtectedMachine,
    descriptor,
    gate,
)

TARGET = 0x11000
CODE_SLOT, GATE_SLOT, STACK_SLOT = FREE, FREE + 8, FREE + 16
LEVEL = st.integers(0, 3)


def mostly(value: object, *others: object) -> st.SearchStrategy[object]:
    return st.sampled_from((value,) * 5 + others)


def push_frame(machine: ProtectedMachine, words: list[int], size: int = 4) -> None:
    machine.cpu[state.GPR + ESP] -= size * len(words)
    base = int(machine.cpu[state.BASE + SS])
    for slot, word in enumerate(words):
        machine.poke(base + machine.esp + size * slot, word, size)


def transfer(machine: ProtectedMachine, name: str, selector: int, offset: int, size: int) -> int:
    form = f"{name}_ptr16_{8 * size}"
    return machine.execute(form, immediate=offset, second=selector)


def selector_of(word: str, slot: int, rpl: int) -> int:
    return {"null": rpl, "outside": 0x1F0 | rpl, "fine": slot | rpl}[word]


@dataclass(frozen=True)
class Return:
    size: int
    release: int
    cpl: int
    selector: str
    rpl: int
    kind: int
    dpl: int
    present: int
    stack: str
    stack_rpl: int
    stack_dpl: int
    stack_kind: int
    stack_present: int
    reachable: bool


@st.composite
def return_cases(draw: st.DrawFn) -> Return:
    cpl = draw(LEVEL)
    rpl = draw(st.integers(cpl, 3)) if draw(mostly(True, False)) else draw(LEVEL)
    return Return(
        size=draw(st.sampled_from((2, 4))),
        release=draw(st.sampled_from((0, 4, 12, 0x100))),
        cpl=cpl,
        selector=draw(mostly("fine", "null", "outside")),
        rpl=rpl,
        kind=draw(mostly(0x1A, 0x18, 0x1C, 0x1E, 0x12, CALL32)),
        dpl=draw(mostly(rpl, 0, 1, 2, 3)),
        present=draw(mostly(1, 0)),
        stack=draw(mostly("fine", "null", "outside")),
        stack_rpl=draw(mostly(rpl, 0, 3)),
        stack_dpl=draw(mostly(rpl, 0, 3)),
        stack_kind=draw(mostly(DATA_RW, DATA_RO, 0x1A)),
        stack_present=draw(mostly(1, 0)),
        reachable=draw(mostly(True, False)),
    )


def expected_return(case: Return) -> tuple[int, int] | None:
    """SDM vol. 2, "RET", Operation: RETURN-FAR in protected mode."""
    if case.selector == "null":
        return vectors.GP, 0
    code = selector_of(case.selector, CODE_SLOT, 0)
    if case.selector == "outside" or case.kind & 0x18 != 0x18 or case.rpl < case.cpl:
        return vectors.GP, code
    conforming = case.kind & 4
    if (conforming and case.dpl > case.rpl) or (not conforming and case.dpl != case.rpl):
        return vectors.GP, code
    if not case.present:
        return vectors.NP, code
    if case.rpl > case.cpl:
        if case.stack == "null":
            return vectors.GP, 0
        stack = selector_of(case.stack, STACK_SLOT, 0)
        wrong_level = case.stack_rpl != case.rpl or case.stack_dpl != case.rpl
        if case.stack == "outside" or wrong_level or case.stack_kind != DATA_RW:
            return vectors.GP, stack
        if not case.stack_present:
            return vectors.SS, stack
    return None if case.reachable else (vectors.GP, 0)


@settings(max_examples=400)
@given(return_cases())
def test_far_returns_follow_the_pseudo_code(case: Return) -> None:
    machine = ProtectedMachine()
    machine.cpu[state.GDTR_LIMIT] = 0x1EF
    machine.set_level(case.cpl)
    eip = TARGET if case.size == 4 else TARGET & 0xFFFF
    limit = eip if case.reachable else eip - 1
    words = descriptor(0, limit, case.kind, case.dpl, present=case.present, pages=0, accessed=0)
    machine.describe(CODE_SLOT, words)
    words = descriptor(
        0, 0xFFFFF, case.stack_kind, case.stack_dpl, present=case.stack_present, accessed=0
    )
    machine.describe(STACK_SLOT, words)
    stack = selector_of(case.stack, STACK_SLOT, case.stack_rpl)
    push_frame(machine, [0x9ABC, stack], case.size)
    machine.cpu[state.GPR + ESP] -= case.release
    push_frame(machine, [eip, selector_of(case.selector, CODE_SLOT, case.rpl)], case.size)
    esp = machine.esp
    name = ("RETF_imm16" if case.release else "RETF") + f"_o{8 * case.size}"
    fault = expected_return(case)
    if fault is not None:
        with machine.unchanged():
            assert machine.execute(name, immediate=case.release) == TROUBLED
        assert machine.trouble == fault
        return
    assert machine.execute(name, immediate=case.release) == TRANSFER
    assert machine.eip == eip
    assert machine.selector(CS) == CODE_SLOT | case.rpl
    assert machine.level == case.rpl
    if case.rpl > case.cpl:
        assert machine.esp == 0x9ABC + case.release
        assert machine.selector(SS) == STACK_SLOT | case.rpl
    else:
        assert machine.esp == esp + 2 * case.size + case.release


def test_a_far_return_outwards_drops_inner_data_segments() -> None:
    machine = ProtectedMachine()
    machine.fill(ES, DATAS[3] | 3)
    push_frame(machine, [TARGET, CODES[3] | 3, 0x9000, DATAS[3] | 3])
    assert machine.execute("RETF_o32") == TRANSFER
    assert machine.selector(ES) == DATAS[3] | 3
    assert machine.selector(DS) == 0


@pytest.mark.parametrize("words", range(4))
def test_a_short_stack_faults(words: int) -> None:
    machine = ProtectedMachine()
    push_frame(machine, [TARGET, CODES[3] | 3, 0x9000, DATAS[3] | 3])
    machine.cpu[state.LIMIT + SS] = machine.esp + 4 * words + 2
    with machine.unchanged():
        assert machine.execute("RETF_o32") == TROUBLED
    assert machine.trouble == (vectors.SS, 0)


def test_a_call_through_a_gate_and_back_restores_everything() -> None:
    machine = ProtectedMachine()
    machine.set_level(3)
    machine.describe(GATE_SLOT, gate(CODES[0], TARGET, CALL32, 3, count=2))
    push_frame(machine, [11, 22])
    assert transfer(machine, "CALL", GATE_SLOT, 0, 4) == TRANSFER
    assert machine.level == 0
    assert machine.execute("RETF_imm16_o32", immediate=8) == TRANSFER
    assert (machine.level, machine.eip, machine.esp) == (3, CODE + 2, STACKS[3])
    assert (machine.selector(CS), machine.selector(SS)) == (CODES[3] | 3, DATAS[3] | 3)


def test_transfers_are_booked_at_the_level_they_leave() -> None:
    machine = ProtectedMachine()
    machine.core[w.COST + w.EVENT_FAR_TRANSFER] = 5
    push_frame(machine, [TARGET, CODES[3] | 3, 0x9000, DATAS[3] | 3])
    assert machine.execute("RETF_o32") == TRANSFER
    assert list(machine.cpu[state.RETIRED : state.RETIRED + 4]) == [1, 0, 0, 0]
    assert machine.core[w.COUNT + w.EVENT_FAR_TRANSFER] == 1
    assert machine.cpu[state.CYCLES] == 5


@pytest.mark.parametrize("way", ["same", "outer", "real"])
def test_every_way_back_is_charged(way: str) -> None:
    machine = ProtectedMachine()
    if way == "real":
        machine.enter_real_mode()
    code = {"same": CODES[0], "outer": CODES[3] | 3, "real": 0x100}[way]
    push_frame(machine, [0x500, code, 0x9000, DATAS[3] | 3])
    assert machine.execute("RETF_o32") == TRANSFER
    assert machine.core[w.COUNT + w.EVENT_FAR_TRANSFER] == 1
    assert machine.cpu[state.RETIRED] == 1
