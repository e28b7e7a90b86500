"""Instructions recorded from a real 80286, executed by our processor: all equal.

The whole set runs with compiled code, samples of it with bounds checks and in plain Python.
"""

from __future__ import annotations

import os
from collections import Counter
from itertools import islice

import pytest

from isa.jit import CHECKED, ENABLED
from tests.oracles import recorded_rules
from tests.oracles.recorded_machine import RecordedMachine
from tests.oracles.recorded_vectors import forms, pack, recordings_of, unpack

pytestmark = pytest.mark.oracle

WHOLE_SET = 180_200
SAMPLE = 20 if CHECKED else 600 if ENABLED else 4
TESTS_OF_FORM = int(os.environ.get("TRAPGATE_ORACLE_VECTORS", SAMPLE))
SHOWN = 5


@pytest.mark.bounds
@pytest.mark.parametrize("row", "0123456789ABCDEF")
def test_every_recorded_instruction_ends_as_recorded(row):
    machine = RecordedMachine()
    problems = []
    for form in forms():
        if form[0] == row:
            tests = islice(recordings_of(form), TESTS_OF_FORM)
            fit = (test for test in tests if recorded_rules.left_out(test) is None)
            problems += machine.differences(recorded_rules.adapted(test)[:2] for test in fit)
    assert machine.count
    assert not problems, f"{len(problems)} differ:\n" + "\n".join(map(str, problems[:SHOWN]))


@pytest.mark.compiled  # needs no compiling, but seconds; once is enough
def test_rules_are_used_as_often_as_they_say():
    used: Counter[str] = Counter()
    total = 0
    for form in forms():
        for test in recordings_of(form):
            total += 1
            rule = recorded_rules.left_out(test) or recorded_rules.adapted(test)[2]
            if rule:
                used[rule] += 1
    assert total == WHOLE_SET
    assert used == {rule: uses for rule, (uses, _) in recorded_rules.RULES.items()}


def test_every_form_has_at_least_200_tests():
    few = [form for form in forms() if len(list(recordings_of(form))) < 200]
    assert not few
    assert len(forms()) == 325


def test_packing_loses_nothing():
    tests = list(recordings_of("A5"))
    for before, after in zip(tests, unpack("A5", pack(tests)), strict=True):
        assert str(before) == str(after)
        assert (before.after == after.after).all()
        assert (before.places == after.places).all()
        assert (before.changed_values == after.changed_values).all()


def test_a_wrong_result_would_be_noticed():
    """A recording that has been falsified differs: in a register, a flag, a byte of memory."""
    machine = RecordedMachine()
    test = next(test for test in recordings_of("01") if len(test.changed_places) == 2)
    assert not list(machine.differences([(test, 0)]))
    for register, bit in ((0, 1), (13, 1), (12, 2)):
        test.after[register] ^= bit
        assert len(list(machine.differences([(test, 0)]))) == 1
        test.after[register] ^= bit
    assert not list(machine.differences([(test, 1)]))
    test.changed_values[1] ^= 0x80
    assert len(list(machine.differences([(test, 0)]))) == 1


@pytest.mark.parametrize(
    ("form", "flags"),
    [("00", 0), ("08", 0x10), ("F7.6", 0x8D5), ("D4", 0x811), ("27", 0x800)],
)
def test_undefined_flags_come_from_the_table(form, flags):
    assert recorded_rules.undefined_flags(next(recordings_of(form))) == flags
