"""GDTR, IDTR, LDTR and TR: LGDT LIDT SGDT SIDT, LLDT LTR SLDT STR.

The store instructions are not privileged unless CR4.UMIP says so: another hole for virtualization.

Source: SDM vol. 2, the instructions named; vol. 3A, "Memory-Management Registers".
"""

from isa import workspace as w
from isa.accounts import charge
from isa.generated import forms as f
from isa.jit import jit
from isa.memory import check_alignment, probe_pages, read_linear, write_linear
from isa.operands import is_user, memory_address, read_operand, write_operand
from isa.records import DONE, OPERAND32, TROUBLED
from isa.registers import LDTR, TR
from isa.segmentation import load_ldtr, load_tr
from isa.state import GDTR_BASE, GDTR_LIMIT, IDTR_BASE, IDTR_LIMIT, SELECTOR, State
from isa.workspace import Bytes, Workspace

M32 = 0xFFFFFFFF

_BASE_24_BITS = 0xFFFFFF


@jit
def load_table_register(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int, base_at: int, limit_at: int
) -> int:
    """LGDT and LIDT: with 16-bit operands the base has 24 bits."""
    gva = memory_address(cpu, core, at, 6, 0)
    if gva < 0:
        return TROUBLED
    limit = read_linear(cpu, core, ram, marks, gva, 2, 0)
    if limit < 0:
        return TROUBLED
    base = read_linear(cpu, core, ram, marks, (gva + 2) & M32, 4, 0)
    if base < 0:
        return TROUBLED
    cpu[base_at] = base if core[at] & OPERAND32 else base & _BASE_24_BITS
    cpu[limit_at] = limit
    charge(cpu, core, w.EVENT_TABLE_LOAD, 1)
    return DONE


@jit
def store_table_register(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int, base_at: int, limit_at: int
) -> int:
    """SGDT and SIDT: all 32 bits of the base, whatever the operand size."""
    gva = memory_address(cpu, core, at, 6, 1)
    if gva < 0:
        return TROUBLED
    user = is_user(cpu)
    if probe_pages(cpu, core, ram, marks, gva, 6, user) < 0:
        return TROUBLED
    if check_alignment(core, gva, 4, user) < 0:
        return TROUBLED
    write_linear(cpu, core, ram, marks, gva, 2, cpu[limit_at], user)
    if core[w.ALIGNED]:
        user = 0  # the six bytes are aligned as a whole, and may be written: the base alone is not
    write_linear(cpu, core, ram, marks, (gva + 2) & M32, 4, cpu[base_at], user)
    return DONE


@jit
def load_system_register(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int, operation: int
) -> int:
    """LLDT and LTR."""
    selector = read_operand(cpu, core, ram, marks, at, 0)
    if selector < 0:
        return TROUBLED
    if operation == f.O_LLDT:
        failed = load_ldtr(cpu, core, ram, marks, selector & 0xFFFF)
    else:
        failed = load_tr(cpu, core, ram, marks, selector & 0xFFFF)
    if failed < 0:
        return TROUBLED
    charge(cpu, core, w.EVENT_TABLE_LOAD, 1)
    return DONE


@jit
def execute_tables(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int, operation: int
) -> int:
    """The eight instructions on GDTR, IDTR, LDTR and TR."""
    if operation == f.O_LGDT:
        return load_table_register(cpu, core, ram, marks, at, GDTR_BASE, GDTR_LIMIT)
    if operation == f.O_LIDT:
        return load_table_register(cpu, core, ram, marks, at, IDTR_BASE, IDTR_LIMIT)
    if operation == f.O_SGDT:
        return store_table_register(cpu, core, ram, marks, at, GDTR_BASE, GDTR_LIMIT)
    if operation == f.O_SIDT:
        return store_table_register(cpu, core, ram, marks, at, IDTR_BASE, IDTR_LIMIT)
    if operation == f.O_LLDT or operation == f.O_LTR:
        return load_system_register(cpu, core, ram, marks, at, operation)
    register = LDTR if operation == f.O_SLDT else TR
    if write_operand(cpu, core, ram, marks, at, 0, cpu[SELECTOR + register]) < 0:
        return TROUBLED
    return DONE
