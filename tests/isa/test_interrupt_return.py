"""IRET, against the SDM's pseudo-code written down again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa import state, vectors
from isa import workspace as w
from isa.records import TRANSFER, TROUBLED
from isa.registers import ATTR_UNUSABLE, CS, DS, ES, FS, GS, SS
from tests.isa.protected_machine import (
    CODE_RX_CONFORMING,
    CODES,
    DATA_RW,
    DATAS,
    FREE,
    STACKS,
    ProtectedMachine,
    descriptor,
)
from tests.isa.transfer_scenes import (
    CODE_SLOT,
    LEVEL,
    STACK_SLOT,
    TARGET,
    Return,
    every_outer_stack,
    every_return,
    expected_return,
    push_frame,
    returns,
    stage_return,
)

IF, TF, NT, RF, VM, AC, ID = 1 << 9, 1 << 8, 1 << 14, 1 << 16, 1 << 17, 1 << 18, 1 << 21
IOPL, VIF, VIP = 3 << 12, 1 << 19, 1 << 20
STATUS = 0x8D5


def iret(machine: ProtectedMachine, size: int = 4) -> int:
    return machine.execute("IRETD" if size == 4 else "IRET")


@settings(max_examples=500)
@given(
    case=returns(),
    iopl=LEVEL,
    image=st.integers(0, 0xFFFFFFFF).map(lambda image: image & ~VM),
    held=st.integers(0, 0xFFFFFFFF),
)
def test_returns_follow_the_pseudo_code(case: Return, iopl: int, image: int, held: int) -> None:
    check_return(case, iopl, image, held)


@pytest.mark.parametrize("kind", range(16, 32, 2))
def test_every_return(kind: int) -> None:
    for case in every_return(kind):
        check_return(case, case.dpl, image=0x247ED7 & ~VM, held=0)
        check_return(case, case.dpl, image=0, held=0x3FFFFF)


def test_every_outer_stack() -> None:
    for case in every_outer_stack():
        check_return(case, iopl=0, image=2, held=0)


def check_return(case: Return, iopl: int, image: int, held: int) -> None:
    machine = stage_return(case)
    words = [case.offset, case.code_selector, image, 0x9ABC, case.stack_selector]
    push_frame(machine, words, case.size)
    machine.eflags = held & 0x3C8FD5 & ~TF | 2 | iopl << 12
    before, esp = machine.eflags, machine.esp
    fault = expected_return(case)
    if fault is not None:
        with machine.unchanged():
            assert iret(machine, case.size) == TROUBLED
        assert machine.trouble == fault
        return
    assert iret(machine, case.size) == TRANSFER
    assert machine.eip == case.offset
    assert machine.selector(CS) == CODE_SLOT | case.rpl
    assert machine.level == case.rpl
    if case.goes_out:
        assert machine.selector(SS) == STACK_SLOT | case.rpl
        assert machine.esp == 0x9ABC
    else:
        assert machine.esp == esp + 3 * case.size
    changeable = STATUS | TF | 0x400 | NT
    if case.size == 4:
        changeable |= AC | ID | RF
    if case.cpl <= iopl:
        changeable |= IF
    if case.cpl == 0:
        changeable |= IOPL | (VIF | VIP if case.size == 4 else 0)
    assert machine.eflags == before & ~(changeable | RF) | image & changeable
    assert machine.descriptor_type(CODE_SLOT) & 1
    assert machine.descriptor_type(STACK_SLOT) & 1 == int(case.goes_out)


@given(
    kind=st.integers(16, 31), dpl=LEVEL, level=st.integers(1, 3), segment=st.sampled_from((DS, GS))
)
def test_an_outer_level_does_not_inherit_inner_data(
    kind: int, dpl: int, level: int, segment: int
) -> None:
    machine = ProtectedMachine()
    machine.describe(FREE, descriptor(kind=kind, dpl=dpl))
    for register in (ES, FS):
        machine.fill(register, DATAS[level] | level)
    machine.fill(segment, FREE | 3)
    push_frame(machine, [TARGET, CODES[level] | level, 2, 0x9000, DATAS[level] | level])
    assert iret(machine) == TRANSFER
    kept = kind & 0xC == 0xC or dpl >= level
    assert machine.selector(segment) == (FREE | 3 if kept else 0)
    assert bool(machine.cpu[state.ATTRIBUTES + segment] & ATTR_UNUSABLE) == (not kept)
    assert machine.selector(ES) == machine.selector(FS) == DATAS[level] | level


def test_null_selectors_become_plain_zero_on_the_way_out() -> None:
    machine = ProtectedMachine()
    machine.cpu[state.SELECTOR + FS] = 3
    machine.cpu[state.ATTRIBUTES + FS] |= ATTR_UNUSABLE
    push_frame(machine, [TARGET, CODES[3] | 3, 2, 0x9000, DATAS[3] | 3])
    assert iret(machine) == TRANSFER
    assert machine.selector(FS) == 0


def test_only_sp_is_restored_on_an_outer_16_bit_stack() -> None:
    machine = ProtectedMachine()
    machine.describe(STACK_SLOT, descriptor(0, 0xFFFF, DATA_RW, 3, big=0, pages=0))
    push_frame(machine, [TARGET, CODES[3] | 3, 2, 0x0ABC1234, STACK_SLOT | 3])
    assert iret(machine) == TRANSFER
    assert machine.esp == STACKS[0] & 0xFFFF0000 | 0x1234


@pytest.mark.parametrize("words", [1, 2, 3, 4])
def test_a_short_stack_faults(words: int) -> None:
    machine = ProtectedMachine()
    push_frame(machine, [TARGET, CODES[3] | 3, 2, 0x9000, DATAS[3] | 3])
    machine.cpu[state.LIMIT + SS] = machine.esp + 4 * words - 1
    with machine.unchanged():
        assert iret(machine) == TROUBLED
    assert machine.trouble == (vectors.SS, 0)


def test_iret_is_booked_at_the_level_it_leaves() -> None:
    machine = ProtectedMachine()
    core = machine.core
    core[w.COST + w.EVENT_IRET] = 7
    core[w.LIMIT_TOTAL], core[w.BUDGET], core[w.LEFT] = 20, 10, 4
    push_frame(machine, [TARGET, CODES[3] | 3, 2, 0x9000, DATAS[3] | 3])
    assert iret(machine) == TRANSFER
    assert list(machine.cpu[state.RETIRED : state.RETIRED + 4]) == [7, 0, 0, 0]
    assert core[w.COUNT + w.EVENT_IRET] == 1
    assert machine.cpu[state.CYCLES] == 7


@pytest.mark.parametrize("way", ["same", "outer", "v86", "real"])
def test_every_way_back_is_charged(way: str) -> None:
    machine = ProtectedMachine()
    if way == "real":
        machine.enter_real_mode()
    flags = VM | 2 if way == "v86" else 2
    code = {"same": CODES[0], "outer": CODES[3] | 3}.get(way, 0x100)
    push_frame(machine, [0x500, code, flags, 0x9000, DATAS[3] | 3, 0, 0, 0, 0])
    assert iret(machine) == TRANSFER
    assert machine.core[w.COUNT + w.EVENT_IRET] == 1
    assert machine.cpu[state.RETIRED] == 1


# --- virtual-8086 and real mode --------------------------------------------------------------

V86_FRAME = [0x1234, 0x100, VM | IF | 2, 0x1F000, 0x200, 0x301, 0x302, 0x303, 0x304]


def test_ring_0_returns_to_virtual_8086_mode() -> None:
    machine = ProtectedMachine()
    push_frame(machine, V86_FRAME)
    assert iret(machine) == TRANSFER
    assert machine.level == 3
    assert machine.eflags == VM | IF | 2
    assert machine.eip == 0x1234
    assert machine.esp == 0x1F000
    found = [machine.selector(segment) for segment in (CS, SS, ES, DS, FS, GS)]
    assert found == [0x100, 0x200, 0x301, 0x302, 0x303, 0x304]
    for segment in range(6):
        assert machine.cpu[state.BASE + segment] == machine.selector(segment) << 4
        assert machine.cpu[state.LIMIT + segment] == 0xFFFF
        assert machine.cpu[state.ATTRIBUTES + segment] == 0xF3


def test_the_target_in_virtual_8086_mode_is_checked() -> None:
    machine = ProtectedMachine()
    push_frame(machine, [0x10000, *V86_FRAME[1:]])
    with machine.unchanged():
        assert iret(machine) == TROUBLED
    assert machine.trouble == (vectors.GP, 0)


def test_other_rings_cannot_enter_virtual_8086_mode() -> None:
    machine = ProtectedMachine()
    machine.set_level(1)
    push_frame(machine, [TARGET, CODES[1] | 1, VM | 2])
    assert iret(machine) == TRANSFER
    assert not machine.eflags & VM


@pytest.mark.parametrize("iopl", range(4))
@pytest.mark.parametrize("size", [2, 4])
def test_iret_in_virtual_8086_mode_needs_iopl_3(iopl: int, size: int) -> None:
    machine = ProtectedMachine()
    machine.enter_v86(iopl)
    push_frame(machine, [0x77, 0x400, 0x0ED7 & ~IOPL], size)
    if iopl < 3:
        with machine.unchanged():
            assert iret(machine, size) == TROUBLED
        assert machine.trouble == (vectors.GP, 0)
    else:
        assert iret(machine, size) == TRANSFER
        assert (machine.eip, machine.selector(CS)) == (0x77, 0x400)
        assert machine.eflags == VM | IOPL | 0x0ED7 & ~0x28


@pytest.mark.parametrize("size", [2, 4])
def test_iret_in_real_mode(size: int) -> None:
    machine = ProtectedMachine()
    machine.enter_real_mode()
    push_frame(machine, [0x77, 0x400, 0x00247ED7], size)
    assert iret(machine, size) == TRANSFER
    assert (machine.eip, machine.selector(CS)) == (0x77, 0x400)
    assert machine.cpu[state.BASE + CS] == 0x4000
    assert machine.esp == 0x8000
    high = AC | ID if size == 4 else 0
    assert machine.eflags == 0x7ED7 & ~0x28 | high


@pytest.mark.parametrize(("missing", "fits"), [(0, True), (1, False)])
def test_iret_in_real_mode_pops_three_words(missing: int, fits: bool) -> None:
    machine = ProtectedMachine()
    machine.enter_real_mode()
    push_frame(machine, [0x77, 0x400, 2], 2)
    machine.cpu[state.LIMIT + SS] = machine.esp + 5 - missing
    assert iret(machine, 2) == (TRANSFER if fits else TROUBLED)


def test_iret_in_real_mode_reaches_what_the_code_segment_reaches() -> None:
    machine = ProtectedMachine()
    machine.enter_real_mode()
    machine.cpu[state.LIMIT + CS] = 0xFFFFFFFF
    push_frame(machine, [0x10000, 0x400, 2])
    assert iret(machine) == TRANSFER
    assert machine.eip == 0x10000


def test_iret_in_real_mode_checks_the_limit() -> None:
    machine = ProtectedMachine()
    machine.enter_real_mode()
    push_frame(machine, [0x10000, 0x400, 2])
    with machine.unchanged():
        assert iret(machine) == TROUBLED
    assert machine.trouble == (vectors.GP, 0)


def test_a_conforming_segment_is_left_at_the_level_of_the_selector() -> None:
    machine = ProtectedMachine()
    machine.describe(CODE_SLOT, descriptor(kind=CODE_RX_CONFORMING, dpl=0))
    push_frame(machine, [TARGET, CODE_SLOT | 2, 2, 0x9000, DATAS[2] | 2])
    assert iret(machine) == TRANSFER
    assert machine.level == 2
