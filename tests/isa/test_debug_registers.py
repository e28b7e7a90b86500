"""MOV to and from the debug registers: who may, which bits exist, and general detect."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa import state, vectors
from isa.events import EXTERNAL, HARDWARE, PRIVILEGED, SOFTWARE
from isa.records import DONE, TRANSFER, TROUBLED
from isa.registers import (
    CR4_DE,
    DR6_BD,
    DR6_FIXED,
    DR6_WRITABLE,
    DR7_FIXED,
    DR7_GD,
    DR7_WRITABLE,
    EAX,
    EBX,
    EFLAGS_RF,
)
from tests.isa.protected_machine import CODES, INT32, ProtectedMachine, gate

M32 = 0xFFFFFFFF
words = st.integers(0, M32)


def write(machine: ProtectedMachine, number: int, value: int) -> int:
    machine.cpu[state.GPR + EBX] = value
    return machine.execute("MOV_DR_r32", a=number, b=EBX)


def read(machine: ProtectedMachine, number: int) -> int:
    return machine.execute("MOV_r32_DR", a=number, b=EAX)


@settings(deadline=None)
@given(number=st.integers(0, 7), value=words)
def test_what_is_written_can_be_read(number: int, value: int) -> None:
    machine = ProtectedMachine()
    expected = {
        4: value & DR6_WRITABLE | DR6_FIXED,
        5: value & DR7_WRITABLE | DR7_FIXED,
        6: value & DR6_WRITABLE | DR6_FIXED,
        7: value & DR7_WRITABLE | DR7_FIXED,
    }.get(number, value)
    assert write(machine, number, value) == (DONE if number in (4, 6) else TRANSFER)
    machine.cpu[state.DR + 7] &= ~DR7_GD
    assert read(machine, number) == DONE
    if number in (5, 7):
        expected &= ~DR7_GD
    assert machine.cpu[state.GPR + EAX] == expected
    other = {4: 6, 5: 7, 6: 4, 7: 5}.get(number)
    if other is not None:
        assert read(machine, other) == DONE
        assert machine.cpu[state.GPR + EAX] == expected


@pytest.mark.parametrize("name", ["MOV_DR_r32", "MOV_r32_DR"])
@pytest.mark.parametrize("number", [4, 5])
@pytest.mark.parametrize("general_detect", [0, DR7_GD])
def test_debug_extensions_take_the_aliases_away(name, number, general_detect) -> None:
    machine = ProtectedMachine()
    machine.cpu[state.CR4] |= CR4_DE
    machine.cpu[state.DR + 7] |= general_detect
    with machine.unchanged():
        assert machine.execute(name, a=number) == TROUBLED
    assert machine.trouble == (vectors.UD, -1)


@pytest.mark.parametrize("name", ["MOV_DR_r32", "MOV_r32_DR"])
@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("level", [1, 2, 3, "v86"])
@pytest.mark.parametrize("de", [0, CR4_DE])
def test_debug_registers_are_for_ring_0(name, number, level, de) -> None:
    """The privilege comes first, whatever the number; virtual-8086 mode is ring 3."""
    machine = ProtectedMachine()
    machine.cpu[state.CR4] |= de
    machine.cpu[state.DR + 7] |= DR7_GD
    if level == "v86":
        machine.enter_v86(iopl=3)
    else:
        machine.set_level(level)
    with machine.unchanged():
        assert machine.execute(name, a=number) == TROUBLED
    assert machine.trouble == (vectors.GP, 0)


@pytest.mark.parametrize("name", ["MOV_DR_r32", "MOV_r32_DR"])
def test_real_mode_may_use_them(name) -> None:
    machine = ProtectedMachine()
    machine.enter_real_mode()
    assert machine.execute(name, a=3) != TROUBLED


@pytest.mark.parametrize("name", ["MOV_DR_r32", "MOV_r32_DR"])
@settings(deadline=None)
@given(number=st.integers(0, 7), value=words, before=words)
def test_general_detect_comes_before_the_access(name, number, value, before) -> None:
    machine = ProtectedMachine()
    machine.cpu[state.DR + 6] = before & DR6_WRITABLE | DR6_FIXED
    machine.cpu[state.DR + 7] |= DR7_GD
    machine.cpu[state.GPR + EBX] = value
    registers = machine.cpu[state.GPR : state.GPR + 8].copy()
    assert machine.execute(name, a=number, b=EBX) == TROUBLED
    assert machine.trouble == (vectors.DB, -1)
    assert (machine.cpu[state.GPR : state.GPR + 8] == registers).all()
    # B0 to B3 are about this exception, the other conditions stay until software clears them.
    expected = before & DR6_WRITABLE & ~0xF | DR6_BD | DR6_FIXED
    assert machine.cpu[state.DR + 6] == expected
    assert machine.cpu[state.DR + 7] & DR7_GD  # until the handler is entered
    assert machine.eflags & EFLAGS_RF  # a fault: so will be the saved image


@pytest.mark.parametrize("vector", [vectors.DB, vectors.BP, 0x80])
@pytest.mark.parametrize("kind", [HARDWARE, EXTERNAL, SOFTWARE, PRIVILEGED])
def test_the_handler_of_a_debug_exception_may_use_the_registers(vector: int, kind: int) -> None:
    machine = ProtectedMachine()
    machine.gate(vector, gate(CODES[0], 0x5000, INT32))
    machine.cpu[state.DR + 7] |= DR7_GD
    assert machine.deliver(vector, -1, kind) == TRANSFER
    is_debug_exception = vector == vectors.DB and kind in (HARDWARE, PRIVILEGED)
    assert bool(machine.cpu[state.DR + 7] & DR7_GD) != is_debug_exception


def test_a_debug_exception_that_cannot_be_delivered_leaves_general_detect_on() -> None:
    machine = ProtectedMachine()
    machine.gate(vectors.GP, gate(CODES[0], 0x5000, INT32))
    machine.cpu[state.DR + 7] |= DR7_GD
    assert machine.deliver(vectors.DB) == TRANSFER
    assert machine.eip == 0x5000
    assert machine.cpu[state.DR + 7] & DR7_GD
