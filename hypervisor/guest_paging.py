"""The guest's page tables, walked by software: what the guest believes its processor does.

The rules are those of the machine's own walk (isa.page_walk), written independently: it is what the
shadow tables are filled from, and tests hold the two against each other. Virtual processors have no
PAE; its tables can only be looked through (`peek`), for listings of the bare machine.

Source: SDM vol. 3A, "32-Bit Paging"; "PAE Paging"; "Access Rights"; "Page-Fault Exceptions";
"Accessed and Dirty Flags".
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hypervisor.addresses import PAGE_MASK, Gpa, Gva
from hypervisor.faults import page_fault
from hypervisor.guest_memory import GuestMemory
from isa.registers import (
    CR0_PG,
    CR0_WP,
    CR4_PAE,
    CR4_PSE,
    PTE_A,
    PTE_D,
    PTE_P,
    PTE_PS,
    PTE_U,
    PTE_W,
)

# Must be zero in the entry of a 4 MiB page: no PSE-36, no PAT.
_LARGE_RESERVED: Final = 0x003FF000
_FRAME_36: Final = 0xFFFFFF000


class PagingState(NamedTuple):
    """The registers that paging depends on, and the mask of address line 20."""

    cr0: int
    cr3: int
    cr4: int
    pdptes: tuple[int, ...] = (0, 0, 0, 0)
    a20_mask: int = -1

    @property
    def is_on(self) -> bool:
        """CR0.PG."""
        return bool(self.cr0 & CR0_PG)

    @property
    def has_large_pages(self) -> bool:
        """CR4.PSE: directory entries can map pages, and have bits that must be zero."""
        return bool(self.cr4 & CR4_PSE)

    @property
    def protects_kernel(self) -> bool:
        """CR0.WP: read-only pages bind the supervisor too."""
        return bool(self.cr0 & CR0_WP)


class Translation(NamedTuple):
    """Where a linear address leads, and through which entries (as they are after the walk).

    With paging off `directory_gpa` is -1; for a large page `table_gpa` is -1 and `entry` is the
    directory entry.
    """

    gpa: Gpa
    directory_gpa: int
    directory_entry: int
    table_gpa: int
    entry: int

    @property
    def is_large(self) -> bool:
        """A 4 MiB page."""
        return self.directory_gpa >= 0 and self.table_gpa < 0


def identity(gva: Gva) -> Translation:
    """The translation with paging off."""
    return Translation(Gpa(gva), -1, 0, -1, 0)


def walk(
    memory: GuestMemory, paging: PagingState, gva: Gva, *, write: bool, user: bool
) -> Translation:
    """Translate as the processor does: sets accessed and dirty bits, raises #PF."""
    if not paging.is_on:
        return identity(gva)
    found = _find(memory, paging, gva)
    if found is None:
        raise page_fault(gva, present=False, write=write, user=user)
    if _breaks_reservation(paging, found):
        raise page_fault(gva, present=True, write=write, user=user, reserved=True)
    both = found.directory_entry & found.entry
    writable = both & PTE_W or (not user and not paging.protects_kernel)
    if (user and not both & PTE_U) or (write and not writable):
        raise page_fault(gva, present=True, write=write, user=user)
    return _mark(memory, found, write=write)


def _breaks_reservation(paging: PagingState, found: Translation) -> bool:
    """Whether the entry that maps the page has a bit set that has to be zero."""
    if not paging.has_large_pages:
        return False
    return bool(found.entry & (_LARGE_RESERVED if found.is_large else PTE_PS))


def _mark(memory: GuestMemory, found: Translation, *, write: bool) -> Translation:
    """Set the accessed bits, and the dirty bit for a write."""
    directory_entry = found.directory_entry
    if not found.is_large and not directory_entry & PTE_A:
        directory_entry |= PTE_A
        memory.write_entry(Gpa(found.directory_gpa), directory_entry)
    wanted = found.entry | PTE_A | (PTE_D if write else 0)
    if wanted != found.entry:
        at = found.directory_gpa if found.is_large else found.table_gpa
        memory.write_entry(Gpa(at), wanted)
    if found.is_large:
        directory_entry = wanted
    return found._replace(directory_entry=directory_entry, entry=wanted)


def peek(memory: GuestMemory, paging: PagingState, gva: Gva) -> Translation | None:
    """Translate without rights and without a trace: for debuggers, listings and monitors."""
    if not paging.is_on:
        return identity(Gva(gva & paging.a20_mask))
    if paging.cr4 & CR4_PAE:
        return _find_pae(memory, paging, gva)
    found = _find(memory, paging, gva)
    return None if found is None or _breaks_reservation(paging, found) else found


def _find(memory: GuestMemory, paging: PagingState, gva: Gva) -> Translation | None:
    """Follow present entries."""
    mask = paging.a20_mask
    directory_gpa = (paging.cr3 & PAGE_MASK | gva >> 20 & 0xFFC) & mask
    directory_entry = memory.read_entry(Gpa(directory_gpa))
    if not directory_entry & PTE_P:
        return None
    if directory_entry & PTE_PS and paging.has_large_pages:
        gpa = Gpa((directory_entry & 0xFFC00000 | gva & 0x003FFFFF) & mask)
        return Translation(gpa, directory_gpa, directory_entry, -1, directory_entry)
    table_gpa = (directory_entry & PAGE_MASK | gva >> 10 & 0xFFC) & mask
    entry = memory.read_entry(Gpa(table_gpa))
    if not entry & PTE_P:
        return None
    gpa = Gpa((entry & PAGE_MASK | gva & 0xFFF) & mask)
    return Translation(gpa, directory_gpa, directory_entry, table_gpa, entry)


def _find_pae(memory: GuestMemory, paging: PagingState, gva: Gva) -> Translation | None:
    """As `_find`, through the tables of PAE; reserved bits are not looked at."""
    mask = paging.a20_mask

    def entry_at(gpa: int) -> int:
        return memory.read_entry(Gpa(gpa)) | memory.read_entry(Gpa(gpa + 4)) << 32

    pointer = paging.pdptes[gva >> 30]
    if not pointer & PTE_P:
        return None
    directory_gpa = (pointer & _FRAME_36 | gva >> 18 & 0xFF8) & mask
    directory_entry = entry_at(directory_gpa)
    if not directory_entry & PTE_P:
        return None
    if directory_entry & PTE_PS:
        gpa = Gpa((directory_entry & 0xFFFE00000 | gva & 0x1FFFFF) & mask)
        return Translation(gpa, directory_gpa, directory_entry, -1, directory_entry)
    table_gpa = (directory_entry & _FRAME_36 | gva >> 9 & 0xFF8) & mask
    entry = entry_at(table_gpa)
    if not entry & PTE_P:
        return None
    gpa = Gpa((entry & _FRAME_36 | gva & 0xFFF) & mask)
    return Translation(gpa, directory_gpa, directory_entry, table_gpa, entry)
