"""Changing code segment and privilege level: which targets are legal, which stack goes with them.

Shared by interrupts and gates (inwards), RETF and IRET (outwards), and direct far jumps and calls.
Nothing here changes the state except `commit_` and `drop_` functions, which cannot fail.

Source: SDM vol. 2, the Operation sections of "CALL", "JMP", "RET", "INT n" and "IRET"; vol. 3A,
"Accessing Code Segments", "Stack Switching", "Returning from a Called Procedure".
"""

from isa import vectors
from isa.accounts import raise_fault
from isa.jit import jit
from isa.registers import (
    ATTR_CODE,
    ATTR_DPL_SHIFT,
    ATTR_P,
    ATTR_S,
    ATTR_UNUSABLE,
    CS,
    DS,
    ES,
    ESP,
    FS,
    GS,
    SS,
    TR,
)
from isa.segmentation import (
    CONFORMING,
    FAILED,
    INDEX_MASK,
    TYPE_CALL_GATE,
    TYPE_IS_32_BIT,
    Descriptor,
    attributes_of,
    dpl_of,
    fill_cache,
    limit_of,
    probe_accessed,
    read_descriptor,
    read_pair,
    read_table,
    selector_fault,
    stack_load_allowed,
)
from isa.stack import pointer_mask
from isa.state import ATTRIBUTES, BASE, CPL, GPR, LIMIT, SELECTOR, State
from isa.workspace import Bytes, Workspace

M32 = 0xFFFFFFFF
M16 = 0xFFFF

_CODE = ATTR_S | ATTR_CODE


# --- code segments ---------------------------------------------------------------------------


@jit
def read_code_descriptor(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, selector: int
) -> Descriptor:
    """The descriptor a transfer of control names; #GP(0) for a null selector. Not yet checked."""
    if not selector & INDEX_MASK:
        raise_fault(core, vectors.GP, 0)
        return FAILED, 0, 0
    return read_descriptor(cpu, core, ram, marks, selector, vectors.GP)


@jit
def judge_code(core: Workspace, selector: int, high: int, allowed: int) -> int:
    """Fault unless the privilege rule allowed a code segment and it is present: 0 or -1."""
    if not allowed:
        return selector_fault(core, vectors.GP, selector)
    if not attributes_of(high) & ATTR_P:
        return selector_fault(core, vectors.NP, selector)
    return 0


@jit
def gate_target_allowed(cpl: int, high: int) -> int:
    """1 if an interrupt or call gate may lead here: a code segment not less privileged than CPL."""
    return 1 if attributes_of(high) & _CODE == _CODE and dpl_of(high) <= cpl else 0


@jit
def direct_target_allowed(cpl: int, selector: int, high: int) -> int:
    """1 if a far JMP or CALL may go here without a gate."""
    attributes = attributes_of(high)
    if attributes & _CODE != _CODE:
        return 0
    if attributes & CONFORMING == CONFORMING:
        return 1 if dpl_of(high) <= cpl else 0
    return 1 if selector & 3 <= cpl and dpl_of(high) == cpl else 0


@jit
def return_target_allowed(cpl: int, selector: int, high: int) -> int:
    """1 if RETF or IRET may return here: never inwards."""
    attributes = attributes_of(high)
    level = selector & 3
    if attributes & _CODE != _CODE or level < cpl:
        return 0
    if attributes & CONFORMING == CONFORMING:
        return 1 if dpl_of(high) <= level else 0
    return 1 if dpl_of(high) == level else 0


@jit
def gate_target(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, selector: int) -> Descriptor:
    """The checked code segment of an interrupt or call gate; FAILED after trouble."""
    gva, low, high = read_code_descriptor(cpu, core, ram, marks, selector)
    if gva < 0:
        return FAILED, 0, 0
    if judge_code(core, selector, high, gate_target_allowed(cpu[CPL], high)) < 0:
        return FAILED, 0, 0
    return gva, low, high


@jit
def return_target(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, selector: int
) -> Descriptor:
    """The checked code segment of a far return; FAILED after trouble."""
    gva, low, high = read_code_descriptor(cpu, core, ram, marks, selector)
    if gva < 0:
        return FAILED, 0, 0
    if judge_code(core, selector, high, return_target_allowed(cpu[CPL], selector, high)) < 0:
        return FAILED, 0, 0
    return gva, low, high


@jit
def check_entry(
    cpu: State,
    core: Workspace,
    ram: Bytes,
    marks: Bytes,
    offset: int,
    gva: int,
    low: int,
    high: int,
) -> int:
    """The last checks on the way into a code segment: limit, and that it can be marked accessed."""
    if offset > limit_of(low, high):
        return raise_fault(core, vectors.GP, 0)
    return probe_accessed(cpu, core, ram, marks, gva, high)


# --- gates -----------------------------------------------------------------------------------


@jit
def is_call_gate(high: int) -> int:
    """1 for a call gate of either size: their types differ in bit 3."""
    return 1 if high >> 8 & 0x17 == TYPE_CALL_GATE else 0


@jit
def gate_offset(low: int, high: int) -> int:
    """Offset of a call, interrupt or trap gate: 16-bit gates have 16 bits of it."""
    return low & M16 | (high & 0xFFFF0000 if high >> 8 & 8 else 0)


@jit
def check_gate(cpu: State, core: Workspace, selector: int, high: int, known: int) -> int:
    """Type (which the caller knows or not), privilege and presence of a gate: 0 or -1."""
    dpl = dpl_of(high)
    if not known or dpl < cpu[CPL] or dpl < selector & 3:
        return selector_fault(core, vectors.GP, selector)
    if not high >> 15 & 1:
        return selector_fault(core, vectors.NP, selector)
    return 0


# --- stacks ----------------------------------------------------------------------------------


@jit
def inner_stack(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, level: int
) -> tuple[int, int]:
    """SS and ESP for a privilege level from the current TSS; SS is -1 after trouble."""
    if cpu[ATTRIBUTES + TR] & TYPE_IS_32_BIT:
        size = 4
        at = 4 + level * 8
    else:
        size = 2
        at = 2 + level * 4
    if cpu[ATTRIBUTES + TR] & ATTR_UNUSABLE or at + size + 1 > cpu[LIMIT + TR]:
        selector_fault(core, vectors.TS, cpu[SELECTOR + TR])
        return -1, 0
    gva = (cpu[BASE + TR] + at) & M32
    if size == 4 and gva & 0xFFF <= 4096 - 8:
        esp, ss = read_pair(cpu, core, ram, marks, gva)
        return (ss & M16, esp) if esp >= 0 else (-1, 0)
    pointer = read_table(cpu, core, ram, marks, gva, size)
    if pointer < 0:
        return -1, 0
    selector = read_table(cpu, core, ram, marks, (gva + size) & M32, 2)
    return selector, pointer


@jit
def inner_stack_segment(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, selector: int, level: int
) -> Descriptor:
    """The checked stack segment that the TSS names for `level`; FAILED after #TS, #SS or #PF."""
    if not selector & INDEX_MASK:
        raise_fault(core, vectors.TS, 0)
        return FAILED, 0, 0
    gva, low, high = read_descriptor(cpu, core, ram, marks, selector, vectors.TS)
    if gva < 0:
        return FAILED, 0, 0
    return judge_stack(core, selector, level, gva, low, high, vectors.TS)


@jit
def outer_stack_segment(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, selector: int, level: int
) -> Descriptor:
    """The checked stack segment that a return to `level` names; FAILED after #GP, #SS or #PF."""
    if not selector & INDEX_MASK:
        raise_fault(core, vectors.GP, 0)
        return FAILED, 0, 0
    gva, low, high = read_descriptor(cpu, core, ram, marks, selector, vectors.GP)
    if gva < 0:
        return FAILED, 0, 0
    return judge_stack(core, selector, level, gva, low, high, vectors.GP)


@jit
def judge_stack(
    core: Workspace, selector: int, level: int, gva: int, low: int, high: int, vector: int
) -> Descriptor:
    """The descriptor, or FAILED after recording `vector` or #SS for an unfit stack segment."""
    if not stack_load_allowed(level, selector, attributes_of(high)):
        selector_fault(core, vector, selector)
        return FAILED, 0, 0
    if not attributes_of(high) & ATTR_P:
        selector_fault(core, vectors.SS, selector)
        return FAILED, 0, 0
    return gva, low, high


# --- committing ------------------------------------------------------------------------------


@jit
def commit_code(cpu: State, selector: int, level: int, low: int, high: int) -> None:
    """Load CS; its RPL is the privilege level the code runs at."""
    fill_cache(cpu, CS, selector & INDEX_MASK | level, low, high)
    cpu[CPL] = level


@jit
def commit_stack(cpu: State, selector: int, low: int, high: int) -> None:
    fill_cache(cpu, SS, selector, low, high)


@jit
def set_inner_pointer(cpu: State, top: int, used: int) -> None:
    """ESP of a stack just switched to: all of the TSS's value, less what was pushed."""
    mask = pointer_mask(cpu[ATTRIBUTES + SS])
    cpu[GPR + ESP] = top & (M32 ^ mask) | (top - used) & mask


@jit
def drop_segment(cpu: State, segment: int) -> None:
    """Make a data segment register null if the current privilege level may not use it."""
    attributes = cpu[ATTRIBUTES + segment]
    hidden = attributes & CONFORMING != CONFORMING and attributes >> ATTR_DPL_SHIFT & 3 < cpu[CPL]
    if hidden or not cpu[SELECTOR + segment] & INDEX_MASK:
        make_null(cpu, segment)


@jit
def make_null(cpu: State, segment: int) -> None:
    cpu[SELECTOR + segment] = 0
    cpu[ATTRIBUTES + segment] |= ATTR_UNUSABLE


@jit
def drop_inaccessible(cpu: State) -> None:
    """After a return to an outer level: take away the data segments it may not see."""
    drop_segment(cpu, ES)
    drop_segment(cpu, DS)
    drop_segment(cpu, FS)
    drop_segment(cpu, GS)
