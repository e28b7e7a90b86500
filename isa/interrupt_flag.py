"""PUSHF, POPF, CLI, STI: EFLAGS as a whole, and the interrupt flag with its shadow.

POPF that may not change IF or IOPL leaves them silently: the classic hole in the x86 for
virtualization, and a rule of the architecture.

Where a program has a virtual interrupt flag (isa.virtual_interrupts), these work on that one.

Source: SDM vol. 2, "PUSHF", "POPF", "CLI", "STI"; vol. 3A, "Masking Maskable Hardware Interrupts".
"""

from isa import vectors
from isa import workspace as w
from isa.accounts import raise_fault, retired_total, settle_completed
from isa.breakpoints import DEFERRED
from isa.flags import read_eflags, write_eflags
from isa.jit import jit
from isa.modes import refresh
from isa.privilege_rules import iopl_allows
from isa.records import DONE, TRANSFER, TROUBLED
from isa.registers import (
    EFLAGS_AC,
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
)
from isa.stack import discard, peek, push
from isa.state import CPL, EFLAGS, EIP, PENDING_TRAPS, SHADOW_AT, State
from isa.virtual_interrupts import check_virtual_image, load_virtual_flag, virtual_image
from isa.workspace import Bytes, Workspace

_ARITHMETIC_AND_CONTROL = EFLAGS_STATUS | EFLAGS_TF | EFLAGS_DF | EFLAGS_NT


@jit
def arm_shadow(cpu: State, core: Workspace) -> None:
    """Inhibit interrupts until the instruction after the current one has retired.

    Only for instructions that can no longer fault.
    """
    settle_completed(cpu, core)
    cpu[SHADOW_AT] = retired_total(cpu)


@jit
def continue_after(cpu: State, core: Workspace) -> int:
    """TRANSFER to the next instruction: something that blocks depend on may have changed."""
    cpu[EIP] = core[w.NEXT_EIP]
    return TRANSFER


@jit
def push_flags(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, size: int) -> int:
    """PUSHF and PUSHFD: VM and RF read as zero."""
    image = read_eflags(cpu, core) & ~(EFLAGS_VM | EFLAGS_RF)
    if cpu[EFLAGS] & EFLAGS_VM and not iopl_allows(cpu):
        image = virtual_image(cpu, image)
    if push(cpu, core, ram, marks, image, size) < 0:
        return TROUBLED
    return DONE


@jit
def writable_flags(cpu: State, size: int) -> int:
    """The flags POPF may change at the current privilege level."""
    allowed = _ARITHMETIC_AND_CONTROL
    if size == 4:
        allowed |= EFLAGS_AC | EFLAGS_ID
    if iopl_allows(cpu):
        allowed |= EFLAGS_IF
    if cpu[CPL] == 0:
        allowed |= EFLAGS_IOPL
    return allowed


@jit
def pop_flags(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, size: int) -> int:
    """POPF and POPFD."""
    image = peek(cpu, core, ram, marks, 0, size)
    if image < 0:
        return TROUBLED
    virtual = 1 if cpu[EFLAGS] & EFLAGS_VM and not iopl_allows(cpu) else 0
    if virtual and check_virtual_image(cpu, core, image) < 0:
        return TROUBLED
    discard(cpu, size)
    allowed = writable_flags(cpu, size)
    before = cpu[EFLAGS]
    kept = read_eflags(cpu, core) & ~(allowed | EFLAGS_RF)
    write_eflags(cpu, core, kept | image & allowed)
    if virtual:
        load_virtual_flag(cpu, image)
    if not (before ^ cpu[EFLAGS]) & (EFLAGS_IF | EFLAGS_TF | EFLAGS_AC):
        return DONE
    refresh(cpu, core)
    return continue_after(cpu, core)


@jit
def clear_interrupt_flag(cpu: State) -> int:
    """CLI. Nothing has to look at IF before the block ends, so it goes on."""
    cpu[EFLAGS] &= ~(EFLAGS_IF if iopl_allows(cpu) else EFLAGS_VIF)
    return DONE


@jit
def set_interrupt_flag(cpu: State, core: Workspace) -> int:
    """STI: interrupts are recognised after the next instruction, if they were off."""
    if not iopl_allows(cpu):
        if cpu[EFLAGS] & EFLAGS_VIP:
            raise_fault(core, vectors.GP, 0)
            return TROUBLED
        cpu[EFLAGS] |= EFLAGS_VIF
        return DONE
    if not cpu[EFLAGS] & EFLAGS_IF:
        arm_shadow(cpu, core)
        cpu[PENDING_TRAPS] &= ~DEFERRED  # this shadow is one for interrupts only
        cpu[EFLAGS] |= EFLAGS_IF
    return continue_after(cpu, core)
