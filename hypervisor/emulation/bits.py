"""Bit tests, shifts and the exchanging instructions, for accesses that only the monitor can make.

Compilers and hand-written drivers use them on registers of devices. Undefined flags are those of
the machine.

Source: SDM vol. 2, "BT", "BTS", "BTR", "BTC", "SAL/SAR/SHL/SHR", "XADD", "CMPXCHG".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypervisor.emulation.data import (
    arithmetic_flags,
    bits_of,
    result_flags,
    set_status,
)
from hypervisor.emulation.operands import (
    offset_of,
    probe_operand,
    read_operand,
    read_register,
    size_mask,
    write_low,
    write_operand,
    write_register,
)
from isa.instruction import Immediate, Instruction, Memory, Register
from isa.registers import EAX, EFLAGS_CF, EFLAGS_OF

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypervisor.emulation.emulator import Emulator, Routine

_TEST: Final = "BT"


def _changed(operation: str, value: int, bit: int) -> int:
    return {"BT": value, "BTS": value | bit, "BTR": value & ~bit, "BTC": value ^ bit}[operation]


def _bit(emulator: Emulator, instruction: Instruction) -> None:
    """BT, BTS, BTR, BTC: a register may index a string of bits in memory."""
    vcpu, memory = emulator.vcpu, emulator.memory
    destination, source = instruction.operands
    operation, bits = instruction.form.operation, bits_of(instruction)
    index = read_operand(vcpu, memory, instruction, source, bits)
    bit = 1 << (index & bits - 1)
    if isinstance(destination, Register):
        value = read_register(vcpu, destination)
        write_register(vcpu, destination, _changed(operation, value, bit))
    else:
        assert isinstance(destination, Memory), destination
        address_bits = instruction.prefixes.address_bits
        offset = offset_of(vcpu, destination, address_bits)
        if not isinstance(source, Immediate):
            signed = index - (index >> bits - 1 << bits)
            offset = offset + signed // bits * (bits // 8) & size_mask(address_bits)
        writes = operation != _TEST
        gva = memory.address(destination.effective_segment, offset, bits // 8, write=writes)
        if writes:
            memory.probe_write(gva, bits // 8, user=vcpu.is_user)
        value = memory.read(gva, bits // 8, user=vcpu.is_user)
        if writes:
            changed = _changed(operation, value, bit)
            memory.write(gva, bits // 8, changed, user=vcpu.is_user)
    vcpu.eflags = vcpu.eflags & ~EFLAGS_CF | (EFLAGS_CF if value & bit else 0)


def _left(value: int, count: int, bits: int) -> tuple[int, int, int]:
    result = value << count & size_mask(bits)
    carry = value << count >> bits & 1
    return result, carry, result >> bits - 1 ^ carry


def _right(value: int, count: int, bits: int) -> tuple[int, int, int]:
    overflow = value >> bits - 1 if count == 1 else 0
    return value >> count, value >> count - 1 & 1, overflow


def _arithmetic_right(value: int, count: int, bits: int) -> tuple[int, int, int]:
    signed = value - (value >> bits - 1 << bits)
    return signed >> count & size_mask(bits), signed >> count - 1 & 1, 0


def _shift(compute: Callable[[int, int, int], tuple[int, int, int]]) -> Routine:
    def routine(emulator: Emulator, instruction: Instruction) -> None:
        vcpu, memory = emulator.vcpu, emulator.memory
        destination, source = instruction.operands
        bits = bits_of(instruction)
        probe_operand(vcpu, memory, instruction, destination, bits)
        value = read_operand(vcpu, memory, instruction, destination, bits)
        count = read_operand(vcpu, memory, instruction, source, 8) & 31
        if not count:
            write_operand(vcpu, memory, instruction, destination, bits, value)
            return
        result, carry, overflow = compute(value, count, bits)
        write_operand(vcpu, memory, instruction, destination, bits, result)
        flags = (EFLAGS_CF if carry else 0) | (EFLAGS_OF if overflow else 0)
        set_status(emulator, flags | result_flags(result, bits))

    return routine


def _xadd(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, memory = emulator.vcpu, emulator.memory
    destination, source = instruction.operands
    assert isinstance(source, Register), source
    bits = bits_of(instruction)
    probe_operand(vcpu, memory, instruction, destination, bits)
    first = read_operand(vcpu, memory, instruction, destination, bits)
    second = read_register(vcpu, source)
    total = first + second
    if isinstance(destination, Memory):  # while the registers of its address are intact
        write_operand(vcpu, memory, instruction, destination, bits, total & size_mask(bits))
        write_register(vcpu, source, first)
    else:  # the sum wins where both operands are one register
        write_register(vcpu, source, first)
        write_operand(vcpu, memory, instruction, destination, bits, total & size_mask(bits))
    set_status(emulator, arithmetic_flags(first, second, total, bits, is_sum=True))


def _cmpxchg(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, memory = emulator.vcpu, emulator.memory
    destination, source = instruction.operands
    assert isinstance(source, Register), source
    bits = bits_of(instruction)
    probe_operand(vcpu, memory, instruction, destination, bits)
    value = read_operand(vcpu, memory, instruction, destination, bits)
    accumulator = vcpu.gpr[EAX] & size_mask(bits)
    is_equal = accumulator == value
    stored = read_register(vcpu, source) if is_equal else value
    write_operand(vcpu, memory, instruction, destination, bits, stored)
    if not is_equal:
        write_low(vcpu, EAX, bits, value)
    difference = accumulator - value
    set_status(emulator, arithmetic_flags(accumulator, value, difference, bits, is_sum=False))


ROUTINES: Final[dict[str, Routine]] = {
    "BT": _bit,
    "BTS": _bit,
    "BTR": _bit,
    "BTC": _bit,
    "SHL": _shift(_left),
    "SHR": _shift(_right),
    "SAR": _shift(_arithmetic_right),
    "XADD": _xadd,
    "CMPXCHG": _cmpxchg,
}
