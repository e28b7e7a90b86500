"""Random programs executed in every way the interpreter has must end in the same state.

In one go they run in kept blocks with specialised handlers; in short slices in blocks that are
decoded for once, with generic handlers. Counts and cycles are part of the state compared.
"""

from __future__ import annotations

from random import Random

import pytest

from isa import state
from isa.exits import Exit
from isa.jit import ENABLED
from isa.registers import DS, ES
from tests.isa.program_machine import ProgramMachine, assert_same, work_area
from tests.isa.random_programs import CODE, Program, make_program

pytestmark = pytest.mark.bounds

SEEDS = range(40 if ENABLED else 3)


@pytest.fixture(scope="module")
def machine():
    return ProgramMachine()


def in_one_go(machine: ProgramMachine, seed: int) -> Program:
    """Load a program, run it to its end, and load it again."""
    program = make_program(Random(seed))
    machine.load(program, work_area(seed))
    assert machine.run() == Exit.TRAPDOOR
    return program


def finish(machine: ProgramMachine, budget: int) -> int:
    """Run to the trapdoor in slices; how many ended because the budget was used up."""
    slices = 0
    while machine.run(budget) == Exit.BUDGET:
        slices += 1
    assert machine.processor.detail[0] == 0x55
    return slices


@pytest.mark.parametrize("budget", [1, 2, 7, 63, 64, 65, 200])
def test_slices_of_any_length_end_in_the_same_state(machine, budget):
    for seed in SEEDS:
        program = in_one_go(machine, seed)
        expected = machine.outcome()
        retired = machine.processor.retired_total
        machine.load(program, work_area(seed))
        slices = finish(machine, budget)
        assert slices == (retired - 1) // budget, "a slice has another number of instructions"
        assert_same(expected, machine.outcome())


def test_every_slice_retires_exactly_its_budget(machine):
    rng = Random(1)
    for seed in SEEDS:
        program = in_one_go(machine, seed)
        machine.load(program, work_area(seed))
        before = 0
        budget = rng.randrange(1, 200)
        while machine.run(budget) == Exit.BUDGET:
            assert machine.processor.retired_total == before + budget
            before += budget
            budget = rng.randrange(200)


def test_forgetting_everything_derived_changes_nothing(machine):
    rng = Random(2)
    for seed in SEEDS:
        program = in_one_go(machine, seed)
        expected = machine.outcome()
        machine.load(program, work_area(seed))
        while machine.run(rng.choice((1, 50, 100, 300))) == Exit.BUDGET:
            machine.processor.drop_derived()
        assert_same(expected, machine.outcome())


def test_segments_that_are_not_flat_change_nothing(machine):
    """Limits that end within a page keep every memory operand off the fast path."""
    for seed in SEEDS:
        program = in_one_go(machine, seed)
        expected_state, expected_memory = machine.outcome()
        machine.load(program, work_area(seed))
        cpu = machine.processor.cpu
        for segment in (DS, ES):
            cpu[state.LIMIT + segment] = 0xFFFFFFFE
        assert machine.run() == Exit.TRAPDOOR
        for segment in (DS, ES):
            cpu[state.LIMIT + segment] = 0xFFFFFFFF
        assert_same((expected_state, expected_memory), machine.outcome())


def test_code_that_is_already_decoded_changes_nothing(machine):
    for seed in SEEDS:
        program = in_one_go(machine, seed)
        expected = machine.outcome()
        machine.load(program, work_area(seed))
        processor = machine.processor
        processor.write_physical(CODE, b"\x90")  # elsewhere in the same page: decode again
        processor.write_physical(CODE, program.code[:1])
        assert machine.run() == Exit.TRAPDOOR
        assert_same(expected, machine.outcome())
        cpu = processor.cpu.copy()
        memory = work_area(seed)
        processor.cpu[:] = machine.clean
        processor.gpr[:] = program.registers
        processor.eflags = program.eflags
        processor.eip = program.entry
        processor.write_physical(0x20000, memory)  # the code stays: now it runs from the cache
        assert machine.run() == Exit.TRAPDOOR
        assert_same((cpu, expected[1]), machine.outcome())
