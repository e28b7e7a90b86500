"""CPUID, the counters, and the model-specific registers."""

import pytest

from isa import model_specific, state, vectors
from isa import workspace as w
from isa.records import DONE, TROUBLED
from isa.registers import EAX, EBX, ECX, EDX
from tests.isa.protected_machine import ProtectedMachine

M32 = 0xFFFFFFFF


def gpr(machine: ProtectedMachine, register: int) -> int:
    return int(machine.cpu[state.GPR + register])


def set_gpr(machine: ProtectedMachine, register: int, value: int) -> None:
    machine.cpu[state.GPR + register] = value


@pytest.mark.parametrize("leaf", [0, 1, 2, 3, 0x80000000, M32])
def test_cpuid(leaf: int) -> None:
    machine = ProtectedMachine()
    set_gpr(machine, EAX, leaf)
    assert machine.execute("CPUID") == DONE
    eax, ecx, edx, ebx = (gpr(machine, register) for register in (EAX, ECX, EDX, EBX))
    if leaf == 0:
        assert eax == 2
        vendor = b"".join(word.to_bytes(4, "little") for word in (ebx, edx, ecx))
        assert vendor == b"TrapgateCPU "
    elif leaf == 1:
        assert eax >> 8 & 15 == 6
        assert edx == 0xABBE
        assert (ebx, ecx) == (0, 0)
        assert not edx & 1  # no floating-point unit
    else:
        assert (eax, ebx, ecx, edx) == (1, 0, 0, 0)


def test_the_time_stamp_counter_counts_instructions() -> None:
    machine = ProtectedMachine()
    core = machine.core
    core[w.LIMIT_TOTAL], core[w.BUDGET], core[w.LEFT] = 100, 50, 10
    machine.cpu[state.TSC_OFFSET] = 0x1_0000_0000
    assert machine.execute("RDTSC") == DONE
    assert (gpr(machine, EDX), gpr(machine, EAX)) == (1, 40)
    set_gpr(machine, ECX, 0x10)
    set_gpr(machine, EAX, 0x80000000)
    set_gpr(machine, EDX, 7)
    assert machine.execute("WRMSR") == DONE
    core[w.LEFT] = 8
    assert machine.execute("RDMSR") == DONE
    assert (gpr(machine, EDX), gpr(machine, EAX)) == (0, 0x80000002)


@pytest.mark.parametrize("number", [0x174, 0x175, 0x176])
def test_sysenter_registers(number: int) -> None:
    machine = ProtectedMachine()
    set_gpr(machine, ECX, number)
    set_gpr(machine, EAX, 0x89ABCDEF)
    assert machine.execute("WRMSR") == DONE
    set_gpr(machine, EAX, 0)
    set_gpr(machine, EDX, 5)
    assert machine.execute("RDMSR") == DONE
    assert (gpr(machine, EDX), gpr(machine, EAX)) == (0, 0x89ABCDEF)


@pytest.mark.parametrize(
    ("value", "high", "result"),
    [(0xFEE00800, 0, 0xFEE00900), (0xFEE00000, 0, 0xFEE00100), (0x1, 0, None), (0, 1, None)],
)
def test_apic_base(value: int, high: int, result: int | None) -> None:
    machine = ProtectedMachine()
    set_gpr(machine, ECX, model_specific.MSR_APIC_BASE)
    set_gpr(machine, EAX, value)
    set_gpr(machine, EDX, high)
    assert machine.execute("WRMSR") == (TROUBLED if result is None else DONE)
    assert machine.cpu[state.APIC_BASE] == (0xFEE00900 if result is None else result)


@pytest.mark.parametrize("name", ["RDMSR", "WRMSR", "RDPMC"])
def test_registers_that_do_not_exist(name: str) -> None:
    machine = ProtectedMachine()
    set_gpr(machine, ECX, 0x999)
    with machine.unchanged():
        assert machine.execute(name) == TROUBLED
    assert machine.trouble == (vectors.GP, 0)


def test_performance_counters_read_zero() -> None:
    machine = ProtectedMachine()
    for number in (0, 1):
        set_gpr(machine, ECX, number)
        set_gpr(machine, EAX, 5)
        set_gpr(machine, EDX, 5)
        assert machine.execute("RDPMC") == DONE
        assert gpr(machine, EAX) == gpr(machine, EDX) == 0
