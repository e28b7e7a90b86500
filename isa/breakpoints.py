"""Breakpoints of the debug registers: which are enabled, what they watch, and whether it was hit.

DR7 and DR0 to DR3 are turned into a few words of the workspace whenever they change: sets of
breakpoint numbers by kind, and the linear page of each. A page with a data breakpoint has no fast
tags in the TLB, so every access to it comes through isa.memory, where addresses are compared; a
page with an instruction breakpoint is executed one instruction at a time through the slow entry,
which compares EIP. Nothing else pays anything.

A hit on data or a port is remembered in the state (PENDING_TRAPS, in the bits of DR6) and becomes
#DB after the instruction. Choices where the manual leaves room:

- Only enabled breakpoints set their bit in DR6, and every #DB replaces B0 to B3.
- Every access to a linear address counts, those of the processor itself to descriptor tables, task
  state segments and the stack of an event included; page walks use physical addresses.
- LEN 10 means eight bytes, as later processors define it. An instruction breakpoint needs the
  address exactly, whatever its LEN. RW 10 without CR4.DE never matches.
- A data breakpoint hit by MOV SS or POP SS waits for the end of the next instruction, and is lost
  if that faults.

Source: SDM vol. 3B, "Debug Registers", "Debug Exceptions"; vol. 3A, "Masking Exceptions and
Interrupts When Switching Stacks".
"""

from isa import workspace as w
from isa.jit import jit
from isa.paging import flush_jumps
from isa.registers import CR4_DE, CS, EFLAGS_RF
from isa.state import BASE, CR4, DR, EFLAGS, EIP, PENDING_TRAPS, State
from isa.watched_pages import is_watched_page
from isa.workspace import Workspace

M32 = 0xFFFFFFFF
COUNT = w.BREAKPOINTS

RW_EXECUTE = 0
RW_WRITE = 1
RW_PORT = 2
_SPAN_OF_LENGTH = 0x3710  # LEN 0 1 2 3 in nibbles: bytes less one, a mask of address bits

# PENDING_TRAPS: what is due after the current instruction, in the bits of DR6; whether MOV SS or
# POP SS holds debug exceptions off; and what is due after the instruction that follows those.
TRAPS_DUE = 0xFFFF
DEFERRED = 1 << 16
_DEFERRED_SHIFT = 17


@jit
def enabled(dr7: int, number: int) -> int:
    """1 if a breakpoint is enabled, locally or globally."""
    return 1 if dr7 >> 2 * number & 3 else 0


@jit
def condition_of(dr7: int, number: int) -> int:
    """The R/W field of a breakpoint."""
    return dr7 >> 16 + 4 * number & 3


@jit
def span_of(dr7: int, number: int) -> int:
    """The number of bytes a breakpoint watches, less one."""
    return _SPAN_OF_LENGTH >> (dr7 >> 18 + 4 * number & 3) * 4 & 7


# --- what is derived -------------------------------------------------------------------------


@jit
def derive(cpu: State, core: Workspace) -> None:
    """Bring the workspace up to date with the debug registers. Cheap if nothing is enabled."""
    if not (cpu[DR + 7] & 0xFF or core[w.BREAK_ENABLED]):
        return
    core[w.BREAK_ENABLED] = cpu[DR + 7] & 0xFF
    core[w.BREAK_CODE] = 0
    core[w.BREAK_DATA] = 0
    core[w.BREAK_PORT] = 0
    for number in range(COUNT):
        code_page = -1
        data_page = -1
        if enabled(cpu[DR + 7], number):
            condition = condition_of(cpu[DR + 7], number)
            if condition == RW_EXECUTE:
                core[w.BREAK_CODE] |= 1 << number
                code_page = cpu[DR + number] >> 12
            elif condition == RW_PORT:
                core[w.BREAK_PORT] |= 1 << number
            else:
                core[w.BREAK_DATA] |= 1 << number
                data_page = cpu[DR + number] >> 12
        if core[w.BREAK_CODE_PAGE + number] != code_page:
            core[w.BREAK_CODE_PAGE + number] = code_page
            flush_jumps(core)
        if core[w.BREAK_DATA_PAGE + number] != data_page:
            left = core[w.BREAK_DATA_PAGE + number]
            core[w.BREAK_DATA_PAGE + number] = data_page
            retag(core, left)
            retag(core, data_page)
    if not core[w.BREAK_DATA]:
        return
    for number in range(COUNT):  # a page that one has left may be another's
        retag(core, core[w.BREAK_DATA_PAGE + number])


@jit
def retag(core: Workspace, page: int) -> None:
    """Take the fast tags from a page with a data breakpoint; give loads theirs back if it has none.

    A store finds its tag again the next time it takes the slow path.
    """
    if page < 0:
        return
    tag = core[w.TLB_BASE] + page
    for half in range(2):
        entry = w.TLB + ((page & w.TLB_MASK) + half * w.TLB_ENTRIES) * w.TLB_WORDS
        held = core[entry + w.TLB_TAG]
        if held != tag and held != -core[w.TLB_GLOBAL_BASE] - page:
            continue
        core[entry + w.TLB_READ] = -1
        core[entry + w.TLB_WRITE] = -1
        in_ram = core[entry + w.TLB_FRAME] + 4096 <= core[w.RAM_BYTES]
        if in_ram and page <= core[w.FLAT_LAST_PAGE] and not is_watched_page(core, page):
            core[entry + w.TLB_READ] = tag


# --- hits ------------------------------------------------------------------------------------


@jit
def overlaps(cpu: State, number: int, address: int, size: int) -> int:
    """1 if an access to `size` bytes touches what a breakpoint watches."""
    span = span_of(cpu[DR + 7], number)
    first = cpu[DR + number] & ~span
    return 1 if (address - first) & M32 <= span or (first - address) & M32 < size else 0


@jit
def pending_conditions(cpu: State) -> int:
    """All pending debug traps, in the bits of DR6."""
    return cpu[PENDING_TRAPS] & TRAPS_DUE | cpu[PENDING_TRAPS] >> _DEFERRED_SHIFT  # type: ignore[no-any-return]


@jit
def defer(cpu: State, core: Workspace) -> None:
    """MOV SS or POP SS: what is pending comes after the next instruction, and with RF's effect."""
    if core[w.BREAK_ENABLED]:
        cpu[PENDING_TRAPS] = pending_conditions(cpu) << _DEFERRED_SHIFT | DEFERRED
        core[w.RESYNC] = 1


@jit
def remember(cpu: State, core: Workspace, hits: int) -> None:
    """Have #DB follow the instruction being executed, for these breakpoints."""
    if hits:
        cpu[PENDING_TRAPS] |= hits
        core[w.RESYNC] = 1


@jit
def watch_data(cpu: State, core: Workspace, gva: int, size: int, write: int) -> None:
    """Compare a data access with the breakpoints."""
    hits = 0
    for number in range(COUNT):
        if core[w.BREAK_DATA] >> number & 1 and overlaps(cpu, number, gva, size):
            if write or condition_of(cpu[DR + 7], number) != RW_WRITE:
                hits |= 1 << number
    remember(cpu, core, hits)


@jit
def watch_port(cpu: State, core: Workspace, port: int, size: int) -> None:
    """Compare a port access with the breakpoints, of which those on ports need CR4.DE."""
    if not cpu[CR4] & CR4_DE:
        return
    hits = 0
    for number in range(COUNT):
        if core[w.BREAK_PORT] >> number & 1 and overlaps(cpu, number, port, size):
            hits |= 1 << number
    remember(cpu, core, hits)


@jit
def code_hits(cpu: State, core: Workspace) -> int:
    """The instruction breakpoints at the next instruction, unless RF or MOV SS mutes them."""
    if cpu[EFLAGS] & EFLAGS_RF or cpu[PENDING_TRAPS] & DEFERRED:
        return 0
    gva = (cpu[BASE + CS] + cpu[EIP]) & M32
    hits = 0
    for number in range(COUNT):
        if core[w.BREAK_CODE] >> number & 1 and cpu[DR + number] == gva:
            hits |= 1 << number
    return hits
