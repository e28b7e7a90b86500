"""The two worlds, monitor and guest, and the gate between them.

Everything here is what ring-0 software sets up on a real machine: a GDT, an IDT, a TSS, a stack, a
page of code, page tables. Control leaves the guest only by a gate of the real IDT. Each gate leads
to a stub that hands over to the monitor, and whose IRET leads back (hypervisor.trap_stubs).

Source: SDM vol. 3A, "Interrupt Descriptor Table", "Task-State Segment (TSS)", "Stack Usage on
Transfers to Interrupt or Exception-Handling Routines".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from hypervisor.addresses import ENTRIES, PAGE_SHIFT, Gva, Hpa
from hypervisor.descriptors import FLAT_CODE, FLAT_DATA, TYPE_LDT, TYPE_TSS32, Segment, pack
from hypervisor.frame_pool import FramePool, Words
from hypervisor.ring_compression import layout
from hypervisor.trap_stubs import WAY_BACK, write_stubs
from isa import state
from isa.exits import Exit
from isa.features import defined_cr4
from isa.machine import Machine
from isa.registers import (
    ATTR_P,
    CR0_ET,
    CR0_PE,
    CR0_PG,
    CR0_WP,
    CR4_TSD,
    DR6_BS,
    DR6_FIXED,
    ESP,
    PTE_A,
    PTE_D,
    PTE_P,
    PTE_W,
    SS,
)
from isa.workspace import PAGE_HAS_CODE

_FRAME: Final = struct.Struct("<6I")
_FRAME_AT: Final = layout.STACK_TOP_HPA - _FRAME.size
_FRAME_GVA: Final = layout.linear(_FRAME_AT)
_IO_MAP_AT: Final = 104
_TSS_BYTES: Final = _IO_MAP_AT + 8192 + 1

_MOST_SINGLE_FLUSHES: Final = 8


class Frame(NamedTuple):
    """What a gate has pushed, in the order of memory."""

    error: int
    eip: int
    cs: int
    eflags: int
    esp: int
    ss: int


def _pte(hpa: int) -> int:
    return hpa | PTE_P | PTE_W | PTE_A | PTE_D


class World:
    """The machine as the monitor has set it up."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.processor = machine.processor
        self._ram = memoryview(self.processor.memory.data)
        # Single words of an array are read and written faster through a memoryview.
        self.cpu = memoryview(self.processor.cpu.data)
        self._page_flags = memoryview(self.processor.marks.data)[self.processor.ram_bytes :]
        self.words: Words = self.processor.memory.view(np.uint32)
        self._root = -1
        self._cr0 = 0
        self._cr4 = 0
        self._known_cr4 = defined_cr4(self.processor.model.features)
        self._has_ldt = False
        self._stale: list[Gva] = []
        self._all_stale = False
        pool_frames = range(layout.POOL_HPA >> PAGE_SHIFT, layout.GUEST_FIRST_FRAME)
        self.pool = FramePool(self.words, pool_frames)

    # --- building ------------------------------------------------------------------------------

    def build(self) -> None:
        """Write the monitor's structures into machine memory."""
        self._write_gdt()
        write_stubs(
            self.processor,
            layout.linear,
            layout.STUBS_HPA,
            layout.IDT_HPA,
            layout.CODE_SELECTOR,
        )
        self._write_tss()
        self.fill_open_bus()
        first = (layout.MONITOR_TABLE_HPA >> PAGE_SHIFT) * ENTRIES
        for page in range(ENTRIES):
            self.words[first + page] = _pte(page << PAGE_SHIFT)

    @property
    def monitor_entry(self) -> tuple[int, int]:
        """Index and value of the directory entry that maps the monitor: not for ring 3."""
        return layout.MONITOR_DIRECTORY_INDEX, _pte(layout.MONITOR_TABLE_HPA)

    def _write_gdt(self) -> None:
        self.set_descriptor(layout.CODE_SELECTOR, *pack(0, 0xFFFFFFFF, FLAT_CODE))
        self.set_descriptor(layout.DATA_SELECTOR, *pack(0, 0xFFFFFFFF, FLAT_DATA))
        tss = layout.linear(layout.TSS_HPA)
        self.set_descriptor(layout.TSS_SELECTOR, *pack(tss, _TSS_BYTES - 1, ATTR_P | TYPE_TSS32))
        ldt = layout.linear(layout.LDT_HPA)
        limit = layout.TABLE_BYTES - 1
        self.set_descriptor(layout.LDT_SELECTOR, *pack(ldt, limit, ATTR_P | TYPE_LDT))

    def _write_tss(self) -> None:
        """A stack for ring 0, and an I/O bit map that allows no port to anybody."""
        at = layout.TSS_HPA
        struct.pack_into("<2I", self._ram, at + 4, layout.linear(layout.STACK_TOP_HPA), 0)
        struct.pack_into("<I", self._ram, at + 8, layout.DATA_SELECTOR)
        struct.pack_into("<H", self._ram, at + 102, _IO_MAP_AT)
        self._ram[at + _IO_MAP_AT : at + _TSS_BYTES] = b"\xff" * (_TSS_BYTES - _IO_MAP_AT)

    def fill_open_bus(self) -> None:
        """Make the frame that stands for addresses without memory read as all ones."""
        first = layout.OPEN_BUS_HPA // 4
        self.words[first : first + ENTRIES] = 0xFFFFFFFF

    def start(self, root: Hpa) -> None:
        """Switch the machine over: its tables and paging are the monitor's from here on."""
        processor = self.processor
        self.set_root(root)
        self.set_guest_bits(0, 0)
        processor.lgdt(layout.linear(layout.GDT_HPA), layout.TABLE_BYTES - 1)
        processor.lidt(layout.linear(layout.IDT_HPA), 256 * 8 - 1)
        processor.ltr(layout.TSS_SELECTOR)
        processor.load_segment(SS, layout.DATA_SELECTOR)
        processor.gpr[ESP] = _FRAME_GVA
        processor.eip = layout.linear(layout.STUBS_HPA) + WAY_BACK

    def write_memory(self, hpa: int, data: bytes) -> None:
        """Store bytes within one page; the machine forgets code that it has decoded from there."""
        if self._page_flags[hpa >> PAGE_SHIFT] & PAGE_HAS_CODE:
            self.processor.write_physical(hpa, data)
        else:
            self._ram[hpa : hpa + len(data)] = data

    # --- descriptors ---------------------------------------------------------------------------

    def set_descriptor(self, selector: int, low: int, high: int) -> None:
        """Set an entry of the real GDT, or of the real LDT by the selector's TI bit."""
        table = layout.LDT_HPA if selector & 4 else layout.GDT_HPA
        at = (table + (selector & 0xFFF8)) // 4
        self.words[at] = low
        self.words[at + 1] = high

    def load_local_table(self, *, is_present: bool) -> None:
        """Let the real LDT be in force while the guest believes in one of its own."""
        if is_present != self._has_ldt:
            self._has_ldt = is_present
            self.processor.lldt(layout.LDT_SELECTOR if is_present else 0)

    @property
    def segment_registers(self) -> bytes:
        """All segment registers at once, only to see whether they have changed."""
        return self.cpu[state.SELECTOR : state.ATTRIBUTES + 8].tobytes()

    def data_segment(self, register: int) -> Segment:
        """What is in ES, DS, FS or GS, which no gate changes.

        The hidden part is read too. Silicon offers no instruction for that: a monitor there infers
        it from the tables, and gives up direct execution when it cannot.
        """
        cpu = self.cpu
        return Segment(
            cpu[state.SELECTOR + register],
            cpu[state.BASE + register],
            cpu[state.LIMIT + register],
            cpu[state.ATTRIBUTES + register],
        )

    def load_data_segment(self, register: int, selector: int) -> None:
        """Load ES, DS, FS or GS through the real tables."""
        self.processor.load_segment(register, selector)

    def load_undescribed(self, register: int, selector: int, low: int, high: int) -> None:
        """Load ES, DS, FS or GS with a descriptor that is in the real tables for a moment only."""
        self.set_descriptor(selector, low, high)
        self.processor.load_segment(register, selector)
        self.set_descriptor(selector, 0, 0)

    def set_apic_base(self, value: int) -> None:
        """Let CPUID say of the local APIC what it would say on the guest's own machine."""
        self.cpu[state.APIC_BASE] = value

    # --- translation ---------------------------------------------------------------------------

    def set_root(self, root: Hpa) -> None:
        """Load CR3 if it is not what it should be."""
        if root != self._root:
            self._root = root
            self.processor.load_cr3(root)
            self._stale.clear()
            self._all_stale = False

    def set_guest_bits(self, cr0: int, cr4: int) -> None:
        """Set those bits of CR0 and CR4 that act alike on guest and machine.

        The rest is the monitor's: paging with write protection, and RDTSC for ring 0 only, where
        there is such an instruction.
        """
        cr0 |= CR0_PE | CR0_ET | CR0_WP | CR0_PG
        if cr0 != self._cr0:
            self._cr0 = cr0
            self.processor.load_cr0(cr0)
        cr4 |= CR4_TSD & self._known_cr4
        if cr4 != self._cr4:
            self._cr4 = cr4
            self.processor.load_cr4(cr4)

    def flush(self, gva: Gva | None) -> None:
        """Remember that the machine may have cached what is no longer true (None: of any page)."""
        if gva is None or len(self._stale) >= _MOST_SINGLE_FLUSHES:
            self._all_stale = True
        else:
            self._stale.append(gva)

    def _flush_stale(self) -> None:
        if self._all_stale:
            self.processor.load_cr3(self._root)
        else:
            for gva in self._stale:
                self.processor.invlpg(gva)
        self._stale.clear()
        self._all_stale = False

    # --- crossing ------------------------------------------------------------------------------

    def resume(self, gpr: Sequence[int], frame: Frame) -> None:
        """Make the stub's IRET lead to where the frame says, with these general registers."""
        if self._all_stale or self._stale:
            self._flush_stale()
        for register, value in enumerate(gpr, state.GPR):
            self.cpu[register] = value
        self.cpu[state.GPR + ESP] = _FRAME_GVA
        _FRAME.pack_into(self._ram, _FRAME_AT, *frame)

    @property
    def general_registers(self) -> list[int]:
        """The guest's general registers, ESP excepted: that is in the frame."""
        return self.cpu[state.GPR : state.GPR + 8].tolist()

    @property
    def page_fault_address(self) -> Gva:
        """CR2."""
        return Gva(self.cpu[state.CR2])

    def take_single_step(self) -> bool:
        """Whether the last #DB was a single step; DR6 is cleared, as a handler should."""
        single = bool(self.cpu[state.DR + 6] & DR6_BS)
        self.cpu[state.DR + 6] = DR6_FIXED
        return single

    @property
    def outer_retired(self) -> int:
        """The performance counter: instructions retired outside ring 0."""
        cpu = self.cpu
        return cpu[state.RETIRED + 1] + cpu[state.RETIRED + 2] + cpu[state.RETIRED + 3]

    def run(self) -> int | None:
        """Let the machine run; the vector by which it came back, or None if it takes long.

        The guest can bring about nothing else: whatever else happens is an error of the monitor.
        """
        reason = self.machine.run()
        if reason in (Exit.BUDGET, Exit.YIELD):
            return None
        if reason is not Exit.TRAPDOOR or self.cpu[state.GPR + ESP] != _FRAME_GVA:
            raise AssertionError(f"the monitor's own code came to {reason.name}")
        return int(self.processor.detail[0])

    def frame(self) -> Frame:
        """The frame of the gate by which the guest was left."""
        return Frame(*_FRAME.unpack_from(self._ram, _FRAME_AT))
