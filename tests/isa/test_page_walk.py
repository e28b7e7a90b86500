"""The page walk against a walker written from the manual, on random tables: 32-bit, PSE and PAE.

Volume 3A, "32-Bit Paging", figure "Formats of CR3 and Paging-Structure Entries"; "PAE Paging";
"Access Rights"; "Page-Fault Exceptions": a table of levels instead of code that follows ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import NamedTuple

import numpy as np
import pytest

from isa import page_walk, state
from isa import workspace as w
from isa.jit import ENABLED
from isa.page_walk import RIGHT_DIRTY, RIGHT_GLOBAL, RIGHT_LARGE, RIGHT_WRITE
from isa.vectors import PF

pytestmark = pytest.mark.bounds

P, W, U, A, D, PS, G = 1, 2, 4, 0x20, 0x40, 0x80, 0x100
PE, PG, WP = 1, 1 << 31, 1 << 16
PSE, PAE, PGE = 1 << 4, 1 << 5, 1 << 7
RAM_BYTES = 4 << 20
TABLES = range(0x100000, 0x108000, 0x1000)  # on both sides of address line 20
CASES = 20_000 if ENABLED else 2500


class Level(NamedTuple):
    """One kind of table: which bits of the address select an entry, and what is reserved in it."""

    shift: int
    bits: int
    reserved: int
    large_reserved: int | None  # None: an entry of this level cannot map a page


NO_NX_36_BITS = (1 << 64) - (1 << 36)
PAE_LEVELS = (
    Level(21, 9, NO_NX_36_BITS, NO_NX_36_BITS | 0x1FF000),
    Level(12, 9, NO_NX_36_BITS | PS, None),
)
PLAIN_LEVELS = (Level(22, 10, 0, None), Level(12, 10, 0, None))
PSE_LEVELS = (Level(22, 10, 0, 0x3FF000), Level(12, 10, PS, None))


@dataclass
class Outcome:
    """The end of an access: an error code, or an address with rights; and the changed entries."""

    error: int | None = None
    address: int = 0
    rights: int = 0
    changes: dict[int, int] | None = None


class Manual:
    """Walks as the manual says, over memory that can only be looked at."""

    def __init__(self, memory: np.ndarray, a20: bool) -> None:
        self.memory = memory
        self.a20 = a20

    def line(self, address: int) -> int:
        return address if self.a20 else address & ~(1 << 20)

    def entry(self, address: int, size: int) -> int:
        address = self.line(address)
        inside = self.memory[address : address + size].tobytes()
        return int.from_bytes(inside + b"\xff" * (size - len(inside)), "little")

    def walk(
        self, cr0: int, cr3: int, cr4: int, pdptes: list[int], gva: int, write: int, user: int
    ) -> Outcome:
        code = write * 2 | user * 4
        if not cr0 & PG:
            return Outcome(address=self.line(gva), rights=RIGHT_WRITE | RIGHT_DIRTY, changes={})
        size, address_mask = 4, 0xFFFFF000
        levels, table = (PSE_LEVELS if cr4 & PSE else PLAIN_LEVELS), cr3 & 0xFFFFF000
        if cr4 & PAE:
            size, address_mask, levels = 8, 0xFFFFFF000, PAE_LEVELS
            pointer = pdptes[gva >> 30]
            if not pointer & P:
                return Outcome(error=code)
            table = pointer & address_mask
        used: list[tuple[int, int]] = []
        for level in levels:
            at = table + (gva >> level.shift & (1 << level.bits) - 1) * size
            entry = self.entry(at, size)
            used.append((self.line(at), entry))
            if not entry & P:
                return Outcome(error=code)
            is_page = level is levels[-1] or bool(entry & PS and level.large_reserved is not None)
            is_large = is_page and level is not levels[-1]
            if entry & (level.large_reserved if is_large else level.reserved):
                return Outcome(error=code | 1 | 8)
            if is_page:
                return self._allow(cr0, gva, write, user, used, level, address_mask, code)
            table = entry & address_mask
        raise AssertionError("a walk without an end")

    def _allow(
        self,
        cr0: int,
        gva: int,
        write: int,
        user: int,
        used: list[tuple[int, int]],
        level: Level,
        address_mask: int,
        code: int,
    ) -> Outcome:
        is_user_page = all(entry & U for _, entry in used)
        is_writable = all(entry & W for _, entry in used)
        may_write = is_writable if user else is_writable or not cr0 & WP
        if (user and not is_user_page) or (write and not may_write):
            return Outcome(error=code | 1)
        changes = {at: entry | A for at, entry in used}
        at, leaf = used[-1]
        if write:
            changes[at] |= D
        offset = (1 << level.shift) - 1
        rights = RIGHT_WRITE if may_write else 0
        rights |= RIGHT_DIRTY if leaf & D or write else 0
        rights |= RIGHT_GLOBAL if leaf & G else 0
        rights |= RIGHT_LARGE if level.shift > 12 else 0
        address = self.line(leaf & address_mask & ~offset | gva & offset)
        return Outcome(None, address, rights, changes)


class Tables:
    """A processor's arrays with random paging structures of one kind."""

    def __init__(self) -> None:
        self.cpu = state.new_state()
        self.core = w.new_workspace(RAM_BYTES)
        self.ram = np.zeros(RAM_BYTES + w.FETCH_BUFFER_BYTES, np.uint8)
        self.marks = np.zeros(RAM_BYTES + (RAM_BYTES >> 12), np.uint8)

    @property
    def memory(self) -> np.ndarray:
        return self.ram[:RAM_BYTES]

    def fill(self, rng: Random, cr4: int, gva: int) -> None:
        """Random entries on the path of one address, mostly usable; the same in every table."""
        has_pae = bool(cr4 & PAE)
        size = 8 if has_pae else 4
        for table in TABLES:
            for level in PAE_LEVELS if has_pae else PSE_LEVELS:
                at = table + (gva >> level.shift & (1 << level.bits) - 1) * size
                entry = self.entry(rng, has_pae)
                self.memory[at : at + size] = np.frombuffer(entry.to_bytes(size, "little"), "u1")

    @staticmethod
    def entry(rng: Random, has_pae: bool) -> int:
        entry = rng.choice(TABLES)
        if rng.random() < 0.1:
            entry = rng.getrandbits(20) << 12  # mostly where nothing is
        for bit, chance in ((P, 0.9), (W, 0.7), (U, 0.7), (A, 0.5), (D, 0.5), (G, 0.3), (PS, 0.25)):
            entry |= bit if rng.random() < chance else 0
        entry |= rng.choice((0, 0xE00, 0x18))
        if entry & PS and rng.random() < 0.7:
            entry &= ~0x1FF000 if has_pae else ~0x3FF000
        if has_pae and rng.random() < 0.1:
            entry |= 1 << rng.randrange(32, 64)
        return entry

    def pdpte(self, rng: Random) -> int:
        entry = rng.choice(TABLES) | (P if rng.random() < 0.9 else 0) | rng.choice((0, 0xE18))
        return entry | (rng.randrange(16) << 32 if rng.random() < 0.1 else 0)

    def walk(self, gva: int, write: int, user: int) -> int:
        self.core[w.TROUBLE] = 0
        return int(page_walk.walk(self.cpu, self.core, self.ram, self.marks, gva, write, user))

    def probe(self, gva: int, write: int, user: int) -> int:
        return int(page_walk.probe(self.cpu, self.core, self.ram, gva, write, user))


KINDS = {"plain": 0, "pse": PSE, "pge": PSE | PGE, "pae": PAE, "pae_pse": PAE | PSE | PGE}


@pytest.mark.parametrize("kind", KINDS)
def test_every_access_ends_as_the_manual_says(kind):
    rng = Random(f"walk {kind}")
    tables, cr4 = Tables(), KINDS[kind]
    errors, large = set(), 0
    for _ in range(CASES // len(KINDS)):
        gva = rng.getrandbits(32)
        cr0 = PE | (PG if rng.random() < 0.97 else 0) | rng.choice((0, WP))
        cr3 = rng.choice(TABLES) | rng.choice((0, 0x18))
        a20 = rng.random() < 0.8
        pdptes = [tables.pdpte(rng) for _ in range(4)]
        write, user = rng.getrandbits(1), rng.getrandbits(1)
        tables.fill(rng, cr4, gva)
        cpu = tables.cpu
        cpu[state.CR0], cpu[state.CR3], cpu[state.CR4], cpu[state.CR2] = cr0, cr3, cr4, 0
        cpu[state.PDPTE : state.PDPTE + 4] = pdptes
        cpu[state.A20_MASK] = state.A20_HIGH if a20 else state.A20_LOW
        before = tables.memory.copy()
        expected = Manual(before, a20).walk(cr0, cr3, cr4, pdptes, gva, write, user)
        case = f"{gva:#x} cr0={cr0:#x} cr3={cr3:#x} {write} {user} a20={a20}: {expected}"
        probed = tables.probe(gva, write, user)
        assert np.array_equal(tables.memory, before), case
        found = tables.walk(gva, write, user)
        if expected.error is not None:
            errors.add(expected.error)
            assert (probed, found) == (-1 - expected.error, -1), case
            assert (tables.core[w.FAULT_VECTOR], tables.core[w.FAULT_ERROR]) == (
                PF,
                expected.error,
            ), case
            assert cpu[state.CR2] == gva, case
        else:
            large += bool(expected.rights & RIGHT_LARGE)
            assert found & page_walk.FRAME == expected.address & ~0xFFF, case
            assert found & page_walk.RIGHTS == expected.rights, case
            assert probed | (RIGHT_DIRTY if write else 0) == found, case
        for at, entry in (expected.changes or {}).items():
            data = entry.to_bytes(8 if cr4 & PAE else 4, "little")
            before[at : at + len(data)] = np.frombuffer(data, np.uint8)[: len(before) - at]
        assert np.array_equal(tables.memory, before), case
    assert {0, 2, 4, 6, 3, 5, 7} <= errors
    assert (large > 0, bool(errors & {9, 11, 13, 15})) == ((kind != "plain"),) * 2


def load(tables: Tables, cr3: int, entries: list[int]) -> int:
    at = cr3 & ~0x1F
    data = b"".join(entry.to_bytes(8, "little") for entry in entries)
    tables.memory[at : at + 32] = np.frombuffer(data, np.uint8)
    return int(page_walk.load_pdptes(tables.cpu, tables.core, tables.ram, cr3))


def pdptes(tables: Tables) -> list[int]:
    return [int(word) for word in tables.cpu[state.PDPTE : state.PDPTE + 4]]


@pytest.mark.parametrize("bit", range(64))
@pytest.mark.parametrize("present", [0, 1])
def test_pdptes_are_refused_for_reserved_bits_of_present_entries(bit, present):
    """All four registers or none; bits 1, 2, 5 to 8 and 36 to 63 are reserved."""
    tables = Tables()
    entries = [0x100001, 0, 0x7000 | present | 1 << bit, 0xF_0000_0E19]
    is_reserved = bit in (1, 2, 5, 6, 7, 8) or bit >= 36
    is_present = present or bit == 0
    if is_present and is_reserved:
        assert not load(tables, 0x5FE0 | 0x1F, entries)
        assert pdptes(tables) == [0, 0, 0, 0]
    else:
        assert load(tables, 0x5FE0 | 0x1F, entries)
        assert pdptes(tables) == [entry & (1 << 36) - 1 for entry in entries]


def test_pdptes_outside_memory_are_all_ones_and_refused():
    tables = Tables()
    assert not page_walk.load_pdptes(tables.cpu, tables.core, tables.ram, RAM_BYTES)
