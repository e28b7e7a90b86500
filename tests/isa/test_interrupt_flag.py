"""PUSHF, POPF, CLI and STI: who may change what, and the interrupt shadow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa import state
from isa import workspace as w
from isa.records import DONE, TRANSFER
from isa.registers import ESP
from tests.isa.protected_machine import CODE, STACKS, ProtectedMachine

TF = 1 << 8
IF = 1 << 9
DF = 1 << 10
NT = 1 << 14
AC = 1 << 18
ID = 1 << 21
IOPL = 3 << 12
STATUS = 0x8D5
M32 = 0xFFFFFFFF
LEVEL = st.integers(0, 3)
NEXT = CODE + 2


@pytest.mark.parametrize("size", [2, 4])
def test_pushf_hides_vm_and_rf(size: int) -> None:
    machine = ProtectedMachine()
    machine.eflags = 0x3D7FD7 & ~TF
    assert machine.execute("PUSHF" if size == 2 else "PUSHFD") == DONE
    assert machine.esp == STACKS[0] - size
    assert machine.peek(machine.esp, size) == 0x3C7ED7 & (1 << 8 * size) - 1


@given(
    cpl=LEVEL,
    iopl=LEVEL,
    size=st.sampled_from((2, 4)),
    held=st.integers(0, M32),
    image=st.integers(0, M32),
)
def test_popf_changes_what_the_level_may(
    cpl: int, iopl: int, size: int, held: int, image: int
) -> None:
    machine = ProtectedMachine()
    machine.set_level(cpl)
    machine.eflags = held & 0x3C4FD5 & ~TF | 2 | iopl << 12
    before = machine.eflags
    machine.cpu[state.GPR + ESP] -= size
    machine.poke(machine.esp, image, size)
    status = machine.execute("POPF" if size == 2 else "POPFD")
    changeable = STATUS | TF | DF | NT
    changeable |= AC | ID if size == 4 else 0
    changeable |= IF if cpl <= iopl else 0
    changeable |= IOPL if cpl == 0 else 0
    assert machine.eflags == before & ~changeable | image & changeable
    assert machine.esp == STACKS[cpl]
    visible = (before ^ machine.eflags) & (IF | TF | AC)
    assert status == (TRANSFER if visible else DONE)


def test_sti_has_a_shadow_of_one_instruction() -> None:
    machine = ProtectedMachine()
    machine.core[w.LIMIT_TOTAL], machine.core[w.BUDGET], machine.core[w.LEFT] = 20, 12, 3
    assert machine.execute("STI") == TRANSFER
    assert machine.eflags & IF
    assert machine.eip == NEXT
    assert machine.cpu[state.SHADOW_AT] == 6
    machine.core[w.BUDGET], machine.core[w.LEFT] = 12, 2
    assert machine.execute("STI") == TRANSFER
    assert machine.cpu[state.SHADOW_AT] == 6  # already enabled: no new shadow
    assert machine.execute("CLI") == DONE
    assert not machine.eflags & IF
