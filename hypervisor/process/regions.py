"""Regions: which parts of the address space are mapped, how, and to what.

An ordered list of half-open page ranges without overlaps. Knows nothing of frames and page tables.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Protocol

from hypervisor.process.errors import CallError, Errno

PROT_READ: Final = 1
PROT_WRITE: Final = 2
PROT_EXEC: Final = 4

MOST_REGIONS: Final = 65_530  # as Linux has it (vm.max_map_count)


class Backing(Protocol):
    """What a region shows, if it is not zeros: a file.

    Attributes:
        is_writable: changes of shared pages may be brought back to it.
    """

    is_writable: bool

    def read_page(self, offset: int) -> bytes | None:
        """Up to a page of bytes; None if the whole page lies beyond the end."""

    def write_page(self, offset: int, data: bytes) -> None:
        """Bring a changed page back; what lies beyond the end is dropped."""


@dataclass(frozen=True)
class Region:
    """A range of pages with one protection and one content.

    Attributes:
        first, end: byte addresses of pages, half-open.
        protection: PROT bits.
        backing: a file, or None: pages are zero at first.
        offset: of `first` in the file.
        is_shared: changes are brought back to the file.
    """

    first: int
    end: int
    protection: int
    backing: Backing | None = None
    offset: int = 0
    is_shared: bool = False

    @property
    def is_charged(self) -> bool:
        """Whether its pages may all have to be found in the machine's memory."""
        return bool(self.protection & PROT_WRITE) and not self.is_shared

    def part(self, first: int, end: int) -> Region:
        """A piece of it."""
        return replace(self, first=first, end=end, offset=self.offset + first - self.first)


class Regions:
    """The regions of one address space, in order."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._regions: list[Region] = []

    def __iter__(self) -> Iterator[Region]:
        return iter(self._regions)

    def __len__(self) -> int:
        return len(self._regions)

    def at(self, address: int) -> Region | None:
        """The region that an address belongs to."""
        index = bisect_right(self._firsts, address) - 1
        if index >= 0 and address < self._regions[index].end:
            return self._regions[index]
        return None

    def within(self, first: int, end: int) -> list[Region]:
        """The pieces of regions in a range, in order."""
        index = max(bisect_right(self._firsts, first) - 1, 0)
        pieces = []
        while index < len(self._regions) and self._regions[index].first < end:
            region = self._regions[index]
            if region.end > first:
                pieces.append(region.part(max(first, region.first), min(end, region.end)))
            index += 1
        return pieces

    def covers(self, first: int, end: int) -> bool:
        """Whether every page of a range is mapped."""
        return sum(piece.end - piece.first for piece in self.within(first, end)) == end - first

    def add(self, region: Region) -> None:
        """Put a region where nothing is; it joins neighbours that continue it."""
        index = bisect_right(self._firsts, region.first)
        if index > 0 and _continues(self._regions[index - 1], region):
            index -= 1
            before = self._regions.pop(index)
            del self._firsts[index]
            region = replace(before, end=region.end)
        if index < len(self._regions) and _continues(region, self._regions[index]):
            after = self._regions.pop(index)
            del self._firsts[index]
            region = replace(region, end=after.end)
        if len(self._regions) >= MOST_REGIONS:
            raise CallError(Errno.ENOMEM)
        self._regions.insert(index, region)
        self._firsts.insert(index, region.first)

    def remove(self, first: int, end: int) -> list[Region]:
        """Take a range out; what was there."""
        pieces = self.within(first, end)
        if not pieces:
            return []
        if len(self._regions) >= MOST_REGIONS:
            raise CallError(Errno.ENOMEM)
        start = bisect_right(self._firsts, first) - 1
        if start < 0 or self._regions[start].end <= first:
            start += 1
        stop = start
        kept = []
        while stop < len(self._regions) and self._regions[stop].first < end:
            region = self._regions[stop]
            if region.first < first:
                kept.append(region.part(region.first, first))
            if region.end > end:
                kept.append(region.part(end, region.end))
            stop += 1
        self._regions[start:stop] = kept
        self._firsts[start:stop] = [region.first for region in kept]
        return pieces

    def gap_below(self, size: int, lowest: int, end: int) -> int | None:
        """The highest place for `size` bytes that ends at or below `end`."""
        index = bisect_right(self._firsts, end - 1) - 1
        while True:
            floor = lowest
            if index >= 0:
                floor = max(floor, self._regions[index].end)
            if end - floor >= size:
                return end - size
            if index < 0 or end <= lowest:
                return None
            end = min(end, self._regions[index].first)
            index -= 1


def _continues(one: Region, other: Region) -> bool:
    """Whether a region is the seamless continuation of another one."""
    return (
        one.end == other.first
        and one.protection == other.protection
        and one.backing is None
        and other.backing is None
    )
