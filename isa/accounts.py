"""Counting and charging of events inside compiled code, and the recording of faults.

Every modelled cycle passes through `charge` or through `settle`, so the clock and the counts can
never disagree. What an event costs comes from the cost profile (isa.costs); who is to blame for it
is decided by readers of the counts (isa.ledger).
"""

from isa.jit import jit
from isa.registers import EFLAGS_RF
from isa.state import CPL, CYCLES, EFLAGS, RETIRED, State
from isa.workspace import (
    BUDGET,
    COST,
    COUNT,
    COUNTED,
    EVENT_INSTRUCTION,
    EVENTS,
    FAULT,
    FAULT_ERROR,
    FAULT_VECTOR,
    LEFT,
    LIMIT_TOTAL,
    RESUME_AT,
    TROUBLE,
    Workspace,
)


@jit
def charge(cpu: State, core: Workspace, event: int, times: int) -> None:
    """Count `times` events at the current privilege level and advance the clock by their cost."""
    core[COUNT + (cpu[CPL] & 3) * EVENTS + event] += times
    cpu[CYCLES] += core[COST + event] * times


@jit
def settle(cpu: State, core: Workspace) -> None:
    """Book the instructions retired since the last settlement on the current privilege level.

    Called before a fault or interrupt changes the privilege level, before time is read, and when
    run() ends. Uses BUDGET and LEFT as the interpreter spilled them: the instruction being executed
    is not yet retired.
    """
    book(cpu, core, core[LIMIT_TOTAL] - core[BUDGET] - core[LEFT])


@jit
def settle_completed(cpu: State, core: Workspace) -> None:
    """As `settle`, with the instruction being executed: it retires at the level it started at.

    Called by an instruction that changes the privilege level, once nothing can fault any more.
    """
    book(cpu, core, core[LIMIT_TOTAL] - core[BUDGET] - core[LEFT] + 1)


@jit
def book(cpu: State, core: Workspace, total: int) -> None:
    """Book up to `total` retired instructions of this run() on the current privilege level."""
    retired = total - core[COUNTED]
    core[COUNTED] += retired
    cpu[RETIRED + (cpu[CPL] & 3)] += retired
    charge(cpu, core, EVENT_INSTRUCTION, retired)


@jit
def retired_total(cpu: State) -> int:
    """Instructions retired at all privilege levels, as of the last settlement."""
    return cpu[RETIRED] + cpu[RETIRED + 1] + cpu[RETIRED + 2] + cpu[RETIRED + 3]  # type: ignore[no-any-return]


@jit
def retired_by_run(core: Workspace) -> int:
    """Instructions this run() has retired, the one being executed excluded."""
    return core[LIMIT_TOTAL] - core[BUDGET] - core[LEFT]  # type: ignore[no-any-return]


@jit
def set_resume_flag(cpu: State, core: Workspace, completed: int) -> None:
    """Set RF for the instruction being executed, or, if that is completed, for the next one."""
    cpu[EFLAGS] |= EFLAGS_RF
    core[RESUME_AT] = retired_by_run(core) + completed


@jit
def raise_fault(core: Workspace, vector: int, error: int) -> int:
    """Record a fault (error -1: no error code) and return -1, the value of whatever failed."""
    core[TROUBLE] = FAULT
    core[FAULT_VECTOR] = vector
    core[FAULT_ERROR] = error
    return -1
