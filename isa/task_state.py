"""The state of a task in its task-state segment (TSS): saved from, and loaded into, the processor.

Only the fields a switch of tasks uses; the stacks and the I/O bitmap are read where they are needed
(isa.privilege_levels, isa.privilege_rules). Nothing is checked here: that is isa.task_switch.

Source: SDM vol. 3A, "Task-State Segment (TSS)", "16-Bit Task-State Segment (TSS)".
"""

from isa import vectors
from isa import workspace as w
from isa.accounts import raise_fault
from isa.breakpoints import derive
from isa.flags import write_eflags
from isa.jit import jit
from isa.memory import write_linear
from isa.page_walk import load_pdptes
from isa.paging import flush_tlb_but_global
from isa.registers import (
    ATTR_UNUSABLE,
    CR0_PG,
    CR0_TS,
    CR4_PAE,
    CS,
    EFLAGS_DEFINED,
    EFLAGS_NT,
    EFLAGS_VM,
    FS,
    GS,
    LDTR,
    TR,
)
from isa.segmentation import TYPE_IS_32_BIT, read_table
from isa.state import (
    ATTRIBUTES,
    BASE,
    CPL,
    CR0,
    CR3,
    CR4,
    DR,
    EIP,
    GPR,
    LIMIT,
    SELECTOR,
    State,
)
from isa.workspace import Bytes, Workspace

M32 = 0xFFFFFFFF
M16 = 0xFFFF

# A TSS. Its state is saved and loaded in fields of one size, which follow one another: EIP, EFLAGS,
# eight general registers, the segment registers (of a 16-bit TSS four), LDTR.
STATE32, STATE16 = 0x20, 0x0E
TSS_CR3 = 0x1C
TSS_TRAP = 0x64
LAST32, LAST16 = 0x67, 0x2B
_LDTR_FIELD32, _LDTR_FIELD16 = 16, 14

# Places in FRAME of the state being loaded.
_F_EIP = w.FRAME
_F_EFLAGS = w.FRAME + 1
_F_GPR = w.FRAME + 2
_F_SEGMENTS = w.FRAME + 10  # six, and LDTR
_F_CR3 = w.FRAME + 17
F_TRAP = w.FRAME + 18

_DR7_LOCAL = 0x155  # L0 to L3, LE


@jit
def save_task(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, eip: int, eflags: int) -> None:
    """Store registers, selectors, EIP and EFLAGS in the current TSS. Probed before."""
    wide = cpu[ATTRIBUTES + TR] & TYPE_IS_32_BIT
    size, segments, at, mask = 2, 4, STATE16, M16
    if wide:
        size, segments, at, mask = 4, 6, STATE32, M32
    at += cpu[BASE + TR]
    write_linear(cpu, core, ram, marks, at & M32, size, eip & mask, 0)
    write_linear(cpu, core, ram, marks, (at + size) & M32, size, eflags & mask, 0)
    at += 2 * size
    for number in range(8):
        value = cpu[GPR + number] & mask
        write_linear(cpu, core, ram, marks, (at + number * size) & M32, size, value, 0)
    at += 8 * size
    for segment in range(segments):
        value = cpu[SELECTOR + segment]
        write_linear(cpu, core, ram, marks, (at + segment * size) & M32, 2, value, 0)


@jit
def read_task(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, base: int, wide: int) -> int:
    """Read the state in a TSS into FRAME: 0, or -1 after a fault.

    It was probed; only a TSS that lies in the page tables it is reached by can still fault.
    """
    size, last, at = (4, _LDTR_FIELD32, STATE32) if wide else (2, _LDTR_FIELD16, STATE16)
    core[_F_SEGMENTS + FS] = 0
    core[_F_SEGMENTS + GS] = 0
    core[F_TRAP] = 0
    for field in range(last + 1):
        value = read_table(cpu, core, ram, marks, (base + at + field * size) & M32, size)
        if value < 0:
            return -1
        if field >= 10:
            place = _F_SEGMENTS + (LDTR if field == last else field - 10)
            core[place] = value & M16
        else:
            core[_F_EIP + field] = value if wide or field < 2 else value | 0xFFFF0000
    if not wide:
        core[_F_CR3] = cpu[CR3]
        return 0
    core[_F_CR3] = read_table(cpu, core, ram, marks, (base + TSS_CR3) & M32, 4)
    trap = read_table(cpu, core, ram, marks, (base + TSS_TRAP) & M32, 1)
    core[F_TRAP] = trap & 1
    return -1 if core[_F_CR3] < 0 or trap < 0 else 0


@jit
def load_page_tables(cpu: State, core: Workspace, ram: Bytes) -> int:
    """CR3, where paging is on and the value is another one: 0, or -1 with #GP(0) for bad PDPTEs."""
    cr3 = core[_F_CR3]
    if not cpu[CR0] & CR0_PG or cr3 == cpu[CR3]:
        return 0
    if cpu[CR4] & CR4_PAE and not load_pdptes(cpu, core, ram, cr3):
        return raise_fault(core, vectors.GP, 0)
    cpu[CR3] = cr3
    flush_tlb_but_global(core)
    return 0


@jit
def load_registers(cpu: State, core: Workspace, nested: int) -> None:
    """What else a TSS holds but the descriptors: segment registers are unusable until then."""
    cpu[CR0] |= CR0_TS
    cpu[DR + 7] &= ~_DR7_LOCAL
    derive(cpu, core)
    image = core[_F_EFLAGS] & EFLAGS_DEFINED
    write_eflags(cpu, core, image | (EFLAGS_NT if nested else 0))
    cpu[EIP] = core[_F_EIP]
    for number in range(8):
        cpu[GPR + number] = core[_F_GPR + number]
    for register in range(TR):
        cpu[SELECTOR + register] = core[_F_SEGMENTS + register]
        cpu[BASE + register] = 0
        cpu[LIMIT + register] = 0
        cpu[ATTRIBUTES + register] = ATTR_UNUSABLE
    cpu[CPL] = 3 if image & EFLAGS_VM else core[_F_SEGMENTS + CS] & 3
