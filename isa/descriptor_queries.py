"""Questions about descriptors that never fault for their answer: LAR LSL VERR VERW, and ARPL.

Source: SDM vol. 2, the instructions named; vol. 3A, "Pointer Validation".
"""

from isa.flags import set_status, status
from isa.generated import forms as f
from isa.jit import jit
from isa.operands import probe_operand, read_operand, read_register, write_operand, write_register
from isa.records import DONE, OPERAND32, TROUBLED, a_of
from isa.registers import ATTR_CODE, ATTR_DPL_SHIFT, ATTR_S, ATTR_TYPE, ATTR_WRITABLE, EFLAGS_ZF
from isa.segmentation import (
    ABSENT,
    CONFORMING,
    FAILED,
    INDEX_MASK,
    attributes_of,
    find_descriptor,
    limit_of,
)
from isa.state import CPL, State
from isa.workspace import Bytes, Workspace

# System descriptor types, as bit masks, that the instructions find valid.
_LAR_TYPES = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 9 | 1 << 11 | 1 << 12
_LSL_TYPES = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 9 | 1 << 11

_RIGHTS16 = 0xFF00
_RIGHTS32 = 0x00F0FF00


@jit
def set_zero_flag(core: Workspace, value: int) -> None:
    """Change ZF alone."""
    set_status(core, status(core) & ~EFLAGS_ZF | (EFLAGS_ZF if value else 0))


@jit
def visible(cpu: State, selector: int, attributes: int) -> int:
    """1 if CPL and RPL may see a descriptor; conforming code segments are seen by everybody."""
    if attributes & (ATTR_S | CONFORMING) == ATTR_S | CONFORMING:
        return 1
    dpl = attributes >> ATTR_DPL_SHIFT & 3
    return 1 if cpu[CPL] <= dpl and selector & 3 <= dpl else 0


@jit
def is_valid(cpu: State, selector: int, high: int, operation: int) -> int:
    """1 if the descriptor answers the question."""
    attributes = attributes_of(high)
    if not visible(cpu, selector, attributes):
        return 0
    kind = attributes & ATTR_TYPE
    if not attributes & ATTR_S:
        if operation == f.O_LAR:
            return _LAR_TYPES >> kind & 1
        return _LSL_TYPES >> kind & 1 if operation == f.O_LSL else 0
    if operation == f.O_VERR:
        return 1 if kind & (ATTR_CODE | ATTR_WRITABLE) != ATTR_CODE else 0
    if operation == f.O_VERW:
        return 1 if kind & (ATTR_CODE | ATTR_WRITABLE) == ATTR_WRITABLE else 0
    return 1


@jit
def query(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int, operation: int) -> int:
    """LAR, LSL, VERR and VERW: ZF says whether the selector names something fitting and visible."""
    slot = 1 if operation == f.O_LAR or operation == f.O_LSL else 0
    selector = read_operand(cpu, core, ram, marks, at, slot)
    if selector < 0:
        return TROUBLED
    selector &= 0xFFFF
    gva, low, high = ABSENT, 0, 0
    if selector & INDEX_MASK:
        gva, low, high = find_descriptor(cpu, core, ram, marks, selector)
        if gva == FAILED:
            return TROUBLED
    found = 1 if gva >= 0 and is_valid(cpu, selector, high, operation) else 0
    set_zero_flag(core, found)
    if found and slot:
        bits = 32 if core[at] & OPERAND32 else 16
        if operation == f.O_LAR:
            value = high & (_RIGHTS32 if bits == 32 else _RIGHTS16)
        else:
            value = limit_of(low, high)
        write_register(cpu, a_of(core[at]), bits, value)
    return DONE


@jit
def adjust_rpl(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """ARPL: raise the RPL of a selector to that of another, and say in ZF whether it was raised."""
    selector = read_operand(cpu, core, ram, marks, at, 0)
    if selector < 0 or probe_operand(cpu, core, ram, marks, at, 0) < 0:
        return TROUBLED
    caller = read_register(cpu, a_of(core[at]), 16)
    raised = 1 if selector & 3 < caller & 3 else 0
    if raised:
        write_operand(cpu, core, ram, marks, at, 0, selector & INDEX_MASK | caller & 3)
    set_zero_flag(core, raised)
    return DONE
