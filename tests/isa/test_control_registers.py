"""Control registers: legal values, and what each of them flushes."""

import pytest

from isa import state, vectors
from isa import workspace as w
from isa.records import DONE, TRANSFER, TROUBLED
from isa.registers import (
    CR0_CD,
    CR0_ET,
    CR0_MP,
    CR0_NW,
    CR0_PE,
    CR0_PG,
    CR0_TS,
    CR0_WP,
    CR4_PGE,
    CR4_PSE,
    CR4_TSD,
    EBX,
    ECX,
    FS,
)
from tests.isa.protected_machine import CODE, DATAS, FREE, ProtectedMachine

M32 = 0xFFFFFFFF
DATA = 0x30000
NEXT = CODE + 2


def gpr(machine: ProtectedMachine, register: int) -> int:
    return int(machine.cpu[state.GPR + register])


def set_gpr(machine: ProtectedMachine, register: int, value: int) -> None:
    machine.cpu[state.GPR + register] = value


def move_to_cr(machine: ProtectedMachine, number: int, value: int) -> int:
    set_gpr(machine, EBX, value)
    return machine.execute("MOV_CR_r32", a=number, b=EBX)


def control(machine: ProtectedMachine, number: int) -> int:
    assert machine.execute("MOV_r32_CR", a=number, b=ECX) == DONE
    return gpr(machine, ECX)


@pytest.mark.parametrize(
    ("value", "legal"),
    [
        (CR0_PE, True),
        (CR0_PE | CR0_PG, True),
        (CR0_PG, False),
        (CR0_PE | CR0_NW, False),
        (CR0_PE | CR0_NW | CR0_CD, True),
        (CR0_PE | 0x1FF8FFC0, True),  # bits that do not exist
        (0, True),
    ],
)
def test_cr0(value: int, legal: bool) -> None:
    machine = ProtectedMachine()
    if not legal:
        with machine.unchanged():
            before = gpr(machine, EBX)
            assert move_to_cr(machine, 0, value) == TROUBLED
            set_gpr(machine, EBX, before)
        assert machine.trouble == (vectors.GP, 0)
        return
    assert move_to_cr(machine, 0, value) == TRANSFER
    assert machine.eip == NEXT
    assert control(machine, 0) == value & 0xE005003F | CR0_ET
    assert machine.core[w.COUNT + w.EVENT_CR_WRITE] == 1


@pytest.mark.parametrize("bit", [CR0_PG, CR0_WP])
def test_paging_bits_flush_the_tlb(bit: int) -> None:
    machine = ProtectedMachine()
    tlb = machine.core[w.TLB_BASE]
    assert move_to_cr(machine, 0, CR0_PE | CR0_TS) == TRANSFER
    assert machine.core[w.TLB_BASE] == tlb
    assert move_to_cr(machine, 0, CR0_PE | bit) == TRANSFER
    assert machine.core[w.TLB_BASE] != tlb


def test_cr3_is_kept_whole_and_flushes() -> None:
    machine = ProtectedMachine()
    tlb = machine.core[w.TLB_BASE]
    assert move_to_cr(machine, 3, 0x12345FFF) == TRANSFER
    assert control(machine, 3) == 0x12345FFF
    assert machine.core[w.TLB_BASE] != tlb


@pytest.mark.parametrize("bit", range(32))
def test_cr4_has_the_bits_of_its_features(bit: int) -> None:
    machine = ProtectedMachine()
    legal = bit in (0, 1, 2, 3, 4, 6, 7, 8)
    assert move_to_cr(machine, 4, 1 << bit) == (TRANSFER if legal else TROUBLED)
    assert machine.trouble == (None if legal else (vectors.GP, 0))
    assert control(machine, 4) == (1 << bit if legal else 0)


@pytest.mark.parametrize(("bit", "flushes"), [(CR4_PSE, True), (CR4_PGE, True), (CR4_TSD, False)])
def test_cr4_flushes_what_changes_translation(bit: int, flushes: bool) -> None:
    machine = ProtectedMachine()
    for value in (bit, 0):
        tlb = machine.core[w.TLB_BASE]
        assert move_to_cr(machine, 4, value) == TRANSFER
        assert (machine.core[w.TLB_BASE] != tlb) == flushes


@pytest.mark.parametrize("number", [1, 5, 6, 7])
def test_other_control_registers_are_undefined(number: int) -> None:
    machine = ProtectedMachine()
    for form in ("MOV_CR_r32", "MOV_r32_CR"):
        with machine.unchanged():
            assert machine.execute(form, a=number) == TROUBLED
        assert machine.trouble == (vectors.UD, -1)


def test_cr2_is_a_plain_register() -> None:
    machine = ProtectedMachine()
    assert move_to_cr(machine, 2, 0xDEADBEEF) == DONE
    assert control(machine, 2) == 0xDEADBEEF


@pytest.mark.parametrize("before", [CR0_PE, 0])
@pytest.mark.parametrize("value", [0, 1, 0xE, 0xFFFF])
def test_lmsw_sets_but_never_clears_pe(before: int, value: int) -> None:
    machine = ProtectedMachine()
    if not before:
        machine.enter_real_mode()
    machine.cpu[state.CR0] = before | CR0_ET | CR0_MP | CR0_WP
    set_gpr(machine, EBX, 0xFFFF0000 | value)
    assert machine.execute("LMSW_rm16", b=EBX) == TRANSFER
    assert machine.cpu[state.CR0] == CR0_WP | CR0_ET | before | value & 0xF


def test_smsw_and_clts() -> None:
    machine = ProtectedMachine()
    machine.cpu[state.CR0] |= CR0_TS | CR0_CD
    set_gpr(machine, EBX, 0)
    assert machine.execute("SMSW_r32m16", b=EBX) == DONE
    assert gpr(machine, EBX) == CR0_CD | CR0_PE | CR0_ET | CR0_TS
    machine.poke(DATA, M32)
    assert machine.execute("SMSW_r32m16", memory=DATA) == DONE
    assert machine.peek(DATA) == 0xFFFF0000 | CR0_PE | CR0_ET | CR0_TS
    assert machine.execute("CLTS") == DONE
    assert not machine.cpu[state.CR0] & CR0_TS


def test_leaving_protected_mode_keeps_the_code_size() -> None:
    machine = ProtectedMachine()
    mode = machine.core[w.MODE]
    assert move_to_cr(machine, 0, 0) == TRANSFER
    assert machine.core[w.MODE] == mode


@pytest.mark.parametrize("large", [False, True])
def test_invlpg_forgets_a_page(large: bool) -> None:
    machine = ProtectedMachine()
    machine.enable_paging()
    machine.cpu[state.CR4] = CR4_PSE if large else 0
    machine.fill(FS, DATAS[0])
    machine.cpu[state.BASE + FS] = 0x1000
    machine.poke(DATA, FREE, 2)
    assert machine.execute("LMSW_rm16", memory=DATA) == TRANSFER  # fills the TLB
    machine.poke(0x9000 + 4 * (DATA >> 12), DATA | 2)
    assert machine.execute("LMSW_rm16", memory=DATA) == TRANSFER  # still cached
    assert machine.execute("INVLPG_m", memory=DATA - 0x1000 + 5, segment=FS) == TRANSFER
    assert machine.eip == NEXT
    assert machine.execute("LMSW_rm16", memory=DATA) == TROUBLED
    assert machine.trouble == (vectors.PF, 0)
    assert machine.core[w.COUNT + w.EVENT_INVLPG] == 1
