"""All instructions that load a segment register follow one rule, and those that show it, too.

MOV, POP and LDS LES LFS LGS LSS differ in where the selector comes from, and in nothing else: the
judgement is the manual's pseudo-code of MOV, over descriptors of both tables. What was loaded can
be seen by PUSH and MOV, RPL included, at every level: no program is lied to about its CPL.

Source: SDM vol. 2, the Operation sections of "MOV", "POP" and "LDS/LES/LFS/LGS/LSS"; vol. 3A,
"Segment Selectors".
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa import state, vectors
from isa.records import TROUBLED
from isa.registers import ATTR_UNUSABLE, CS, DS, EBX, EDX, ES, FS, GS, LDTR, SS
from tests.isa.protected_machine import (
    DATA_RW,
    FREE,
    LDT_TYPE,
    TSS32,
    ProtectedMachine,
    descriptor,
)
from tests.isa.transfer_scenes import LEVEL, mostly, push_frame

NAMES = {ES: "ES", CS: "CS", SS: "SS", DS: "DS", FS: "FS", GS: "GS"}
POINTER = 0x30000
WAYS = ("MOV", "POP o16", "POP o32", "far pointer 16", "far pointer 32")


@dataclass(frozen=True)
class Load:
    """A selector and what it leads to."""

    way: str
    segment: int
    cpl: int
    rpl: int
    dpl: int
    kind: int
    present: int
    local: bool
    place: str  # "null", "outside" or "fine"

    @property
    def selector(self) -> int:
        if self.place == "null":
            return self.rpl
        return (0xF8 if self.place == "outside" else FREE) | (4 if self.local else 0) | self.rpl


@st.composite
def loads(draw: st.DrawFn) -> Load:
    cpl = draw(LEVEL)
    return Load(
        way=draw(st.sampled_from(WAYS)),
        segment=draw(st.sampled_from((SS, DS, ES, FS, GS))),
        cpl=cpl,
        rpl=draw(mostly(cpl, 0, 1, 2, 3)),
        dpl=draw(mostly(cpl, 0, 1, 2, 3)),
        kind=draw(mostly(0x12, *range(0, 16), *range(16, 32, 2))),
        present=draw(mostly(1, 0)),
        local=draw(st.booleans()),
        place=draw(mostly("fine", "null", "outside")),
    )


def expected(load: Load) -> tuple[int, int] | None:
    """Vector and error code, or None for a load that succeeds."""
    selector = load.selector & 0xFFFC
    if load.place == "null":
        return (vectors.GP, 0) if load.segment == SS else None
    refused = vectors.GP, selector
    if load.place == "outside" or not load.kind & 0x10:
        return refused
    code, readable, conforming = load.kind & 8, load.kind & 2, load.kind & 4
    if load.segment == SS:
        if load.rpl != load.cpl or load.dpl != load.cpl or code or not readable:
            return refused
        return None if load.present else (vectors.SS, selector)
    if code and not readable:
        return refused
    if not (code and conforming) and load.dpl < max(load.cpl, load.rpl):
        return refused
    return None if load.present else (vectors.NP, selector)


def stage(load: Load) -> ProtectedMachine:
    machine = ProtectedMachine()
    machine.cpu[state.GDTR_LIMIT] = 0xF7
    machine.use_ldt(limit=0xF7)
    machine.set_level(load.cpl)
    words = descriptor(0, 0xFFFFF, load.kind, load.dpl, present=load.present, accessed=0)
    machine.describe(load.selector, words)
    return machine


def execute(machine: ProtectedMachine, load: Load) -> int:
    name = NAMES[load.segment]
    if load.way == "MOV":
        return machine.execute("MOV_Sreg_rm16", a=load.segment, b=EBX)
    if load.way.startswith("POP"):
        return machine.execute(f"POP_{name}_{load.way[4:]}")
    bits = load.way[-2:]
    return machine.execute(f"L{name}_r{bits}_m16_{bits}", a=EDX, memory=POINTER)


@settings(max_examples=300)
@given(loads(), st.integers(0, 0xFFFFFFFF))
def test_every_way_of_loading_follows_the_pseudo_code(load: Load, offset: int) -> None:
    check_load(load, offset)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("segment", [SS, DS, ES, FS, GS], ids=lambda segment: NAMES[segment])
def test_every_level_in_every_way(way: str, segment: int) -> None:
    for cpl, rpl, dpl, present in product(range(4), range(4), range(4), (0, 1)):
        check_load(Load(way, segment, cpl, rpl, dpl, 0x12, present, False, "fine"), 0x12345678)


def check_load(load: Load, offset: int) -> None:
    machine = stage(load)
    machine.cpu[state.GPR + EBX] = load.selector
    machine.cpu[state.GPR + EDX] = ~offset & 0xFFFFFFFF
    if load.way.startswith("POP"):
        push_frame(machine, [load.selector], 2 if load.way.endswith("16") else 4)
    size = 2 if load.way.endswith("16") else 4
    machine.poke(POINTER, offset, size)
    machine.poke(POINTER + size, load.selector, 2)
    fault = expected(load)
    if fault is not None:
        with machine.unchanged():
            assert execute(machine, load) == TROUBLED
        assert machine.trouble == fault
        return
    assert execute(machine, load) != TROUBLED
    assert machine.selector(load.segment) == load.selector
    unusable = bool(machine.cpu[state.ATTRIBUTES + load.segment] & ATTR_UNUSABLE)
    assert unusable == (load.place == "null")
    if load.place == "fine":
        assert machine.descriptor_type(load.selector) == load.kind | 1
    if load.way.startswith("far"):
        mask = (1 << 8 * size) - 1
        assert int(machine.cpu[state.GPR + EDX]) == ~offset & 0xFFFFFFFF & ~mask | offset & mask


@pytest.mark.parametrize("segment", NAMES, ids=NAMES.get)
@pytest.mark.parametrize("size", [2, 4])
@given(cpl=LEVEL, index=st.integers(0, 0x1FFF))
def test_mov_shows_a_segment_register_whole(segment: int, size: int, cpl: int, index: int) -> None:
    machine = ProtectedMachine()
    machine.set_level(cpl)
    selector = index << 3 | cpl
    machine.cpu[state.SELECTOR + segment] = selector
    machine.cpu[state.GPR + EBX] = 0x55555555
    form = "MOV_r32m16_Sreg" if size == 4 else "MOV_rm16_Sreg"
    assert machine.execute(form, a=segment, b=EBX) != TROUBLED
    shown = selector if size == 4 else 0x55550000 | selector
    assert machine.cpu[state.GPR + EBX] == shown


@pytest.mark.parametrize("segment", NAMES, ids=NAMES.get)
@pytest.mark.parametrize("size", [2, 4])
@given(cpl=LEVEL, index=st.integers(0, 0x1FFF))
def test_push_shows_a_segment_register_whole(segment: int, size: int, cpl: int, index: int) -> None:
    machine = ProtectedMachine()
    machine.set_level(cpl)
    selector = index << 3 | cpl
    machine.cpu[state.SELECTOR + segment] = selector
    esp = machine.esp
    assert machine.execute(f"PUSH_{NAMES[segment]}_o{8 * size}") != TROUBLED
    assert machine.esp == esp - size
    assert machine.peek(machine.esp, 2) == selector


@given(cpl=LEVEL, limit=st.integers(0, 0xFF), selector=st.integers(0, 31).map(lambda n: n * 8))
def test_a_table_ends_with_its_limit(cpl: int, limit: int, selector: int) -> None:
    """The last byte of a descriptor lies within the LDT, or the selector leads nowhere."""
    machine = ProtectedMachine()
    machine.use_ldt(limit)
    machine.set_level(cpl)
    machine.describe(selector | 4, descriptor(dpl=3))
    machine.cpu[state.GPR + EBX] = selector | 4 | cpl
    inside = selector + 7 <= limit
    status = machine.execute("MOV_Sreg_rm16", a=GS, b=EBX)
    assert (status == TROUBLED) == (not inside)
    assert machine.trouble == (None if inside else (vectors.GP, selector | 4))
    machine.cpu[state.ATTRIBUTES + LDTR] |= ATTR_UNUSABLE
    assert machine.execute("MOV_Sreg_rm16", a=FS, b=EBX) == TROUBLED


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("LLDT_rm16", LDT_TYPE),
        ("LTR_rm16", TSS32),
        ("MOV_Sreg_rm16", DATA_RW),
        ("LAR_r32_r32m16", DATA_RW),
        ("LSL_r32_r32m16", DATA_RW),
        ("VERR_rm16", DATA_RW),
        ("VERW_rm16", DATA_RW),
    ],
)
@pytest.mark.parametrize("rpl", range(4))
def test_the_first_entry_of_the_gdt_is_never_used(name: str, kind: int, rpl: int) -> None:
    """A null selector is null, even if the first descriptor would do."""
    machine = ProtectedMachine()
    machine.use_ldt()
    machine.describe(0, descriptor(0x5000, 0x67, kind, 3, big=0, pages=0))
    machine.cpu[state.GPR + EBX] = rpl
    machine.eflags = 2 | 1 << 6
    status = machine.execute(name, a=ES, b=EBX)
    if name == "LTR_rm16":
        assert machine.trouble == (vectors.GP, 0)
    elif name in ("LLDT_rm16", "MOV_Sreg_rm16"):
        assert status != TROUBLED
        register = LDTR if name == "LLDT_rm16" else ES
        assert machine.cpu[state.ATTRIBUTES + register] & ATTR_UNUSABLE
    else:
        assert machine.eflags == 2
    assert machine.descriptor_type(0) in (kind, kind | 1)
