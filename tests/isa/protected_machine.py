"""A machine built by hand for tests of the protected-mode functions: no decoder, no interpreter.

Memory: GDT at 0x1000, IDT at 0x2000, LDT at 0x3000, TSS at 0x4000, page directory at 0x8000 and
one page table at 0x9000 (identity, user, writable; used once `enable_paging` was called), stacks
downwards from 0x20000 (ring 3), 0x18000 (ring 0), 0x1A000 (ring 1), 0x1C000 (ring 2).
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from isa import events, paging, records, segmentation, state
from isa import workspace as w
from isa.flags import read_eflags, write_eflags
from isa.generated import columns, forms
from isa.host_calls import refresh
from isa.registers import CS, DS, ES, ESP, FS, GS, LDTR, SS, TR
from isa.specialise import FAMILY
from tests.isa import family_calls

RAM_BYTES = 1 << 20
GDT, IDT, LDT, TSS = 0x1000, 0x2000, 0x3000, 0x4000
DIRECTORY, TABLE = 0x8000, 0x9000
STACKS = (0x18000, 0x1A000, 0x1C000, 0x20000)
CODE = 0x10000

# Descriptor types with S = 1 (bit 4).
DATA_RO, DATA_RW, DATA_RO_DOWN, DATA_RW_DOWN = 0x10, 0x12, 0x14, 0x16
CODE_X, CODE_RX, CODE_X_CONFORMING, CODE_RX_CONFORMING = 0x18, 0x1A, 0x1C, 0x1E
# With S = 0.
TSS16, LDT_TYPE, TSS16_BUSY, CALL16, TASK, INT16, TRAP16 = 1, 2, 3, 4, 5, 6, 7
TSS32, TSS32_BUSY, CALL32, INT32, TRAP32 = 9, 11, 12, 14, 15

# Selectors of the standard table, by privilege level (without RPL).
CODES = (0x08, 0x18, 0x28, 0x38)
DATAS = (0x10, 0x20, 0x30, 0x40)
TSS_SELECTOR = 0x48
FREE = 0x80  # first selector the standard table leaves to tests


def descriptor(
    base: int = 0,
    limit: int = 0xFFFFF,
    kind: int = DATA_RW,
    dpl: int = 0,
    *,
    present: int = 1,
    big: int = 1,
    pages: int = 1,
    accessed: int = 1,
) -> tuple[int, int]:
    """A code, data or system descriptor as its two doublewords."""
    if kind & 0x10:
        kind |= accessed
    low = (base & 0xFFFF) << 16 | limit & 0xFFFF
    high = base & 0xFF000000 | base >> 16 & 0xFF | limit & 0xF0000
    high |= kind << 8 | dpl << 13 | present << 15 | big << 22 | pages << 23
    return low, high


def gate(
    selector: int, offset: int, kind: int, dpl: int = 0, *, present: int = 1, count: int = 0
) -> tuple[int, int]:
    """A call, interrupt, trap or task gate as its two doublewords."""
    low = selector << 16 | offset & 0xFFFF
    return low, offset & 0xFFFF0000 | present << 15 | dpl << 13 | kind << 8 | count


class ProtectedMachine:
    """State, workspace, memory and marks, with a standard set of descriptor tables."""

    def __init__(self) -> None:
        self.cpu = state.new_state()
        self.core = w.new_workspace(RAM_BYTES)
        self.ram = np.zeros(RAM_BYTES + w.FETCH_BUFFER_BYTES, np.uint8)
        self.marks = np.zeros(RAM_BYTES + (RAM_BYTES >> 12), np.uint8)
        self.cpu[state.GDTR_BASE] = GDT
        self.cpu[state.GDTR_LIMIT] = 0x1FF
        self.cpu[state.IDTR_BASE] = IDT
        self.cpu[state.IDTR_LIMIT] = 0x7FF
        self.describe(0, descriptor(kind=CODE_RX))  # must never be looked at
        for level in range(4):
            self.describe(CODES[level], descriptor(kind=CODE_RX, dpl=level))
            self.describe(DATAS[level], descriptor(kind=DATA_RW, dpl=level))
        self.describe(TSS_SELECTOR, descriptor(TSS, 0x67, TSS32_BUSY, big=0, pages=0, accessed=0))
        for level in range(3):
            self.poke(TSS + 4 + 8 * level, STACKS[level])
            self.poke(TSS + 8 + 8 * level, DATAS[level] | level)
        self.fill(TR, TSS_SELECTOR)
        for segment in (ES, SS, DS, FS, GS):
            self.fill(segment, DATAS[0])
        self.fill(CS, CODES[0])
        self.cpu[state.GPR + ESP] = STACKS[0]
        self.cpu[state.EIP] = CODE
        self.core[w.NEXT_EIP] = CODE + 2
        refresh(self.cpu, self.core)

    @property
    def arrays(self) -> tuple[Any, Any, Any, Any]:
        return self.cpu, self.core, self.ram, self.marks

    # --- memory ---

    def peek(self, address: int, size: int = 4) -> int:
        return int.from_bytes(self.ram[address : address + size].tobytes(), "little")

    def poke(self, address: int, value: int, size: int = 4) -> None:
        data = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        self.ram[address : address + size] = np.frombuffer(data, np.uint8)

    def describe(self, selector: int, words: tuple[int, int]) -> None:
        """Write a descriptor into the table the selector means."""
        at = (LDT if selector & 4 else GDT) + (selector & 0xFFF8)
        self.poke(at, words[0])
        self.poke(at + 4, words[1])

    def gate(self, vector: int, words: tuple[int, int]) -> None:
        self.poke(IDT + vector * 8, words[0])
        self.poke(IDT + vector * 8 + 4, words[1])

    def descriptor_type(self, selector: int) -> int:
        at = (LDT if selector & 4 else GDT) + (selector & 0xFFF8)
        return self.peek(at + 5, 1) & 0x1F

    # --- registers ---

    def fill(self, segment: int, selector: int) -> None:
        """Load a segment cache from memory without any check."""
        at = (LDT if selector & 4 else GDT) + (selector & 0xFFF8)
        low, high = self.peek(at), self.peek(at + 4)
        self.cpu[state.SELECTOR + segment] = selector
        self.cpu[state.BASE + segment] = segmentation.base_of(low, high)
        self.cpu[state.LIMIT + segment] = segmentation.limit_of(low, high)
        self.cpu[state.ATTRIBUTES + segment] = segmentation.attributes_of(high)

    def use_ldt(self, limit: int = 0xFF) -> None:
        self.cpu[state.SELECTOR + LDTR] = 0x50
        self.cpu[state.BASE + LDTR] = LDT
        self.cpu[state.LIMIT + LDTR] = limit
        self.cpu[state.ATTRIBUTES + LDTR] = 0x82

    def set_level(self, level: int) -> None:
        """Continue at another privilege level with the standard segments and stack of it."""
        self.cpu[state.CPL] = level
        self.fill(CS, CODES[level] | level)
        for segment in (ES, SS, DS, FS, GS):
            self.fill(segment, DATAS[level] | level)
        self.cpu[state.GPR + ESP] = STACKS[level]
        refresh(self.cpu, self.core)

    def enter_real_mode(self) -> None:
        """Real mode as after reset: base 16 times the selector, limits of 64 KiB."""
        self.cpu[state.CR0] &= ~1
        self.cpu[state.IDTR_BASE] = 0
        self.cpu[state.IDTR_LIMIT] = 0x3FF
        for segment in range(6):
            self.cpu[state.SELECTOR + segment] = 0
            self.cpu[state.BASE + segment] = 0
            self.cpu[state.LIMIT + segment] = 0xFFFF
            self.cpu[state.ATTRIBUTES + segment] = 0x93
        self.cpu[state.GPR + ESP] = 0x8000
        self.cpu[state.EIP] = 0x500
        self.core[w.NEXT_EIP] = 0x502
        refresh(self.cpu, self.core)

    def enter_v86(self, iopl: int = 0) -> None:
        """Virtual-8086 mode with CS = 0x100, SS = 0x200, data segments 0x300."""
        self.eflags = 0x20002 | iopl << 12
        self.cpu[state.CPL] = 3
        for segment in range(6):
            selector = {CS: 0x100, SS: 0x200}.get(segment, 0x300)
            self.cpu[state.SELECTOR + segment] = selector
            self.cpu[state.BASE + segment] = selector << 4
            self.cpu[state.LIMIT + segment] = 0xFFFF
            self.cpu[state.ATTRIBUTES + segment] = 0xF3
        self.cpu[state.GPR + ESP] = 0x1000
        self.cpu[state.EIP] = 0x20
        self.core[w.NEXT_EIP] = 0x22
        refresh(self.cpu, self.core)

    @property
    def eflags(self) -> int:
        return int(read_eflags(self.cpu, self.core))

    @eflags.setter
    def eflags(self, value: int) -> None:
        write_eflags(self.cpu, self.core, value)

    @property
    def level(self) -> int:
        return int(self.cpu[state.CPL])

    @property
    def eip(self) -> int:
        return int(self.cpu[state.EIP])

    @property
    def esp(self) -> int:
        return int(self.cpu[state.GPR + ESP])

    def selector(self, segment: int) -> int:
        return int(self.cpu[state.SELECTOR + segment])

    # --- paging ---

    def enable_paging(self) -> None:
        """Identity-map the first 4 MiB for everybody."""
        self.poke(DIRECTORY, TABLE | 7)
        for page in range(1024):
            self.poke(TABLE + 4 * page, page << 12 | 7)
        self.cpu[state.CR3] = DIRECTORY
        self.cpu[state.CR0] |= 0x80010000
        paging.flush_tlb(self.core)

    def map_page(self, address: int, rights: int) -> None:
        """Change the rights (the low bits) of one page."""
        self.poke(TABLE + 4 * (address >> 12), address & ~0xFFF | rights)
        paging.flush_tlb(self.core)

    # --- instructions ---

    def record(
        self,
        form: int,
        *,
        a: int = 0,
        b: int = 0,
        memory: int | None = None,
        segment: int = DS,
        immediate: int = 0,
        second: int = 0,
    ) -> int:
        """Write the operation record of one instruction; `memory` is the offset of its operand."""
        head = (
            int(FAMILY[form])
            | form << records.FORM_SHIFT
            | a << records.A_SHIFT
            | b << records.B_SHIFT
        )
        head |= records.NO_REGISTER << records.BASE_SHIFT
        head |= records.NO_REGISTER << records.INDEX_SHIFT
        head |= segment << records.SEGMENT_SHIFT | records.ADDRESS32
        if columns.OPSIZE[form] != 16:
            head |= records.OPERAND32
        if memory is not None:
            head |= records.MEMORY
        at = w.OPS + 4 * w.SCRATCH_RECORDS
        self.core[at : at + 4] = head, memory or 0, immediate, second
        return at

    def execute(self, name: str, **fields: Any) -> int:
        """Execute one instruction given by the name of its form; the status."""
        form = getattr(forms, f"F_{name}")
        at = self.record(form, **fields)
        self.core[w.TROUBLE] = 0
        refresh(self.cpu, self.core)  # tests change segment caches by hand
        status = family_calls.execute(*self.arrays, at)
        self.check_derived()
        return int(status)

    def check_derived(self) -> None:
        """Assert that what decoding depends on was brought up to date."""
        derived = (w.MODE, w.TLB_HALF, w.FLAT_LAST_PAGE)
        before = [int(self.core[at]) for at in derived]
        refresh(self.cpu, self.core)
        assert before == [int(self.core[at]) for at in derived], "modes.refresh is missing"

    # --- outcomes ---

    @property
    def exit(self) -> tuple[int, int, int, int] | None:
        """(reason, A, B, C) of the recorded exit."""
        if self.core[w.TROUBLE] != w.EXIT:
            return None
        at = w.EXIT_REASON
        reason, a, b, c = (int(word) for word in self.core[at : at + 4])
        return reason, a, b, c

    @property
    def trouble(self) -> tuple[int, int] | None:
        """(vector, error code) of the recorded fault."""
        if self.core[w.TROUBLE] != w.FAULT:
            return None
        return int(self.core[w.FAULT_VECTOR]), int(self.core[w.FAULT_ERROR])

    def deliver(self, vector: int, error: int = -1, kind: int = events.HARDWARE) -> int:
        refresh(self.cpu, self.core)
        status = family_calls.deliver(*self.arrays, vector, error, kind)
        self.check_derived()
        return int(status)

    def snapshot(self) -> bytes:
        """Architectural state and memory, for "nothing has changed"."""
        return self.cpu.tobytes() + self.eflags.to_bytes(4, "little")

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[None]:
        """Assert that registers and memory stay as they are, CR2 apart.

        Page-table bits and cycle counts may change: a walk is not undone when a fault follows.
        """
        cr2, cycles = self.cpu[state.CR2], self.cpu[state.CYCLES]
        before, memory = self.snapshot(), self.ram.copy()
        yield
        memory[DIRECTORY : TABLE + 0x1000] = self.ram[DIRECTORY : TABLE + 0x1000]
        assert np.array_equal(memory, self.ram), "memory has changed"
        now_cr2, now_cycles = self.cpu[state.CR2], self.cpu[state.CYCLES]
        self.cpu[state.CR2], self.cpu[state.CYCLES] = cr2, cycles
        assert self.snapshot() == before, "registers have changed"
        self.cpu[state.CR2], self.cpu[state.CYCLES] = now_cr2, now_cycles
