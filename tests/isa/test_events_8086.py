"""Delivery of events out of virtual-8086 mode, and in real mode."""

import pytest

from isa import state, vectors
from isa.events import EXTERNAL, HARDWARE, SOFTWARE
from isa.exits import Exit
from isa.records import TRANSFER, TROUBLED
from isa.registers import ATTR_UNUSABLE, CS, DS, ES, ESP, FS, GS, SS
from tests.isa.protected_machine import CODES, DATAS, INT32, STACKS, ProtectedMachine, gate
from tests.isa.transfer_scenes import TARGET, flat_machine, frame

HANDLER = TARGET
IF = 1 << 9
TF = 1 << 8
VM = 1 << 17
AC = 1 << 18


# --- virtual-8086 mode -----------------------------------------------------------------------


def test_an_event_in_virtual_8086_mode_saves_all_segments() -> None:
    machine = flat_machine()
    machine.enter_v86(iopl=3)
    machine.eflags |= IF
    flags = machine.eflags
    assert machine.deliver(0x80, -1, EXTERNAL) == TRANSFER
    assert machine.esp == STACKS[0] - 36
    assert frame(machine, 9) == [0x20, 0x100, flags, 0x1000, 0x200, 0x300, 0x300, 0x300, 0x300]
    assert machine.level == 0
    assert not machine.eflags & VM
    for segment in (ES, DS, FS, GS):
        assert machine.selector(segment) == 0
        assert machine.cpu[state.ATTRIBUTES + segment] & ATTR_UNUSABLE
    assert machine.selector(SS) == DATAS[0]


@pytest.mark.parametrize("target", [CODES[1], CODES[3]])
def test_virtual_8086_mode_is_left_for_ring_0_only(target: int) -> None:
    machine = flat_machine()
    machine.enter_v86(iopl=3)
    machine.gate(0x80, gate(target, HANDLER, INT32, 3))
    assert machine.deliver(0x80, -1, SOFTWARE) == TROUBLED
    assert machine.trouble == (vectors.GP, target)


# --- real mode -------------------------------------------------------------------------------


def real_machine() -> ProtectedMachine:
    machine = ProtectedMachine()
    machine.enter_real_mode()
    machine.poke(0x21 * 4, 0x1234_5678)
    return machine


@pytest.mark.parametrize("kind", [HARDWARE, EXTERNAL, SOFTWARE])
def test_real_mode_goes_through_the_vector_table(kind: int) -> None:
    machine = real_machine()
    machine.eflags = 0x0ED7 & ~0x28 | TF | IF | AC
    flags = machine.eflags
    assert machine.deliver(0x21, 5, kind) == TRANSFER
    assert machine.eip == 0x5678
    assert machine.selector(CS) == 0x1234
    assert machine.cpu[state.BASE + CS] == 0x12340
    assert machine.esp == 0x8000 - 6
    assert frame(machine, 3, 2) == [0x502 if kind == SOFTWARE else 0x500, 0, flags & 0xFFFF]
    assert machine.eflags == flags & ~(IF | TF | AC)


def test_real_mode_without_room_shuts_down() -> None:
    machine = real_machine()
    machine.cpu[state.GPR + ESP] = 1
    with machine.unchanged():
        assert machine.deliver(0x21, -1, EXTERNAL) == TROUBLED
    assert machine.exit is not None
    assert machine.exit[0] == Exit.SHUTDOWN


@pytest.mark.parametrize(("limit", "handled"), [(0x21 * 4 + 3, True), (0x21 * 4 + 2, False)])
def test_real_mode_checks_the_limit_of_the_vector_table(limit: int, handled: bool) -> None:
    machine = real_machine()
    machine.cpu[state.IDTR_LIMIT] = limit
    machine.poke(vectors.GP * 4, 0x9999)
    assert machine.deliver(0x21, -1, EXTERNAL) == TRANSFER
    assert machine.eip == (0x5678 if handled else 0x9999)
