"""Transfers of control that change segments or privilege: INT, IRET, far JMP, CALL and RET.

All are judged by the guest's own tables and its believed privilege level. What would switch tasks
in hardware ends the VM (hypervisor.task_switching).

Source: SDM vol. 2, the Operation sections of "INT n/INTO/INT3/INT1", "IRET/IRETD", "JMP", "CALL",
"RET"; vol. 3A, "Call Gates", "Stack Switching".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypervisor.addresses import M32
from hypervisor.descriptors import SELECTOR_RPL, parse_gate
from hypervisor.emulation.operands import offset_of
from hypervisor.emulation.stack import restored_flags
from hypervisor.faults import GuestFault
from hypervisor.reflection import Event, Kind, deliver, has_room, probe_frame, write_frame
from hypervisor.segment_loading import (
    Descriptor,
    check_entry,
    commit_code,
    direct_target,
    drop_inaccessible,
    gate_target,
    inner_stack,
    loaded,
    probe_accessed,
    read_code_descriptor,
    return_target,
    selector_fault,
    set_accessed,
    stack_segment,
)
from hypervisor.task_switching import is_task, switch_task, transfer_to_task
from hypervisor.technique import StopReason, VmStopped
from isa import vectors
from isa.instruction import FarPointer, Immediate, Instruction, Memory
from isa.registers import (
    ATTR_S,
    CS,
    EFLAGS_NT,
    EFLAGS_OF,
    EFLAGS_RF,
    EFLAGS_VIF,
    EFLAGS_VIP,
    EFLAGS_VM,
    ESP,
    SS,
    TR,
)

if TYPE_CHECKING:
    from hypervisor.emulation.emulator import Emulator, Routine

_CALL_GATES: Final = frozenset({0x4, 0xC})
_GATE_32_BIT: Final = 0x8


def _size(instruction: Instruction) -> int:
    return instruction.prefixes.operand_bits // 8


# --- interrupts -------------------------------------------------------------------------------


def _interrupt(emulator: Emulator, vector: int) -> None:
    """Enter the guest's handler; a fault on the way is a fault of the instruction."""
    event = Event(vector, None, Kind.SOFTWARE, emulator.next_eip)
    deliver(emulator.vcpu, emulator.memory, event)
    emulator.next_eip = emulator.vcpu.eip


def _int(emulator: Emulator, instruction: Instruction) -> None:
    operand = instruction.operands[0]
    assert isinstance(operand, Immediate)
    _interrupt(emulator, operand.value & 0xFF)


def _int3(emulator: Emulator, _instruction: Instruction) -> None:
    _interrupt(emulator, vectors.BP)


def _int1(emulator: Emulator, _instruction: Instruction) -> None:
    """INT1: complete like the others, but the gate's DPL does not count."""
    vcpu = emulator.vcpu
    event = Event(vectors.DB, None, Kind.HARDWARE, emulator.next_eip)
    deliver(vcpu, emulator.memory, event)
    emulator.next_eip = vcpu.eip


def _into(emulator: Emulator, _instruction: Instruction) -> None:
    if emulator.vcpu.eflags & EFLAGS_OF:
        _interrupt(emulator, vectors.OF)


def _iret(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, memory, size = emulator.vcpu, emulator.memory, _size(instruction)
    if vcpu.eflags & EFLAGS_NT:
        link = memory.read_system(vcpu.segments[TR].base, 2)
        switch_task(vcpu, memory, link, returning=True)
    eip, selector, image = memory.peek_frame(3, size)
    if size == 4 and image & EFLAGS_VM and vcpu.cpl == 0:
        if memory.peek_frame(9, size)[0] > 0xFFFF:
            raise GuestFault(vectors.GP, 0)
        raise VmStopped(StopReason.ERROR, "IRET to virtual-8086 mode, which cannot be deprivileged")
    selector &= 0xFFFF
    target = return_target(vcpu, memory, selector)
    if selector & SELECTOR_RPL == vcpu.cpl:
        check_entry(memory, target, eip)
        set_accessed(memory, target)
        vcpu.eflags = _returned_flags(emulator, image, size)
        vcpu.set_stack_pointer(vcpu.gpr[ESP] + 3 * size)
        commit_code(vcpu, target, selector, vcpu.cpl)
    else:
        pointer, stack = memory.peek_frame(5, size)[3:]
        eflags = _returned_flags(emulator, image, size)
        _return_outer(emulator, target, selector, eip, stack & 0xFFFF, pointer)
        vcpu.eflags = eflags
    emulator.next_eip = eip


def _returned_flags(emulator: Emulator, image: int, size: int) -> int:
    """EFLAGS after IRET: as after POPF, and at CPL 0 the virtual interrupt flags too."""
    vcpu = emulator.vcpu
    image &= vcpu.known_eflags
    eflags = restored_flags(vcpu.eflags, image, size, vcpu.cpl)
    if size == 4:
        eflags |= image & EFLAGS_RF
    if vcpu.cpl == 0 and size == 4:
        virtual = EFLAGS_VIF | EFLAGS_VIP
        eflags = eflags & ~virtual | image & virtual
    return eflags


def _return_outer(
    emulator: Emulator, target: Descriptor, selector: int, eip: int, ss: int, pointer: int
) -> None:
    """Leave for an outer privilege level: CS, SS and ESP, and no data segment it may not use."""
    vcpu, memory = emulator.vcpu, emulator.memory
    level = selector & SELECTOR_RPL
    stack = stack_segment(vcpu, memory, ss, level, vectors.GP)
    check_entry(memory, target, eip)
    probe_accessed(memory, stack)
    set_accessed(memory, target)
    set_accessed(memory, stack)
    commit_code(vcpu, target, selector, level)
    vcpu.segments[SS] = loaded(stack, ss)
    vcpu.set_stack_pointer(pointer)
    drop_inaccessible(vcpu)


# --- far JMP ----------------------------------------------------------------------------------


def _far_pointer(emulator: Emulator, instruction: Instruction) -> tuple[int, int]:
    """Selector and offset of the operand."""
    operand, size = instruction.operands[0], _size(instruction)
    if isinstance(operand, FarPointer):
        return operand.selector, operand.offset
    assert isinstance(operand, Memory)
    memory = emulator.memory
    at = offset_of(emulator.vcpu, operand, instruction.prefixes.address_bits)
    memory.address(operand.effective_segment, at, size + 2, write=False)
    offset = memory.load(operand.effective_segment, at, size)
    return memory.load(operand.effective_segment, (at + size) & M32, 2), offset


def _jmp_far(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, memory = emulator.vcpu, emulator.memory
    selector, offset = _far_pointer(emulator, instruction)
    found = read_code_descriptor(vcpu, memory, selector)
    if found.segment.attributes & ATTR_S:
        _check_code(found, selector)
        direct_target(vcpu, found, selector)
    else:
        if is_task(found.segment):
            transfer_to_task(vcpu, memory, found, selector)
        _check_call_gate(emulator, found, selector)
        selector, offset, _kind, _dpl = parse_gate(found.low, found.high)
        found = gate_target(vcpu, memory, selector)
        if not found.segment.is_conforming and found.segment.dpl != vcpu.cpl:
            raise selector_fault(vectors.GP, selector)
    check_entry(memory, found, offset)
    set_accessed(memory, found)
    commit_code(vcpu, found, selector, vcpu.cpl)
    emulator.next_eip = offset


def _check_code(found: Descriptor, selector: int) -> None:
    if not found.segment.is_code:
        raise selector_fault(vectors.GP, selector)


def _check_call_gate(emulator: Emulator, found: Descriptor, selector: int) -> None:
    """Type, privilege and presence of a system descriptor used as a call gate."""
    dpl = found.segment.dpl
    is_gate = found.segment.system_type in _CALL_GATES
    if not is_gate or dpl < emulator.vcpu.cpl or dpl < selector & SELECTOR_RPL:
        raise selector_fault(vectors.GP, selector)
    if not found.segment.is_present:
        raise selector_fault(vectors.NP, selector)


# --- far CALL ---------------------------------------------------------------------------------


def _call_far(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, memory = emulator.vcpu, emulator.memory
    selector, offset = _far_pointer(emulator, instruction)
    found = read_code_descriptor(vcpu, memory, selector)
    if found.segment.attributes & ATTR_S:
        _check_code(found, selector)
        direct_target(vcpu, found, selector)
        _call_same(emulator, found, selector, offset, _size(instruction))
        return
    if is_task(found.segment):
        transfer_to_task(vcpu, memory, found, selector)
    _check_call_gate(emulator, found, selector)
    parameters = found.high & 31
    selector, offset, kind, _dpl = parse_gate(found.low, found.high)
    size = 4 if kind & _GATE_32_BIT else 2
    found = gate_target(vcpu, memory, selector)
    if found.segment.is_conforming or found.segment.dpl == vcpu.cpl:
        _call_same(emulator, found, selector, offset, size)
    else:
        _call_inner(emulator, found, selector, offset, size, parameters)


def _call_same(
    emulator: Emulator, found: Descriptor, selector: int, offset: int, size: int
) -> None:
    vcpu, memory = emulator.vcpu, emulator.memory
    check_entry(memory, found, offset)
    stack, top = vcpu.segments[SS], vcpu.gpr[ESP]
    if not has_room(stack, top, 2, size):
        raise GuestFault(vectors.SS, 0)
    frame = [vcpu.segments[CS].selector, emulator.next_eip]
    probe_frame(memory, stack, top, 2, size, user=vcpu.is_user)
    write_frame(memory, stack, top, frame, size, user=vcpu.is_user)
    vcpu.set_stack_pointer(top - 2 * size)
    set_accessed(memory, found)
    commit_code(vcpu, found, selector, vcpu.cpl)
    emulator.next_eip = offset


def _call_inner(
    emulator: Emulator, found: Descriptor, selector: int, offset: int, size: int, parameters: int
) -> None:
    """Call at an inner privilege level, on the stack that the TSS gives, parameters copied."""
    vcpu, memory = emulator.vcpu, emulator.memory
    level = found.segment.dpl
    ss, top = inner_stack(vcpu, memory, level)
    stack = stack_segment(vcpu, memory, ss, level, vectors.TS)
    if not has_room(stack.segment, top, parameters + 4, size):
        raise selector_fault(vectors.SS, ss)
    copied = [memory.peek_stack(index * size, size) for index in reversed(range(parameters))]
    frame = [vcpu.segments[SS].selector, vcpu.gpr[ESP], *copied]
    frame += [vcpu.segments[CS].selector, emulator.next_eip]
    check_entry(memory, found, offset)
    probe_frame(memory, stack.segment, top, len(frame), size, user=False)
    probe_accessed(memory, stack)
    write_frame(memory, stack.segment, top, frame, size, user=False)
    set_accessed(memory, found)
    set_accessed(memory, stack)
    commit_code(vcpu, found, selector, level)
    vcpu.segments[SS] = loaded(stack, ss)
    mask = stack.segment.offset_mask
    vcpu.gpr[ESP] = top & (M32 ^ mask) | (top - len(frame) * size) & mask
    emulator.next_eip = offset


# --- far RET ----------------------------------------------------------------------------------


def _ret_far(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, memory, size = emulator.vcpu, emulator.memory, _size(instruction)
    operand = instruction.operands[0] if instruction.operands else None
    release = operand.value & 0xFFFF if isinstance(operand, Immediate) else 0
    offset = memory.peek_stack(0, size)
    selector = memory.peek_stack(size, size) & 0xFFFF
    target = return_target(vcpu, memory, selector)
    if selector & SELECTOR_RPL == vcpu.cpl:
        check_entry(memory, target, offset)
        set_accessed(memory, target)
        vcpu.set_stack_pointer(vcpu.gpr[ESP] + 2 * size + release)
        commit_code(vcpu, target, selector, vcpu.cpl)
    else:
        pointer = memory.peek_stack(2 * size + release, size)
        ss = memory.peek_stack(3 * size + release, size) & 0xFFFF
        _return_outer(emulator, target, selector, offset, ss, pointer)
        vcpu.set_stack_pointer(vcpu.gpr[ESP] + release)
    emulator.next_eip = offset


ROUTINES: Final[dict[str, Routine]] = {
    "INT": _int,
    "INT3": _int3,
    "INTO": _into,
    "INT1": _int1,
    "IRET": _iret,
    "JMP_FAR": _jmp_far,
    "CALL_FAR": _call_far,
    "RET_FAR": _ret_far,
}
