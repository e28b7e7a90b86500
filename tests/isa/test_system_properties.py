"""What the instructions on CR0 change and leave, bit by bit, whatever CR0 was.

Source: SDM vol. 2, "CLTS", "LMSW", "SMSW", "MOV—Move to/from Control Registers"; vol. 3A, "Control
Registers".
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from isa import state, vectors
from isa.records import TROUBLED
from isa.registers import EBX
from tests.isa.protected_machine import ProtectedMachine

PE, MP, EM, TS, ET, NE = (1 << bit for bit in range(6))
WP, AM, NW, CD, PG = 1 << 16, 1 << 18, 1 << 29, 1 << 30, 1 << 31
DEFINED = PE | MP | EM | TS | ET | NE | WP | AM | NW | CD | PG
M32 = 0xFFFFFFFF
# A value CR0 can have without paging, in protected mode.
CR0 = st.integers(0, M32).map(lambda value: value & (MP | EM | TS | NE | WP | AM | CD) | PE | ET)
WORD = st.integers(0, M32)


def machine_with(cr0: int, operand: int) -> ProtectedMachine:
    machine = ProtectedMachine()
    machine.cpu[state.CR0] = cr0
    machine.cpu[state.GPR + EBX] = operand
    return machine


@given(cr0=CR0)
def test_clts_clears_ts_alone(cr0: int) -> None:
    machine = machine_with(cr0, 0)
    assert machine.execute("CLTS") != TROUBLED
    assert machine.cpu[state.CR0] == cr0 & ~TS


@given(cr0=CR0, value=WORD)
def test_lmsw_loads_four_bits_and_keeps_protection(cr0: int, value: int) -> None:
    machine = machine_with(cr0, value)
    assert machine.execute("LMSW_rm16", b=EBX) != TROUBLED
    assert machine.cpu[state.CR0] == cr0 & ~(MP | EM | TS) | value & (MP | EM | TS) | PE


@given(cr0=CR0, value=WORD, size=st.sampled_from((2, 4)), ring=st.integers(0, 3))
def test_smsw_shows_cr0_to_everybody(cr0: int, value: int, size: int, ring: int) -> None:
    """All of it in a 32-bit register, the low half in a 16-bit one."""
    machine = machine_with(cr0, value)
    machine.set_level(ring)
    assert machine.execute("SMSW_r32m16" if size == 4 else "SMSW_rm16", b=EBX) != TROUBLED
    shown = cr0 if size == 4 else value & 0xFFFF0000 | cr0 & 0xFFFF
    assert machine.cpu[state.GPR + EBX] == shown


@given(cr0=CR0, value=WORD, mostly=st.integers(0, 7))
def test_cr0_takes_every_combination_that_can_be(cr0: int, value: int, mostly: int) -> None:
    """No paging without protection, no NW without CD; bits that do not exist are not kept."""
    if mostly & 1:
        value |= PE
    if mostly & 2:
        value |= CD
    machine = machine_with(cr0, value)
    legal = value & (PG | PE) != PG and value & (NW | CD) != NW
    status = machine.execute("MOV_CR_r32", a=0, b=EBX)
    assert (status == TROUBLED) == (not legal)
    if legal:
        assert machine.cpu[state.CR0] == value & DEFINED | ET
        assert machine.execute("MOV_r32_CR", a=0, b=EBX) != TROUBLED
        assert machine.cpu[state.GPR + EBX] == value & DEFINED | ET
    else:
        assert machine.trouble == (vectors.GP, 0)
        assert machine.cpu[state.CR0] == cr0
