"""The processor as the guest believes it to be: the primary copy of all privileged state.

A monitor runs the guest on a processor that is set up differently (deprivileged, with other tables
and flags); what the guest would find on a machine of its own is kept here. Instructions that the
monitor emulates, and events that it reflects, read and change this and the guest's memory only.

Source: SDM vol. 3A, "System Architecture Overview".
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypervisor.descriptors import FLAT_CODE, FLAT_DATA, Segment, TableRegister
from hypervisor.guest_paging import PagingState
from isa.cpu_models import CpuModel, load_model
from isa.features import defined_eflags
from isa.registers import (
    ATTR_UNUSABLE,
    CR0_ET,
    CR0_PE,
    CS,
    EFLAGS_DEFINED,
    EFLAGS_FIXED,
    EFLAGS_IF,
    ESP,
    FEATURES_P6,
    IOPL_SHIFT,
    SS,
)


def _flat_segments() -> list[Segment]:
    """Segment registers as a multiboot loader leaves them."""
    flat = [
        Segment(8, 0, 0xFFFFFFFF, FLAT_CODE)
        if number == CS
        else Segment(16, 0, 0xFFFFFFFF, FLAT_DATA)
        for number in range(6)
    ]
    ldtr = Segment(0, 0, 0xFFFF, ATTR_UNUSABLE | 0x82)
    tr = Segment(0, 0, 0xFFFF, 0x8B)
    return [*flat, ldtr, tr]


@dataclass
class VirtualCpu:
    """One virtual processor; starts in flat 32-bit protected mode, paging and interrupts off."""

    gpr: list[int] = field(default_factory=lambda: [0] * 8)
    eip: int = 0
    eflags: int = EFLAGS_FIXED
    cpl: int = 0
    segments: list[Segment] = field(default_factory=_flat_segments)  # ES CS SS DS FS GS LDTR TR
    cr0: int = CR0_ET | CR0_PE
    cr2: int = 0
    cr3: int = 0
    cr4: int = 0
    dr: list[int] = field(default_factory=lambda: [0, 0, 0, 0, 0, 0, 0xFFFF0FF0, 0x400])
    gdtr: TableRegister = field(default_factory=lambda: TableRegister(0, 0xFFFF))
    idtr: TableRegister = field(default_factory=lambda: TableRegister(0, 0x3FF))
    sysenter_cs: int = 0
    sysenter_esp: int = 0
    sysenter_eip: int = 0
    apic_base: int = 0xFEE00900
    model: CpuModel = field(default_factory=load_model)
    features: int = FEATURES_P6  # of its model: see isa.cpu_models
    known_eflags: int = EFLAGS_DEFINED  # the flags that its model has
    tsc_offset: int = 0
    halted: bool = False
    shadow_at: int = -1  # interrupts are inhibited while this many instructions are completed

    def become(self, model: CpuModel) -> None:
        """Be a processor of this model."""
        self.model = model
        self.features = model.features
        self.known_eflags = defined_eflags(model.features)

    @property
    def is_user(self) -> bool:
        """Accesses are made with user rights."""
        return self.cpl == 3

    @property
    def iopl(self) -> int:
        """The I/O privilege level the guest believes it has set."""
        return self.eflags >> IOPL_SHIFT & 3

    @property
    def interrupts_enabled(self) -> bool:
        """The virtual interrupt flag."""
        return bool(self.eflags & EFLAGS_IF)

    @property
    def paging(self) -> PagingState:
        """What translation depends on."""
        return PagingState(self.cr0, self.cr3, self.cr4)

    @property
    def code_bits(self) -> int:
        """Default operand and address size of the code segment."""
        return 32 if self.segments[CS].is_32_bit else 16

    @property
    def stack_pointer(self) -> int:
        """ESP, or SP on a 16-bit stack."""
        return self.gpr[ESP] & self.segments[SS].offset_mask

    def set_stack_pointer(self, value: int) -> None:
        """Set ESP, or only SP on a 16-bit stack."""
        mask = self.segments[SS].offset_mask
        self.gpr[ESP] = self.gpr[ESP] & ~mask | value & mask
