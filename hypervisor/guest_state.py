"""The whole state of a guest's processor, as the guest believes it to be.

Every technique can tell it, whatever its machine looks like inside: the registers, what is hidden
behind the selectors, debug and system registers, the model, and what is pending between two
instructions. It is what two runs are compared by (hypervisor.state_differences) and what a snapshot
file holds (hypervisor.checkpoint), so every field carries its range, which decoding checks.

Source: SDM vol. 3A, "System Architecture Overview", "Segment Registers", "Debug Registers".
"""

from __future__ import annotations

from typing import Annotated

import msgspec

U16 = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
U32 = Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)]
Level = Annotated[int, msgspec.Meta(ge=0, le=3)]
Vector = Annotated[int, msgspec.Meta(ge=-1, le=0xFF)]
Attributes = Annotated[int, msgspec.Meta(ge=0, le=0x1FFFF)]
Eight = Annotated[tuple[U32, ...], msgspec.Meta(min_length=8, max_length=8)]
Ticks = Annotated[int, msgspec.Meta(ge=0, le=1 << 60)]


class SegmentState(msgspec.Struct, frozen=True):
    """A segment register with its hidden part; attributes as in isa.registers."""

    selector: U16
    base: U32
    limit: U32
    attributes: Attributes


class TableState(msgspec.Struct, frozen=True):
    """GDTR or IDTR."""

    base: U32
    limit: U16


class ProcessorState(msgspec.Struct, frozen=True, kw_only=True):
    """One processor between two instructions."""

    gpr: Eight
    """EAX ECX EDX EBX ESP EBP ESI EDI."""
    eip: U32
    eflags: U32
    cpl: Level
    segments: Annotated[tuple[SegmentState, ...], msgspec.Meta(min_length=8, max_length=8)]
    """ES CS SS DS FS GS LDTR TR."""
    cr0: U32
    cr2: U32
    cr3: U32
    cr4: U32
    pdpte: Annotated[tuple[int, ...], msgspec.Meta(min_length=4, max_length=4)] = (0, 0, 0, 0)
    """Page-directory-pointer-table entries, which PAE paging loads with CR3."""
    dr: Eight
    gdtr: TableState
    idtr: TableState
    sysenter: tuple[U32, U32, U32]
    """CS, ESP and EIP of the fast system call."""
    apic_base: int
    tsc_offset: Ticks
    """Time-stamp counter less instructions completed."""
    features: Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
    """FEATURE bits of isa.registers: the model."""
    halted: bool
    interrupts_held: bool
    """The shadow of STI or MOV SS lies over the next instruction."""
    pending_interrupt: Vector = -1
    """An interrupt that was acknowledged and comes before the next instruction; -1 for none."""
    pending_traps: U32 = 0
    """DR6 bits of debug traps that come before the next instruction."""
    pending_step: bool = False
    """A single-step trap comes before the next instruction."""
