"""The guest's page tables, walked by software: what the guest believes its processor does.

The rules are those of the machine's own walk (isa.paging), written independently: it is what the
shadow tables are filled from, and tests hold the two against each other.

Source: SDM vol. 3A, "32-Bit Paging"; "Access Rights"; "Page-Fault Exceptions"; "Accessed and Dirty
Flags".
"""

from __future__ import annotations

from typing import NamedTuple

from hypervisor.addresses import PAGE_MASK, Gpa, Gva
from hypervisor.faults import page_fault
from hypervisor.guest_memory import GuestMemory
from isa.registers import (
    CR0_PG,
    CR0_WP,
    CR4_PSE,
    PTE_A,
    PTE_D,
    PTE_P,
    PTE_PS,
    PTE_U,
    PTE_W,
)


class PagingState(NamedTuple):
    """The control registers that paging depends on."""

    cr0: int
    cr3: int
    cr4: int

    @property
    def is_on(self) -> bool:
        """CR0.PG."""
        return bool(self.cr0 & CR0_PG)

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
    found = peek(memory, paging, gva)
    if found is None:
        raise page_fault(gva, present=False, write=write, user=user)
    both = found.directory_entry & found.entry
    writable = both & PTE_W or (not user and not paging.protects_kernel)
    if (user and not both & PTE_U) or (write and not writable):
        raise page_fault(gva, present=True, write=write, user=user)
    return _mark(memory, found, write=write)


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
        return identity(gva)
    directory_gpa = paging.cr3 & PAGE_MASK | gva >> 20 & 0xFFC
    directory_entry = memory.read_entry(Gpa(directory_gpa))
    if not directory_entry & PTE_P:
        return None
    if directory_entry & PTE_PS and paging.cr4 & CR4_PSE:
        gpa = Gpa(directory_entry & 0xFFC00000 | gva & 0x003FFFFF)
        return Translation(gpa, directory_gpa, directory_entry, -1, directory_entry)
    table_gpa = directory_entry & PAGE_MASK | gva >> 10 & 0xFFC
    entry = memory.read_entry(Gpa(table_gpa))
    if not entry & PTE_P:
        return None
    gpa = Gpa(entry & PAGE_MASK | gva & 0xFFF)
    return Translation(gpa, directory_gpa, directory_entry, table_gpa, entry)
