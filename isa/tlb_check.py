"""A TLB that notices stale translations: what a guest changed in its tables and did not invalidate.

A processor made to check uses this table in place of its TLB. Every use of a translation is
compared with what the page tables say at that moment; the guest gets the cached one, as it may on
silicon, and the difference is noted: once for a page, with the number of uses. It has either the
places of the usual TLB, or one for every page, so that nothing is forgotten before the guest says
so.

The table lies at the end of the workspace, at core[TLB_CHECK]; the normal machine has a 0 there and
looks at it only when it walks.

Source: SDM vol. 3A, "Caching Translation Information", "Recommended Invalidation".
"""

from typing import Final

from isa import workspace as w
from isa.accounts import retired_total
from isa.jit import jit
from isa.page_walk import FRAME, RIGHT_DIRTY, RIGHT_GLOBAL, RIGHT_LARGE, RIGHT_WRITE, probe, walk
from isa.registers import CR4_PGE
from isa.state import CR4, EIP, State
from isa.workspace import Bytes, Workspace

# Words of one finding.
FINDING_GVA: Final = 0
FINDING_EIP: Final = 1
FINDING_CACHED: Final = 2  # frame and rights
FINDING_TABLES: Final = 3  # frame and rights, or -1 - error code
FINDING_COUNT: Final = 4  # instructions completed before the one that used it
FINDING_ACCESS: Final = 5  # bit 0: write, bit 1: user
FINDING_USES: Final = 6


@jit
def is_stale(cached: int, tables: int, write: int) -> bool:
    """Whether a cached translation and the tables lead an allowed access to different ends."""
    if tables < 0 or (cached ^ tables) & FRAME:
        return True
    return bool(write and not tables & RIGHT_DIRTY)


@jit
def note_stale_use(
    cpu: State, core: Workspace, gva: int, cached: int, tables: int, access: int
) -> None:
    """Note one use; a page that is known already is only counted."""
    area = core[w.TLB_CHECK]
    core[area + w.CHECK_USES] += 1
    count = core[area + w.CHECK_FINDINGS]
    for index in range(count):
        at = area + w.CHECK_FIRST + index * w.CHECK_FINDING_WORDS
        if core[at + FINDING_GVA] >> 12 == gva >> 12:
            core[at + FINDING_USES] += 1
            return
    if count >= w.CHECK_FINDINGS_MOST:
        return
    at = area + w.CHECK_FIRST + count * w.CHECK_FINDING_WORDS
    core[area + w.CHECK_FINDINGS] = count + 1
    core[at + FINDING_GVA] = gva
    core[at + FINDING_EIP] = cpu[EIP]
    core[at + FINDING_CACHED] = cached
    core[at + FINDING_TABLES] = tables
    completed = core[w.LIMIT_TOTAL] - core[w.BUDGET] - core[w.LEFT] - core[w.COUNTED]
    core[at + FINDING_COUNT] = retired_total(cpu) + completed
    core[at + FINDING_ACCESS] = access
    core[at + FINDING_USES] = 1


@jit
def place_of(core: Workspace, page: int, user: int) -> int:
    """Core index of the two words, tag and translation, that a page is kept in."""
    area = core[w.TLB_CHECK]
    index = page & core[area + w.CHECK_PAGE_MASK] & 0xFFFFF | user << 20
    return area + w.CHECK_TABLE + 2 * index  # type: ignore[no-any-return]


@jit
def checked_walk(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, gva: int, write: int, user: int
) -> int:
    """As `isa.page_walk.walk`, from the table if the page is there."""
    page = gva >> 12 & 0xFFFFF
    place = place_of(core, page, user)
    held = core[place]
    cached = core[place + 1]
    if held == core[w.TLB_BASE] + page or held == -core[w.TLB_GLOBAL_BASE] - page:
        if not write or (cached & RIGHT_WRITE and cached & RIGHT_DIRTY):
            tables = probe(cpu, core, ram, gva, write, user)
            if is_stale(cached, tables, write):
                note_stale_use(cpu, core, gva, cached, tables, write | user << 1)
            return cached  # type: ignore[no-any-return]
    found = walk(cpu, core, ram, marks, gva, write, user)
    if found >= 0:
        is_global = found & RIGHT_GLOBAL and cpu[CR4] & CR4_PGE
        core[place] = -core[w.TLB_GLOBAL_BASE] - page if is_global else core[w.TLB_BASE] + page
        core[place + 1] = found
    return found


@jit
def invalidate_checked(core: Workspace, page: int) -> None:
    """Forget one page, and the pieces of the large page that it belongs to."""
    for user in range(2):
        for other in range(page & 0xFFC00, (page & 0xFFC00) + 1024):
            place = place_of(core, other, user)
            held = core[place]
            if held == core[w.TLB_BASE] + other or held == -core[w.TLB_GLOBAL_BASE] - other:
                if other == page or core[place + 1] & RIGHT_LARGE:
                    core[place] = 0
