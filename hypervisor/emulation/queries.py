"""Questions about descriptors: LAR, LSL, VERR and VERW by the guest's tables and privilege level.

They never fault for what they find: ZF says whether the selector names something fitting that CPL
and RPL may see.

Source: SDM vol. 2, "LAR", "LSL", "VERR/VERW"; vol. 3A, "Checking Access Rights".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypervisor.descriptors import SELECTOR_NOT_RPL, SELECTOR_RPL
from hypervisor.emulation.operands import read_operand, write_register
from hypervisor.segment_loading import Descriptor, descriptor_address, read_descriptor
from hypervisor.vcpu import VirtualCpu
from isa.instruction import Instruction, Register
from isa.registers import EFLAGS_ZF

if TYPE_CHECKING:
    from hypervisor.emulation.emulator import Emulator, Routine

# System descriptor types that the two instructions find valid.
_LAR_TYPES: Final = frozenset({0x1, 0x2, 0x3, 0x4, 0x5, 0x9, 0xB, 0xC})
_LSL_TYPES: Final = frozenset({0x1, 0x2, 0x3, 0x9, 0xB})

_RIGHTS: Final = {16: 0xFF00, 32: 0x00F0FF00}


def _find(emulator: Emulator, instruction: Instruction) -> Descriptor | None:
    """The descriptor asked about, if there is one that CPL and RPL may see; ZF cleared."""
    vcpu, memory = emulator.vcpu, emulator.memory
    asked = instruction.operands[-1]
    selector = read_operand(vcpu, memory, instruction, asked, 16) & 0xFFFF
    found = None
    if selector & SELECTOR_NOT_RPL and descriptor_address(vcpu, selector) is not None:
        found = read_descriptor(vcpu, memory, selector)
        if not _is_visible(vcpu, found, selector):
            found = None
    vcpu.eflags &= ~EFLAGS_ZF
    return found


def _is_visible(vcpu: VirtualCpu, found: Descriptor, selector: int) -> bool:
    segment = found.segment
    return segment.is_conforming or max(vcpu.cpl, selector & SELECTOR_RPL) <= segment.dpl


def _answer(emulator: Emulator, instruction: Instruction, value: int) -> None:
    destination = instruction.operands[0]
    assert isinstance(destination, Register)
    write_register(emulator.vcpu, destination, value)
    emulator.vcpu.eflags |= EFLAGS_ZF


def _lar(emulator: Emulator, instruction: Instruction) -> None:
    found = _find(emulator, instruction)
    if found and _has_type(found, _LAR_TYPES):
        _answer(emulator, instruction, found.high & _RIGHTS[instruction.prefixes.operand_bits])


def _lsl(emulator: Emulator, instruction: Instruction) -> None:
    found = _find(emulator, instruction)
    if found and _has_type(found, _LSL_TYPES):
        mask = (1 << instruction.prefixes.operand_bits) - 1
        _answer(emulator, instruction, found.segment.limit & mask)


def _has_type(found: Descriptor, system_types: frozenset[int]) -> bool:
    segment = found.segment
    return segment.system_type in system_types or segment.system_type < 0


def _verr(emulator: Emulator, instruction: Instruction) -> None:
    found = _find(emulator, instruction)
    if found and found.segment.is_readable:
        emulator.vcpu.eflags |= EFLAGS_ZF


def _verw(emulator: Emulator, instruction: Instruction) -> None:
    found = _find(emulator, instruction)
    if found and found.segment.is_writable:
        emulator.vcpu.eflags |= EFLAGS_ZF


ROUTINES: Final[dict[str, Routine]] = {"LAR": _lar, "LSL": _lsl, "VERR": _verr, "VERW": _verw}
