"""Prints a digest of everything a fixed corpus of programs leaves behind.

Run as a program, in a process of its own, to compare compiled code with plain Python.
"""

from __future__ import annotations

import hashlib
from random import Random

from isa import state, workspace
from isa.exits import Exit
from isa.registers import DS
from tests.isa.program_machine import ProgramMachine, work_area
from tests.isa.random_programs import make_program

PROGRAMS = 30


def digest() -> str:
    """SHA-256 over state, memory and event counts after every slice of every program."""
    machine = ProgramMachine()
    processor = machine.processor
    found = hashlib.sha256()
    for seed in range(PROGRAMS):
        rng = Random(seed)
        program = make_program(rng)
        machine.load(program, work_area(seed))
        if seed % 3 == 1:
            processor.cpu[state.LIMIT + DS] = 0xFFFFFFFE
        while True:
            reason = processor.run(rng.choice((1, 40, 64, 90, 1000)))
            cpu, memory = machine.outcome()
            found.update(cpu.tobytes() + memory + bytes([reason]))
            if reason != Exit.BUDGET:
                break
        counts = processor.core[workspace.COUNT : workspace.COUNT + 4 * workspace.EVENTS]
        found.update(counts.tobytes())
    return found.hexdigest()


if __name__ == "__main__":
    print(digest())
