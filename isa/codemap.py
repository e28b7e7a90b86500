"""Which bytes of RAM have been decoded, and what a store to them does.

`marks` has one byte per byte of RAM (1: part of a decoded instruction) and one byte of flags per
page. A store that overlaps decoded bytes invalidates the page: its generation changes, so that no
block of it is found again, and the running block ends after the storing instruction.

Every store that does not go through the fast path of the TLB passes here: slow stores of the
guest, accessed and dirty bits, device and host writes.

Source: SDM vol. 3A, "Self-Modifying Code".
"""

from isa import workspace as w
from isa.jit import jit, store16, store32
from isa.workspace import Bytes, Workspace


@jit
def invalidate_code(core: Workspace, marks: Bytes, page: int) -> None:
    """Forget everything decoded from one physical page."""
    start = page << 12
    for index in range(start, start + 4096):
        marks[index] = 0
    marks[core[w.RAM_BYTES] + page] &= 0xFF ^ w.PAGE_HAS_CODE
    core[w.PAGE_GENERATION + page] += 1
    core[w.JUMP_BASE] += w.JUMP_GENERATION
    if core[w.JUMP_BASE] >= 1 << 62:
        core[w.JUMP_BASE] = w.JUMP_GENERATION
        for index in range(w.JUMP, w.JUMP + 2 * w.JUMP_ENTRIES):
            core[index] = -1
    core[w.RESYNC] = 1


@jit
def code_written(core: Workspace, marks: Bytes, address: int, size: int) -> None:
    """Note a store to `size` bytes of RAM at a physical address, all within RAM."""
    for index in range(address, address + size):
        if marks[index]:
            invalidate_code(core, marks, index >> 12)


@jit
def store_checked(
    core: Workspace, ram: Bytes, marks: Bytes, address: int, size: int, value: int
) -> None:
    """Store 1, 2 or 4 bytes to physical memory; outside RAM the store is lost."""
    if address + size > core[w.RAM_BYTES]:
        return
    if marks[core[w.RAM_BYTES] + (address >> 12)] & w.PAGE_HAS_CODE:
        code_written(core, marks, address, size)
    if size == 4:
        store32(ram, address, value)
    elif size == 2:
        store16(ram, address, value)
    else:
        ram[address] = value & 0xFF
