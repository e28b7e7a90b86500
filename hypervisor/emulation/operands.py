"""Operands of a decoded instruction: where they are, what they hold, how to set them.

Reading may fault; so may writing to memory, which must therefore be the last thing an instruction
does before it changes registers.

Source: SDM vol. 2A, "Instruction Format"; vol. 1, "Operand Addressing".
"""

from __future__ import annotations

from hypervisor.addresses import M32
from hypervisor.linear_memory import LinearMemory
from hypervisor.vcpu import VirtualCpu
from isa.instruction import Immediate, Instruction, Memory, Operand, Register, Target


def size_mask(bits: int) -> int:
    """All ones in an operand of that size."""
    return (1 << bits) - 1


def read_register(vcpu: VirtualCpu, register: Register) -> int:
    """A general or segment register."""
    if register.file == "r32":
        return vcpu.gpr[register.number]
    if register.file == "r16":
        return vcpu.gpr[register.number] & 0xFFFF
    if register.file == "r8":
        return vcpu.gpr[register.number & 3] >> (8 if register.number & 4 else 0) & 0xFF
    assert register.file == "sreg", register
    return vcpu.segments[register.number].selector


def write_register(vcpu: VirtualCpu, register: Register, value: int) -> None:
    """A general register; the other bits of the whole register stay."""
    if register.file == "r32":
        vcpu.gpr[register.number] = value & M32
    elif register.file == "r16":
        vcpu.gpr[register.number] = vcpu.gpr[register.number] & 0xFFFF0000 | value & 0xFFFF
    else:
        assert register.file == "r8", register
        number, shift = register.number & 3, 8 if register.number & 4 else 0
        kept = vcpu.gpr[number] & ~(0xFF << shift)
        vcpu.gpr[number] = kept | (value & 0xFF) << shift


def write_low(vcpu: VirtualCpu, number: int, bits: int, value: int) -> None:
    """The low 8, 16 or 32 bits of a general register."""
    mask = size_mask(bits)
    vcpu.gpr[number] = vcpu.gpr[number] & ~mask & M32 | value & mask


def offset_of(vcpu: VirtualCpu, operand: Memory, address_bits: int) -> int:
    """Offset of a memory operand in its segment."""
    offset = operand.displacement
    if operand.base is not None:
        offset += read_register(vcpu, operand.base)
    if operand.index is not None:
        offset += read_register(vcpu, operand.index) * operand.scale
    return offset & size_mask(address_bits)


def read_operand(
    vcpu: VirtualCpu, memory: LinearMemory, instruction: Instruction, operand: Operand, bits: int
) -> int:
    """An operand of `bits` bits, zero-extended."""
    if isinstance(operand, Register):
        return read_register(vcpu, operand) & size_mask(bits)
    if isinstance(operand, Immediate):
        return operand.value & size_mask(bits)
    if isinstance(operand, Memory):
        offset = offset_of(vcpu, operand, instruction.prefixes.address_bits)
        return memory.load(operand.effective_segment, offset, bits // 8)
    assert isinstance(operand, Target), operand
    return operand.address


def write_operand(
    vcpu: VirtualCpu,
    memory: LinearMemory,
    instruction: Instruction,
    operand: Operand,
    bits: int,
    value: int,
) -> None:
    """Set an operand of `bits` bits."""
    if isinstance(operand, Register):
        write_register(vcpu, operand, value)
        return
    assert isinstance(operand, Memory), operand
    offset = offset_of(vcpu, operand, instruction.prefixes.address_bits)
    memory.store(operand.effective_segment, offset, bits // 8, value)


def probe_operand(
    vcpu: VirtualCpu, memory: LinearMemory, instruction: Instruction, operand: Operand, bits: int
) -> None:
    """Raise the fault that writing an operand would raise; needed before a read-modify-write."""
    if isinstance(operand, Memory):
        offset = offset_of(vcpu, operand, instruction.prefixes.address_bits)
        gva = memory.address(operand.effective_segment, offset, bits // 8, write=True)
        memory.probe_write(gva, bits // 8, user=vcpu.is_user)
