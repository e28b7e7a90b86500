"""VIF and VIP, against the SDM's pseudo-code written down again."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa import state, vectors
from isa.records import DONE, TRANSFER, TROUBLED
from isa.registers import CR4_PVI, CR4_VME, CS, ESP
from tests.isa.assembly_machine import CODE3, DATA3, AssemblyMachine
from tests.isa.protected_machine import ProtectedMachine

IF, TF, IOPL, NT = 1 << 9, 1 << 8, 3 << 12, 1 << 14
RF, VM, AC, VIF, VIP, ID = 1 << 16, 1 << 17, 1 << 18, 1 << 19, 1 << 20, 1 << 21
STATUS, DF = 0x8D5, 0x400
STACK_LINEAR = 0x2000 + 0x1000  # of ProtectedMachine.enter_v86

# With both VIF and VIP the instruction would not have been begun.
FLAGS = st.builds(
    lambda flags, virtual: flags & (IF | STATUS | DF | NT) | virtual,
    st.integers(0, 0xFFFF),
    st.sampled_from((0, VIF, VIP)),
)
CR4 = st.sampled_from((0, CR4_VME, CR4_PVI, CR4_VME | CR4_PVI))
LEVEL = st.integers(0, 3)


def v86_machine(iopl: int, flags: int, cr4: int) -> ProtectedMachine:
    machine = ProtectedMachine()
    machine.enter_v86(iopl)
    machine.eflags = VM | 2 | iopl << 12 | flags
    machine.cpu[state.CR4] = cr4
    return machine


def protected(level: int, iopl: int, flags: int, cr4: int) -> ProtectedMachine:
    machine = ProtectedMachine()
    machine.set_level(level)
    machine.eflags = 2 | iopl << 12 | flags
    machine.cpu[state.CR4] = cr4
    return machine


def refused(machine: ProtectedMachine, name: str) -> None:
    with machine.unchanged():
        assert machine.execute(name) == TROUBLED
    assert machine.trouble == (vectors.GP, 0)


# --- CLI and STI -----------------------------------------------------------------------------


@given(iopl=LEVEL, flags=FLAGS, cr4=CR4)
def test_cli_in_virtual_8086_mode(iopl: int, flags: int, cr4: int) -> None:
    """SDM vol. 2, "CLI": IF at IOPL 3, VIF below it with VME, else #GP(0)."""
    machine = v86_machine(iopl, flags, cr4)
    before = machine.eflags
    if iopl == 3:
        assert machine.execute("CLI") == DONE
        assert machine.eflags == before & ~IF
    elif cr4 & CR4_VME:
        assert machine.execute("CLI") == DONE
        assert machine.eflags == before & ~VIF
    else:
        refused(machine, "CLI")


@given(iopl=LEVEL, flags=FLAGS, cr4=CR4)
def test_sti_in_virtual_8086_mode(iopl: int, flags: int, cr4: int) -> None:
    machine = v86_machine(iopl, flags, cr4)
    before = machine.eflags
    if iopl == 3:
        assert machine.execute("STI") == TRANSFER
        assert machine.eflags == before | IF
    elif cr4 & CR4_VME and not flags & VIP:
        assert machine.execute("STI") == DONE
        assert machine.eflags == before | VIF
        assert machine.cpu[state.SHADOW_AT] == -1  # VIF holds nothing off
    else:
        refused(machine, "STI")


@given(level=LEVEL, iopl=LEVEL, flags=FLAGS, cr4=CR4, name=st.sampled_from(("CLI", "STI")))
def test_cli_and_sti_in_protected_mode(
    level: int, iopl: int, flags: int, cr4: int, name: str
) -> None:
    machine = protected(level, iopl, flags, cr4)
    before = machine.eflags
    if level <= iopl:
        machine.execute(name)
        assert machine.eflags == (before | IF if name == "STI" else before & ~IF)
    elif level == 3 and cr4 & CR4_PVI and (name == "CLI" or not flags & VIP):
        assert machine.execute(name) == DONE
        assert machine.eflags == (before | VIF if name == "STI" else before & ~VIF)
    else:
        refused(machine, name)


# --- PUSHF and POPF --------------------------------------------------------------------------


@given(iopl=LEVEL, flags=FLAGS, cr4=CR4, size=st.sampled_from((2, 4)))
def test_pushf_in_virtual_8086_mode(iopl: int, flags: int, cr4: int, size: int) -> None:
    """SDM vol. 2, "PUSHF": below IOPL 3 VIF takes the place of IF and IOPL reads as 3."""
    machine = v86_machine(iopl, flags, cr4)
    name = "PUSHF" if size == 2 else "PUSHFD"
    if iopl < 3 and (size == 4 or not cr4 & CR4_VME):
        refused(machine, name)
        return
    image = machine.eflags & ~VM
    if iopl < 3:
        image = image & ~IF | IOPL | (IF if flags & VIF else 0)
    before = machine.eflags
    assert machine.execute(name) == DONE
    assert machine.esp == 0x1000 - size
    assert machine.peek(STACK_LINEAR - size, size) == image & (1 << 8 * size) - 1
    assert machine.eflags == before


@given(
    iopl=LEVEL,
    flags=FLAGS,
    cr4=CR4,
    size=st.sampled_from((2, 4)),
    image=st.integers(0, 0x3FFFFF),
    name=st.sampled_from(("POPF", "IRET")),
)
def test_popf_and_iret_in_virtual_8086_mode(
    iopl: int, flags: int, cr4: int, size: int, image: int, name: str
) -> None:
    check_loaded_flags(iopl, flags, cr4, size, image, name)


@pytest.mark.parametrize("name", ["POPF", "IRET"])
def test_every_image_that_matters_in_virtual_8086_mode(name: str) -> None:
    """TF and IF of the image, VIF and VIP before: all of them, with and without VME."""
    bits = (0, TF, IF, TF | IF)
    states = (0, VIF, VIP, VIF | IF, VIP | IF)
    for iopl, flags, cr4, size, image in product(
        range(4), states, (0, CR4_VME, CR4_PVI, CR4_VME | CR4_PVI), (2, 4), bits
    ):
        check_loaded_flags(iopl, flags, cr4, size, image | 0x7CD7 & ~(TF | IF), name)


def check_loaded_flags(iopl: int, flags: int, cr4: int, size: int, image: int, name: str) -> None:
    """SDM vol. 2, "POPF" and "IRET": VM, IOPL, VIF and VIP stay; below IOPL 3 IF stays as well."""
    machine = v86_machine(iopl, flags, cr4)
    words = [image] if name == "POPF" else [0x77, 0x400, image]
    machine.cpu[state.GPR + ESP] -= size * len(words)
    for slot, word in enumerate(words):
        machine.poke(0x2000 + machine.esp + size * slot, word, size)
    form = name if size == 2 else f"{name}D"
    virtual = iopl < 3
    allowed = iopl == 3 or (size == 2 and cr4 & CR4_VME)
    if not allowed or (virtual and (image & TF or (image & IF and flags & VIP))):
        refused(machine, form)
        return
    before = machine.eflags
    changeable = STATUS | TF | DF | NT | (IF if iopl == 3 else 0) | (AC | ID if size == 4 else 0)
    changeable |= RF if form == "IRETD" else 0
    after = before & ~changeable | image & changeable
    if virtual:
        after = after & ~VIF | (VIF if image & IF else 0)
    assert machine.execute(form) != TROUBLED
    assert machine.eflags == after
    assert machine.esp == 0x1000
    if name == "IRET":
        assert (machine.eip, machine.selector(CS), machine.level) == (0x77, 0x400, 3)


@given(
    level=LEVEL, iopl=LEVEL, flags=FLAGS, image=st.integers(0, 0xFFFF), size=st.sampled_from((2, 4))
)
def test_popf_in_protected_mode_knows_no_virtual_interrupts(
    level: int, iopl: int, flags: int, image: int, size: int
) -> None:
    """SDM vol. 3B, "Protected-Mode Virtual Interrupts": POPF still loses IF silently."""
    found = []
    for cr4 in (0, CR4_PVI | CR4_VME):
        machine = protected(level, iopl, flags, cr4)
        machine.cpu[state.GPR + ESP] -= size
        machine.poke(machine.esp, image & ~TF, size)
        assert machine.execute("POPF" if size == 2 else "POPFD") != TROUBLED
        found.append((machine.eflags, machine.esp))
    assert found[0] == found[1]
    assert found[0][0] & (VIF | VIP) == flags & (VIF | VIP)


# --- the fault of a pending virtual interrupt --------------------------------------------------


@pytest.fixture(scope="module")
def made() -> AssemblyMachine:
    return AssemblyMachine()


@pytest.mark.bounds
@pytest.mark.parametrize("iopl", [0, 2, 3])
@pytest.mark.parametrize("cr4", [0, CR4_VME, CR4_PVI])
@pytest.mark.parametrize("pending", [VIF, VIP, VIF | VIP])
@pytest.mark.parametrize("v86", [False, True])
def test_an_enabled_and_pending_virtual_interrupt_faults_before_the_next_instruction(
    made: AssemblyMachine, iopl: int, cr4: int, pending: int, v86: bool
) -> None:
    """Both flags can only come together from ring 0: an IRET. Below IOPL 3, at CPL 3."""
    made.reset()
    target = 0x20000
    flags = 2 | iopl << 12 | pending | (VM if v86 else 0)
    cs, ss, eip = (target >> 4, 0x100, 0) if v86 else (CODE3, DATA3, target)
    frame = "".join(
        f"push dword {word:#x}\n"
        for word in ([0, 0, 0, 0] if v86 else []) + [ss, 0x7000, flags, cs, eip]
    )
    made.load("inc ecx\ninc ecx\nint3\n", target, bits=16 if v86 else 32)
    made.load(frame + "iretd\n")
    made.processor.cpu[state.CR4] = cr4
    due = pending == VIF | VIP and iopl < 3 and cr4 == (CR4_VME if v86 else CR4_PVI)
    event = made.expect(vectors.GP if due else vectors.BP)
    assert made.register(1) == (0 if due else 2)
    assert event.eip == eip + (0 if due else 5 if v86 else 3)
    if due:
        assert event.error == 0
        assert event.eflags & (VIF | VIP) == VIF | VIP


@pytest.mark.bounds
def test_a_program_that_was_run_before_faults_as_well(made: AssemblyMachine) -> None:
    """Blocks that are known must not be entered either."""
    made.reset()
    made.processor.cpu[state.CR4] = CR4_PVI
    made.load(
        f"""
        again:
        mov eax, {DATA3}
        mov ds, ax
        mov esp, 0x9000
        push dword {DATA3}
        push dword 0x7000
        push dword [flags]
        push dword {CODE3}
        push dword user
        iretd
        user:
        inc ecx
        int 0x40
        flags: dd 0x202
        """
    )
    for count in (1, 2):
        made.expect(0x40)
        assert made.register(1) == count
        made.processor.eip = made.symbols["again"]
    made.expect(0x40)
    made.poke(made.symbols["flags"], 0x202 | VIF | VIP)
    made.processor.eip = made.symbols["again"]
    assert made.expect(vectors.GP).eip == made.symbols["user"]
    assert made.register(1) == 3
