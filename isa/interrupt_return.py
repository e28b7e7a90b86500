"""IRET and IRETD: the way back from a handler, to the same level, outwards, or to V86 mode.

IRET with NT set goes back to the task that the current one is nested in (isa.task_switch).

IRETD loads RF from the frame, which mutes instruction breakpoints for the instruction it returns
to; IRET with 16-bit operands clears it.

Source: SDM vol. 2, the Operation section of "IRET/IRETD"; vol. 3B, "8086 Emulation".
"""

from isa import vectors
from isa import workspace as w
from isa.accounts import charge, raise_fault, set_resume_flag, settle_completed
from isa.flags import read_eflags, write_eflags
from isa.jit import jit
from isa.modes import refresh
from isa.privilege_levels import (
    check_entry,
    commit_code,
    commit_stack,
    drop_inaccessible,
    outer_stack_segment,
    return_target,
)
from isa.privilege_rules import iopl_allows
from isa.records import OPERAND32, TRANSFER, TROUBLED
from isa.registers import (
    CR0_PE,
    CS,
    DS,
    EFLAGS_AC,
    EFLAGS_DEFINED,
    EFLAGS_DF,
    EFLAGS_ID,
    EFLAGS_IF,
    EFLAGS_IOPL,
    EFLAGS_NT,
    EFLAGS_RF,
    EFLAGS_STATUS,
    EFLAGS_TF,
    EFLAGS_VIF,
    EFLAGS_VIP,
    EFLAGS_VM,
    ES,
    ESP,
    FS,
    GS,
    IOPL_SHIFT,
    SS,
    TR,
)
from isa.segmentation import fill_real, probe_accessed, read_table, set_accessed
from isa.stack import discard, read_frame, set_stack_pointer
from isa.state import BASE, CPL, CR0, EFLAGS, EIP, GPR, LIMIT, State
from isa.task_switch import BY_RETURN, switch_task
from isa.virtual_interrupts import check_virtual_image, load_virtual_flag
from isa.workspace import Bytes, Workspace

M16 = 0xFFFF


@jit
def interrupt_return(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """IRET and IRETD: TRANSFER, or TROUBLED with nothing changed but the task."""
    size = 4 if core[at] & OPERAND32 else 2
    if not cpu[CR0] & CR0_PE:
        return return_real(cpu, core, ram, marks, size)
    if cpu[EFLAGS] & EFLAGS_VM:
        return return_real(cpu, core, ram, marks, size)
    if cpu[EFLAGS] & EFLAGS_NT:
        return return_from_task(cpu, core, ram, marks)
    if read_frame(cpu, core, ram, marks, 3, size) < 0:
        return TROUBLED
    if size == 4 and core[w.FRAME + 2] & EFLAGS_VM and cpu[CPL] == 0:
        return return_to_v86(cpu, core, ram, marks)
    selector = core[w.FRAME + 1] & M16
    gva, low, high = return_target(cpu, core, ram, marks, selector)
    if gva < 0:
        return TROUBLED
    if selector & 3 == cpu[CPL]:
        return return_same(cpu, core, ram, marks, size, gva, low, high)
    return return_outer(cpu, core, ram, marks, size, gva, low, high)


@jit
def restored_flags(cpu: State, core: Workspace, image: int, size: int) -> int:
    """EFLAGS after popping `image` at the current privilege level."""
    allowed = EFLAGS_STATUS | EFLAGS_TF | EFLAGS_DF | EFLAGS_NT
    if size == 4:
        allowed |= EFLAGS_AC | EFLAGS_ID | EFLAGS_RF
    if cpu[CPL] <= cpu[EFLAGS] >> IOPL_SHIFT & 3:
        allowed |= EFLAGS_IF
    if cpu[CPL] == 0:
        allowed |= EFLAGS_IOPL
        if size == 4:
            allowed |= EFLAGS_VIF | EFLAGS_VIP
    return read_eflags(cpu, core) & ~(allowed | EFLAGS_RF) | image & allowed


@jit
def load_flags(cpu: State, core: Workspace, value: int) -> None:
    """Set EFLAGS. IRET is complete by now, so that RF is for the instruction it returns to.

    IRET itself may have begun with RF set: that ends here.
    """
    write_eflags(cpu, core, value & ~EFLAGS_RF)
    if value & EFLAGS_RF:
        set_resume_flag(cpu, core, 1)


@jit
def account_return(cpu: State, core: Workspace) -> None:
    """Book and charge IRET at the privilege level it starts from."""
    settle_completed(cpu, core)
    charge(cpu, core, w.EVENT_IRET, 1)


@jit
def return_from_task(cpu: State, core: Workspace, ram: Bytes, marks: Bytes) -> int:
    """IRET with NT set: back to the task in the link field of the TSS."""
    link = read_table(cpu, core, ram, marks, cpu[BASE + TR], 2)
    if link < 0:
        return TROUBLED
    image = read_eflags(cpu, core) & ~(EFLAGS_NT | EFLAGS_RF)
    return switch_task(cpu, core, ram, marks, BY_RETURN, link, image, -1)


@jit
def return_same(
    cpu: State,
    core: Workspace,
    ram: Bytes,
    marks: Bytes,
    size: int,
    gva: int,
    low: int,
    high: int,
) -> int:
    """Return within the privilege level; FRAME holds EIP, CS, EFLAGS."""
    if check_entry(cpu, core, ram, marks, core[w.FRAME], gva, low, high) < 0:
        return TROUBLED
    account_return(cpu, core)
    set_accessed(cpu, core, ram, marks, gva, high)
    load_flags(cpu, core, restored_flags(cpu, core, core[w.FRAME + 2], size))
    discard(cpu, 3 * size)
    commit_code(cpu, core[w.FRAME + 1] & M16, cpu[CPL], low, high)
    cpu[EIP] = core[w.FRAME]
    refresh(cpu, core)
    return TRANSFER


@jit
def return_outer(
    cpu: State,
    core: Workspace,
    ram: Bytes,
    marks: Bytes,
    size: int,
    gva: int,
    low: int,
    high: int,
) -> int:
    """Return to an outer privilege level: also SS and ESP, and no data segment it may not see."""
    if read_frame(cpu, core, ram, marks, 5, size) < 0:
        return TROUBLED
    selector = core[w.FRAME + 1] & M16
    ss = core[w.FRAME + 4] & M16
    ss_gva, ss_low, ss_high = outer_stack_segment(cpu, core, ram, marks, ss, selector & 3)
    if ss_gva < 0:
        return TROUBLED
    if check_entry(cpu, core, ram, marks, core[w.FRAME], gva, low, high) < 0:
        return TROUBLED
    if probe_accessed(cpu, core, ram, marks, ss_gva, ss_high) < 0:
        return TROUBLED
    account_return(cpu, core)
    set_accessed(cpu, core, ram, marks, gva, high)
    set_accessed(cpu, core, ram, marks, ss_gva, ss_high)
    load_flags(cpu, core, restored_flags(cpu, core, core[w.FRAME + 2], size))
    commit_code(cpu, selector, selector & 3, low, high)
    commit_stack(cpu, ss, ss_low, ss_high)
    set_stack_pointer(cpu, core[w.FRAME + 3])
    drop_inaccessible(cpu)
    cpu[EIP] = core[w.FRAME]
    refresh(cpu, core)
    return TRANSFER


@jit
def return_to_v86(cpu: State, core: Workspace, ram: Bytes, marks: Bytes) -> int:
    """IRETD at CPL 0 to virtual-8086 mode: all segment registers come from the frame."""
    if read_frame(cpu, core, ram, marks, 9, 4) < 0:
        return TROUBLED
    if core[w.FRAME] > M16:
        raise_fault(core, vectors.GP, 0)
        return TROUBLED
    account_return(cpu, core)
    load_flags(cpu, core, core[w.FRAME + 2] & EFLAGS_DEFINED)
    cpu[CPL] = 3
    cpu[GPR + ESP] = core[w.FRAME + 3]
    fill_real(cpu, CS, core[w.FRAME + 1] & M16)
    fill_real(cpu, SS, core[w.FRAME + 4] & M16)
    fill_real(cpu, ES, core[w.FRAME + 5] & M16)
    fill_real(cpu, DS, core[w.FRAME + 6] & M16)
    fill_real(cpu, FS, core[w.FRAME + 7] & M16)
    fill_real(cpu, GS, core[w.FRAME + 8] & M16)
    cpu[EIP] = core[w.FRAME]
    refresh(cpu, core)
    return TRANSFER


@jit
def return_real(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, size: int) -> int:
    """IRET in real mode, and in virtual-8086 mode, where IOPL stays.

    Below IOPL 3 the program comes here with VME only, and IF stays as well: VIF is loaded.
    """
    if read_frame(cpu, core, ram, marks, 3, size) < 0:
        return TROUBLED
    if core[w.FRAME] > cpu[LIMIT + CS]:
        raise_fault(core, vectors.GP, 0)
        return TROUBLED
    image = core[w.FRAME + 2]
    virtual = 0 if iopl_allows(cpu) else 1
    if virtual and check_virtual_image(cpu, core, image) < 0:
        return TROUBLED
    account_return(cpu, core)
    allowed = EFLAGS_STATUS | EFLAGS_TF | EFLAGS_DF | EFLAGS_NT
    if not virtual:
        allowed |= EFLAGS_IF
    if size == 4:
        allowed |= EFLAGS_AC | EFLAGS_ID | EFLAGS_RF
    if not cpu[EFLAGS] & EFLAGS_VM:
        allowed |= EFLAGS_IOPL
    kept = read_eflags(cpu, core) & ~(allowed | EFLAGS_RF)
    load_flags(cpu, core, kept | image & allowed)
    if virtual:
        load_virtual_flag(cpu, image)
    discard(cpu, 3 * size)
    fill_real(cpu, CS, core[w.FRAME + 1] & M16)
    cpu[EIP] = core[w.FRAME]
    refresh(cpu, core)
    return TRANSFER
