"""Control registers: MOV to and from CRn, LMSW SMSW CLTS, INVLPG. Debug registers: one call away.

Source: SDM vol. 3A, "Control Registers", "Invalidation of TLBs and Paging-Structure Caches";
vol. 2, the instructions named.
"""

from isa import vectors
from isa import workspace as w
from isa.accounts import charge, raise_fault
from isa.debug_registers import move_debug
from isa.features import defined_cr0, defined_cr4
from isa.generated import forms as f
from isa.interrupt_flag import continue_after
from isa.jit import jit
from isa.modes import refresh
from isa.operands import effective_offset, read_operand, write_operand
from isa.page_walk import load_pdptes
from isa.paging import flush_tlb, flush_tlb_but_global, invalidate
from isa.records import DONE, TROUBLED, a_of, b_of, segment_of
from isa.registers import (
    CR0_CD,
    CR0_EM,
    CR0_ET,
    CR0_MP,
    CR0_NW,
    CR0_PE,
    CR0_PG,
    CR0_TS,
    CR0_WP,
    CR4_PAE,
    CR4_PGE,
    CR4_PSE,
)
from isa.state import BASE, CR0, CR2, CR3, CR4, FEATURES, GPR, State
from isa.workspace import Bytes, Workspace

M32 = 0xFFFFFFFF

_LMSW_BITS = CR0_PE | CR0_MP | CR0_EM | CR0_TS


@jit
def undefined(core: Workspace) -> int:
    """Record #UD; TROUBLED."""
    raise_fault(core, vectors.UD, -1)
    return TROUBLED


@jit
def loads_pdptes(cpu: State, core: Workspace, ram: Bytes, cr0: int, cr3: int, cr4: int) -> int:
    """Load the PDPTE registers if these values mean PAE paging: 1, or 0 with #GP(0)."""
    if cr0 & CR0_PG and cr4 & CR4_PAE and not load_pdptes(cpu, core, ram, cr3):
        raise_fault(core, vectors.GP, 0)
        return 0
    return 1


@jit
def write_cr0(cpu: State, core: Workspace, ram: Bytes, value: int) -> int:
    """Set CR0: TRANSFER, or TROUBLED with #GP(0) for a combination that cannot be.

    Bits that do not exist are ignored; ET reads as one.
    """
    value &= defined_cr0(cpu[FEATURES])
    paging_alone = value & (CR0_PG | CR0_PE) == CR0_PG
    if paging_alone or value & (CR0_NW | CR0_CD) == CR0_NW:
        raise_fault(core, vectors.GP, 0)
        return TROUBLED
    changed = cpu[CR0] ^ value
    if changed & (CR0_PG | CR0_CD | CR0_NW):
        if not loads_pdptes(cpu, core, ram, value, cpu[CR3], cpu[CR4]):
            return TROUBLED
    cpu[CR0] = value | CR0_ET
    if changed & (CR0_PG | CR0_WP | CR0_PE):
        flush_tlb(core)
    refresh(cpu, core)
    charge(cpu, core, w.EVENT_CR_WRITE, 1)
    return continue_after(cpu, core)


@jit
def write_cr3(cpu: State, core: Workspace, ram: Bytes, value: int) -> int:
    """Set CR3: TRANSFER, or TROUBLED with #GP(0) for bad PDPTEs. Global pages stay in the TLB."""
    if not loads_pdptes(cpu, core, ram, cpu[CR0], value, cpu[CR4]):
        return TROUBLED
    cpu[CR3] = value
    flush_tlb_but_global(core)
    charge(cpu, core, w.EVENT_CR_WRITE, 1)
    return continue_after(cpu, core)


@jit
def write_cr4(cpu: State, core: Workspace, ram: Bytes, value: int) -> int:
    """Set CR4: TRANSFER, or TROUBLED with #GP(0) for a feature this processor has not."""
    if value & ~defined_cr4(cpu[FEATURES]):
        raise_fault(core, vectors.GP, 0)
        return TROUBLED
    if (cpu[CR4] ^ value) & (CR4_PSE | CR4_PGE | CR4_PAE):
        if not loads_pdptes(cpu, core, ram, cpu[CR0], cpu[CR3], value):
            return TROUBLED
        flush_tlb(core)
    cpu[CR4] = value
    charge(cpu, core, w.EVENT_CR_WRITE, 1)
    return continue_after(cpu, core)


@jit
def move_to_control(cpu: State, core: Workspace, ram: Bytes, at: int) -> int:
    """MOV CRn, r32."""
    number = a_of(core[at])
    value = cpu[GPR + b_of(core[at])]
    if number == 0:
        return write_cr0(cpu, core, ram, value)
    if number == 3:
        return write_cr3(cpu, core, ram, value)
    if number == 4 and defined_cr4(cpu[FEATURES]):
        return write_cr4(cpu, core, ram, value)
    if number != 2:
        return undefined(core)
    cpu[CR2] = value
    charge(cpu, core, w.EVENT_CR_WRITE, 1)
    return DONE


@jit
def move_from_control(cpu: State, core: Workspace, at: int) -> int:
    """MOV r32, CRn."""
    number = a_of(core[at])
    if number == 0:
        value = cpu[CR0]
    elif number == 2:
        value = cpu[CR2]
    elif number == 3:
        value = cpu[CR3]
    elif number == 4 and defined_cr4(cpu[FEATURES]):
        value = cpu[CR4]
    else:
        return undefined(core)
    cpu[GPR + b_of(core[at])] = value
    return DONE


@jit
def load_machine_status(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """LMSW: the low four bits of CR0, of which PE can only be set."""
    value = read_operand(cpu, core, ram, marks, at, 0)
    if value < 0:
        return TROUBLED
    kept = cpu[CR0] & ~_LMSW_BITS | cpu[CR0] & CR0_PE
    return write_cr0(cpu, core, ram, kept | value & _LMSW_BITS)


@jit
def invalidate_page(cpu: State, core: Workspace, at: int) -> int:
    """INVLPG: the segment's limit does not matter, nothing is accessed."""
    offset = effective_offset(cpu, core, at)
    gva = (cpu[BASE + segment_of(core[at])] + offset) & M32
    invalidate(core, gva)
    charge(cpu, core, w.EVENT_INVLPG, 1)
    return continue_after(cpu, core)


@jit
def execute_control(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int, operation: int
) -> int:
    """MOV to and from CRn and DRn, CLTS, LMSW, SMSW, INVLPG."""
    if operation == f.O_MOV_TO_CR:
        return move_to_control(cpu, core, ram, at)
    if operation == f.O_MOV_FROM_CR:
        return move_from_control(cpu, core, at)
    if operation == f.O_INVLPG:
        return invalidate_page(cpu, core, at)
    if operation == f.O_LMSW:
        return load_machine_status(cpu, core, ram, marks, at)
    if operation == f.O_CLTS:
        cpu[CR0] &= ~CR0_TS
        charge(cpu, core, w.EVENT_CR_WRITE, 1)
        return DONE
    if operation == f.O_SMSW:
        if write_operand(cpu, core, ram, marks, at, 0, cpu[CR0]) < 0:
            return TROUBLED
        return DONE
    return move_debug(cpu, core, at, operation)
