"""Shadow tables against the guest's: every translation the machine makes is one the guest allows.

A guest is played by a list of random actions: it edits its tables, changes its control registers,
touches memory. The machine's own walk over the shadow tables decides whether an access needs the
monitor; whatever it lets through must be what the guest's tables say at that moment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor.addresses import PAGE_SHIFT, Gpa, Gva
from hypervisor.faults import GuestFault
from hypervisor.frame_pool import FramePool, PoolExhausted
from hypervisor.guest_memory import GuestMemory
from hypervisor.guest_paging import PagingState, peek, walk
from hypervisor.shadow_paging import ShadowPaging
from isa import paging
from isa import workspace as w
from isa.devices.bus import Bus
from isa.processor import Processor
from isa.registers import CR0_PE, CR0_PG, CR0_WP, CR4_PSE, PTE_A, PTE_D, PTE_P, PTE_PS, PTE_U, PTE_W

GUEST_FRAMES = 64
FIRST_FRAME = 192  # of the guest, in the machine
RAM_BYTES = 256 * 4096
OPEN_BUS_FRAME = 1
MONITOR_ENTRY = (1023, 0x2023)
DIRECTORIES = (8, 9)
TABLES = (10, 11, 12)
# Linear addresses the guest uses: a few pages under a few directory entries.
ADDRESSES = [top << 22 | page << 12 | 0x123 for top in (0, 1, 5) for page in range(2)]


@dataclass
class Guest:
    """Memory, shadows and control registers of a guest that exists only here."""

    pool_frames: int = 60

    def __post_init__(self) -> None:
        self.processor = Processor(RAM_BYTES)
        self.words = self.processor.memory.view(np.uint32)
        frames = range(FIRST_FRAME, FIRST_FRAME + GUEST_FRAMES)
        view = memoryview(self.processor.memory.data)
        self.memory = GuestMemory(view, self.processor.write_physical, frames, Bus())
        self.pool = FramePool(self.words, range(16, 16 + self.pool_frames))
        self.shadow = ShadowPaging(
            self.words, self.memory, self.pool, MONITOR_ENTRY, OPEN_BUS_FRAME, self.flush
        )
        self.control = PagingState(CR0_PE, DIRECTORIES[0] << 12, 0)
        self.set_control(self.control)

    def flush(self, gva: Gva | None) -> None:
        """Have the machine forget translations."""
        if gva is None:
            self.processor.load_cr3(self.processor.cr3)
        else:
            self.processor.invlpg(gva)

    def set_control(self, control: PagingState) -> None:
        """Write control registers, as a monitor carries it out."""
        self.control = control
        self.processor.load_cr3(self.shadow.activate(control))
        self.processor.load_cr0(CR0_PE | CR0_PG | CR0_WP)

    def machine_translate(self, gva: int, write: bool, user: bool) -> int:
        """The machine's access through its TLB and the shadow tables; -1 if it faults."""
        cpu, core = self.processor.cpu, self.processor.core
        entry = paging.tlb_entry(
            cpu, core, self.processor.ram, self.processor.marks, gva, int(write), int(user)
        )
        return -1 if entry < 0 else int(core[entry + w.TLB_FRAME])

    def touch(self, gva: int, write: bool, user: bool) -> None:
        """One access: by the machine if it can, else by way of the monitor; always checked."""
        got = self.machine_translate(gva, write, user)
        if got < 0:
            self._page_fault(gva, write, user)
        else:
            self._check_promise(gva, got, write, user)

    def _check_promise(self, gva: int, got: int, write: bool, user: bool) -> None:
        """What the machine lets through must be mapped, allowed, marked and not traced."""
        found = peek(self.memory, self.control, Gva(gva))
        assert found is not None, "not mapped"
        self._check_frame(found.gpa, got)
        assert not (write and self.shadow.is_traced(found.gpa >> PAGE_SHIFT)), "unseen write"
        if not self.control.is_on:
            return
        rights = found.directory_entry & found.entry
        assert rights & PTE_A, "not marked as accessed"
        assert not user or rights & PTE_U, "not for users"
        if write:
            assert found.entry & PTE_D, "not marked as dirty"
            kernel = not user and not self.control.protects_kernel
            assert rights & PTE_W or kernel, "not to be written"

    def _page_fault(self, gva: int, write: bool, user: bool) -> None:
        try:
            found = walk(self.memory, self.control, Gva(gva), write=write, user=user)
        except GuestFault:
            assert self.machine_translate(gva, write, user) < 0
            return
        mapping = self.shadow.fill(self.control, Gva(gva), found, write=write, user=user)
        gfn = found.gpa >> PAGE_SHIFT
        is_open_bus = self.memory.frame_of(gfn) is None
        if write and (is_open_bus or self.shadow.is_traced(gfn)):
            assert self.machine_translate(gva, write, user) < 0, "a traced page is writable"
            self.shadow.open_window(mapping)
            self._check_frame(found.gpa, self.machine_translate(gva, write, user))
            self.shadow.close_window(mapping)
            assert self.machine_translate(gva, write, user) < 0, "the window stayed open"
            if not is_open_bus:
                self.shadow.written_by_guest(gfn)
        else:
            self._check_frame(found.gpa, self.machine_translate(gva, write, user))

    def _check_frame(self, gpa: int, got: int) -> None:
        frame = self.memory.frame_of(gpa >> PAGE_SHIFT)
        assert got == (OPEN_BUS_FRAME if frame is None else frame) << PAGE_SHIFT

    def edit(self, gfn: int, index: int, value: int) -> None:
        """The guest stores a page-table entry; the monitor sees it only if the page is traced."""
        place = (FIRST_FRAME + gfn) * 1024 + index
        self.words[place] = value
        if self.shadow.is_traced(gfn):
            self.shadow.written_by_guest(gfn)

    def check_everything(self) -> None:
        """No entry of the current shadow tables promises more than the guest's tables."""
        root = self.shadow.root // 4
        for gva in ADDRESSES:
            for write in (False, True):
                for user in (False, True):
                    got = self._silent_walk(root, gva, write, user)
                    if got >= 0:
                        self._check_promise(gva, got, write, user)

    def _silent_walk(self, root: int, gva: int, write: bool, user: bool) -> int:
        directory = int(self.words[root + (gva >> 22)])
        if not directory & PTE_P:
            return -1
        entry = int(self.words[(directory >> 12) * 1024 + (gva >> 12 & 0x3FF)])
        both = directory & entry
        needed = PTE_P | (PTE_W if write else 0) | (PTE_U if user else 0)
        return entry & ~0xFFF if both & needed == needed else -1


def entries(frames: tuple[int, ...]) -> st.SearchStrategy[int]:
    """Page-table entries that lead to one of these guest frames, or to no memory."""
    bits = st.tuples(
        st.sampled_from([0, PTE_P, PTE_P, PTE_P]),
        st.sampled_from([0, PTE_W]),
        st.sampled_from([0, PTE_U]),
        st.sampled_from([0, PTE_A]),
        st.sampled_from([0, PTE_D]),
        st.sampled_from([0, 0, 0, PTE_PS]),
    ).map(sum)
    return st.tuples(st.sampled_from([*frames, 0x80000]), bits).map(lambda e: e[0] << 12 | e[1])


ANY_FRAME = (0, 1, 2, 3, *DIRECTORIES, *TABLES, 20, 21)
edits = st.one_of(
    st.tuples(
        st.just("edit"), st.sampled_from(DIRECTORIES), st.sampled_from([0, 1, 5]), entries(TABLES)
    ),
    st.tuples(st.just("edit"), st.sampled_from(TABLES), st.integers(0, 1), entries(ANY_FRAME)),
)
touches = st.tuples(st.just("touch"), st.sampled_from(ADDRESSES), st.booleans(), st.booleans())
controls = st.tuples(
    st.just("control"),
    st.sampled_from([0, CR0_PG, CR0_PG | CR0_WP]),
    st.sampled_from(DIRECTORIES),
    st.sampled_from([0, CR4_PSE]),
)
others = st.one_of(
    st.tuples(st.just("invlpg"), st.sampled_from(ADDRESSES)),
    st.tuples(st.just("trace"), st.sampled_from(ANY_FRAME)),
    st.tuples(st.just("refill"), st.sampled_from([*DIRECTORIES, *TABLES])),
    st.tuples(st.just("store"), st.sampled_from(TABLES), st.integers(0, 3), entries(ANY_FRAME)),
)
# `one_of` ignores repetitions, so weights have to be drawn.
WEIGHTED = [touches] * 12 + [edits] * 4 + [controls] + [others] * 2
actions = st.lists(
    st.sampled_from(range(len(WEIGHTED))).flatmap(WEIGHTED.__getitem__), min_size=20, max_size=100
)


def play(guest: Guest, script: list[tuple]) -> None:
    """Carry out the actions, each followed by a check of all shadow entries."""
    for name, *values in script:
        if name == "edit":
            guest.edit(*values)
        elif name == "touch":
            guest.touch(*values)
        elif name == "control":
            cr0, directory, cr4 = values
            guest.set_control(PagingState(CR0_PE | cr0, directory << 12, cr4))
        elif name == "invlpg":
            guest.shadow.invalidate(Gva(values[0]))
        elif name == "trace":
            guest.shadow.trace(values[0])
        elif name == "refill":
            guest.shadow.forget_tables(values[0])
        else:  # a store that the monitor makes for the guest
            gfn, index, value = values
            guest.memory.write(Gpa(gfn << 12 | index * 4), 4, value)
        guest.check_everything()


def set_up(guest: Guest) -> None:
    """Something mapped, so that random touches find something."""
    for directory in DIRECTORIES:
        for index, table in zip((0, 1, 5), TABLES, strict=True):
            guest.edit(directory, index, table << 12 | PTE_P | PTE_W | PTE_U)
    for table in TABLES:
        for index in range(4):
            rights = PTE_P | PTE_U | (PTE_W if index else 0)
            guest.edit(table, index, (index + table - 1) << 12 | rights)
    guest.set_control(PagingState(CR0_PE | CR0_PG, DIRECTORIES[0] << 12, 0))


@settings(max_examples=300)
@given(script=actions)
def test_the_machine_sees_what_the_guest_has_mapped(script):
    guest = Guest()
    set_up(guest)
    play(guest, script)


@given(script=actions)
def test_the_same_with_hardly_any_memory_for_shadows(script):
    guest = Guest(pool_frames=3)
    set_up(guest)
    play(guest, script)


@given(script=actions)
def test_every_frame_comes_back_to_the_pool(script):
    guest = Guest()
    set_up(guest)
    play(guest, script)
    for gfn in [*DIRECTORIES, *TABLES]:
        guest.shadow.forget_tables(gfn)
    guest.set_control(PagingState(CR0_PE, 0, 0))
    guest.shadow._reclaim()
    assert guest.pool.free == guest.pool.capacity - 1  # the current, empty directory


def test_a_page_table_that_became_something_else_is_let_go():
    guest = Guest()
    set_up(guest)
    guest.touch(0x123, write=False, user=False)
    assert guest.shadow.is_traced(TABLES[0])
    for value in range(40):
        guest.edit(TABLES[0], 900, value)
    assert not guest.shadow.is_traced(TABLES[0])
    guest.touch(0x123, write=False, user=False)
    assert guest.shadow.is_traced(TABLES[0])


def test_shadows_are_found_again_when_an_address_space_comes_back():
    guest = Guest()
    set_up(guest)
    guest.touch(0x123, write=False, user=False)
    made = guest.shadow.entries_made
    guest.set_control(PagingState(CR0_PE | CR0_PG, DIRECTORIES[1] << 12, 0))
    guest.set_control(PagingState(CR0_PE | CR0_PG, DIRECTORIES[0] << 12, 0))
    assert guest.machine_translate(0x123, write=False, user=False) >= 0
    assert guest.shadow.entries_made == made


def test_address_spaces_share_the_shadow_of_a_shared_table():
    guest = Guest()
    set_up(guest)
    guest.touch(0x123, write=False, user=False)
    guest.set_control(PagingState(CR0_PE | CR0_PG, DIRECTORIES[1] << 12, 0))
    made, tables = guest.shadow.entries_made, guest.shadow.tables_made
    guest.touch(0x123, write=False, user=False)
    assert guest.shadow.tables_made == tables
    assert guest.shadow.entries_made == made + 1


def test_untracing_more_often_than_tracing_is_an_error():
    guest = Guest()
    guest.shadow.trace(5)
    guest.shadow.untrace(5)
    with pytest.raises(AssertionError):
        guest.shadow.untrace(5)


def test_the_pool_hands_out_frames_full_of_zeros():
    words = np.full(4 * 1024, 7, np.uint32)
    pool = FramePool(words, [1, 2])
    first = pool.take()
    assert not words[first * 1024 : (first + 1) * 1024].any()
    pool.take()
    with pytest.raises(PoolExhausted):
        pool.take()
    pool.give_back(first)
    assert pool.take() == first


def test_each_directory_has_the_dirty_bit_of_its_own_large_page():
    guest = Guest()
    large = PTE_P | PTE_W | PTE_U | PTE_PS | PTE_A
    guest.edit(DIRECTORIES[0], 1, large | PTE_D)
    guest.edit(DIRECTORIES[1], 1, large)
    for directory in (*DIRECTORIES, *DIRECTORIES):
        guest.set_control(PagingState(CR0_PE | CR0_PG, directory << 12, CR4_PSE))
        guest.touch(1 << 22 | 0x1123, write=True, user=False)
    assert guest.memory.read_entry(Gpa(DIRECTORIES[1] << 12 | 4)) & PTE_D
