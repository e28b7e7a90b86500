"""The privilege column of the instruction table, enforced.

One check before anything else of an instruction happens. What depends on operands (the I/O
permission bitmap, the flags that POPF may change, gates) is decided where it is used.

Source: SDM vol. 3A, "Privileged Instructions"; the exception lists of the instructions in vol. 2.
"""

from isa import vectors
from isa.accounts import raise_fault
from isa.generated.columns import OPSIZE, PM_ONLY, PRIVILEGE, SENSITIVE, V86_IOPL
from isa.jit import jit
from isa.registers import CR4_PCE, CR4_TSD, CR4_UMIP, EFLAGS_VM, IOPL_SHIFT
from isa.segmentation import is_protected
from isa.state import CPL, CR4, EFLAGS, State
from isa.virtual_interrupts import interrupts_are_virtual
from isa.workspace import Workspace

RULE_CPL0 = 1
RULE_IOPL = 2
RULE_TSD = 4
RULE_PCE = 5
RULE_UMIP = 6


@jit
def iopl_allows(cpu: State) -> int:
    """1 if CPL is at most IOPL; in virtual-8086 mode, where CPL is 3, this is IOPL = 3."""
    return 1 if cpu[CPL] <= cpu[EFLAGS] >> IOPL_SHIFT & 3 else 0


@jit
def rule_allows(cpu: State, rule: int) -> int:
    """1 if the current privilege level satisfies a rule of the table."""
    if rule == RULE_IOPL:
        return iopl_allows(cpu) | interrupts_are_virtual(cpu)
    if cpu[CPL] == 0 or rule == 0:
        return 1
    if rule == RULE_TSD:
        return 0 if cpu[CR4] & CR4_TSD else 1
    if rule == RULE_PCE:
        return 1 if cpu[CR4] & CR4_PCE else 0
    if rule == RULE_UMIP:
        return 0 if cpu[CR4] & CR4_UMIP else 1
    return 0 if rule == RULE_CPL0 else 1


@jit
def v86_allows(cpu: State, form: int) -> int:
    """1 if virtual-8086 mode lets a form with `v86iopl` begin: IOPL 3, or VME and not 32 bits."""
    return iopl_allows(cpu) | (interrupts_are_virtual(cpu) if OPSIZE[form] != 32 else 0)


@jit
def check_sensitive(cpu: State, core: Workspace, form: int) -> int:
    """What a processor with TRAPS adds: 0, or -1 after #GP(0) for a sensitive form above CPL 0."""
    if SENSITIVE[form] and cpu[CPL]:
        return raise_fault(core, vectors.GP, 0)
    return 0


@jit
def check_permitted(cpu: State, core: Workspace, form: int) -> int:
    """Mode and privilege rules of a form: 0, or -1 after recording #UD or #GP(0)."""
    if PM_ONLY[form] and not is_protected(cpu):
        return raise_fault(core, vectors.UD, -1)
    if V86_IOPL[form] and cpu[EFLAGS] & EFLAGS_VM and not v86_allows(cpu, form):
        return raise_fault(core, vectors.GP, 0)
    if not rule_allows(cpu, PRIVILEGE[form]):
        return raise_fault(core, vectors.GP, 0)
    return 0
