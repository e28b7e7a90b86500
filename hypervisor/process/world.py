"""The machine as the process monitor sets it up, and the gate between program and monitor.

What a kernel sets up on a real machine is set up here: a GDT, an IDT, a TSS, a stack, a page of
code, page tables. The program runs in ring 3; control leaves it only by a gate of the IDT: INT 80h
(and INT3, INTO) by its own will, an exception, or the interrupt of the performance counter. Each
gate leads to a stub that hands over, and whose IRET leads back (hypervisor.trap_stubs).

Source: SDM vol. 3A, "Interrupt Descriptor Table", "Task-State Segment (TSS)", "Stack Usage on
Transfers to Interrupt or Exception-Handling Routines".
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

import numpy as np

from hypervisor.addresses import PAGE_BYTES, PAGE_SHIFT
from hypervisor.descriptors import FLAT_CODE, FLAT_DATA, TYPE_TSS32, pack
from hypervisor.process import layout
from hypervisor.trap_stubs import WAY_BACK, write_stubs
from isa import state, vectors
from isa.costs import Costs
from isa.cpu_models import CpuModel
from isa.exits import Exit
from isa.machine import Machine
from isa.registers import (
    ATTR_DPL_SHIFT,
    ATTR_P,
    CR0_AM,
    CR0_EM,
    CR0_ET,
    CR0_NE,
    CR0_PE,
    CR0_PG,
    CR0_WP,
    CS,
    DR6_FIXED,
    EFLAGS_FIXED,
    EFLAGS_IF,
    ESP,
    FS,
    GS,
    PTE_A,
    PTE_D,
    PTE_P,
    PTE_W,
    SS,
)
from isa.workspace import PAGE_HAS_CODE

_FRAME_BYTES: Final = 24
_FRAME_HPA: Final = layout.STACK_TOP_HPA - _FRAME_BYTES
_FRAME_GVA: Final = layout.linear(_FRAME_HPA)
_FRAME_WORD: Final = _FRAME_HPA // 4
_TSS_BYTES: Final = 104
_RING_3: Final = 3 << ATTR_DPL_SHIFT
_OPEN_TO_PROGRAMS: Final = frozenset({vectors.BP, vectors.OF, layout.SYSTEM_CALL_VECTOR})

DATA_SEGMENTS: Final = (0, 3, FS, GS)  # ES, DS, FS, GS


def _frame_word(index: int, text: str) -> property:
    at = _FRAME_WORD + index

    def read(self: World) -> int:
        return self.words[at]

    def write(self: World, value: int) -> None:
        self.words[at] = value

    return property(read, write, doc=text)


class World:
    """A machine whose ring 3 is one program's and whose ring 0 is the monitor's.

    Attributes:
        cpu: the processor's state, as Python integers.
        words: the machine's memory as doublewords.
        ram: the machine's memory as bytes; store by `store`, which forgets decoded code.
    """

    error = _frame_word(0, "error code of the exception")
    eip = _frame_word(1, "the program's EIP")
    cs = _frame_word(2, "the program's CS")
    eflags = _frame_word(3, "the program's EFLAGS")
    esp = _frame_word(4, "the program's ESP")
    ss = _frame_word(5, "the program's SS")

    def __init__(self, ram_bytes: int, costs: Costs | None, model: CpuModel | None) -> None:
        self.machine = Machine(ram_bytes, costs, model)
        self.processor = self.machine.processor
        self.ram = memoryview(self.processor.memory.data)
        self.words: memoryview[int] = memoryview(self.processor.memory.view(np.uint32).data)
        self.cpu: memoryview[int] = memoryview(self.processor.cpu.data)
        self._page_flags = memoryview(self.processor.marks.data)[ram_bytes:]
        self.returned_badly = False
        """The way back to the program faulted: its segment registers were no good."""
        self._build()

    # --- building ------------------------------------------------------------------------------

    def _build(self) -> None:
        flat = 0xFFFFFFFF
        self.set_descriptor(layout.CODE_SELECTOR, *pack(0, flat, FLAT_CODE))
        self.set_descriptor(layout.DATA_SELECTOR, *pack(0, flat, FLAT_DATA))
        self.set_descriptor(layout.USER_CODE_SELECTOR, *pack(0, flat, FLAT_CODE | _RING_3))
        self.set_descriptor(layout.USER_DATA_SELECTOR, *pack(0, flat, FLAT_DATA | _RING_3))
        tss = layout.linear(layout.TSS_HPA)
        self.set_descriptor(layout.TSS_SELECTOR, *pack(tss, _TSS_BYTES - 1, ATTR_P | TYPE_TSS32))
        write_stubs(
            self.processor,
            layout.linear,
            layout.STUBS_HPA,
            layout.IDT_HPA,
            layout.CODE_SELECTOR,
            _OPEN_TO_PROGRAMS,
        )
        # A stack for ring 0, and no I/O bit map: no port is allowed to the program.
        top = layout.linear(layout.STACK_TOP_HPA)
        struct.pack_into("<II", self.ram, layout.TSS_HPA + 4, top, layout.DATA_SELECTOR)
        struct.pack_into("<H", self.ram, layout.TSS_HPA + 102, _TSS_BYTES)
        present = PTE_P | PTE_W | PTE_A | PTE_D
        table = layout.MONITOR_TABLE_HPA // 4
        for page in range(layout.MONITOR_PAGES):
            self.words[table + page] = page << PAGE_SHIFT | present
        directory = layout.DIRECTORY_HPA // 4 + (layout.MONITOR_BASE >> 22)
        self.words[directory] = layout.MONITOR_TABLE_HPA | present

    def start(self, entry: int, stack: int) -> None:
        """Switch the machine over; the next IRET enters the program."""
        processor = self.processor
        processor.load_cr3(layout.DIRECTORY_HPA)
        # EM: this machine has no floating-point unit, and a program that uses one is to be told.
        bits = CR0_PE | CR0_ET | CR0_EM | CR0_NE | CR0_WP | CR0_AM | CR0_PG
        processor.load_cr0(bits)
        processor.lgdt(layout.linear(layout.GDT_HPA), layout.GDT_ENTRIES * 8 - 1)
        processor.lidt(layout.linear(layout.IDT_HPA), 256 * 8 - 1)
        processor.ltr(layout.TSS_SELECTOR)
        processor.load_segment(SS, layout.DATA_SELECTOR)
        self._set_code_segment()
        for segment in DATA_SEGMENTS:
            is_flat = segment not in (FS, GS)
            self.load_segment(segment, layout.USER_DATA_SELECTOR if is_flat else 0)
        for register in range(8):
            self.cpu[state.GPR + register] = 0
        self.cpu[state.GPR + ESP] = _FRAME_GVA
        # Behind the trapdoor of a stub: the way back.
        processor.eip = layout.linear(layout.STUBS_HPA) + WAY_BACK
        self.error = 0
        self.eip, self.cs = entry, layout.USER_CODE_SELECTOR
        self.eflags = EFLAGS_FIXED | EFLAGS_IF
        self.esp, self.ss = stack, layout.USER_DATA_SELECTOR

    def _set_code_segment(self) -> None:
        """A far jump to the code segment of the new table."""
        self.cpu[state.SELECTOR + CS] = layout.CODE_SELECTOR

    # --- memory --------------------------------------------------------------------------------

    def store(self, hpa: int, data: bytes | memoryview) -> None:
        """Store bytes within one page; the machine forgets code that it has decoded from there."""
        if self._page_flags[hpa >> PAGE_SHIFT] & PAGE_HAS_CODE:
            self.processor.write_physical(hpa, bytes(data))
        else:
            self.ram[hpa : hpa + len(data)] = data

    def forget_page(self, hfn: int) -> None:
        """Forget what has been decoded from a frame that is given to another use."""
        if self._page_flags[hfn] & PAGE_HAS_CODE:
            self.processor.write_physical(hfn << PAGE_SHIFT, bytes(PAGE_BYTES))

    # --- segments ------------------------------------------------------------------------------

    def set_descriptor(self, selector: int, low: int, high: int) -> None:
        """Set an entry of the GDT."""
        at = (layout.GDT_HPA + (selector & 0xFFF8)) // 4
        self.words[at] = low
        self.words[at + 1] = high

    def selector(self, segment: int) -> int:
        """What is in ES, DS, FS or GS."""
        return self.cpu[state.SELECTOR + segment]

    def load_segment(self, segment: int, selector: int) -> None:
        """Load ES, DS, FS or GS; null if the program may not have that selector."""
        index = selector >> 3
        allowed = selector & 4 == 0 and (
            selector | 3 == layout.USER_DATA_SELECTOR
            or selector | 3 == layout.USER_CODE_SELECTOR
            or (
                layout.TLS_FIRST_INDEX <= index < layout.TLS_FIRST_INDEX + layout.TLS_ENTRIES
                and self.words[(layout.GDT_HPA + 8 * index) // 4 + 1] >> 8 & ATTR_P
            )
        )
        self.processor.load_segment(segment, selector | 3 if allowed else 0)

    def sanitize_frame(self) -> None:
        """Make the way back possible whatever the program had in CS and SS."""
        self.cs, self.ss = layout.USER_CODE_SELECTOR, layout.USER_DATA_SELECTOR

    # --- crossing ------------------------------------------------------------------------------

    @property
    def retired(self) -> int:
        """Instructions the program has completed."""
        return self.cpu[state.RETIRED + 3]

    @property
    def page_fault_address(self) -> int:
        """CR2."""
        return self.cpu[state.CR2]

    def clear_debug_status(self) -> None:
        """DR6 as a handler of #DB leaves it."""
        self.cpu[state.DR + 6] = DR6_FIXED

    def run(self, until: int, must_stop: Callable[[], bool]) -> int:
        """Let the program run; the vector by which it came back.

        Args:
            until: instructions completed by the program at which the counter interrupts it.
            must_stop: asked now and then during long string instructions.
        """
        machine = self.machine
        machine.arm_counter(until, layout.COUNTER_VECTOR)
        while (reason := machine.run()) is not Exit.TRAPDOOR:
            if reason is Exit.YIELD or reason is Exit.BUDGET:
                if must_stop():
                    self.processor.pending_interrupt = layout.COUNTER_VECTOR
            else:
                raise AssertionError(f"the monitor's own code came to {reason.name}")
        self.returned_badly = self.cpu[state.GPR + ESP] != _FRAME_GVA
        if self.returned_badly:  # the frame of the fault lies below the one of the program
            self.cpu[state.GPR + ESP] = _FRAME_GVA
            self.sanitize_frame()
        return int(self.processor.detail[0])
