"""What decoding and fast paths depend on, derived from the segment caches and CPL.

`refresh` must be called after any change of CS, SS, DS, ES, CPL, EFLAGS.TF, EFLAGS.AC, EFLAGS.VM,
CR0.PE or CR0.AM. It keeps MODE (the key of decoded blocks), the TLB half in use, the limit of the
flat fast path, and whether accesses must be aligned.

A data segment is *flat* when its base is 0 and its limit a whole number of pages: then a segment
limit is a statement about pages and the TLB's tags can carry it. A segment truncated to keep a
guest kernel out of its monitor is still fast.

While alignment is checked no segment counts as flat: every access then takes the slow path, which
looks at its address, and the fast path does not know that there is such a check.
"""

from isa import workspace as w
from isa.jit import jit
from isa.paging import flush_jumps, forget_fast_tags
from isa.registers import (
    ATTR_CODE,
    ATTR_DB,
    ATTR_EXPAND_DOWN,
    ATTR_P,
    ATTR_S,
    ATTR_UNUSABLE,
    ATTR_WRITABLE,
    CR0_AM,
    CS,
    DS,
    EFLAGS_AC,
    EFLAGS_TF,
    ES,
    SS,
)
from isa.state import ATTRIBUTES, BASE, CPL, CR0, EFLAGS, LIMIT, State
from isa.virtual_interrupts import virtual_interrupt_due
from isa.workspace import Workspace

MODE_CODE32 = 1
MODE_STACK32 = 2
MODE_FLAT = 4  # DS, ES and SS are flat writable data segments
MODE_TRAP = 8  # EFLAGS.TF, or a virtual interrupt is due: one instruction at a time
MODE_USER = 16  # CPL 3: fetches are user-mode accesses
MODE_DECODED = MODE_CODE32 | MODE_STACK32 | MODE_FLAT  # what a kept block depends on
MODE_CODE_SEGMENT_SHIFT = 6  # which of the CODE_SEGMENTS is CS: two bits

_DATA_MASK = ATTR_UNUSABLE | ATTR_S | ATTR_P | ATTR_CODE | ATTR_EXPAND_DOWN | ATTR_WRITABLE
_DATA_WANTED = ATTR_S | ATTR_P | ATTR_WRITABLE


@jit
def last_flat_page(cpu: State, segment: int) -> int:
    """Last page a flat writable data segment reaches, or -1 if the segment is not flat."""
    if cpu[BASE + segment] != 0 or cpu[LIMIT + segment] & 0xFFF != 0xFFF:
        return -1
    if cpu[ATTRIBUTES + segment] & _DATA_MASK != _DATA_WANTED:
        return -1
    return cpu[LIMIT + segment] >> 12  # type: ignore[no-any-return]


@jit
def code_segment(cpu: State, core: Workspace) -> int:
    """Small number that stands for base and limit of CS.

    What the jump cache knows is true for one base and limit only. Kernels and their programs use a
    few code segments in turn, so that these are told apart by number instead of forgetting all.
    """
    base = cpu[BASE + CS]
    limit = cpu[LIMIT + CS]
    for index in range(w.CODE_SEGMENT_COUNT):
        at = w.CODE_SEGMENTS + 2 * index
        if core[at] == base and core[at + 1] == limit:
            return index
    victim = core[w.CODE_SEGMENT_NEXT] & (w.CODE_SEGMENT_COUNT - 1)
    core[w.CODE_SEGMENT_NEXT] = victim + 1
    core[w.CODE_SEGMENTS + 2 * victim] = base
    core[w.CODE_SEGMENTS + 2 * victim + 1] = limit
    flush_jumps(core)
    return victim  # type: ignore[no-any-return]


@jit
def refresh(cpu: State, core: Workspace) -> None:
    """Derive MODE, the TLB half and the limit of the flat fast path from the state."""
    mode = 0
    aligned = 0
    if cpu[ATTRIBUTES + CS] & ATTR_DB:
        mode |= MODE_CODE32
    if cpu[ATTRIBUTES + SS] & ATTR_DB:
        mode |= MODE_STACK32
    if cpu[CPL] == 3:
        mode |= MODE_USER
        if cpu[EFLAGS] & EFLAGS_AC and cpu[CR0] & CR0_AM:
            aligned = 1
        if virtual_interrupt_due(cpu):
            mode |= MODE_TRAP
    mode |= code_segment(cpu, core) << MODE_CODE_SEGMENT_SHIFT
    last = min(last_flat_page(cpu, DS), last_flat_page(cpu, ES), last_flat_page(cpu, SS))
    if last >= 0 and not aligned:
        mode |= MODE_FLAT
        if last != core[w.FLAT_LAST_PAGE]:
            core[w.FLAT_LAST_PAGE] = last
            forget_fast_tags(core)
    if cpu[EFLAGS] & EFLAGS_TF:
        mode |= MODE_TRAP
    core[w.MODE] = mode
    core[w.ALIGNED] = aligned
    core[w.TLB_HALF] = w.TLB_ENTRIES if cpu[CPL] == 3 else 0
