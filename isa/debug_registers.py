"""MOV to and from the debug registers, and what #DB leaves in DR6.

DR4 and DR5 are other names of DR6 and DR7 unless CR4.DE takes them away. DR7.GD turns every access
into #DB before it happens; it is cleared when a handler of #DB is entered (isa.events). LE and GE
have no effect: breakpoints are always exact.

Source: SDM vol. 3B, "Debug Registers", "General-Detect Exception Condition"; vol. 2, "MOV—Move
to/from Debug Registers".
"""

from isa import vectors
from isa.accounts import raise_fault, set_resume_flag
from isa.breakpoints import derive
from isa.generated import forms as f
from isa.interrupt_flag import continue_after
from isa.jit import jit
from isa.records import DONE, TROUBLED, a_of, b_of
from isa.registers import (
    CR4_DE,
    DR6_BD,
    DR6_FIXED,
    DR6_HITS,
    DR6_WRITABLE,
    DR7_FIXED,
    DR7_GD,
    DR7_WRITABLE,
)
from isa.state import CR4, DR, GPR, State
from isa.workspace import Workspace


@jit
def note_debug(cpu: State, conditions: int) -> None:
    """Report debug conditions in DR6: B0 to B3 are replaced, the others only ever added."""
    cpu[DR + 6] = cpu[DR + 6] & ~DR6_HITS | conditions


@jit
def raise_debug(cpu: State, core: Workspace, conditions: int) -> int:
    """#DB in front of, or within, the instruction being executed, whose RF will be set; -1.

    Those on instruction breakpoints are not raised here: they push RF as it is.
    """
    note_debug(cpu, conditions)
    set_resume_flag(cpu, core, 0)
    return raise_fault(core, vectors.DB, -1)


@jit
def accessible(cpu: State, core: Workspace, number: int) -> int:
    """The debug register that a number means, if it may be accessed; else -1 after #UD or #DB."""
    if number == 4 or number == 5:
        if cpu[CR4] & CR4_DE:
            return raise_fault(core, vectors.UD, -1)
        number += 2
    if cpu[DR + 7] & DR7_GD:
        return raise_debug(cpu, core, DR6_BD)
    return number


@jit
def move_debug(cpu: State, core: Workspace, at: int, operation: int) -> int:
    """MOV to and from DRn."""
    number = accessible(cpu, core, a_of(core[at]))
    if number < 0:
        return TROUBLED
    register = GPR + b_of(core[at])
    if operation == f.O_MOV_FROM_DR:
        cpu[register] = cpu[DR + number]
        return DONE
    if number == 6:
        cpu[DR + 6] = cpu[register] & DR6_WRITABLE | DR6_FIXED
        return DONE
    if number == 7:
        cpu[DR + 7] = cpu[register] & DR7_WRITABLE | DR7_FIXED
    else:
        cpu[DR + number] = cpu[register]
    derive(cpu, core)
    return continue_after(cpu, core)
