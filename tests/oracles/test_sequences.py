"""Sequences of instructions against Unicorn and the host's own processor, steered by Hypothesis.

Real mode, protected mode at ring 0, programs at ring 3 and in virtual-8086 mode, which may try what
they may not; 16- and 32-bit code. Compared: general registers, EIP, flags, memory, the vector of a
fault; error codes, which Unicorn does not show, in the tests of the host's processor.
"""

from __future__ import annotations

import os
from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa.jit import CHECKED, ENABLED
from tests.oracles.host_machine import HostUnavailableError
from tests.oracles.instruction_sequences import (
    FORMS,
    LONGEST,
    PRIVILEGED,
    Sequence,
    make_sequence,
    run_sequences,
)
from tests.oracles.sequence_pairs import PAIRS, SequencePair

pytestmark = pytest.mark.oracle

QUICK = 100 if CHECKED or not ENABLED else 20_000
INSTRUCTIONS = int(os.environ.get("TRAPGATE_ORACLE_INSTRUCTIONS", QUICK))
EXAMPLES = 100 if ENABLED else 5
SEED = 20_261_125


@cache
def pair(name: str) -> SequencePair:
    try:
        return PAIRS[name]()
    except HostUnavailableError as reason:
        pytest.skip(f"no native execution: {reason}")


operands = st.integers(0, 2**32 - 1)
instructions = st.lists(st.tuples(st.sampled_from(FORMS), operands), min_size=1, max_size=LONGEST)
programs = st.lists(
    st.tuples(st.sampled_from(FORMS) | st.sampled_from(PRIVILEGED), operands),
    min_size=1,
    max_size=LONGEST,
)


@pytest.mark.parametrize("name", PAIRS)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_sequences_that_hypothesis_finds(name, data):
    machines = pair(name)
    elements = data.draw(programs if machines.privileged else instructions)
    sequence = make_sequence(machines, elements, data.draw(operands))
    assert machines.sequence_differences(sequence) == []


@pytest.mark.parametrize("name", PAIRS)
def test_many_sequences(name):
    machines = pair(name)
    problems = run_sequences(machines, INSTRUCTIONS, SEED)
    assert machines.instructions >= INSTRUCTIONS
    assert not problems, "\n".join(problems)


def test_a_difference_would_be_noticed():
    """A sequence that runs on our side with one instruction exchanged differs."""
    machines = pair("protected mode, 32-bit")
    elements = [(form, 1) for form in FORMS if form.name in ("ADD_rm32_r32", "MOV_r32_imm32")]
    sequence = make_sequence(machines, elements, 1)
    assert machines.sequence_differences(sequence) == []
    load = machines._load_sequence

    def falsified(sequence: Sequence) -> None:
        load(sequence)
        machines.ours.gpr[:] ^= 0x10

    machines._load_sequence = falsified
    try:
        assert machines.sequence_differences(sequence)
    finally:
        del machines._load_sequence


def test_a_sequence_is_the_same_every_time():
    machines = pair("protected mode, 32-bit")
    rng = Random(5)
    elements = [(rng.choice(FORMS), rng.getrandbits(32)) for _ in range(LONGEST)]
    first, second = (make_sequence(machines, elements, 9).code for _ in range(2))
    assert first == second
