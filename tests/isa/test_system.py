"""The system instructions: who may execute them, and those without a unit of their own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa import state, vectors
from isa import workspace as w
from isa.exits import Exit
from isa.records import DONE, TRANSFER, TROUBLED
from isa.registers import CR0_EM, CR0_MP, CR0_TS, EDX, ESP
from tests.isa.protected_machine import CODE, CODES, INT32, TRAP32, ProtectedMachine, gate

STATUS = 0x8D5
M32 = 0xFFFFFFFF
DATA = 0x30000
NEXT = CODE + 2


def set_gpr(machine: ProtectedMachine, register: int, value: int) -> None:
    machine.cpu[state.GPR + register] = value


# --- interrupts and the rest ---


@pytest.mark.parametrize(
    ("name", "vector", "dpl"),
    [("INT3", 3, 3), ("INT_imm8", 0x80, 3), ("INTO", 4, 3), ("INT1", 1, 0)],
)
def test_software_interrupts(name: str, vector: int, dpl: int) -> None:
    machine = ProtectedMachine()
    machine.set_level(3)
    machine.eflags = STATUS | 2
    machine.gate(vector, gate(CODES[0], 0x12000, TRAP32, dpl))
    assert machine.execute(name, immediate=vector) == TRANSFER
    assert (machine.level, machine.eip) == (0, 0x12000)
    assert machine.peek(machine.esp) == NEXT
    assert list(machine.cpu[state.RETIRED : state.RETIRED + 4]) == [0, 0, 0, 1]


@pytest.mark.parametrize(("name", "vector"), [("INT3", 3), ("INT_imm8", 0x80), ("INTO", 4)])
def test_software_interrupts_need_the_gates_permission(name: str, vector: int) -> None:
    machine = ProtectedMachine()
    machine.set_level(3)
    machine.eflags = STATUS | 2
    machine.gate(vector, gate(CODES[0], 0x12000, INT32, 2))
    with machine.unchanged():
        assert machine.execute(name, immediate=vector) == TROUBLED
    assert machine.trouble == (vectors.GP, vector * 8 + 2)


def test_into_without_overflow_goes_on() -> None:
    machine = ProtectedMachine()
    machine.eflags = STATUS & ~0x800 | 2
    assert machine.execute("INTO") == DONE


def test_iret_is_dispatched() -> None:
    machine = ProtectedMachine()
    machine.cpu[state.GPR + ESP] -= 12
    for slot, word in enumerate((0x12345, CODES[0], 2)):
        machine.poke(machine.esp + 4 * slot, word)
    assert machine.execute("IRETD") == TRANSFER
    assert machine.eip == 0x12345


def test_hlt_retires_and_waits() -> None:
    machine = ProtectedMachine()
    assert machine.execute("HLT") == TROUBLED
    assert machine.exit == (Exit.HALT, 0, 0, 0)
    assert machine.core[w.EXIT_D] == 1
    assert machine.cpu[state.HALTED] == 1
    assert machine.eip == NEXT


def test_the_trapdoor_hands_over() -> None:
    machine = ProtectedMachine()
    machine.core[w.COST + w.EVENT_TRAPDOOR] = 9
    assert machine.execute("TRAPDOOR_imm8", immediate=0x42) == TROUBLED
    assert machine.exit is not None
    assert machine.exit[:2] == (Exit.TRAPDOOR, 0x42)
    assert machine.core[w.EXIT_D] == 1
    assert machine.eip == NEXT
    assert machine.cpu[state.CYCLES] == 9


@pytest.mark.parametrize("cr0", [0, CR0_MP, CR0_TS, CR0_MP | CR0_TS, CR0_EM | CR0_TS])
def test_wait(cr0: int) -> None:
    machine = ProtectedMachine()
    machine.cpu[state.CR0] |= cr0
    if cr0 == CR0_MP | CR0_TS:
        assert machine.execute("WAIT") == TROUBLED
        assert machine.trouble == (vectors.NM, -1)
    else:
        assert machine.execute("WAIT") == DONE


@pytest.mark.parametrize("name", ["UD0_r32_rm32", "UD1_r32_rm32", "UD2"])
def test_undefined_instructions(name: str) -> None:
    machine = ProtectedMachine()
    with machine.unchanged():
        assert machine.execute(name) == TROUBLED
    assert machine.trouble == (vectors.UD, -1)


@pytest.mark.parametrize("name", ["INVD", "WBINVD"])
def test_there_is_no_cache(name: str) -> None:
    machine = ProtectedMachine()
    with machine.unchanged():
        assert machine.execute(name) == DONE


@given(
    size=st.sampled_from((2, 4)),
    index=st.integers(0, M32),
    lower=st.integers(0, M32),
    upper=st.integers(0, M32),
    equal=st.sampled_from(("", "lower", "upper")),
)
def test_bound(size: int, index: int, lower: int, upper: int, equal: str) -> None:
    machine = ProtectedMachine()
    index = {"lower": lower, "upper": upper}.get(equal, index)
    set_gpr(machine, EDX, index)
    machine.poke(DATA, lower, size)
    machine.poke(DATA + size, upper, size)

    def signed(value: int) -> int:
        value &= (1 << 8 * size) - 1
        return value - (1 << 8 * size) if value >> 8 * size - 1 else value

    form = "BOUND_r32_m32and32" if size == 4 else "BOUND_r16_m16and16"
    with machine.unchanged():
        status = machine.execute(form, a=EDX, memory=DATA)
    if signed(lower) <= signed(index) <= signed(upper):
        assert status == DONE
    else:
        assert status == TROUBLED
        assert machine.trouble == (vectors.BR, -1)
