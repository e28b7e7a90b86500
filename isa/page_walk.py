"""The page walk: from a linear address through the tables in memory to a page, or to #PF.

Two-level tables with pages of 4 KByte and 4 MByte (CR4.PSE), and those of PAE with pages of 4 KByte
and 2 MByte and physical addresses of 36 bits. Memory ends below 1 GByte, so that what lies above is
open bus. The processor has neither PSE-36 nor PAT nor NX: their bits are reserved.

A walk reads first, then decides, and only then sets accessed and dirty bits, so that a fault leaves
no trace in the tables. `probe` is a walk that leaves none at all. Knows nothing of the TLB.

Source: SDM vol. 3A, "32-Bit Paging"; "PAE Paging"; "Access Rights"; "Page-Fault Exceptions";
"Accessed and Dirty Flags"; IBM PC/AT Technical Reference, "A20 gate".
"""

from isa import workspace as w
from isa.accounts import charge, raise_fault
from isa.codemap import store_checked
from isa.jit import jit, load32
from isa.registers import (
    CR0_PG,
    CR0_WP,
    CR4_PAE,
    CR4_PSE,
    PTE_A,
    PTE_D,
    PTE_G,
    PTE_P,
    PTE_PS,
    PTE_U,
    PTE_W,
)
from isa.state import A20_MASK, CR0, CR2, CR3, CR4, PDPTE, State
from isa.vectors import PF, PF_PRESENT, PF_RESERVED, PF_USER, PF_WRITE
from isa.workspace import Bytes, Workspace

OPEN_BUS = 0xFFFFFFFF
PAGE = 0xFFFFF000
FRAME = 0xFFFFFF000  # 36 bits

# What a translation says beside the frame.
RIGHT_WRITE = 1  # writable at the privilege it was made for
RIGHT_DIRTY = 2  # the dirty bit is set already
RIGHT_GLOBAL = 4  # survives a load of CR3
RIGHT_LARGE = 8  # a piece of a large page
RIGHTS = RIGHT_WRITE | RIGHT_DIRTY | RIGHT_GLOBAL | RIGHT_LARGE

# How a walk ends.
ABSENT = 0
RESERVED = 1
SMALL = 2
LARGE = 3

# Reserved in a present entry, by its low and high doubleword.
_PTE_RESERVED = PTE_PS  # the PAT bit of a page-table entry
_PDE_4M_RESERVED = 0x003FF000
_PDE_2M_RESERVED = 0x001FF000
_HIGH_RESERVED = 0xFFFFFFF0
_PDPTE_RESERVED = 0x000001E6


@jit
def read_entry(core: Workspace, ram: Bytes, address: int) -> int:
    """A doubleword of a paging structure; addresses without memory read as all ones."""
    if address + 4 > core[w.RAM_BYTES]:
        return OPEN_BUS
    return load32(ram, address)


@jit
def load_pdptes(cpu: State, core: Workspace, ram: Bytes, cr3: int) -> int:
    """Load the four PDPTE registers from the table at `cr3`: 1, or 0 with none of them changed.

    A present entry with a reserved bit set is refused: #GP(0), which the caller raises.
    """
    table = cr3 & 0xFFFFFFE0
    for index in range(8):
        low = read_entry(core, ram, (table + 8 * (index & 3)) & cpu[A20_MASK])
        high = read_entry(core, ram, (table + 8 * (index & 3) + 4) & cpu[A20_MASK])
        if index >= 4:
            cpu[PDPTE + index - 4] = (high & 0xF) << 32 | low
        elif low & PTE_P and (low & _PDPTE_RESERVED or high & _HIGH_RESERVED):
            return 0
    return 1


@jit
def keep_leaf(core: Workspace, directory: int, leaf_at: int, leaf: int, frame: int) -> None:
    """Note what a walk has found: the entry that maps the page, and the directory entry above."""
    core[w.WALK_DIRECTORY] = directory
    core[w.WALK_LEAF_AT] = leaf_at
    core[w.WALK_LEAF] = leaf
    core[w.WALK_FRAME] = frame


@jit
def find_leaf(cpu: State, core: Workspace, ram: Bytes, gva: int) -> int:
    """Find the entry that maps an address in 32-bit paging: ABSENT, RESERVED, SMALL or LARGE."""
    mask = cpu[A20_MASK]
    has_large = cpu[CR4] & CR4_PSE
    directory_at = (cpu[CR3] & PAGE | gva >> 20 & 0xFFC) & mask
    directory = read_entry(core, ram, directory_at)
    core[w.WALK_DIRECTORY_AT] = directory_at
    if not directory & PTE_P:
        return ABSENT
    if directory & PTE_PS and has_large:
        frame = directory & 0xFFC00000 | gva & 0x003FF000
        keep_leaf(core, directory, directory_at, directory, frame & mask)
        return RESERVED if directory & _PDE_4M_RESERVED else LARGE
    leaf_at = (directory & PAGE | gva >> 10 & 0xFFC) & mask
    leaf = read_entry(core, ram, leaf_at)
    keep_leaf(core, directory, leaf_at, leaf, leaf & PAGE & mask)
    if not leaf & PTE_P:
        return ABSENT
    return RESERVED if has_large and leaf & _PTE_RESERVED else SMALL


@jit
def find_leaf_pae(cpu: State, core: Workspace, ram: Bytes, gva: int) -> int:
    """As `find_leaf`, in PAE paging."""
    mask = cpu[A20_MASK]
    pointer = cpu[PDPTE + (gva >> 30 & 3)]
    if not pointer & PTE_P:
        return ABSENT
    directory_at = (pointer & FRAME | gva >> 18 & 0xFF8) & mask
    directory = read_entry(core, ram, directory_at)
    high = read_entry(core, ram, directory_at + 4)
    core[w.WALK_DIRECTORY_AT] = directory_at
    if not directory & PTE_P:
        return ABSENT
    if high & _HIGH_RESERVED:
        return RESERVED
    if directory & PTE_PS:
        frame = high << 32 | directory & 0xFFE00000 | gva & 0x001FF000
        keep_leaf(core, directory, directory_at, directory, frame & mask)
        return RESERVED if directory & _PDE_2M_RESERVED else LARGE
    leaf_at = (high << 32 | directory & PAGE | gva >> 9 & 0xFF8) & mask
    leaf = read_entry(core, ram, leaf_at)
    high = read_entry(core, ram, leaf_at + 4)
    keep_leaf(core, directory, leaf_at, leaf, ((high & 0xF) << 32 | leaf & PAGE) & mask)
    if not leaf & PTE_P:
        return ABSENT
    return RESERVED if leaf & _PTE_RESERVED or high & _HIGH_RESERVED else SMALL


@jit
def probe(cpu: State, core: Workspace, ram: Bytes, gva: int, write: int, user: int) -> int:
    """What the tables say of an access, without a trace: frame and rights, or -1 - error code."""
    if not cpu[CR0] & CR0_PG:
        return gva & PAGE & cpu[A20_MASK] | RIGHT_WRITE | RIGHT_DIRTY  # type: ignore[no-any-return]
    error = write * PF_WRITE | user * PF_USER
    if cpu[CR4] & CR4_PAE:
        kind = find_leaf_pae(cpu, core, ram, gva)
    else:
        kind = find_leaf(cpu, core, ram, gva)
    if kind == ABSENT:
        return -1 - error
    if kind == RESERVED:
        return -1 - (error | PF_PRESENT | PF_RESERVED)
    leaf = core[w.WALK_LEAF]
    both = core[w.WALK_DIRECTORY] & leaf
    writable = 1 if both & PTE_W or (not user and not cpu[CR0] & CR0_WP) else 0
    if (user and not both & PTE_U) or (write and not writable):
        return -1 - (error | PF_PRESENT)
    found = core[w.WALK_FRAME] | writable * RIGHT_WRITE
    found |= RIGHT_LARGE if kind == LARGE else 0
    found |= RIGHT_GLOBAL if leaf & PTE_G else 0
    return found | (RIGHT_DIRTY if leaf & PTE_D else 0)  # type: ignore[no-any-return]


@jit
def walk(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, gva: int, write: int, user: int
) -> int:
    """Translate through the page tables, which is the only thing that counts as a TLB refill.

    Returns frame and rights, or -1 after recording #PF.
    """
    found = probe(cpu, core, ram, gva, write, user)
    if not cpu[CR0] & CR0_PG:
        return found
    charge(cpu, core, w.EVENT_TLB_REFILL, 1)
    if found < 0:
        cpu[CR2] = gva
        return raise_fault(core, PF, -1 - found)
    directory = core[w.WALK_DIRECTORY]
    leaf = core[w.WALK_LEAF]
    if not directory & PTE_A and not found & RIGHT_LARGE:
        store_checked(core, ram, marks, core[w.WALK_DIRECTORY_AT], 4, directory | PTE_A)
    wanted = leaf | PTE_A | (PTE_D if write else 0)
    if wanted != leaf:
        store_checked(core, ram, marks, core[w.WALK_LEAF_AT], 4, wanted)
    return found | (RIGHT_DIRTY if write else 0)
