"""Loading segment registers on the guest's behalf: descriptors from the guest's tables, and checks.

Everything is judged by what the guest believes: its tables, its privilege level. Functions that
check raise the guest's fault and change nothing but accessed bits of page tables; `load_` functions
check everything first. Which physical descriptor stands for the loaded one is the monitor's affair.

Source: SDM vol. 3A, "Type Checking", "Privilege Levels", "Accessing Code Segments"; vol. 2, the
Operation sections of "MOV", "POP", "LDS/LES/LFS/LGS/LSS", "LLDT", "LTR", "RET", "IRET".
"""

from __future__ import annotations

from typing import NamedTuple

from hypervisor.addresses import M32
from hypervisor.descriptors import (
    SELECTOR_INDEX,
    SELECTOR_NOT_RPL,
    SELECTOR_RPL,
    SELECTOR_TI,
    TSS_IS_32_BIT,
    TYPE_BUSY,
    TYPE_LDT,
    TYPE_TSS16,
    TYPE_TSS32,
    Segment,
    parse,
)
from hypervisor.faults import GuestFault
from hypervisor.linear_memory import LinearMemory
from hypervisor.vcpu import VirtualCpu
from isa import vectors
from isa.registers import ATTR_ACCESSED, ATTR_UNUSABLE, CS, DS, ES, FS, GS, LDTR, SS, TR


class Descriptor(NamedTuple):
    """A descriptor of the guest and where it lies."""

    gva: int
    low: int
    high: int
    segment: Segment


def selector_fault(vector: int, selector: int) -> GuestFault:
    """A fault whose error code is a selector."""
    return GuestFault(vector, selector & SELECTOR_NOT_RPL)


def descriptor_address(vcpu: VirtualCpu, selector: int) -> int | None:
    """Linear address of the descriptor a selector names, or None outside its table."""
    index = selector & SELECTOR_INDEX
    if selector & SELECTOR_TI:
        table = vcpu.segments[LDTR]
        if not table.is_usable or index + 7 > table.limit:
            return None
        return (table.base + index) & M32
    if index + 7 > vcpu.gdtr.limit:
        return None
    return (vcpu.gdtr.base + index) & M32


def read_descriptor(
    vcpu: VirtualCpu, memory: LinearMemory, selector: int, vector: int = vectors.GP
) -> Descriptor:
    """The descriptor of a selector; `vector` if it is outside its table."""
    gva = descriptor_address(vcpu, selector)
    if gva is None:
        raise selector_fault(vector, selector)
    low, high = memory.read_pair(gva)
    return Descriptor(gva, low, high, parse(selector, low, high))


def read_code_descriptor(vcpu: VirtualCpu, memory: LinearMemory, selector: int) -> Descriptor:
    """The descriptor a transfer of control names; #GP(0) for a null selector."""
    if not selector & SELECTOR_NOT_RPL:
        raise GuestFault(vectors.GP, 0)
    return read_descriptor(vcpu, memory, selector)


# --- code -------------------------------------------------------------------------------------


def gate_target(vcpu: VirtualCpu, memory: LinearMemory, selector: int) -> Descriptor:
    """The checked code segment of an interrupt or call gate."""
    found = read_code_descriptor(vcpu, memory, selector)
    if not (found.segment.is_code and found.segment.dpl <= vcpu.cpl):
        raise selector_fault(vectors.GP, selector)
    if not found.segment.is_present:
        raise selector_fault(vectors.NP, selector)
    return found


def direct_target(vcpu: VirtualCpu, found: Descriptor, selector: int) -> None:
    """Check the code segment of a far JMP or CALL without a gate."""
    segment = found.segment
    if segment.is_conforming:
        allowed = segment.dpl <= vcpu.cpl
    else:
        allowed = selector & SELECTOR_RPL <= vcpu.cpl and segment.dpl == vcpu.cpl
    if not allowed:
        raise selector_fault(vectors.GP, selector)
    if not segment.is_present:
        raise selector_fault(vectors.NP, selector)


def return_target(vcpu: VirtualCpu, memory: LinearMemory, selector: int) -> Descriptor:
    """The checked code segment of a far return: never inwards."""
    found = read_code_descriptor(vcpu, memory, selector)
    segment, level = found.segment, selector & SELECTOR_RPL
    allowed = segment.is_code and level >= vcpu.cpl
    if allowed:
        allowed = segment.dpl <= level if segment.is_conforming else segment.dpl == level
    if not allowed:
        raise selector_fault(vectors.GP, selector)
    if not segment.is_present:
        raise selector_fault(vectors.NP, selector)
    return found


def check_entry(memory: LinearMemory, found: Descriptor, offset: int) -> None:
    """The last checks on the way into a code segment: limit, and that it can be marked accessed."""
    if offset > found.segment.limit:
        raise GuestFault(vectors.GP, 0)
    probe_accessed(memory, found)


# --- stacks -----------------------------------------------------------------------------------


def inner_stack(vcpu: VirtualCpu, memory: LinearMemory, level: int) -> tuple[int, int]:
    """Selector and pointer that the current TSS gives for a privilege level."""
    tss = vcpu.segments[TR]
    size, at = (4, 4 + level * 8) if tss.attributes & TSS_IS_32_BIT else (2, 2 + level * 4)
    if not tss.is_usable or at + size + 1 > tss.limit:
        raise selector_fault(vectors.TS, tss.selector)
    both = memory.read_system(tss.base + at, size + 2)
    return both >> 8 * size, both & ((1 << 8 * size) - 1)


def stack_segment(
    vcpu: VirtualCpu, memory: LinearMemory, selector: int, level: int, vector: int
) -> Descriptor:
    """The checked stack segment for a privilege level that is being entered or returned to."""
    if not selector & SELECTOR_NOT_RPL:
        raise GuestFault(vector, 0)
    found = read_descriptor(vcpu, memory, selector, vector)
    if not _fits_stack(found.segment, selector, level):
        raise selector_fault(vector, selector)
    if not found.segment.is_present:
        raise selector_fault(vectors.SS, selector)
    return found


def _fits_stack(segment: Segment, selector: int, level: int) -> bool:
    return segment.is_writable and selector & SELECTOR_RPL == level and segment.dpl == level


# --- the accessed bit -------------------------------------------------------------------------


def probe_accessed(memory: LinearMemory, found: Descriptor) -> None:
    """Raise #PF unless the accessed bit is set or can be."""
    if not found.segment.is_accessed:
        memory.probe_write(found.gva + 5, 1, user=False)


def set_accessed(memory: LinearMemory, found: Descriptor) -> None:
    """Set the accessed bit of a descriptor in memory."""
    if not found.segment.is_accessed:
        memory.write(found.gva + 5, 1, found.high >> 8 & 0xFF | ATTR_ACCESSED, user=False)


def loaded(found: Descriptor, selector: int) -> Segment:
    """The segment register after a load of this descriptor."""
    segment = found.segment
    if segment.selector == selector and segment.is_accessed:
        return segment
    return Segment(selector, segment.base, segment.limit, segment.attributes | ATTR_ACCESSED)


# --- loads ------------------------------------------------------------------------------------


def load_data_segment(vcpu: VirtualCpu, memory: LinearMemory, register: int, selector: int) -> None:
    """Load DS, ES, FS, GS or SS as MOV, POP and LDS do."""
    if not selector & SELECTOR_NOT_RPL:
        if register == SS:
            raise GuestFault(vectors.GP, 0)
        old = vcpu.segments[register]
        vcpu.segments[register] = old._replace(
            selector=selector, attributes=old.attributes | ATTR_UNUSABLE
        )
        return
    found = read_descriptor(vcpu, memory, selector)
    if register == SS:
        allowed = _fits_stack(found.segment, selector, vcpu.cpl)
    else:
        allowed = _data_load_allowed(found.segment, selector, vcpu.cpl)
    if not allowed:
        raise selector_fault(vectors.GP, selector)
    if not found.segment.is_present:
        raise selector_fault(vectors.SS if register == SS else vectors.NP, selector)
    probe_accessed(memory, found)
    set_accessed(memory, found)
    vcpu.segments[register] = loaded(found, selector)


def _data_load_allowed(segment: Segment, selector: int, cpl: int) -> bool:
    if not segment.is_readable:
        return False
    return segment.is_conforming or segment.dpl >= max(cpl, selector & SELECTOR_RPL)


def load_local_table(vcpu: VirtualCpu, memory: LinearMemory, selector: int) -> None:
    """LLDT. A null selector leaves no LDT."""
    if not selector & SELECTOR_NOT_RPL:
        old = vcpu.segments[LDTR]
        vcpu.segments[LDTR] = old._replace(
            selector=selector, attributes=old.attributes | ATTR_UNUSABLE
        )
        return
    found = _read_system_descriptor(vcpu, memory, selector)
    if found.segment.system_type != TYPE_LDT:
        raise selector_fault(vectors.GP, selector)
    if not found.segment.is_present:
        raise selector_fault(vectors.NP, selector)
    vcpu.segments[LDTR] = found.segment


def load_task_register(vcpu: VirtualCpu, memory: LinearMemory, selector: int) -> None:
    """LTR: mark an available TSS busy and make it current."""
    if not selector & SELECTOR_NOT_RPL:
        raise GuestFault(vectors.GP, 0)
    found = _read_system_descriptor(vcpu, memory, selector)
    if found.segment.system_type not in (TYPE_TSS16, TYPE_TSS32):
        raise selector_fault(vectors.GP, selector)
    if not found.segment.is_present:
        raise selector_fault(vectors.NP, selector)
    busy = found.segment.attributes | TYPE_BUSY
    memory.write(found.gva + 5, 1, busy & 0xFF, user=False)
    vcpu.segments[TR] = found.segment._replace(attributes=busy)


def _read_system_descriptor(vcpu: VirtualCpu, memory: LinearMemory, selector: int) -> Descriptor:
    if selector & SELECTOR_TI:
        raise selector_fault(vectors.GP, selector)
    return read_descriptor(vcpu, memory, selector)


# --- commits ----------------------------------------------------------------------------------


def commit_code(vcpu: VirtualCpu, found: Descriptor, selector: int, level: int) -> None:
    """Load CS; its RPL is the privilege level the code runs at."""
    vcpu.segments[CS] = loaded(found, selector & SELECTOR_NOT_RPL | level)
    vcpu.cpl = level


def drop_inaccessible(vcpu: VirtualCpu) -> None:
    """After a return to an outer level: take away the data segments it may not use."""
    for register in (ES, DS, FS, GS):
        segment = vcpu.segments[register]
        hidden = not segment.is_conforming and segment.dpl < vcpu.cpl
        if hidden or not segment.selector & SELECTOR_NOT_RPL:
            vcpu.segments[register] = segment.made_null()
