"""Paging and privilege against Unicorn: loads, stores and fetches through random page tables.

Compared: fault or not, CR2, registers, memory, accessed and dirty bits. Those bits are not compared
after a fault: whether an access that fails in its second page has used the entries of the first is
up to the processor, and so is which of two faulting pages comes first. Error codes, which Unicorn
does not show, are tested in tests/isa/test_page_walk.py; so are the bits that are reserved here and
not there, because Unicorn's processor has PAT and PSE-36.
"""

from __future__ import annotations

import os
import struct
from random import Random

import numpy as np
import pytest

from isa import state
from isa.exits import Exit
from isa.host_calls import refresh
from isa.jit import ENABLED
from isa.page_walk import walk
from isa.processor import Processor
from isa.registers import ATTR_DPL_SHIFT, CS
from isa.vectors import GP, PF
from tests.case_count import count_case
from tests.oracles.instruction_cases import number
from tests.oracles.unicorn_machine import CR0, CR2, CR3, CR4, UnicornMachine

pytestmark = pytest.mark.oracle

CASES = int(os.environ.get("TRAPGATE_ORACLE_CASES", "25" if ENABLED else "5")) * 40
RAM_BYTES = 1 << 20
GDT, FRAME, CODE = 0x1000, 0x3000, 0x10000
NOWHERE = CODE + 0x900  # mapped, and never reached
DIRECTORY, OWN_TABLE, TABLE = 0x8000, 0x9000, 0xA000
PAGES, FRAMES = 4, 0x50000
REGION = 0x800000  # directory entry 2: four pages with random entries
LARGE = 0xC00000  # directory entry 3: a large page, when CR4.PSE is set
P, W, U, A, D, PS, G = 1, 2, 4, 0x20, 0x40, 0x80, 0x100
PSE, PAE, PGE = 1 << 4, 1 << 5, 1 << 7
POINTERS = 0x2000  # of PAE
SELECTORS = {0: (0x10, 0x08), 3: (0x23, 0x1B)}
INSTRUCTIONS = {
    "load8": ("8A 06", 1),
    "load16": ("66 8B 06", 2),
    "load32": ("8B 06", 4),
    "store8": ("88 06", 1),
    "store16": ("66 89 06", 2),
    "store32": ("89 06", 4),
    "add": ("01 06", 4),
    "add8": ("00 06", 1),
    "compare": ("39 06", 4),
    "exchange": ("87 06", 4),
    "push_memory": ("FF 36", 4),
    "pop_memory": ("8F 06", 4),
    "movs": ("A5", 4),
    "stos": ("AB", 4),
    "lods": ("AD", 4),
    "cmps": ("A7", 4),
    "scas": ("AF", 4),
    "setcc": ("0F 92 06", 1),
    "xadd": ("0F C1 06", 4),
    "cmpxchg": ("0F B1 0E", 4),
    "cmpxchg8b": ("0F C7 0E", 8),
    "bts": ("0F BA 2E 03", 4),
    "jump": ("FF E6", 1),
    "rep_movs": ("F3 A4", 40),
    "rep_stos": ("F3 AB", 40),
}


def gdt() -> list[int]:
    """Null, code and data of ring 0, code and data of ring 3; all flat."""
    kinds = ((0x1B, 0), (0x13, 0), (0x1B, 3), (0x13, 3))
    words = [(0xCF0000 | 0x8000 | dpl << 13 | kind << 8) << 32 | 0xFFFF for kind, dpl in kinds]
    return [0, *words]


class PagedPair:
    """Both processors at one privilege level, with the same page tables."""

    root = DIRECTORY
    entry_format = "I"
    always = 0  # bits of CR4
    # Where the entries of the region and of the large page are.
    region_entry, large_entry = DIRECTORY + 8, DIRECTORY + 12
    reserved_in_large = (0x200000,)

    def __init__(self, level: int) -> None:
        self.level = level
        self.ours = Processor(RAM_BYTES)
        self.other = UnicornMachine(RAM_BYTES)
        data, code = SELECTORS[level]
        self._write_tables()
        self._enter(data, code)
        cpu = self.ours.cpu
        cpu[state.IDTR_LIMIT] = 0
        for segment in range(6):
            cpu[state.SELECTOR + segment] = code if segment == CS else data
            cpu[state.ATTRIBUTES + segment] |= level << ATTR_DPL_SHIFT
        cpu[state.CR3] = self.root
        cpu[state.PDPTE] = DIRECTORY | P
        cpu[state.CPL] = level
        self.setup = cpu.copy()

    def write(self, address: int, data: bytes) -> None:
        self.ours.write_physical(address, data)
        self.other.write(address, data)

    def _write_tables(self) -> None:
        entries = [page << 12 | P | W | U for page in range(256)]
        self.write_entries(OWN_TABLE, *entries)
        self.write_entries(DIRECTORY, OWN_TABLE | P | W | U)

    def write_entries(self, address: int, *entries: int) -> None:
        """Entries of a paging structure in this pair's format."""
        self.write(address, struct.pack(f"<{len(entries)}{self.entry_format}", *entries))

    def _enter(self, data: int, code: int) -> None:
        """Let Unicorn's processor IRET to its level, through a GDT, before paging is on."""
        other = self.other
        other.use_gdt(GDT, gdt())
        for segment in range(6):
            other.load_segment(segment, 0x08 if segment == CS else 0x10)
        other.write(FRAME, struct.pack("<5I", CODE, code, 2, 0x7000, data))
        other.write(CODE, b"\xcf")
        other.keep_setup()
        other.set_registers([0, 0, 0, 0, FRAME, 0, 0, 0], 2)
        assert other.run(CODE, NOWHERE, 1) is None
        if self.level == 3:
            for segment in (0, 3, 4, 5):
                other.load_segment(segment, data)
        other.set(CR3, self.root)
        other.keep_setup()

    def tables(self, rng: Random, has_large: bool) -> None:
        """Random entries of the region: mostly usable ones."""
        directory = (
            TABLE | P | rng.choice((0, W, W, W)) | rng.choice((0, U, U, U)) | rng.choice((0, A))
        )
        if rng.random() < 0.05:
            directory &= ~P
        entries = []
        for page in range(PAGES):
            frame = FRAMES + 0x1000 * rng.choice((page, rng.randrange(PAGES)))
            entry = frame | rng.choice((0, P, P, P)) | rng.choice((0, W, W)) | rng.choice((0, U, U))
            entry |= rng.choice((0, G)) | self.spoilt(rng, ())
            entries.append(entry | rng.choice((0, A)) | rng.choice((0, D)) | rng.choice((0, 0xE00)))
        self.write_entries(TABLE, *entries)
        large = P | PS | rng.choice((0, W)) | rng.choice((0, U)) | rng.choice((0, A, A | D))
        large |= rng.choice((0, G)) | self.spoilt(rng, self.reserved_in_large if has_large else ())
        self.write_entries(self.region_entry, directory | self.spoilt(rng, ()))
        self.write_entries(self.large_entry, large)
        self.write(FRAMES, rng.randbytes(0x1000) * PAGES)
        for frame in range(PAGES):
            self.write(FRAMES + 0x1000 * frame + 0x800, b"\x43" * 64)  # INC EBX, for jumps

    def spoilt(self, rng: Random, reserved: tuple[int, ...]) -> int:
        """Seldom one of the reserved bits."""
        return rng.choice(reserved) if reserved and rng.random() < 0.1 else 0

    def run(self, rng: Random, name: str) -> list[str]:
        """One instruction on both; what differs."""
        code, size = INSTRUCTIONS[name]
        data = bytes.fromhex(code)
        cr4 = self.always | rng.choice((0, PSE)) | rng.choice((0, PGE))
        self.tables(rng, bool(cr4 & (PSE | PAE)))
        self.write(CODE, data + b"\xf4" * 4)
        registers = [number(rng) for _ in range(8)]
        registers[4] = 0x7000
        for register in (6, 7):
            registers[register] = self.place(rng, size, name)
        if name.startswith("rep_"):
            registers[1] = 40 // (4 if name == "rep_stos" else 1)
        cr0 = 0x80000011 | rng.choice((0, 1 << 16))
        count = 2 if name == "jump" else 1  # also what it leads to: INC EBX
        until = registers[6] + 1 if name == "jump" else CODE + len(data)
        expected = self._run_other(registers, cr0, cr4, until)
        found = self._run_ours(registers, cr0, cr4, count)
        return self._compare(expected, found, registers)

    def place(self, rng: Random, size: int, name: str) -> int:
        """An address in the region, often one whose access crosses a page."""
        if name == "jump":
            return REGION + 0x1000 * rng.randrange(PAGES) + 0x800
        if rng.random() < 0.1:
            return LARGE + FRAMES + rng.randrange(0x1000)
        page = REGION + 0x1000 * rng.randrange(PAGES - 1)
        return page + rng.choice((rng.randrange(0x1000), 0x1000 - rng.randrange(1, size + 1)))

    def _run_other(self, registers: list[int], cr0: int, cr4: int, until: int) -> int | None:
        other = self.other
        other.forget_code()
        other.set_registers(registers, 2)
        other.set(CR0, cr0)
        other.set(CR4, cr4)
        other.set(CR2, 0)
        other.forget_translations()
        return other.run(CODE, until)

    def _run_ours(self, registers: list[int], cr0: int, cr4: int, count: int = 1) -> int | None:
        ours = self.ours
        ours.cpu[:] = self.setup
        ours.cpu[state.CR0], ours.cpu[state.CR4], ours.cpu[state.CR2] = cr0, cr4, 0
        ours.gpr[:] = registers
        ours.eip = CODE
        ours.drop_derived()
        refresh(ours.cpu, ours.core)
        reason = ours.run(count)
        assert reason in (Exit.BUDGET, Exit.SHUTDOWN), reason
        return ours.detail[0] if reason == Exit.SHUTDOWN else None

    def also_faults(self, address: int) -> bool:
        """Whether a store to an address faults: which of two faults comes first is not defined."""
        if address == self.ours.cr2:
            return True
        arrays = self.ours.cpu, self.ours.core, self.ours.ram, self.ours.marks
        return int(walk(*arrays, address, 1, int(self.level == 3))) < 0

    def _compare(self, expected: int | None, found: int | None, registers: list[int]) -> list[str]:
        general, eip, _ = self.other.registers()
        problems = []
        if found != expected:
            problems.append(f"fault {found}, Unicorn {expected}")
        if self.ours.eip != eip:
            problems.append(f"eip {self.ours.eip:#x}, Unicorn {eip:#x}")
        mine = [int(value) for value in self.ours.gpr]
        if mine != general:
            problems.append(f"registers {mine}, Unicorn {general}, before {registers}")
        if found == PF and not self.also_faults(self.other.read(CR2)):
            problems.append(f"cr2 {self.ours.cr2:#x}, Unicorn {self.other.read(CR2):#x}")
        ours, other = self.ours.memory.copy(), self.other.memory.copy()
        if found is not None:
            size = struct.calcsize(self.entry_format)
            table = range(TABLE, TABLE + size * PAGES, size)
            for entry in (self.region_entry, self.large_entry, *table):
                ours[entry] |= A | D
                other[entry] |= A | D
        ours[GDT:CODE][: DIRECTORY - GDT] = other[GDT:DIRECTORY]
        differing = np.flatnonzero(ours != other)
        problems += [f"[{a:#x}] {ours[a]:#x}, Unicorn {other[a]:#x}" for a in differing[:6]]
        return problems


class PaePair(PagedPair):
    """With the tables of PAE: a large page has 2 MiB."""

    root = POINTERS
    entry_format = "Q"
    always = PAE
    region_entry, large_entry = DIRECTORY + 8 * (REGION >> 21), DIRECTORY + 8 * (LARGE >> 21)
    reserved_in_large = (1 << 13, 1 << 20)

    def _write_tables(self) -> None:
        super()._write_tables()
        self.write_entries(POINTERS, DIRECTORY | P, 0, 0, 0)

    def spoilt(self, rng: Random, reserved: tuple[int, ...]) -> int:
        return super().spoilt(rng, (*reserved, 1 << 63, 1 << 62, 1 << 52, 1 << 40))


PAIRS = {
    f"{name}_ring{level}": (kind, level)
    for name, kind in (("two_levels", PagedPair), ("pae", PaePair))
    for level in (0, 3)
}


@pytest.fixture(scope="module", params=PAIRS.values(), ids=PAIRS)
def pair(request):
    kind, level = request.param
    return kind(level)


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_accesses_through_random_tables(pair, name):
    rng = Random(f"{name} {pair.level} {pair.entry_format}")
    problems = []
    for _ in range(max(CASES // len(INSTRUCTIONS), 2)):
        found = pair.run(rng, name)
        count_case()
        if found:
            problems.append(f"{name}: " + "; ".join(found))
    assert not problems, "\n".join(problems[:8])


@pytest.mark.parametrize(
    "code",
    ["FA", "FB", "F4", "0F 01 16", "0F 01 1E", "0F 00 16", "0F 00 1E", "0F 20 C0", "0F 22 C0",
     "0F 22 D8", "0F 21 C0", "0F 23 C0", "0F 06", "0F 01 F0", "0F 01 3E", "0F 08", "0F 09", "0F 30",
     "0F 32"],
)  # fmt: skip
def test_privileged_instructions_fault_in_ring_3(code):
    """Without the port instructions, which Unicorn lets through."""
    pair = PagedPair(3)
    pair.write(CODE, bytes.fromhex(code) + b"\xf4")
    registers = [0, 0, 0x60, 0, 0x7000, 0, FRAMES, FRAMES]
    assert pair._run_other(registers, 0x80000011, 0, NOWHERE) == GP
    assert pair._run_ours(registers, 0x80000011, 0) == GP
    assert [int(value) for value in pair.ours.gpr] == registers
