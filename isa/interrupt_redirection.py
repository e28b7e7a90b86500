"""INT n in virtual-8086 mode with CR4.VME: to the program's own handler, or to the monitor.

A bit map of 256 bits in the TSS, just below the I/O permission bit map, says for every vector
whether INT n goes through the interrupt vector table at linear address 0, as on an 8086, without
leaving virtual-8086 mode. INT3 and INTO, exceptions and interrupts never do.

A bit map that does not lie within a 32-bit TSS refuses the instruction, #GP(0), as the I/O
permission bit map would.

Source: SDM vol. 3B, "Class 3—Software Interrupt Handling in Virtual-8086 Mode" with its table of
methods; vol. 2, the Operation section of "INT n/INTO/INT3/INT1".
"""

from isa import vectors
from isa import workspace as w
from isa.accounts import raise_fault
from isa.events import SOFTWARE, account_entry, deliver
from isa.flags import read_eflags
from isa.jit import jit
from isa.memory import read_linear
from isa.modes import refresh
from isa.ports import read_map_base
from isa.records import TRANSFER, TROUBLED
from isa.registers import (
    CR4_VME,
    CS,
    EFLAGS_IF,
    EFLAGS_IOPL,
    EFLAGS_TF,
    EFLAGS_VIF,
    EFLAGS_VM,
    ESP,
    SS,
    TR,
)
from isa.segmentation import fill_real, read_table
from isa.stack import pointer_mask, probe_frame, room_for_frame, set_stack_pointer, write_frame
from isa.state import ATTRIBUTES, BASE, CR4, EFLAGS, EIP, GPR, LIMIT, SELECTOR, State
from isa.virtual_interrupts import virtual_image
from isa.workspace import Bytes, Workspace

M32 = 0xFFFFFFFF
M16 = 0xFFFF

MAP_BYTES = 32  # the redirection bit map ends where the I/O permission bit map begins


@jit
def numbered_interrupt(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, vector: int) -> int:
    """INT n: TRANSFER, or TROUBLED with nothing changed."""
    if not (cpu[EFLAGS] & EFLAGS_VM and cpu[CR4] & CR4_VME):
        return deliver(cpu, core, ram, marks, vector, -1, SOFTWARE)
    goes_out = redirection_bit(cpu, core, ram, marks, vector)
    if goes_out < 0:
        return TROUBLED
    if not goes_out:
        return enter_own_handler(cpu, core, ram, marks, vector)
    if cpu[EFLAGS] & EFLAGS_IOPL != EFLAGS_IOPL:
        raise_fault(core, vectors.GP, 0)
        return TROUBLED
    return deliver(cpu, core, ram, marks, vector, -1, SOFTWARE)


@jit
def redirection_bit(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, vector: int) -> int:
    """The vector's bit: 1 if it leaves virtual-8086 mode; -1 after #GP(0) or #PF."""
    base = read_map_base(cpu, core, ram, marks)
    if base < 0:
        return -1
    place = base - MAP_BYTES + (vector >> 3)
    if place < 0 or place > cpu[LIMIT + TR]:
        return raise_fault(core, vectors.GP, 0)
    bits = read_table(cpu, core, ram, marks, (cpu[BASE + TR] + place) & M32, 1)
    return bits if bits < 0 else bits >> (vector & 7) & 1


@jit
def enter_own_handler(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, vector: int) -> int:
    """Enter the program's handler as an 8086 does; below IOPL 3, VIF takes the part of IF."""
    target = read_linear(cpu, core, ram, marks, vector * 4, 4, 1)
    if target < 0:
        return TROUBLED
    image = read_eflags(cpu, core)
    interrupt_flag = EFLAGS_IF
    if cpu[EFLAGS] & EFLAGS_IOPL != EFLAGS_IOPL:
        image = virtual_image(cpu, image)
        interrupt_flag = EFLAGS_VIF
    core[w.FRAME] = image
    core[w.FRAME + 1] = cpu[SELECTOR + CS]
    core[w.FRAME + 2] = core[w.NEXT_EIP]
    base = cpu[BASE + SS]
    mask = pointer_mask(cpu[ATTRIBUTES + SS])
    top = cpu[GPR + ESP]
    if not room_for_frame(cpu[ATTRIBUTES + SS], cpu[LIMIT + SS], top, 3, 2):
        raise_fault(core, vectors.SS, 0)
        return TROUBLED
    place = probe_frame(cpu, core, ram, marks, base, mask, top, 3, 2, 1)
    if place == -1:
        return TROUBLED
    account_entry(cpu, core, SOFTWARE)
    write_frame(cpu, core, ram, marks, place, base, mask, top, 3, 2, 1)
    set_stack_pointer(cpu, top - 6)
    fill_real(cpu, CS, target >> 16)
    cpu[EFLAGS] &= ~(interrupt_flag | EFLAGS_TF)
    cpu[EIP] = target & M16
    refresh(cpu, core)
    return TRANSFER
