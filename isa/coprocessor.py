"""A processor without a floating-point unit: what is left of ESC (D8 to DF) and WAIT (9B).

CR0.EM and CR0.TS make ESC #NM, so that a kernel can emulate the unit, or find out that a task wants
it. With both clear nobody takes the instruction: it does nothing. The first word of an operand in
memory must lie within its segment, but is not accessed: so do recorded tests of a real 80286
without 80287. The instructions that store the control or status word find all ones in its place.
That is how software tells that there is no unit: it initialises one and looks for the control word
037Fh and the status word 0, as the manual's own example does.

WAIT is #NM if CR0.MP and CR0.TS are set. Otherwise there is nothing to wait for: no unit ever
raises #MF, whatever CR0.NE says.

Source: SDM vol. 3A, "Configuring the x87 FPU Environment", "Interrupt 7—Device Not Available
Exception (#NM)"; vol. 3B, "Intel486 SX Processor and Intel487 SX Math Coprocessor Initialization";
vol. 2, "WAIT/FWAIT".
"""

from isa import vectors
from isa.accounts import raise_fault
from isa.generated import forms as f
from isa.jit import jit
from isa.operands import memory_address, write_operand, write_register
from isa.records import DONE, MEMORY, TROUBLED, a_of, b_of, form_of
from isa.registers import CR0_EM, CR0_MP, CR0_TS, EAX
from isa.state import CR0, State
from isa.workspace import Bytes, Workspace

NOBODY_ANSWERS = 0xFFFF

# ModRM.reg of the instructions that store a word.
_STORE_IN_MEMORY = 7  # D9 /7 FNSTCW m16, DD /7 FNSTSW m16
_STORE_IN_AX = 4  # DF E0 FNSTSW AX


@jit
def not_available(core: Workspace) -> int:
    """Record #NM; TROUBLED."""
    raise_fault(core, vectors.NM, -1)
    return TROUBLED


@jit
def wait_for_coprocessor(cpu: State, core: Workspace) -> int:
    """WAIT: #NM if a task switch has left the coprocessor to somebody else; else nothing waits."""
    both = CR0_MP | CR0_TS
    return not_available(core) if cpu[CR0] & both == both else DONE


@jit
def escape(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """ESC: an instruction of the floating-point unit that is not there."""
    if cpu[CR0] & (CR0_EM | CR0_TS):
        return not_available(core)
    head = core[at]
    form = form_of(head)
    if head & MEMORY:
        stores = form == f.F_ESC_rm16_D9_0 or form == f.F_ESC_rm16_DD_0
        if stores and a_of(head) == _STORE_IN_MEMORY:
            if write_operand(cpu, core, ram, marks, at, 0, NOBODY_ANSWERS) < 0:
                return TROUBLED
        elif memory_address(cpu, core, at, 2, 0) < 0:
            return TROUBLED
    elif form == f.F_ESC_rm16_DF_0 and a_of(head) == _STORE_IN_AX and b_of(head) == EAX:
        write_register(cpu, EAX, 16, NOBODY_ANSWERS)
    return DONE
