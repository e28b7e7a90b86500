"""Pushes, pops and frames: widths, wrapping, limits, and nothing changed by a fault."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa import segmentation, stack, state, vectors
from isa import workspace as w
from isa.exits import Exit
from isa.registers import ATTR_DB, ESP, SS
from tests.isa.protected_machine import (
    DATA_RW,
    DATA_RW_DOWN,
    FREE,
    RAM_BYTES,
    ProtectedMachine,
    descriptor,
)

M32 = 0xFFFFFFFF


def machine_with_stack(
    esp: int, *, base: int = 0, limit: int = 0xFFFFF, big: int = 1, down: bool = False
) -> ProtectedMachine:
    machine = ProtectedMachine()
    kind = DATA_RW_DOWN if down else DATA_RW
    machine.describe(FREE, descriptor(base, limit, kind, big=big, pages=0))
    machine.fill(SS, FREE)
    machine.cpu[state.GPR + ESP] = esp
    return machine


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("big", [0, 1])
def test_push_and_pop_are_inverse(size: int, big: int) -> None:
    machine = machine_with_stack(0xABC8000 if not big else 0x8000, base=0x10000, big=big)
    esp = machine.esp
    assert stack.push(*machine.arrays, 0x89ABCDEF, size) == 0
    assert machine.esp == esp - size
    assert machine.peek(0x18000 - size, size) == 0x89ABCDEF & (1 << 8 * size) - 1
    assert stack.peek(*machine.arrays, 0, size) == 0x89ABCDEF & (1 << 8 * size) - 1
    stack.discard(machine.cpu, size)
    assert machine.esp == esp


def test_a_16_bit_stack_wraps_and_leaves_the_high_half_alone() -> None:
    machine = machine_with_stack(0x12340000, base=0x10000, big=0)
    assert stack.push(*machine.arrays, 0x55AA, 2) == 0
    assert machine.esp == 0x1234FFFE
    assert machine.peek(0x1FFFE, 2) == 0x55AA


@pytest.mark.parametrize(
    ("esp", "limit", "down", "fits"),
    [
        (0x1000, 0xFFF, False, True),
        (0x1002, 0xFFF, False, False),
        (0x2, 0xFFFFF, False, False),  # wraps to the top of the offsets
        (0x1005, 0x1000, True, True),
        (0x1004, 0x1000, True, False),
    ],
)
def test_the_limit_is_checked(esp: int, limit: int, down: bool, fits: bool) -> None:
    machine = machine_with_stack(esp, limit=limit, down=down)
    if fits:
        assert stack.push(*machine.arrays, 1, 4) == 0
        assert machine.esp == esp - 4
    else:
        with machine.unchanged():
            assert stack.push(*machine.arrays, 1, 4) == -1
        assert machine.trouble == (vectors.SS, 0)


def test_a_push_to_a_read_only_page_changes_nothing() -> None:
    machine = ProtectedMachine()
    machine.enable_paging()
    machine.set_level(3)
    machine.map_page(machine.esp - 4, 5)
    with machine.unchanged():
        assert stack.push(*machine.arrays, 1, 4) == -1
    assert machine.trouble == (
        vectors.PF,
        vectors.PF_PRESENT | vectors.PF_WRITE | vectors.PF_USER,
    )


GEOMETRY = {
    "count": st.integers(1, 10),
    "size": st.sampled_from((2, 4)),
    "big": st.integers(0, 1),
    "down": st.booleans(),
    "limit": st.one_of(st.integers(0, 0x8000), st.sampled_from((0, 0xFFFF, 0xFFFFF))),
    "top": st.one_of(
        st.integers(0, 0xFFFFF), st.integers(0, 48), st.integers(0xFFE0, 0x10020), st.just(M32)
    ),
}


@given(**GEOMETRY)
def test_room_for_a_frame_is_room_for_each_word(
    count: int, size: int, big: int, down: bool, limit: int, top: int
) -> None:
    machine = machine_with_stack(top, limit=limit, big=big, down=down)
    attributes = int(machine.cpu[state.ATTRIBUTES + SS])
    mask = M32 if big else 0xFFFF
    each = all(
        segmentation.limit_allows(attributes, limit, offset, offset + size - 1)
        for offset in ((top - (slot + 1) * size) & mask for slot in range(count))
    )
    assert stack.room_for_frame(attributes, limit, top, count, size) == (1 if each else 0)


@given(
    count=st.integers(1, 10),
    size=st.sampled_from((2, 4)),
    big=st.integers(0, 1),
    base=st.sampled_from((0, 0x10000, 0x1FFE, 0x2FFA)),
    top=st.one_of(st.integers(0x100, 0xF000), st.integers(0x0FE0, 0x1040), st.integers(0, 48)),
    with_code=st.booleans(),
)
def test_a_frame_is_what_single_pushes_make(
    count: int, size: int, big: int, base: int, top: int, with_code: bool
) -> None:
    if big and top < count * size:
        top += 0x100  # a 32-bit stack would wrap to addresses without memory
    words = [0x10203040 + 0x01010101 * slot for slot in range(count)]
    framed = machine_with_stack(top, base=base, big=big)
    pushed = machine_with_stack(top, base=base, big=big)
    mask = M32 if big else 0xFFFF
    if with_code:
        byte = base + ((top - size) & mask)
        framed.marks[byte] = 1
        framed.marks[framed.core[w.RAM_BYTES] + (byte >> 12)] |= w.PAGE_HAS_CODE
    generation = framed.core[w.JUMP_BASE]
    for slot, word in enumerate(words):
        framed.core[w.FRAME + slot] = word
        assert stack.push(*pushed.arrays, word, size) == 0
    geometry = (base, mask, top, count, size, 0)
    place = stack.probe_frame(*framed.arrays, *geometry)
    assert place != -1
    stack.write_frame(*framed.arrays, place, *geometry)
    assert framed.ram.tobytes() == pushed.ram.tobytes()
    if with_code:
        assert framed.core[w.JUMP_BASE] != generation
    assert stack.read_frame(*pushed.arrays, count, size) == 0
    read = [int(word) for word in pushed.core[w.FRAME : w.FRAME + count]]
    assert read == [word & (1 << 8 * size) - 1 for word in reversed(words)]


@given(**GEOMETRY)
def test_reading_a_frame_checks_every_word(
    count: int, size: int, big: int, down: bool, limit: int, top: int
) -> None:
    machine = machine_with_stack(top, limit=limit, big=big, down=down)
    attributes = int(machine.cpu[state.ATTRIBUTES + SS])
    mask = M32 if big else 0xFFFF
    offsets = [(top + slot * size) & mask for slot in range(count)]
    each = all(
        segmentation.limit_allows(attributes, limit, offset, offset + size - 1)
        for offset in offsets
    )
    if all(offset + size <= len(machine.ram) - 64 for offset in offsets) or not each:
        result = stack.read_frame(*machine.arrays, count, size)
        assert result == (0 if each else -1)
        assert each or machine.trouble == (vectors.SS, 0)


def test_a_frame_across_a_missing_page_is_found_before_it_is_written() -> None:
    machine = ProtectedMachine()
    machine.enable_paging()
    machine.map_page(0x17000, 2)
    with machine.unchanged():
        assert stack.probe_frame(*machine.arrays, 0, M32, 0x18008, 5, 4, 0) == -1
    assert machine.trouble == (vectors.PF, vectors.PF_WRITE)
    assert machine.cpu[state.CR2] == 0x18008 - 20


def test_code_on_the_stack_is_invalidated() -> None:
    machine = ProtectedMachine()
    machine.marks[0x17FFC] = 1
    machine.marks[machine.core[w.RAM_BYTES] + 0x17] |= w.PAGE_HAS_CODE
    generation = int(machine.core[w.PAGE_GENERATION + 0x17])
    assert stack.push(*machine.arrays, 0, 4) == 0
    assert machine.core[w.PAGE_GENERATION + 0x17] == generation + 1
    assert machine.core[w.RESYNC] == 1


def test_the_pointer_width_follows_the_stack_segment() -> None:
    machine = ProtectedMachine()
    machine.cpu[state.GPR + ESP] = 0x12345678
    assert stack.stack_pointer(machine.cpu) == 0x12345678
    machine.cpu[state.ATTRIBUTES + SS] &= ~ATTR_DB
    assert stack.stack_pointer(machine.cpu) == 0x5678
    stack.set_stack_pointer(machine.cpu, 0x1FFFF)
    assert machine.esp == 0x1234FFFF


def test_a_frame_at_the_end_of_memory_asks_the_devices_beyond_it() -> None:
    machine = ProtectedMachine()
    machine.cpu[state.GPR + ESP] = RAM_BYTES - 4
    assert stack.read_frame(*machine.arrays, 3, 4) == -1
    assert machine.exit is not None
    assert machine.exit[:3] == (Exit.MEMORY_READ, RAM_BYTES, 4)
    geometry = (0, M32, RAM_BYTES + 8, 3, 4, 0)
    machine.core[w.FRAME : w.FRAME + 3] = 0xA, 0xB, 0xC
    assert stack.probe_frame(*machine.arrays, *geometry) == stack.SCATTERED
    stack.write_frame(*machine.arrays, stack.SCATTERED, *geometry)
    assert machine.peek(RAM_BYTES - 4) == 0xC
    assert machine.core[w.POSTED_COUNT] == 2
    posted = machine.core[w.POSTED : w.POSTED + 6].tolist()
    assert posted == [RAM_BYTES + 4, 4, 0xA, RAM_BYTES, 4, 0xB]


@pytest.mark.parametrize("missing", [0x17000, 0x18000])
def test_both_pages_of_a_frame_are_probed(missing: int) -> None:
    machine = ProtectedMachine()
    machine.enable_paging()
    machine.map_page(missing, 1)
    assert stack.probe_frame(*machine.arrays, 0, M32, 0x18010, 9, 4, 0) == -1
    assert machine.cpu[state.CR2] >> 12 == missing >> 12


def test_a_wrapping_frame_is_probed_word_by_word() -> None:
    machine = ProtectedMachine()
    machine.enable_paging()
    machine.map_page(0xF000, 1)
    assert stack.probe_frame(*machine.arrays, 0, 0xFFFF, 4, 1, 4, 0) == 0
    assert stack.probe_frame(*machine.arrays, 0, 0xFFFF, 4, 2, 4, 0) == -1
    assert machine.cpu[state.CR2] == 0xFFFC
