"""PUSHF, POPF and IRET within a level: which flags they change, show and leave, whoever executes.

The rules are the table "Effect of POPF/POPFD on the EFLAGS Register" of the manual, written down
by flag: what a flag takes from the image, and what it keeps. Virtual-8086 mode below IOPL 3 is in
test_virtual_interrupts.py.

Source: SDM vol. 2, "POPF/POPFD/POPFQ", "PUSHF/PUSHFD/PUSHFQ", "IRET/IRETD/IRETQ".
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from isa import state
from isa.records import TROUBLED
from isa.registers import SS
from tests.isa.protected_machine import CODES, STACKS, ProtectedMachine
from tests.isa.transfer_scenes import push_frame

STATUS, TF, IF, DF = 0x8D5, 1 << 8, 1 << 9, 1 << 10
IOPL, NT, RF, VM = 3 << 12, 1 << 14, 1 << 16, 1 << 17
AC, VIF, VIP, ID = 1 << 18, 1 << 19, 1 << 20, 1 << 21
ALL = STATUS | TF | IF | DF | IOPL | NT | RF | VM | AC | VIF | VIP | ID
WORD = st.integers(0, 0xFFFFFFFF)


@dataclass(frozen=True)
class Place:
    """Where an instruction is executed, and on which flags."""

    mode: str
    cpl: int
    flags: int

    @property
    def iopl(self) -> int:
        return self.flags >> 12 & 3


@st.composite
def places(draw: st.DrawFn) -> Place:
    mode = draw(st.sampled_from(("real", "protected", "protected", "protected", "v86")))
    cpl = {"real": 0, "v86": 3}.get(mode, draw(st.integers(0, 3)))
    flags = draw(WORD) & ALL & ~VM | 2
    if mode == "v86":
        flags |= VM | IOPL
    return Place(mode, cpl, flags)


def stage(place: Place) -> ProtectedMachine:
    machine = ProtectedMachine()
    if place.mode == "real":
        machine.enter_real_mode()
    elif place.mode == "v86":
        machine.enter_v86(3)
    else:
        machine.set_level(place.cpl)
    machine.eflags = place.flags
    return machine


def loaded_by_popf(place: Place, size: int) -> int:
    """The flags that take their value from the image."""
    loaded = STATUS | TF | DF | NT
    if size == 4:
        loaded |= AC | ID
    if place.mode == "real":
        return loaded | IF | IOPL
    if place.cpl <= place.iopl:
        loaded |= IF
    if place.cpl == 0:
        loaded |= IOPL
    return loaded


@given(place=places(), image=WORD, size=st.sampled_from((2, 4)))
def test_popf_changes_what_the_manual_allows(place: Place, image: int, size: int) -> None:
    machine = stage(place)
    push_frame(machine, [image], size)
    assert machine.execute("POPFD" if size == 4 else "POPF") != TROUBLED
    loaded = loaded_by_popf(place, size)
    assert machine.eflags == place.flags & ~(loaded | RF) | image & loaded


@given(place=places(), size=st.sampled_from((2, 4)))
def test_pushf_shows_all_but_vm_and_rf(place: Place, size: int) -> None:
    machine = stage(place)
    assert machine.execute("PUSHFD" if size == 4 else "PUSHF") != TROUBLED
    at = int(machine.cpu[state.BASE + SS]) + machine.esp
    assert machine.peek(at, size) == place.flags & ~(VM | RF) & (1 << 8 * size) - 1
    assert machine.eflags == place.flags


@given(place=places(), image=WORD)
def test_popf_and_pushf_are_inverse(place: Place, image: int) -> None:
    """What POPF has loaded is what PUSHF shows."""
    machine = stage(place)
    push_frame(machine, [image], 4)
    assert machine.execute("POPFD") != TROUBLED
    after = machine.eflags
    assert machine.execute("PUSHFD") != TROUBLED
    at = int(machine.cpu[state.BASE + SS]) + machine.esp
    assert machine.peek(at) == after & ~(VM | RF)


@given(cpl=st.integers(0, 3), flags=WORD, image=WORD, size=st.sampled_from((2, 4)))
def test_iret_within_a_level_loads_what_popf_does_and_more(
    cpl: int, flags: int, image: int, size: int
) -> None:
    """IRETD loads RF as well, and at CPL 0 VIF and VIP; VM only at CPL 0 (not drawn here)."""
    place = Place("protected", cpl, flags & ALL & ~(VM | NT) | 2)
    machine = stage(place)
    push_frame(machine, [0x1000, CODES[cpl] | cpl, image & ~VM], size)
    assert machine.execute("IRETD" if size == 4 else "IRET") != TROUBLED
    loaded = loaded_by_popf(place, size)
    if size == 4:
        loaded |= RF | (VIF | VIP if cpl == 0 else 0)
    assert machine.eflags == place.flags & ~(loaded | RF) | image & loaded
    assert machine.esp == STACKS[cpl]
