"""Moves to and from segment registers."""

import pytest

from isa import state, vectors
from isa import workspace as w
from isa.records import DONE, TRANSFER, TROUBLED
from isa.registers import ATTR_UNUSABLE, CS, DS, EBX, ECX, EDX, ES, ESP, FS, GS, SS
from tests.isa.protected_machine import (
    CODE,
    CODES,
    DATAS,
    FREE,
    STACKS,
    ProtectedMachine,
    descriptor,
)

M32 = 0xFFFFFFFF
DATA = 0x30000
NEXT = CODE + 2


def gpr(machine: ProtectedMachine, register: int) -> int:
    return int(machine.cpu[state.GPR + register])


def set_gpr(machine: ProtectedMachine, register: int, value: int) -> None:
    machine.cpu[state.GPR + register] = value


def test_mov_to_and_from_segment_registers() -> None:
    machine = ProtectedMachine()
    set_gpr(machine, EBX, 0xABCD0000 | DATAS[1] | 1)
    assert machine.execute("MOV_Sreg_rm16", a=ES, b=EBX) == DONE
    assert machine.selector(ES) == DATAS[1] | 1
    assert machine.execute("MOV_r32m16_Sreg", a=ES, b=ECX) == DONE
    assert gpr(machine, ECX) == DATAS[1] | 1
    machine.poke(DATA, M32)
    assert machine.execute("MOV_r32m16_Sreg", a=ES, memory=DATA) == DONE
    assert machine.peek(DATA) == 0xFFFF0000 | DATAS[1] | 1


@pytest.mark.parametrize("segment", [ES, CS, SS, DS, FS, GS])
def test_mov_from_every_segment_register(segment: int) -> None:
    machine = ProtectedMachine()
    machine.cpu[state.SELECTOR : state.SELECTOR + 6] = range(0x100, 0x106)
    assert machine.execute("MOV_r32m16_Sreg", a=segment, b=ECX) == DONE
    assert gpr(machine, ECX) == 0x100 + segment


@pytest.mark.parametrize("how", ["MOV", "POP"])
def test_a_null_selector_is_a_value_like_others(how: str) -> None:
    machine = ProtectedMachine()
    machine.cpu[state.GPR + ESP] -= 4
    machine.poke(machine.esp, 0)
    set_gpr(machine, EBX, 0)
    if how == "MOV":
        assert machine.execute("MOV_Sreg_rm16", a=GS, b=EBX) == DONE
    else:
        assert machine.execute("POP_GS_o32") == DONE
    assert machine.selector(GS) == 0
    assert machine.cpu[state.ATTRIBUTES + GS] & ATTR_UNUSABLE


@pytest.mark.parametrize(("register", "form"), [(1, "to"), (6, "to"), (7, "to"), (6, "from")])
def test_segment_registers_that_do_not_exist(register: int, form: str) -> None:
    machine = ProtectedMachine()
    name = "MOV_Sreg_rm16" if form == "to" else "MOV_rm16_Sreg"
    with machine.unchanged():
        assert machine.execute(name, a=register, b=EBX) == TROUBLED
    assert machine.trouble == (vectors.UD, -1)


def test_a_load_that_changes_the_mode_leaves_the_block() -> None:
    machine = ProtectedMachine()
    machine.describe(FREE, descriptor(0x1000))
    set_gpr(machine, EBX, FREE)
    assert machine.execute("MOV_Sreg_rm16", a=ES, b=EBX) == TRANSFER
    assert machine.eip == NEXT
    assert machine.execute("MOV_Sreg_rm16", a=GS, b=EBX) == DONE


@pytest.mark.parametrize("how", ["MOV", "POP", "LSS"])
def test_loading_the_stack_segment_shadows_interrupts(how: str) -> None:
    machine = ProtectedMachine()
    machine.core[w.LIMIT_TOTAL], machine.core[w.BUDGET], machine.core[w.LEFT] = 20, 12, 3
    machine.describe(FREE, descriptor(0, 0xFFFF, big=0, pages=0))
    if how == "MOV":
        set_gpr(machine, EBX, FREE)
        assert machine.execute("MOV_Sreg_rm16", a=SS, b=EBX) == TRANSFER
    elif how == "POP":
        machine.cpu[state.GPR + ESP] = 0x2FFFC
        machine.poke(0x2FFFC, FREE)
        assert machine.execute("POP_SS_o32") == TRANSFER
        assert machine.esp == 0x30000  # by the width of the old stack
    else:
        machine.poke(DATA, 0x7000)
        machine.poke(DATA + 4, FREE, 2)
        assert machine.execute("LSS_r32_m16_32", a=ESP, memory=DATA) == TRANSFER
        assert machine.esp == 0x7000
    assert machine.selector(SS) == FREE
    assert machine.cpu[state.SHADOW_AT] == (-1 if how == "LSS" else 6)


@pytest.mark.parametrize("name", ["ES", "CS", "SS", "DS", "FS", "GS"])
@pytest.mark.parametrize("size", [2, 4])
def test_push_of_a_segment_register(name: str, size: int) -> None:
    machine = ProtectedMachine()
    machine.poke(STACKS[0] - 4, M32)
    assert machine.execute(f"PUSH_{name}_o{8 * size}") == DONE
    assert machine.esp == STACKS[0] - size
    expected = CODES[0] if name == "CS" else DATAS[0]
    assert machine.peek(machine.esp, size) == expected


@pytest.mark.parametrize("size", [2, 4])
def test_pop_of_the_stack_segment(size: int) -> None:
    """The pointer moves on the old stack; interrupts wait for one instruction."""
    machine = ProtectedMachine()
    machine.core[w.LIMIT_TOTAL], machine.core[w.BUDGET], machine.core[w.LEFT] = 20, 12, 3
    machine.cpu[state.GPR + ESP] = STACKS[0] - size
    machine.poke(machine.esp, FREE, size)
    machine.describe(FREE, descriptor(0, 0xFFFF, big=0, pages=0))
    assert machine.execute(f"POP_SS_o{8 * size}") == TRANSFER
    assert machine.selector(SS) == FREE
    assert machine.esp == STACKS[0]
    assert machine.cpu[state.SHADOW_AT] == 6


@pytest.mark.parametrize(("name", "segment"), [("ES", ES), ("DS", DS), ("FS", FS), ("GS", GS)])
@pytest.mark.parametrize("size", [2, 4])
def test_pop_of_a_segment_register(name: str, segment: int, size: int) -> None:
    machine = ProtectedMachine()
    machine.cpu[state.GPR + ESP] -= size
    machine.poke(machine.esp, DATAS[2] | 1, size)
    assert machine.execute(f"POP_{name}_o{8 * size}") == DONE
    assert machine.selector(segment) == DATAS[2] | 1
    assert machine.esp == STACKS[0]
    machine.cpu[state.GPR + ESP] -= size
    machine.poke(machine.esp, 0xF000, size)
    with machine.unchanged():
        assert machine.execute(f"POP_{name}_o{8 * size}") == TROUBLED
    assert machine.trouble == (vectors.GP, 0xF000)


@pytest.mark.parametrize(
    ("name", "segment"), [("LES", ES), ("LDS", DS), ("LSS", SS), ("LFS", FS), ("LGS", GS)]
)
@pytest.mark.parametrize("size", [2, 4])
def test_far_pointers_are_loaded(name: str, segment: int, size: int) -> None:
    machine = ProtectedMachine()
    machine.describe(FREE, descriptor())
    set_gpr(machine, EDX, 0x99999999)
    machine.poke(DATA, 0x12345678, size)
    machine.poke(DATA + size, FREE, 2)
    form = f"{name}_r{8 * size}_m16_{8 * size}"
    assert machine.execute(form, a=EDX, memory=DATA) == DONE
    assert machine.selector(segment) == FREE
    assert gpr(machine, EDX) == (0x12345678 if size == 4 else 0x99995678)
    machine.poke(DATA + size, 0xF000, 2)
    with machine.unchanged():
        assert machine.execute(form, a=EDX, memory=DATA) == TROUBLED
    assert machine.trouble == (vectors.GP, 0xF000)
