"""Virtual interrupts: EFLAGS.VIF in the place of IF, for virtual-8086 mode (VME) and ring 3 (PVI).

Below IOPL 3 a program may have an interrupt flag of its own: CLI, STI and, in virtual-8086 mode,
PUSHF, POPF and IRET with 16-bit operands work on VIF. Software that wants to interrupt the program
sets VIP; the program then faults as soon as it has VIF set. Which instructions may be executed at
all is decided by isa.privilege_rules; INT n is redirected by isa.interrupt_redirection.

Source: SDM vol. 3B, "Maskable Hardware Interrupts in Virtual-8086 Mode Using the Virtual Interrupt
Mechanism", "Protected-Mode Virtual Interrupts"; vol. 2, "CLI", "STI", "PUSHF", "POPF".
"""

from isa import vectors
from isa.accounts import raise_fault
from isa.jit import jit
from isa.registers import (
    CR4_PVI,
    CR4_VME,
    EFLAGS_IF,
    EFLAGS_IOPL,
    EFLAGS_TF,
    EFLAGS_VIF,
    EFLAGS_VIP,
    EFLAGS_VM,
)
from isa.state import CPL, CR4, EFLAGS, State
from isa.workspace import Workspace

_BOTH = EFLAGS_VIF | EFLAGS_VIP


@jit
def interrupts_are_virtual(cpu: State) -> int:
    """1 if VIF stands for IF: at CPL 3 and below IOPL 3, with CR4.VME in V86 mode, else CR4.PVI."""
    if cpu[CPL] != 3 or cpu[EFLAGS] & EFLAGS_IOPL == EFLAGS_IOPL:
        return 0
    return 1 if cpu[CR4] & (CR4_VME if cpu[EFLAGS] & EFLAGS_VM else CR4_PVI) else 0


@jit
def virtual_interrupt_due(cpu: State) -> int:
    """1 if the next instruction must fault: a virtual interrupt is pending, and enabled."""
    return 1 if cpu[EFLAGS] & _BOTH == _BOTH and interrupts_are_virtual(cpu) else 0


@jit
def virtual_image(cpu: State, image: int) -> int:
    """FLAGS as a virtual-8086 program below IOPL 3 sees them: VIF in place of IF, and IOPL 3."""
    virtual = EFLAGS_IF if cpu[EFLAGS] & EFLAGS_VIF else 0
    return image & ~EFLAGS_IF | EFLAGS_IOPL | virtual


@jit
def check_virtual_image(cpu: State, core: Workspace, image: int) -> int:
    """Whether such a program may load FLAGS: 0, or -1 with #GP(0) for its monitor to look at."""
    if image & EFLAGS_TF or (image & EFLAGS_IF and cpu[EFLAGS] & EFLAGS_VIP):
        return raise_fault(core, vectors.GP, 0)
    return 0


@jit
def load_virtual_flag(cpu: State, image: int) -> None:
    """Give VIF the value of IF in an image that was checked."""
    cpu[EFLAGS] = cpu[EFLAGS] & ~EFLAGS_VIF | (EFLAGS_VIF if image & EFLAGS_IF else 0)
