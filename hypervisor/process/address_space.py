"""A program's address space: regions, demand paging, and access by the monitor on its behalf.

A page gets a frame when it is touched, by the program (a page fault) or by the monitor (a system
call). Page tables are real ones in the machine's memory; the monitor's own view of them is a
dictionary from page number to entry. Accesses of the monitor follow the program's rights: what the
program may not read or write gives EFAULT, whatever the address is.

Source: SDM vol. 3A, "32-Bit Paging"; POSIX.1-2017, "mmap", "mprotect", "munmap".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from hypervisor.addresses import PAGE_BYTES, PAGE_SHIFT
from hypervisor.frame_pool import FramePool, PoolExhausted
from hypervisor.process import layout
from hypervisor.process.errors import CallError, Errno
from hypervisor.process.regions import PROT_READ, PROT_WRITE, Region, Regions
from hypervisor.process.world import World
from isa.registers import PTE_A, PTE_D, PTE_P, PTE_U, PTE_W

_READABLE: Final = PTE_P | PTE_U | PTE_A
_IN_PAGE: Final = PAGE_BYTES - 1
_MOST_SINGLE_FLUSHES: Final = 8


class OutOfMemory(Exception):
    """There is no frame left for a page the program may use: the memory of `-m` is full."""


class BadAccess(Exception):
    """An access the program is not entitled to.

    Attributes:
        is_mapped: the page exists, its protection forbids the access.
        is_beyond_file: the page belongs to a file that ends before it.
    """

    def __init__(self, *, is_mapped: bool = False, is_beyond_file: bool = False) -> None:
        super().__init__()
        self.is_mapped = is_mapped
        self.is_beyond_file = is_beyond_file


class AddressSpace:
    """The memory of one process.

    Attributes:
        regions: what is mapped.
        charged: pages that may all have to be in memory at once.
        faults: pages given a frame since the start.
    """

    def __init__(self, world: World, memory_bytes: int) -> None:
        self.world = world
        self.regions = Regions()
        self.limit = memory_bytes >> PAGE_SHIFT
        self.charged = 0
        self.faults = 0
        frames = range(layout.POOL_HPA >> PAGE_SHIFT, world.processor.ram_bytes >> PAGE_SHIFT)
        self._pool = FramePool(world.processor.memory.view(np.uint32), frames)
        self._entries: dict[int, int] = {}  # page number -> page-table entry
        self._tables: dict[int, int] = {}  # directory index -> word index of its table

    @property
    def resident_pages(self) -> int:
        """Pages that have a frame."""
        return len(self._entries)

    # --- mapping -------------------------------------------------------------------------------

    def map(self, region: Region) -> None:
        """Map a range, in place of what may be there."""
        pages = (region.end - region.first) >> PAGE_SHIFT
        if region.is_charged and self.charged + pages > self.limit:
            raise CallError(Errno.ENOMEM)
        self.unmap(region.first, region.end)
        self.regions.add(region)
        if region.is_charged:
            self.charged += pages

    def unmap(self, first: int, end: int) -> None:
        """Remove what is mapped in a range; changes of shared files are brought back."""
        self.write_back(first, end)
        for piece in self.regions.remove(first, end):
            if piece.is_charged:
                self.charged -= (piece.end - piece.first) >> PAGE_SHIFT
        self._drop(first, end)

    def protect(self, first: int, end: int, protection: int) -> None:
        """Change the protection of a range that is mapped all over."""
        if not self.regions.covers(first, end):
            raise CallError(Errno.ENOMEM)
        pieces = self.regions.within(first, end)
        changed = [replace(piece, protection=protection) for piece in pieces]
        growth = sum(_charge(new) - _charge(old) for new, old in zip(changed, pieces, strict=True))
        if growth > 0 and self.charged + growth > self.limit:
            raise CallError(Errno.ENOMEM)
        self.regions.remove(first, end)
        for region in changed:
            self.regions.add(region)
        self.charged += growth
        stale = []
        for page in self._resident(first, end):
            entry = self._word_of(page)
            wanted = entry & ~0xFFF | entry & PTE_D | _rights(protection)
            if wanted != entry:
                self._set(page, wanted)
                stale.append(page)
        self._flush(stale)

    def move(self, first: int, end: int, target: int) -> None:
        """Move the pages of a range to another place, which is unmapped."""
        pieces = self.regions.within(first, end)
        self.write_back(first, end)
        self.regions.remove(first, end)
        offset = target - first
        for piece in pieces:
            self.regions.add(replace(piece, first=piece.first + offset, end=piece.end + offset))
        moved = self._resident(first, end)
        entries = [(page, self._word_of(page)) for page in moved]
        for page, entry in entries:
            self._set(page, 0)
            del self._entries[page]
            self._set(page + (offset >> PAGE_SHIFT), entry)
        self._flush(moved)

    def write_back(self, first: int, end: int) -> None:
        """Bring changed pages of shared files back to their files."""
        for piece in self.regions.within(first, end):
            if not piece.is_shared or piece.backing is None:
                continue
            stale = []
            for page in self._resident(piece.first, piece.end):
                entry = self._word_of(page)
                if entry & PTE_D:
                    at = entry & ~0xFFF
                    content = bytes(self.world.ram[at : at + PAGE_BYTES])
                    where = piece.offset + (page << PAGE_SHIFT) - piece.first
                    piece.backing.write_page(where, content)
                    self._set(page, entry & ~PTE_D)
                    stale.append(page)
            self._flush(stale)

    def discard(self, first: int, end: int) -> None:
        """Forget the content of private pages: they are as at first when touched again."""
        self.write_back(first, end)
        self._drop(first, end)

    # --- paging --------------------------------------------------------------------------------

    def touch(self, address: int, *, write: bool) -> int:
        """Make the page of an address accessible; its page-table entry. Raises BadAccess."""
        page = address >> PAGE_SHIFT
        region = self.regions.at(address)
        if region is None:
            raise BadAccess
        if not region.protection or (write and not region.protection & PROT_WRITE):
            raise BadAccess(is_mapped=True)
        entry = self._entries.get(page)
        if entry is None:
            entry = self._fill(region, page)
        return entry

    def _fill(self, region: Region, page: int) -> int:
        content = None
        if region.backing is not None:
            content = region.backing.read_page(region.offset + (page << PAGE_SHIFT) - region.first)
            if content is None:
                raise BadAccess(is_mapped=True, is_beyond_file=True)
        frame = self._take()
        if content:
            self.world.store(frame << PAGE_SHIFT, content)
        entry = frame << PAGE_SHIFT | _rights(region.protection)
        self._set(page, entry)
        self.faults += 1
        return entry

    def _take(self) -> int:
        try:
            return self._pool.take()
        except PoolExhausted:
            raise OutOfMemory from None

    def _table_of(self, page: int) -> int:
        index = page >> 10
        table = self._tables.get(index)
        if table is None:
            frame = self._take()
            table = self._tables[index] = frame << 10
            self.world.words[layout.DIRECTORY_HPA // 4 + index] = (
                frame << PAGE_SHIFT | _READABLE | PTE_W
            )
        return table

    def _set(self, page: int, entry: int) -> None:
        self.world.words[self._table_of(page) + (page & 1023)] = entry
        self._entries[page] = entry

    def _word_of(self, page: int) -> int:
        """The entry of a page as the processor has left it, with its dirty bit."""
        return self.world.words[self._tables[page >> 10] + (page & 1023)]

    def _resident(self, first: int, end: int) -> list[int]:
        """The pages of a range that have frames, in order."""
        low, high = first >> PAGE_SHIFT, end >> PAGE_SHIFT
        if high - low <= len(self._entries):
            return [page for page in range(low, high) if page in self._entries]
        return sorted(page for page in self._entries if low <= page < high)

    def _drop(self, first: int, end: int) -> None:
        gone = self._resident(first, end)
        for page in gone:
            frame = self._entries[page] >> PAGE_SHIFT
            self._set(page, 0)
            del self._entries[page]
            self.world.forget_page(frame)
            self._pool.give_back(frame)
        self._flush(gone)

    def _flush(self, pages: list[int]) -> None:
        """The processor forgets translations that are no longer true."""
        processor = self.world.processor
        if len(pages) > _MOST_SINGLE_FLUSHES:
            processor.load_cr3(layout.DIRECTORY_HPA)
        else:
            for page in pages:
                processor.invlpg(page << PAGE_SHIFT)

    # --- access on the program's behalf -----------------------------------------------------------

    def _page(self, address: int, *, write: bool) -> int:
        """Physical address of a linear one; EFAULT where the program may not go."""
        entry = self._entries.get(address >> PAGE_SHIFT, 0)
        if entry & PTE_W or (not write and entry & PTE_U):
            return entry & ~0xFFF | address & _IN_PAGE
        try:
            return self.touch(address, write=write) & ~0xFFF | address & _IN_PAGE
        except BadAccess:
            raise CallError(Errno.EFAULT) from None

    def read(self, address: int, size: int) -> bytes:
        """Bytes of the program's memory."""
        part = min(size, PAGE_BYTES - (address & _IN_PAGE))
        at = self._page(address, write=False) if size else 0
        if part == size:
            return bytes(self.world.ram[at : at + size])
        self.check(address, size, write=False)
        pieces = [bytes(self.world.ram[at : at + part])]
        while part < size:
            at = self._page(address + part, write=False)
            more = min(size - part, PAGE_BYTES)
            pieces.append(bytes(self.world.ram[at : at + more]))
            part += more
        return b"".join(pieces)

    def write(self, address: int, data: bytes) -> None:
        """Store bytes in the program's memory: all or none."""
        size = len(data)
        if (address & _IN_PAGE) + size > PAGE_BYTES:
            self.check(address, size, write=True)
        done = 0
        while done < size:
            at = self._page(address + done, write=True)
            part = min(size - done, PAGE_BYTES - (address + done & _IN_PAGE))
            self.world.store(at, data[done : done + part])
            self._note_written(address + done)
            done += part

    def _note_written(self, address: int) -> None:
        page = address >> PAGE_SHIFT
        entry = self._word_of(page)
        if not entry & PTE_D:
            self.world.words[self._tables[page >> 10] + (page & 1023)] = entry | PTE_D

    def check(self, address: int, size: int, *, write: bool) -> None:
        """EFAULT unless the program may read or write all of a range."""
        if size <= 0:
            return
        if address + size > layout.USER_END:
            raise CallError(Errno.EFAULT)
        for page in range(address >> PAGE_SHIFT, (address + size - 1 >> PAGE_SHIFT) + 1):
            self._page(page << PAGE_SHIFT, write=write)

    def read_word(self, address: int) -> int:
        """A doubleword."""
        return int.from_bytes(self.read(address, 4), "little")

    def write_word(self, address: int, value: int) -> None:
        """Store a doubleword."""
        self.write(address, (value & 0xFFFFFFFF).to_bytes(4, "little"))

    def read_text(self, address: int, most: int) -> bytes:
        """A string that ends with a zero byte; ENAMETOOLONG after `most` bytes without one."""
        found = b""
        while len(found) < most:
            part = min(PAGE_BYTES - (address & _IN_PAGE), most - len(found))
            piece = self.read(address, part)
            end = piece.find(0)
            if end >= 0:
                return found + piece[:end]
            found += piece
            address += part
        raise CallError(Errno.ENAMETOOLONG)


def _charge(region: Region) -> int:
    return (region.end - region.first) >> PAGE_SHIFT if region.is_charged else 0


def _rights(protection: int) -> int:
    """Bits of a page-table entry. This processor cannot forbid only reading, or execution."""
    if not protection:
        return PTE_P
    return _READABLE | (PTE_W if protection & PROT_WRITE else 0)


def rounded(size: int) -> int:
    """Up to whole pages."""
    return (size + _IN_PAGE) & ~_IN_PAGE


READ_WRITE: Final = PROT_READ | PROT_WRITE
