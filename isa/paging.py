"""The software TLB: translations that the page walk has found, until the guest lets go of them.

It has a supervisor and a user half. An entry has a tag for plain loads, one for plain stores and
one for fetches, so that the interpreter decides with one comparison whether an access may go
straight to RAM; device memory, pages with decoded code (stores) and pages beyond the limit of the
flat segments keep the respective tag invalid and take the slow path.

Forgetting costs the same whatever the TLB holds: a tag contains the generation it was made in. The
tag of a global page is the negative of its page and of a generation of its own, which a load of CR3
leaves alone; the fast tags of such an entry are made again when it is next used. Large pages are
kept in pieces of 4 KByte, and a stamp for every 4 MByte says whether there may be some, so that
INVLPG looks for them only there.

Source: SDM vol. 3A, "Caching Translation Information".
"""

from isa import workspace as w
from isa.jit import jit
from isa.page_walk import FRAME, RIGHT_DIRTY, RIGHT_GLOBAL, RIGHT_LARGE, RIGHT_WRITE, RIGHTS, walk
from isa.registers import CR4_PGE
from isa.state import CR4, State
from isa.tlb_check import checked_walk, invalidate_checked
from isa.watched_pages import is_watched_page
from isa.workspace import Bytes, Workspace

STORES = RIGHT_WRITE | RIGHT_DIRTY  # a store needs nothing of the tables any more


@jit
def tlb_entry(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, gva: int, write: int, user: int
) -> int:
    """Index of the TLB entry that translates `gva` for this access, filled if need be, or -1."""
    page = gva >> 12 & 0xFFFFF
    half = w.TLB_ENTRIES if user else 0
    entry = w.TLB + ((page & w.TLB_MASK) | half) * w.TLB_WORDS
    tag = core[w.TLB_BASE] + page
    held = core[entry + w.TLB_TAG]
    known = held == tag or held == -core[w.TLB_GLOBAL_BASE] - page
    if not known or (write and core[entry + w.TLB_RIGHTS] & STORES != STORES):
        if core[w.TLB_CHECK]:
            found = checked_walk(cpu, core, ram, marks, gva, write, user)
            tag = -1  # nothing is kept here: every access asks again
        else:
            found = walk(cpu, core, ram, marks, gva, write, user)
        if found < 0:
            return -1
        if found & RIGHT_GLOBAL and cpu[CR4] & CR4_PGE and tag >= 0:
            tag = -core[w.TLB_GLOBAL_BASE] - page
        if found & RIGHT_LARGE:
            core[w.LARGE_REGIONS + (page >> 10)] = core[w.TLB_GLOBAL_BASE]
        core[entry + w.TLB_TAG] = tag
        core[entry + w.TLB_FRAME] = found & FRAME
        core[entry + w.TLB_RIGHTS] = found & RIGHTS
        core[entry + w.TLB_ADDEND] = (found & FRAME) - (page << 12)
    refresh_tags(core, marks, entry, page)
    return entry


@jit
def refresh_tags(core: Workspace, marks: Bytes, entry: int, page: int) -> None:
    """Decide which accesses through a valid entry may go straight to RAM."""
    tag = core[w.TLB_BASE] + page
    frame = core[entry + w.TLB_FRAME]
    in_ram = frame + 4096 <= core[w.RAM_BYTES] and not core[w.TLB_CHECK]
    plain = in_ram and page <= core[w.FLAT_LAST_PAGE]
    if core[w.BREAK_DATA] and is_watched_page(core, page):
        plain = False
    stores = (
        plain
        and core[entry + w.TLB_RIGHTS] & STORES == STORES
        and not marks[core[w.RAM_BYTES] + (frame >> 12)] & w.PAGE_HAS_CODE
    )
    core[entry + w.TLB_READ] = tag if plain else -1
    core[entry + w.TLB_WRITE] = tag if stores else -1
    core[entry + w.TLB_EXEC] = tag if in_ram else -1


@jit
def flush_jumps(core: Workspace) -> None:
    """Forget which record an EIP leads to."""
    core[w.JUMP_BASE] += w.JUMP_GENERATION
    if core[w.JUMP_BASE] >= 1 << 62:
        core[w.JUMP_BASE] = w.JUMP_GENERATION
        for index in range(w.JUMP, w.JUMP + 2 * w.JUMP_ENTRIES):
            core[index] = -1


@jit
def flush_tlb(core: Workspace) -> None:
    """Forget all translations, those of global pages too (what changes how tables are read)."""
    core[w.TLB_GLOBAL_BASE] += w.TLB_GENERATION
    flush_tlb_but_global(core)


@jit
def flush_tlb_but_global(core: Workspace) -> None:
    """Forget the translations of one address space (MOV to CR3, task switch)."""
    core[w.TLB_BASE] += w.TLB_GENERATION
    flush_jumps(core)


@jit
def forget_fast_tags(core: Workspace) -> None:
    """Let every translation be looked at again before it is used without a look at limits."""
    if not core[w.TLB_CHECK]:
        core[w.TLB_BASE] += w.TLB_GENERATION
    flush_jumps(core)


@jit
def forget_entry(core: Workspace, entry: int) -> None:
    core[entry + w.TLB_TAG] = -1
    core[entry + w.TLB_READ] = -1
    core[entry + w.TLB_WRITE] = -1
    core[entry + w.TLB_EXEC] = -1


@jit
def invalidate(core: Workspace, gva: int) -> None:
    """INVLPG: forget the translation of one page, for both privileges, global or not.

    Of a large page every piece goes, and with them the pieces of other large pages.
    """
    page = gva >> 12 & 0xFFFFF
    if core[w.TLB_CHECK]:
        invalidate_checked(core, page)
    elif core[w.LARGE_REGIONS + (page >> 10)] == core[w.TLB_GLOBAL_BASE]:
        core[w.LARGE_REGIONS + (page >> 10)] = 0
        for index in range(2 * w.TLB_ENTRIES):
            if core[w.TLB + index * w.TLB_WORDS + w.TLB_RIGHTS] & RIGHT_LARGE:
                forget_entry(core, w.TLB + index * w.TLB_WORDS)
    for half in range(2):
        entry = w.TLB + ((page & w.TLB_MASK) + half * w.TLB_ENTRIES) * w.TLB_WORDS
        held = core[entry + w.TLB_TAG]
        if held == core[w.TLB_BASE] + page or held == -core[w.TLB_GLOBAL_BASE] - page:
            forget_entry(core, entry)
    flush_jumps(core)
