"""The monitor's page walk against the machine's: same address or fault, same bits in the tables."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor.addresses import Gpa, Gva
from hypervisor.faults import GuestFault
from hypervisor.guest_memory import GuestMemory
from hypervisor.guest_paging import PagingState, peek, walk
from isa import page_walk, state
from isa import workspace as w
from isa.devices.bus import Bus
from isa.registers import (
    CR0_PE,
    CR0_PG,
    CR0_WP,
    CR4_PAE,
    CR4_PSE,
    PTE_A,
    PTE_D,
    PTE_P,
    PTE_PS,
    PTE_U,
    PTE_W,
)

RAM_BYTES = 1 << 20
FRAMES = RAM_BYTES // 4096
DIRECTORY = 0x8000


class Tables:
    """Random paging structures, and two independent walkers over copies of the same memory."""

    def __init__(self, seed: int) -> None:
        chosen = random.Random(seed)
        self.ram = np.zeros(RAM_BYTES + w.FETCH_BUFFER_BYTES, np.uint8)
        words = self.ram[:RAM_BYTES].view(np.uint32)
        tables = [0x9000, 0xA000, DIRECTORY]
        for index in range(8):
            target = chosen.choice([*tables, chosen.randrange(512) << 12, 0xC0000000])
            words[DIRECTORY // 4 + index] = target | self._bits(chosen)
        for table in tables[:2]:
            for index in range(8):
                words[table // 4 + index] = chosen.randrange(512) << 12 | self._bits(chosen)

    @staticmethod
    def _bits(chosen: random.Random) -> int:
        bits = PTE_P if chosen.random() < 0.9 else 0
        for bit in (PTE_W, PTE_U, PTE_A, PTE_D):
            bits |= bit if chosen.random() < 0.5 else 0
        return bits | (PTE_PS if chosen.random() < 0.2 else 0)


def machine_walk(
    ram: np.ndarray, control: PagingState, gva: int, write: bool, user: bool
) -> tuple[str, int]:
    """The machine's own walk: an address, or the error code of a fault."""
    cpu = state.new_state()
    cpu[state.CR0], cpu[state.CR3], cpu[state.CR4] = control[:3]
    core = w.new_workspace(RAM_BYTES)
    marks = np.zeros(RAM_BYTES + FRAMES, np.uint8)
    found = page_walk.walk(cpu, core, ram, marks, gva, int(write), int(user))
    if found < 0:
        assert cpu[state.CR2] == gva
        return "fault", int(core[w.FAULT_ERROR])
    return "address", int(found & 0xFFFFF000 | gva & 0xFFF)


def monitor_walk(
    ram: np.ndarray, control: PagingState, gva: int, write: bool, user: bool
) -> tuple[str, int]:
    """The monitor's walk, on guest memory that is scattered over its frames."""
    memory = guest_memory(ram)
    try:
        found = walk(memory, control, Gva(gva), write=write, user=user)
    except GuestFault as fault:
        return "fault", fault.error if fault.address == gva and fault.error is not None else -1
    return "address", found.gpa


def guest_memory(ram: np.ndarray) -> GuestMemory:
    """Guest memory that lies in `ram` as it is."""
    view = memoryview(ram.data)

    def store(hpa: int, data: bytes) -> None:
        view[hpa : hpa + len(data)] = data

    return GuestMemory(view, store, range(FRAMES), Bus())


@given(
    seed=st.integers(0, 2**32),
    cr0=st.sampled_from([0, CR0_PG, CR0_PG | CR0_WP]),
    cr4=st.sampled_from([0, CR4_PSE]),
    cr3=st.sampled_from([DIRECTORY, DIRECTORY | 0x18, 0x9000, 0xC0000000]),
    page=st.tuples(st.integers(0, 7), st.integers(0, 7)),
    offset=st.integers(0, 4095),
    write=st.booleans(),
    user=st.booleans(),
)
def test_monitor_and_machine_walk_alike(seed, cr0, cr4, cr3, page, offset, write, user):
    control = PagingState(cr0 | CR0_PE, cr3, cr4)
    gva = page[0] << 22 | page[1] << 12 | offset
    ours, theirs = Tables(seed).ram, Tables(seed).ram
    assert monitor_walk(ours, control, gva, write, user) == machine_walk(
        theirs, control, gva, write, user
    )
    assert np.array_equal(ours, theirs), "accessed and dirty bits differ"


@given(seed=st.integers(0, 2**32), page=st.tuples(st.integers(0, 7), st.integers(0, 7)))
def test_peeking_leaves_no_trace(seed, page):
    ram = Tables(seed).ram
    before = ram.copy()
    gva = Gva(page[0] << 22 | page[1] << 12)
    control = PagingState(CR0_PE | CR0_PG, DIRECTORY, CR4_PSE)
    found = peek(guest_memory(ram), control, gva)
    assert np.array_equal(ram, before)
    kind, address = monitor_walk(ram, control, gva, write=False, user=False)
    assert (found is None) == (kind == "fault")
    assert found is None or found.gpa == address


def test_guest_memory_may_lie_anywhere_in_the_machine():
    ram = np.zeros(RAM_BYTES, np.uint8)
    view = memoryview(ram.data)

    def store(hpa: int, data: bytes) -> None:
        view[hpa : hpa + len(data)] = data

    memory = GuestMemory(view, store, [7, 3, 9], Bus())
    seen: list[tuple[int, int]] = []
    memory.on_write(lambda gpa, size: seen.append((gpa, size)))
    memory.write(Gpa(0x1FFC), 4, 0x11223344)
    assert ram[0x3FFC:0x4000].tolist() == [0x44, 0x33, 0x22, 0x11]
    assert seen == [(0x1FFC, 4)]
    memory.load(0xFFE, b"ABCD")
    assert (ram[0x7FFE:0x8000].tobytes(), ram[0x3000:0x3002].tobytes()) == (b"AB", b"CD")
    assert memory.read_bytes(0xFFE, 4) == b"ABCD"
    assert memory.frame_of(2) == 9
    assert memory.frame_of(3) is None


def test_outside_ram_nothing_answers():
    memory = guest_memory(np.zeros(RAM_BYTES, np.uint8))
    assert memory.read(Gpa(0xA0000000), 4) == 0xFFFFFFFF
    memory.write(Gpa(0xA0000000), 4, 5)
    assert memory.read_entry(Gpa(RAM_BYTES)) == 0xFFFFFFFF
    with pytest.raises(IndexError):
        memory.read_bytes(RAM_BYTES - 1, 2)
    with pytest.raises(IndexError):
        memory.load(RAM_BYTES - 1, b"12")


@given(seed=st.integers(0, 2**32), gva=st.integers(0, 2**32 - 1), a20=st.booleans())
@settings(max_examples=60)
def test_peeking_follows_pae_and_line_20(seed, gva, a20):
    """Against the machine's walk, where that finds no fault; rights do not matter to a listing."""
    chosen = random.Random(seed)
    ram = np.zeros(RAM_BYTES + w.FETCH_BUFFER_BYTES, np.uint8)
    words = ram[:RAM_BYTES].view(np.uint64)
    for table in (0x8000, 0x9000):
        words[table // 8 : table // 8 + 512] = [
            chosen.choice((0x8000, 0x9000, chosen.randrange(512) << 12))
            | (chosen.randrange(8) << 12 if chosen.random() < 0.2 else 0)
            | chosen.choice((PTE_P, PTE_P, PTE_P | PTE_PS, 0))
            for _ in range(512)
        ]
    pdptes = tuple(chosen.choice((0x8001, 0x9001, 0)) for _ in range(4))
    mask = state.A20_HIGH if a20 else state.A20_LOW
    control = PagingState(CR0_PE | CR0_PG, 0, CR4_PAE, pdptes, mask)
    cpu, core = state.new_state(), w.new_workspace(RAM_BYTES)
    cpu[state.CR0], cpu[state.CR4] = control.cr0, control.cr4
    cpu[state.PDPTE : state.PDPTE + 4], cpu[state.A20_MASK] = pdptes, mask
    machines = int(page_walk.probe(cpu, core, ram, gva, 0, 0))
    found = peek(guest_memory(ram), control, Gva(gva))
    if machines >= 0:
        assert found is not None
        assert found.gpa == machines & page_walk.FRAME | gva & 0xFFF
    elif -1 - machines == 0:
        assert found is None
