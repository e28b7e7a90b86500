"""Random programs against Unicorn: what instructions leave behind for the ones that follow."""

from __future__ import annotations

import os
from random import Random

import numpy as np
import pytest

from isa.exits import Exit
from isa.jit import ENABLED
from tests.case_count import count_case
from tests.isa.program_machine import RAM_BYTES, ProgramMachine, work_area
from tests.isa.random_programs import CODE, DATA, WORK_BYTES, make_program
from tests.oracles.unicorn_machine import UnicornMachine

pytestmark = pytest.mark.oracle

PROGRAMS = int(os.environ.get("TRAPGATE_ORACLE_PROGRAMS", "150" if ENABLED else "5"))
TRAPDOOR_BYTES = 3
STATUS = 0x8D5


@pytest.fixture(scope="module")
def machines():
    return ProgramMachine(), UnicornMachine(RAM_BYTES)


@pytest.mark.parametrize("part", range(5))
def test_programs_end_as_in_unicorn(machines, part):
    ours, other = machines
    processor = ours.processor
    for seed in range(part, PROGRAMS, 5):
        count_case()
        program, data = make_program(Random(seed), define_flags=True), work_area(seed)
        ours.load(program, data)
        assert ours.run() == Exit.TRAPDOOR, f"program {seed}"
        other.write(CODE, program.code)
        other.write(DATA, data)
        other.forget_code()
        other.set_registers(program.registers, program.eflags)
        end = CODE + len(program.code) - TRAPDOOR_BYTES
        assert other.run(program.entry, end) is None, f"program {seed}"
        general, eip, eflags = other.registers()
        assert processor.eip == eip + TRAPDOOR_BYTES, f"program {seed}"
        assert [hex(int(value)) for value in processor.gpr] == [hex(value) for value in general], (
            seed
        )
        assert (processor.eflags ^ eflags) & STATUS == 0, f"program {seed}"
        first, last = DATA, DATA + WORK_BYTES
        differing = np.flatnonzero(processor.memory[first:last] != other.memory[first:last])
        assert not differing.size, f"program {seed}: memory from {DATA + int(differing[0]):#x}"
