"""SYSENTER and SYSEXIT: into and out of ring 0 by registers alone, without any table.

Source: SDM vol. 2, "SYSENTER", "SYSEXIT"; vol. 3A, "Performing Fast Calls to System Procedures".
"""

from isa import vectors
from isa import workspace as w
from isa.accounts import charge, raise_fault, settle_completed
from isa.jit import jit
from isa.modes import refresh
from isa.records import TRANSFER, TROUBLED
from isa.registers import (
    ATTR_DPL_SHIFT,
    CR0_PE,
    CS,
    ECX,
    EDX,
    EFLAGS_IF,
    EFLAGS_RF,
    EFLAGS_VM,
    ESP,
    SS,
)
from isa.segmentation import INDEX_MASK
from isa.state import (
    ATTRIBUTES,
    BASE,
    CPL,
    CR0,
    EFLAGS,
    EIP,
    GPR,
    LIMIT,
    SELECTOR,
    SYSENTER_CS,
    SYSENTER_EIP,
    SYSENTER_ESP,
    State,
)
from isa.workspace import Workspace

M32 = 0xFFFFFFFF

_CODE = 0xC09B  # attributes of flat segments: present, 32-bit, accessed; DPL is added
_DATA = 0xC093


@jit
def fill_flat(cpu: State, segment: int, selector: int, attributes: int) -> None:
    """Load a segment register with a flat 4-GByte segment that no descriptor describes."""
    cpu[SELECTOR + segment] = selector
    cpu[BASE + segment] = 0
    cpu[LIMIT + segment] = M32
    cpu[ATTRIBUTES + segment] = attributes


@jit
def enter_level(cpu: State, core: Workspace, selector: int, level: int, eip: int, esp: int) -> int:
    """Continue at another privilege level on flat segments; SS is the descriptor after CS."""
    settle_completed(cpu, core)
    charge(cpu, core, w.EVENT_FAR_TRANSFER, 1)
    dpl = level << ATTR_DPL_SHIFT
    fill_flat(cpu, CS, selector & INDEX_MASK | level, _CODE | dpl)
    fill_flat(cpu, SS, (selector & INDEX_MASK) + 8 & 0xFFFC | level, _DATA | dpl)
    cpu[CPL] = level
    cpu[GPR + ESP] = esp
    cpu[EIP] = eip
    refresh(cpu, core)
    return TRANSFER


@jit
def system_enter(cpu: State, core: Workspace) -> int:
    """SYSENTER."""
    selector = cpu[SYSENTER_CS] & INDEX_MASK
    if not cpu[CR0] & CR0_PE or not selector:
        raise_fault(core, vectors.GP, 0)
        return TROUBLED
    cpu[EFLAGS] &= ~(EFLAGS_VM | EFLAGS_IF | EFLAGS_RF)
    return enter_level(cpu, core, selector, 0, cpu[SYSENTER_EIP], cpu[SYSENTER_ESP])


@jit
def system_exit(cpu: State, core: Workspace) -> int:
    """SYSEXIT."""
    selector = cpu[SYSENTER_CS] & INDEX_MASK
    if not cpu[CR0] & CR0_PE or not selector:
        raise_fault(core, vectors.GP, 0)
        return TROUBLED
    return enter_level(cpu, core, selector + 16, 3, cpu[GPR + EDX], cpu[GPR + ECX])
