"""Near calls and returns, pushes and pops.

These run natively in a guest; they are emulated only where the stack lies at addresses that the
monitor keeps for itself, or where they would show its trap flag.

Source: SDM vol. 2, "PUSH", "POP", "PUSHA/PUSHAD", "POPA/POPAD", "PUSHF/PUSHFD", "POPF/POPFD",
"CALL", "RET", "LEAVE".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypervisor.addresses import M32
from hypervisor.emulation.operands import read_operand, size_mask, write_low, write_operand
from hypervisor.faults import GuestFault, general_protection
from isa.instruction import Immediate, Instruction
from isa.registers import (
    CS,
    EBP,
    EFLAGS_AC,
    EFLAGS_DF,
    EFLAGS_ID,
    EFLAGS_IF,
    EFLAGS_IOPL,
    EFLAGS_NT,
    EFLAGS_RF,
    EFLAGS_STATUS,
    EFLAGS_TF,
    EFLAGS_VM,
    ESP,
)

if TYPE_CHECKING:
    from hypervisor.emulation.emulator import Emulator, Routine


def _bits(instruction: Instruction) -> int:
    return instruction.prefixes.operand_bits


def _pop(emulator: Emulator, position: int, size: int) -> int:
    return emulator.memory.peek_stack(position, size)


def _push(emulator: Emulator, instruction: Instruction) -> None:
    bits = _bits(instruction)
    vcpu, memory = emulator.vcpu, emulator.memory
    value = read_operand(vcpu, memory, instruction, instruction.operands[0], bits)
    memory.push(value, bits // 8)


def _pop_operand(emulator: Emulator, instruction: Instruction) -> None:
    """POP: a destination addressed by ESP is computed after ESP has moved."""
    vcpu, bits = emulator.vcpu, _bits(instruction)
    value = _pop(emulator, 0, bits // 8)
    before = vcpu.gpr[ESP]
    vcpu.set_stack_pointer(before + bits // 8)
    try:
        write_operand(vcpu, emulator.memory, instruction, instruction.operands[0], bits, value)
    except GuestFault:
        vcpu.gpr[ESP] = before
        raise


def _pusha(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, size = emulator.vcpu, _bits(instruction) // 8
    values = list(vcpu.gpr)
    before = vcpu.gpr[ESP]
    try:
        for value in values:
            emulator.memory.push(value, size)
    except GuestFault:
        vcpu.gpr[ESP] = before
        raise


def _popa(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, bits = emulator.vcpu, _bits(instruction)
    values = [_pop(emulator, index * bits // 8, bits // 8) for index in range(8)]
    for index, value in enumerate(values):
        if 7 - index != ESP:
            write_low(vcpu, 7 - index, bits, value)
    vcpu.set_stack_pointer(vcpu.gpr[ESP] + bits)


def _pushf(emulator: Emulator, instruction: Instruction) -> None:
    image = emulator.vcpu.eflags & ~(EFLAGS_RF | EFLAGS_VM)
    emulator.memory.push(image, _bits(instruction) // 8)


def _popf(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, size = emulator.vcpu, _bits(instruction) // 8
    image = _pop(emulator, 0, size)
    vcpu.eflags = restored_flags(vcpu.eflags, image & vcpu.known_eflags, size, vcpu.cpl)
    vcpu.set_stack_pointer(vcpu.gpr[ESP] + size)


def restored_flags(eflags: int, image: int, size: int, cpl: int) -> int:
    """EFLAGS after popping `image` at a privilege level, all of it that POPF may change."""
    allowed = EFLAGS_STATUS | EFLAGS_TF | EFLAGS_DF | EFLAGS_NT
    if size == 4:
        allowed |= EFLAGS_AC | EFLAGS_ID
    if cpl <= eflags >> 12 & 3:
        allowed |= EFLAGS_IF
    if cpl == 0:
        allowed |= EFLAGS_IOPL
    return eflags & ~(allowed | EFLAGS_RF) | image & allowed


def go_near(emulator: Emulator, target: int) -> None:
    """Continue at an offset of the code segment; #GP(0) beyond its limit."""
    if not emulator.vcpu.segments[CS].allows(target, 1):
        raise general_protection()
    emulator.next_eip = target


def near_target(emulator: Emulator, instruction: Instruction) -> int:
    """Where a near jump or call goes."""
    bits = _bits(instruction)
    operand = instruction.operands[0]
    value = read_operand(emulator.vcpu, emulator.memory, instruction, operand, bits)
    return value & size_mask(bits)


def _call(emulator: Emulator, instruction: Instruction) -> None:
    target, after = near_target(emulator, instruction), emulator.next_eip
    go_near(emulator, target)
    emulator.memory.push(after, _bits(instruction) // 8)


def _ret(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, size = emulator.vcpu, _bits(instruction) // 8
    go_near(emulator, _pop(emulator, 0, size))
    extra = _released(instruction)
    vcpu.set_stack_pointer(vcpu.gpr[ESP] + size + extra)


def _released(instruction: Instruction) -> int:
    """Bytes of arguments that `RET imm16` drops."""
    operand = instruction.operands[0] if instruction.operands else None
    return operand.value if isinstance(operand, Immediate) else 0


def _leave(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, bits = emulator.vcpu, _bits(instruction)
    before = vcpu.gpr[ESP]
    vcpu.set_stack_pointer(vcpu.gpr[EBP])
    try:
        value = _pop(emulator, 0, bits // 8)
    except GuestFault:
        vcpu.gpr[ESP] = before
        raise
    vcpu.set_stack_pointer(vcpu.gpr[ESP] + bits // 8)
    write_low(vcpu, EBP, bits, value & M32)


ROUTINES: Final[dict[str, Routine]] = {
    "PUSH": _push,
    "POP": _pop_operand,
    "PUSHA": _pusha,
    "POPA": _popa,
    "PUSHF": _pushf,
    "POPF": _popf,
    "CALL": _call,
    "CALL_INDIRECT": _call,
    "RET": _ret,
    "LEAVE": _leave,
}
