"""SYSENTER and SYSEXIT."""

import pytest

from isa import state, vectors
from isa import workspace as w
from isa.records import TRANSFER, TROUBLED
from isa.registers import CS, ECX, EDX, SS
from tests.isa.protected_machine import ProtectedMachine

IF = 1 << 9
M32 = 0xFFFFFFFF


def set_gpr(machine: ProtectedMachine, register: int, value: int) -> None:
    machine.cpu[state.GPR + register] = value


def test_sysenter_and_sysexit() -> None:
    machine = ProtectedMachine()
    machine.set_level(3)
    machine.eflags = IF | 2
    cpu = machine.cpu
    cpu[state.SYSENTER_CS], cpu[state.SYSENTER_EIP], cpu[state.SYSENTER_ESP] = 0x103, 0x5000, 0x6000
    for segment in (CS, SS):
        cpu[state.BASE + segment], cpu[state.LIMIT + segment] = 0x1000, 0xFFFF
    assert machine.execute("SYSENTER") == TRANSFER
    assert machine.core[w.COUNT + 3 * w.EVENTS + w.EVENT_FAR_TRANSFER] == 1
    assert cpu[state.BASE + CS] == cpu[state.BASE + SS] == 0
    assert (machine.level, machine.eip, machine.esp) == (0, 0x5000, 0x6000)
    assert (machine.selector(CS), machine.selector(SS)) == (0x100, 0x108)
    assert machine.eflags == 2
    assert list(cpu[state.RETIRED : state.RETIRED + 4]) == [0, 0, 0, 1]
    assert cpu[state.LIMIT + CS] == cpu[state.LIMIT + SS] == M32
    assert (cpu[state.ATTRIBUTES + CS], cpu[state.ATTRIBUTES + SS]) == (0xC09B, 0xC093)
    set_gpr(machine, ECX, 0x7000)
    set_gpr(machine, EDX, 0x8000)
    machine.core[w.LIMIT_TOTAL] += 1
    assert machine.execute("SYSEXIT") == TRANSFER
    assert (machine.level, machine.eip, machine.esp) == (3, 0x8000, 0x7000)
    assert (machine.selector(CS), machine.selector(SS)) == (0x113, 0x11B)
    assert (cpu[state.ATTRIBUTES + CS], cpu[state.ATTRIBUTES + SS]) == (0xC0FB, 0xC0F3)
    assert cpu[state.RETIRED] == 1


@pytest.mark.parametrize("name", ["SYSENTER", "SYSEXIT"])
def test_fast_calls_need_a_code_selector_and_protected_mode(name: str) -> None:
    machine = ProtectedMachine()
    machine.cpu[state.SYSENTER_CS] = 3
    with machine.unchanged():
        assert machine.execute(name) == TROUBLED
    assert machine.trouble == (vectors.GP, 0)
    machine.cpu[state.SYSENTER_CS] = 8
    machine.enter_real_mode()
    with machine.unchanged():
        assert machine.execute(name) == TROUBLED
    assert machine.trouble == (vectors.GP, 0)
