"""The processor's state on the way between guest and monitor.

    in the machine                              what the guest believes (vcpu)

    CPL 1, 3                                    CPL 0, 3
    CS, SS with RPL 1, DPL 1                    CS, SS with RPL 0, DPL 0
    IF = 1, IOPL = 0                            IF and IOPL as the guest set them
    TF, also when the monitor steps the guest   TF as the guest set it
    segments that end below the monitor         segments as the guest described them

The gate and the IRET of a crossing load CS and SS from the tables. Where the guest's tables no
longer describe what it has there, two descriptors of the monitor's own do.

Source: SDM vol. 3A, "Segment Registers"; vol. 1, "EFLAGS Register".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hypervisor.descriptors import SELECTOR_NOT_RPL, SELECTOR_RPL, Segment
from hypervisor.ring_compression import layout
from hypervisor.ring_compression.shadow_descriptors import (
    DATA_REGISTERS,
    ShadowDescriptors,
    deprivileged,
)
from hypervisor.ring_compression.world import Frame, World
from hypervisor.technique import StopReason, VmStopped
from hypervisor.vcpu import VirtualCpu
from isa.registers import (
    ATTR_UNUSABLE,
    CS,
    EFLAGS_IF,
    EFLAGS_IOPL,
    EFLAGS_RF,
    EFLAGS_TF,
    EFLAGS_VM,
    ESP,
    SS,
)

_KERNEL_RING: Final = 1
_USER_RING: Final = 3

# Flags that the machine has for the monitor's purposes while the guest runs.
_VIRTUAL: Final = EFLAGS_IF | EFLAGS_IOPL


class Crossing:
    """Moves state between the machine and the virtual processor."""

    def __init__(self, world: World, vcpu: VirtualCpu, descriptors: ShadowDescriptors) -> None:
        self._world = world
        self._vcpu = vcpu
        self._descriptors = descriptors
        self._cs = -1  # selectors the guest was entered with
        self._ss = -1
        self._entered: tuple[Segment, Segment, int] | None = None  # what they were chosen for
        self._known_registers = b""  # what vcpu.segments was last read from
        self._is_stepping = False

    # --- leaving the guest ---------------------------------------------------------------------

    def leave(self, frame: Frame, *, is_fault: bool, progressed: bool) -> None:
        """Take over what the guest has done to its registers, data segments excepted.

        Args:
            is_fault: whether RF in the frame is there to mark a fault.
            progressed: whether an instruction has completed, which ends RF.
        """
        vcpu = self._vcpu
        vcpu.gpr = self._world.general_registers
        vcpu.gpr[ESP] = frame.esp
        vcpu.eip = frame.eip
        if frame.cs != self._cs:
            vcpu.segments[CS] = self._loaded_by_guest(frame.cs)
        if frame.ss != self._ss:
            vcpu.segments[SS] = self._loaded_by_guest(frame.ss)
        kept = _VIRTUAL | EFLAGS_TF if self._is_stepping else _VIRTUAL
        if is_fault:
            kept |= EFLAGS_RF
        vcpu.eflags = frame.eflags & ~kept | vcpu.eflags & kept
        if is_fault and progressed:
            vcpu.eflags &= ~EFLAGS_RF

    def _loaded_by_guest(self, selector: int) -> Segment:
        assert selector & SELECTOR_RPL == self._ring, "the guest changed its ring by itself"
        believed = selector & SELECTOR_NOT_RPL | self._vcpu.cpl
        return self._descriptors.segment_at(believed)

    def read_data_segments(self) -> None:
        """Take over what the guest has loaded into ES, DS, FS and GS."""
        vcpu = self._vcpu
        registers = self._world.segment_registers
        if registers == self._known_registers:
            return
        self._known_registers = registers
        for register in DATA_REGISTERS:
            loaded = self._world.data_segment(register)
            if loaded.is_usable:
                vcpu.segments[register] = self._descriptors.meaning(loaded)
            else:
                known = vcpu.segments[register]
                vcpu.segments[register] = known._replace(
                    selector=loaded.selector, attributes=known.attributes | ATTR_UNUSABLE
                )

    # --- entering it ---------------------------------------------------------------------------

    @property
    def _ring(self) -> int:
        return _USER_RING if self._vcpu.cpl == 3 else _KERNEL_RING

    def check_level(self) -> None:
        """The guest may have two privilege levels, since ring 1 is already its level 0."""
        if self._vcpu.cpl not in (0, 3):
            raise VmStopped(
                StopReason.ERROR,
                f"the guest uses privilege level {self._vcpu.cpl}, between 0 and 3",
            )

    def is_within_reach(self) -> bool:
        """Whether the next instruction lies below the monitor's addresses."""
        code = self._vcpu.segments[CS]
        return (code.base + self._vcpu.eip) & 0xFFFFFFFF < layout.MONITOR_BASE

    def load_data_segments(self, before: Sequence[Segment]) -> None:
        """Load the machine's registers with what the monitor has changed for the guest."""
        for register in DATA_REGISTERS:
            segment = self._vcpu.segments[register]
            if segment is not before[register]:
                self._load_data_segment(register, segment)
                self._known_registers = b""

    def _load_data_segment(self, register: int, segment: Segment) -> None:
        if not segment.is_usable:
            self._world.load_data_segment(register, segment.selector & SELECTOR_RPL)
        elif self._descriptors.fill(segment.selector, segment):
            self._descriptors.set_user_mode(True)  # user code may be loaded as data
            self._world.load_data_segment(register, segment.selector)
        else:
            self.load_undescribed(register, segment)

    def load_undescribed(self, register: int, segment: Segment) -> None:
        """Load a data segment that the guest's tables do not describe."""
        self._descriptors.drop(segment.selector & SELECTOR_NOT_RPL)
        low, high = deprivileged(segment)
        self._descriptors.remember(low, high, segment)
        self._world.load_undescribed(register, segment.selector, low, high)

    def enter(self, *, stepping: bool) -> None:
        """Prepare the way back into the guest; for one instruction only if `stepping`."""
        vcpu = self._vcpu
        self._choose_selectors()
        self._is_stepping = stepping
        self._descriptors.set_user_mode(vcpu.cpl == 3)
        eflags = vcpu.eflags & ~(_VIRTUAL | EFLAGS_VM) | EFLAGS_IF
        if stepping:
            eflags |= EFLAGS_TF
        frame = Frame(0, vcpu.eip, self._cs, eflags, vcpu.gpr[ESP], self._ss)
        self._world.resume(vcpu.gpr, frame)

    def _choose_selectors(self) -> None:
        """Selectors for CS and SS; the last choice holds while nothing it depends on changes."""
        segments = self._vcpu.segments
        known = self._entered
        if (
            known is not None
            and known[0] is segments[CS]
            and known[1] is segments[SS]
            and known[2] == self._descriptors.drops
        ):
            return
        self._cs = self._selector(CS, layout.HIDDEN_CODE_SELECTOR)
        self._ss = self._selector(SS, layout.HIDDEN_STACK_SELECTOR)
        self._entered = segments[CS], segments[SS], self._descriptors.drops

    def _selector(self, register: int, hidden: int) -> int:
        """The selector by which IRET loads CS or SS with what the guest believes is there."""
        segment, ring = self._vcpu.segments[register], self._ring
        is_shown = ring == _USER_RING or not segment.is_conforming
        if is_shown and self._descriptors.fill(segment.selector, segment):
            return segment.selector & SELECTOR_NOT_RPL | ring
        self._world.set_descriptor(hidden, *deprivileged(segment, ring))
        return hidden | ring

    # --- the beginning -------------------------------------------------------------------------

    def load_boot_segments(self) -> None:
        """Give the guest the data segments it starts with, which no table describes."""
        for register in DATA_REGISTERS:
            self.load_undescribed(register, self._vcpu.segments[register])
