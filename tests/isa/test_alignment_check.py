"""#AC: who has to align what, and which fault goes first."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa import state, vectors
from isa import workspace as w
from isa.exits import Exit
from isa.modes import MODE_FLAT, refresh
from isa.records import TRANSFER, TROUBLED
from isa.registers import CR0_AM, CR4_VME, EAX, ESP, TR
from tests.isa.alignment_table import ALIGNED_BY, CODE_SELECTOR
from tests.isa.assembly_machine import CODE3, DATA3, STACK, AssemblyMachine
from tests.isa.protected_machine import CODES, DATAS, INT32, STACKS, TSS, ProtectedMachine, gate

pytestmark = pytest.mark.bounds

AC = 1 << 18
DATA = 0x30000
M32 = 0xFFFFFFFF


@pytest.fixture(scope="module")
def made() -> AssemblyMachine:
    return AssemblyMachine()


def ready(made: AssemblyMachine, *, level: int = 3, am: int = CR0_AM, ac: int = AC) -> None:
    made.reset()
    if level == 3:
        made.enter_ring_3()
    made.processor.cpu[state.CR0] |= am
    made.processor.eflags = 2 | ac


@pytest.mark.parametrize("instruction", ALIGNED_BY)
def test_the_table_of_alignment_requirements(made: AssemblyMachine, instruction: str) -> None:
    """An operand one step off its boundary is refused, one on its boundary is not."""
    alignment = ALIGNED_BY[instruction]
    for offset in range(9):
        ready(made)
        at = DATA + offset
        words = struct.pack("<6I", 0x200, 0x200, CODE3, 0x202, 0x9000, DATA3) * 64
        made.processor.write_physical(at - 240, words)
        made.poke(0x200, 0xCC, 1)
        made.load(f"{instruction.replace(CODE_SELECTOR, str(CODE3))}\nint3\n")
        made.processor.write_physical(0x11000, b"\xcc")
        made.processor.gpr[:] = [1, 2, 3, DATA, at, at, at, at]
        assert made.run() == Exit.TRAPDOOR
        vector = made.processor.detail[0]
        misaligned = alignment and offset % alignment
        assert (vector == vectors.AC) == bool(misaligned), (instruction, offset, vector)
        if misaligned:
            event = made.event()
            assert event.error == 0
            assert event.eflags & AC


@pytest.mark.parametrize(
    ("level", "am", "ac", "checked"),
    [(3, CR0_AM, AC, True), (3, 0, AC, False), (3, CR0_AM, 0, False), (0, CR0_AM, AC, False)],
)
def test_all_three_conditions_are_needed(
    made: AssemblyMachine, level: int, am: int, ac: int, checked: bool
) -> None:
    ready(made, level=level, am=am, ac=ac)
    made.load(f"mov eax, [{DATA + 1}]\nint3\n")
    made.expect(vectors.AC if checked else vectors.BP)


def test_the_check_comes_and_goes_with_popf(made: AssemblyMachine) -> None:
    """The same code, unchecked, checked and unchecked again; the flag changes inside a block."""
    ready(made, ac=0)
    made.load(
        f"""
        again:
        pushfd
        xor dword [esp], {AC:#x}
        mov ecx, [{DATA + 2}]
        popfd
        mov eax, [{DATA}]
        mov edx, [{DATA + 2}]
        inc edi
        """
    )
    event = made.expect(vectors.AC)
    assert event.eflags & AC
    assert made.register(7) == 0
    made.enter_ring_3()
    made.processor.eflags = 2 | AC
    made.processor.gpr[ESP] = STACK
    made.processor.eip = made.symbols["again"]
    made.expect(vectors.AC)  # of the first load, this time
    made.enter_ring_3()
    made.processor.eflags = 2
    made.processor.cpu[state.CR0] &= ~CR0_AM
    made.processor.eip = made.symbols["again"]
    made.run(9)
    assert made.register(7) == 1


def test_ring_0_is_not_checked_while_its_user_is(made: AssemblyMachine) -> None:
    """INT and IRET switch the check with the privilege level."""
    ready(made)
    made.processor.write_physical(0x3000 + 4 * 0x40, b"\xe9\xfb\xde\x00\x00")  # jmp 0x11000
    made.load(f"mov eax, [{DATA + 1}]\niretd\n", 0x11000)
    made.load(f"int 0x40\nmov ebx, [{DATA}]\ninc ecx\noff: mov ebx, [{DATA + 1}]\n")
    event = made.expect(vectors.AC)
    assert made.register(1) == 1
    assert event.eip == made.symbols["off"]


def test_a_page_fault_goes_first(made: AssemblyMachine) -> None:
    """SDM vol. 3A, "Priority Among Concurrent Events": #AC is the last of an access."""
    machine = ProtectedMachine()
    machine.enable_paging()
    machine.map_page(DATA, 6)
    machine.set_level(3)
    machine.cpu[state.CR0] |= CR0_AM
    machine.eflags = 2 | AC
    with machine.unchanged():
        assert machine.execute("LAR_r32_r32m16", memory=DATA + 1) == TROUBLED
    assert machine.trouble == (vectors.PF, 4)
    machine.map_page(DATA, 7)
    with machine.unchanged():
        assert machine.execute("LAR_r32_r32m16", memory=DATA + 1) == TROUBLED
    assert machine.trouble == (vectors.AC, 0)
    machine.map_page(DATA + 0x1000, 6)  # the second page of the access counts as well
    with machine.unchanged():
        assert machine.execute("LAR_r32_r32m16", memory=DATA + 0xFFF) == TROUBLED
    assert machine.trouble == (vectors.PF, 4)
    machine.cpu[state.LIMIT + 3] = DATA
    with machine.unchanged():
        assert machine.execute("LAR_r32_r32m16", memory=DATA + 1) == TROUBLED
    assert machine.trouble == (vectors.GP, 0)


def test_nothing_is_flat_while_alignment_is_checked() -> None:
    """The fast path of loads and stores is for flat segments, and so never sees the check."""
    machine = aligned_machine()
    refresh(machine.cpu, machine.core)
    assert machine.core[w.ALIGNED]
    assert not machine.core[w.MODE] & MODE_FLAT
    machine.eflags = 2
    refresh(machine.cpu, machine.core)
    assert not machine.core[w.ALIGNED]
    assert machine.core[w.MODE] & MODE_FLAT


# --- events ----------------------------------------------------------------------------------


def aligned_machine(level: int = 3) -> ProtectedMachine:
    machine = ProtectedMachine()
    machine.set_level(level)
    machine.cpu[state.CR0] |= CR0_AM
    machine.eflags = 2 | AC
    return machine


@given(offset=st.integers(0, 7))
def test_the_inner_stack_need_not_be_aligned(offset: int) -> None:
    machine = aligned_machine()
    machine.gate(0x40, gate(CODES[0], 0x12000, INT32, 3))
    machine.poke(TSS + 4, STACKS[0] - offset)
    machine.cpu[state.GPR + ESP] -= offset
    assert machine.execute("INT_imm8", immediate=0x40) == TRANSFER
    assert machine.level == 0


@pytest.mark.parametrize("offset", range(4))
def test_a_handler_at_ring_3_pushes_as_its_user_does(offset: int) -> None:
    """SDM vol. 2, "INT n": "#AC(EXT) if … the gate DPL is 3, and a stack push is unaligned"."""
    machine = aligned_machine()
    machine.gate(0x40, gate(CODES[3], 0x12000, INT32, 3))
    machine.cpu[state.GPR + ESP] -= offset
    if offset:
        with machine.unchanged():
            assert machine.execute("INT_imm8", immediate=0x40) == TROUBLED
        assert machine.trouble == (vectors.AC, 0)
    else:
        assert machine.execute("INT_imm8", immediate=0x40) == TRANSFER


def test_the_check_of_a_delivered_event_is_external() -> None:
    machine = aligned_machine()
    machine.gate(0x40, gate(CODES[3], 0x12000, INT32, 3))
    machine.gate(vectors.AC, gate(CODES[0], 0x13000, INT32))
    machine.cpu[state.GPR + ESP] -= 2
    assert machine.deliver(0x40, -1) == TRANSFER
    assert (machine.level, machine.eip) == (0, 0x13000)
    assert machine.peek(machine.esp) == 1


def test_an_alignment_check_that_cannot_be_delivered_for_alignment_lets_the_owner_stop_it() -> None:
    machine = aligned_machine()
    machine.gate(vectors.AC, gate(CODES[3], 0x13000, INT32, 3))
    machine.cpu[state.GPR + ESP] -= 2
    with machine.unchanged():
        assert machine.deliver(vectors.AC, 0) == TROUBLED
    assert machine.exit is not None
    assert machine.exit[:2] == (Exit.YIELD, 1)


@pytest.mark.parametrize("offset", range(3))
def test_a_frame_of_words_is_aligned_to_words(offset: int) -> None:
    """A far call of 16 bits pushes two words; a redirected INT three."""
    machine = aligned_machine()
    machine.cpu[state.GPR + ESP] -= offset
    status = machine.execute("CALL_ptr16_16", immediate=0x1000, second=CODES[3] | 3)
    assert status == (TROUBLED if offset & 1 else TRANSFER)
    machine = ProtectedMachine()
    machine.enter_v86(3)
    machine.cpu[state.CR4] = CR4_VME
    machine.cpu[state.LIMIT + TR] = 0x2100
    machine.poke(TSS + 0x66, 0x88, 2)
    machine.cpu[state.CR0] |= CR0_AM
    machine.eflags |= AC
    machine.cpu[state.GPR + ESP] -= offset
    status = machine.execute("INT_imm8", immediate=0x21)
    assert status == (TROUBLED if offset & 1 else TRANSFER)


def test_implicit_accesses_need_not_be_aligned() -> None:
    """Descriptors and the TSS are read at privilege level 0, whoever caused it."""
    machine = aligned_machine()
    machine.cpu[state.GDTR_BASE] += 1
    table = machine.ram[0x1000:0x1200].copy()
    machine.ram[0x1001:0x1201] = table
    machine.cpu[state.GPR + EAX] = DATAS[3] | 3
    machine.execute("MOV_Sreg_rm16", a=0, b=EAX)
    assert machine.trouble is None
    assert machine.selector(0) == DATAS[3] | 3
