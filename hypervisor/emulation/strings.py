"""String moves, and what all string instructions have in common: index registers and repetition.

MOVS, STOS and LODS are here because they may touch what only the monitor can reach for them. The
comparing ones (CMPS, SCAS) are not emulated.

Source: SDM vol. 2, "REP/REPE/REPZ/REPNE/REPNZ", "MOVS/MOVSB/MOVSW/MOVSD", "STOS…", "LODS…".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from hypervisor.emulation.operands import size_mask, write_low
from hypervisor.vcpu import VirtualCpu
from isa.instruction import Instruction
from isa.registers import DS, EAX, ECX, EDI, EFLAGS_DF, EFLAGS_RF, EFLAGS_TF, ES, ESI

if TYPE_CHECKING:
    from hypervisor.emulation.emulator import Emulator, Routine


def index_register(vcpu: VirtualCpu, register: int, instruction: Instruction) -> int:
    """ESI or EDI, or their low halves with 16-bit addresses."""
    return vcpu.gpr[register] & size_mask(instruction.prefixes.address_bits)


def segment_of(instruction: Instruction) -> int:
    """The segment of the source: DS unless overridden."""
    override = instruction.prefixes.segment
    return DS if override is None else override


def step(vcpu: VirtualCpu, register: int, size: int, instruction: Instruction) -> None:
    """Move an index register on, in the direction of DF."""
    distance = -size if vcpu.eflags & EFLAGS_DF else size
    bits = instruction.prefixes.address_bits
    write_low(vcpu, register, bits, vcpu.gpr[register] + distance)


def repeat(emulator: Emulator, instruction: Instruction, iteration: Callable[[], None]) -> None:
    """Run the iteration once, or ECX times; pauses between two of them if host or TF wants that."""
    if not instruction.prefixes.repeat:
        iteration()
        return
    vcpu = emulator.vcpu
    while index_register(vcpu, ECX, instruction):
        iteration()
        bits = instruction.prefixes.address_bits
        write_low(vcpu, ECX, bits, vcpu.gpr[ECX] - 1)
        if not index_register(vcpu, ECX, instruction):
            return
        if vcpu.eflags & EFLAGS_TF or emulator.host.must_yield():
            emulator.is_complete = False
            vcpu.eflags |= EFLAGS_RF  # as between any two iterations
            return


def _movs(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, size = emulator.vcpu, instruction.form.data_bits // 8

    def iteration() -> None:
        source = index_register(vcpu, ESI, instruction)
        value = emulator.memory.load(segment_of(instruction), source, size)
        emulator.memory.store(ES, index_register(vcpu, EDI, instruction), size, value)
        step(vcpu, ESI, size, instruction)
        step(vcpu, EDI, size, instruction)

    repeat(emulator, instruction, iteration)


def _stos(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, size = emulator.vcpu, instruction.form.data_bits // 8

    def iteration() -> None:
        value = vcpu.gpr[EAX] & size_mask(8 * size)
        emulator.memory.store(ES, index_register(vcpu, EDI, instruction), size, value)
        step(vcpu, EDI, size, instruction)

    repeat(emulator, instruction, iteration)


def _lods(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, bits = emulator.vcpu, instruction.form.data_bits

    def iteration() -> None:
        source = index_register(vcpu, ESI, instruction)
        value = emulator.memory.load(segment_of(instruction), source, bits // 8)
        write_low(vcpu, EAX, bits, value)
        step(vcpu, ESI, bits // 8, instruction)

    repeat(emulator, instruction, iteration)


ROUTINES: Final[dict[str, Routine]] = {"MOVS": _movs, "STOS": _stos, "LODS": _lods}
