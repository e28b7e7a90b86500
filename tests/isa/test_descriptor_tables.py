"""GDTR, IDTR, LDTR and TR: loaded, stored, and checked."""

import pytest

from isa import state, vectors
from isa import workspace as w
from isa.records import DONE, TROUBLED
from isa.registers import ATTR_UNUSABLE, DS, EBX, ECX, LDTR, TR
from tests.isa.protected_machine import (
    DATA_RO,
    FREE,
    LDT,
    LDT_TYPE,
    TSS32,
    ProtectedMachine,
    descriptor,
)

M32 = 0xFFFFFFFF
DATA = 0x30000


def gpr(machine: ProtectedMachine, register: int) -> int:
    return int(machine.cpu[state.GPR + register])


def set_gpr(machine: ProtectedMachine, register: int, value: int) -> None:
    machine.cpu[state.GPR + register] = value


@pytest.mark.parametrize("name", ["GDT", "IDT"])
@pytest.mark.parametrize("size", [16, 32])
def test_table_registers_are_loaded_and_stored(name: str, size: int) -> None:
    machine = ProtectedMachine()
    base_at = state.GDTR_BASE if name == "GDT" else state.IDTR_BASE
    machine.poke(DATA, 0x1234, 2)
    machine.poke(DATA + 2, 0x89ABCDEF)
    assert machine.execute(f"L{name}_m16and32_o{size}", memory=DATA) == DONE
    assert machine.cpu[base_at] == (0x89ABCDEF if size == 32 else 0xABCDEF)
    assert machine.cpu[base_at + 1] == 0x1234
    machine.cpu[base_at] = 0xFEDCBA98
    assert machine.execute(f"S{name}_m16and32_o{size}", memory=DATA + 16) == DONE
    assert machine.peek(DATA + 16, 2) == 0x1234
    assert machine.peek(DATA + 18) == 0xFEDCBA98
    assert machine.core[w.COUNT + w.EVENT_TABLE_LOAD] == 1


@pytest.mark.parametrize("name", ["LGDT", "SIDT"])
def test_the_six_bytes_may_end_with_the_segment(name: str) -> None:
    machine = ProtectedMachine()
    machine.cpu[state.LIMIT + DS] = DATA + 5
    assert machine.execute(f"{name}_m16and32_o32", memory=DATA) == DONE


def test_a_table_register_is_stored_to_writable_segments_only() -> None:
    machine = ProtectedMachine()
    machine.describe(FREE, descriptor(kind=DATA_RO))
    machine.fill(DS, FREE)
    with machine.unchanged():
        assert machine.execute("SGDT_m16and32_o32", memory=DATA) == TROUBLED
    assert machine.trouble == (vectors.GP, 0)
    assert machine.execute("LGDT_m16and32_o32", memory=DATA) == DONE


def test_lldt_of_a_null_selector_leaves_no_ldt() -> None:
    machine = ProtectedMachine()
    machine.use_ldt()
    set_gpr(machine, EBX, 0)
    assert machine.execute("LLDT_rm16", b=EBX) == DONE
    assert machine.cpu[state.ATTRIBUTES + LDTR] & ATTR_UNUSABLE


@pytest.mark.parametrize("name", ["LGDT", "SIDT"])
def test_all_six_bytes_must_be_inside_the_segment(name: str) -> None:
    machine = ProtectedMachine()
    machine.cpu[state.LIMIT + DS] = DATA + 4
    with machine.unchanged():
        assert machine.execute(f"{name}_m16and32_o32", memory=DATA) == TROUBLED
    assert machine.trouble == (vectors.GP, 0)


def test_a_store_over_a_missing_page_changes_nothing() -> None:
    machine = ProtectedMachine()
    machine.enable_paging()
    machine.map_page(DATA + 0x1000, 2)
    with machine.unchanged():
        assert machine.execute("SGDT_m16and32_o32", memory=DATA + 0xFFC) == TROUBLED
    assert machine.trouble == (vectors.PF, vectors.PF_WRITE)


def test_ldtr_and_tr() -> None:
    machine = ProtectedMachine()
    machine.describe(FREE, descriptor(LDT, 0x1F, LDT_TYPE, big=0, pages=0, accessed=0))
    machine.describe(FREE + 8, descriptor(0x5000, 0x67, TSS32, big=0, pages=0, accessed=0))
    machine.poke(DATA, FREE, 2)
    assert machine.execute("LLDT_rm16", memory=DATA) == DONE
    set_gpr(machine, EBX, 0xFFFF0000 | FREE + 8)
    assert machine.execute("LTR_rm16", b=EBX) == DONE
    assert (machine.selector(LDTR), machine.selector(TR)) == (FREE, FREE + 8)
    set_gpr(machine, ECX, M32)
    assert machine.execute("SLDT_r32m16", b=ECX) == DONE
    assert gpr(machine, ECX) == FREE
    set_gpr(machine, ECX, M32)
    assert machine.execute("STR_rm16", b=ECX) == DONE
    assert gpr(machine, ECX) == 0xFFFF0000 | FREE + 8
    machine.poke(DATA, M32)
    assert machine.execute("STR_r32m16", memory=DATA) == DONE
    assert machine.peek(DATA) == 0xFFFF0000 | FREE + 8
    assert machine.core[w.COUNT + w.EVENT_TABLE_LOAD] == 2
    with machine.unchanged():
        assert machine.execute("LTR_rm16", b=EBX) == TROUBLED  # busy now
    assert machine.trouble == (vectors.GP, FREE + 8)
