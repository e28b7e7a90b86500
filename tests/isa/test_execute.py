"""Instructions one by one where oracles differ, are silent, or cannot tell ours from wrong.

The documented model of undefined flags, the quirks of docs/quirks.md, and operands that overlap
their own addresses.
"""

from __future__ import annotations

import pytest

from isa import state
from isa.registers import EAX, EBP, EBX, EDI, EDX, ESP, GPR_NAMES, SS
from isa.vectors import BR, DE, GP, UD
from isa.vectors import SS as SS_FAULT
from tests.isa.assembly_machine import CODE, STACK, AssemblyMachine

pytestmark = pytest.mark.bounds

CF, PF, AF, ZF, SF, OF = 0x1, 0x4, 0x10, 0x40, 0x80, 0x800
STATUS = CF | PF | AF | ZF | SF | OF


@pytest.fixture(scope="module")
def made():
    return AssemblyMachine()


@pytest.fixture
def machine(made):
    made.reset()
    return made


def run(machine: AssemblyMachine, source: str, kept: bool, **registers: int) -> int:
    """Run a few instructions; the status flags after them."""
    machine.load(f"{source}\ntimes 70 nop\ntrapdoor DONE\n")
    machine.processor.eflags = registers.pop("eflags", 2)
    for name, value in registers.items():
        machine.processor.gpr[GPR_NAMES.index(name)] = value
    if kept:
        machine.finish()
    else:
        lines = [line for line in source.split("\n") if line.strip()]
        machine.run(len(lines))
    return machine.processor.eflags & STATUS


both = pytest.mark.parametrize("kept", [True, False], ids=["kept", "once"])


# --- the model of undefined flags ----------------------------------------------------------------


@both
def test_logic_clears_af(machine, kept):
    for text in ("and eax, ebx", "or eax, ebx", "xor eax, ebx", "test eax, ebx", "and al, bl"):
        assert not run(machine, text, kept, eax=5, ebx=3, eflags=STATUS | 2) & (AF | CF | OF)


@both
def test_a_shift_by_zero_changes_no_flag(machine, kept):
    for text in ("shl eax, cl", "shr eax, cl", "sar ax, cl", "rol eax, cl", "rcr eax, cl"):
        assert run(machine, text, kept, eax=5, ecx=32, eflags=STATUS | 2) == STATUS
    assert run(machine, "shld eax, ebx, cl", kept, ecx=64, eflags=STATUS | 2) == STATUS
    assert run(machine, "shl eax, 32", kept, eax=5, eflags=STATUS | 2) == STATUS


@both
@pytest.mark.parametrize(
    ("text", "eax", "result", "flags"),
    [
        ("shl eax, 4", 0x18000000, 0x80000000, CF | SF | PF),
        ("shl eax, 4", 0x08000000, 0x80000000, SF | PF | OF),
        ("shl eax, 5", 0x08000000, 0, CF | ZF | PF | OF),
        ("shr eax, 1", 0x80000001, 0x40000000, CF | OF | PF),
        ("shr eax, 4", 0x80000008, 0x08000000, CF | PF),
        ("sar eax, 4", 0x80000008, 0xF8000000, CF | SF | PF),
        ("rol eax, 4", 0x18000000, 0x80000001, CF),
        ("ror eax, 4", 0x00000018, 0x80000001, CF | OF),
    ],
)
def test_overflow_of_longer_shifts_is_computed_from_the_last_step(
    machine, kept, text, eax, result, flags
):
    found = run(machine, text, kept, eax=eax)
    assert machine.register(EAX) == result
    if text.startswith("ro"):
        found &= CF | OF
    assert found == flags


@both
def test_flags_of_a_product_follow_its_lower_half(machine, kept):
    flags = run(machine, "mul ebx", kept, eax=0x10000, ebx=0x10000)
    assert (machine.register(EAX), machine.register(EDX)) == (0, 1)
    assert flags == CF | OF | ZF | PF
    flags = run(machine, "imul eax, ebx", kept, eax=0x7FFFFFFF, ebx=2)
    assert machine.register(EAX) == 0xFFFFFFFE
    assert flags == CF | OF | SF
    assert run(machine, "imul eax, ebx, -1", kept, ebx=1) == SF | PF


@both
def test_bit_scans_of_zero_leave_the_destination(machine, kept):
    for text in ("bsf eax, ebx", "bsr eax, ebx"):
        assert run(machine, text, kept, eax=0x1234, ebx=0) & ZF
        assert machine.register(EAX) == 0x1234


@both
def test_bswap_of_a_16_bit_register_clears_it(machine, kept):
    run(machine, "db 0x66, 0x0F, 0xC8", kept, eax=0x12345678)
    assert machine.register(EAX) == 0x12340000


def test_division_leaves_flags_alone(machine):
    assert run(machine, "div ebx", False, eax=10, ebx=3, edx=0, eflags=STATUS | 2) == STATUS


# --- what Unicorn does otherwise -----------------------------------------------------------------


@both
def test_test_has_a_second_encoding(machine, kept):
    assert run(machine, "db 0xF6, 0xC8, 0x80", kept, eax=0x80) == SF
    assert run(machine, "db 0xF7, 0xC8, 1, 0, 0, 0", kept, eax=2) == ZF | PF


@both
def test_a_hint_nop_may_name_a_register(machine, kept):
    run(machine, "db 0x0F, 0x18, 0xC8", kept, eax=7)
    assert machine.register(EAX) == 7


@both
def test_ret_releases_an_unsigned_number_of_bytes(machine, kept):
    run(machine, "push dword next\nret 0xFFFC\nnext: nop", kept)
    assert machine.register(ESP) == STACK + 0xFFFC


@both
def test_neg_with_lock_sets_flags_from_the_result(machine, kept):
    machine.poke(STACK, 5)
    assert run(machine, f"lock neg dword [{STACK}]", kept) == CF | AF | SF
    assert machine.peek(STACK) == 0xFFFFFFFB


@both
def test_cmpxchg8b_changes_zf_alone(machine, kept):
    machine.poke(STACK, 1)
    machine.poke(STACK + 4, 2)
    text = f"cmpxchg8b [{STACK}]"
    assert run(machine, text, kept, eax=1, edx=2, eflags=STATUS & ~ZF | 2) == STATUS
    assert run(machine, text, kept, eax=9, edx=9, ebx=3, eflags=STATUS | 2) == STATUS & ~ZF
    assert run(machine, f"{text}\nsetc bl", kept, eax=7, eflags=CF | 2) == CF
    assert machine.register(EBX) & 0xFF == 1


def test_enter_on_a_16_bit_stack_with_32_bit_operands(machine):
    machine.processor.cpu[state.ATTRIBUTES + SS] &= ~0x4000
    run(machine, "enter 8, 1", False, esp=0x12340000 | STACK, ebp=0x56789ABC)
    assert machine.register(EBP) == 0x12340000 | STACK - 4
    assert machine.register(ESP) == 0x12340000 | STACK - 16
    assert machine.peek(STACK - 4) == 0x56789ABC
    assert machine.peek(STACK - 8) == 0x12340000 | STACK - 4


# --- operands that overlap ----------------------------------------------------------------------


@both
def test_xadd_with_the_register_of_its_address(machine, kept):
    machine.poke(STACK, 0x100)
    run(machine, "xadd [ebx], ebx", kept, ebx=STACK)
    assert machine.peek(STACK) == STACK + 0x100
    assert machine.register(EBX) == 0x100


@both
def test_xadd_of_a_register_with_itself_doubles_it(machine, kept):
    run(machine, "xadd eax, eax", kept, eax=21)
    assert machine.register(EAX) == 42


@both
def test_xchg_with_the_register_of_its_address(machine, kept):
    machine.poke(STACK, 5)
    run(machine, "xchg [ebx], ebx", kept, ebx=STACK)
    assert (machine.peek(STACK), machine.register(EBX)) == (STACK, 5)


@both
def test_push_and_pop_of_the_stack_pointer(machine, kept):
    run(machine, "push esp", kept)
    assert machine.peek(STACK - 4) == STACK
    run(machine, "push dword 0x1234\npop esp", kept, esp=STACK)
    assert machine.register(ESP) == 0x1234


@both
def test_pop_to_an_address_through_the_stack_pointer_sees_it_moved(machine, kept):
    machine.poke(STACK + 8, 0)
    run(machine, "push dword 77\npop dword [esp + 8]", kept)
    assert machine.peek(STACK + 8) == 77
    run(machine, "push dword [esp + 8]", kept, esp=STACK)
    assert machine.peek(STACK - 4) == 77


@both
def test_a_call_through_the_word_it_overwrites(machine, kept):
    run(machine, "push dword target\nadd esp, 4\ncall [esp - 4]\ntarget: nop", kept)
    assert machine.register(ESP) == STACK - 4
    assert machine.peek(STACK - 4) == machine.symbols["target"]


@both
def test_enter_may_read_the_frame_it_pushes(machine, kept):
    """With EBP equal to ESP the first link is the word just pushed."""
    run(machine, "enter 0, 2", kept, ebp=STACK)
    assert [machine.peek(STACK - 4 * n) for n in (1, 2, 3)] == [STACK, STACK, STACK - 4]


# --- faults leave everything as it was -----------------------------------------------------------


@both
@pytest.mark.parametrize(
    ("text", "registers", "vector"),
    [
        ("div ecx", {"eax": 1, "ecx": 0}, DE),
        ("div ecx", {"edx": 5, "ecx": 5}, DE),
        ("idiv ecx", {"eax": 0x80000000, "edx": 0xFFFFFFFF, "ecx": 0xFFFFFFFF}, DE),
        ("idiv cl", {"eax": 0x80, "ecx": 1}, DE),
        ("idiv cl", {"eax": 0x4080, "ecx": 0x80}, DE),
        ("aam 0", {"eax": 0x1234}, DE),
        ("bound eax, [0x9000]", {"eax": 1}, BR),
        ("ud2", {}, UD),
        ("mov eax, [0xFFFFFFFD]", {}, GP),
        ("add dword [0xFFFFFFFF], 1", {}, GP),
        ("mov eax, [ebp]", {"ebp": 0xFFFFFFFE}, SS_FAULT),
        ("push dword [0xFFFFFFFE]", {}, GP),
    ],
)
def test_a_fault_changes_nothing(machine, kept, text, registers, vector):
    machine.load(f"nop\nat: {text}\ntimes 70 nop\ntrapdoor DONE\n")
    for name, value in registers.items():
        machine.processor.gpr[GPR_NAMES.index(name)] = value
    machine.processor.eflags = STATUS | 2
    before = machine.processor.gpr.copy()
    event = machine.expect(vector, 100_000 if kept else 60)
    assert event.eip == machine.symbols["at"]
    assert event.eflags & STATUS == STATUS
    before[ESP] = machine.register(ESP)
    assert (machine.processor.gpr == before).all()


@pytest.mark.parametrize("quotient", [-128, -127, 0, 127])
def test_signed_division_reaches_its_limits(machine, quotient):
    for divisor in (3, -3, 127, -128):
        dividend = quotient * divisor + (1 if quotient * divisor > 0 else 0)
        run(machine, "idiv cl", False, eax=dividend & 0xFFFF, ecx=divisor & 0xFF)
        assert machine.register(EAX) & 0xFF == quotient & 0xFF
        assert machine.processor.eip == CODE + 2


def test_string_pointers_are_registers_of_their_own(machine):
    machine.poke(STACK, 0x11223344)
    run(machine, "stosd", False, eax=0x55, edi=STACK)
    assert (machine.peek(STACK), machine.register(EDI)) == (0x55, STACK + 4)
