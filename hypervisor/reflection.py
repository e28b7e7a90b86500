"""Giving an event to the guest: through the guest's own IDT, at the guest's own privilege level.

What silicon does on an exception or interrupt, done by software to the virtual processor: gate,
target and stack are checked, a frame is pushed on the guest's stack through the guest's page
tables, and the handler becomes the next instruction. Faults on the way become the next event by
the double-fault rules; a fault while a double fault is delivered ends the VM, and nothing else.

Source: SDM vol. 3A, "Interrupt and Exception Handling", "Interrupt 8—Double Fault Exception
(#DF)", "Error Code"; vol. 2, the Operation section of "INT n/INTO/INT3/INT1".
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final, NamedTuple

from hypervisor.addresses import M32
from hypervisor.descriptors import Segment, parse_gate
from hypervisor.faults import GuestFault
from hypervisor.linear_memory import LinearMemory
from hypervisor.segment_loading import (
    Descriptor,
    check_entry,
    commit_code,
    gate_target,
    inner_stack,
    loaded,
    probe_accessed,
    selector_fault,
    set_accessed,
    stack_segment,
)
from hypervisor.task_switching import TASK_GATE, switch_task
from hypervisor.technique import StopReason, VmStopped
from hypervisor.vcpu import VirtualCpu
from isa import vectors
from isa.registers import CS, DR7_GD, EFLAGS_IF, EFLAGS_NT, EFLAGS_RF, EFLAGS_TF, EFLAGS_VM, ESP, SS


class Kind(Enum):
    """What sort of event is delivered."""

    HARDWARE = auto()  # an exception raised by an instruction, or single-stepping
    EXTERNAL = auto()  # an interrupt from outside
    SOFTWARE = auto()  # INT n, INT3, INTO: the gate's DPL counts


class Event(NamedTuple):
    """One exception or interrupt. `return_eip` is what the frame will hold."""

    vector: int
    error: int | None
    kind: Kind
    return_eip: int


class _Severity(Enum):
    """Classes of the double-fault rules."""

    BENIGN = auto()
    CONTRIBUTORY = auto()
    PAGE_FAULT = auto()
    DOUBLE_FAULT = auto()


# Exceptions whose saved EFLAGS have RF set: faults, not traps or aborts. Those of #DB that do have
# it set have set it before.
_FAULTS: Final = frozenset(
    {
        vectors.DE,
        vectors.BR,
        vectors.UD,
        vectors.NM,
        vectors.TS,
        vectors.NP,
        vectors.SS,
        vectors.GP,
        vectors.PF,
        vectors.MF,
        vectors.AC,
    }
)

# Interrupt and trap gates, 16 and 32 bits, and task gates.
_GATE_TYPES: Final = frozenset({0x6, 0x7, 0xE, 0xF, TASK_GATE})
_GATE_32_BIT: Final = 0x8
_GATE_TRAP: Final = 0x1


def reflect(vcpu: VirtualCpu, memory: LinearMemory, event: Event) -> None:
    """Enter the guest's handler of an event, or of what its delivery leads to.

    Raises VmStopped for a triple fault, and for a task gate that works.
    """
    severity = _classify(event.vector) if event.kind is Kind.HARDWARE else _Severity.BENIGN
    while True:
        try:
            deliver(vcpu, memory, event)
            break
        except GuestFault as fault:
            if severity is _Severity.DOUBLE_FAULT:
                raise VmStopped(
                    StopReason.SHUTDOWN, f"triple fault: {fault} while delivering a double fault"
                ) from None
            event, severity = _next_event(vcpu, event, severity, fault)
    vcpu.halted = False


def _next_event(
    vcpu: VirtualCpu, event: Event, severity: _Severity, fault: GuestFault
) -> tuple[Event, _Severity]:
    """What to deliver after a fault during the delivery of `event`."""
    if fault.address is not None:
        vcpu.cr2 = fault.address
    second = _classify(fault.vector)
    if second is not _Severity.BENIGN and _doubles(severity, second):
        return Event(vectors.DF, 0, Kind.HARDWARE, vcpu.eip), _Severity.DOUBLE_FAULT
    error = fault.error
    if error is not None and fault.vector != vectors.PF and event.kind is not Kind.SOFTWARE:
        error |= vectors.ERROR_EXT
    return Event(fault.vector, error, Kind.HARDWARE, vcpu.eip), second


def _classify(vector: int) -> _Severity:
    if vector == vectors.DF:
        return _Severity.DOUBLE_FAULT
    if vector == vectors.PF:
        return _Severity.PAGE_FAULT
    if vector < 32 and vectors.CONTRIBUTORY >> vector & 1:
        return _Severity.CONTRIBUTORY
    return _Severity.BENIGN


def _doubles(first: _Severity, second: _Severity) -> bool:
    if first is _Severity.PAGE_FAULT:
        return True
    return first is _Severity.CONTRIBUTORY and second is _Severity.CONTRIBUTORY


def _gate_fault(vector: int, gate: int) -> GuestFault:
    return GuestFault(vector, gate * 8 | vectors.ERROR_IDT)


def deliver(vcpu: VirtualCpu, memory: LinearMemory, event: Event) -> None:
    """One attempt: completes, or raises with nothing changed but bits of page tables.

    This is what a software interrupt does: its faults are those of the instruction.
    """
    at = event.vector * 8
    if at + 7 > vcpu.idtr.limit:
        raise _gate_fault(vectors.GP, event.vector)
    low, high = memory.read_pair(vcpu.idtr.base + at)
    selector, offset, kind, dpl = parse_gate(low, high)
    if kind not in _GATE_TYPES or (event.kind is Kind.SOFTWARE and dpl < vcpu.cpl):
        raise _gate_fault(vectors.GP, event.vector)
    if not high >> 15 & 1:
        raise _gate_fault(vectors.NP, event.vector)
    if kind == TASK_GATE:
        switch_task(vcpu, memory, selector)
    target = gate_target(vcpu, memory, selector)
    if not target.segment.is_conforming and target.segment.dpl < vcpu.cpl:
        _enter_inner(vcpu, memory, event, kind, target, offset)
    else:
        _enter_same(vcpu, memory, event, kind, target, offset)
    clear = EFLAGS_TF | EFLAGS_NT | EFLAGS_RF | EFLAGS_VM
    if not kind & _GATE_TRAP:
        clear |= EFLAGS_IF
    vcpu.eflags &= ~clear
    vcpu.eip = offset
    if event.vector == vectors.DB and event.kind is Kind.HARDWARE:
        vcpu.dr[7] &= ~DR7_GD


def _frame(vcpu: VirtualCpu, event: Event) -> list[int]:
    """The words that every delivery pushes, in order."""
    image = vcpu.eflags
    if event.kind is Kind.HARDWARE and event.vector in _FAULTS:
        image |= EFLAGS_RF
    frame = [image, vcpu.segments[CS].selector, event.return_eip]
    if event.error is not None:
        frame.append(event.error)
    return frame


def _enter_same(
    vcpu: VirtualCpu,
    memory: LinearMemory,
    event: Event,
    kind: int,
    target: Descriptor,
    offset: int,
) -> None:
    """Enter a handler without changing the privilege level."""
    size = 4 if kind & _GATE_32_BIT else 2
    frame = _frame(vcpu, event)
    stack, top = vcpu.segments[SS], vcpu.gpr[ESP]
    if not has_room(stack, top, len(frame), size):
        raise GuestFault(vectors.SS, 0)
    check_entry(memory, target, offset)
    user = vcpu.is_user
    probe_frame(memory, stack, top, len(frame), size, user=user)
    write_frame(memory, stack, top, frame, size, user=user)
    set_accessed(memory, target)
    vcpu.set_stack_pointer(top - len(frame) * size)
    commit_code(vcpu, target, target.segment.selector, vcpu.cpl)


def _enter_inner(
    vcpu: VirtualCpu,
    memory: LinearMemory,
    event: Event,
    kind: int,
    target: Descriptor,
    offset: int,
) -> None:
    """Enter a handler at an inner level, on the stack that the TSS gives for it."""
    size = 4 if kind & _GATE_32_BIT else 2
    level = target.segment.dpl
    selector, top = inner_stack(vcpu, memory, level)
    stack = stack_segment(vcpu, memory, selector, level, vectors.TS)
    frame = [vcpu.segments[SS].selector, vcpu.gpr[ESP], *_frame(vcpu, event)]
    if not has_room(stack.segment, top, len(frame), size):
        raise selector_fault(vectors.SS, selector)
    check_entry(memory, target, offset)
    probe_frame(memory, stack.segment, top, len(frame), size, user=False)
    probe_accessed(memory, stack)
    write_frame(memory, stack.segment, top, frame, size, user=False)
    set_accessed(memory, target)
    set_accessed(memory, stack)
    commit_code(vcpu, target, target.segment.selector, level)
    vcpu.segments[SS] = loaded(stack, selector)
    mask = stack.segment.offset_mask
    vcpu.gpr[ESP] = top & (M32 ^ mask) | (top - len(frame) * size) & mask


# --- frames -----------------------------------------------------------------------------------


def has_room(stack: Segment, top: int, count: int, size: int) -> bool:
    """Whether `count` words can be pushed below `top` within the limit of a stack segment."""
    mask = stack.offset_mask
    if (top & mask) >= count * size:
        return stack.allows((top & mask) - count * size, count * size)
    return all(stack.allows((top - (index + 1) * size) & mask, size) for index in range(count))


def probe_frame(
    memory: LinearMemory, stack: Segment, top: int, count: int, size: int, *, user: bool
) -> None:
    """Raise #PF unless the pages of a frame can be written."""
    mask = stack.offset_mask
    if (top & mask) >= count * size:
        lowest = stack.base + (top & mask) - count * size
        memory.probe_write(lowest, count * size, user=user, alignment=size)
        return
    for index in range(count):
        gva = stack.base + ((top - (index + 1) * size) & mask)
        memory.probe_write(gva, size, user=user)


def _packed(words: Sequence[int], size: int) -> bytes:
    """Words in the order of memory: the one pushed last comes first."""
    mask = (1 << 8 * size) - 1
    return b"".join((word & mask).to_bytes(size, "little") for word in reversed(words))


def write_frame(
    memory: LinearMemory, stack: Segment, top: int, words: Sequence[int], size: int, *, user: bool
) -> None:
    """Push words below `top`; probed before."""
    mask = stack.offset_mask
    total = len(words) * size
    lowest = stack.base + (top & mask) - total
    if (top & mask) >= total and (lowest & 0xFFF) + total <= 4096:
        memory.write_block(lowest, _packed(words, size), user=user)
        return
    for index, word in enumerate(words):
        gva = stack.base + ((top - (index + 1) * size) & mask)
        memory.write(gva, size, word, user=user)
