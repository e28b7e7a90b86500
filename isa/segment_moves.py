"""Moves to and from segment registers: MOV, PUSH, POP, and LDS LES LFS LGS LSS.

MOV and POP to SS hold off interrupts for one instruction; LSS, which loads ESP as well, does not
need to.

Source: SDM vol. 2, "MOV", "PUSH", "POP", "LDS/LES/LFS/LGS/LSS"; vol. 3A, "Masking Exceptions and
Interrupts When Switching Stacks".
"""

from isa import vectors
from isa import workspace as w
from isa.accounts import raise_fault
from isa.breakpoints import defer
from isa.generated import forms as f
from isa.generated.columns import KIND
from isa.interrupt_flag import arm_shadow, continue_after
from isa.jit import jit
from isa.operand_kinds import K_ES
from isa.operands import read_operand, write_operand, write_register
from isa.records import DONE, TROUBLED, a_of
from isa.registers import CS, DS, ES, ESP, FS, GS, SS
from isa.segmentation import load_data_segment
from isa.stack import peek, pointer_mask, push
from isa.state import ATTRIBUTES, GPR, PENDING_DEBUG, SELECTOR, State
from isa.transfers import read_far_pointer
from isa.workspace import Bytes, Workspace

M32 = 0xFFFFFFFF


@jit
def after_load(core: Workspace, cpu: State, mode: int, tlb_base: int) -> int:
    """Go on in the block, unless what it was decoded for has changed with the segment."""
    if core[w.MODE] == mode and core[w.TLB_BASE] == tlb_base:
        return DONE
    return continue_after(cpu, core)


@jit
def load_segment(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, segment: int, selector: int
) -> int:
    """Load a segment register and go on."""
    mode = core[w.MODE]
    tlb_base = core[w.TLB_BASE]
    if load_data_segment(cpu, core, ram, marks, segment, selector) < 0:
        return TROUBLED
    return after_load(core, cpu, mode, tlb_base)


@jit
def switch_stack(cpu: State, core: Workspace) -> int:
    """Complete a load of SS: neither interrupt nor debug exception before the next instruction."""
    arm_shadow(cpu, core)
    cpu[PENDING_DEBUG] = 0
    defer(cpu, core)
    return continue_after(cpu, core)


@jit
def move_to_segment(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """MOV Sreg, r/m16: CS and the numbers without a register are undefined opcodes."""
    segment = a_of(core[at])
    if segment == CS or segment > GS:
        raise_fault(core, vectors.UD, -1)
        return TROUBLED
    selector = read_operand(cpu, core, ram, marks, at, 1)
    if selector < 0:
        return TROUBLED
    status = load_segment(cpu, core, ram, marks, segment, selector & 0xFFFF)
    if segment != SS or status == TROUBLED:
        return status
    return switch_stack(cpu, core)


@jit
def move_from_segment(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """MOV r/m16, Sreg: a 32-bit register is zero-extended."""
    segment = a_of(core[at])
    if segment > GS:
        raise_fault(core, vectors.UD, -1)
        return TROUBLED
    if write_operand(cpu, core, ram, marks, at, 0, cpu[SELECTOR + segment]) < 0:
        return TROUBLED
    return DONE


@jit
def push_segment(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, form: int, size: int
) -> int:
    """PUSH Sreg: with 32-bit operands the selector is pushed zero-extended."""
    segment = KIND[form, 0] - K_ES
    if push(cpu, core, ram, marks, cpu[SELECTOR + segment], size) < 0:
        return TROUBLED
    return DONE


@jit
def pop_segment(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, form: int, size: int) -> int:
    """POP Sreg. The stack pointer moves as wide as the old stack segment says."""
    segment = KIND[form, 0] - K_ES
    value = peek(cpu, core, ram, marks, 0, size)
    if value < 0:
        return TROUBLED
    mask = pointer_mask(cpu[ATTRIBUTES + SS])
    pointer = cpu[GPR + ESP] & (M32 ^ mask) | (cpu[GPR + ESP] + size) & mask
    status = load_segment(cpu, core, ram, marks, segment, value & 0xFFFF)
    if status == TROUBLED:
        return TROUBLED
    cpu[GPR + ESP] = pointer
    if segment != SS:
        return status
    return switch_stack(cpu, core)


@jit
def far_pointer_segment(form: int) -> int:
    """The segment register that LES, LDS, LSS, LFS or LGS loads."""
    if form == f.F_LES_r16_m16_16 or form == f.F_LES_r32_m16_32:
        return ES
    if form == f.F_LDS_r16_m16_16 or form == f.F_LDS_r32_m16_32:
        return DS
    if form == f.F_LSS_r16_m16_16 or form == f.F_LSS_r32_m16_32:
        return SS
    if form == f.F_LFS_r16_m16_16 or form == f.F_LFS_r32_m16_32:
        return FS
    return GS


@jit
def load_far_pointer(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int, form: int, size: int
) -> int:
    """LDS, LES, LFS, LGS, LSS: segment register and general register from a far pointer."""
    offset, selector = read_far_pointer(cpu, core, ram, marks, at, size)
    if offset < 0:
        return TROUBLED
    status = load_segment(cpu, core, ram, marks, far_pointer_segment(form), selector)
    if status != TROUBLED:
        write_register(cpu, a_of(core[at]), size * 8, offset)
    return status
