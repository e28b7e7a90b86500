"""An assembly machine whose debug registers tests set, and the #DB that come of it."""

from __future__ import annotations

from typing import NamedTuple

from isa import state
from isa.registers import CR4_DE, DR6_FIXED, DR7_FIXED, ESP
from isa.vectors import DB
from tests.isa.assembly_machine import AssemblyMachine, Event

EXECUTE, WRITE, PORT, ACCESS = range(4)
LENGTHS = {1: 0, 2: 1, 4: 3, 8: 2}
BS = 1 << 14


class Breakpoint(NamedTuple):
    """What one of the debug registers watches. `size` is that of LEN; 1, 2, 4, or 8."""

    address: int
    condition: int = EXECUTE
    size: int = 1
    enabled: int = 3  # bit 0 locally, bit 1 globally

    def touches(self, address: int, size: int) -> bool:
        """Whether an access to `size` bytes overlaps the aligned range."""
        first = self.address & -self.size
        return address < first + self.size and first < address + size


def set_breakpoints(machine: AssemblyMachine, *breakpoints: Breakpoint, extensions: bool = True):
    """Set DR0 to DR3 and DR7 as their owner would between two runs, and clear DR6."""
    cpu = machine.processor.cpu
    dr7 = DR7_FIXED
    for number, it in enumerate(breakpoints):
        cpu[state.DR + number] = it.address
        dr7 |= it.enabled << 2 * number
        dr7 |= (it.condition | LENGTHS[it.size] << 2) << 16 + 4 * number
    cpu[state.DR + 6] = DR6_FIXED
    cpu[state.DR + 7] = dr7
    if extensions:
        cpu[state.CR4] |= CR4_DE


def conditions(machine: AssemblyMachine) -> int:
    """What DR6 says, without its fixed bits; it is cleared."""
    dr6 = int(machine.processor.cpu[state.DR + 6])
    machine.processor.cpu[state.DR + 6] = DR6_FIXED
    return dr6 & ~DR6_FIXED


def next_debug(machine: AssemblyMachine, hits: int, budget: int = 100_000) -> Event:
    """Run to #DB with exactly these conditions."""
    event = machine.expect(DB, budget)
    assert conditions(machine) == hits
    return event


def resume(machine: AssemblyMachine, event: Event, flags: int | None = None) -> None:
    """What IRETD of the handler does."""
    processor = machine.processor
    processor.gpr[ESP] += 12
    processor.eip = event.eip
    processor.eflags = event.eflags if flags is None else flags
