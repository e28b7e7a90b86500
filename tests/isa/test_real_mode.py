"""Real mode as a 386 has it: limits, wraparound, the vector table, and the way in and out of it."""

from __future__ import annotations

import struct

import pytest

from isa import state
from isa.exits import Exit
from isa.registers import CR0_PE, CS, DS, EAX, EBP, EBX, ECX, ESI, ESP, SS
from isa.vectors import BP, GP, UD
from isa.vectors import SS as STACK_FAULT
from tests.isa.real_machine import CODE, GDT, STACK, RealMachine

pytestmark = pytest.mark.bounds

TF, IF, IOPL, NT, AC = 0x100, 0x200, 0x3000, 0x4000, 0x40000


@pytest.fixture(scope="module")
def made() -> RealMachine:
    return RealMachine()


@pytest.fixture
def machine(made: RealMachine) -> RealMachine:
    made.reset()
    return made


# --- limits of data ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instruction", "vector"),
    [
        ("mov ax, [0xFFFF]", GP),
        ("mov [0xFFFF], ax", GP),
        ("mov eax, [0xFFFD]", GP),
        ("add [0xFFFD], eax", GP),
        ("mov al, [0xFFFF]", None),
        ("mov ax, [0xFFFE]", None),
        ("mov eax, [0xFFFC]", None),
        ("mov ax, [es:0xFFFF]", GP),
        ("mov ax, [cs:0xFFFF]", GP),
        ("mov ax, [ss:0xFFFF]", STACK_FAULT),
        ("mov bp, 0xFFFF\nmov ax, [bp]", STACK_FAULT),
        ("les ax, [0xFFFD]", GP),
        ("les ax, [0xFFFC]", None),
        ("lgdt [0xFFFB]", GP),
        ("lgdt [0xFFFA]", None),
        ("mov si, 0xFFFF\nlodsw", GP),
        ("mov di, 0xFFFF\nstosw", GP),
        ("mov si, 0xFFFF\nlodsb", None),
        ("mov bx, 0xFFFF\nmov al, [bx + 1]", None),  # 16-bit addresses wrap
        ("mov bx, 0xFFFF\nmov ax, [bx + 1]", None),
        ("mov bx, 0x8000\nmov si, 0x7FFF\nmov ax, [bx + si]", GP),
        ("mov al, [dword 0x10000]", GP),  # 32-bit addresses do not
        ("mov ebx, 0xFFFF\nmov al, [ebx + 1]", GP),
        ("mov ebx, 0xFFFFFFFF\nmov al, [ebx]", GP),
        ("mov ebp, 0x10000\nmov al, [ebp]", STACK_FAULT),
        ("mov ebx, 0xFFFE\nmov ax, [ebx]", None),
    ],
)
def test_a_segment_ends_at_64_kib(
    machine: RealMachine, instruction: str, vector: int | None
) -> None:
    *before, last = instruction.split("\n")
    machine.load("\n".join([*before, f"at: {last}", "int3", "after:"]))
    ip, cs, _ = machine.expect(BP if vector is None else vector)
    assert (ip, cs) == (machine.symbols["after" if vector is None else "at"], 0)
    assert machine.sp == STACK - 6  # three words: no error code


def test_faults_name_the_instruction_and_push_no_error_code(machine: RealMachine) -> None:
    machine.processor.eflags = 0x0ED7 & ~TF | IF
    machine.load("nop\nat: mov [0xFFFF], ax\nint3\n")
    flags = machine.processor.eflags
    assert machine.expect(GP) == (machine.symbols["at"], 0, flags)
    assert not machine.processor.eflags & IF


# --- limits of code ----------------------------------------------------------------------------


def test_running_past_the_end_of_the_segment_faults(machine: RealMachine) -> None:
    """The instruction pointer does not wrap: offset 0x10000 is beyond the limit."""
    machine.load("inc cx\ninc cx\n", 0xFFFE)
    machine.expect(GP)
    assert machine.register(ECX) == 2
    assert machine.peek(machine.sp, 2) == 0  # IP is what fits of EIP


@pytest.mark.parametrize("code", ["mov ax, 0x1234", "mov byte [0], 1", "jmp 0x1234:0x5678"])
def test_an_instruction_may_not_cross_the_end_of_the_segment(
    machine: RealMachine, code: str
) -> None:
    machine.load(f"inc cx\n{code}\n", 0xFFFD)
    assert machine.expect(GP)[0] == 0xFFFE
    assert machine.register(ECX) == 1


@pytest.mark.parametrize(
    ("source", "at"),
    [
        ("jmp short $ + 0x12", 0xFFF8),
        ("jmp near $ + 0x12", 0xFFF8),
        ("stc\njc short $ + 0x11", 0xFFF8),
        ("stc\njc near $ + 0x11", 0xFFF8),
        ("call $ + 0x12", 0xFFF8),
        ("mov cx, 2\nloop $ + 0x0F", 0xFFF8),
    ],
)
def test_16_bit_branches_wrap(machine: RealMachine, source: str, at: int) -> None:
    """A target is cut to 16 bits, so a branch past the end arrives at the beginning."""
    base = 0x20000
    machine.processor.write_physical(base + 0x0A, b"\x0f\x0a\xfe")
    machine.load(source, at, base)
    machine.finish()
    assert machine.processor.eip == 0x0D


@pytest.mark.parametrize("source", ["jmp dword 0x10000", "mov eax, 0x10000\njmp eax"])
def test_32_bit_branches_do_not(machine: RealMachine, source: str) -> None:
    machine.load(f"{source}\n")
    machine.expect(GP)


def test_a_call_at_the_end_pushes_a_wrapped_return_address(machine: RealMachine) -> None:
    machine.load("target: trapdoor DONE\ntimes 0x1000 - ($ - $$) nop\n", 0xE000)
    machine.load("call 0xE000\n", 0xFFFD)
    machine.finish()
    assert machine.peek(machine.sp, 2) == 0


# --- the stack ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sp", "source", "after"),
    [
        (0, "push ax", 0xFFFE),
        (2, "push ax\npush ax", 0xFFFE),
        (0, "push eax", 0xFFFC),
        (0xFFFE, "pop ax", 0),
        (0xFFFC, "pop eax", 0),
        (0, "pushf", 0xFFFE),
        (0, "pusha", 0xFFF0),
        (8, "pusha", 0xFFF8),
        (0xFFF0, "popa", 0),
        (2, "call $ + 3\nnop", 0),
        (0, "enter 4, 0", 0xFFFA),
    ],
)
def test_the_stack_wraps_at_64_kib(machine: RealMachine, sp: int, source: str, after: int) -> None:
    machine.processor.gpr[ESP] = 0xABCD0000 | sp
    machine.load(f"{source}\ntrapdoor DONE\n", base=0x20000)
    machine.finish()
    assert machine.register(ESP) == 0xABCD0000 | after


@pytest.mark.parametrize(
    ("sp", "source"),
    [
        (1, "push ax"),
        (3, "push eax"),
        (1, "call $ + 3"),
        (1, "int 0x40"),
        (3, "int3"),
    ],
)
def test_a_stack_without_room_for_its_own_fault_shuts_down(
    machine: RealMachine, sp: int, source: str
) -> None:
    """SDM vol. 2, "PUSH": the stack fault cannot be delivered, nor can the double fault."""
    machine.processor.gpr[ESP] = sp
    machine.load(f"{source}\ntrapdoor DONE\n")
    assert machine.run() == Exit.SHUTDOWN
    assert machine.register(ESP) == sp


@pytest.mark.parametrize("sp", range(18))
@pytest.mark.parametrize("source", ["pusha", "pushad"])
def test_pusha_near_the_end_of_the_stack(machine: RealMachine, sp: int, source: str) -> None:
    """SDM vol. 2, "PUSHA": #GP if SP is 7, 9, 11, 13 or 15; shutdown if it is 1, 3 or 5."""
    machine.processor.gpr[ESP] = sp
    machine.load(f"{source}\ntrapdoor DONE\n")
    if sp in (1, 3, 5):
        assert machine.run() == Exit.SHUTDOWN
    elif sp in (7, 9, 11, 13, 15):
        assert machine.expect(GP)[:2] == (CODE, 0)
    elif source == "pusha" or not sp % 4:
        machine.finish()
        assert machine.sp == (sp - (16 if source == "pusha" else 32)) & 0xFFFF
    else:
        machine.expect(STACK_FAULT)


def test_a_word_at_the_end_of_the_stack_faults(machine: RealMachine) -> None:
    machine.processor.gpr[ESP] = 0xFFFF
    machine.load("pop ax\nint3\n")
    assert machine.expect(STACK_FAULT)[0] == CODE
    assert machine.sp == 0xFFFF - 6


# --- addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0, 0x0F, 0x10, 0xFFFE])
def test_addresses_reach_a_little_beyond_one_megabyte(machine: RealMachine, offset: int) -> None:
    """FFFF:FFFF is linear address 10FFEF; nothing wraps at 1 MiB in the processor."""
    machine.poke(0xFFFF0 + offset, 0x5AA5, 2)
    machine.load(f"mov ax, 0xFFFF\nmov ds, ax\nmov bx, [{offset}]\nmov [{offset}], ax\nint3\n")
    machine.expect(BP)
    assert machine.register(EBX) & 0xFFFF == 0x5AA5
    assert machine.peek(0xFFFF0 + offset, 2) == 0xFFFF


def test_far_transfers_and_segment_loads_multiply_by_sixteen(machine: RealMachine) -> None:
    machine.processor.write_physical(0x12340 + 0x10, b"\xcb")  # retf
    machine.load("call 0x1234:0x10\npush cs\npop es\nmov ax, 0x4321\nmov fs, ax\ntrapdoor DONE\n")
    machine.finish()
    cpu = machine.processor.cpu
    assert cpu[state.BASE + 4] == 0x43210
    assert cpu[state.BASE + CS] == 0


# --- the vector table ----------------------------------------------------------------------------


def test_the_vector_table_moves_with_idtr(machine: RealMachine) -> None:
    machine.poke(0xB000 + 4 * 0x21, CODE >> 4 << 16 | 0x100)
    machine.processor.write_physical(CODE + 0x100, b"\x0f\x0a\xfe")
    machine.load("lidt [pointer]\nint 0x21\npointer: dw 0x3FF\ndd 0xB000\n")
    machine.finish()
    assert machine.processor.cpu[state.SELECTOR + CS] == CODE >> 4


@pytest.mark.parametrize(
    ("limit", "outcome"),
    [
        (0x21 * 4 + 3, 0x21),
        (0x21 * 4 + 2, GP),
        (GP * 4 + 3, GP),
        (GP * 4 + 2, 8),  # the protection fault has no entry either: double fault
        (8 * 4 + 3, 8),
        (8 * 4 + 2, None),  # nor has that
        (0, None),
    ],
)
def test_the_limit_of_the_vector_table(
    machine: RealMachine, limit: int, outcome: int | None
) -> None:
    machine.load(f"lidt [pointer]\nint 0x21\npointer: dw {limit}\ndd 0\n")
    if outcome is None:
        assert machine.run() == Exit.SHUTDOWN
    else:
        machine.expect(outcome)


def test_an_interrupt_clears_if_tf_and_ac_and_iret_restores_what_it_can(
    machine: RealMachine,
) -> None:
    machine.poke(0x40 * 4, 0x1000, 4)
    machine.processor.write_physical(0x1000, b"\x66\x9c\x66\x58\xcf")  # pushfd; pop eax; iret
    machine.processor.eflags = 2 | IF | AC | IOPL | NT
    machine.load("int 0x40\ntrapdoor DONE\n")
    machine.finish()
    assert machine.register(EAX) == 2 | IOPL | NT
    assert machine.processor.eflags == 2 | IF | IOPL | NT  # IRET of 16 bits leaves AC alone


# --- protected mode and back -----------------------------------------------------------------

TABLE = struct.pack(
    "<8I", 0, 0, 0x0000FFFF, 0x00009B00, 0x0000FFFF, 0x00009300, 0x0000FFFF, 0x00CF9300
)  # null, 16-bit code, 16-bit data, flat data
ENTER = f"""
        cli
        lgdt [pointer]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        {{inside}}
        mov eax, cr0
        and al, 0xFE
        mov cr0, eax
        {{outside}}
        trapdoor DONE
pointer: dw 31
        dd {GDT}
"""


def test_unreal_mode(machine: RealMachine) -> None:
    """A limit loaded in protected mode stays, whatever real mode loads afterwards."""
    machine.processor.write_physical(GDT, TABLE)
    machine.poke(0x110000, 0x12345678)
    inside = "mov bx, 0x18\nmov ds, bx"
    outside = """
        mov ebx, [dword 0x110000]
        xor ax, ax
        mov ds, ax
        mov esi, [dword 0x110000]
        mov ax, 0x10
        mov ds, ax
        mov ebp, [dword 0x10FF00]
    """
    machine.load(ENTER.format(inside=inside, outside=outside))
    machine.finish()
    assert [machine.register(number) for number in (EBX, ESI, EBP)] == [0x12345678] * 3
    cpu = machine.processor.cpu
    assert (cpu[state.BASE + DS], cpu[state.LIMIT + DS]) == (0x100, 0xFFFFFFFF)
    assert cpu[state.LIMIT + SS] == 0xFFFF


def test_smaller_limits_stay_too(machine: RealMachine) -> None:
    machine.processor.write_physical(GDT, TABLE)
    machine.poke(GDT + 0x10, 0x0FFF, 2)
    outside = "mov al, [0xFFF]\nxor ax, ax\nmov ds, ax\nat: mov al, [0x1000]"
    machine.load(ENTER.format(inside="mov bx, 0x10\nmov ds, bx", outside=outside))
    assert machine.expect(GP)[0] == machine.symbols["at"]


def test_protected_mode_begins_before_the_far_jump(machine: RealMachine) -> None:
    """Between MOV CR0 and the jump the old segments are in use, and new loads mean descriptors."""
    machine.processor.write_physical(GDT, TABLE)
    inside = """
        mov ecx, [cs:pointer + 2]
        mov [word 0x5000], cx
        mov bx, 0x10
        mov es, bx
        sldt dx
        jmp 0x08:.far
        .far:
        mov si, cs
    """
    machine.load(ENTER.format(inside=inside, outside="jmp 0:.real\n.real:"))
    machine.finish()
    cpu = machine.processor.cpu
    assert machine.register(ECX) == GDT
    assert machine.peek(0x5000, 2) == GDT
    assert (cpu[state.SELECTOR], cpu[state.BASE]) == (0x10, 0)
    assert machine.register(ESI) & 0xFFFF == 8
    assert not cpu[state.CR0] & CR0_PE
    assert cpu[state.CPL] == 0


def test_an_event_in_between_goes_through_gates(machine: RealMachine) -> None:
    """Vectors mean gates as soon as PE is set: an IVT read as gates leads nowhere."""
    machine.processor.write_physical(GDT, TABLE)
    machine.load(ENTER.format(inside="int 0x40", outside=""))
    assert machine.run() == Exit.SHUTDOWN


@pytest.mark.parametrize(
    "name", ["lldt ax", "ltr ax", "sldt ax", "str ax", "verr ax", "lar bx, ax", "arpl ax, bx"]
)
def test_what_only_protected_mode_knows(machine: RealMachine, name: str) -> None:
    machine.load(f"nop\nat: {name}\n")
    assert machine.expect(UD)[0] == machine.symbols["at"]
