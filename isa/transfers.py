"""Far JMP, CALL and RET: to code segments, through call gates, to tasks, and in real mode.

What a switch of tasks is, is in isa.task_switch.

Source: SDM vol. 2, the Operation sections of "JMP", "CALL" and "RET"; vol. 3A, "Call Gates",
"Stack Switching", "Task Switching"; vol. 3B, "8086 Emulation".
"""

from isa import vectors
from isa import workspace as w
from isa.accounts import charge, raise_fault, settle_completed
from isa.generated import forms as f
from isa.generated.columns import IMM, OPERATION
from isa.jit import jit
from isa.memory import read_linear
from isa.modes import refresh
from isa.operands import is_user, memory_address
from isa.privilege_levels import (
    check_entry,
    check_gate,
    commit_code,
    commit_stack,
    direct_target_allowed,
    drop_inaccessible,
    gate_offset,
    gate_target,
    gate_target_allowed,
    inner_stack,
    inner_stack_segment,
    is_call_gate,
    judge_code,
    outer_stack_segment,
    read_code_descriptor,
    return_target,
    set_inner_pointer,
)
from isa.records import MEMORY, OPERAND32, TRANSFER, TROUBLED, form_of
from isa.registers import ATTR_S, CS, ESP, SS
from isa.segmentation import (
    CONFORMING,
    attributes_of,
    base_of,
    dpl_of,
    fill_real,
    is_protected,
    limit_of,
    probe_accessed,
    selector_fault,
    set_accessed,
)
from isa.stack import (
    discard,
    peek,
    pointer_mask,
    probe_frame,
    read_frame,
    room_for_frame,
    set_stack_pointer,
    write_frame,
)
from isa.state import ATTRIBUTES, BASE, CPL, EIP, GPR, LIMIT, SELECTOR, State
from isa.task_switch import BY_CALL, BY_JUMP, is_task, transfer_to_task
from isa.workspace import Bytes, Workspace

M32 = 0xFFFFFFFF
M16 = 0xFFFF


@jit
def execute_transfer(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """Far JMP, CALL and RET by the record at `at`: TRANSFER, or TROUBLED.

    Then nothing has changed, unless a task was switched to and is the one in trouble.
    """
    form = form_of(core[at])
    operation = OPERATION[form]
    size = 4 if core[at] & OPERAND32 else 2
    if operation == f.O_RET_FAR:
        release = core[at + 2] & M16 if IMM[form, 0] else 0
        return far_return(cpu, core, ram, marks, size, release)
    offset = core[at + 2]
    selector = core[at + 3]
    if core[at] & MEMORY:
        offset, selector = read_far_pointer(cpu, core, ram, marks, at, size)
        if offset < 0:
            return TROUBLED
    if operation == f.O_CALL_FAR:
        return far_call(cpu, core, ram, marks, selector, offset, size)
    return far_jump(cpu, core, ram, marks, selector, offset, size)


@jit
def read_far_pointer(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int, size: int
) -> tuple[int, int]:
    """Offset and selector from an m16:16 or m16:32 operand; the offset is -1 after trouble."""
    gva = memory_address(cpu, core, at, size + 2, 0)
    if gva < 0:
        return -1, 0
    user = is_user(cpu)
    offset = read_linear(cpu, core, ram, marks, gva, size, user)
    if offset < 0:
        return -1, 0
    selector = read_linear(cpu, core, ram, marks, (gva + size) & M32, 2, user)
    if selector < 0:
        return -1, 0
    return offset, selector


@jit
def far_fault(core: Workspace, vector: int, selector: int) -> int:
    """Record a fault with a selector as error code; TROUBLED."""
    selector_fault(core, vector, selector)
    return TROUBLED


@jit
def finish_transfer(cpu: State, core: Workspace, offset: int) -> int:
    """Continue at an offset of the code segment just loaded."""
    cpu[EIP] = offset
    refresh(cpu, core)
    return TRANSFER


@jit
def account_transfer(cpu: State, core: Workspace) -> None:
    """Book and charge a far transfer at the privilege level it starts from."""
    settle_completed(cpu, core)
    charge(cpu, core, w.EVENT_FAR_TRANSFER, 1)


@jit
def continue_in_code(
    cpu: State,
    core: Workspace,
    ram: Bytes,
    marks: Bytes,
    selector: int,
    offset: int,
    used: int,
    gva: int,
    low: int,
    high: int,
) -> int:
    """Enter a judged code segment at the same level, and release `used` bytes of the stack."""
    if check_entry(cpu, core, ram, marks, offset, gva, low, high) < 0:
        return TROUBLED
    account_transfer(cpu, core)
    set_accessed(cpu, core, ram, marks, gva, high)
    discard(cpu, used)
    commit_code(cpu, selector, cpu[CPL], low, high)
    return finish_transfer(cpu, core, offset)


# --- JMP -------------------------------------------------------------------------------------


@jit
def far_jump(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, selector: int, offset: int, size: int
) -> int:
    """Far JMP to a selector: a code segment, a call gate or a task."""
    if not is_protected(cpu):
        return jump_real(cpu, core, selector, offset)
    gva, low, high = read_code_descriptor(cpu, core, ram, marks, selector)
    if gva < 0:
        return TROUBLED
    if attributes_of(high) & ATTR_S:
        allowed = direct_target_allowed(cpu[CPL], selector, high)
        return jump_to_code(cpu, core, ram, marks, selector, offset, gva, low, high, allowed)
    if is_task(high):
        return transfer_to_task(cpu, core, ram, marks, BY_JUMP, selector, low, high)
    if check_gate(cpu, core, selector, high, is_call_gate(high)) < 0:
        return TROUBLED
    return jump_through_gate(cpu, core, ram, marks, low, high)


@jit
def jump_real(cpu: State, core: Workspace, selector: int, offset: int) -> int:
    """Far JMP in real or virtual-8086 mode."""
    if offset > cpu[LIMIT + CS]:
        raise_fault(core, vectors.GP, 0)
        return TROUBLED
    account_transfer(cpu, core)
    fill_real(cpu, CS, selector)
    return finish_transfer(cpu, core, offset)


@jit
def jump_to_code(
    cpu: State,
    core: Workspace,
    ram: Bytes,
    marks: Bytes,
    selector: int,
    offset: int,
    gva: int,
    low: int,
    high: int,
    allowed: int,
) -> int:
    """Jump to a code segment whose privilege rule has been judged."""
    if judge_code(core, selector, high, allowed) < 0:
        return TROUBLED
    return continue_in_code(cpu, core, ram, marks, selector, offset, 0, gva, low, high)


@jit
def jump_through_gate(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, gate_low: int, gate_high: int
) -> int:
    """JMP through a call gate never changes the privilege level."""
    selector = gate_low >> 16
    offset = gate_offset(gate_low, gate_high)
    gva, low, high = read_code_descriptor(cpu, core, ram, marks, selector)
    if gva < 0:
        return TROUBLED
    allowed = gate_target_allowed(cpu[CPL], high)
    if attributes_of(high) & CONFORMING != CONFORMING and dpl_of(high) != cpu[CPL]:
        allowed = 0
    return jump_to_code(cpu, core, ram, marks, selector, offset, gva, low, high, allowed)


# --- CALL ------------------------------------------------------------------------------------


@jit
def far_call(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, selector: int, offset: int, size: int
) -> int:
    """Far CALL of a selector: a code segment, a call gate or a task."""
    if not is_protected(cpu):
        return call_real(cpu, core, ram, marks, selector, offset, size)
    gva, low, high = read_code_descriptor(cpu, core, ram, marks, selector)
    if gva < 0:
        return TROUBLED
    if not attributes_of(high) & ATTR_S:
        if is_task(high):
            return transfer_to_task(cpu, core, ram, marks, BY_CALL, selector, low, high)
        if check_gate(cpu, core, selector, high, is_call_gate(high)) < 0:
            return TROUBLED
        return call_through_gate(cpu, core, ram, marks, low, high)
    if judge_code(core, selector, high, direct_target_allowed(cpu[CPL], selector, high)) < 0:
        return TROUBLED
    return call_same(cpu, core, ram, marks, selector, offset, size, gva, low, high)


@jit
def check_room(cpu: State, core: Workspace, size: int) -> int:
    """Whether the limit of the current stack leaves room for a far return address: 0 or -1."""
    if room_for_frame(cpu[ATTRIBUTES + SS], cpu[LIMIT + SS], cpu[GPR + ESP], 2, size):
        return 0
    return raise_fault(core, vectors.SS, 0)


@jit
def probe_return_address(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, size: int) -> int:
    """Assemble CS and EIP and find where they go; -1 after a page fault. See `probe_frame`."""
    core[w.FRAME] = cpu[SELECTOR + CS]
    core[w.FRAME + 1] = core[w.NEXT_EIP]
    mask = pointer_mask(cpu[ATTRIBUTES + SS])
    top = cpu[GPR + ESP]
    return probe_frame(cpu, core, ram, marks, cpu[BASE + SS], mask, top, 2, size, is_user(cpu))


@jit
def push_return_address(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, place: int, size: int
) -> None:
    """Push what `probe_return_address` has assembled and found a place for."""
    base = cpu[BASE + SS]
    mask = pointer_mask(cpu[ATTRIBUTES + SS])
    top = cpu[GPR + ESP]
    write_frame(cpu, core, ram, marks, place, base, mask, top, 2, size, is_user(cpu))
    set_stack_pointer(cpu, top - 2 * size)


@jit
def call_real(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, selector: int, offset: int, size: int
) -> int:
    """Far CALL in real or virtual-8086 mode."""
    if check_room(cpu, core, size) < 0:
        return TROUBLED
    if offset > cpu[LIMIT + CS]:
        raise_fault(core, vectors.GP, 0)
        return TROUBLED
    place = probe_return_address(cpu, core, ram, marks, size)
    if place == -1:
        return TROUBLED
    account_transfer(cpu, core)
    push_return_address(cpu, core, ram, marks, place, size)
    fill_real(cpu, CS, selector)
    return finish_transfer(cpu, core, offset)


@jit
def call_same(
    cpu: State,
    core: Workspace,
    ram: Bytes,
    marks: Bytes,
    selector: int,
    offset: int,
    size: int,
    gva: int,
    low: int,
    high: int,
) -> int:
    """Call a checked code segment without changing the privilege level."""
    if check_room(cpu, core, size) < 0:
        return TROUBLED
    if check_entry(cpu, core, ram, marks, offset, gva, low, high) < 0:
        return TROUBLED
    place = probe_return_address(cpu, core, ram, marks, size)
    if place == -1:
        return TROUBLED
    account_transfer(cpu, core)
    push_return_address(cpu, core, ram, marks, place, size)
    set_accessed(cpu, core, ram, marks, gva, high)
    commit_code(cpu, selector, cpu[CPL], low, high)
    return finish_transfer(cpu, core, offset)


@jit
def call_through_gate(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, gate_low: int, gate_high: int
) -> int:
    """CALL through a call gate, whose type decides the size of what is pushed."""
    size = 4 if gate_high >> 8 & 8 else 2
    selector = gate_low >> 16
    offset = gate_offset(gate_low, gate_high)
    gva, low, high = gate_target(cpu, core, ram, marks, selector)
    if gva < 0:
        return TROUBLED
    if attributes_of(high) & CONFORMING == CONFORMING or dpl_of(high) == cpu[CPL]:
        return call_same(cpu, core, ram, marks, selector, offset, size, gva, low, high)
    count = gate_high & 31
    return call_inner(cpu, core, ram, marks, selector, offset, size, count, gva, low, high)


@jit
def fill_gate_frame(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, parameters: int, size: int
) -> int:
    """The frame of a call to an inner level: old stack, parameters, return address. 0 or -1."""
    core[w.FRAME] = cpu[SELECTOR + SS]
    core[w.FRAME + 1] = cpu[GPR + ESP]
    for index in range(parameters):
        word = peek(cpu, core, ram, marks, (parameters - 1 - index) * size, size)
        if word < 0:
            return -1
        core[w.FRAME + 2 + index] = word
    core[w.FRAME + 2 + parameters] = cpu[SELECTOR + CS]
    core[w.FRAME + 3 + parameters] = core[w.NEXT_EIP]
    return 0


@jit
def call_inner(
    cpu: State,
    core: Workspace,
    ram: Bytes,
    marks: Bytes,
    selector: int,
    offset: int,
    size: int,
    parameters: int,
    gva: int,
    low: int,
    high: int,
) -> int:
    """Call a checked code segment at an inner privilege level, on the stack that the TSS gives."""
    level = dpl_of(high)
    ss, top = inner_stack(cpu, core, ram, marks, level)
    if ss < 0:
        return TROUBLED
    ss_gva, ss_low, ss_high = inner_stack_segment(cpu, core, ram, marks, ss, level)
    if ss_gva < 0:
        return TROUBLED
    base = base_of(ss_low, ss_high)
    mask = pointer_mask(attributes_of(ss_high))
    words = parameters + 4
    if not room_for_frame(attributes_of(ss_high), limit_of(ss_low, ss_high), top, words, size):
        return far_fault(core, vectors.SS, ss)
    if fill_gate_frame(cpu, core, ram, marks, parameters, size) < 0:
        return TROUBLED
    if check_entry(cpu, core, ram, marks, offset, gva, low, high) < 0:
        return TROUBLED
    place = probe_frame(cpu, core, ram, marks, base, mask, top, words, size, 0)
    if place == -1:
        return TROUBLED
    if probe_accessed(cpu, core, ram, marks, ss_gva, ss_high) < 0:
        return TROUBLED
    account_transfer(cpu, core)
    write_frame(cpu, core, ram, marks, place, base, mask, top, words, size, 0)
    set_accessed(cpu, core, ram, marks, gva, high)
    set_accessed(cpu, core, ram, marks, ss_gva, ss_high)
    commit_code(cpu, selector, level, low, high)
    commit_stack(cpu, ss, ss_low, ss_high)
    set_inner_pointer(cpu, top, words * size)
    return finish_transfer(cpu, core, offset)


# --- RET -------------------------------------------------------------------------------------


@jit
def far_return(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, size: int, release: int
) -> int:
    """RETF, releasing `release` bytes of parameters."""
    if read_frame(cpu, core, ram, marks, 2, size) < 0:
        return TROUBLED
    offset = core[w.FRAME]
    selector = core[w.FRAME + 1] & M16
    if not is_protected(cpu):
        return far_return_real(cpu, core, selector, offset, 2 * size + release)
    gva, low, high = return_target(cpu, core, ram, marks, selector)
    if gva < 0:
        return TROUBLED
    if selector & 3 != cpu[CPL]:
        return far_return_outer(
            cpu, core, ram, marks, selector, offset, size, release, gva, low, high
        )
    used = 2 * size + release
    return continue_in_code(cpu, core, ram, marks, selector, offset, used, gva, low, high)


@jit
def far_return_real(cpu: State, core: Workspace, selector: int, offset: int, used: int) -> int:
    """RETF in real or virtual-8086 mode, releasing `used` bytes of the stack."""
    if offset > cpu[LIMIT + CS]:
        raise_fault(core, vectors.GP, 0)
        return TROUBLED
    account_transfer(cpu, core)
    discard(cpu, used)
    fill_real(cpu, CS, selector)
    return finish_transfer(cpu, core, offset)


@jit
def far_return_outer(
    cpu: State,
    core: Workspace,
    ram: Bytes,
    marks: Bytes,
    selector: int,
    offset: int,
    size: int,
    release: int,
    gva: int,
    low: int,
    high: int,
) -> int:
    """Return to an outer privilege level: the parameters leave both stacks."""
    pointer = peek(cpu, core, ram, marks, 2 * size + release, size)
    if pointer < 0:
        return TROUBLED
    ss = peek(cpu, core, ram, marks, 3 * size + release, size)
    if ss < 0:
        return TROUBLED
    ss &= M16
    level = selector & 3
    ss_gva, ss_low, ss_high = outer_stack_segment(cpu, core, ram, marks, ss, level)
    if ss_gva < 0:
        return TROUBLED
    if check_entry(cpu, core, ram, marks, offset, gva, low, high) < 0:
        return TROUBLED
    if probe_accessed(cpu, core, ram, marks, ss_gva, ss_high) < 0:
        return TROUBLED
    account_transfer(cpu, core)
    set_accessed(cpu, core, ram, marks, gva, high)
    set_accessed(cpu, core, ram, marks, ss_gva, ss_high)
    commit_code(cpu, selector, level, low, high)
    commit_stack(cpu, ss, ss_low, ss_high)
    set_stack_pointer(cpu, pointer + release)
    drop_inaccessible(cpu)
    return finish_transfer(cpu, core, offset)
