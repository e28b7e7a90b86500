"""Delivery of exceptions and interrupts through the IDT.

Everything that can fault (gate, target, stack, every page of the frame) is checked before anything
changes. A fault during delivery becomes the next event by the double-fault rules; a fault during
the delivery of a double fault is a shutdown.

A task gate switches tasks (isa.task_switch), after which a fault is one of the new task.

The way back is isa.interrupt_return.

Source: SDM vol. 3A, "Interrupt and Exception Handling", "Interrupt 8—Double Fault Exception
(#DF)", "Error Code"; vol. 2, the Operation section of "INT n/INTO/INT3/INT1"; vol. 3B, "8086
Emulation".
"""

from isa import vectors
from isa import workspace as w
from isa.accounts import charge, raise_fault, settle, settle_completed
from isa.event_log import note_delivery, note_origin
from isa.exits import Exit
from isa.flags import read_eflags
from isa.jit import jit
from isa.modes import refresh
from isa.privilege_levels import (
    check_entry,
    commit_code,
    commit_stack,
    gate_offset,
    gate_target,
    inner_stack,
    inner_stack_segment,
    make_null,
    set_inner_pointer,
)
from isa.records import TRANSFER, TROUBLED
from isa.registers import (
    CR0_PE,
    CS,
    DR7_GD,
    DS,
    EFLAGS_AC,
    EFLAGS_IF,
    EFLAGS_NT,
    EFLAGS_RF,
    EFLAGS_TF,
    EFLAGS_VM,
    ES,
    ESP,
    FS,
    GS,
    SS,
)
from isa.segmentation import (
    CONFORMING,
    TYPE_TASK_GATE,
    attributes_of,
    base_of,
    dpl_of,
    fill_real,
    limit_of,
    probe_accessed,
    read_pair,
    read_table,
    selector_fault,
    set_accessed,
)
from isa.stack import (
    pointer_mask,
    probe_frame,
    room_for_frame,
    set_stack_pointer,
    write_frame,
)
from isa.state import (
    ATTRIBUTES,
    BASE,
    CPL,
    CR0,
    DR,
    EFLAGS,
    EIP,
    GPR,
    HALTED,
    IDTR_BASE,
    IDTR_LIMIT,
    LIMIT,
    PENDING_INTERRUPT,
    SELECTOR,
    State,
)
from isa.task_switch import BY_CALL, BY_EVENT, switch_task
from isa.workspace import Bytes, Workspace

M32 = 0xFFFFFFFF
M16 = 0xFFFF

# What kind of event is delivered.
HARDWARE = 0  # an exception raised by an instruction, or single-stepping
EXTERNAL = 1  # an interrupt from outside
SOFTWARE = 2  # INT n, INT3, INTO: the gate's DPL counts, the instruction is complete
PRIVILEGED = 3  # INT1: complete like the others, but the gate's DPL does not count

# Gate types with S = 0 and the present bit masked out.
_GATE_INTERRUPT16 = 0x6
_GATE_TRAP16 = 0x7
_GATE_INTERRUPT32 = 0xE
_GATE_TRAP32 = 0xF

_SHUTDOWN = int(Exit.SHUTDOWN)
_YIELD = int(Exit.YIELD)

# Exceptions whose saved EFLAGS have RF set: faults, not traps or aborts. Those of #DB that do have
# it set have set it in EFLAGS before (isa.debug_registers).
_FAULTS = (
    (1 << vectors.DE)
    | (1 << vectors.BR)
    | (1 << vectors.UD)
    | (1 << vectors.NM)
    | (1 << vectors.TS)
    | (1 << vectors.NP)
    | (1 << vectors.SS)
    | (1 << vectors.GP)
    | (1 << vectors.PF)
    | (1 << vectors.MF)
    | (1 << vectors.AC)
)

# Classes of the double-fault rules.
_BENIGN = 0
_CONTRIBUTING = 1
_PAGE_FAULT = 2
_DOUBLE_FAULT = 3


# --- delivery --------------------------------------------------------------------------------


@jit
def deliver(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, vector: int, error: int, kind: int
) -> int:
    """Enter the handler of an event. `error` is -1 for events without error code.

    Returns TRANSFER with cpu[EIP] at a handler, of this event or of one that its delivery led to;
    or TROUBLED: shutdown (an exit), or a fault of the INT instruction that could not be carried
    out (which leaves its delivery to the caller, like any fault of an instruction).

    #AC is benign, and its own delivery may not be aligned either: silicon tries for ever, and here
    the owner gets a chance to stop it.
    """
    core[w.DELIVERING] = vector
    event, code, way = vector, error, kind
    severity = classify(vector) if kind == HARDWARE else _BENIGN
    entry = note_origin(cpu, core)
    status = attempt(cpu, core, ram, marks, event, code, way)
    while status == TROUBLED:
        unfinished = event
        event, code = core[w.FAULT_VECTOR], core[w.FAULT_ERROR]
        if way != SOFTWARE and code >= 0 and event != vectors.PF:
            code |= vectors.ERROR_EXT
        if kind >= SOFTWARE:
            core[w.FAULT_ERROR] = code
            break
        if event == vectors.DB:
            severity = _BENIGN  # the debug trap of a task just entered: that delivery is done
        if severity == _DOUBLE_FAULT:
            core[w.TROUBLE] = w.EXIT
            core[w.EXIT_REASON] = _SHUTDOWN
            core[w.EXIT_A] = vector
            core[w.EXIT_D] = 0
            break
        if event == unfinished == vectors.AC:
            core[w.TROUBLE] = w.EXIT
            core[w.EXIT_REASON] = _YIELD
            core[w.EXIT_A] = 1
            core[w.EXIT_D] = 0
            break
        way = HARDWARE
        second = classify(event)
        if doubles(severity, second):
            event, code, second = vectors.DF, 0, _DOUBLE_FAULT
        severity = second
        status = attempt(cpu, core, ram, marks, event, code, way)
    core[w.DELIVERING] = -1
    if status == TRANSFER:
        core[w.TROUBLE] = 0
        cpu[HALTED] = 0
        note_delivery(cpu, core, entry, event, code, way)
        if event == vectors.DB and (way == HARDWARE or way == PRIVILEGED):
            cpu[DR + 7] &= ~DR7_GD  # the handler may use the debug registers
        if kind == EXTERNAL:
            cpu[PENDING_INTERRUPT] = -1
    return status


@jit
def attempt(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, vector: int, error: int, kind: int
) -> int:
    """Try to enter one handler: TRANSFER, or TROUBLED with a fault. See `deliver_protected`."""
    if cpu[CR0] & CR0_PE:
        return deliver_protected(cpu, core, ram, marks, vector, error, kind)
    return deliver_real(cpu, core, ram, marks, vector, kind)


@jit
def classify(vector: int) -> int:
    """Class of an exception in the double-fault rules."""
    if vector == vectors.DF:
        return _DOUBLE_FAULT
    if vector == vectors.PF:
        return _PAGE_FAULT
    return _CONTRIBUTING if vector < 32 and vectors.CONTRIBUTORY >> vector & 1 else _BENIGN


@jit
def doubles(first: int, second: int) -> int:
    """1 if the second exception, raised while delivering the first, makes a double fault."""
    if first == _PAGE_FAULT:
        return 1 if second != _BENIGN else 0
    return 1 if first == _CONTRIBUTING and second == _CONTRIBUTING else 0


@jit
def account_entry(cpu: State, core: Workspace, kind: int) -> None:
    """Book and charge a delivery at the privilege level it interrupts."""
    if kind >= SOFTWARE:
        settle_completed(cpu, core)
    else:
        settle(cpu, core)
    charge(cpu, core, w.EVENT_INTERRUPT if kind == EXTERNAL else w.EVENT_DELIVERY, 1)


@jit
def gate_fault(core: Workspace, vector: int, gate: int) -> int:
    """Record a fault whose error code names a gate of the IDT; TROUBLED."""
    raise_fault(core, vector, gate * 8 | vectors.ERROR_IDT)
    return TROUBLED


@jit
def check_gate(cpu: State, core: Workspace, vector: int, high: int, kind: int) -> int:
    """Type, privilege and presence of an IDT gate: TRANSFER if it may be used, or TROUBLED."""
    gate = high >> 8 & 0x1F
    known = gate & 0x17 == _GATE_INTERRUPT16 or gate & 0x17 == _GATE_TRAP16
    if not (known or gate == TYPE_TASK_GATE) or (kind == SOFTWARE and dpl_of(high) < cpu[CPL]):
        return gate_fault(core, vectors.GP, vector)
    if not high >> 15 & 1:
        return gate_fault(core, vectors.NP, vector)
    return TRANSFER


@jit
def deliver_protected(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, vector: int, error: int, kind: int
) -> int:
    """One attempt to deliver through a gate: TRANSFER, or TROUBLED.

    Then nothing has changed, unless the new task of a task gate is the one in trouble.
    """
    if vector * 8 + 7 > cpu[IDTR_LIMIT]:
        return gate_fault(core, vectors.GP, vector)
    gate_low, gate_high = read_pair(cpu, core, ram, marks, (cpu[IDTR_BASE] + vector * 8) & M32)
    if gate_low < 0 or check_gate(cpu, core, vector, gate_high, kind) == TROUBLED:
        return TROUBLED
    selector = gate_low >> 16
    if gate_high >> 8 & 0x1F == TYPE_TASK_GATE:
        how = BY_CALL if kind >= SOFTWARE else BY_EVENT
        image = saved_flags(cpu, core, vector, kind)
        return switch_task(cpu, core, ram, marks, how, selector, image, error)
    gva, low, high = gate_target(cpu, core, ram, marks, selector)
    if gva < 0:
        return TROUBLED
    conforming = attributes_of(high) & CONFORMING == CONFORMING
    inner = not conforming and dpl_of(high) < cpu[CPL]
    if cpu[EFLAGS] & EFLAGS_VM and not (inner and dpl_of(high) == 0):
        selector_fault(core, vectors.GP, selector)
        return TROUBLED
    if inner:
        return enter_inner(
            cpu, core, ram, marks, vector, error, kind, gate_low, gate_high, gva, low, high
        )
    return enter_same(
        cpu, core, ram, marks, vector, error, kind, gate_low, gate_high, gva, low, high
    )


@jit
def saved_flags(cpu: State, core: Workspace, vector: int, kind: int) -> int:
    """EFLAGS for the interrupted program to find again."""
    image = read_eflags(cpu, core)
    if kind >= SOFTWARE:
        image &= ~EFLAGS_RF  # an instruction clears it when it begins
    if kind == HARDWARE and vector < 32 and _FAULTS >> vector & 1:
        image |= EFLAGS_RF  # faults restart past an instruction breakpoint
    return image


@jit
def fill_frame(cpu: State, core: Workspace, at: int, vector: int, error: int, kind: int) -> int:
    """Complete a frame from FRAME[at]: EFLAGS, CS, EIP, error code; the number of its words."""
    core[w.FRAME + at] = saved_flags(cpu, core, vector, kind)
    core[w.FRAME + at + 1] = cpu[SELECTOR + CS]
    core[w.FRAME + at + 2] = core[w.NEXT_EIP] if kind >= SOFTWARE else cpu[EIP]
    if error < 0:
        return at + 3
    core[w.FRAME + at + 3] = error
    return at + 4


@jit
def start_handler(cpu: State, core: Workspace, gate_low: int, gate_high: int) -> None:
    """Flags and EIP of a handler, after the segments have been loaded."""
    clear = EFLAGS_TF | EFLAGS_NT | EFLAGS_RF | EFLAGS_VM
    if not gate_high >> 8 & 1:
        clear |= EFLAGS_IF
    cpu[EFLAGS] &= ~clear
    cpu[EIP] = gate_offset(gate_low, gate_high)
    refresh(cpu, core)


@jit
def enter_same(
    cpu: State,
    core: Workspace,
    ram: Bytes,
    marks: Bytes,
    vector: int,
    error: int,
    kind: int,
    gate_low: int,
    gate_high: int,
    gva: int,
    low: int,
    high: int,
) -> int:
    """Enter a handler without changing the privilege level."""
    size = 4 if gate_high >> 8 & 8 else 2
    count = fill_frame(cpu, core, 0, vector, error, kind)
    base = cpu[BASE + SS]
    mask = pointer_mask(cpu[ATTRIBUTES + SS])
    top = cpu[GPR + ESP]
    user = 1 if cpu[CPL] == 3 else 0
    if not room_for_frame(cpu[ATTRIBUTES + SS], cpu[LIMIT + SS], top, count, size):
        raise_fault(core, vectors.SS, 0)
        return TROUBLED
    if check_entry(cpu, core, ram, marks, gate_offset(gate_low, gate_high), gva, low, high) < 0:
        return TROUBLED
    place = probe_frame(cpu, core, ram, marks, base, mask, top, count, size, user)
    if place == -1:
        return TROUBLED
    account_entry(cpu, core, kind)
    write_frame(cpu, core, ram, marks, place, base, mask, top, count, size, user)
    set_accessed(cpu, core, ram, marks, gva, high)
    set_stack_pointer(cpu, top - count * size)
    commit_code(cpu, gate_low >> 16, cpu[CPL], low, high)
    start_handler(cpu, core, gate_low, gate_high)
    return TRANSFER


@jit
def fill_old_stack(cpu: State, core: Workspace) -> int:
    """Begin the frame on an inner stack with the interrupted stack; the words used."""
    at = 0
    if cpu[EFLAGS] & EFLAGS_VM:
        core[w.FRAME] = cpu[SELECTOR + GS]
        core[w.FRAME + 1] = cpu[SELECTOR + FS]
        core[w.FRAME + 2] = cpu[SELECTOR + DS]
        core[w.FRAME + 3] = cpu[SELECTOR + ES]
        at = 4
    core[w.FRAME + at] = cpu[SELECTOR + SS]
    core[w.FRAME + at + 1] = cpu[GPR + ESP]
    return at + 2


@jit
def enter_inner(
    cpu: State,
    core: Workspace,
    ram: Bytes,
    marks: Bytes,
    vector: int,
    error: int,
    kind: int,
    gate_low: int,
    gate_high: int,
    gva: int,
    low: int,
    high: int,
) -> int:
    """Enter a handler at an inner privilege level, on the stack that the TSS gives for it."""
    size = 4 if gate_high >> 8 & 8 else 2
    level = dpl_of(high)
    ss, top = inner_stack(cpu, core, ram, marks, level)
    if ss < 0:
        return TROUBLED
    ss_gva, ss_low, ss_high = inner_stack_segment(cpu, core, ram, marks, ss, level)
    if ss_gva < 0:
        return TROUBLED
    count = fill_frame(cpu, core, fill_old_stack(cpu, core), vector, error, kind)
    base = base_of(ss_low, ss_high)
    mask = pointer_mask(attributes_of(ss_high))
    if not room_for_frame(attributes_of(ss_high), limit_of(ss_low, ss_high), top, count, size):
        selector_fault(core, vectors.SS, ss)
        return TROUBLED
    if check_entry(cpu, core, ram, marks, gate_offset(gate_low, gate_high), gva, low, high) < 0:
        return TROUBLED
    place = probe_frame(cpu, core, ram, marks, base, mask, top, count, size, 0)
    if place == -1:
        return TROUBLED
    if probe_accessed(cpu, core, ram, marks, ss_gva, ss_high) < 0:
        return TROUBLED
    account_entry(cpu, core, kind)
    write_frame(cpu, core, ram, marks, place, base, mask, top, count, size, 0)
    set_accessed(cpu, core, ram, marks, gva, high)
    set_accessed(cpu, core, ram, marks, ss_gva, ss_high)
    if cpu[EFLAGS] & EFLAGS_VM:
        make_null(cpu, ES)
        make_null(cpu, DS)
        make_null(cpu, FS)
        make_null(cpu, GS)
    commit_code(cpu, gate_low >> 16, level, low, high)
    commit_stack(cpu, ss, ss_low, ss_high)
    set_inner_pointer(cpu, top, count * size)
    start_handler(cpu, core, gate_low, gate_high)
    return TRANSFER


@jit
def deliver_real(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, vector: int, kind: int
) -> int:
    """One attempt to deliver through the real-mode vector table."""
    if vector * 4 + 3 > cpu[IDTR_LIMIT]:
        return gate_fault(core, vectors.GP, vector)
    gva = (cpu[IDTR_BASE] + vector * 4) & M32
    target = read_table(cpu, core, ram, marks, gva, 4)
    if target < 0:
        return TROUBLED
    count = fill_frame(cpu, core, 0, vector, -1, kind)
    base = cpu[BASE + SS]
    mask = pointer_mask(cpu[ATTRIBUTES + SS])
    top = cpu[GPR + ESP]
    if not room_for_frame(cpu[ATTRIBUTES + SS], cpu[LIMIT + SS], top, count, 2):
        raise_fault(core, vectors.SS, 0)
        return TROUBLED
    if target & M16 > cpu[LIMIT + CS]:
        raise_fault(core, vectors.GP, 0)
        return TROUBLED
    place = probe_frame(cpu, core, ram, marks, base, mask, top, count, 2, 0)
    if place == -1:
        return TROUBLED
    account_entry(cpu, core, kind)
    write_frame(cpu, core, ram, marks, place, base, mask, top, count, 2, 0)
    set_stack_pointer(cpu, top - count * 2)
    fill_real(cpu, CS, target >> 16)
    cpu[EFLAGS] &= ~(EFLAGS_IF | EFLAGS_TF | EFLAGS_AC | EFLAGS_RF)
    cpu[EIP] = target & M16
    refresh(cpu, core)
    return TRANSFER
