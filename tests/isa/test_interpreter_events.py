"""Events between instructions: interrupts at the exact one, shadows, single steps, exits."""

from __future__ import annotations

import pytest

from isa import state
from isa.exits import Exit
from isa.registers import EAX, EBX, ECX, EDI, ESI, ESP
from isa.vectors import DB, DE, GP
from tests.isa.assembly_machine import (
    CODE,
    DONE,
    STACK,
    AssemblyMachine,
    Devices,
)

pytestmark = pytest.mark.bounds

IF, TF = 0x200, 0x100
VECTOR = 0x33


@pytest.fixture(scope="module")
def made():
    return AssemblyMachine()


@pytest.fixture
def machine(made):
    made.reset()
    made.processor.want_interrupt_window(False)
    return made


def symbols_of(machine: AssemblyMachine, *names: str) -> list[int]:
    return [machine.symbols[name] for name in names]


# --- external interrupts -------------------------------------------------------------------------


@pytest.mark.parametrize("before", [0, 1, 5, 63, 64, 100, 1000])
def test_an_interrupt_arrives_at_the_chosen_instruction(machine, before):
    machine.load("again:\ninc ebx\njmp again\n")
    machine.processor.eflags = IF
    assert machine.run(before) == Exit.BUDGET
    machine.processor.pending_interrupt = VECTOR
    event = machine.expect(VECTOR)
    assert machine.register(EBX) == (before + 1) // 2
    assert event.eip == CODE + before % 2
    assert event.eflags & IF
    assert not machine.processor.eflags & IF
    assert machine.processor.pending_interrupt == -1
    assert machine.processor.retired_total == before + 1  # the handler's trapdoor


@pytest.mark.parametrize("enable", ["sti", "popfd", "iretd"])
def test_a_pending_interrupt_waits_for_the_interrupt_flag(machine, enable):
    """Delivered after the instruction that follows STI; at once after POPF and IRET."""
    ways = {
        "sti": "sti\nat: nop\nafter: nop",
        "popfd": "push dword 0x202\npopfd\nafter: nop\nat: nop",
        "iretd": "push dword 0x202\npush dword 8\npush dword after\niretd\nat: nop\nafter: nop",
    }
    machine.load(f"times 70 inc ebx\n{ways[enable]}\ntimes 80 inc ecx\n")
    machine.processor.pending_interrupt = VECTOR
    assert machine.expect(VECTOR).eip == machine.symbols["after"]
    assert machine.register(EBX) == 70
    assert machine.register(ECX) == 0


@pytest.mark.parametrize("slices", [1, 2, 3, 1000])
def test_sti_shadows_one_instruction_however_the_run_is_cut(machine, slices):
    machine.load("sti\ninc ebx\ninc ecx\ntrapdoor DONE\n")
    machine.processor.pending_interrupt = VECTOR
    while machine.run(slices) == Exit.BUDGET:
        pass
    event = machine.event()
    assert (event.vector, event.eip) == (VECTOR, CODE + 2)


def test_sti_and_cli_leave_no_gap(machine):
    machine.load("sti\ncli\ntrapdoor DONE\n")
    machine.processor.pending_interrupt = VECTOR
    machine.finish()


def test_sti_with_interrupts_on_has_no_shadow(machine):
    """Only STI that sets IF inhibits interrupts."""
    machine.load("nop\nsti\nafter: inc ebx\ntrapdoor DONE\n")
    machine.processor.eflags = IF
    assert machine.run(2) == Exit.BUDGET
    machine.processor.pending_interrupt = VECTOR
    assert machine.expect(VECTOR).eip == machine.symbols["after"]


def test_hlt_after_sti_is_reached(machine):
    machine.load("sti\nhlt\nafter: nop\n")
    machine.processor.pending_interrupt = VECTOR
    assert machine.run() == Exit.HALT
    assert machine.expect(VECTOR).eip == machine.symbols["after"]
    assert not machine.processor.halted


def test_loading_ss_shadows_one_instruction(machine):
    for text in ("mov ss, ax", "push eax\npop ss"):
        machine.reset()
        machine.load(f"mov eax, 0x10\n{text}\nmov esp, {STACK}\nafter: nop\ntrapdoor DONE\n")
        machine.processor.eflags = IF
        assert machine.run(2 if "push" not in text else 3) == Exit.BUDGET
        machine.processor.pending_interrupt = VECTOR
        assert machine.expect(VECTOR).eip == machine.symbols["after"]


def test_the_interrupt_window_opens_at_the_exact_instruction(machine):
    machine.load("times 70 nop\nsti\nnop\nopen:\ntimes 100 inc ebx\n")
    machine.processor.want_interrupt_window(True)
    assert machine.run() == Exit.INTERRUPT_WINDOW
    assert machine.processor.eip == machine.symbols["open"]
    assert machine.processor.retired_total == 72
    assert machine.run() == Exit.INTERRUPT_WINDOW  # still open
    assert machine.processor.retired_total == 72
    machine.processor.want_interrupt_window(False)
    machine.processor.pending_interrupt = VECTOR
    assert machine.expect(VECTOR).eip == machine.symbols["open"]


def test_the_window_does_not_open_while_interrupts_are_off(machine):
    machine.load("again:\ninc ebx\njmp again\n")
    machine.processor.want_interrupt_window(True)
    assert machine.run(1000) == Exit.BUDGET
    assert machine.processor.retired_total == 1000


ENABLE_IN_A_LOOP = """
        mov ecx, 5
    again:
        cli
        inc ebx
        {}
    after:
        inc edx
        dec ecx
        jnz again
        trapdoor DONE
"""
FLAGS_AT = 0x9800
WAYS = {
    "sti": "sti\nnop",
    "popfd": "push dword 0x202\npopfd",
    "iretd": "push dword 0x202\npush dword 8\npush dword after\niretd",
    "from_memory": f"push dword [{FLAGS_AT}]\npopfd\nnop",
}


def warm_up(machine: AssemblyMachine, way: str) -> None:
    """Run the loop three times: every target of it is in the jump cache then."""
    machine.load(ENABLE_IN_A_LOOP.format(way))
    machine.poke(FLAGS_AT, 2)
    for _ in range(3):
        machine.processor.eip = CODE
        machine.finish()
    machine.processor.eip = CODE
    machine.processor.eflags = 2


@pytest.mark.parametrize("name", ["sti", "popfd", "iretd"])
def test_an_interrupt_stops_code_that_has_run_before(machine, name):
    """Nothing but the flags says to stop."""
    warm_up(machine, WAYS[name])
    machine.processor.pending_interrupt = VECTOR
    assert machine.expect(VECTOR).eip == machine.symbols["after"]


@pytest.mark.parametrize("name", ["sti", "popfd", "iretd"])
def test_the_window_opens_in_code_that_has_run_before(machine, name):
    warm_up(machine, WAYS[name])
    machine.processor.want_interrupt_window(True)
    assert machine.run() == Exit.INTERRUPT_WINDOW
    assert machine.processor.eip == machine.symbols["after"]


def test_single_steps_begin_in_code_that_has_run_before(machine):
    warm_up(machine, WAYS["from_memory"])
    machine.poke(FLAGS_AT, 0x102)
    assert step(machine) == machine.symbols["after"] - CODE


def test_halt_waits_for_an_interrupt(machine):
    machine.load("hlt\nafter: nop\n")
    assert machine.run() == Exit.HALT
    assert machine.processor.retired_total == 1
    for _ in range(2):
        assert machine.run() == Exit.HALT
    machine.processor.pending_interrupt = VECTOR
    assert machine.run() == Exit.HALT  # interrupts are off
    machine.processor.eflags = IF
    assert machine.expect(VECTOR).eip == machine.symbols["after"]


# --- single steps --------------------------------------------------------------------------------


def step(machine: AssemblyMachine) -> int:
    """Run to the single-step trap and continue after it; where it was taken."""
    event = machine.expect(DB)
    assert machine.processor.cpu[state.DR + 6] & 1 << 14
    machine.processor.cpu[state.DR + 6] &= ~(1 << 14)
    machine.processor.gpr[ESP] += 12
    machine.processor.eip = event.eip
    machine.processor.eflags = event.eflags
    return event.eip - CODE


def test_every_instruction_is_followed_by_a_trap(machine):
    machine.load("nop\ninc ebx\nmov eax, [0x9000]\njmp next\nnop\nnext: push eax\ncld\nnop\n")
    machine.processor.eflags = TF
    assert [step(machine) for _ in range(6)] == [1, 2, 7, 10, 11, 12]


def test_popf_that_sets_tf_traps_after_the_next_instruction(machine):
    machine.load("push dword 0x102\npopfd\nnop\nafter: nop\n")
    assert step(machine) == machine.symbols["after"] - CODE


def test_popf_that_clears_tf_is_still_trapped(machine):
    machine.load("push dword 2\npopfd\nafter: nop\ntrapdoor DONE\n")
    machine.processor.eflags = TF
    assert step(machine) == 2
    assert step(machine) == machine.symbols["after"] - CODE
    assert not machine.processor.eflags & TF
    machine.finish()


def test_a_faulting_instruction_is_not_trapped(machine):
    """The fault comes first; its handler starts without TF, and its frame keeps it."""
    machine.load("xor ecx, ecx\ndiv ecx\n")
    machine.processor.eflags = TF
    assert step(machine) == 2
    event = machine.expect(DE)
    assert event.eip == CODE + 2
    assert event.eflags & TF


def test_a_software_interrupt_is_not_trapped_itself(machine):
    machine.load("int 0x80\nafter: nop\n")
    machine.processor.eflags = TF
    event = machine.expect(0x80)
    assert event.eip == machine.symbols["after"]
    assert event.eflags & TF


def test_the_trap_comes_before_an_interrupt(machine):
    machine.load("inc ebx\nafter: nop\n")
    machine.processor.eflags = TF | IF
    assert machine.run(0) == Exit.BUDGET
    machine.processor.pending_interrupt = -1
    assert machine.run(1) == Exit.BUDGET
    machine.processor.pending_interrupt = VECTOR
    event = machine.expect(DB)
    assert event.eip == machine.symbols["after"]
    assert machine.processor.pending_interrupt == VECTOR


def test_single_steps_survive_the_end_of_a_run(machine):
    machine.load("inc ebx\ninc ebx\ninc ebx\n")
    machine.processor.eflags = TF
    assert machine.run(1) == Exit.BUDGET
    assert machine.register(EBX) == 1
    assert step(machine) == 1
    assert machine.run(1) == Exit.BUDGET
    assert machine.register(EBX) == 2
    assert step(machine) == 2


def test_a_device_access_is_trapped_once(machine):
    machine.load("add dword [DEVICE], 1\nafter: nop\n")
    machine.processor.eflags = TF
    devices = Devices()
    machine.drive(devices)
    event = machine.event()
    assert (event.vector, event.eip) == (DB, machine.symbols["after"])
    assert len(devices.accesses) == 2


@pytest.mark.parametrize("text", ["movsb", "stosd", "lodsw"])
def test_a_repeated_instruction_is_trapped_after_every_iteration(machine, text):
    machine.load(f"rep {text}\nafter: nop\n")
    machine.processor.gpr[ECX] = 3
    machine.processor.gpr[ESI], machine.processor.gpr[EDI] = 0x20000, 0x21000
    machine.processor.eflags = TF
    size = {"b": 1, "d": 4, "w": 2}[text[-1]]
    register = ESI if text == "lodsw" else EDI
    start = machine.register(register)
    for iteration in (1, 2, 3):
        where = step(machine)
        assert machine.register(ECX) == 3 - iteration
        assert machine.register(register) == start + iteration * size
        assert where == (0 if iteration < 3 else machine.symbols["after"] - CODE)
    assert machine.processor.retired_total == 1 + 3  # and the handlers' trapdoors


def test_loading_ss_postpones_the_trap(machine):
    machine.load(f"mov eax, 0x10\nmov ss, ax\nmov esp, {STACK}\nafter: nop\n")
    machine.processor.eflags = TF
    assert step(machine) == 5
    assert step(machine) == machine.symbols["after"] - CODE


# --- exits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [1, 2, 1000])
def test_ports_leave_the_run_after_the_instruction(machine, budget):
    machine.load(
        "mov eax, 0x12345678\nout 0x40, al\nout 0x41, ax\nmov dx, 0x3F8\nout dx, eax\n"
        "in al, 0x42\nin ax, dx\nin eax, dx\ntrapdoor DONE\n"
    )
    seen = []
    reason = Exit.BUDGET
    while reason != Exit.TRAPDOOR:
        reason = machine.run(budget)
        if reason == Exit.PORT_OUT:
            seen.append(machine.processor.detail)
        elif reason == Exit.PORT_IN:
            port, size, _ = machine.processor.detail
            seen.append((port, size, None))
            machine.processor.complete_port_read(size, 0xA1B2C3D4)
    assert seen == [
        (0x40, 1, 0x78),
        (0x41, 2, 0x5678),
        (0x3F8, 4, 0x12345678 & 0xFFFF0000 | 0x5678),
        (0x42, 1, None),
        (0x3F8, 2, None),
        (0x3F8, 4, None),
    ]
    assert machine.register(EAX) == 0xA1B2C3D4
    assert machine.processor.retired_total == 9


@pytest.mark.parametrize("budget", [1, 1000])
def test_string_input_asks_for_each_value(machine, budget):
    machine.load("mov edi, 0x9100\nmov ecx, 3\nmov edx, 0x60\nrep insw\ntrapdoor DONE\n")
    values = iter((0x1111, 0x2222, 0x3333))
    reason = Exit.BUDGET
    while reason != Exit.TRAPDOOR:
        reason = machine.run(budget)
        if reason == Exit.PORT_STRING:
            assert machine.processor.detail[:2] == (0x60, 2)
            machine.processor.answer_read(next(values))
    assert machine.processor.read_physical(0x9100, 6) == bytes.fromhex("111122223333")
    assert machine.register(ECX) == 0
    assert machine.register(EDI) == 0x9106
    assert machine.processor.retired_total == 5


@pytest.mark.parametrize("budget", [1, 1000])
def test_string_output_leaves_after_each_value(machine, budget):
    machine.load("mov esi, 0x9100\nmov ecx, 3\nmov edx, 0x60\nrep outsb\ntrapdoor DONE\n")
    machine.poke(0x9100, 0x00030201)
    seen = []
    reason = Exit.BUDGET
    while reason != Exit.TRAPDOOR:
        reason = machine.run(budget)
        if reason == Exit.PORT_OUT:
            seen.append(machine.processor.detail)
    assert seen == [(0x60, 1, 1), (0x60, 1, 2), (0x60, 1, 3)]
    assert machine.register(ECX) == 0
    assert machine.register(ESI) == 0x9103
    assert machine.processor.retired_total == 5


@pytest.mark.compiled
def test_a_long_string_instruction_yields_now_and_then(machine):
    """The owner can stop it and go on; registers tell how far it is."""
    machine.load(f"std\nmov edi, 0xFFFFF\nmov ecx, {0x80000}\nrep stosb\ncld\ntrapdoor DONE\n")
    machine.processor.gpr[EAX] = 0x5A
    yields = 0
    while (reason := machine.run()) == Exit.YIELD:
        yields += 1
        assert machine.register(EDI) == 0xFFFFF - (0x80000 - machine.register(ECX))
    assert reason == Exit.TRAPDOOR
    assert machine.processor.detail[0] == DONE
    assert yields >= 1
    assert set(machine.processor.read_physical(0x80000, 0x80000)) == {0x5A}
    assert machine.processor.retired_total == 6


def test_an_interrupt_is_taken_between_the_parts_of_a_long_string_instruction(machine):
    machine.load(f"std\nmov edi, 0xFFFFF\nmov ecx, {0x80000}\nat: rep stosb\ntrapdoor DONE\n")
    machine.processor.eflags = IF
    assert machine.run() == Exit.YIELD
    left = machine.register(ECX)
    assert 0 < left < 0x80000
    machine.processor.pending_interrupt = VECTOR
    assert machine.expect(VECTOR).eip == machine.symbols["at"]
    assert machine.register(ECX) == left


def test_a_loop_of_faults_yields(machine):
    """A handler that faults at its first instruction: no instruction ever retires."""
    machine.load("bad: db 0x0F, 0x0B\n")
    cpu = machine.processor.cpu
    gate = 0x2000 + 8 * 6
    machine.poke(gate, CODE & 0xFFFF, 2)
    machine.poke(gate + 6, CODE >> 16, 2)
    cpu[state.GPR + ESP] = 0xF0000
    assert machine.run() == Exit.YIELD
    assert machine.processor.retired_total == 0


def test_a_double_fault_and_a_shutdown(machine):
    machine.load("int 0x80\n")
    machine.poke(0x2000 + 8 * 0x80 + 5, 0, 1)  # not a gate: #GP(0x80 * 8 + 2)
    event = machine.expect(GP)
    assert event.error == 0x80 * 8 + 2
    machine.reset()
    machine.load("xor ecx, ecx\ndiv ecx\n")
    machine.processor.cpu[state.IDTR_LIMIT] = 0
    assert machine.run() == Exit.SHUTDOWN
    assert machine.processor.eip == CODE + 2
