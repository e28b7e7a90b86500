"""RETF, against the SDM's pseudo-code written down again."""

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
    DATAS,
    STACKS,
    ProtectedMachine,
    gate,
)
from tests.isa.transfer_scenes import (
    CODE_SLOT,
    GATE_SLOT,
    STACK_SLOT,
    TARGET,
    Return,
    every_outer_stack,
    every_return,
    expected_return,
    push_frame,
    returns,
    stage_return,
    transfer,
)


@settings(max_examples=400)
@given(returns(), st.sampled_from((0, 4, 12, 0x100)))
def test_far_returns_follow_the_pseudo_code(case: Return, release: int) -> None:
    check_return(case, release)


@pytest.mark.parametrize("kind", range(16, 32, 2))
def test_every_far_return(kind: int) -> None:
    for case in every_return(kind):
        check_return(case, 0)


@pytest.mark.parametrize("release", [0, 12])
def test_every_outer_stack(release: int) -> None:
    for case in every_outer_stack():
        check_return(case, release)


def check_return(case: Return, release: int) -> None:
    machine = stage_return(case)
    push_frame(machine, [0x9ABC, case.stack_selector], case.size)
    machine.cpu[state.GPR + ESP] -= release
    push_frame(machine, [case.offset, case.code_selector], case.size)
    esp = machine.esp
    name = ("RETF_imm16" if release else "RETF") + f"_o{8 * case.size}"
    fault = expected_return(case)
    if fault is not None:
        with machine.unchanged():
            assert machine.execute(name, immediate=release) == TROUBLED
        assert machine.trouble == fault
        return
    assert machine.execute(name, immediate=release) == TRANSFER
    assert machine.eip == case.offset
    assert machine.selector(CS) == CODE_SLOT | case.rpl
    assert machine.level == case.rpl
    if case.goes_out:
        assert machine.esp == 0x9ABC + release
        assert machine.selector(SS) == STACK_SLOT | case.rpl
    else:
        assert machine.esp == esp + 2 * case.size + release


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
