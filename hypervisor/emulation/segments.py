"""Segment registers by MOV, POP and LDS: loads by the guest's own tables and privilege level.

Also reads of segment registers, which do not fault into a monitor but may be met in its company.

Source: SDM vol. 2, "MOV", "POP", "PUSH", "LDS/LES/LFS/LGS/LSS".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypervisor.addresses import M32
from hypervisor.emulation.operands import (
    offset_of,
    read_operand,
    write_operand,
    write_register,
)
from hypervisor.faults import undefined_opcode
from hypervisor.segment_loading import load_data_segment
from isa.instruction import Instruction, Memory, Register
from isa.registers import CS, ESP, SS

if TYPE_CHECKING:
    from hypervisor.emulation.emulator import Emulator, Routine

_SEGMENT_BY_PREFIX: Final = {"LDS": 3, "LES": 0, "LSS": 2, "LFS": 4, "LGS": 5}


def _segment(instruction: Instruction, position: int) -> int:
    operand = instruction.operands[position]
    assert isinstance(operand, Register), operand
    return operand.number


def _open_shadow(emulator: Emulator, register: int) -> None:
    """MOV SS and POP SS hold off interrupts until the next instruction has completed."""
    if register == SS:
        emulator.vcpu.shadow_at = emulator.host.completed + 1


def _mov_to_sreg(emulator: Emulator, instruction: Instruction) -> None:
    register = _segment(instruction, 0)
    if register == CS or register > 5:
        raise undefined_opcode()
    vcpu, memory = emulator.vcpu, emulator.memory
    selector = read_operand(vcpu, memory, instruction, instruction.operands[1], 16)
    load_data_segment(vcpu, memory, register, selector)
    _open_shadow(emulator, register)


def _mov_from_sreg(emulator: Emulator, instruction: Instruction) -> None:
    vcpu = emulator.vcpu
    destination = instruction.operands[0]
    selector = vcpu.segments[_segment(instruction, 1)].selector
    if isinstance(destination, Register):
        write_register(vcpu, destination, selector)
    else:
        write_operand(vcpu, emulator.memory, instruction, destination, 16, selector)


def _pop_sreg(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, memory = emulator.vcpu, emulator.memory
    register, size = _segment(instruction, 0), instruction.prefixes.operand_bits // 8
    selector = memory.peek_stack(0, size) & 0xFFFF
    mask = vcpu.segments[SS].offset_mask  # the pointer moves as the old stack segment says
    pointer = vcpu.gpr[ESP] & (M32 ^ mask) | (vcpu.gpr[ESP] + size) & mask
    load_data_segment(vcpu, memory, register, selector)
    vcpu.gpr[ESP] = pointer
    _open_shadow(emulator, register)


def _push_sreg(emulator: Emulator, instruction: Instruction) -> None:
    selector = emulator.vcpu.segments[_segment(instruction, 0)].selector
    emulator.memory.push(selector, instruction.prefixes.operand_bits // 8)


def _load_far(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, memory = emulator.vcpu, emulator.memory
    destination, source = instruction.operands
    assert isinstance(destination, Register)
    assert isinstance(source, Memory)
    size = instruction.prefixes.operand_bits // 8
    at = offset_of(vcpu, source, instruction.prefixes.address_bits)
    memory.address(source.effective_segment, at, size + 2, write=False)
    offset = memory.load(source.effective_segment, at, size)
    selector = memory.load(source.effective_segment, at + size, 2)
    load_data_segment(vcpu, memory, _SEGMENT_BY_PREFIX[instruction.form.mnemonic], selector)
    write_register(vcpu, destination, offset)


ROUTINES: Final[dict[str, Routine]] = {
    "MOV_TO_SREG": _mov_to_sreg,
    "MOV_FROM_SREG": _mov_from_sreg,
    "POP_SREG": _pop_sreg,
    "PUSH_SREG": _push_sreg,
    "LOAD_FAR": _load_far,
}
