"""String instructions: MOVS CMPS STOS LODS SCAS INS OUTS, alone and repeated.

A repeated instruction is restartable: after each iteration the registers are as if it had been
interrupted there. Long ones leave run() now and then (YIELD), so that an owner can stop them;
device accesses leave it at once. REP MOVS, REP STOS, REPE CMPS and REPNE SCAS on plain RAM go
a page at a time, except when single-stepping, which stops after every iteration.

Source: SDM vol. 2B, "REP/REPE/REPZ/REPNE/REPNZ"; vol. 1, "String Instructions".
"""

from isa import workspace as w
from isa.accounts import charge
from isa.breakpoints import pending_conditions, watch_port
from isa.debug_registers import raise_debug
from isa.exits import Exit
from isa.generated import forms as f
from isa.generated.columns import OPERATION, OPSIZE, REP
from isa.jit import jit, load8, load16, load32, store8, store16, store32
from isa.memory import probe_write, read_linear, replayed, translate, write_linear
from isa.modes import MODE_FLAT, MODE_TRAP
from isa.operands import is_user, read_register, write_register
from isa.operations import subtract
from isa.ports import check_port
from isa.records import (
    ADDRESS32,
    DONE,
    FORM_SHIFT,
    REPEAT_F2,
    REPEAT_SHIFT,
    SEGMENT_SHIFT,
    TROUBLED,
)
from isa.registers import DR6_BS, EAX, ECX, EDI, EDX, EFLAGS_DF, ES, ESI, FS
from isa.segmentation import linear_address
from isa.state import EFLAGS, EIP, GPR, PENDING_TRAPS, State
from isa.workspace import Bytes, Workspace

M32 = 0xFFFFFFFF
ITERATIONS_PER_CALL = 1 << 16
BULK_PAGES_PER_CALL = 1 << 12
_YIELD = int(Exit.YIELD)
_PORT_STRING = int(Exit.PORT_STRING)
_PORT_OUT = int(Exit.PORT_OUT)
_MEMORY_WRITE = int(Exit.MEMORY_WRITE)


@jit
def leave(core: Workspace, reason: int) -> int:
    """End run() with the instruction unfinished; it will be executed again."""
    core[w.TROUBLE] = w.EXIT
    core[w.EXIT_REASON] = reason
    core[w.EXIT_D] = 0
    return TROUBLED


@jit
def advance(cpu: State, register: int, step: int, wrap: int) -> None:
    value = cpu[GPR + register]
    cpu[GPR + register] = value & (M32 ^ wrap) | value + step & wrap


@jit
def execute_string(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """One string instruction, with all its repetitions unless it has to be interrupted."""
    head = core[at]
    form = head >> FORM_SHIFT & 0xFFF
    operation = OPERATION[form]
    size = OPSIZE[form] >> 3
    wrap = M32 if head & ADDRESS32 else 0xFFFF
    repeat = head >> REPEAT_SHIFT & 3 if REP[form] else 0
    if not repeat:
        return iteration(cpu, core, ram, marks, at, operation, size, wrap)
    pages = 0
    for _ in range(ITERATIONS_PER_CALL):
        count = cpu[GPR + ECX] & wrap
        if count == 0:
            return DONE
        if has_bulk(operation, repeat) and not core[w.MODE] & MODE_TRAP:
            moved = bulk(cpu, core, ram, marks, at, operation, size, wrap, count)
            if moved:
                charge(cpu, core, w.EVENT_STRING_STEP, moved - (1 if moved == count else 0))
                pages += 1
                if moved == count:
                    return DONE
                if pages == BULK_PAGES_PER_CALL:
                    break
                continue
        result = iteration(cpu, core, ram, marks, at, operation, size, wrap)
        if result != DONE and not (core[w.TROUBLE] == w.EXIT and core[w.EXIT_REASON] == _PORT_OUT):
            return result
        core[w.REPLAY_COUNT] = 0
        core[w.REPLAY_NEXT] = 0
        advance(cpu, ECX, -1, wrap)
        finished = 1 if count == 1 else 0
        if REP[form] == 2:
            equal = 1 if core[w.LF_RESULT] == 0 else 0
            if equal == (1 if repeat == REPEAT_F2 else 0):
                finished = 1
        if not finished:
            charge(cpu, core, w.EVENT_STRING_STEP, 1)
        if result != DONE:
            if not finished:
                cpu[EIP] = core[w.LINEAR]
                leave_between(core, _PORT_OUT)
            return TROUBLED
        if finished:
            return DONE
        if core[w.MODE] & MODE_TRAP or cpu[PENDING_TRAPS]:
            return trap_between(cpu, core)
        if core[w.POSTED_COUNT]:
            return leave_between(core, _MEMORY_WRITE)
        if core[w.RESYNC]:
            break
    return leave_between(core, _YIELD)


@jit
def has_bulk(operation: int, repeat: int) -> bool:
    """Whether many iterations may be made at once: copies, fills, and the usual comparisons."""
    if operation == f.O_CMPS:
        return repeat != REPEAT_F2
    return (
        operation == f.O_MOVS
        or operation == f.O_STOS
        or (operation == f.O_SCAS and repeat == REPEAT_F2)
    )


@jit
def leave_between(core: Workspace, reason: int) -> int:
    """End run() between two iterations."""
    core[w.ITERATED] = 1
    return leave(core, reason)


@jit
def trap_between(cpu: State, core: Workspace) -> int:
    """#DB between two iterations: a single step is one iteration."""
    step = DR6_BS if core[w.MODE] & MODE_TRAP else 0
    raise_debug(cpu, core, step | pending_conditions(cpu))
    return TROUBLED


@jit
def bulk(
    cpu: State,
    core: Workspace,
    ram: Bytes,
    marks: Bytes,
    at: int,
    operation: int,
    size: int,
    wrap: int,
    count: int,
) -> int:
    """Iterations of a forward repeat within one page of plain RAM; 0: not possible.

    Of a comparison only those that do not end it, and never the last one there: the iteration
    after them sets the flags.
    """
    head = core[at]
    if cpu[EFLAGS] & EFLAGS_DF or wrap != M32 or not core[w.MODE] & MODE_FLAT:
        return 0
    stores = operation == f.O_MOVS or operation == f.O_STOS
    to = cpu[GPR + EDI]
    target = plain_address(core, to, w.TLB_WRITE if stores else w.TLB_READ)
    n = min(count, (4096 - (to & 0xFFF)) // size)
    if target < 0 or n == 0:
        return 0
    source = 0
    has_source = operation == f.O_MOVS or operation == f.O_CMPS
    if has_source:
        segment = head >> SEGMENT_SHIFT & 7
        if segment >= FS or segment == 1:
            return 0
        source = source_address(cpu, core, ram, marks, cpu[GPR + ESI])
        n = min(n, (4096 - (cpu[GPR + ESI] & 0xFFF)) // size)
        if source < 0 or n == 0 or (stores and 0 < target - source < size):
            return 0
    if operation == f.O_MOVS:
        copy_forward(ram, target, source, n * size)
    elif operation == f.O_STOS:
        fill(ram, target, cpu[GPR + EAX], size, n)
    elif operation == f.O_CMPS:
        n = equal_bytes(ram, target, source, (n - 1) * size) // size
    else:
        n = unequal_elements(ram, target, read_register(cpu, EAX, size << 3), size, n - 1)
    if has_source:
        cpu[GPR + ESI] = cpu[GPR + ESI] + n * size & M32
    cpu[GPR + EDI] = to + n * size & M32
    cpu[GPR + ECX] = cpu[GPR + ECX] - n & M32
    return n  # type: ignore[no-any-return]


@jit
def plain_address(core: Workspace, gva: int, tag: int) -> int:
    """RAM index of a linear address, or -1 where the TLB does not say that RAM is there.

    Args:
        tag: TLB_READ or TLB_WRITE.
    """
    page = gva >> 12
    entry = w.TLB + ((page & w.TLB_MASK) | core[w.TLB_HALF]) * w.TLB_WORDS
    if core[entry + tag] != core[w.TLB_BASE] + page:
        return -1
    return gva + core[entry + w.TLB_ADDEND]  # type: ignore[no-any-return]


@jit
def source_address(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, gva: int) -> int:
    """As `plain_address` for a load; looks the page up, since source and target may share an entry.

    A fault recorded here is the one that the iteration, made instead, finds again.
    """
    found = plain_address(core, gva, w.TLB_READ)
    may_ask = gva >> 12 <= core[w.FLAT_LAST_PAGE] and not core[w.TLB_CHECK]
    if found < 0 and may_ask and translate(cpu, core, ram, marks, gva, 0, is_user(cpu)) >= 0:
        found = plain_address(core, gva, w.TLB_READ)
    return found


@jit
def copy_forward(ram: Bytes, target: int, source: int, count: int) -> None:
    """Copy bytes in ascending order; what the target overlaps is copied again, as by MOVSB."""
    done = 0
    if not 0 < target - source < 4:
        for index in range(count >> 2):
            store32(ram, target + 4 * index, load32(ram, source + 4 * index))
        done = count & ~3
    for index in range(done, count):
        store8(ram, target + index, load8(ram, source + index))


@jit
def fill(ram: Bytes, target: int, value: int, size: int, n: int) -> None:
    """Store the low bytes of a value `n` times."""
    if size == 4:
        for index in range(n):
            store32(ram, target + 4 * index, value)
    elif size == 2:
        for index in range(n):
            store16(ram, target + 2 * index, value)
    else:
        for index in range(n):
            store8(ram, target + index, value)


@jit
def equal_bytes(ram: Bytes, one: int, other: int, count: int) -> int:
    """How many of the first bytes are equal at two places."""
    index = 0
    while index + 4 <= count and load32(ram, one + index) == load32(ram, other + index):
        index += 4
    while index < count and load8(ram, one + index) == load8(ram, other + index):
        index += 1
    return index


@jit
def unequal_elements(ram: Bytes, at: int, value: int, size: int, n: int) -> int:
    """How many of the first elements differ from a value."""
    index = 0
    if size == 4:
        while index < n and load32(ram, at + 4 * index) != value:
            index += 1
    elif size == 2:
        while index < n and load16(ram, at + 2 * index) != value:
            index += 1
    else:
        # Four at a time: subtracting one from each byte borrows first where a byte is zero.
        pattern = value * 0x01010101
        while index + 4 <= n:
            differing = load32(ram, at + index) ^ pattern
            if (differing - 0x01010101) & ~differing & 0x80808080:
                break
            index += 4
        while index < n and load8(ram, at + index) != value:
            index += 1
    return index


@jit
def iteration(
    cpu: State,
    core: Workspace,
    ram: Bytes,
    marks: Bytes,
    at: int,
    operation: int,
    size: int,
    wrap: int,
) -> int:
    """One iteration: memory first, registers last."""
    user = is_user(cpu)
    step = -size if cpu[EFLAGS] & EFLAGS_DF else size
    bits = size << 3
    value = 0
    if operation == f.O_INS:
        return input_iteration(cpu, core, ram, marks, size, wrap, step)
    if (
        operation == f.O_MOVS
        or operation == f.O_CMPS
        or operation == f.O_LODS
        or operation == f.O_OUTS
    ):
        segment = core[at] >> SEGMENT_SHIFT & 7
        gva = linear_address(cpu, core, segment, cpu[GPR + ESI] & wrap, size, 0)
        if gva < 0:
            return TROUBLED
        value = read_linear(cpu, core, ram, marks, gva, size, user)
        if value < 0:
            return TROUBLED
    if operation == f.O_OUTS:
        return output_iteration(cpu, core, ram, marks, size, wrap, step, value)
    if operation == f.O_LODS:
        write_register(cpu, EAX, bits, value)
        advance(cpu, ESI, step, wrap)
        return DONE
    target = linear_address(
        cpu,
        core,
        ES,
        cpu[GPR + EDI] & wrap,
        size,
        1 if operation == f.O_MOVS or operation == f.O_STOS else 0,
    )
    if target < 0:
        return TROUBLED
    if operation == f.O_CMPS or operation == f.O_SCAS:
        other = read_linear(cpu, core, ram, marks, target, size, user)
        if other < 0:
            return TROUBLED
        if operation == f.O_SCAS:
            value = read_register(cpu, EAX, bits)
        subtract(core, value, other, 0, bits)
    else:
        if operation == f.O_STOS:
            value = read_register(cpu, EAX, bits)
        if write_linear(cpu, core, ram, marks, target, size, value, user) < 0:
            return TROUBLED
    if operation == f.O_MOVS or operation == f.O_CMPS:
        advance(cpu, ESI, step, wrap)
    advance(cpu, EDI, step, wrap)
    return DONE


@jit
def input_iteration(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, size: int, wrap: int, step: int
) -> int:
    """INS: the destination is probed before the port is read, for reading a port has effects."""
    port = cpu[GPR + EDX] & 0xFFFF
    if check_port(cpu, core, ram, marks, port, size) < 0:
        return TROUBLED
    user = is_user(cpu)
    target = linear_address(cpu, core, ES, cpu[GPR + EDI] & wrap, size, 1)
    if target < 0 or probe_write(cpu, core, ram, marks, target, size, user) < 0:
        return TROUBLED
    value = replayed(core, port, size)
    if value < 0:
        core[w.EXIT_A] = port
        core[w.EXIT_B] = size
        return leave(core, _PORT_STRING)
    if core[w.BREAK_PORT]:
        watch_port(cpu, core, port, size)
    charge(cpu, core, w.EVENT_PORT, 1)
    write_linear(cpu, core, ram, marks, target, size, value, user)
    advance(cpu, EDI, step, wrap)
    return DONE


@jit
def output_iteration(
    cpu: State,
    core: Workspace,
    ram: Bytes,
    marks: Bytes,
    size: int,
    wrap: int,
    step: int,
    value: int,
) -> int:
    """OUTS: ends run() after the iteration, for the owner to carry out the write."""
    port = cpu[GPR + EDX] & 0xFFFF
    if check_port(cpu, core, ram, marks, port, size) < 0:
        return TROUBLED
    if core[w.BREAK_PORT]:
        watch_port(cpu, core, port, size)
    advance(cpu, ESI, step, wrap)
    charge(cpu, core, w.EVENT_PORT, 1)
    core[w.EXIT_A] = port
    core[w.EXIT_B] = size
    core[w.EXIT_C] = value
    core[w.LINEAR] = cpu[EIP]  # where to continue if the instruction repeats
    cpu[EIP] = core[w.NEXT_EIP]
    leave(core, _PORT_OUT)
    core[w.EXIT_D] = 1
    return TROUBLED
