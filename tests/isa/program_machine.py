"""A processor with a random program loaded, and what is compared after it has run."""

from __future__ import annotations

from random import Random

import numpy as np
from numpy.typing import NDArray

from isa import state, workspace
from isa.exits import Exit
from isa.host_calls import refresh
from isa.processor import Processor
from tests.isa.random_programs import CODE, DATA, WORK_BYTES, Program

RAM_BYTES = 1 << 20
ENOUGH = 1_000_000


def work_area(seed: int) -> bytes:
    """Random contents for everything a program reads."""
    return Random(seed).randbytes(WORK_BYTES)


class ProgramMachine:
    """One processor, used for many programs.

    Every event that would be delivered ends the run as a shutdown, because there is no IDT.
    """

    def __init__(self) -> None:
        self.processor = Processor(RAM_BYTES)
        self.processor.cpu[state.IDTR_LIMIT] = 0
        self.clean = self.processor.cpu.copy()

    def load(self, program: Program, data: bytes) -> None:
        processor = self.processor
        processor.cpu[:] = self.clean
        processor.write_physical(CODE, program.code)
        processor.write_physical(DATA, data)
        processor.gpr[:] = program.registers
        processor.eflags = program.eflags
        processor.eip = program.entry
        processor.core[workspace.COUNT : workspace.COUNT + 4 * workspace.EVENTS] = 0
        refresh(processor.cpu, processor.core)

    def run(self, budget: int = ENOUGH) -> Exit:
        return self.processor.run(budget)

    def outcome(self) -> tuple[NDArray[np.int64], bytes]:
        """Architectural state (cycles and counts included) and memory."""
        processor = self.processor
        return processor.cpu.copy(), processor.memory[DATA : DATA + WORK_BYTES].tobytes()


def assert_same(
    expected: tuple[NDArray[np.int64], bytes], found: tuple[NDArray[np.int64], bytes]
) -> None:
    """Compare two outcomes; names the words of the state that differ."""
    names = [name for name, words in state.FIELDS for _ in range(words)]
    differing = [
        f"{names[index]}: {int(expected[0][index]):#x} and {int(found[0][index]):#x}"
        for index in np.flatnonzero(expected[0] != found[0])
    ]
    assert not differing, differing
    assert expected[1] == found[1], "memory differs"
