"""Far JMP and CALL, against the SDM's pseudo-code written down again."""

from dataclasses import dataclass
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa import state, vectors
from isa import workspace as w
from isa.records import TRANSFER, TROUBLED
from isa.registers import CS, DS, SS
from tests.isa.protected_machine import (
    CALL16,
    CALL32,
    CODE,
    CODE_RX_CONFORMING,
    CODES,
    DATA_RO,
    DATA_RW,
    INT32,
    LDT_TYPE,
    TSS,
    TSS32,
    ProtectedMachine,
    descriptor,
    gate,
)
from tests.isa.transfer_scenes import (
    CODE_SLOT,
    GATE_SLOT,
    LEVEL,
    STACK_SLOT,
    TARGET,
    frame,
    mostly,
    push_frame,
    selector_of,
    transfer,
)

POINTER = 0x30000


# --- direct ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Direct:
    name: str
    size: int
    cpl: int
    selector: str
    rpl: int
    kind: int
    dpl: int
    present: int
    reachable: bool
    room: bool


@st.composite
def direct_cases(draw: st.DrawFn) -> Direct:
    cpl = draw(LEVEL)
    return Direct(
        name=draw(st.sampled_from(("JMP", "CALL"))),
        size=draw(st.sampled_from((2, 4))),
        cpl=cpl,
        selector=draw(mostly("fine", "null", "outside")),
        rpl=draw(mostly(cpl, 0, 1, 2, 3)),
        kind=draw(mostly(0x1A, 0x18, 0x1C, 0x1E, 0x12, 0x10, LDT_TYPE, INT32, 0)),
        dpl=draw(mostly(cpl, 0, 1, 2, 3)),
        present=draw(mostly(1, 0)),
        reachable=draw(mostly(True, False)),
        room=draw(mostly(True, False)),
    )


def expected_direct(case: Direct) -> tuple[int, int] | None:
    """SDM vol. 2, "JMP" and "CALL", Operation: conforming and nonconforming code segments."""
    code = selector_of(case.selector, CODE_SLOT, 0)
    if case.selector == "null":
        return vectors.GP, 0
    if case.selector == "outside" or case.kind & 0x18 != 0x18:
        return vectors.GP, code
    if case.kind & 4:
        if case.dpl > case.cpl:
            return vectors.GP, code
    elif case.rpl > case.cpl or case.dpl != case.cpl:
        return vectors.GP, code
    if not case.present:
        return vectors.NP, code
    return expected_entry(case.name, case.room, case.reachable)


def expected_entry(name: str, room: bool, reachable: bool) -> tuple[int, int] | None:
    if name == "CALL" and not room:
        return vectors.SS, 0
    return None if reachable else (vectors.GP, 0)


@settings(max_examples=300)
@given(direct_cases())
def test_direct_transfers_follow_the_pseudo_code(case: Direct) -> None:
    check_direct(case)


@pytest.mark.parametrize("kind", range(16, 32, 2))
def test_every_direct_transfer(kind: int) -> None:
    """Every type of segment at every combination of privilege levels."""
    for name, cpl, rpl, dpl, present in product(("JMP", "CALL"), *[range(4)] * 3, (0, 1)):
        check_direct(Direct(name, 4, cpl, "fine", rpl, kind, dpl, present, True, True))


def check_direct(case: Direct) -> None:
    machine = ProtectedMachine()
    machine.cpu[state.GDTR_LIMIT] = 0x1EF
    machine.set_level(case.cpl)
    offset = TARGET if case.size == 4 else TARGET & 0xFFFF
    limit = offset if case.reachable else offset - 1
    words = descriptor(0, limit, case.kind, case.dpl, present=case.present, pages=0, accessed=0)
    machine.describe(CODE_SLOT, words)
    if not case.room:
        machine.cpu[state.LIMIT + SS] = 3
    selector, esp = selector_of(case.selector, CODE_SLOT, case.rpl), machine.esp
    old_cs = machine.selector(CS)
    fault = expected_direct(case)
    if fault is not None:
        with machine.unchanged():
            assert transfer(machine, case.name, selector, offset, case.size) == TROUBLED
        assert machine.trouble == fault
        return
    assert transfer(machine, case.name, selector, offset, case.size) == TRANSFER
    assert machine.eip == offset
    assert machine.selector(CS) == CODE_SLOT | case.cpl
    assert machine.level == case.cpl
    assert machine.descriptor_type(CODE_SLOT) == case.kind | 1
    if case.name == "CALL":
        assert machine.esp == esp - 2 * case.size
        eip = (CODE + 2) & (1 << 8 * case.size) - 1
        assert frame(machine, 2, case.size) == [eip, old_cs]
    else:
        assert machine.esp == esp


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("name", ["JMP", "CALL"])
def test_far_pointers_are_read_from_memory(name: str, size: int) -> None:
    machine = ProtectedMachine()
    machine.describe(CODE_SLOT, descriptor(kind=0x1A))
    machine.poke(POINTER, 0x1234, size)
    machine.poke(POINTER + size, CODE_SLOT, 2)
    assert machine.execute(f"{name}_m16_{8 * size}", memory=POINTER) == TRANSFER
    assert (machine.eip, machine.selector(CS)) == (0x1234, CODE_SLOT)


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("name", ["JMP", "CALL"])
def test_every_byte_of_a_far_pointer_is_within_the_limit(name: str, size: int) -> None:
    for length in range(size + 3):
        machine = ProtectedMachine()
        machine.describe(CODE_SLOT, descriptor(kind=0x1A))
        machine.poke(POINTER, 0x1234, size)
        machine.poke(POINTER + size, CODE_SLOT, 2)
        machine.cpu[state.LIMIT + DS] = POINTER + length - 1
        if length == size + 2:
            assert machine.execute(f"{name}_m16_{8 * size}", memory=POINTER) == TRANSFER
            continue
        with machine.unchanged():
            assert machine.execute(f"{name}_m16_{8 * size}", memory=POINTER) == TROUBLED
        assert machine.trouble == (vectors.GP, 0)


# --- call gates ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gated:
    name: str
    cpl: int
    gate_kind: int
    gate_dpl: int
    gate_rpl: int
    gate_present: int
    selector: str
    kind: int
    dpl: int
    present: int
    stack: str
    stack_rpl: int
    stack_dpl: int
    stack_kind: int
    stack_present: int
    parameters: int
    room: bool
    reachable: bool


@st.composite
def gated_cases(draw: st.DrawFn) -> Gated:
    cpl = draw(LEVEL)
    dpl = draw(st.integers(0, cpl)) if draw(mostly(True, False)) else draw(LEVEL)
    return Gated(
        name=draw(st.sampled_from(("JMP", "CALL", "CALL"))),
        cpl=cpl,
        gate_kind=draw(st.sampled_from((CALL32, CALL16))),
        gate_dpl=draw(mostly(3, 0, 1, 2)),
        gate_rpl=draw(mostly(0, 1, 2, 3)),
        gate_present=draw(mostly(1, 0)),
        selector=draw(mostly("fine", "null", "outside")),
        kind=draw(mostly(0x1A, 0x18, 0x1C, 0x1E, 0x12, TSS32)),
        dpl=dpl,
        present=draw(mostly(1, 0)),
        stack=draw(mostly("fine", "null", "outside")),
        stack_rpl=draw(mostly(dpl, 0, 3)),
        stack_dpl=draw(mostly(dpl, 0, 3)),
        stack_kind=draw(mostly(DATA_RW, DATA_RO, 0x1A)),
        stack_present=draw(mostly(1, 0)),
        parameters=draw(st.integers(0, 31)),
        room=draw(mostly(True, False)),
        reachable=draw(mostly(True, False)),
    )


def goes_inwards(case: Gated) -> bool:
    return case.name == "CALL" and not case.kind & 4 and case.dpl < case.cpl


def expected_gated(case: Gated) -> tuple[int, int] | None:
    """SDM vol. 2, "CALL" and "JMP", Operation: CALL-GATE."""
    if case.gate_dpl < case.cpl or case.gate_dpl < case.gate_rpl:
        return vectors.GP, GATE_SLOT
    if not case.gate_present:
        return vectors.NP, GATE_SLOT
    if case.selector == "null":
        return vectors.GP, 0
    code = selector_of(case.selector, CODE_SLOT, 0)
    if case.selector == "outside" or case.kind & 0x18 != 0x18 or case.dpl > case.cpl:
        return vectors.GP, code
    if case.name == "JMP" and not case.kind & 4 and case.dpl != case.cpl:
        return vectors.GP, code
    if not case.present:
        return vectors.NP, code
    if not goes_inwards(case):
        return expected_entry(case.name, case.room, case.reachable)
    if case.stack == "null":
        return vectors.TS, 0
    stack = selector_of(case.stack, STACK_SLOT, 0)
    if case.stack == "outside":
        return vectors.TS, stack
    if not case.stack_rpl == case.stack_dpl == case.dpl or case.stack_kind != DATA_RW:
        return vectors.TS, stack
    if not case.stack_present or not case.room:
        return vectors.SS, stack
    return None if case.reachable else (vectors.GP, 0)


def build_gated(case: Gated) -> ProtectedMachine:
    machine = ProtectedMachine()
    machine.cpu[state.GDTR_LIMIT] = 0x1EF
    machine.set_level(case.cpl)
    wide = case.gate_kind == CALL32
    offset = TARGET if wide else TARGET & 0xFFFF
    limit = offset if case.reachable else offset - 1
    words = descriptor(0, limit, case.kind, case.dpl, present=case.present, pages=0, accessed=0)
    machine.describe(CODE_SLOT, words)
    words = descriptor(
        0, 0xFFFFF if case.room else 15, case.stack_kind, case.stack_dpl,
        present=case.stack_present, pages=0, accessed=0,
    )  # fmt: skip
    machine.describe(STACK_SLOT, words)
    code = selector_of(case.selector, CODE_SLOT, 3)
    words = gate(
        code, TARGET, case.gate_kind, case.gate_dpl, present=case.gate_present,
        count=case.parameters,
    )  # fmt: skip
    machine.describe(GATE_SLOT, words)
    for level in range(3):
        machine.poke(TSS + 4 + 8 * level, 0xE000)
        machine.poke(TSS + 8 + 8 * level, selector_of(case.stack, STACK_SLOT, case.stack_rpl))
    push_frame(machine, [0x01010101 * slot for slot in range(1, 32)], 4 if wide else 2)
    if not case.room and not goes_inwards(case):
        machine.cpu[state.LIMIT + SS] = 3
    return machine


@settings(max_examples=500)
@given(gated_cases())
def test_call_gates_follow_the_pseudo_code(case: Gated) -> None:
    check_gated(case)


@pytest.mark.parametrize("name", ["JMP", "CALL"])
@pytest.mark.parametrize("cpl", range(4))
def test_every_level_of_call_gates(name: str, cpl: int) -> None:
    """DPL and RPL of the gate, DPL of the code segment behind it, conforming or not."""
    for gate_kind, gate_dpl, gate_rpl, dpl, kind in product(
        (CALL16, CALL32), *[range(4)] * 3, (0x1A, 0x1E)
    ):
        case = Gated(
            name=name, cpl=cpl, gate_kind=gate_kind, gate_dpl=gate_dpl, gate_rpl=gate_rpl,
            gate_present=1, selector="fine", kind=kind, dpl=dpl, present=1, stack="fine",
            stack_rpl=dpl, stack_dpl=dpl, stack_kind=DATA_RW, stack_present=1,
            parameters=gate_dpl + 4 * dpl, room=True, reachable=True,
        )  # fmt: skip
        check_gated(case)


def check_gated(case: Gated) -> None:
    machine = build_gated(case)
    esp, old_ss, old_cs = machine.esp, machine.selector(SS), machine.selector(CS)
    fault = expected_gated(case)
    selector = GATE_SLOT | case.gate_rpl
    if fault is not None:
        with machine.unchanged():
            assert transfer(machine, case.name, selector, 0xDEAD, 4) == TROUBLED
        assert machine.trouble == fault
        return
    assert transfer(machine, case.name, selector, 0xDEAD, 4) == TRANSFER
    size, mask = (4, 0xFFFFFFFF) if case.gate_kind == CALL32 else (2, 0xFFFF)
    level = case.dpl if goes_inwards(case) else case.cpl
    assert machine.eip == TARGET & mask
    assert machine.selector(CS) == CODE_SLOT | level
    assert machine.level == level
    assert machine.descriptor_type(STACK_SLOT) & 1 == int(goes_inwards(case))
    if case.name == "JMP":
        assert machine.esp == esp
    elif not goes_inwards(case):
        assert machine.esp == esp - 2 * size
        assert frame(machine, 2, size) == [CODE + 2 & mask, old_cs]
    else:
        parameters = [0x01010101 * slot & mask for slot in range(1, case.parameters + 1)]
        words = [CODE + 2 & mask, old_cs, *parameters, esp & mask, old_ss]
        assert machine.esp == 0xE000 - size * len(words)
        assert frame(machine, len(words), size) == words
        assert machine.selector(SS) == STACK_SLOT | level


def test_parameters_outside_the_old_stack_fault() -> None:
    machine = ProtectedMachine()
    machine.set_level(3)
    machine.describe(GATE_SLOT, gate(CODES[0], TARGET, CALL32, 3, count=2))
    machine.cpu[state.LIMIT + SS] = machine.esp + 6
    with machine.unchanged():
        assert transfer(machine, "CALL", GATE_SLOT, 0, 4) == TROUBLED
    assert machine.trouble == (vectors.SS, 0)


# --- real and virtual-8086 mode --------------------------------------------------------------


@pytest.mark.parametrize("v86", [False, True])
@pytest.mark.parametrize("size", [2, 4])
def test_real_mode_transfers(size: int, v86: bool) -> None:
    machine = ProtectedMachine()
    if v86:
        machine.enter_v86()
    else:
        machine.enter_real_mode()
    level, esp, eip, cs = machine.level, machine.esp, machine.eip, machine.selector(CS)
    assert transfer(machine, "CALL", 0x1003, 0x20, size) == TRANSFER
    assert (machine.eip, machine.selector(CS)) == (0x20, 0x1003)
    assert machine.cpu[state.BASE + CS] == 0x10030
    assert machine.esp == esp - 2 * size
    assert frame(machine, 2, size) == [eip + 2, cs]
    assert machine.execute(f"RETF_o{8 * size}") == TRANSFER
    assert (machine.eip, machine.selector(CS), machine.esp) == (eip + 2, cs, esp)
    assert transfer(machine, "JMP", 0x10, 0x30, size) == TRANSFER
    assert (machine.eip, machine.cpu[state.BASE + CS]) == (0x30, 0x100)
    assert machine.level == level


@pytest.mark.parametrize("name", ["JMP", "CALL"])
def test_real_mode_offsets_end_at_the_limit(name: str) -> None:
    machine = ProtectedMachine()
    machine.enter_real_mode()
    with machine.unchanged():
        assert transfer(machine, name, 0, 0x10000, 4) == TROUBLED
    assert machine.trouble == (vectors.GP, 0)
    push_frame(machine, [0x10000, 0])
    with machine.unchanged():
        assert machine.execute("RETF_o32") == TROUBLED
    assert machine.trouble == (vectors.GP, 0)


def test_conforming_code_runs_at_the_level_of_its_caller() -> None:
    machine = ProtectedMachine()
    machine.set_level(3)
    machine.describe(CODE_SLOT, descriptor(kind=CODE_RX_CONFORMING, dpl=0))
    assert transfer(machine, "JMP", CODE_SLOT, TARGET, 4) == TRANSFER
    assert (machine.level, machine.selector(CS)) == (3, CODE_SLOT | 3)


@pytest.mark.parametrize("name", ["JMP", "CALL"])
@pytest.mark.parametrize("way", ["direct", "gate", "inwards", "real"])
def test_every_way_is_charged_where_it_starts(name: str, way: str) -> None:
    machine = ProtectedMachine()
    level = 1 if way == "inwards" and name == "CALL" else 0
    if way == "real":
        machine.enter_real_mode()
    else:
        machine.set_level(level)
    machine.describe(GATE_SLOT, gate(CODES[0], TARGET, CALL32, 3))
    selector = {"direct": CODES[0], "real": 0x100}.get(way, GATE_SLOT)
    assert transfer(machine, name, selector, 0x500, 4) == TRANSFER
    assert machine.core[w.COUNT + level * w.EVENTS + w.EVENT_FAR_TRANSFER] == 1
    assert machine.cpu[state.RETIRED + level] == 1
