"""Hardware task switching: from the selector of a TSS to the new task's first instruction.

IRET with NT set, and events through a task gate, come to `switch_task` with the selector of the new
TSS; JMP and CALL come by way of `transfer_to_task`, which checks their privilege.

Until the old task is saved, every fault is one of the old task, with nothing changed: the TSS is
judged, and everything that will be read or written is probed. After that point the new task's
registers are loaded, and faults of its segments belong to it: `switch_task` then returns TROUBLED
with cpu[EIP] and all else those of the new task, and the instruction that switched has retired. A
debug trap asked for by the T flag of the TSS comes about in the same way.

Choices where the SDM leaves room: segments are checked in the order LDTR, CS, SS, DS, ES, FS, GS,
as the 386's manual lists them; the upper halves of general registers loaded from a 16-bit TSS are
ones; a switch ends the exact-breakpoint flag DR7.LE together with L0 to L3; a CR3 whose PDPTEs have
reserved bits set is not loaded, and #GP(0) is the new task's.

Source: SDM vol. 3A, "Task Management", above all "Task Switching" and the table "Exception
Conditions Checked During a Task Switch"; vol. 2, the Operation sections of "JMP", "CALL",
"INT n/INTO/INT3/INT1" and "IRET/IRETD".
"""

from isa import vectors
from isa import workspace as w
from isa.accounts import charge, raise_fault, set_resume_flag, settle, settle_completed
from isa.breakpoints import pending_conditions
from isa.debug_registers import note_debug
from isa.flags import read_eflags
from isa.jit import jit
from isa.memory import probe_write, translate, write_linear
from isa.modes import refresh
from isa.privilege_levels import check_gate, return_target_allowed
from isa.records import TRANSFER, TROUBLED
from isa.registers import (
    ATTR_P,
    ATTR_S,
    ATTR_TYPE,
    ATTR_UNUSABLE,
    CS,
    DR6_BS,
    DR6_BT,
    DS,
    EFLAGS_RF,
    EFLAGS_VM,
    ES,
    FS,
    GS,
    LDTR,
    SS,
    TR,
)
from isa.segmentation import (
    FAILED,
    INDEX_MASK,
    SELECTOR_TI,
    TYPE_BUSY,
    TYPE_IS_32_BIT,
    TYPE_LDT,
    TYPE_TASK_GATE,
    TYPE_TSS16,
    Descriptor,
    attributes_of,
    base_of,
    data_load_allowed,
    dpl_of,
    fill_real,
    fill_system_cache,
    limit_of,
    load_allowed,
    read_descriptor,
    read_table,
    selector_fault,
    stack_load_allowed,
)
from isa.stack import push
from isa.state import (
    ATTRIBUTES,
    BASE,
    CPL,
    EFLAGS,
    EIP,
    GDTR_BASE,
    LIMIT,
    PENDING_DEBUG,
    SELECTOR,
    State,
)
from isa.task_state import (
    F_TRAP,
    LAST16,
    LAST32,
    STATE16,
    STATE32,
    TSS_CR3,
    load_page_tables,
    load_registers,
    read_task,
    save_task,
)
from isa.workspace import Bytes, Workspace

M32 = 0xFFFFFFFF

# What switches.
BY_JUMP = 0  # JMP: the old task is left for good
BY_CALL = 1  # CALL, INT n: the new task is nested in the old one
BY_EVENT = 2  # an exception or interrupt: nested, and no instruction completes
BY_RETURN = 3  # IRET: back from a nested task


# --- the old task's side of the switch -------------------------------------------------------


@jit
def find_task(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, selector: int, how: int
) -> Descriptor:
    """The TSS descriptor a switch may use: in the GDT, present, long enough, and not busy.

    Or busy, for IRET. FAILED after trouble.
    """
    vector = vectors.TS if how == BY_RETURN else vectors.GP
    if selector & SELECTOR_TI or not selector & INDEX_MASK:
        selector_fault(core, vector, selector)
        return FAILED, 0, 0
    gva, low, high = read_descriptor(cpu, core, ram, marks, selector, vector)
    if gva < 0:
        return FAILED, 0, 0
    attributes = attributes_of(high)
    wanted = TYPE_TSS16 | (TYPE_BUSY if how == BY_RETURN else 0)
    if attributes & (ATTR_S | ATTR_TYPE) & ~TYPE_IS_32_BIT != wanted:
        selector_fault(core, vector, selector)
        return FAILED, 0, 0
    if not attributes & ATTR_P:
        selector_fault(core, vectors.NP, selector)
        return FAILED, 0, 0
    if limit_of(low, high) < (LAST32 if attributes & TYPE_IS_32_BIT else LAST16):
        selector_fault(core, vectors.TS, selector)
        return FAILED, 0, 0
    return gva, low, high


@jit
def probe_read(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, gva: int, size: int) -> int:
    """Check that `size` bytes of a system table can be read: 0, or -1 after recording a fault."""
    if translate(cpu, core, ram, marks, gva & M32, 0, 0) < 0:
        return -1
    last = gva + size - 1
    if (last ^ gva) & ~0xFFF and translate(cpu, core, ram, marks, last & 0xFFFFF000, 0, 0) < 0:
        return -1
    return 0


@jit
def type_byte(cpu: State) -> int:
    """Linear address of the byte with the type of the current TSS, in its descriptor."""
    return (cpu[GDTR_BASE] + (cpu[SELECTOR + TR] & 0xFFF8) + 5) & M32  # type: ignore[no-any-return]


@jit
def probe_switch(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, how: int, gva: int, low: int, high: int
) -> int:
    """Whatever else can fault in the old task: both TSSs and their descriptors. 0 or -1."""
    old = cpu[BASE + TR]
    attributes = cpu[ATTRIBUTES + TR]
    wide = attributes & TYPE_IS_32_BIT
    if attributes & ATTR_UNUSABLE or cpu[LIMIT + TR] < (LAST32 if wide else LAST16):
        return selector_fault(core, vectors.TS, cpu[SELECTOR + TR])
    new = base_of(low, high)
    first, last = STATE16, LAST16
    if attributes_of(high) & TYPE_IS_32_BIT:
        first, last = TSS_CR3, LAST32
    if probe_read(cpu, core, ram, marks, new + first, last - first + 1) < 0:
        return -1
    first, last = (STATE32, LAST32 - 10) if wide else (STATE16, LAST16 - 2)
    if probe_write(cpu, core, ram, marks, (old + first) & M32, last - first + 1, 0) < 0:
        return -1
    if how == BY_CALL or how == BY_EVENT:
        if probe_write(cpu, core, ram, marks, new, 2, 0) < 0:
            return -1
    elif probe_write(cpu, core, ram, marks, type_byte(cpu), 1, 0) < 0:
        return -1
    return 0 if how == BY_RETURN else probe_write(cpu, core, ram, marks, (gva + 5) & M32, 1, 0)


@jit
def hand_over(
    cpu: State,
    core: Workspace,
    ram: Bytes,
    marks: Bytes,
    how: int,
    selector: int,
    gva: int,
    low: int,
    high: int,
) -> None:
    """Busy flags, the link of a nested task, and the task register. Probed before."""
    if how == BY_CALL or how == BY_EVENT:
        write_linear(cpu, core, ram, marks, base_of(low, high), 2, cpu[SELECTOR + TR], 0)
    else:
        kind = read_table(cpu, core, ram, marks, type_byte(cpu), 1) & ~TYPE_BUSY
        write_linear(cpu, core, ram, marks, type_byte(cpu), 1, kind, 0)
    busy = high | TYPE_BUSY << 8
    if how != BY_RETURN:
        write_linear(cpu, core, ram, marks, (gva + 5) & M32, 1, busy >> 8 & 0xFF, 0)
    fill_system_cache(cpu, TR, selector, low, busy)


# --- the new task's side ---------------------------------------------------------------------


@jit
def load_local_table(cpu: State, core: Workspace, ram: Bytes, marks: Bytes) -> int:
    """The LDT of a task, whose selector has been loaded: 0, or -1 after a fault."""
    selector = cpu[SELECTOR + LDTR]
    if not selector & INDEX_MASK:
        return 0
    if selector & SELECTOR_TI:
        return selector_fault(core, vectors.TS, selector)
    gva, low, high = read_descriptor(cpu, core, ram, marks, selector, vectors.TS)
    if gva < 0:
        return -1
    if attributes_of(high) & (ATTR_S | ATTR_TYPE | ATTR_P) != TYPE_LDT | ATTR_P:
        return selector_fault(core, vectors.TS, selector)
    fill_system_cache(cpu, LDTR, selector, low, high)
    return 0


@jit
def load_segment(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, segment: int) -> int:
    """The descriptor of a segment register of a task, whose selector has been loaded: 0 or -1."""
    selector = cpu[SELECTOR + segment]
    level = cpu[CPL]
    if not selector & INDEX_MASK:
        if segment == CS or segment == SS:
            return selector_fault(core, vectors.TS, selector)
        return 0
    gva, low, high = read_descriptor(cpu, core, ram, marks, selector, vectors.TS)
    if gva < 0:
        return -1
    attributes = attributes_of(high)
    if segment == CS:
        allowed = return_target_allowed(level, selector, high)
    elif segment == SS:
        allowed = stack_load_allowed(level, selector, attributes)
    else:
        allowed = data_load_allowed(level, selector, attributes)
    if not allowed:
        return selector_fault(core, vectors.TS, selector)
    return load_allowed(cpu, core, ram, marks, segment, selector, gva, low, high)


@jit
def load_segments(cpu: State, core: Workspace, ram: Bytes, marks: Bytes) -> int:
    """LDTR and the six segment registers, whose selectors have been loaded: 0, or -1."""
    if load_local_table(cpu, core, ram, marks) < 0:
        return -1
    if cpu[EFLAGS] & EFLAGS_VM:
        for number in range(6):
            fill_real(cpu, number, cpu[SELECTOR + number])
        return 0
    for segment in (CS, SS, DS, ES, FS, GS):
        if load_segment(cpu, core, ram, marks, segment) < 0:
            return -1
    return 0


@jit
def begin_task(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, error: int, trap: int) -> int:
    """Page tables, segments, error code and EIP: 0; or -1, the new task's first event recorded."""
    failed = load_page_tables(cpu, core, ram)
    if failed == 0:
        failed = load_segments(cpu, core, ram, marks)
    refresh(cpu, core)
    if failed < 0:
        return -1
    if error >= 0:
        size = 4 if cpu[ATTRIBUTES + TR] & TYPE_IS_32_BIT else 2
        if push(cpu, core, ram, marks, error, size) < 0:
            return -1
    if cpu[EIP] > cpu[LIMIT + CS]:
        return raise_fault(core, vectors.GP, 0)
    if not trap:
        return 0
    step = DR6_BS if cpu[PENDING_DEBUG] else 0
    note_debug(cpu, DR6_BT | step | pending_conditions(cpu))
    return raise_fault(core, vectors.DB, -1)


@jit
def switch_task(
    cpu: State,
    core: Workspace,
    ram: Bytes,
    marks: Bytes,
    how: int,
    selector: int,
    eflags: int,
    error: int,
) -> int:
    """Switch to the task of a TSS: TRANSFER, or TROUBLED, before or after the switch (see above).

    `eflags` is what the old task will find again; `error` is an error code to push, or -1.
    """
    gva, low, high = find_task(cpu, core, ram, marks, selector, how)
    if gva < 0 or probe_switch(cpu, core, ram, marks, how, gva, low, high) < 0:
        return TROUBLED
    eip = core[w.NEXT_EIP]
    if how == BY_EVENT:
        settle(cpu, core)
        eip = cpu[EIP]
    else:
        settle_completed(cpu, core)
    charge(cpu, core, w.EVENT_TASK_SWITCH, 1)
    save_task(cpu, core, ram, marks, eip, eflags)
    hand_over(cpu, core, ram, marks, how, selector, gva, low, high)
    failed = read_task(cpu, core, ram, marks, base_of(low, high), high >> 8 & TYPE_IS_32_BIT)
    if failed == 0:
        load_registers(cpu, core, 1 if how == BY_CALL or how == BY_EVENT else 0)
        if cpu[EFLAGS] & EFLAGS_RF:
            set_resume_flag(cpu, core, 0 if how == BY_EVENT else 1)
        failed = begin_task(cpu, core, ram, marks, error, core[F_TRAP])
    if failed == 0:
        return TRANSFER
    if how != BY_EVENT:
        core[w.LEFT] -= 1  # what follows is an event of the new task: the instruction has retired
    return TROUBLED


# --- JMP and CALL ------------------------------------------------------------------------------


@jit
def is_task(high: int) -> int:
    """1 for a task gate and for a TSS of either size, busy or not."""
    kind = high >> 8 & 0x1F
    available = kind & ~(TYPE_BUSY | TYPE_IS_32_BIT)
    return 1 if kind == TYPE_TASK_GATE or available == TYPE_TSS16 else 0


@jit
def transfer_to_task(
    cpu: State,
    core: Workspace,
    ram: Bytes,
    marks: Bytes,
    how: int,
    selector: int,
    low: int,
    high: int,
) -> int:
    """JMP or CALL to the task of a task gate or TSS."""
    if high >> 8 & 0x1F == TYPE_TASK_GATE:
        if check_gate(cpu, core, selector, high, 1) < 0:
            return TROUBLED
        selector = low >> 16
    elif dpl_of(high) < cpu[CPL] or dpl_of(high) < selector & 3:
        selector_fault(core, vectors.GP, selector)
        return TROUBLED
    image = read_eflags(cpu, core) & ~EFLAGS_RF
    return switch_task(cpu, core, ram, marks, how, selector, image, -1)
