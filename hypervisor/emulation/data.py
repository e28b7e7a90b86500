"""Moves and arithmetic on memory, for accesses that only the monitor can make.

A guest may address memory of devices, or the part of the linear address space that the monitor
keeps for itself. The instructions compilers use for that are here, with all their flags; what is
missing ends the VM with a typed reason.

Source: SDM vol. 2, the pages of the instructions; vol. 1, "EFLAGS Cross-Reference".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypervisor.emulation.branches import is_met
from hypervisor.emulation.operands import (
    probe_operand,
    read_operand,
    read_register,
    size_mask,
    write_operand,
    write_register,
)
from isa.instruction import Instruction, Register
from isa.operand_kinds import KIND_BITS
from isa.registers import (
    EFLAGS_AF,
    EFLAGS_CF,
    EFLAGS_OF,
    EFLAGS_PF,
    EFLAGS_SF,
    EFLAGS_STATUS,
    EFLAGS_ZF,
)

if TYPE_CHECKING:
    from hypervisor.emulation.emulator import Emulator, Routine


def bits_of(instruction: Instruction, position: int = 0) -> int:
    """Size of an operand in bits, as the table's operand kind says."""
    return KIND_BITS[instruction.form.kinds[position]]


def result_flags(value: int, bits: int) -> int:
    """ZF, SF and PF of a result."""
    flags = 0 if value & size_mask(bits) else EFLAGS_ZF
    if value >> bits - 1 & 1:
        flags |= EFLAGS_SF
    if not (value & 0xFF).bit_count() & 1:
        flags |= EFLAGS_PF
    return flags


def set_status(emulator: Emulator, flags: int, kept: int = 0) -> None:
    changed = EFLAGS_STATUS & ~kept
    emulator.vcpu.eflags = emulator.vcpu.eflags & ~changed | flags & changed


def arithmetic_flags(left: int, right: int, result: int, bits: int, *, is_sum: bool) -> int:
    """All status flags of an addition or subtraction. `result` is not cut to size."""
    flags = result_flags(result, bits)
    if result >> bits & 1:
        flags |= EFLAGS_CF
    if (left ^ right ^ result) & 0x10:
        flags |= EFLAGS_AF
    other = right if is_sum else ~right
    if (left ^ result) & (other ^ result) & 1 << bits - 1:
        flags |= EFLAGS_OF
    return flags


def _binary(compute: str, *, with_carry: bool = False, keeps: bool = True) -> Routine:
    """ADD, OR, ADC, SBB, AND, SUB, XOR (and CMP, TEST, which do not keep the result)."""

    def routine(emulator: Emulator, instruction: Instruction) -> None:
        vcpu, memory = emulator.vcpu, emulator.memory
        destination, source = instruction.operands
        bits = bits_of(instruction)
        right = read_operand(vcpu, memory, instruction, source, bits)
        if keeps:
            probe_operand(vcpu, memory, instruction, destination, bits)
        left = read_operand(vcpu, memory, instruction, destination, bits)
        carry = vcpu.eflags & EFLAGS_CF if with_carry else 0
        result, flags = _compute(compute, left, right, carry, bits)
        if keeps:
            value = result & size_mask(bits)
            write_operand(vcpu, memory, instruction, destination, bits, value)
        set_status(emulator, flags)

    return routine


def _compute(kind: str, left: int, right: int, carry: int, bits: int) -> tuple[int, int]:
    if kind == "+":
        result = left + right + carry
        return result, arithmetic_flags(left, right, result, bits, is_sum=True)
    if kind == "-":
        result = left - right - carry
        return result, arithmetic_flags(left, right, result, bits, is_sum=False)
    result = {"&": left & right, "|": left | right, "^": left ^ right}[kind]
    return result, result_flags(result, bits)


def _step(distance: int) -> Routine:
    """INC and DEC: the carry flag stays."""

    def routine(emulator: Emulator, instruction: Instruction) -> None:
        vcpu, memory = emulator.vcpu, emulator.memory
        operand = instruction.operands[0]
        bits = bits_of(instruction)
        probe_operand(vcpu, memory, instruction, operand, bits)
        left = read_operand(vcpu, memory, instruction, operand, bits)
        result, flags = _compute("+" if distance > 0 else "-", left, 1, 0, bits)
        write_operand(vcpu, memory, instruction, operand, bits, result & size_mask(bits))
        set_status(emulator, flags, kept=EFLAGS_CF)

    return routine


def _not(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, memory = emulator.vcpu, emulator.memory
    operand = instruction.operands[0]
    bits = bits_of(instruction)
    probe_operand(vcpu, memory, instruction, operand, bits)
    value = read_operand(vcpu, memory, instruction, operand, bits)
    write_operand(vcpu, memory, instruction, operand, bits, value ^ size_mask(bits))


def _neg(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, memory = emulator.vcpu, emulator.memory
    operand = instruction.operands[0]
    bits = bits_of(instruction)
    probe_operand(vcpu, memory, instruction, operand, bits)
    value = read_operand(vcpu, memory, instruction, operand, bits)
    result, flags = _compute("-", 0, value, 0, bits)
    write_operand(vcpu, memory, instruction, operand, bits, result & size_mask(bits))
    set_status(emulator, flags)


def _mov(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, memory = emulator.vcpu, emulator.memory
    destination, source = instruction.operands
    bits = bits_of(instruction)
    value = read_operand(vcpu, memory, instruction, source, bits)
    write_operand(vcpu, memory, instruction, destination, bits, value)


def _movzx(emulator: Emulator, instruction: Instruction) -> None:
    destination, source = instruction.operands
    vcpu, bits = emulator.vcpu, bits_of(instruction, 1)
    value = read_operand(vcpu, emulator.memory, instruction, source, bits)
    assert isinstance(destination, Register)
    write_register(vcpu, destination, value)


def _movsx(emulator: Emulator, instruction: Instruction) -> None:
    destination, source = instruction.operands
    vcpu, bits = emulator.vcpu, bits_of(instruction, 1)
    value = read_operand(vcpu, emulator.memory, instruction, source, bits)
    assert isinstance(destination, Register)
    write_register(vcpu, destination, value - (value >> bits - 1 << bits))


def _setcc(emulator: Emulator, instruction: Instruction) -> None:
    value = int(is_met(instruction.form.condition, emulator.vcpu.eflags))
    write_operand(emulator.vcpu, emulator.memory, instruction, instruction.operands[0], 8, value)


def _cmovcc(emulator: Emulator, instruction: Instruction) -> None:
    """CMOVcc reads its source whether the condition is met or not."""
    destination, source = instruction.operands
    vcpu, bits = emulator.vcpu, bits_of(instruction)
    value = read_operand(vcpu, emulator.memory, instruction, source, bits)
    assert isinstance(destination, Register)
    if is_met(instruction.form.condition, vcpu.eflags):
        write_register(vcpu, destination, value)


def _xchg(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, memory = emulator.vcpu, emulator.memory
    first, second = instruction.operands
    if isinstance(first, Register):
        first, second = second, first
    assert isinstance(second, Register)
    bits = second.bits
    probe_operand(vcpu, memory, instruction, first, bits)
    value = read_operand(vcpu, memory, instruction, first, bits)
    write_operand(vcpu, memory, instruction, first, bits, read_register(vcpu, second))
    write_register(vcpu, second, value)


ROUTINES: Final[dict[str, Routine]] = {
    "MOV": _mov,
    "MOVZX": _movzx,
    "MOVSX": _movsx,
    "SETCC": _setcc,
    "CMOVCC": _cmovcc,
    "XCHG": _xchg,
    "ADD": _binary("+"),
    "ADC": _binary("+", with_carry=True),
    "SUB": _binary("-"),
    "SBB": _binary("-", with_carry=True),
    "CMP": _binary("-", keeps=False),
    "AND": _binary("&"),
    "OR": _binary("|"),
    "XOR": _binary("^"),
    "TEST": _binary("&", keeps=False),
    "INC": _step(1),
    "DEC": _step(-1),
    "NOT": _not,
    "NEG": _neg,
}
