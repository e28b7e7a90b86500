"""The slow entry of the interpreter: everything that is decided between blocks.

Pending interrupts, the interrupt window, single-stepping, deadlines, device writes waiting for
their owner, fetch faults, and the delivery of whatever went wrong.

Source: SDM vol. 3A, "Priority Among Concurrent Events"; "Single-Step Exception Condition".
"""

from isa import workspace as w
from isa.accounts import retired_by_run, retired_total, set_resume_flag, settle
from isa.blocks import find_block
from isa.breakpoints import DEFERRED, TRAPS_DUE, code_hits, derive, pending_conditions
from isa.debug_registers import note_debug
from isa.events import EXTERNAL, HARDWARE, deliver
from isa.exits import Exit
from isa.flags import read_eflags, set_status
from isa.generated import forms as f
from isa.generated.columns import OPERATION
from isa.jit import jit
from isa.modes import MODE_TRAP, refresh
from isa.records import FORM_SHIFT, LEFT_SHIFT, TROUBLED
from isa.registers import DR6_BS, EFLAGS_IF, EFLAGS_RF, EFLAGS_TF
from isa.state import (
    EFLAGS,
    HALTED,
    PENDING_DEBUG,
    PENDING_INTERRUPT,
    PENDING_TRAPS,
    SHADOW_AT,
    State,
)
from isa.vectors import DB
from isa.workspace import Bytes, Workspace

FAULTS_WITHOUT_PROGRESS = 4096  # deliveries in a row before the owner gets a chance to stop them

_BUDGET = int(Exit.BUDGET)
_HALT = int(Exit.HALT)
_YIELD = int(Exit.YIELD)
_WINDOW = int(Exit.INTERRUPT_WINDOW)
_MEMORY_WRITE = int(Exit.MEMORY_WRITE)


@jit
def start(cpu: State, core: Workspace, budget: int) -> None:
    """Take over the architectural state at the beginning of run()."""
    core[w.LIMIT_TOTAL] = budget
    core[w.BUDGET] = budget
    core[w.LEFT] = 0
    core[w.COUNTED] = 0
    core[w.RETIRED_BEFORE] = retired_total(cpu)
    core[w.REPLAY_NEXT] = 0
    core[w.POSTED_COUNT] = 0
    core[w.EXIT_REASON] = 0
    core[w.EXIT_D] = 0
    core[w.LAST_TOTAL] = -1
    core[w.FAULTS_IN_ROW] = 0
    core[w.RESUME_AT] = 0
    core[w.ITERATED] = 0
    set_status(core, cpu[EFLAGS])
    refresh(cpu, core)
    derive(cpu, core)


@jit
def finish(cpu: State, core: Workspace) -> int:
    """Give the architectural state back; the reason of the exit."""
    settle(cpu, core)
    expire_resume_flag(cpu, core)
    cpu[EFLAGS] = read_eflags(cpu, core)
    return core[w.EXIT_REASON]  # type: ignore[no-any-return]


@jit
def exit_with(core: Workspace, reason: int, detail: int) -> int:
    core[w.EXIT_REASON] = reason
    core[w.EXIT_A] = detail
    return -1


@jit
def enter(cpu: State, core: Workspace, ram: Bytes, marks: Bytes) -> int:
    """The record to continue with at cpu[EIP], its block taken from the budget; -1: exit."""
    while True:
        core[w.RESYNC] = 0
        expire_resume_flag(cpu, core)
        if core[w.REPLAY_COUNT] and core[w.BUDGET] < core[w.LIMIT_TOTAL]:
            # The instruction that asked for device reads, always the first of a run(), is done.
            core[w.REPLAY_NEXT] = 0
            core[w.REPLAY_COUNT] = 0
        if cpu[PENDING_DEBUG] | cpu[PENDING_TRAPS] and due_traps(cpu, core):
            if not deliver_or_exit(cpu, core, ram, marks, DB, -1, HARDWARE):
                return -1
            continue
        if core[w.POSTED_COUNT]:
            core[w.EXIT_D] = 1
            return exit_with(core, _MEMORY_WRITE, 0)
        limit = core[w.BUDGET]
        wanted = core[w.WINDOW] or cpu[PENDING_INTERRUPT] >= 0
        if wanted and cpu[EFLAGS] & EFLAGS_IF and not core[w.REPLAY_COUNT]:
            settle(cpu, core)
            if cpu[SHADOW_AT] == retired_total(cpu):
                limit = min(limit, 1)
            elif cpu[PENDING_INTERRUPT] >= 0:
                vector = cpu[PENDING_INTERRUPT]
                if not deliver_or_exit(cpu, core, ram, marks, vector, -1, EXTERNAL):
                    return -1
                continue
            else:
                return exit_with(core, _WINDOW, 0)
        if cpu[HALTED]:
            return exit_with(core, _HALT, 0)
        if limit <= 0:
            return exit_with(core, _BUDGET, 0)
        if core[w.REPLAY_COUNT] or cpu[PENDING_TRAPS]:
            limit = 1
        if core[w.BREAK_CODE]:
            hits = code_hits(cpu, core)
            if hits:
                note_debug(cpu, hits)
                if not deliver_or_exit(cpu, core, ram, marks, DB, -1, HARDWARE):
                    return -1
                continue
        core[w.MODE] &= ~MODE_TRAP
        if cpu[EFLAGS] & EFLAGS_TF:
            core[w.MODE] |= MODE_TRAP
            cpu[PENDING_DEBUG] = 1
        ip = find_block(cpu, core, ram, marks, limit)
        if ip >= 0:
            core[w.BUDGET] -= core[w.OPS + (ip & w.OPS_MASK) * w.OPS_WORDS] >> LEFT_SHIFT & 127
            return ip
        cpu[PENDING_DEBUG] = 0
        cpu[PENDING_TRAPS] = 0
        vector = core[w.FAULT_VECTOR]
        if not deliver_or_exit(cpu, core, ram, marks, vector, core[w.FAULT_ERROR], HARDWARE):
            return -1


@jit
def due_traps(cpu: State, core: Workspace) -> int:
    """1 if debug traps come before the next instruction: they move from the state to DR6.

    After MOV SS or POP SS they wait, but only for the instruction right after it.
    """
    if cpu[PENDING_TRAPS] & DEFERRED:
        settle(cpu, core)
        if cpu[SHADOW_AT] == retired_total(cpu):
            return 0
    conditions = pending_conditions(cpu)
    if cpu[PENDING_DEBUG]:
        conditions |= DR6_BS
    cpu[PENDING_TRAPS] = 0
    cpu[PENDING_DEBUG] = 0
    if not conditions:
        return 0
    note_debug(cpu, conditions)
    return 1


@jit
def expire_resume_flag(cpu: State, core: Workspace) -> None:
    """Clear RF if the instruction it was set for has retired.

    Nobody looks at RF while instructions follow one another, so that it is not cleared by each.
    """
    if cpu[EFLAGS] & EFLAGS_RF and core[w.RESUME_AT] != retired_by_run(core):
        cpu[EFLAGS] &= ~EFLAGS_RF


@jit
def take_back(cpu: State, core: Workspace) -> None:
    """An instruction will be executed again, all of it or, if it is repeated, the rest."""
    if core[w.ITERATED]:
        core[w.ITERATED] = 0
        set_resume_flag(cpu, core, 0)
        return
    cpu[PENDING_DEBUG] = 0
    cpu[PENDING_TRAPS] &= ~TRAPS_DUE


@jit
def deliver_or_exit(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, vector: int, error: int, kind: int
) -> int:
    """Deliver an event between instructions: 1, or 0 when run() has to end."""
    total = core[w.LIMIT_TOTAL] - core[w.BUDGET]
    if total != core[w.LAST_TOTAL]:
        core[w.LAST_TOTAL] = total
        core[w.FAULTS_IN_ROW] = 0
    core[w.FAULTS_IN_ROW] += 1
    if deliver(cpu, core, ram, marks, vector, error, kind) == TROUBLED:
        return 0
    if core[w.FAULTS_IN_ROW] > FAULTS_WITHOUT_PROGRESS:
        exit_with(core, _YIELD, 1)
        return 0
    return 1


@jit
def after_trouble(cpu: State, core: Workspace, ram: Bytes, marks: Bytes) -> int:
    """Settle what a cold function could not complete: 0 to go on at cpu[EIP], 1 to end run()."""
    if core[w.TROUBLE] == w.FAULT:
        core[w.BUDGET] += core[w.LEFT]
        core[w.LEFT] = 0
        expire_resume_flag(cpu, core)
        cpu[PENDING_DEBUG] = 0
        cpu[PENDING_TRAPS] = 0
        core[w.REPLAY_COUNT] = 0
        vector = core[w.FAULT_VECTOR]
        error = core[w.FAULT_ERROR]
        return 1 - deliver_or_exit(cpu, core, ram, marks, vector, error, HARDWARE)
    core[w.BUDGET] += core[w.LEFT] - (1 if core[w.EXIT_D] else 0)
    core[w.LEFT] = 0
    if not core[w.EXIT_D]:
        take_back(cpu, core)
    return 1


@jit
def software_interrupt(core: Workspace) -> int:
    """1 if the instruction just executed was INT n, INT3, INTO or INT1."""
    operation = OPERATION[core[core[w.RECORD]] >> FORM_SHIFT & 0xFFF]
    return 1 if f.O_INT3 <= operation <= f.O_INT1 else 0
