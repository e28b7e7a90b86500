"""Breakpoints on instructions, RF, single steps, and what comes first."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa import state
from isa.exits import Exit
from isa.jit import ENABLED
from isa.registers import EBX, ECX, EFLAGS_IF, EFLAGS_RF, EFLAGS_TF, ESP
from isa.vectors import BP, DB, DE, GP, PF
from tests.isa.assembly_machine import CODE, STACK, AssemblyMachine
from tests.isa.debugged_machine import (
    ACCESS,
    BS,
    EXECUTE,
    Breakpoint,
    conditions,
    next_debug,
    resume,
    set_breakpoints,
)

pytestmark = pytest.mark.bounds

EXAMPLES = 200 if ENABLED else 40
DIRECTORY, TABLE = 0xA000, 0xB000


@pytest.fixture(scope="module")
def made():
    return AssemblyMachine()


@pytest.fixture
def machine(made):
    made.reset()
    return made


def use_paging(machine: AssemblyMachine, absent: int) -> None:
    """The first 4 MiB onto themselves, one page left out."""
    for page in range(1024):
        machine.poke(TABLE + 4 * page, page << 12 | (0 if page << 12 == absent else 7))
    machine.poke(DIRECTORY, TABLE | 7)
    machine.processor.load_cr3(DIRECTORY)
    machine.processor.load_cr0(machine.processor.cr0 | 1 << 31)


# --- instruction breakpoints ---------------------------------------------------------------------

LOOP = """
    mov ecx, 3
again: inc ebx
    db 0x26                 ; prefixes are part of the instruction
prefixed: mov eax, [0x9000]
    call sub
    dec ecx
    jnz again
    trapdoor DONE
sub: nop
    ret
"""
# Offsets of instructions in LOOP, in the order they are executed in the first round.
FIRST_ROUND = [0, 5, 6, 12, 23, 24, 17, 18]


@settings(deadline=None, max_examples=EXAMPLES)
@given(
    at=st.lists(st.integers(0, 24), min_size=1, max_size=4),
    enabled=st.integers(0, 3),
    warm=st.booleans(),
    base=st.sampled_from([0, 0x1000]),
)
def test_execution_stops_before_every_marked_instruction(made, at, enabled, warm, base) -> None:
    """As often as it gets there; other bytes of instructions do not count."""
    machine = made
    machine.reset()
    machine.load(LOOP)
    machine.processor.cpu[state.BASE + 1] = base  # CS: breakpoints are linear addresses
    machine.processor.eip = CODE - base
    start = machine.processor.cpu.copy()
    if warm:
        machine.finish()
        machine.processor.cpu[:] = start
    set_breakpoints(machine, *(Breakpoint(CODE + it, EXECUTE, 1, enabled) for it in at))
    path = [FIRST_ROUND[0], *3 * FIRST_ROUND[1:], 20]
    for offset in path:
        hits = sum(1 << number for number, it in enumerate(at) if it == offset and enabled)
        if not hits:
            continue
        # The handlers are found with base 0 of CS, which IRET gives up again.
        event = next_debug(machine, hits)
        assert event.eip == CODE + offset - base
        assert not event.eflags & EFLAGS_RF
        machine.processor.cpu[state.BASE + 1] = base
        resume(machine, event, event.eflags | EFLAGS_RF)
    machine.finish()
    assert machine.register(EBX) == 3


def test_without_rf_the_same_breakpoint_stops_again(machine) -> None:
    machine.load("nop\nmarked: inc ebx\ntrapdoor DONE\n")
    set_breakpoints(machine, Breakpoint(machine.symbols["marked"]))
    for _ in range(3):
        event = next_debug(machine, 1)
        resume(machine, event)
    assert machine.register(EBX) == 0
    resume_flags = event.eflags | EFLAGS_RF
    machine.processor.eflags = resume_flags
    machine.finish()
    assert machine.register(EBX) == 1


def test_iretd_loads_rf_and_the_next_instruction_ends_it(machine) -> None:
    machine.load(
        "push dword 0x10002\npush dword 8\npush dword marked\niretd\n"
        "marked: inc ebx\ninc ebx\njmp marked\n"
    )
    set_breakpoints(machine, Breakpoint(machine.symbols["marked"]))
    assert machine.run(4) == Exit.BUDGET
    assert machine.processor.eflags & EFLAGS_RF
    assert machine.run(1) == Exit.BUDGET
    assert not machine.processor.eflags & EFLAGS_RF
    next_debug(machine, 1)
    assert machine.register(EBX) == 2


@pytest.mark.parametrize("image", [0x10002, 0x2])
def test_iret_of_16_bits_and_popfd_do_not_load_rf(machine, image) -> None:
    machine.load(f"push dword {image}\npopfd\nmarked: inc ebx\n")
    set_breakpoints(machine, Breakpoint(machine.symbols["marked"]))
    next_debug(machine, 1)
    machine.reset()
    machine.load(f"push word {image & 0xFFFF}\npush word 8\npush word 0x500\no16 iret\n")
    machine.processor.write_physical(0x500, b"\x90\x90")
    set_breakpoints(machine, Breakpoint(0x500))
    next_debug(machine, 1)


def test_rf_is_gone_after_one_instruction_wherever_that_leads(machine) -> None:
    """Also without breakpoints, and in code that runs from one block into the next."""
    machine.load("jmp on\non: inc ebx\nint 0x81\n")
    machine.processor.eflags = 2 | EFLAGS_RF
    assert machine.expect(0x81).eflags & EFLAGS_RF == 0
    machine.reset()
    machine.load("int3\n")
    machine.processor.eflags = 2 | EFLAGS_RF
    assert machine.expect(BP).eflags & EFLAGS_RF == 0


def test_an_interrupt_before_the_instruction_saves_rf(machine) -> None:
    machine.load("nop\n")
    machine.processor.eflags = 2 | EFLAGS_IF | EFLAGS_RF
    machine.processor.pending_interrupt = 0x40
    assert machine.expect(0x40).eflags & EFLAGS_RF
    assert not machine.processor.eflags & EFLAGS_RF


def test_rf_stays_while_a_device_is_asked(machine) -> None:
    machine.load("marked: mov eax, [DEVICE]\nnop\n")
    set_breakpoints(machine, Breakpoint(CODE))
    machine.processor.eflags = 2 | EFLAGS_RF
    assert machine.run() == Exit.MEMORY_READ
    assert machine.processor.eflags & EFLAGS_RF
    machine.processor.answer_read(7)
    assert machine.run(1) == Exit.BUDGET
    assert not machine.processor.eflags & EFLAGS_RF


def test_the_breakpoint_comes_before_the_fault_of_its_page(machine) -> None:
    machine.load("jmp 0x30000\n")
    use_paging(machine, absent=0x30000)
    set_breakpoints(machine, Breakpoint(0x30000))
    event = next_debug(machine, 1)
    assert event.eip == 0x30000
    resume(machine, event, event.eflags | EFLAGS_RF)
    event = machine.expect(PF)
    assert event.eip == 0x30000
    assert event.eflags & EFLAGS_RF
    assert conditions(machine) == 0


def test_the_breakpoint_comes_before_the_limit(machine) -> None:
    machine.load("jmp 0x30000\n")
    machine.processor.cpu[state.LIMIT + 1] = 0x2FFFF
    set_breakpoints(machine, Breakpoint(0x30000))
    event = machine.expect(GP)  # the jump itself faults first
    assert event.eip == CODE
    assert conditions(machine) == 0


def test_interrupts_come_before_the_breakpoint(machine) -> None:
    machine.load("nop\nmarked: nop\n")
    set_breakpoints(machine, Breakpoint(CODE + 1))
    machine.processor.eflags = 2 | EFLAGS_IF
    machine.run(1)
    machine.processor.pending_interrupt = 0x40
    event = machine.expect(0x40)
    assert event.eip == CODE + 1
    assert conditions(machine) == 0
    resume(machine, event)
    assert next_debug(machine, 1).eip == CODE + 1


def test_the_trap_of_the_instruction_before_comes_first(machine) -> None:
    """A single step, then the breakpoint at the same place, as two exceptions."""
    machine.load("nop\nmarked: nop\n")
    machine.processor.eflags = 2 | EFLAGS_TF
    set_breakpoints(machine, Breakpoint(CODE + 1))
    event = next_debug(machine, BS)
    assert event.eip == CODE + 1
    resume(machine, event)
    event = next_debug(machine, 1)
    assert event.eip == CODE + 1
    assert event.eflags & EFLAGS_TF


def test_a_load_of_ss_mutes_the_breakpoint_after_it(machine) -> None:
    machine.load("mov eax, ss\nmov ss, eax\nmarked: inc ebx\ntrapdoor DONE\n")
    set_breakpoints(machine, Breakpoint(machine.symbols["marked"]))
    machine.finish()


def test_sti_does_not_mute_the_breakpoint_after_it(machine) -> None:
    machine.load("sti\nmarked: inc ebx\n")
    set_breakpoints(machine, Breakpoint(machine.symbols["marked"]))
    next_debug(machine, 1)
    machine.reset()
    machine.load("mov eax, ss\nmov ss, eax\nsti\nmarked: inc ebx\n")
    set_breakpoints(machine, Breakpoint(machine.symbols["marked"]))
    next_debug(machine, 1)


def test_a_repeated_instruction_resumes_past_its_breakpoint(machine) -> None:
    machine.load("mov edi, 0x21000\nmov ecx, 5\nmarked: rep stosb\nnop\n")
    machine.processor.eflags = 2 | EFLAGS_TF
    marked = machine.symbols["marked"]
    set_breakpoints(machine, Breakpoint(marked))
    for _ in range(2):
        resume(machine, next_debug(machine, BS))
    event = next_debug(machine, 1)
    resume(machine, event, event.eflags | EFLAGS_RF)
    for left in (4, 3, 2, 1):
        event = next_debug(machine, BS)
        assert event.eip == marked
        assert event.eflags & EFLAGS_RF  # so that IRETD does not stop here again
        assert machine.register(ECX) == left
        resume(machine, event)
    event = next_debug(machine, BS)
    assert event.eip == marked + 2
    assert not event.eflags & EFLAGS_RF


# --- single steps --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["movsb", "stosd", "lodsw", "cmpsb", "scasb", "insb", "outsb"])
def test_a_step_of_a_repeated_instruction_is_one_iteration(machine, name) -> None:
    machine.load(
        "mov esi, 0x21000\nmov edi, 0x21000\nmov edx, 0x300\nmov ecx, 3\ncmp ecx, ecx\n"
        f"repeated: rep {name}\nnext: nop\n"
    )
    machine.run(5)
    machine.processor.eflags |= EFLAGS_TF
    set_breakpoints(machine)
    for left in (2, 1, 0):
        reason = machine.run()
        if reason == Exit.PORT_STRING:
            machine.processor.answer_read(0)
            reason = machine.run()
        elif reason == Exit.PORT_OUT:
            reason = machine.run()
        assert reason == Exit.TRAPDOOR
        event = machine.event()
        assert machine.processor.detail[0] == DB
        assert conditions(machine) == BS
        assert machine.register(ECX) == left
        assert event.eip == machine.symbols["repeated" if left else "next"]
        assert bool(event.eflags & EFLAGS_RF) == bool(left)
        resume(machine, event)


def test_a_load_of_ss_is_not_followed_by_a_step(machine) -> None:
    machine.load("mov eax, ss\nmov ss, eax\nnop\nafter: sti\nnop\n")
    machine.processor.eflags = 2 | EFLAGS_TF
    resume(machine, next_debug(machine, BS))
    event = next_debug(machine, BS)
    assert event.eip == machine.symbols["after"]
    resume(machine, event)
    assert next_debug(machine, BS).eip == machine.symbols["after"] + 1  # STI does not hold it off


def test_int1_is_a_trap_that_leaves_dr6_alone(machine) -> None:
    machine.load("int1\nafter: nop\n")
    set_breakpoints(machine)
    event = machine.expect(DB)
    assert event.eip == machine.symbols["after"]
    assert not event.eflags & EFLAGS_RF
    assert conditions(machine) == 0


def test_int1_needs_no_privilege_and_int_1_does(machine) -> None:
    machine.load("int1\n")
    machine.poke(0x2000 + 8 * DB + 5, 0x8E, 1)  # DPL 0
    machine.enter_ring_3()
    machine.expect(DB)
    machine.reset()
    machine.load("int 1\n")
    machine.poke(0x2000 + 8 * DB + 5, 0x8E, 1)
    machine.enter_ring_3()
    assert machine.expect(GP).error == 8 * DB | 2


@pytest.mark.parametrize("protected", [0, 1 << 13])
def test_general_detect_as_a_kernel_meets_it(machine, protected) -> None:
    machine.load("detect: mov eax, dr0\nafter: nop\ntrapdoor DONE\n")
    set_breakpoints(machine)
    machine.processor.cpu[state.DR + 7] |= protected
    if protected:
        event = next_debug(machine, 1 << 13)
        assert event.eip == CODE
        assert event.eflags & EFLAGS_RF
        assert not machine.processor.cpu[state.DR + 7] & protected
        resume(machine, event)
    machine.finish()


def test_a_watched_stack_of_the_handler_itself_gives_its_owner_a_chance(machine) -> None:
    """Every delivery of #DB hits again: the machine is busy for ever, its owner is not."""
    machine.load("nop\npush eax\n")
    set_breakpoints(machine, Breakpoint(STACK - 4, ACCESS, 4), *3 * [Breakpoint(0, ACCESS)])
    for number in range(4):
        machine.processor.cpu[state.DR + number] = STACK - 4
    machine.poke(0x3000 + 4 * DB, 0xFEEB, 2)  # the handler never ends either
    assert machine.run() in (Exit.BUDGET, Exit.YIELD)
    assert machine.register(ESP) < STACK


def test_faults_of_all_kinds_save_rf_and_drop_what_was_hit(machine) -> None:
    machine.load("xor ecx, ecx\nmarked: div ecx\n")
    set_breakpoints(machine, Breakpoint(CODE + 2))
    event = next_debug(machine, 1)
    resume(machine, event, event.eflags | EFLAGS_RF)
    event = machine.expect(DE)
    assert event.eflags & EFLAGS_RF
