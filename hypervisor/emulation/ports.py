"""IN, OUT, INS and OUTS: the accesses go to the VM's own devices.

The repeated forms do one iteration after another, each complete in itself, and pause where a
processor would take an interrupt.

Source: SDM vol. 2, "IN", "OUT", "INS/INSB/INSW/INSD", "OUTS/OUTSB/OUTSW/OUTSD".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypervisor.emulation.operands import size_mask, write_low
from hypervisor.emulation.privilege import check_port, port_of
from hypervisor.emulation.strings import index_register, repeat, segment_of, step
from isa.instruction import Instruction
from isa.registers import EAX, EDI, EDX, ES, ESI

if TYPE_CHECKING:
    from hypervisor.emulation.emulator import Emulator, Routine


def _in(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, bits = emulator.vcpu, instruction.form.data_bits
    port = port_of(vcpu, instruction)
    check_port(vcpu, emulator.memory, port, bits // 8)
    write_low(vcpu, EAX, bits, emulator.host.read_port(port, bits // 8))


def _out(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, bits = emulator.vcpu, instruction.form.data_bits
    port = port_of(vcpu, instruction)
    check_port(vcpu, emulator.memory, port, bits // 8)
    emulator.host.write_port(port, bits // 8, vcpu.gpr[EAX] & size_mask(bits))


def _ins(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, size = emulator.vcpu, instruction.form.data_bits // 8

    def iteration() -> None:
        check_port(vcpu, emulator.memory, vcpu.gpr[EDX] & 0xFFFF, size)
        offset = index_register(vcpu, EDI, instruction)
        gva = emulator.memory.address(ES, offset, size, write=True)
        emulator.memory.probe_write(gva, size, user=vcpu.is_user)
        value = emulator.host.read_port(vcpu.gpr[EDX] & 0xFFFF, size)
        emulator.memory.write(gva, size, value, user=vcpu.is_user)
        step(vcpu, EDI, size, instruction)

    repeat(emulator, instruction, iteration)


def _outs(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, size = emulator.vcpu, instruction.form.data_bits // 8

    def iteration() -> None:
        check_port(vcpu, emulator.memory, vcpu.gpr[EDX] & 0xFFFF, size)
        offset = index_register(vcpu, ESI, instruction)
        value = emulator.memory.load(segment_of(instruction), offset, size)
        emulator.host.write_port(vcpu.gpr[EDX] & 0xFFFF, size, value)
        step(vcpu, ESI, size, instruction)

    repeat(emulator, instruction, iteration)


ROUTINES: Final[dict[str, Routine]] = {"IN": _in, "OUT": _out, "INS": _ins, "OUTS": _outs}
