"""The decode cache: blocks of operation records, found by physical address and mode.

A block is a run of instructions within one page, up to an unconditional transfer or MAX_BLOCK
instructions; conditional branches do not end it. Records of kept blocks carry their physical page,
so that branches within a page can be linked directly; the page's generation tells whether a block
is still valid.

An instruction that crosses into the next page is a block of its own, true as long as both pages are
and the second linear page leads where it did. It is of no page, so that nothing is linked to it.

Odd cases (an instruction that crosses into the next page, code near the segment limit or outside
RAM, single-stepping, pages with instruction breakpoints, the last instructions before a deadline)
are decoded into scratch records that are executed once. Scratch records use only the cold handlers,
so that control comes back to the slow entry after them.
"""

from isa import workspace as w
from isa.accounts import raise_fault
from isa.decoder import MORE, decode
from isa.generated.columns import FLOW
from isa.jit import jit
from isa.modes import MODE_DECODED, MODE_TRAP
from isa.paging import flush_jumps, tlb_entry
from isa.records import FORM_SHIFT, HANDLER_MASK, LEFT_SHIFT, OFFSET_SHIFT, PAGE_SHIFT
from isa.registers import CS
from isa.specialise import ENDS_BLOCK, H_END
from isa.state import BASE, CPL, EIP, LIMIT, State
from isa.vectors import GP
from isa.virtual_interrupts import virtual_interrupt_due
from isa.watched_pages import is_stopping_page
from isa.workspace import Bytes, Workspace

M32 = 0xFFFFFFFF
MAX_BLOCK = 64
FETCH_BYTES = 15
FLOW_BRANCH = 2  # of the FLOW column: may fall through
NO_PAGE = 0x3FFFF  # the physical page in the record of an instruction that crosses pages


@jit
def jump_slot(eip: int) -> int:
    """Core index of the jump-cache entry for an EIP."""
    return w.JUMP + ((eip ^ eip >> 12) & w.JUMP_MASK) * 2


@jit
def find_block(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, limit: int) -> int:
    """Record to continue with at cpu[EIP], for at most `limit` instructions; -1 after a fault."""
    eip = cpu[EIP]
    if eip > cpu[LIMIT + CS]:
        return raise_fault(core, GP, 0)
    if virtual_interrupt_due(cpu):
        return raise_fault(core, GP, 0)
    gva = cpu[BASE + CS] + eip & M32
    user = 1 if cpu[CPL] == 3 else 0
    entry = tlb_entry(cpu, core, ram, marks, gva, 0, user)
    if entry < 0:
        return -1
    mode = core[w.MODE]
    frame = core[entry + w.TLB_FRAME]
    offset = gva & 0xFFF
    page_end = eip + 0xFFF - offset
    if mode & MODE_TRAP or page_end > cpu[LIMIT + CS]:
        return odd_block(cpu, core, ram, marks, gva, frame, user)
    if core[w.BREAK_CODE] and is_stopping_page(core, gva >> 12):
        return odd_block(cpu, core, ram, marks, gva, frame, user)
    if frame + 4096 > core[w.RAM_BYTES]:
        return odd_block(cpu, core, ram, marks, gva, frame, user)
    if limit < MAX_BLOCK:
        built = build(core, ram, marks, 0, frame | offset, mode | MODE_TRAP, limit)
        if built:
            return 0
        return odd_block(cpu, core, ram, marks, gva, frame, user)
    address = frame | offset
    decoded = mode & MODE_DECODED
    key = address | decoded << 32
    slot = w.BLOCK + ((address ^ address >> 14 ^ decoded << 9) & w.BLOCK_MASK) * w.BLOCK_WORDS
    generation = core[w.PAGE_GENERATION + (frame >> 12)]
    record = core[slot + 1]
    known = 1
    if core[slot] != key or core[slot + 2] != generation or core[slot + 3] != core[w.EPOCH]:
        known = 0
    if known and offset > 4096 - FETCH_BYTES:
        known = second_page_is_same(cpu, core, ram, marks, gva, user, record)
        if known < 0:
            return -1
    if not known:
        if core[w.OPS_NEXT] + MAX_BLOCK + 2 > w.OPS_RECORDS:
            core[w.EPOCH] += 1
            core[w.OPS_NEXT] = w.SCRATCH_RECORDS
            flush_jumps(core)
        record = core[w.OPS_NEXT]
        built = build(core, ram, marks, record, address, mode, MAX_BLOCK)
        if not built:
            built = build_crossing(cpu, core, ram, marks, gva, frame, user, record)
        if built < 0:
            return -1
        if not built:
            return odd_block(cpu, core, ram, marks, gva, frame, user)
        core[w.OPS_NEXT] = record + built + 1
        core[slot] = key
        core[slot + 1] = record
        core[slot + 2] = generation
        core[slot + 3] = core[w.EPOCH]
    if core[w.TLB_CHECK]:
        return record  # type: ignore[no-any-return]
    at = jump_slot(eip)
    core[at] = core[w.JUMP_BASE] + (mode << 32) + eip
    core[at + 1] = record
    return record  # type: ignore[no-any-return]


@jit
def build(
    core: Workspace, ram: Bytes, marks: Bytes, record: int, address: int, mode: int, limit: int
) -> int:
    """Decode a block at a physical address in RAM; the number of its instructions.

    0 if not even the first one lies within the page.
    """
    offset = address & 0xFFF
    frame = address - offset
    page = frame >> 12
    count = 0
    at = w.OPS + (record & w.OPS_MASK) * w.OPS_WORDS
    while count < limit:
        length = decode(core, ram, at, frame + offset, 4096 - offset, offset, mode)
        if length == MORE:
            break
        core[at + 1] |= page << PAGE_SHIFT
        mark_code(core, marks, frame + offset, length)
        offset += length
        count += 1
        at += w.OPS_WORDS
        head = core[at - w.OPS_WORDS]
        if ENDS_BLOCK[head & HANDLER_MASK] or FLOW[head >> FORM_SHIFT & 0xFFF] & ~FLOW_BRANCH:
            break
        if offset > 0xFFF:
            break
    core[at] = H_END
    core[at + 1] = offset << OFFSET_SHIFT | page << PAGE_SHIFT
    core[at + 2] = 0
    core[at + 3] = 0
    number_left(core, record, count)
    return count


@jit
def mark_code(core: Workspace, marks: Bytes, address: int, size: int) -> None:
    """Note that some bytes, all within one page, have been decoded."""
    page = core[w.RAM_BYTES] + (address >> 12)
    if not marks[page] & w.PAGE_HAS_CODE:
        marks[page] |= w.PAGE_HAS_CODE
        forbid_fast_stores(core, address & ~0xFFF)
    for index in range(address, address + size):
        marks[index] = 1


@jit
def build_crossing(
    cpu: State,
    core: Workspace,
    ram: Bytes,
    marks: Bytes,
    gva: int,
    frame: int,
    user: int,
    record: int,
) -> int:
    """Decode the instruction across the end of a page as a block of its own.

    Returns 1; 0 if it cannot be kept; -1 after a fault.
    """
    if cpu[EIP] + FETCH_BYTES - 1 > cpu[LIMIT + CS] or frame >> 12 == NO_PAGE:
        return 0
    offset = gva & 0xFFF
    here = 4096 - offset
    entry = tlb_entry(cpu, core, ram, marks, (gva + here) & M32, 0, user)
    if entry < 0:
        return -1
    second = core[entry + w.TLB_FRAME]
    if second + 4096 > core[w.RAM_BYTES]:
        return 0
    buffer = core[w.RAM_BYTES]
    fetch(core, ram, frame | offset, buffer, here)
    fetch(core, ram, second, buffer + here, FETCH_BYTES - here)
    at = w.OPS + (record & w.OPS_MASK) * w.OPS_WORDS
    length = decode(core, ram, at, buffer, FETCH_BYTES, offset, core[w.MODE] | MODE_TRAP)
    if length == MORE:
        return 0
    core[at] |= 1 << LEFT_SHIFT
    core[at + 1] |= NO_PAGE << PAGE_SHIFT
    core[at + w.OPS_WORDS] = H_END
    core[at + w.OPS_WORDS + 1] = (offset + length) << OFFSET_SHIFT | NO_PAGE << PAGE_SHIFT
    core[at + w.OPS_WORDS + 2] = second
    core[at + w.OPS_WORDS + 3] = core[w.PAGE_GENERATION + (second >> 12)]
    mark_code(core, marks, frame | offset, here)
    mark_code(core, marks, second, length - here)
    return 1


@jit
def second_page_is_same(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, gva: int, user: int, record: int
) -> int:
    """1 if a block that begins at the end of a page may be used: what follows is as it was.

    0 if it has to be decoded again; -1 after a fault, which only an instruction that reaches into
    the next page can have.
    """
    at = w.OPS + (record & w.OPS_MASK) * w.OPS_WORDS
    if core[at + 1] >> PAGE_SHIFT != NO_PAGE:
        return 1
    if cpu[EIP] + FETCH_BYTES - 1 > cpu[LIMIT + CS]:
        return 0
    entry = tlb_entry(cpu, core, ram, marks, (gva | 0xFFF) + 1 & M32, 0, user)
    if entry < 0:
        return -1
    second = core[at + w.OPS_WORDS + 2]
    if core[entry + w.TLB_FRAME] != second:
        return 0
    same = core[w.PAGE_GENERATION + (second >> 12)] == core[at + w.OPS_WORDS + 3]
    return 1 if same else 0


@jit
def number_left(core: Workspace, record: int, count: int) -> None:
    """Give every record of a block the number of instructions from it to the end."""
    for index in range(count):
        at = w.OPS + ((record + index) & w.OPS_MASK) * w.OPS_WORDS
        core[at] |= (count - index) << LEFT_SHIFT


@jit
def forbid_fast_stores(core: Workspace, frame: int) -> None:
    """A page now holds decoded code: stores to it take the slow path from here on."""
    for index in range(2 * w.TLB_ENTRIES):
        entry = w.TLB + index * w.TLB_WORDS
        if core[entry + w.TLB_FRAME] == frame:
            core[entry + w.TLB_WRITE] = -1


@jit
def odd_block(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, gva: int, frame: int, user: int
) -> int:
    """One instruction, fetched byte by byte across pages and segment limit; -1 after a fault."""
    eip = cpu[EIP]
    allowed = min(cpu[LIMIT + CS] - eip + 1, FETCH_BYTES)
    offset = gva & 0xFFF
    buffer = core[w.RAM_BYTES]
    here = min(allowed, 4096 - offset)
    fetch(core, ram, frame | offset, buffer, here)
    at = w.OPS
    mode = core[w.MODE] | MODE_TRAP
    length = decode(core, ram, at, buffer, here, offset, mode)
    if length == MORE:
        if here == allowed:
            return raise_fault(core, GP, 0)
        second = tlb_entry(cpu, core, ram, marks, (gva + here) & M32, 0, user)
        if second < 0:
            return -1
        fetch(core, ram, core[second + w.TLB_FRAME], buffer + here, allowed - here)
        length = decode(core, ram, at, buffer, allowed, offset, mode)
        if length == MORE:
            return raise_fault(core, GP, 0)
    core[at] |= 1 << LEFT_SHIFT
    core[at + w.OPS_WORDS] = H_END
    core[at + w.OPS_WORDS + 1] = (offset + length) << OFFSET_SHIFT
    core[at + w.OPS_WORDS + 2] = 0
    core[at + w.OPS_WORDS + 3] = 0
    return 0


@jit
def fetch(core: Workspace, ram: Bytes, address: int, buffer: int, size: int) -> None:
    """Copy instruction bytes to the fetch buffer; addresses without memory read as all ones."""
    for index in range(size):
        inside = address + index < core[w.RAM_BYTES]
        ram[buffer + index] = ram[address + index] if inside else 0xFF
