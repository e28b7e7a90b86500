"""ESC and WAIT on a processor without a floating-point unit."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa import state
from isa.registers import CR0_EM, CR0_MP, CR0_TS, EAX, EBX, EFLAGS_RF
from isa.vectors import GP, NM, PF, UD
from tests.isa.assembly_machine import CODE, AssemblyMachine
from tests.oracles.opcode_space import FLOATING_POINT

CR0_NE = 1 << 5
AREA = 0x21000
WORDS = {(0xD9, 7), (0xDD, 7)}  # FNSTCW and FNSTSW to memory


@pytest.fixture(scope="module")
def made():
    return AssemblyMachine()


@pytest.fixture
def machine(made):
    made.reset()
    return made


@st.composite
def escapes(draw: st.DrawFn) -> tuple[bytes, str]:
    """An ESC with operand, its bytes and its 32-bit addressing shape as text for the length."""
    opcode = draw(st.sampled_from(FLOATING_POINT))
    digit = draw(st.integers(0, 7))
    if draw(st.booleans()):
        return bytes([opcode, 0xC0 | digit << 3 | draw(st.integers(0, 7))]), "register"
    shape = draw(
        st.sampled_from(
            [(0x03, ""), (0x43, "10"), (0x83, "10000000"), (0x05, "00100200"), (0x04, "23")]
        )
    )
    return bytes([opcode, shape[0] | digit << 3]) + bytes.fromhex(shape[1]), "memory"


@settings(deadline=None, max_examples=100)
@given(
    escape=escapes(),
    flags=st.integers(0, 7).map(lambda bits: bits << 1),  # MP, EM, TS
    ne=st.sampled_from([0, CR0_NE]),
)
def test_escapes_need_a_unit_or_do_nothing(made, escape, flags, ne) -> None:
    """#NM with EM or TS set; else the next instruction, with at most a word of ones stored."""
    machine = made
    machine.reset()
    code, shape = escape
    machine.load("nop\n")
    machine.processor.write_physical(CODE, code + b"\x0f\x0a\xfe")
    machine.processor.gpr[EAX] = 0x12345678
    machine.processor.gpr[EBX] = AREA
    machine.processor.cr0 = machine.processor.cr0 & ~0xE | flags | ne
    before = machine.processor.memory.copy()
    registers = machine.processor.gpr.copy()
    if flags & (CR0_EM | CR0_TS):
        event = machine.expect(NM)
        assert event.eip == CODE
        assert event.eflags & EFLAGS_RF
        return
    machine.finish()
    digit = code[1] >> 3 & 7
    if code[:2] == b"\xdf\xe0":
        registers[EAX] = 0x1234FFFF
    assert (machine.processor.gpr == registers).all()
    changed = (machine.processor.memory != before).nonzero()[0]
    if shape == "memory" and (code[0], digit) in WORDS:
        assert len(changed) == 2
        assert machine.peek(int(changed[0]), 2) == 0xFFFF
        assert changed[1] == changed[0] + 1
    else:
        assert not len(changed)


def leave_page_out(machine: AssemblyMachine) -> None:
    """Paging for the first 4 MiB, without the page at AREA."""
    for page in range(1024):
        machine.poke(0xB000 + 4 * page, page << 12 | (0 if page == AREA >> 12 else 7))
    machine.poke(0xA000, 0xB007)
    machine.processor.load_cr3(0xA000)
    machine.processor.load_cr0(machine.processor.cr0 | 1 << 31)


@pytest.mark.parametrize("opcode", FLOATING_POINT)
@pytest.mark.parametrize("digit", range(8))
def test_operands_are_within_their_segment_and_not_accessed(machine, opcode, digit) -> None:
    """The first word of them; only the stores of a word have to do with the page."""
    machine.load("nop\n")
    machine.processor.write_physical(CODE, bytes([opcode, 3 | digit << 3]) + b"\x0f\x0a\xfe")
    leave_page_out(machine)
    machine.processor.gpr[EBX] = AREA
    if (opcode, digit) in WORDS:
        event = machine.expect(PF)
        assert (event.eip, event.error) == (CODE, 2)
        assert machine.processor.cr2 == AREA
    else:
        machine.finish()
    machine.processor.eip = CODE
    machine.processor.gpr[EBX] = 0x22FFF
    machine.processor.cpu[state.LIMIT + 3] = 0x22FFF  # DS
    assert machine.expect(GP).eip == CODE


@pytest.mark.parametrize("opcode", FLOATING_POINT)
def test_escapes_may_not_be_locked(machine, opcode) -> None:
    machine.load("nop\n")
    machine.processor.write_physical(CODE, bytes([0xF0, opcode, 0x03]))
    machine.processor.load_cr0(machine.processor.cr0 | CR0_EM)
    machine.expect(UD)


@pytest.mark.parametrize("flags", range(8))
def test_wait(machine, flags) -> None:
    machine.load("wait\ntrapdoor DONE\n")
    machine.processor.cr0 = machine.processor.cr0 & ~0xE | flags << 1
    if flags << 1 & CR0_MP and flags << 1 & CR0_TS:
        assert machine.expect(NM).eip == CODE
    else:
        machine.finish()


@pytest.mark.parametrize(
    "probe",
    [
        # FNINIT; FNSTSW AX; a unit would leave zero
        "db 0xDB, 0xE3\ndb 0xDF, 0xE0\ncmp al, 0\njne none",
        # FNINIT; FNSTSW [mem], which was not zero before
        "mov word [0x21000], 0x5A5A\ndb 0xDB, 0xE3\ndb 0xDD, 0x3D\ndd 0x21000\n"
        "cmp byte [0x21000], 0\njne none",
        # FNINIT; FSTCW [mem], with its WAIT; a unit would leave 037Fh
        "mov word [0x21000], 0\ndb 0xDB, 0xE3\ndb 0x9B, 0xD9, 0x3D\ndd 0x21000\n"
        "cmp word [0x21000], 0xFFFF\nje none",
    ],
)
def test_kernels_find_out_that_there_is_no_unit(machine, probe) -> None:
    machine.load(f"clts\nxor eax, eax\n{probe}\nud2\nnone: trapdoor DONE\n")
    machine.finish()


def test_extension_type_reads_as_one_and_numeric_error_can_be_set(machine) -> None:
    machine.load(
        "mov eax, cr0\nor eax, 0x20\nand eax, ~0x10\nmov cr0, eax\nmov eax, cr0\ntrapdoor DONE\n"
    )
    machine.finish()
    assert machine.register(EAX) & 0x30 == 0x30
