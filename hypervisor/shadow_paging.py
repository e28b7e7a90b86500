"""Shadow page tables: what the machine walks instead of the guest's own tables.

A shadow entry is made when the guest first needs it (a *hidden* page fault), from the guest's
entries and with the rights they give. What the guest then changes in its tables must be noticed:
guest frames that shadow entries derive from are *traced*, which means that no shadow entry lets
the guest write them. The monitor carries a traced write out under its eyes and calls `written`.

    guest directory ──derives──▶ ShadowDirectory ──links──▶ ShadowTable ◀──derives── guest table
                                                              │ entries
                                                              ▼
                                                 frames of the machine (hfn)

A shadow table belongs to one guest table, whatever directories link it; large pages and paging
switched off have tables of their own. Accessed and dirty bits are the guest's: an entry exists only
if the guest's accessed bits are set, and is writable only if the guest's dirty bit is set.

With CR0.WP = 0 the guest's kernel may write pages that are read-only to its users. A shadow entry
cannot say that, so it says one of two things in turn: read-only for both, or writable for the
kernel alone.

This file knows neither rings nor how control reaches a monitor. It does not emulate stale TLB
entries: a change of a guest entry counts at once, which the architecture allows.

Source: SDM vol. 3A, "32-Bit Paging"; Adams & Agesen, "A Comparison of Software and Hardware
Techniques for x86 Virtualization" (ASPLOS 2006), section on MMU virtualization.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

import numpy as np

from hypervisor.addresses import ENTRIES, PAGE_MASK, PAGE_SHIFT, Gpa, Gva, Hpa
from hypervisor.frame_pool import FramePool, PoolExhausted, Words
from hypervisor.guest_memory import GuestMemory
from hypervisor.guest_paging import PagingState, Translation
from isa.registers import PTE_A, PTE_D, PTE_P, PTE_U, PTE_W

_NONE: Final = -1

# A traced page that was written that often since a shadow entry was last made from it has become
# something else than a page table.
_WRITES_UNTIL_DROPPED: Final = 8


class Source(Enum):
    """What a shadow table derives from."""

    TABLE = "table"  # a page table of the guest
    LARGE = "large"  # one 4 MiB page
    IDENTITY = "identity"  # paging is off


class TableKey(NamedTuple):
    """Which shadow table: equal keys have equal entries.

    Attributes:
        number: guest frame of the table; first frame of the large page; index of the 4 MiB piece.
        is_dirty: of a large page, whose dirty bit is in the directory.
        is_writable: with CR0.WP = 0, whether the directory entry permits writing; else True.
        has_large_pages: CR4.PSE, which reserves a bit in the entries of page tables.
    """

    source: Source
    number: int
    is_dirty: bool
    is_writable: bool
    protects_kernel: bool
    has_large_pages: bool = False


class DirectoryKey(NamedTuple):
    """Which shadow directory. `gfn` is -1 with paging off."""

    gfn: int
    protects_kernel: bool
    has_large_pages: bool


def _no_entries() -> Words:
    return np.zeros(ENTRIES, np.uint32)


@dataclass(eq=False)
class ShadowDirectory:
    """A page directory for the machine, in frame `hfn`."""

    key: DirectoryKey
    hfn: int
    seen: Words = field(default_factory=_no_entries)
    """The guest's entries that the links were made from."""
    links: dict[int, ShadowTable] = field(default_factory=dict)
    is_traced: bool = False


@dataclass(eq=False)
class ShadowTable:
    """A page table for the machine, in frame `hfn`."""

    key: TableKey
    hfn: int
    seen: Words = field(default_factory=_no_entries)
    targets: list[int] = field(default_factory=lambda: [_NONE] * ENTRIES)
    """Guest frame each entry leads to."""
    linked_from: set[tuple[ShadowDirectory, int]] = field(default_factory=set)


class Mapping(NamedTuple):
    """One shadow entry."""

    table: ShadowTable
    slot: int


class ShadowPaging:
    """The shadow tables of one virtual processor."""

    def __init__(
        self,
        words: Words,
        memory: GuestMemory,
        pool: FramePool,
        monitor_entry: tuple[int, int],
        open_bus_frame: int,
        flush: Callable[[Gva | None], None],
    ) -> None:
        """Start without any shadow.

        Args:
            words: the machine's memory as doublewords.
            memory: the guest's memory; its write listeners are told to call `written`.
            pool: frames for shadow tables.
            monitor_entry: index and value of the directory entry that maps the monitor itself; it
                is in every directory and never the guest's.
            open_bus_frame: a frame full of ones, for guest-physical addresses without memory.
            flush: called when the machine may have cached a translation of one page (or any) that
                is gone.
        """
        self._words = words
        self._memory = memory
        self._pool = pool
        self._monitor_index, self._monitor_value = monitor_entry
        self._open_bus_frame = open_bus_frame
        self._flush = flush
        self._directories: dict[DirectoryKey, ShadowDirectory] = {}
        self._tables: dict[TableKey, ShadowTable] = {}
        self._derived: defaultdict[int, list[ShadowDirectory | ShadowTable]] = defaultdict(list)
        self._mappings: defaultdict[int, set[Mapping]] = defaultdict(set)
        self._traced: Counter[int] = Counter()
        self._writes: Counter[int] = Counter()
        self._current: ShadowDirectory | None = None
        self.entries_made = 0  # for the statistics
        self.tables_made = 0
        self.reclaims = 0
        memory.on_write(self.written)

    # --- roots ---------------------------------------------------------------------------------

    @property
    def root(self) -> Hpa:
        """What the machine's CR3 has to hold."""
        assert self._current is not None
        return Hpa(self._current.hfn << PAGE_SHIFT)

    def activate(self, paging: PagingState) -> Hpa:
        """Make the shadow of an address space the current one; kept ones are found again."""
        if paging.is_on:
            gfn = (paging.cr3 & PAGE_MASK) >> PAGE_SHIFT
            key = DirectoryKey(gfn, paging.protects_kernel, paging.has_large_pages)
        else:
            key = DirectoryKey(_NONE, True, False)
        directory = self._directories.get(key)
        if directory is None:
            directory = ShadowDirectory(key, self._take_frame())
            self._words[directory.hfn * ENTRIES + self._monitor_index] = self._monitor_value
            self._directories[key] = directory
        if key.gfn >= 0:
            self._writes[key.gfn] = 0
        self._current = directory
        return self.root

    # --- filling -------------------------------------------------------------------------------

    def fill(
        self, paging: PagingState, gva: Gva, found: Translation, *, write: bool, user: bool
    ) -> Mapping:
        """Make the shadow entry for an access that the guest's own tables allow."""
        assert self._current is not None
        assert gva >> 22 != self._monitor_index, "the monitor's own addresses"
        table = self._table_for(self._current, paging, gva, found)
        mapping = Mapping(table, gva >> PAGE_SHIFT & 0x3FF)
        self._enter(mapping, found, write=write, user=user)
        return mapping

    def _table_for(
        self, directory: ShadowDirectory, paging: PagingState, gva: Gva, found: Translation
    ) -> ShadowTable:
        """The shadow table that covers an address, made and linked if need be."""
        index = gva >> 22
        table = directory.links.get(index)
        if table is not None:
            return table
        key = self._table_key(paging, gva, found)
        table = self._tables.get(key)
        if table is None:
            table = ShadowTable(key, self._take_frame())
            self._tables[key] = table
            self.tables_made += 1
            if key.source is Source.TABLE:
                self._derive(key.number, table)
        self._link(directory, index, table, found)
        return table

    def _table_key(self, paging: PagingState, gva: Gva, found: Translation) -> TableKey:
        if not paging.is_on:
            return TableKey(Source.IDENTITY, gva >> 22, True, True, True)
        protects = paging.protects_kernel
        is_writable = protects or bool(found.directory_entry & PTE_W)
        if found.is_large:
            number = (found.directory_entry & 0xFFC00000) >> PAGE_SHIFT
            is_dirty = bool(found.directory_entry & PTE_D)
            return TableKey(Source.LARGE, number, is_dirty, is_writable, protects)
        number = (found.directory_entry & PAGE_MASK) >> PAGE_SHIFT
        return TableKey(Source.TABLE, number, True, is_writable, protects, paging.has_large_pages)

    def _link(
        self, directory: ShadowDirectory, index: int, table: ShadowTable, found: Translation
    ) -> None:
        """Enter a table into a directory; with CR0.WP = 0 the table alone decides on writing."""
        rights = PTE_W | PTE_U
        if found.directory_gpa >= 0:
            rights = found.directory_entry & rights
            if not table.key.protects_kernel:
                rights |= PTE_W
        directory.links[index] = table
        directory.seen[index] = found.directory_entry
        table.linked_from.add((directory, index))
        entry = table.hfn << PAGE_SHIFT | rights | PTE_P | PTE_A
        self._words[directory.hfn * ENTRIES + index] = entry
        if directory.key.gfn >= 0 and not directory.is_traced:
            directory.is_traced = True
            self._derive(directory.key.gfn, directory)

    def _enter(self, mapping: Mapping, found: Translation, *, write: bool, user: bool) -> None:
        """Write one shadow entry."""
        table, index = mapping
        self._clear(mapping)
        gfn = found.gpa >> PAGE_SHIFT
        hfn = self._memory.frame_of(gfn)
        rights = self._rights(table.key, found, write=write, user=user)
        if hfn is None:
            hfn, rights = self._open_bus_frame, rights & ~PTE_W
        else:
            table.targets[index] = gfn
            self._mappings[gfn].add(mapping)
            if self._traced[gfn]:
                rights &= ~PTE_W
        if table.key.source is Source.TABLE:
            table.seen[index] = found.entry
            self._writes[table.key.number] = 0
        entry = hfn << PAGE_SHIFT | rights | PTE_P | PTE_A | PTE_D
        self._words[table.hfn * ENTRIES + index] = entry
        self.entries_made += 1

    def _rights(self, key: TableKey, found: Translation, *, write: bool, user: bool) -> int:
        """PTE_W and PTE_U of a shadow entry."""
        if key.source is Source.IDENTITY:
            return PTE_W | PTE_U
        is_dirty = bool(found.entry & PTE_D)
        user_right = PTE_U if key.source is Source.LARGE else found.entry & PTE_U
        permits = key.source is Source.LARGE or bool(found.entry & PTE_W)
        if key.protects_kernel or (permits and key.is_writable):
            return user_right | (PTE_W if permits and is_dirty else 0)
        if write and not user:
            return PTE_W
        return user_right

    # --- tracing -------------------------------------------------------------------------------

    def is_traced(self, gfn: int) -> bool:
        """Whether writes to a guest frame must be seen."""
        return self._traced[gfn] > 0

    def trace(self, gfn: int) -> None:
        """Begin to trace a guest frame; counted, so that several can ask for the same."""
        self._traced[gfn] += 1
        if self._traced[gfn] == 1:
            for mapping in self._mappings[gfn]:
                self._protect(mapping)

    def untrace(self, gfn: int) -> None:
        """Take one `trace` back. Entries become writable again when they are next needed so."""
        self._traced[gfn] -= 1
        assert self._traced[gfn] >= 0, "traced less often than untraced"

    def open_window(self, mapping: Mapping) -> None:
        """Let the guest write through one entry, for one instruction."""
        self._words[mapping.table.hfn * ENTRIES + mapping.slot] |= PTE_W
        self._flush_mapping(mapping)

    def close_window(self, mapping: Mapping) -> None:
        """Take the right away again, if the entry still exists."""
        if self._tables.get(mapping.table.key) is mapping.table:
            self._protect(mapping)

    def _protect(self, mapping: Mapping) -> None:
        at = mapping.table.hfn * ENTRIES + mapping.slot
        if self._words[at] & PTE_W:
            self._words[at] &= np.uint32(~PTE_W & 0xFFFFFFFF)
            self._flush_mapping(mapping)

    def _derive(self, gfn: int, shadow: ShadowDirectory | ShadowTable) -> None:
        """Note that a shadow derives from a guest frame."""
        self._derived[gfn].append(shadow)
        self.trace(gfn)

    def _underive(self, gfn: int, shadow: ShadowDirectory | ShadowTable) -> None:
        self._derived[gfn].remove(shadow)
        self.untrace(gfn)

    # --- coherence -----------------------------------------------------------------------------

    def written(self, gpa: Gpa, size: int) -> None:
        """Drop what no longer agrees with the guest's tables after a write to them."""
        gfn = gpa >> PAGE_SHIFT
        derived = self._derived.get(gfn)
        if not derived:
            return
        first = (gpa & 0xFFF) >> 2
        last = ((gpa & 0xFFF) + size - 1) >> 2
        now = np.frombuffer(self._memory.read_page(gfn), np.uint32)[first : last + 1]
        for shadow in list(derived):
            at = shadow.hfn * ENTRIES
            is_live = self._words[at + first : at + last + 1] != 0
            is_changed = now != shadow.seen[first : last + 1]
            for index in np.flatnonzero(is_live & is_changed).tolist():
                self._drop_entry(shadow, first + index)

    def written_by_guest(self, gfn: int) -> None:
        """The guest itself wrote somewhere in a traced frame."""
        self.written(Gpa(gfn << PAGE_SHIFT), 1 << PAGE_SHIFT)
        self._writes[gfn] += 1
        if self._writes[gfn] > _WRITES_UNTIL_DROPPED:
            self.forget_tables(gfn)

    def forget_tables(self, gfn: int) -> None:
        """Drop every shadow that derives from a guest frame, which is then no longer traced.

        What is still a page table is shadowed anew when it is needed.
        """
        self._writes[gfn] = 0
        for shadow in list(self._derived.get(gfn, ())):
            if isinstance(shadow, ShadowTable):
                self._destroy_table(shadow)
            else:
                self._empty_directory(shadow)

    def invalidate(self, gva: Gva) -> None:
        """INVLPG: forget what is known of one page."""
        assert self._current is not None
        table = self._current.links.get(gva >> 22)
        if table is not None:
            self._clear(Mapping(table, gva >> PAGE_SHIFT & 0x3FF))

    def forget_open_bus(self) -> None:
        """Drop every entry for an address without memory: a device may have come or gone."""
        for table in self._tables.values():
            at = table.hfn * ENTRIES
            frames = self._words[at : at + ENTRIES] >> PAGE_SHIFT
            for index in np.flatnonzero(frames == self._open_bus_frame).tolist():
                self._clear(Mapping(table, index))

    def _drop_entry(self, shadow: ShadowDirectory | ShadowTable, index: int) -> None:
        if isinstance(shadow, ShadowTable):
            self._clear(Mapping(shadow, index))
        elif index in shadow.links:
            self._unlink(shadow, index)

    def _clear(self, mapping: Mapping) -> None:
        """Make one shadow entry not present."""
        table, index = mapping
        at = table.hfn * ENTRIES + index
        if not self._words[at]:
            return
        self._words[at] = 0
        table.seen[index] = 0
        if table.targets[index] != _NONE:
            self._mappings[table.targets[index]].discard(mapping)
            table.targets[index] = _NONE
        self._flush_mapping(mapping)

    def _unlink(self, directory: ShadowDirectory, index: int) -> None:
        """Take a table out of a directory; a table that nobody links is given up."""
        table = directory.links.pop(index)
        directory.seen[index] = 0
        self._words[directory.hfn * ENTRIES + index] = 0
        table.linked_from.discard((directory, index))
        if directory is self._current:
            self._flush(None)
        if not table.linked_from:
            self._destroy_table(table)

    def _flush_mapping(self, mapping: Mapping) -> None:
        """Have the machine forget an entry, where it is reachable now."""
        for directory, index in mapping.table.linked_from:
            if directory is self._current:
                self._flush(Gva(index << 22 | mapping.slot << PAGE_SHIFT))

    # --- giving up -----------------------------------------------------------------------------

    def _destroy_table(self, table: ShadowTable) -> None:
        """Give up a table with all that points to it."""
        if self._tables.pop(table.key, None) is None:
            return
        for directory, index in list(table.linked_from):
            del directory.links[index]
            directory.seen[index] = 0
            self._words[directory.hfn * ENTRIES + index] = 0
            if directory is self._current:
                self._flush(None)
        table.linked_from.clear()
        for index, gfn in enumerate(table.targets):
            if gfn != _NONE:
                self._mappings[gfn].discard(Mapping(table, index))
        if table.key.source is Source.TABLE:
            self._underive(table.key.number, table)
        self._pool.give_back(table.hfn)

    def _empty_directory(self, directory: ShadowDirectory) -> None:
        """Unlink everything, the monitor's own entry excepted."""
        for index in list(directory.links):
            self._unlink(directory, index)
        if directory.is_traced:
            directory.is_traced = False
            self._underive(directory.key.gfn, directory)

    def _take_frame(self) -> int:
        try:
            return self._pool.take()
        except PoolExhausted:
            if self._current is None:
                raise
        self._reclaim()
        return self._pool.take()

    def _reclaim(self) -> None:
        """Memory is short: give up every shadow but the current directory, which is emptied."""
        self.reclaims += 1
        for directory in list(self._directories.values()):
            self._empty_directory(directory)
            if directory is not self._current:
                del self._directories[directory.key]
                self._pool.give_back(directory.hfn)
        self._flush(None)
