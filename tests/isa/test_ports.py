"""IN and OUT: the I/O permission bitmap bit by bit, and the exits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa import ports, state, vectors
from isa import workspace as w
from isa.exits import Exit
from isa.records import TROUBLED
from isa.registers import ATTR_UNUSABLE, EAX, EDX, TR
from tests.isa.protected_machine import TSS, TSS16, ProtectedMachine

MAP = 0x88


def machine_with_map(level: int = 3, iopl: int = 0, limit: int = 0x2100) -> ProtectedMachine:
    machine = ProtectedMachine()
    machine.set_level(level)
    machine.eflags = 2 | iopl << 12
    machine.cpu[state.LIMIT + TR] = limit
    machine.poke(TSS + 0x66, MAP, 2)
    return machine


def check(machine: ProtectedMachine, port: int, size: int) -> int:
    machine.core[w.TROUBLE] = 0
    return int(ports.check_port(*machine.arrays, port, size))


@given(
    denied=st.sets(st.integers(0, 0x40), max_size=6),
    port=st.integers(0, 0x40),
    size=st.sampled_from((1, 2, 4)),
    level=st.integers(0, 3),
    iopl=st.integers(0, 3),
    v86=st.booleans(),
)
def test_every_byte_of_an_access_needs_permission(
    denied: set[int], port: int, size: int, level: int, iopl: int, v86: bool
) -> None:
    machine = machine_with_map(level, iopl)
    if v86:
        machine.enter_v86(iopl)
    for number in denied:
        at = TSS + MAP + (number >> 3)
        machine.poke(at, machine.peek(at, 1) | 1 << (number & 7), 1)
    trusted = level <= iopl and not v86
    allowed = trusted or not denied & set(range(port, port + size))
    assert check(machine, port, size) == (0 if allowed else -1)
    assert allowed or machine.trouble == (vectors.GP, 0)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_one_denied_port_refuses_the_accesses_that_touch_it(size: int) -> None:
    for denied in range(8, 24):
        machine = machine_with_map()
        machine.poke(TSS + MAP + (denied >> 3), 1 << (denied & 7), 1)
        for port in range(32):
            touched = port <= denied < port + size
            assert check(machine, port, size) == (-1 if touched else 0), (port, denied)


@pytest.mark.parametrize(("limit", "allowed"), [(MAP + 3, True), (MAP + 2, False), (0x66, False)])
def test_the_map_ends_with_the_tss(limit: int, allowed: bool) -> None:
    machine = machine_with_map(limit=limit)
    assert check(machine, 0x10, 1) == (0 if allowed else -1)


def test_two_bytes_of_the_map_are_read_for_the_last_port() -> None:
    machine = machine_with_map(limit=MAP + 0x2000)
    assert check(machine, 0xFFFF, 1) == 0
    machine.poke(TSS + MAP + 0x2000, 0xFF, 1)
    assert check(machine, 0xFFFF, 1) == 0
    assert check(machine, 0xFFFF, 2) == -1  # its second byte is refused by the terminating ones
    machine.cpu[state.LIMIT + TR] -= 1
    assert check(machine, 0xFFFF, 1) == -1


@pytest.mark.parametrize("attributes", [0x80 | TSS16 | 2, 0x8B | ATTR_UNUSABLE])
def test_only_a_32_bit_tss_has_a_map(attributes: int) -> None:
    machine = machine_with_map()
    machine.cpu[state.ATTRIBUTES + TR] = attributes
    assert check(machine, 0, 1) == -1
    assert machine.trouble == (vectors.GP, 0)


def test_the_map_is_read_as_supervisor() -> None:
    machine = machine_with_map()
    machine.enable_paging()
    machine.map_page(TSS, 3)
    assert check(machine, 0, 1) == 0
    machine.map_page(TSS, 2)
    assert check(machine, 0, 1) == -1
    assert machine.trouble == (vectors.PF, 0)
    machine.poke(TSS + 0x66, 0x0F00, 2)
    machine.map_page(TSS, 3)
    machine.map_page(TSS + 0x1000, 2)
    assert check(machine, 0x8 * 0xFF, 1) == -1
    assert machine.trouble == (vectors.PF, 0)


def test_real_mode_has_no_map() -> None:
    machine = ProtectedMachine()
    machine.enter_real_mode()
    machine.cpu[state.LIMIT + TR] = 0
    assert check(machine, 0x64, 4) == 0


@pytest.mark.parametrize(("width", "register"), [(1, "AL"), (2, "AX"), (4, "EAX")])
@pytest.mark.parametrize("immediate", [True, False])
def test_accesses_retire_and_ask_the_owner(width: int, register: str, immediate: bool) -> None:
    machine = ProtectedMachine()
    machine.core[w.COST + w.EVENT_PORT] = 3
    machine.cpu[state.GPR + EAX] = 0x89ABCDEF
    machine.cpu[state.GPR + EDX] = 0xFFFF03F8
    port = 0xE9 if immediate else 0x3F8
    source = "imm8" if immediate else "DX"
    assert machine.execute(f"OUT_{source}_{register}", immediate=0xE9) == TROUBLED
    value = 0x89ABCDEF & (1 << 8 * width) - 1
    assert machine.exit == (Exit.PORT_OUT, port, width, value)
    assert machine.core[w.EXIT_D] == 1
    assert machine.eip == int(machine.core[w.NEXT_EIP])
    assert machine.execute(f"IN_{register}_{source}", immediate=0xE9) == TROUBLED
    assert machine.exit is not None
    assert machine.exit[:3] == (Exit.PORT_IN, port, width)
    assert machine.cpu[state.GPR + EAX] == 0x89ABCDEF
    assert machine.cpu[state.CYCLES] == 6


@pytest.mark.parametrize("name", ["IN_AL_DX", "OUT_imm8_EAX"])
def test_a_refused_access_changes_nothing(name: str) -> None:
    machine = machine_with_map(limit=0x67)
    with machine.unchanged():
        assert machine.execute(name) == TROUBLED
    assert machine.trouble == (vectors.GP, 0)
