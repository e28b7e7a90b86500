"""The system instructions: privilege first, then one call to the unit that knows.

What is small stays here: HLT, BOUND, the software interrupts, the undefined instructions,
and the trapdoor by which software at ring 0 hands over to a monitor.

Source: SDM vol. 2, the instructions; vol. 3A, "System Instruction Summary".
"""

from isa import vectors
from isa import workspace as w
from isa.accounts import charge, raise_fault
from isa.control_registers import execute_control, undefined
from isa.coprocessor import escape, wait_for_coprocessor
from isa.descriptor_queries import adjust_rpl, query
from isa.descriptor_tables import execute_tables
from isa.events import PRIVILEGED, SOFTWARE, deliver
from isa.exits import Exit
from isa.fast_calls import system_enter, system_exit
from isa.flags import overflow
from isa.generated import forms as f
from isa.generated.columns import OPERATION
from isa.interrupt_flag import clear_interrupt_flag, pop_flags, push_flags, set_interrupt_flag
from isa.interrupt_redirection import numbered_interrupt
from isa.interrupt_return import interrupt_return
from isa.jit import jit
from isa.memory import read_linear
from isa.model_specific import execute_model_specific
from isa.operands import is_user, memory_address, read_register
from isa.privilege_rules import check_permitted
from isa.records import DONE, OPERAND32, TROUBLED, a_of, form_of
from isa.segment_moves import (
    load_far_pointer,
    move_from_segment,
    move_to_segment,
    pop_segment,
    push_segment,
)
from isa.state import EIP, HALTED, State
from isa.workspace import Bytes, Workspace

M32 = 0xFFFFFFFF

_HALT = int(Exit.HALT)
_TRAPDOOR = int(Exit.TRAPDOOR)


@jit
def execute_system(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """A system instruction by the record at `at`: DONE, TRANSFER or TROUBLED."""
    form = form_of(core[at])
    operation = OPERATION[form]
    if check_permitted(cpu, core, form) < 0:
        return TROUBLED
    if f.O_INT3 <= operation <= f.O_IRET:
        if operation == f.O_IRET:
            return interrupt_return(cpu, core, ram, marks, at)
        return interrupt(cpu, core, ram, marks, at, operation)
    if f.O_MOV_FROM_CR <= operation <= f.O_SMSW or operation == f.O_INVLPG:
        return execute_control(cpu, core, ram, marks, at, operation)
    if operation == f.O_CLI:
        return clear_interrupt_flag(cpu)
    if operation == f.O_STI:
        return set_interrupt_flag(cpu, core)
    if operation <= f.O_POPF:
        return execute_moves(cpu, core, ram, marks, at, form, operation)
    if f.O_SGDT <= operation <= f.O_LTR:
        return execute_tables(cpu, core, ram, marks, at, operation)
    if f.O_VERR <= operation <= f.O_LSL:
        return query(cpu, core, ram, marks, at, operation)
    if f.O_CPUID <= operation <= f.O_WRMSR:
        return execute_model_specific(cpu, core, operation)
    return execute_rest(cpu, core, ram, marks, at, operation)


@jit
def execute_moves(
    cpu: State,
    core: Workspace,
    ram: Bytes,
    marks: Bytes,
    at: int,
    form: int,
    operation: int,
) -> int:
    """Moves of segment registers and of EFLAGS."""
    size = 4 if core[at] & OPERAND32 else 2
    if operation == f.O_MOV_TO_SREG:
        return move_to_segment(cpu, core, ram, marks, at)
    if operation == f.O_MOV_FROM_SREG:
        return move_from_segment(cpu, core, ram, marks, at)
    if operation == f.O_PUSHF:
        return push_flags(cpu, core, ram, marks, size)
    if operation == f.O_POPF:
        return pop_flags(cpu, core, ram, marks, size)
    if operation == f.O_PUSH_SREG:
        return push_segment(cpu, core, ram, marks, form, size)
    if operation == f.O_POP_SREG:
        return pop_segment(cpu, core, ram, marks, form, size)
    return load_far_pointer(cpu, core, ram, marks, at, form, size)


@jit
def execute_rest(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int, operation: int
) -> int:
    """The system instructions without a unit of their own."""
    if operation == f.O_HLT:
        cpu[HALTED] = 1
        return leave(cpu, core, _HALT, 0)
    if operation == f.O_TRAPDOOR:
        charge(cpu, core, w.EVENT_TRAPDOOR, 1)
        return leave(cpu, core, _TRAPDOOR, core[at + 2] & 0xFF)
    if operation == f.O_SYSENTER:
        return system_enter(cpu, core)
    if operation == f.O_SYSEXIT:
        return system_exit(cpu, core)
    if operation == f.O_BOUND:
        return check_bounds(cpu, core, ram, marks, at)
    if operation == f.O_ARPL:
        return adjust_rpl(cpu, core, ram, marks, at)
    if operation == f.O_WAIT:
        return wait_for_coprocessor(cpu, core)
    if operation == f.O_ESC:
        return escape(cpu, core, ram, marks, at)
    if operation == f.O_INVD or operation == f.O_WBINVD:
        return DONE  # there is no cache to write back or to lose
    return undefined(core)


@jit
def leave(cpu: State, core: Workspace, reason: int, detail: int) -> int:
    """Retire the instruction and end run()."""
    cpu[EIP] = core[w.NEXT_EIP]
    core[w.TROUBLE] = w.EXIT
    core[w.EXIT_REASON] = reason
    core[w.EXIT_A] = detail
    core[w.EXIT_D] = 1
    return TROUBLED


@jit
def interrupt(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int, operation: int
) -> int:
    """INT n, INT3, INTO, INT1."""
    if operation == f.O_INT:
        return numbered_interrupt(cpu, core, ram, marks, core[at + 2] & 0xFF)
    if operation == f.O_INT3:
        return deliver(cpu, core, ram, marks, vectors.BP, -1, SOFTWARE)
    if operation == f.O_INT1:
        return deliver(cpu, core, ram, marks, vectors.DB, -1, PRIVILEGED)
    if not overflow(core):
        return DONE
    return deliver(cpu, core, ram, marks, vectors.OF, -1, SOFTWARE)


@jit
def check_bounds(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """BOUND: #BR unless a signed index lies between two bounds in memory, both included."""
    size = 4 if core[at] & OPERAND32 else 2
    gva = memory_address(cpu, core, at, 2 * size, 0)
    if gva < 0:
        return TROUBLED
    user = is_user(cpu)
    lower = read_linear(cpu, core, ram, marks, gva, size, user)
    if lower < 0:
        return TROUBLED
    upper = read_linear(cpu, core, ram, marks, (gva + size) & M32, size, user)
    if upper < 0:
        return TROUBLED
    top = 1 << size * 8 - 1
    index = (read_register(cpu, a_of(core[at]), size * 8) ^ top) - top
    if (lower ^ top) - top <= index <= (upper ^ top) - top:
        return DONE
    raise_fault(core, vectors.BR, -1)
    return TROUBLED
