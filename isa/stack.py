"""The stack as the processor uses it: pushes, pops, and whole frames checked before they are built.

Offsets wrap at 16 or 32 bits by the B flag of the stack segment; the segment limit is checked for
every word. A frame is assembled in (or read into) the FRAME words of the workspace, so that an
event can check everything first and then store it at once.

Does not choose a stack: that is a matter of privilege levels (isa.privilege_levels).

Source: SDM vol. 1, "Stacks"; vol. 2, "PUSH", "POP"; vol. 3A, "Stack Faults" under "Limit Checking".
"""

from isa import workspace as w
from isa.jit import jit, load16, load32, store16, store32
from isa.memory import (
    check_alignment,
    probe_pages,
    probe_write,
    read_linear,
    translate,
    write_linear,
)
from isa.registers import ATTR_DB, ESP, SS
from isa.segmentation import limit_allows, linear_address
from isa.state import ATTRIBUTES, BASE, CPL, GPR, LIMIT, State
from isa.workspace import Bytes, Workspace

M32 = 0xFFFFFFFF

SCATTERED = -2  # a frame that has to be written word by word


@jit
def pointer_mask(attributes: int) -> int:
    """Mask of the stack pointer for a stack segment with these attributes."""
    return M32 if attributes & ATTR_DB else 0xFFFF


@jit
def stack_pointer(cpu: State) -> int:
    """ESP or SP, whichever the stack segment uses."""
    return cpu[GPR + ESP] & pointer_mask(cpu[ATTRIBUTES + SS])  # type: ignore[no-any-return]


@jit
def set_stack_pointer(cpu: State, value: int) -> None:
    """Set ESP, or only SP on a 16-bit stack."""
    mask = pointer_mask(cpu[ATTRIBUTES + SS])
    cpu[GPR + ESP] = cpu[GPR + ESP] & (M32 ^ mask) | value & mask


@jit
def push(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, value: int, size: int) -> int:
    """Push 2 or 4 bytes: 0, or -1 after recording a fault, with nothing changed."""
    offset = (cpu[GPR + ESP] - size) & pointer_mask(cpu[ATTRIBUTES + SS])
    gva = linear_address(cpu, core, SS, offset, size, 1)
    if gva < 0:
        return -1
    user = 1 if cpu[CPL] == 3 else 0
    if write_linear(cpu, core, ram, marks, gva, size, value, user) < 0:
        return -1
    set_stack_pointer(cpu, offset)
    return 0


@jit
def peek(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, position: int, size: int) -> int:
    """The 1, 2 or 4 bytes `position` bytes above the top of the stack; -1 after a fault.

    The stack pointer stays: `discard` moves it once nothing can fault any more.
    """
    offset = (cpu[GPR + ESP] + position) & pointer_mask(cpu[ATTRIBUTES + SS])
    gva = linear_address(cpu, core, SS, offset, size, 0)
    if gva < 0:
        return -1
    return read_linear(cpu, core, ram, marks, gva, size, 1 if cpu[CPL] == 3 else 0)


@jit
def discard(cpu: State, size: int) -> None:
    """Move the stack pointer up by `size` bytes: the second half of a pop."""
    set_stack_pointer(cpu, cpu[GPR + ESP] + size)


@jit
def read_frame(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, count: int, size: int) -> int:
    """Read `count` words of `size` bytes from the top of the stack into FRAME: 0, or -1.

    FRAME[0] is the word on top. The stack pointer stays.
    """
    top = stack_pointer(cpu)
    attributes = cpu[ATTRIBUTES + SS]
    last = top + count * size - 1
    gva = (cpu[BASE + SS] + top) & M32
    user = 1 if cpu[CPL] == 3 else 0
    plain = 1 if last <= pointer_mask(attributes) and (gva & 0xFFF) + count * size <= 4096 else 0
    if plain and not core[w.BREAK_DATA] and limit_allows(attributes, cpu[LIMIT + SS], top, last):
        address = translate(cpu, core, ram, marks, gva, 0, user)
        if address < 0 or check_alignment(core, gva, size, user) < 0:
            return -1
        if address + count * size <= core[w.RAM_BYTES]:
            for index in range(count):
                place = address + index * size
                core[w.FRAME + index] = load32(ram, place) if size == 4 else load16(ram, place)
            return 0
    for slot in range(count):
        word = peek(cpu, core, ram, marks, slot * size, size)
        if word < 0:
            return -1
        core[w.FRAME + slot] = word
    return 0


@jit
def room_for_frame(attributes: int, limit: int, top: int, count: int, size: int) -> int:
    """1 if `count` words of `size` bytes can be pushed below `top` within the segment limit."""
    mask = pointer_mask(attributes)
    if (top & mask) >= count * size:
        return limit_allows(attributes, limit, (top & mask) - count * size, (top & mask) - 1)
    for index in range(count):
        offset = (top - (index + 1) * size) & mask
        if not limit_allows(attributes, limit, offset, offset + size - 1):
            return 0
    return 1


@jit
def plain_place(core: Workspace, marks: Bytes, address: int, size: int) -> int:
    """The physical address itself if `size` bytes there are RAM without code; else SCATTERED.

    While there are data breakpoints, every word is compared with them.
    """
    if core[w.BREAK_DATA] or address + size > core[w.RAM_BYTES]:
        return SCATTERED
    return SCATTERED if marks[core[w.RAM_BYTES] + (address >> 12)] & w.PAGE_HAS_CODE else address


@jit
def probe_frame(
    cpu: State,
    core: Workspace,
    ram: Bytes,
    marks: Bytes,
    base: int,
    mask: int,
    top: int,
    count: int,
    size: int,
    user: int,
) -> int:
    """Check that the pages of a frame can be written: -1 after recording a fault.

    Else where it goes, for `write_frame`: a physical address, or SCATTERED.
    """
    length = count * size
    if (top & mask) >= length:
        lowest = (base + (top & mask) - length) & M32
        if (lowest & 0xFFF) + length > 4096:
            if probe_pages(cpu, core, ram, marks, lowest, length, user) < 0:
                return -1
            return -1 if check_alignment(core, lowest, size, user) < 0 else SCATTERED
        address = translate(cpu, core, ram, marks, lowest, 1, user)
        if address < 0 or check_alignment(core, lowest, size, user) < 0:
            return -1
        return plain_place(core, marks, address, length)
    for index in range(count):
        gva = (base + ((top - (index + 1) * size) & mask)) & M32
        if probe_write(cpu, core, ram, marks, gva, size, user) < 0:
            return -1
    return SCATTERED


@jit
def store_frame(core: Workspace, ram: Bytes, address: int, count: int, size: int) -> None:
    """Store FRAME downwards to plain RAM, ending at a physical address."""
    if size == 4:
        for index in range(count):
            store32(ram, address + (count - 1 - index) * 4, core[w.FRAME + index])
    else:
        for slot in range(count):
            store16(ram, address + (count - 1 - slot) * 2, core[w.FRAME + slot])


@jit
def write_frame(
    cpu: State,
    core: Workspace,
    ram: Bytes,
    marks: Bytes,
    place: int,
    base: int,
    mask: int,
    top: int,
    count: int,
    size: int,
    user: int,
) -> None:
    """Push FRAME[0], FRAME[1], … below `top`, at the place that `probe_frame` found."""
    if place >= 0:
        store_frame(core, ram, place, count, size)
        return
    for slot in range(count):
        gva = (base + ((top - (slot + 1) * size) & mask)) & M32
        write_linear(cpu, core, ram, marks, gva, size, core[w.FRAME + slot], user)
