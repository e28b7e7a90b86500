"""One call away from the loop: the family functions, chosen by the record's handler."""

from isa.accounts import raise_fault
from isa.execute import (
    compare_exchange_8,
    execute_arithmetic,
    execute_bits,
    execute_exchange,
    execute_multiply,
    execute_simple,
)
from isa.jit import jit
from isa.near import execute_near, execute_stack
from isa.ports import execute_port
from isa.privilege_rules import check_sensitive
from isa.records import HANDLER_MASK, TROUBLED, form_of
from isa.registers import FEATURE_TRAPS
from isa.specialise import (
    FAMILY,
    FIRST_HOT,
    H_ARITHMETIC,
    H_BITS,
    H_EXCHANGE,
    H_EXCHANGE8,
    H_FAR,
    H_INVALID,
    H_MULTIPLY,
    H_NEAR,
    H_PORT,
    H_SIMPLE,
    H_STACK,
    H_STRING,
    H_SYSTEM,
    H_TOO_LONG,
)
from isa.state import FEATURES, State
from isa.strings import execute_string
from isa.system import execute_system
from isa.transfers import execute_transfer
from isa.vectors import GP, UD
from isa.workspace import Bytes, Workspace


@jit
def cold(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """Interpret one record in full generality. Returns DONE, TRANSFER or TROUBLED."""
    head = core[at]
    family = head & HANDLER_MASK
    if family >= FIRST_HOT:
        family = FAMILY[form_of(head)]
    if cpu[FEATURES] & FEATURE_TRAPS and check_sensitive(cpu, core, form_of(head)) < 0:
        return TROUBLED
    if family == H_ARITHMETIC:
        return execute_arithmetic(cpu, core, ram, marks, at)
    if family == H_SYSTEM:
        return execute_system(cpu, core, ram, marks, at)
    if family == H_NEAR:
        return execute_near(cpu, core, ram, marks, at)
    if family == H_STACK:
        return execute_stack(cpu, core, ram, marks, at)
    if family == H_STRING:
        return execute_string(cpu, core, ram, marks, at)
    if family == H_MULTIPLY:
        return execute_multiply(cpu, core, ram, marks, at)
    if family == H_SIMPLE:
        return execute_simple(cpu, core, ram, marks, at)
    if family == H_BITS:
        return execute_bits(cpu, core, ram, marks, at)
    if family == H_EXCHANGE:
        return execute_exchange(cpu, core, ram, marks, at)
    if family == H_EXCHANGE8:
        return compare_exchange_8(cpu, core, ram, marks, at)
    if family == H_FAR:
        return execute_transfer(cpu, core, ram, marks, at)
    if family == H_PORT:
        return execute_port(cpu, core, ram, marks, at)
    if family == H_INVALID:
        raise_fault(core, UD, -1)
    elif family == H_TOO_LONG:
        raise_fault(core, GP, 0)
    return TROUBLED
