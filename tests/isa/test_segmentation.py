"""Segment checks and loads of segment registers, against the SDM's pseudo-code written again."""

from dataclasses import dataclass
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa import segmentation, state, vectors
from isa import workspace as w
from isa.registers import ATTR_UNUSABLE, CS, DS, ES, FS, GS, LDTR, SS, TR
from tests.isa.protected_machine import (
    CODE_RX,
    CODE_RX_CONFORMING,
    CODE_X,
    DATA_RO,
    DATA_RO_DOWN,
    DATA_RW,
    DATA_RW_DOWN,
    FREE,
    GDT,
    INT32,
    LDT,
    LDT_TYPE,
    RAM_BYTES,
    TASK,
    TSS16,
    TSS16_BUSY,
    TSS32,
    TSS32_BUSY,
    ProtectedMachine,
    descriptor,
)

M32 = 0xFFFFFFFF
LEVEL = st.integers(0, 3)
DATA_SEGMENTS = (ES, SS, DS, FS, GS)


def load(machine: ProtectedMachine, segment: int, selector: int) -> int:
    return int(segmentation.load_data_segment(*machine.arrays, segment, selector))


def address(machine: ProtectedMachine, segment: int, offset: int, size: int, write: int) -> int:
    cpu, core, _, _ = machine.arrays
    core[w.TROUBLE] = 0
    return int(segmentation.linear_address(cpu, core, segment, offset, size, write))


# --- loads of data segment registers ---------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One attempt to load a segment register."""

    segment: int
    cpl: int
    rpl: int
    dpl: int
    kind: int  # S and type
    present: int
    local: int
    inside: bool


CASES = st.builds(
    Case,
    segment=st.sampled_from(DATA_SEGMENTS),
    cpl=LEVEL,
    rpl=LEVEL,
    dpl=LEVEL,
    kind=st.integers(0, 31).map(lambda kind: kind & ~1 if kind & 16 else kind),
    present=st.integers(0, 1),
    local=st.sampled_from((0, 4)),
    inside=st.sampled_from((True, True, True, False)),
)


def expected_fault(case: Case) -> int | None:
    """SDM vol. 2, "MOV", Operation: the vector, or None if the load succeeds."""
    if not case.inside:
        return vectors.GP
    is_segment = case.kind & 16
    code, writable, conforming = case.kind & 8, case.kind & 2, case.kind & 4
    if case.segment == SS:
        writable_data = is_segment and not code and writable
        if case.rpl != case.cpl or not writable_data or case.dpl != case.cpl:
            return vectors.GP
        return None if case.present else vectors.SS
    if not is_segment or (code and not writable):  # the bit means "readable" for code
        return vectors.GP
    if (not code or not conforming) and (case.rpl > case.dpl or case.cpl > case.dpl):
        return vectors.GP
    return None if case.present else vectors.NP


@given(CASES)
def test_loads_follow_the_pseudo_code(case: Case) -> None:
    check_load(case)


@pytest.mark.parametrize("kind", [*range(16), *range(16, 32, 2)])
def test_every_load(kind: int) -> None:
    """Every type at every combination of privilege levels, into the stack segment and another."""
    for segment, cpl, rpl, dpl, present in product((SS, FS), *[range(4)] * 3, (0, 1)):
        check_load(Case(segment, cpl, rpl, dpl, kind, present, local=0, inside=True))


def check_load(case: Case) -> None:
    machine = ProtectedMachine()
    machine.use_ldt()
    machine.set_level(case.cpl)
    index = FREE if case.inside else 0x200
    selector = index | case.local | case.rpl
    words = descriptor(0x12345678, 0x54321, case.kind, case.dpl, present=case.present, accessed=0)
    machine.describe(selector, words)
    vector = expected_fault(case)
    if vector is None:
        assert load(machine, case.segment, selector) == 0
        assert machine.selector(case.segment) == selector
        assert machine.cpu[state.BASE + case.segment] == 0x12345678
        assert machine.cpu[state.LIMIT + case.segment] == 0x54321FFF
        rights = 0xC001 | case.present << 7 | case.dpl << 5 | case.kind
        assert machine.cpu[state.ATTRIBUTES + case.segment] == rights
        assert machine.descriptor_type(selector) == case.kind | 1
    else:
        with machine.unchanged():
            assert load(machine, case.segment, selector) == -1
        assert machine.trouble == (vector, selector & 0xFFFC)


@pytest.mark.parametrize("segment", DATA_SEGMENTS)
@pytest.mark.parametrize("selector", [0, 1, 2, 3])
def test_a_null_selector_is_legal_but_for_the_stack(segment: int, selector: int) -> None:
    machine = ProtectedMachine()
    if segment == SS:
        with machine.unchanged():
            assert load(machine, segment, selector) == -1
        assert machine.trouble == (vectors.GP, 0)
    else:
        assert load(machine, segment, selector) == 0
        assert machine.selector(segment) == selector
        assert address(machine, segment, 0, 1, 0) == -1
        assert machine.trouble == (vectors.GP, 0)


def test_a_selector_of_an_absent_ldt_is_outside_its_table() -> None:
    machine = ProtectedMachine()
    machine.describe(FREE | 4, descriptor())
    assert load(machine, DS, FREE | 4) == -1
    assert machine.trouble == (vectors.GP, FREE | 4)


@pytest.mark.parametrize(("limit", "fits"), [(FREE + 7, True), (FREE + 6, False)])
def test_the_last_byte_of_a_descriptor_must_be_inside_the_table(limit: int, fits: bool) -> None:
    machine = ProtectedMachine()
    machine.describe(FREE, descriptor())
    machine.cpu[state.GDTR_LIMIT] = limit
    assert load(machine, DS, FREE) == (0 if fits else -1)


def test_descriptors_are_read_as_supervisor_and_a_missing_page_faults() -> None:
    machine = ProtectedMachine()
    machine.enable_paging()
    machine.map_page(GDT, 3)
    machine.set_level(3)
    machine.describe(FREE, descriptor(dpl=3))
    assert load(machine, ES, FREE | 3) == 0
    machine.map_page(GDT, 2)
    with machine.unchanged():
        assert load(machine, ES, FREE | 3) == -1
    assert machine.trouble == (vectors.PF, 0)
    assert machine.cpu[state.CR2] == GDT + FREE


def test_the_accessed_bit_is_written_as_supervisor() -> None:
    machine = ProtectedMachine()
    machine.enable_paging()  # with CR0.WP
    machine.describe(FREE, descriptor(accessed=0))
    machine.map_page(GDT, 1)
    with machine.unchanged():
        assert load(machine, ES, FREE) == -1
    assert machine.trouble == (vectors.PF, vectors.PF_PRESENT | vectors.PF_WRITE)
    machine.describe(FREE, descriptor(accessed=1))
    assert load(machine, ES, FREE) == 0


def test_a_table_outside_memory_reads_as_all_ones() -> None:
    machine = ProtectedMachine()
    machine.cpu[state.GDTR_BASE] = RAM_BYTES - 4
    low, high = segmentation.read_pair(*machine.arrays, RAM_BYTES)
    assert (low, high) == (M32, M32)
    machine.poke(RAM_BYTES - 4, 0x11223344)
    assert segmentation.read_table(*machine.arrays, RAM_BYTES - 4, 4) == 0x11223344
    low, high = segmentation.read_pair(*machine.arrays, RAM_BYTES - 4)
    assert (low, high) == (0x11223344, M32)
    assert segmentation.read_table(*machine.arrays, RAM_BYTES - 2, 4) == 0xFFFF1122


def test_a_descriptor_may_cross_a_page() -> None:
    machine = ProtectedMachine()
    machine.poke(0x6FFC, 0)
    machine.poke(0x7000, 0x11223344)
    assert segmentation.read_pair(*machine.arrays, 0x6FFC) == (0, 0x11223344)
    assert segmentation.read_table(*machine.arrays, 0x6FFE, 4) == 0x33440000


def test_loads_in_real_mode_keep_limit_and_attributes() -> None:
    machine = ProtectedMachine()
    machine.enter_real_mode()
    machine.cpu[state.LIMIT + DS] = M32
    machine.cpu[state.ATTRIBUTES + DS] = 0x93 | ATTR_UNUSABLE
    assert load(machine, DS, 0xFFFF) == 0
    assert machine.cpu[state.BASE + DS] == 0xFFFF0
    assert machine.cpu[state.LIMIT + DS] == M32
    assert machine.cpu[state.ATTRIBUTES + DS] == 0x93


def test_loads_in_virtual_8086_mode_make_a_64_kib_segment() -> None:
    machine = ProtectedMachine()
    machine.enter_v86()
    machine.cpu[state.LIMIT + ES] = 7
    assert load(machine, ES, 3) == 0
    assert machine.cpu[state.BASE + ES] == 0x30
    assert machine.cpu[state.LIMIT + ES] == 0xFFFF
    assert machine.cpu[state.ATTRIBUTES + ES] == 0xF3


def test_a_load_is_charged_and_refreshes_what_decoding_depends_on() -> None:
    machine = ProtectedMachine()
    machine.core[w.COST + w.EVENT_SEGMENT_LOAD] = 17
    machine.describe(FREE, descriptor(base=0x1000))
    flat = machine.core[w.MODE]
    assert load(machine, ES, FREE) == 0
    assert machine.core[w.MODE] != flat
    assert machine.cpu[state.CYCLES] == 17
    assert machine.core[w.COUNT + w.EVENT_SEGMENT_LOAD] == 1


# --- accesses --------------------------------------------------------------------------------


@given(
    kind=st.sampled_from((DATA_RO, DATA_RW, DATA_RO_DOWN, DATA_RW_DOWN, CODE_RX, CODE_X)),
    big=st.integers(0, 1),
    pages=st.integers(0, 1),
    raw_limit=st.one_of(st.integers(0, 0xFFFFF), st.sampled_from((0, 0xFFFE, 0xFFFF, 0xFFFFF))),
    offset=st.one_of(st.integers(0, M32), st.sampled_from((0, 0xFFFC, 0xFFFE, M32, M32 - 3))),
    near=st.integers(-6, 6),
    size=st.sampled_from((1, 2, 4, 6, 8)),
)
def test_limits_hold_for_every_byte(
    kind: int, big: int, pages: int, raw_limit: int, offset: int, near: int, size: int
) -> None:
    machine = ProtectedMachine()
    words = descriptor(0x1000, raw_limit, kind, big=big, pages=pages)
    machine.describe(FREE, words)
    machine.fill(ES, FREE)
    limit = raw_limit << 12 | 0xFFF if pages else raw_limit
    for first in (offset, max(0, limit + near) & M32):
        if kind in (DATA_RO_DOWN, DATA_RW_DOWN):
            allowed = range(limit + 1, (0xFFFFFFFF if big else 0xFFFF) + 1)
        else:
            allowed = range(limit + 1)
        inside = first in allowed and first + size - 1 in allowed
        readable = kind != CODE_X
        if inside and readable:
            assert address(machine, ES, first, size, 0) == (0x1000 + first) & M32
        else:
            assert address(machine, ES, first, size, 0) == -1
            assert machine.trouble == (vectors.GP, 0)


@pytest.mark.parametrize(("big", "top"), [(0, 0xFFFF), (1, M32)])
def test_an_expand_down_segment_ends_where_its_offsets_do(big: int, top: int) -> None:
    machine = ProtectedMachine()
    machine.describe(FREE, descriptor(0, 0xFFF, DATA_RW_DOWN, big=big, pages=0))
    machine.fill(ES, FREE)
    assert address(machine, ES, top, 1, 1) == top
    assert address(machine, ES, top, 2, 1) == -1
    assert address(machine, ES, 0x1000, 4, 1) == 0x1000
    assert address(machine, ES, 0xFFF, 4, 1) == -1


@pytest.mark.parametrize("kind", range(16, 32))
def test_types_decide_reads_and_writes(kind: int) -> None:
    machine = ProtectedMachine()
    machine.cpu[state.ATTRIBUTES + FS] = 0xC080 | kind
    machine.cpu[state.LIMIT + FS] = 0xFFF
    offset = 0x1000 if kind & 0xC == 4 else 0
    readable = not kind & 8 or kind & 2
    writable = not kind & 8 and kind & 2
    assert (address(machine, FS, offset, 4, 0) >= 0) == bool(readable)
    assert (address(machine, FS, offset, 4, 1) >= 0) == bool(writable)


def test_the_stack_segment_has_a_fault_of_its_own() -> None:
    machine = ProtectedMachine()
    machine.cpu[state.LIMIT + SS] = 0xFFF
    assert address(machine, SS, 0xFFD, 4, 1) == -1
    assert machine.trouble == (vectors.SS, 0)
    assert address(machine, SS, 0xFFC, 4, 1) == 0xFFC


def test_real_mode_has_limits_but_no_types() -> None:
    machine = ProtectedMachine()
    machine.enter_real_mode()
    machine.cpu[state.ATTRIBUTES + CS] = 0x9B
    assert address(machine, CS, 0xFFFE, 2, 1) == 0xFFFE
    assert address(machine, CS, 0xFFFF, 2, 1) == -1
    assert machine.trouble == (vectors.GP, 0)


# --- LDTR and TR -----------------------------------------------------------------------------


@given(kind=st.integers(0, 31), present=st.integers(0, 1), local=st.sampled_from((0, 4)))
def test_ldtr_takes_present_ldts_of_the_gdt(kind: int, present: int, local: int) -> None:
    machine = ProtectedMachine()
    machine.use_ldt()
    selector = FREE | local
    words = descriptor(LDT, 0x1F, kind, present=present, big=0, pages=0, accessed=0)
    machine.describe(selector, words)
    result = segmentation.load_ldtr(*machine.arrays, selector)
    if local or kind != LDT_TYPE:
        assert (result, machine.trouble) == (-1, (vectors.GP, selector))
    elif not present:
        assert (result, machine.trouble) == (-1, (vectors.NP, selector))
    else:
        assert result == 0
        assert machine.selector(LDTR) == selector
        assert machine.cpu[state.BASE + LDTR] == LDT
        assert machine.cpu[state.LIMIT + LDTR] == 0x1F
        assert machine.descriptor_type(selector) == LDT_TYPE


def test_a_null_ldtr_leaves_no_ldt() -> None:
    machine = ProtectedMachine()
    machine.use_ldt()
    machine.describe(FREE | 4, descriptor())
    assert load(machine, DS, FREE | 4) == 0
    assert segmentation.load_ldtr(*machine.arrays, 0) == 0
    assert load(machine, ES, FREE | 4) == -1


@given(kind=st.integers(0, 31), present=st.integers(0, 1), local=st.sampled_from((0, 4)))
def test_tr_takes_available_tsss_and_makes_them_busy(kind: int, present: int, local: int) -> None:
    machine = ProtectedMachine()
    machine.use_ldt()
    selector = FREE | local
    words = descriptor(0x5000, 0x67, kind, present=present, big=0, pages=0, accessed=0)
    machine.describe(selector, words)
    result = segmentation.load_tr(*machine.arrays, selector)
    if local or kind not in (TSS16, TSS32):
        assert (result, machine.trouble) == (-1, (vectors.GP, selector))
    elif not present:
        assert (result, machine.trouble) == (-1, (vectors.NP, selector))
    else:
        assert result == 0
        assert machine.cpu[state.BASE + TR] == 0x5000
        busy = TSS32_BUSY if kind == TSS32 else TSS16_BUSY
        assert machine.descriptor_type(selector) == busy
        assert machine.cpu[state.ATTRIBUTES + TR] == 0x80 | busy


def test_a_null_tr_is_a_fault() -> None:
    machine = ProtectedMachine()
    with machine.unchanged():
        assert segmentation.load_tr(*machine.arrays, 3) == -1
    assert machine.trouble == (vectors.GP, 0)


def test_the_busy_bit_needs_a_writable_descriptor() -> None:
    machine = ProtectedMachine()
    machine.describe(FREE, descriptor(0x5000, 0x67, TSS32, big=0, pages=0, accessed=0))
    machine.enable_paging()
    machine.map_page(GDT, 1)
    with machine.unchanged():
        assert segmentation.load_tr(*machine.arrays, FREE) == -1
    assert machine.trouble == (vectors.PF, vectors.PF_PRESENT | vectors.PF_WRITE)


@pytest.mark.parametrize("kind", [INT32, TASK, TSS32_BUSY, LDT_TYPE])
def test_system_descriptors_are_no_data_segments(kind: int) -> None:
    machine = ProtectedMachine()
    machine.describe(FREE, descriptor(kind=kind, dpl=3, accessed=0))
    assert load(machine, GS, FREE) == -1
    assert machine.trouble == (vectors.GP, FREE)


def test_a_conforming_segment_is_readable_from_every_level() -> None:
    machine = ProtectedMachine()
    machine.set_level(3)
    machine.describe(FREE, descriptor(kind=CODE_RX_CONFORMING, dpl=0))
    assert load(machine, DS, FREE | 3) == 0
