"""Breakpoints on data and ports: which accesses hit, and that #DB follows the instruction."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa import state
from isa.exits import Exit
from isa.jit import ENABLED
from isa.registers import EBX, ECX, EDI, EDX, EFLAGS_RF, EFLAGS_TF, ESI, ESP
from isa.vectors import DB, DE
from tests.isa.assembly_machine import DONE, IDT, STACK, AssemblyMachine, Devices
from tests.isa.debugged_machine import (
    ACCESS,
    BS,
    PORT,
    WRITE,
    Breakpoint,
    conditions,
    next_debug,
    resume,
    set_breakpoints,
)

pytestmark = pytest.mark.bounds

AREA = 0x21000  # a page boundary
END = 0x81
EXAMPLES = 300 if ENABLED else 40


@pytest.fixture(scope="module")
def made():
    return AssemblyMachine()


@pytest.fixture
def machine(made):
    made.reset()
    return made


# Instruction -> its accesses: (register of the address, displacement, bytes, write)
EBX_, ESI_, EDI_, ESP_ = "ebx", "esi", "edi", "esp"
ACCESSES: dict[str, list[tuple[str, int, int, bool]]] = {
    "mov eax, [ebx]": [(EBX_, 0, 4, False)],
    "mov ax, [ebx]": [(EBX_, 0, 2, False)],
    "mov al, [ebx]": [(EBX_, 0, 1, False)],
    "movzx eax, word [ebx]": [(EBX_, 0, 2, False)],
    "mov [ebx], eax": [(EBX_, 0, 4, True)],
    "mov [ebx], ax": [(EBX_, 0, 2, True)],
    "mov [ebx], al": [(EBX_, 0, 1, True)],
    "mov dword [ebx], 5": [(EBX_, 0, 4, True)],
    "add [ebx], eax": [(EBX_, 0, 4, False), (EBX_, 0, 4, True)],
    "cmp [ebx], eax": [(EBX_, 0, 4, False)],
    "test byte [ebx], 1": [(EBX_, 0, 1, False)],
    "xchg [ebx], ecx": [(EBX_, 0, 4, False), (EBX_, 0, 4, True)],
    "cmpxchg [ebx], ecx": [(EBX_, 0, 4, False), (EBX_, 0, 4, True)],
    "cmpxchg8b [ebx]": [(EBX_, 0, 8, False), (EBX_, 0, 8, True)],
    "inc dword [ebx]": [(EBX_, 0, 4, False), (EBX_, 0, 4, True)],
    "bts dword [ebx], 3": [(EBX_, 0, 4, False), (EBX_, 0, 4, True)],
    "setz [ebx]": [(EBX_, 0, 1, True)],
    "movsd": [(ESI_, 0, 4, False), (EDI_, 0, 4, True)],
    "movsb": [(ESI_, 0, 1, False), (EDI_, 0, 1, True)],
    "stosw": [(EDI_, 0, 2, True)],
    "lodsd": [(ESI_, 0, 4, False)],
    "cmpsb": [(ESI_, 0, 1, False), (EDI_, 0, 1, False)],
    "scasd": [(EDI_, 0, 4, False)],
    "push eax": [(ESP_, -4, 4, True)],
    "push dword [ebx]": [(EBX_, 0, 4, False), (ESP_, -4, 4, True)],
    "push ax": [(ESP_, -2, 2, True)],
    "pop eax": [(ESP_, 0, 4, False)],
    "pop dword [ebx]": [(ESP_, 0, 4, False), (EBX_, 0, 4, True)],
    "pusha": [(ESP_, -32, 32, True)],
    "popa": [(ESP_, 0, 32, False)],
    "pushf": [(ESP_, -4, 4, True)],
    "call next": [(ESP_, -4, 4, True)],
    "call 0x1b:next": [(ESP_, -8, 8, True)],
    "sgdt [ebx]": [(EBX_, 0, 6, True)],
    "lea eax, [ebx]": [],
    "nop": [],
}  # fmt: skip


@st.composite
def breakpoints(draw: st.DrawFn) -> list[Breakpoint]:
    """One to four, most of them where the accesses are."""
    one = st.builds(
        Breakpoint,
        st.integers(AREA - 40, AREA + 40),
        st.sampled_from([WRITE, ACCESS, PORT]),
        st.sampled_from([1, 2, 4, 8]),
        st.sampled_from([0, 1, 2, 3, 3]),
    )
    return draw(st.lists(one, min_size=1, max_size=4))


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@settings(deadline=None, max_examples=EXAMPLES)
@given(
    name=st.sampled_from(sorted(ACCESSES)),
    set_up=breakpoints(),
    at=st.fixed_dictionaries({name: st.integers(-12, 12) for name in (EBX_, ESI_, EDI_, ESP_)}),
)
def test_accesses_hit_what_they_touch(made, warm, name, set_up, at) -> None:
    """Any access, across pages too, against any breakpoints: B bits, order, and the effect."""
    machine = made
    machine.reset()
    machine.load(f"{name}\nnext: nop\nint END\nEND equ {END}\n")
    registers = {EBX_: EBX, ESI_: ESI, EDI_: EDI, ESP_: ESP}
    clean = machine.processor.cpu.copy()

    def begin() -> None:
        machine.processor.cpu[:] = clean
        machine.enter_ring_3()  # so that frames of events are elsewhere
        for register, number in registers.items():
            machine.processor.gpr[number] = AREA + at[register]

    begin()
    if warm:  # with translations and decoded code from before the breakpoints
        machine.expect(END)
        machine.processor.write_physical(AREA - 64, bytes(128))
        begin()
    set_breakpoints(machine, *set_up)
    hits = 0
    for register, displacement, size, is_write in ACCESSES[name]:
        for number, it in enumerate(set_up):
            right = it.condition == ACCESS or (it.condition == WRITE and is_write)
            if it.enabled and right and it.touches(AREA + at[register] + displacement, size):
                hits |= 1 << number
    if hits:
        event = next_debug(machine, hits)
        assert event.eip == machine.symbols["next"]
        assert not event.eflags & EFLAGS_RF
        assert machine.processor.retired[3] == clean[state.RETIRED + 3] + 1
        machine.processor.cpu[state.DR + 7] = 0x400
        machine.processor.gpr[ESP] += 12
        machine.processor.gpr[ESP] = machine.peek(int(machine.processor.gpr[ESP]))
        machine.processor.eip = event.eip
        machine.enter_ring_3()
    machine.expect(END)
    assert conditions(machine) == 0


# --- ports ---------------------------------------------------------------------------------------


PORTS = {"al": 1, "ax": 2, "eax": 4}


@settings(deadline=None, max_examples=EXAMPLES)
@given(
    register=st.sampled_from(sorted(PORTS)),
    is_output=st.booleans(),
    port=st.integers(0x3F0, 0x410),
    set_up=st.lists(
        st.builds(
            Breakpoint,
            st.integers(0x3F0, 0x410),
            st.sampled_from([WRITE, ACCESS, PORT]),
            st.sampled_from([1, 2, 4]),
            st.sampled_from([0, 1, 2]),
        ),
        min_size=1,
        max_size=4,
    ),
    extensions=st.booleans(),
)
def test_port_accesses_hit_what_they_touch(
    made, register, is_output, port, set_up, extensions
) -> None:
    machine = made
    machine.reset()
    machine.load(f"{f'out dx, {register}' if is_output else f'in {register}, dx'}\nnext: nop\n")
    machine.processor.gpr[EDX] = port
    set_breakpoints(machine, *set_up, extensions=extensions)
    hits = sum(
        1 << number
        for number, it in enumerate(set_up)
        if extensions and it.enabled and it.condition == PORT and it.touches(port, PORTS[register])
    )
    assert machine.run() == (Exit.PORT_OUT if is_output else Exit.PORT_IN)
    if hits:
        assert next_debug(machine, hits).eip == machine.symbols["next"]
    else:
        assert machine.run(1) == Exit.BUDGET
        assert conditions(machine) == 0


# --- repeated string instructions ----------------------------------------------------------------


def test_repeated_stores_stop_after_the_iteration_that_hits(machine) -> None:
    """At the instruction, with RF set, and with the rest still to do."""
    machine.load("mov edi, 0x21000\nmov ecx, 2048\nmov eax, 7\nstore: rep stosd\nnext: nop\n")
    set_breakpoints(machine, Breakpoint(0x21100, WRITE, 4))
    event = next_debug(machine, 1)
    assert event.eip == machine.symbols["store"]
    assert event.eflags & EFLAGS_RF
    assert machine.register(EDI) == 0x21104
    assert machine.register(ECX) == 2048 - 65
    assert machine.peek(0x21100) == 7
    assert machine.peek(0x21104) == 0
    resume(machine, event)
    machine.processor.cpu[state.DR + 7] = 0x400
    machine.run(1)
    assert machine.processor.eip == machine.symbols["next"]
    assert machine.peek(0x22FFC) == 7
    assert not machine.processor.eflags & EFLAGS_RF


def test_the_last_iteration_traps_after_the_instruction(machine) -> None:
    machine.load("mov edi, 0x21000\nmov ecx, 3\nrep stosb\nnext: nop\n")
    set_breakpoints(machine, Breakpoint(0x21002, WRITE, 1))
    event = next_debug(machine, 1)
    assert event.eip == machine.symbols["next"]
    assert not event.eflags & EFLAGS_RF


@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize("instruction", ["rep outsb", "rep insb"])
def test_repeated_port_accesses_stop_after_each_iteration(machine, instruction, iterations) -> None:
    machine.load(
        f"mov esi, 0x21000\nmov edi, 0x21000\nmov edx, 0x300\nmov ecx, {iterations}\n"
        f"repeated: {instruction}\nnext: nop\n"
    )
    set_breakpoints(machine, Breakpoint(0x300, PORT, 1))
    for left in reversed(range(iterations)):
        reason = machine.run()
        if instruction == "rep insb":
            assert reason == Exit.PORT_STRING
            machine.processor.answer_read(0x55)
        else:
            assert reason == Exit.PORT_OUT
        event = next_debug(machine, 1)
        assert event.eip == machine.symbols["repeated" if left else "next"]
        assert bool(event.eflags & EFLAGS_RF) == bool(left)
        assert machine.register(ECX) == left
        resume(machine, event)
    if instruction == "rep insb":
        assert machine.peek(0x21000 + iterations - 1, 1) == 0x55


# --- events --------------------------------------------------------------------------------------


def test_the_frame_of_an_interrupt_may_hit(machine) -> None:
    """#DB comes before the first instruction of the interrupt's handler."""
    machine.load("int 0x81\nnext: nop\n")
    set_breakpoints(machine, Breakpoint(STACK - 12, WRITE, 4))
    event = next_debug(machine, 1)
    assert event.eip == 0x3000 + 4 * 0x81
    assert machine.peek(STACK - 12) == machine.symbols["next"]


def test_the_frame_of_a_fault_may_hit(machine) -> None:
    machine.load("xor ecx, ecx\ndivide: div ecx\n")
    set_breakpoints(machine, Breakpoint(STACK - 12, WRITE, 4))
    assert next_debug(machine, 1).eip == 0x3000 + 4 * DE
    assert machine.peek(STACK - 12) == machine.symbols["divide"]


def test_the_frame_of_an_external_interrupt_may_hit(machine) -> None:
    machine.load("sti\nnop\nafter: nop\n")
    set_breakpoints(machine, Breakpoint(STACK - 4, WRITE, 4))
    machine.run(2)
    machine.processor.pending_interrupt = 0x40
    assert next_debug(machine, 1).eip == 0x3000 + 4 * 0x40


def test_a_gate_may_be_watched(machine) -> None:
    machine.load("int 0x81\n")
    set_breakpoints(machine, Breakpoint(IDT + 8 * 0x81 + 4, ACCESS, 4))
    assert next_debug(machine, 1).eip == 0x3000 + 4 * 0x81


def test_a_faulting_instruction_has_not_hit(machine) -> None:
    """The source is read before the destination faults; the instruction did not happen."""
    machine.load("mov esi, 0x21000\nmov edi, 0xFFFFFFFE\nmovsd\n")
    set_breakpoints(machine, Breakpoint(0x21000, ACCESS, 4))
    machine.expect(13)
    assert conditions(machine) == 0
    assert machine.processor.cpu[state.PENDING_TRAPS] == 0


def test_a_device_read_hits_once_it_is_done(machine) -> None:
    machine.load("mov eax, [DEVICE]\nnext: nop\n")
    set_breakpoints(machine, Breakpoint(0x200000, ACCESS, 4))
    devices = Devices({0x200000: 0x1234})
    assert machine.drive(devices) == Exit.TRAPDOOR
    assert machine.event().eip == machine.symbols["next"]
    assert conditions(machine) == 1
    assert devices.accesses == [("read", 0x200000, 4, 0x1234)]


def test_a_single_step_and_a_hit_are_one_exception(machine) -> None:
    machine.load("mov [0x21000], eax\nnext: nop\n")
    machine.processor.eflags = EFLAGS_TF
    set_breakpoints(machine, Breakpoint(0x21000, WRITE, 4))
    assert next_debug(machine, 1 | BS).eip == machine.symbols["next"]


def test_traps_come_before_external_interrupts(machine) -> None:
    machine.load("mov [0x21000], eax\nnext: nop\n")
    machine.processor.eflags = 1 << 9
    set_breakpoints(machine, Breakpoint(0x21000, WRITE, 4))
    assert machine.run(1) == Exit.BUDGET
    machine.processor.pending_interrupt = 0x40
    assert next_debug(machine, 1).eip == machine.symbols["next"]
    assert machine.processor.pending_interrupt == 0x40


# --- loads of SS ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("load", "following"),
    [
        ("mov ss, [0x21000]", "nop"),
        ("mov ss, [0x21000]", "sti"),
        ("mov ss, [0x21000]", "mov eax, [0x21010]"),
        ("mov esp, 0x21000\npop ss", "mov esp, 0x9000"),
    ],
)
def test_a_load_of_ss_holds_its_trap_off_for_one_instruction(machine, load, following) -> None:
    machine.load(f"{load}\n{following}\nafter: nop\nnop\n")
    machine.poke(0x21000, 0x10, 2)
    set_breakpoints(machine, Breakpoint(0x21000, ACCESS, 2), Breakpoint(0x21010, ACCESS, 4))
    event = next_debug(machine, 3 if "0x21010" in following else 1)
    assert event.eip == machine.symbols["after"]


def test_an_interrupt_instruction_after_a_load_of_ss_is_trapped_in_its_handler(machine) -> None:
    machine.load("mov ss, [0x21000]\nint 0x81\n")
    machine.poke(0x21000, 0x10, 2)
    set_breakpoints(machine, Breakpoint(0x21000, ACCESS, 2))
    assert next_debug(machine, 1).eip == 0x3000 + 4 * 0x81


def test_a_fault_after_a_load_of_ss_takes_its_trap_away(machine) -> None:
    machine.load("xor ecx, ecx\nmov ss, [0x21000]\ndiv ecx\n")
    machine.poke(0x21000, 0x10, 2)
    set_breakpoints(machine, Breakpoint(0x21000, ACCESS, 2))
    machine.expect(DE)
    assert conditions(machine) == 0
    assert machine.processor.cpu[state.PENDING_TRAPS] == 0


def test_a_trap_held_off_survives_a_device_read(machine) -> None:
    machine.load("mov ss, [0x21000]\nmov eax, [DEVICE]\nafter: nop\n")
    machine.poke(0x21000, 0x10, 2)
    set_breakpoints(machine, Breakpoint(0x21000, ACCESS, 2))
    assert machine.drive(Devices()) == Exit.TRAPDOOR
    assert machine.event().eip == machine.symbols["after"]
    assert conditions(machine) == 1


# --- what is derived -----------------------------------------------------------------------------


def test_breakpoints_come_and_go_with_the_guest(machine) -> None:
    """A guest that watches a word only part of the time, with warm translations."""
    machine.load(
        """
        mov eax, 0x21000
        mov dr0, eax
        mov ebx, 0xF0402        ; RW 11, LEN 11, G0
        mov ecx, 0x400
        mov [0x21000], eax
        mov edx, [0x21000]
        mov dr7, ebx
        mov [0x21000], eax
    first: mov dr7, ecx
        mov [0x21000], eax
        mov dr7, ebx
        mov edx, [0x21002]
    second: mov dr7, ecx
        mov edx, [0x21000]
        mov [0x21000], edx
        trapdoor DONE
        """
    )
    for name in ("first", "second"):
        event = next_debug(machine, 1)
        assert event.eip == machine.symbols[name]
        resume(machine, event)
    machine.finish()


@pytest.mark.parametrize("stop", range(1, 5))
def test_nothing_but_the_state_decides(machine, stop) -> None:
    """Dropping everything derived every few instructions changes nothing."""
    source = """
        mov eax, 0x21000
        mov dr0, eax
        mov eax, 0x30402
        mov dr7, eax
        mov ebx, 5
    again: mov ecx, [0x21000]
        mov ss, [0x21000]
        dec ebx
        jnz again
        trapdoor DONE
    """
    outcomes = []
    for drops in (False, True):
        machine.reset()
        machine.load(source)
        machine.poke(0x21000, 0x10)
        seen = []
        while machine.processor.detail[0] != DONE or not seen:
            steps = stop if drops else 100_000
            if machine.run(steps) == Exit.BUDGET:
                machine.processor.drop_derived()
                continue
            if machine.processor.detail[0] == DB:
                event = machine.event()
                seen.append((event, conditions(machine)))
                resume(machine, event)
        outcomes.append((seen, machine.processor.cpu.copy()))
    assert outcomes[0][0] == outcomes[1][0]
    counts = slice(0, state.RETIRED)
    assert (outcomes[0][1][counts] == outcomes[1][1][counts]).all()
    assert machine.processor.detail[0] == DONE
