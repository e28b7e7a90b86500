"""Two-level 32-bit paging: the walk, and the software TLB it fills.

Sets accessed and dirty bits; raises #PF with the error code of the access. Does not know about
shadow tables: those are software. A page walk is the only thing that counts as a TLB refill.

The TLB has a supervisor and a user half. An entry has a tag for plain loads, one for plain stores
and one for fetches, so that the interpreter decides with one comparison whether an access may go
straight to RAM; device memory, pages with decoded code (stores) and pages beyond the limit of the
flat segments keep the respective tag invalid and take the slow path.

Source: SDM vol. 3A, "32-Bit Paging"; "Access Rights"; "Page-Fault Exceptions"; "Accessed and Dirty
Flags"; "Caching Translation Information".
"""

from isa import workspace as w
from isa.accounts import charge, raise_fault
from isa.codemap import store_checked
from isa.jit import jit, load32
from isa.registers import CR0_PG, CR0_WP, CR4_PSE, PTE_A, PTE_D, PTE_P, PTE_PS, PTE_U, PTE_W
from isa.state import CR0, CR2, CR3, CR4, State
from isa.vectors import PF, PF_PRESENT, PF_USER, PF_WRITE
from isa.workspace import Bytes, Workspace

OPEN_BUS = 0xFFFFFFFF
PAGE = 0xFFFFF000

RIGHT_WRITE = 1
RIGHT_DIRTY = 2


@jit
def read_entry(core: Workspace, ram: Bytes, address: int) -> int:
    """A paging-structure entry; addresses without memory read as all ones."""
    if address + 4 > core[w.RAM_BYTES]:
        return OPEN_BUS
    return load32(ram, address)


@jit
def page_fault(cpu: State, core: Workspace, gva: int, present: int, write: int, user: int) -> int:
    """Record #PF for a linear address; always -1."""
    cpu[CR2] = gva
    return raise_fault(core, PF, present * PF_PRESENT | write * PF_WRITE | user * PF_USER)


@jit
def walk(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, gva: int, write: int, user: int
) -> int:
    """Translate through the page tables.

    Returns the physical page address with RIGHT_WRITE and RIGHT_DIRTY in the low bits, or -1 after
    recording #PF.
    """
    if not cpu[CR0] & CR0_PG:
        return gva & PAGE | RIGHT_WRITE | RIGHT_DIRTY
    charge(cpu, core, w.EVENT_TLB_REFILL, 1)
    directory_at = cpu[CR3] & PAGE | gva >> 20 & 0xFFC
    directory = read_entry(core, ram, directory_at)
    if not directory & PTE_P:
        return page_fault(cpu, core, gva, 0, write, user)
    large = directory & PTE_PS and cpu[CR4] & CR4_PSE
    if large:
        table_at = directory_at
        entry = directory
        frame = directory & 0xFFC00000 | gva & 0x003FF000
    else:
        table_at = directory & PAGE | gva >> 10 & 0xFFC
        entry = read_entry(core, ram, table_at)
        frame = entry & PAGE
        if not entry & PTE_P:
            return page_fault(cpu, core, gva, 0, write, user)
    both = directory & entry
    writable = 1 if both & PTE_W or (not user and not cpu[CR0] & CR0_WP) else 0
    if (user and not both & PTE_U) or (write and not writable):
        return page_fault(cpu, core, gva, 1, write, user)
    if not large and not directory & PTE_A:
        store_checked(core, ram, marks, directory_at, 4, directory | PTE_A)
    wanted = entry | PTE_A | (PTE_D if write else 0)
    if wanted != entry:
        store_checked(core, ram, marks, table_at, 4, wanted)
    return frame | writable * RIGHT_WRITE | (RIGHT_DIRTY if wanted & PTE_D else 0)


@jit
def tlb_entry(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, gva: int, write: int, user: int
) -> int:
    """Index of the TLB entry that translates `gva` for this access, filled if need be, or -1."""
    page = gva >> 12 & 0xFFFFF
    half = w.TLB_ENTRIES if user else 0
    entry = w.TLB + ((page & w.TLB_MASK) | half) * w.TLB_WORDS
    tag = core[w.TLB_BASE] + page
    rights = core[entry + w.TLB_RIGHTS]
    if core[entry + w.TLB_TAG] != tag or (write and rights != RIGHT_WRITE | RIGHT_DIRTY):
        found = walk(cpu, core, ram, marks, gva, write, user)
        if found < 0:
            return -1
        core[entry + w.TLB_TAG] = tag
        core[entry + w.TLB_FRAME] = found & PAGE
        core[entry + w.TLB_RIGHTS] = found & (RIGHT_WRITE | RIGHT_DIRTY)
        core[entry + w.TLB_ADDEND] = (found & PAGE) - (page << 12)
    refresh_tags(core, marks, entry, page)
    return entry


@jit
def refresh_tags(core: Workspace, marks: Bytes, entry: int, page: int) -> None:
    """Decide which accesses through a valid entry may go straight to RAM."""
    tag = core[entry + w.TLB_TAG]
    frame = core[entry + w.TLB_FRAME]
    in_ram = frame + 4096 <= core[w.RAM_BYTES]
    plain = in_ram and page <= core[w.FLAT_LAST_PAGE]
    stores = (
        plain
        and core[entry + w.TLB_RIGHTS] == RIGHT_WRITE | RIGHT_DIRTY
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
    """Forget all translations (MOV to CR3, changes of CR0.PG, CR0.WP, CR4.PSE)."""
    core[w.TLB_BASE] += w.TLB_GENERATION
    flush_jumps(core)


@jit
def invalidate(cpu: State, core: Workspace, gva: int) -> None:
    """INVLPG: forget the translation of one page, for both privileges.

    With large pages enabled everything goes: the TLB keeps large pages in pieces of 4 KiB.
    """
    if cpu[CR4] & CR4_PSE:
        flush_tlb(core)
        return
    page = gva >> 12 & 0xFFFFF
    for half in range(2):
        entry = w.TLB + ((page & w.TLB_MASK) + half * w.TLB_ENTRIES) * w.TLB_WORDS
        if core[entry + w.TLB_TAG] == core[w.TLB_BASE] + page:
            core[entry + w.TLB_TAG] = -1
            core[entry + w.TLB_READ] = -1
            core[entry + w.TLB_WRITE] = -1
            core[entry + w.TLB_EXEC] = -1
    flush_jumps(core)
