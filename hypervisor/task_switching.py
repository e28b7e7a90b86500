"""A guest that switches tasks in hardware: the fault of the attempt, or the end of the VM.

The machine's task register is the monitor's, and what a switch loads at once (CR3, LDTR, EFLAGS and
all segments) a monitor has to shadow one by one. So a switch that would succeed ends the VM with a
typed stop. One that would fault in the old task faults as on silicon; whether the pages of both
TSSs are there is not looked at.

Source: SDM vol. 3A, "Task Switching"; isa.task_switch is the same for the machine.
"""

from __future__ import annotations

from typing import Final, NoReturn

from hypervisor.descriptors import (
    SELECTOR_NOT_RPL,
    SELECTOR_RPL,
    SELECTOR_TI,
    TSS_IS_32_BIT,
    TYPE_BUSY,
    TYPE_TSS16,
    Segment,
)
from hypervisor.linear_memory import LinearMemory
from hypervisor.segment_loading import Descriptor, read_descriptor, selector_fault
from hypervisor.technique import StopReason, VmStopped
from hypervisor.vcpu import VirtualCpu
from isa import vectors
from isa.registers import TR

TASK_GATE: Final = 0x5
_LAST32, _LAST16 = 0x67, 0x2B  # the least limit of a TSS


def is_task(segment: Segment) -> bool:
    """Whether a descriptor is a task gate, or a TSS of either size, busy or not."""
    available = segment.system_type & ~(TYPE_BUSY | TSS_IS_32_BIT)
    return segment.system_type == TASK_GATE or available == TYPE_TSS16


def transfer_to_task(
    vcpu: VirtualCpu, memory: LinearMemory, found: Descriptor, selector: int
) -> NoReturn:
    """JMP or CALL to a task gate or TSS."""
    segment = found.segment
    if segment.dpl < max(vcpu.cpl, selector & SELECTOR_RPL):
        raise selector_fault(vectors.GP, selector)
    if segment.system_type == TASK_GATE:
        if not segment.is_present:
            raise selector_fault(vectors.NP, selector)
        selector = found.low >> 16
    switch_task(vcpu, memory, selector)


def switch_task(
    vcpu: VirtualCpu, memory: LinearMemory, selector: int, *, returning: bool = False
) -> NoReturn:
    """A switch to the task of a TSS selector, by IRET if `returning`.

    Raises its fault, or VmStopped if there is none.
    """
    vector = vectors.TS if returning else vectors.GP
    if selector & SELECTOR_TI or not selector & SELECTOR_NOT_RPL:
        raise selector_fault(vector, selector)
    segment = read_descriptor(vcpu, memory, selector, vector).segment
    wanted = TYPE_TSS16 | (TYPE_BUSY if returning else 0)
    if segment.system_type & ~TSS_IS_32_BIT != wanted:
        raise selector_fault(vector, selector)
    if not segment.is_present:
        raise selector_fault(vectors.NP, selector)
    if segment.limit < _least_limit(segment):
        raise selector_fault(vectors.TS, selector)
    current = vcpu.segments[TR]
    if not current.is_usable or current.limit < _least_limit(current):
        raise selector_fault(vectors.TS, current.selector)
    raise VmStopped(
        StopReason.ERROR,
        f"the guest switches to task {selector:#06x} in hardware, which cannot be deprivileged",
    )


def _least_limit(segment: Segment) -> int:
    return _LAST32 if segment.attributes & TSS_IS_32_BIT else _LAST16
