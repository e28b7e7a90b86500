"""The small machine of tests in assembly, with paging on: one table maps 4 MiB identically."""

from __future__ import annotations

from tests.isa.assembly_machine import AssemblyMachine

P, W, U, A, D, PS, G = 1, 2, 4, 0x20, 0x40, 0x80, 0x100
PG, WP = 1 << 31, 1 << 16
PSE, PAE, PGE = 1 << 4, 1 << 5, 1 << 7
DIRECTORY, TABLE = 0xA000, 0xB000


def use_paging(machine: AssemblyMachine, wp: bool = True) -> None:
    """Identity map for everybody, writable."""
    for page in range(1024):
        machine.poke(TABLE + 4 * page, page << 12 | P | W | U)
    machine.poke(DIRECTORY, TABLE | P | W | U)
    machine.processor.load_cr3(DIRECTORY)
    machine.processor.load_cr0(machine.processor.cr0 | PG | (WP if wp else 0))


def set_page(machine: AssemblyMachine, linear: int, entry: int) -> None:
    machine.poke(TABLE + 4 * (linear >> 12), entry)


def page(machine: AssemblyMachine, linear: int) -> int:
    return machine.peek(TABLE + 4 * (linear >> 12))
