"""Who may execute an instruction, as the guest believes its privilege level to be.

Source: SDM vol. 3A, "Privileged Instructions"; vol. 1, "Protected-Mode I/O", "I/O Permission Bit
Map".
"""

from __future__ import annotations

from hypervisor.descriptors import TSS_IS_32_BIT
from hypervisor.faults import general_protection
from hypervisor.linear_memory import LinearMemory
from hypervisor.vcpu import VirtualCpu
from isa.instruction import Immediate, Instruction
from isa.registers import CR4_PCE, CR4_TSD, CR4_UMIP, EDX, FEATURE_TRAPS, TR

_IO_MAP_POINTER = 102  # offset in the TSS of the word that says where the bit map begins
_SMALLEST_TSS32_LIMIT = 103


def check_privilege(vcpu: VirtualCpu, memory: LinearMemory, instruction: Instruction) -> None:
    """Raise #GP(0) unless the table's privilege rule lets the virtual processor execute this.

    On a processor with TRAPS whatever is sensitive is for CPL 0, whatever else the rule says.
    The right to a port (`iomap`) is checked with the access: a repetition of length 0 has none.
    """
    if vcpu.cpl and vcpu.features & FEATURE_TRAPS and instruction.form.sensitive:
        raise general_protection()
    match instruction.form.privilege:
        case "cpl0":
            allowed = vcpu.cpl == 0
        case "iopl":
            allowed = vcpu.cpl <= vcpu.iopl
        case "tsd":
            allowed = vcpu.cpl == 0 or not vcpu.cr4 & CR4_TSD
        case "pce":
            allowed = vcpu.cpl == 0 or bool(vcpu.cr4 & CR4_PCE)
        case "umip":
            allowed = vcpu.cpl == 0 or not vcpu.cr4 & CR4_UMIP
        case _:
            allowed = True
    if not allowed:
        raise general_protection()


def port_of(vcpu: VirtualCpu, instruction: Instruction) -> int:
    """The port an I/O instruction names: an immediate byte, or DX."""
    for operand in instruction.operands:
        if isinstance(operand, Immediate):
            return operand.value & 0xFF
    return vcpu.gpr[EDX] & 0xFFFF


def check_port(vcpu: VirtualCpu, memory: LinearMemory, port: int, size: int) -> None:
    """Raise #GP(0) unless IOPL or the I/O bit map of the guest's TSS allows an access."""
    if vcpu.cpl <= vcpu.iopl:
        return
    tss = vcpu.segments[TR]
    is_fit = tss.is_usable and tss.attributes & TSS_IS_32_BIT
    if not is_fit or tss.limit < _SMALLEST_TSS32_LIMIT:
        raise general_protection()
    at = memory.read_system(tss.base + _IO_MAP_POINTER, 2) + (port >> 3)
    if at + 1 > tss.limit:
        raise general_protection()
    bits = memory.read_system(tss.base + at, 2) >> (port & 7)
    if bits & ((1 << size) - 1):
        raise general_protection()
