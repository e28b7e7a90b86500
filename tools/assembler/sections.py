"""Sections, and where a flat image or an executable puts them.

A flat image follows NASM's rules for `-f bin`: .text first, then the sections in the order of
their first appearance, each at its alignment behind the one before; `start=` and `follows=` move a
section and those behind it, `vstart=` and `vfollows=` change the addresses only; sections without
content (`nobits`) come last and take no room in the image. An executable keeps code, constants and
variables on pages of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from tools.assembler.errors import SourceError
from tools.assembler.values import Base, Term

PAGE: Final = 4096
MAX_IMAGE_BYTES: Final = 64 << 20
ADDRESS_LIMIT: Final = 1 << 32


class Section(Base):
    """A section: its attributes, how far it is filled, and in the end its place and content."""

    def __init__(
        self, name: str, nobits: bool = False, executable: bool = False, writable: bool = False
    ) -> None:
        super().__init__(name)
        self.nobits = nobits
        self.executable = executable
        self.writable = writable
        self.align = 0  # 0: not given, the format's default counts
        self.start: int | None = None
        self.vstart: int | None = None
        self.follows = ""
        self.vfollows = ""
        self.size = 0
        self.offset = 0  # where the content is loaded; addresses may be others
        self.used = 0  # as which one it was first used; 0: not at all
        self.content = bytearray()
        self.terms: Mapping[Term, int] = {self: 1}
        self.marks = {
            what: Base(f"section.{self.name}.{what}") for what in ("start", "vstart", "length")
        }

    @property
    def alignment(self) -> int:
        """The alignment that counts."""
        return self.align or 4

    def fix(self) -> None:
        """The place is final: `section.NAME.start` and its relatives can be read off."""
        if not 0 <= self.address <= self.address + self.size <= ADDRESS_LIMIT:
            raise SourceError(f"section {self.name} lies outside of the 4 GiB address space")
        self.marks["start"].address = self.offset
        self.marks["vstart"].address = self.address
        self.marks["length"].address = self.size


STANDARD: Final[dict[str, dict[str, bool]]] = {
    ".text": {"executable": True},
    ".rodata": {},
    ".data": {"writable": True},
    ".bss": {"nobits": True, "writable": True},
}


def new_section(name: str) -> Section:
    """A section with the attributes its name implies."""
    return Section(name, **STANDARD.get(name, {}))


def aligned(value: int, alignment: int) -> int:
    """The next multiple of a power of two."""
    return (value + alignment - 1) & -alignment


def place_flat(sections: Sequence[Section], origin: int) -> list[Section]:
    """Give every section its address and its offset in the image; the order in the image."""
    with_bits = [section for section in sections if not section.nobits]
    with_bits.sort(key=lambda section: section.name != ".text")
    order = _ordered(with_bits)
    position = origin
    for index, section in enumerate(order):
        if section.start is not None:
            if section.start < position and index:
                raise SourceError(f"section {section.name} starts inside another one")
            position = section.start
        elif index:
            position = aligned(position, section.alignment)
        section.offset = position
        section.address = position if section.vstart is None else section.vstart
        position += section.size
    if position - origin > MAX_IMAGE_BYTES:
        raise SourceError(f"the image spans more than {MAX_IMAGE_BYTES >> 20} MiB")
    placed = {section.name: section for section in order}
    for section in order:
        _follow_virtually(section, placed)
    last = order[-1] if order else None
    end = last.address + last.size if last is not None else origin
    for section in sections:
        if section.nobits:
            _place_nobits(section, end, placed)
            end = section.address + section.size
    for section in sections:
        section.fix()
    return order


def _ordered(sections: Sequence[Section]) -> list[Section]:
    """Runs of sections that stay together, the fixed ones sorted, the following ones inserted."""
    runs: list[list[Section]] = []
    for section in sections:
        if not runs or section.start is not None or section.follows:
            runs.append([])
        runs[-1].append(section)
    free = [run for run in runs if not run[0].follows]
    free[1:] = sorted(free[1:], key=lambda run: run[0].start or 0)
    order = [section for run in free for section in run]
    waiting = [run for run in runs if run[0].follows]
    while waiting:
        for run in waiting:
            names = [section.name for section in order]
            if run[0].follows in names:
                at = names.index(run[0].follows) + 1
                order[at:at] = run
                waiting.remove(run)
                break
        else:
            missing = waiting[0][0]
            raise SourceError(
                f"section {missing.name} follows '{missing.follows}', which is not placed"
            )
    return order


def _follow_virtually(section: Section, placed: dict[str, Section]) -> None:
    if section.vfollows:
        before = placed.get(section.vfollows)
        if before is None:
            raise SourceError(
                f"section {section.name} follows unknown section '{section.vfollows}'"
            )
        section.address = aligned(before.address + before.size, section.alignment)


def _place_nobits(section: Section, end: int, placed: dict[str, Section]) -> None:
    """Behind what came before, or where the section's attributes say."""
    name = section.vfollows or section.follows
    if name:
        before = placed.get(name)
        if before is None:
            raise SourceError(f"section {section.name} follows '{name}', which is not placed")
        end = before.address + before.size
    explicit = section.start if section.vstart is None else section.vstart
    section.address = aligned(end, section.alignment) if explicit is None else explicit
    section.offset = section.address
    placed[section.name] = section


def place_executable(sections: Sequence[Section], origin: int) -> list[list[Section]]:
    """Give every section its address; the sections of each segment, in address order.

    Segments stand in the order in which their kind of access first appears, from `origin` on, each
    on pages of its own. A section with `vstart=` or `start=` is a segment by itself.
    """
    segments: dict[object, list[Section]] = {}
    for section in sections:
        fixed = section.start if section.vstart is None else section.vstart
        key: object = (section.executable, section.writable) if fixed is None else section.name
        segments.setdefault(key, []).append(section)
    position = origin
    for members in segments.values():
        members.sort(key=lambda section: section.nobits)
        fixed = members[0].start if members[0].vstart is None else members[0].vstart
        boundary = max(PAGE, members[0].alignment)
        at = aligned(position, boundary) if fixed is None and position != origin else position
        at = at if fixed is None else fixed
        for section in members:
            section.address = at if section is members[0] else aligned(at, section.alignment)
            section.offset = section.address
            at = section.address + section.size
            section.fix()
        if fixed is None:
            position = at
    _refuse_overlap(sections)
    return sorted(segments.values(), key=lambda members: members[0].address)


def _refuse_overlap(sections: Sequence[Section]) -> None:
    ordered = sorted((s for s in sections if s.size), key=lambda section: section.address)
    for before, after in pairwise(ordered):
        if before.address + before.size > after.address:
            raise SourceError(f"sections {before.name} and {after.name} overlap")
