"""Processor: the Python face of one CPU and its RAM.

Registers by name, run(), host access to memory, and the privileged instructions as methods for
software that owns the machine and is written in Python. Nothing here decides what to do after an
exit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from isa import state, workspace
from isa.compilation import compile_all
from isa.costs import Costs
from isa.cpu_models import CpuModel, load_model
from isa.exits import Exit
from isa.features import defined_eflags
from isa.host_calls import (
    code_written,
    flush_tlb,
    invalidate,
    load_data_segment,
    load_ldtr,
    load_tr,
    refresh,
    write_cr0,
    write_cr3,
    write_cr4,
)
from isa.interpreter import run
from isa.registers import EFLAGS_FIXED
from isa.stale_translations import PAGE_MASK, StaleTranslation, TlbMode, stale_translations
from isa.vectors import EXCEPTION_NAMES
from isa.workspace import Bytes

_EXITS: Final = {int(reason): reason for reason in Exit}
SLICE: Final = 20_000_000  # instructions one call of run() may take: a fraction of a second


@dataclass(frozen=True)
class Segment:
    """A segment register: selector and segment cache. Attributes: see isa.registers."""

    selector: int
    base: int
    limit: int
    attributes: int


class PrivilegedInstructionError(RuntimeError):
    """A privileged instruction given from Python faulted, or was given outside ring 0."""


def _field(index: int, text: str) -> property:
    def read(self: "Processor") -> int:
        return self._words[index]

    def write(self: "Processor", value: int) -> None:
        self._words[index] = value

    return property(read, write, doc=text)


class Processor:
    """One processor with its RAM.

    Attributes:
        cpu: architectural state, int64[state.WORDS].
        core: workspace (derived), int64.
        ram: uint8[ram_bytes + fetch buffer]; `memory` is the part that exists for the guest.
        marks: uint8[ram_bytes + pages].
        model: which processor this is; fixed.
    """

    eip = _field(state.EIP, "instruction pointer")
    cpl = _field(state.CPL, "current privilege level")
    cr0 = _field(state.CR0, "control register 0")
    cr2 = _field(state.CR2, "page-fault linear address")
    cr3 = _field(state.CR3, "page-directory base")
    cr4 = _field(state.CR4, "control register 4")
    a20_mask = _field(state.A20_MASK, "what physical addresses are and-ed with, see set_a20")
    halted = _field(state.HALTED, "1 after HLT until an interrupt")
    cycles = _field(state.CYCLES, "modelled cycles: the clock")
    pending_interrupt = _field(state.PENDING_INTERRUPT, "accepted external interrupt, or -1")

    def __init__(
        self,
        ram_bytes: int,
        costs: Costs | None = None,
        model: CpuModel | None = None,
        tlb: TlbMode = TlbMode.NORMAL,
    ) -> None:
        self.costs = costs or Costs.load()
        self.model = model or load_model()
        self._compiled = False
        self.ram_bytes = ram_bytes
        self.cpu = state.new_state()
        self.core = workspace.new_workspace(ram_bytes, PAGE_MASK[tlb])
        # A memoryview gives Python integers, several times faster than an array does.
        self._words: memoryview[int] = memoryview(self.cpu.data)
        self._derived: memoryview[int] = memoryview(self.core.data)
        self.ram: Bytes = np.zeros(ram_bytes + workspace.FETCH_BUFFER_BYTES, np.uint8)
        self.marks: Bytes = np.zeros(ram_bytes + (ram_bytes >> 12), np.uint8)
        self.memory: Bytes = self.ram[:ram_bytes]
        self.gpr: NDArray[np.int64] = self.cpu[state.GPR : state.GPR + 8]
        for index, event in enumerate(workspace.EVENT_NAMES):
            self.core[workspace.COST + index] = self.costs.machine[event]
        self.model.install(self.cpu)
        self._know_features()

    def _know_features(self) -> None:
        """Keep where decoding and EFLAGS look for it what follows from the model."""
        features = int(self.cpu[state.FEATURES])
        self.core[workspace.LACKS] = ~features
        self.core[workspace.LACKS_EFLAGS] = ~defined_eflags(features)

    # --- running -------------------------------------------------------------------------------

    def run(self, budget: int) -> Exit:
        """Execute up to `budget` instructions (0 or more); why it stopped. See `detail`.

        The first call compiles the interpreter if the cache does not have it.
        """
        if not self._compiled:
            compile_all()
            self._compiled = True
        return _EXITS[run(self.cpu, self.core, self.ram, self.marks, budget)]

    @property
    def detail(self) -> tuple[int, int, int]:
        """The detail words of the last exit, meaning as in isa.exits."""
        a, derived = workspace.EXIT_A, self._derived
        return derived[a], derived[a + 1], derived[a + 2]

    def want_interrupt_window(self, wanted: bool) -> None:
        """Ask run() to stop with INTERRUPT_WINDOW as soon as an interrupt can be delivered."""
        self._derived[workspace.WINDOW] = 1 if wanted else 0

    def complete_port_read(self, size: int, value: int) -> None:
        """Finish a PORT_IN exit: the value goes to AL, AX or EAX."""
        mask = (1 << 8 * size) - 1
        self.gpr[0] = int(self.gpr[0]) & ~mask & 0xFFFFFFFF | value & mask

    def answer_read(self, value: int) -> None:
        """Answer a MEMORY_READ or PORT_STRING exit; the next run() repeats the instruction."""
        derived = self._derived
        at = derived[workspace.REPLAY_COUNT]
        if at >= workspace.REPLAY_ENTRIES:
            raise RuntimeError("more device reads than one instruction can make")
        address, size, _ = self.detail
        place = workspace.REPLAY + 3 * at
        derived[place], derived[place + 1] = address, size
        derived[place + 2] = value & ((1 << 8 * size) - 1)
        derived[workspace.REPLAY_COUNT] = at + 1

    def posted_writes(self) -> list[tuple[int, int, int]]:
        """The device writes of a MEMORY_WRITE exit: (physical address, bytes, value)."""
        derived, first = self._derived, workspace.POSTED
        count = derived[workspace.POSTED_COUNT]
        derived[workspace.POSTED_COUNT] = 0
        places = range(first, first + 3 * count, 3)
        return [(derived[at], derived[at + 1], derived[at + 2]) for at in places]

    # --- time ----------------------------------------------------------------------------------

    @property
    def retired(self) -> tuple[int, int, int, int]:
        """Instructions retired at CPL 0, 1, 2, 3."""
        words, first = self._words, state.RETIRED
        return words[first], words[first + 1], words[first + 2], words[first + 3]

    @property
    def retired_total(self) -> int:
        words, first = self._words, state.RETIRED
        return words[first] + words[first + 1] + words[first + 2] + words[first + 3]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Events counted by privilege level: int64[4, EVENTS]."""
        first = workspace.COUNT
        return self.core[first : first + 4 * workspace.EVENTS].reshape(4, workspace.EVENTS)

    def charge(self, cycles: int) -> None:
        """Advance the clock by the modelled work of software written in Python."""
        self.cpu[state.CYCLES] += cycles

    # --- registers -----------------------------------------------------------------------------

    @property
    def eflags(self) -> int:
        return int(self.cpu[state.EFLAGS])

    @eflags.setter
    def eflags(self, value: int) -> None:
        self.cpu[state.EFLAGS] = value | EFLAGS_FIXED

    def segment(self, number: int) -> Segment:
        """ES CS SS DS FS GS LDTR TR by number."""
        return Segment(
            int(self.cpu[state.SELECTOR + number]),
            int(self.cpu[state.BASE + number]),
            int(self.cpu[state.LIMIT + number]),
            int(self.cpu[state.ATTRIBUTES + number]),
        )

    @property
    def pdptes(self) -> tuple[int, ...]:
        """The page-directory-pointer-table entries, as loaded with CR3 in PAE paging."""
        return tuple(self.cpu[state.PDPTE : state.PDPTE + 4].tolist())

    def set_a20(self, is_high: bool) -> None:
        """Let address line 20 through, or hold it low: then bit 20 of every address is zero."""
        mask = state.A20_HIGH if is_high else state.A20_LOW
        if mask != self.a20_mask:
            self.a20_mask = mask
            flush_tlb(self.core)

    @property
    def stale_translations(self) -> list[StaleTranslation]:
        """What a TLB that checks has noticed."""
        return stale_translations(self.core)

    # --- memory --------------------------------------------------------------------------------

    def read_physical(self, address: int, size: int) -> bytes:
        """Bytes of RAM; what lies outside reads as all ones."""
        inside = self.memory[address : address + size].tobytes() if address >= 0 else b""
        return inside + b"\xff" * (size - len(inside))

    def write_physical(self, address: int, data: bytes) -> None:
        """Store to RAM as a device would; decoded code is invalidated. Bytes outside are lost."""
        size = min(len(data), self.ram_bytes - address)
        if address < 0 or size <= 0:
            return
        code_written(self.core, self.marks, address, size)
        self.memory[address : address + size] = np.frombuffer(data[:size], np.uint8)

    def drop_derived(self) -> None:
        """Forget TLB, decoded code and all else that follows from state and memory."""
        workspace.reset(self.core)
        self.core[workspace.EPOCH] += 1
        self.marks[:] = 0
        self._know_features()
        refresh(self.cpu, self.core)

    # --- privileged instructions, for ring-0 software in Python -----------------------------------

    def load_cr0(self, value: int) -> None:
        """MOV CR0, value."""
        self._privileged("MOV CR0", write_cr0, self.ram, value)

    def load_cr3(self, value: int) -> None:
        """MOV CR3, value: flushes the TLB."""
        self._privileged("MOV CR3", write_cr3, self.ram, value)

    def load_cr4(self, value: int) -> None:
        """MOV CR4, value."""
        self._privileged("MOV CR4", write_cr4, self.ram, value)

    def invlpg(self, gva: int) -> None:
        """INVLPG of the page of a linear address."""
        self._privileged("INVLPG", invalidate, gva)

    def lgdt(self, base: int, limit: int) -> None:
        """LGDT of a table at a linear address."""
        self._privileged("LGDT", _load_table, state.GDTR_BASE, base, limit)

    def lidt(self, base: int, limit: int) -> None:
        """LIDT of a table at a linear address."""
        self._privileged("LIDT", _load_table, state.IDTR_BASE, base, limit)

    def lldt(self, selector: int) -> None:
        """LLDT selector."""
        self._privileged("LLDT", load_ldtr, self.ram, self.marks, selector)

    def ltr(self, selector: int) -> None:
        """LTR selector: the descriptor must be an available TSS and becomes busy."""
        self._privileged("LTR", load_tr, self.ram, self.marks, selector)

    def load_segment(self, segment: int, selector: int) -> None:
        """MOV segment, selector for ES SS DS FS GS."""
        self._privileged("MOV Sreg", load_data_segment, self.ram, self.marks, segment, selector)

    def _privileged(self, name: str, instruction: Callable[..., int], *operands: Any) -> None:
        if self.cpl != 0:
            raise PrivilegedInstructionError(f"{name} outside ring 0")
        self.core[workspace.TROUBLE] = 0
        self.core[workspace.NEXT_EIP] = self.eip  # the instruction is not at EIP: it stays
        instruction(self.cpu, self.core, *operands)
        if self.core[workspace.TROUBLE]:
            vector = int(self.core[workspace.FAULT_VECTOR])
            error = int(self.core[workspace.FAULT_ERROR])
            what = EXCEPTION_NAMES.get(vector, str(vector))
            raise PrivilegedInstructionError(f"{name} raised {what}({error:#x})")
        refresh(self.cpu, self.core)


def _load_table(
    cpu: state.State, _core: workspace.Workspace, register: int, base: int, limit: int
) -> int:
    cpu[register] = base
    cpu[register + 1] = limit
    return 0
