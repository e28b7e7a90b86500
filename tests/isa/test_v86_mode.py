"""Virtual-8086 mode: the ways in and out of it, and what is 8086 and what is not inside."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa import state, vectors
from isa.events import EXTERNAL, HARDWARE, SOFTWARE
from isa.exits import Exit
from isa.records import TRANSFER, TROUBLED
from isa.registers import ATTR_UNUSABLE, CS, DS, EAX, ECX, ES, ESP, FS, GS, SS, TR
from tests.isa.assembly_machine import TSS, AssemblyMachine
from tests.isa.protected_machine import (
    CODES,
    DATAS,
    INT16,
    INT32,
    STACKS,
    TRAP16,
    TRAP32,
    ProtectedMachine,
    descriptor,
    gate,
)
from tests.isa.transfer_scenes import CODE_SLOT, LEVEL, TARGET, frame, mostly, push_frame

IF, TF, NT, RF, VM = 1 << 9, 1 << 8, 1 << 14, 1 << 16, 1 << 17
IOPL, AC, VIF, VIP, ID = 3 << 12, 1 << 18, 1 << 19, 1 << 20, 1 << 21
VECTOR = 0x80
WORD = st.integers(0, 0xFFFF)


# --- out -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Way:
    """An event in virtual-8086 mode, and the gate and code segment it meets."""

    kind: int
    gate_type: int
    gate_dpl: int
    gate_present: int
    code_kind: int
    code_dpl: int
    code_present: int
    iopl: int
    flags: int


WAYS = st.builds(
    Way,
    kind=st.sampled_from((HARDWARE, EXTERNAL, SOFTWARE)),
    gate_type=st.sampled_from((INT32, TRAP32, INT16, TRAP16)),
    gate_dpl=mostly(3, 0, 1, 2),
    gate_present=mostly(1, 0),
    code_kind=mostly(0x1A, 0x18, 0x1C, 0x1E, 0x12),
    code_dpl=mostly(0, 1, 2, 3),
    code_present=mostly(1, 0),
    iopl=LEVEL,
    flags=st.integers(0, 0x3FFFFF).map(lambda flags: flags & (IF | TF | NT | AC | 0xCD5)),
)


def expected(way: Way) -> tuple[int, int] | None:
    """SDM vol. 2, "INT n", Operation; the error code without EXT."""
    if way.kind == SOFTWARE and way.gate_dpl < 3:
        return vectors.GP, VECTOR * 8 + 2
    if not way.gate_present:
        return vectors.NP, VECTOR * 8 + 2
    if way.code_kind & 0x18 != 0x18:
        return vectors.GP, CODE_SLOT
    if not way.code_present:
        return vectors.NP, CODE_SLOT
    if way.code_kind & 4 or way.code_dpl != 0:
        return vectors.GP, CODE_SLOT
    return None


@settings(max_examples=400)
@given(WAYS)
def test_events_lead_to_ring_0_only(way: Way) -> None:
    machine = ProtectedMachine()
    words = gate(CODE_SLOT, TARGET, way.gate_type, way.gate_dpl, present=way.gate_present)
    machine.gate(VECTOR, words)
    words = descriptor(kind=way.code_kind, dpl=way.code_dpl, present=way.code_present)
    machine.describe(CODE_SLOT, words)
    machine.gate(vectors.GP, gate(CODES[0], TARGET + 0x100, INT32))
    machine.gate(vectors.NP, gate(CODES[0], TARGET + 0x100, INT32))
    machine.enter_v86(way.iopl)
    machine.eflags = VM | 2 | way.iopl << 12 | way.flags
    before = machine.eflags
    fault = expected(way)
    eip = 0x22 if way.kind == SOFTWARE else 0x20
    if fault is not None and way.kind == SOFTWARE:
        with machine.unchanged():
            assert machine.deliver(VECTOR, -1, way.kind) == TROUBLED
        assert machine.trouble == fault
        return
    assert machine.deliver(VECTOR, -1, way.kind) == TRANSFER
    size = 4 if fault is not None or way.gate_type in (INT32, TRAP32) else 2
    mask = (1 << 8 * size) - 1
    saved = [eip, 0x100, before & mask, 0x1000, 0x200, 0x300, 0x300, 0x300, 0x300]
    if fault is not None:
        saved = [fault[1] | 1, *saved]
        saved[3] |= RF
    assert frame(machine, len(saved), size) == saved
    assert machine.esp == STACKS[0] - size * len(saved)
    assert machine.selector(SS) == DATAS[0]
    assert (machine.level, machine.eip & mask) == (
        0,
        (TARGET if fault is None else TARGET + 0x100) & mask,
    )
    trap = fault is None and way.gate_type in (TRAP32, TRAP16)
    assert machine.eflags == before & ~(VM | TF | NT | RF | (0 if trap else IF))
    for segment in (ES, DS, FS, GS):
        assert machine.selector(segment) == 0
        assert machine.cpu[state.ATTRIBUTES + segment] & ATTR_UNUSABLE


def test_sysenter_leaves_virtual_8086_mode() -> None:
    machine = ProtectedMachine()
    machine.enter_v86(0)
    machine.eflags |= IF
    machine.cpu[state.SYSENTER_CS] = CODES[0]
    machine.cpu[state.SYSENTER_ESP] = 0x7000
    machine.cpu[state.SYSENTER_EIP] = TARGET
    assert machine.execute("SYSENTER") == TRANSFER
    assert (machine.level, machine.eip, machine.esp) == (0, TARGET, 0x7000)
    assert machine.eflags == 2


# --- in --------------------------------------------------------------------------------------


@given(
    image=st.integers(0, 0xFFFFFFFF),
    eip=st.one_of(WORD, st.sampled_from((0x10000, 0xFFFFFFFF))),
    esp=st.integers(0, 0xFFFFFFFF),
    selectors=st.lists(st.integers(0, 0xFFFFFFFF), min_size=6, max_size=6),
    held=st.integers(0, 0x3FFFFF),
)
def test_iretd_at_ring_0_loads_everything(
    image: int, eip: int, esp: int, selectors: list[int], held: int
) -> None:
    """SDM vol. 2, "IRET", RETURN-TO-VIRTUAL-8086-MODE: all of EFLAGS comes from the stack."""
    machine = ProtectedMachine()
    machine.eflags = held & ~(VM | NT | TF | RF) | 2
    cs, ss, es, ds, fs, gs = selectors
    push_frame(machine, [eip, cs, image | VM, esp, ss, es, ds, fs, gs])
    if eip > 0xFFFF:
        with machine.unchanged():
            assert machine.execute("IRETD") == TROUBLED
        assert machine.trouble == (vectors.GP, 0)
        return
    assert machine.execute("IRETD") == TRANSFER
    assert (machine.level, machine.eip, machine.esp) == (3, eip, esp)
    assert machine.eflags & ~RF == (image | VM) & 0x3F7FD7 & ~RF | 2
    for segment, selector in zip((CS, SS, ES, DS, FS, GS), selectors, strict=True):
        assert machine.selector(segment) == selector & 0xFFFF
        assert machine.cpu[state.BASE + segment] == (selector & 0xFFFF) << 4
        assert machine.cpu[state.LIMIT + segment] == 0xFFFF
        assert machine.cpu[state.ATTRIBUTES + segment] == 0xF3


@pytest.mark.parametrize("words", range(9))
def test_all_nine_words_must_be_within_the_stack(words: int) -> None:
    machine = ProtectedMachine()
    push_frame(machine, [0x77, 0x100, VM | 2, 0x1000, 0x200, 0, 0, 0, 0])
    machine.cpu[state.LIMIT + SS] = machine.esp + 4 * words + 2
    with machine.unchanged():
        assert machine.execute("IRETD") == TROUBLED
    assert machine.trouble == (vectors.SS, 0)


# --- inside ----------------------------------------------------------------------------------


@given(
    name=st.sampled_from(("JMP", "CALL")),
    selector=WORD,
    offset=st.one_of(WORD, st.integers(0x10000, 0xFFFFFFFF)),
    size=st.sampled_from((2, 4)),
)
def test_far_transfers_know_no_descriptors(
    name: str, selector: int, offset: int, size: int
) -> None:
    machine = ProtectedMachine()
    machine.enter_v86(0)
    machine.describe(selector & 0x78, descriptor(kind=0x1A, present=0))
    form = f"{name}_ptr16_{8 * size}"
    if size == 2:
        offset &= 0xFFFF
    if offset > 0xFFFF:
        with machine.unchanged():
            assert machine.execute(form, immediate=offset, second=selector) == TROUBLED
        assert machine.trouble == (vectors.GP, 0)
        return
    assert machine.execute(form, immediate=offset, second=selector) == TRANSFER
    assert (machine.eip, machine.selector(CS), machine.level) == (offset, selector, 3)
    assert machine.cpu[state.BASE + CS] == selector << 4
    assert machine.cpu[state.LIMIT + CS] == 0xFFFF
    if name == "CALL":
        assert frame(machine, 2, size) == [0x22, 0x100]
        back = "RETF_o16" if size == 2 else "RETF_o32"
        assert machine.execute(back) == TRANSFER
        assert (machine.eip, machine.selector(CS), machine.esp) == (0x22, 0x100, 0x1000)


@given(segment=st.sampled_from((ES, SS, DS, FS, GS)), selector=WORD)
def test_segment_loads_know_no_descriptors(segment: int, selector: int) -> None:
    machine = ProtectedMachine()
    machine.enter_v86(0)
    machine.cpu[state.GPR + EAX] = selector
    machine.execute("MOV_Sreg_rm16", a=segment, b=EAX)
    assert machine.trouble is None
    assert machine.selector(segment) == selector
    assert machine.cpu[state.BASE + segment] == selector << 4
    assert machine.cpu[state.LIMIT + segment] == 0xFFFF
    assert machine.cpu[state.ATTRIBUTES + segment] == 0xF3


@pytest.fixture(scope="module")
def made() -> AssemblyMachine:
    return AssemblyMachine()


def program(made: AssemblyMachine, source: str, iopl: int = 0, sp: int = 0x7000) -> None:
    """IRETD into a program at 2000:0, with data at 3000:0 and its stack at 1000:SP."""
    made.reset()
    made.poke(TSS + 0x66, 0x68, 2)  # no I/O permission bit map
    made.load(source, 0, bits=16)
    made.processor.write_physical(0x20000, made.processor.read_physical(0, 0x400))
    words = [0, 0, 0x3000, 0x3000, 0x1000, sp, VM | 2 | iopl << 12, 0x2000, 0]
    made.load("".join(f"push dword {word:#x}\n" for word in words) + "iretd\n")


@pytest.mark.bounds
@pytest.mark.parametrize(
    ("source", "vector"),
    [
        ("mov ax, [0xFFFF]", vectors.GP),
        ("mov [0xFFFD], eax", vectors.GP),
        ("mov al, [dword 0x10000]", vectors.GP),
        ("mov bp, 0xFFFF\nmov ax, [bp]", vectors.SS),
        ("mov sp, 1\npush ax", vectors.SS),
        ("mov sp, 7\npusha", vectors.GP),
        ("hlt", vectors.GP),
        ("cli", vectors.GP),
        ("mov eax, cr0", vectors.GP),
        ("lldt ax", vectors.UD),
        ("in al, 0x60", vectors.GP),
        ("int 0x21", vectors.GP),
        ("int3", vectors.BP),
        ("ud2", vectors.UD),
        ("xor cx, cx\ndiv cl", vectors.DE),
    ],
)
def test_faults_of_a_program_reach_its_monitor_with_their_error_codes(
    made: AssemblyMachine, source: str, vector: int
) -> None:
    program(made, source)
    event = made.expect(vector)
    has_error = vector in (vectors.GP, vectors.SS)
    assert event.error == (0 if has_error else None)
    assert event.eflags & VM
    words = 10 if has_error else 9
    assert made.register(ESP) == 0x8000 - 4 * words
    assert made.processor.cpl == 0


@pytest.mark.bounds
@pytest.mark.parametrize("iopl", [0, 3])
@pytest.mark.parametrize("allowed", [False, True])
def test_ports_are_given_by_the_bit_map_alone(
    made: AssemblyMachine, iopl: int, allowed: bool
) -> None:
    program(made, "in al, 0x60\n", iopl)
    made.processor.cpu[state.LIMIT + TR] = 0x200
    made.poke(TSS + 0x66, 0x88, 2)
    made.poke(TSS + 0x88 + 12, 0 if allowed else 1, 2)
    if allowed:
        assert made.run() == Exit.PORT_IN
    else:
        assert made.expect(vectors.GP).error == 0


@pytest.mark.bounds
def test_a_program_runs_and_comes_back(made: AssemblyMachine) -> None:
    """A monitor that steps over the software interrupt of a program and returns to it."""
    program(made, "mov cx, 3\nagain: int 0x21\nloop again\nint3\n", iopl=0)
    monitor = "add esp, 4\nadd dword [esp], 2\ninc dword [ss:0x500]\niretd\n"
    made.load(monitor, 0x11000)
    jump = 0x11000 - (0x3000 + 4 * vectors.GP) - 5
    made.processor.write_physical(0x3000 + 4 * vectors.GP, b"\xe9" + jump.to_bytes(4, "little"))
    made.processor.eip = 0x10000
    made.expect(vectors.BP)
    assert made.peek(0x500) == 3
    assert made.register(ECX) & 0xFFFF == 0
