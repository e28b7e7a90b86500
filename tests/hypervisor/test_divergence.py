"""The search for the first divergence: exact, bounded, and deaf to nothing it promises to hear."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor.divergence import LOCKSTEP_BEFORE, Outcome, Side, find_divergence
from hypervisor.state_differences import View
from hypervisor.state_parts import Ignored
from hypervisor.technique import StopReason
from tests.hypervisor.scripted_runs import RAM_BYTES, START, Deviation, Scripted, maker

MOST = 3_000_000


def search(
    first: dict[str, Any], second: dict[str, Any], ignore: str = "", **options: Any
) -> tuple[Outcome, list[Scripted]]:
    """Search where two scripts part; the outcome, and every run that was made for it."""
    made: list[Scripted] = []
    sides = Side("one", maker(made, **first)), Side("two", maker(made, **second))
    view = View(Ignored.parse(ignore.split(",") if ignore else ()))
    return find_divergence(*sides, view, **options), made


def whats(outcome: Outcome) -> list[str]:
    assert outcome.divergence is not None
    return [difference.what for difference in outcome.divergence.differences]


@settings(max_examples=12)
@given(length=st.integers(1, MOST), data=st.data())
def test_a_planted_divergence_is_found_exactly(length: int, data: st.DataObject) -> None:
    planted = data.draw(st.integers(1, length))
    outcome, made = search({"length": length}, {"length": length, "wrong_at": planted})
    divergence = outcome.divergence
    assert divergence is not None
    assert divergence.is_exact
    assert divergence.guest_instructions == planted - 1
    assert divergence.eip == 0x1000 + planted - 1
    assert divergence.instruction == "nop"
    assert whats(outcome) == ["eax", "memory 0x00000020"]
    assert len(made) == 2 * outcome.remade
    assert outcome.remade <= 2 + math.ceil(math.log(MOST, 64))
    assert outcome.looks < 2000


@settings(max_examples=12)
@given(length=st.integers(0, MOST), every=st.none() | st.integers(1000, 5000))
def test_equal_runs_have_no_divergence(length: int, every: int | None) -> None:
    outcome, made = search({"length": length}, {"length": length}, every=every)
    assert outcome.divergence is None
    assert outcome.remade == 1
    assert len(made) == 2
    assert [stop.reason for stop in outcome.stops] == [StopReason.EXIT] * 2


@settings(max_examples=12)
@given(first=st.integers(0, 100_000), second=st.integers(0, 100_000))
def test_runs_of_different_length_part_where_the_shorter_ends(first: int, second: int) -> None:
    outcome, _ = search({"length": first}, {"length": second})
    if first == second:
        assert outcome.divergence is None
        return
    assert outcome.divergence is not None
    assert outcome.divergence.guest_instructions == min(first, second)
    assert "instructions" in whats(outcome)


@settings(max_examples=12)
@given(length=st.integers(2, 20_000), late=st.booleans())
def test_an_end_that_one_side_sees_an_instant_later_is_no_difference(
    length: int, late: bool
) -> None:
    outcome, _ = search({"length": length}, {"length": length, "sees_end_late": late})
    assert outcome.divergence is None


MOVED = msgspec.structs.replace(START.segments[3], base=16)
REGISTERS = {
    "ds.base": {"segments": (*START.segments[:3], MOVED, *START.segments[4:])},
    "cr3": {"cr3": 0x5000},
    "dr7": {"dr": (*START.dr[:7], 0x401)},
    "sysenter.eip": {"sysenter": (0, 0, 1)},
    "tsc": {"tsc_offset": 1},
    "pending.shadow": {"interrupts_held": True},
    "halted": {"halted": True},
    "gdtr.limit": {"gdtr": msgspec.structs.replace(START.gdtr, limit=7)},
}


@pytest.mark.parametrize("name", REGISTERS)
@settings(max_examples=12)
@given(at=st.integers(1, 50_000))
def test_a_difference_anywhere_in_the_processor_is_found(name: str, at: int) -> None:
    wrong = Deviation(at, registers=REGISTERS[name])
    outcome, _ = search({"length": 60_000}, {"length": 60_000, "deviations": [wrong]})
    assert outcome.divergence is not None
    assert outcome.divergence.guest_instructions == at - 1
    assert whats(outcome) == [name]
    hidden, _ = search({"length": 60_000}, {"length": 60_000, "deviations": [wrong]}, ignore=name)
    assert hidden.divergence is None


@settings(max_examples=12)
@given(at=st.integers(1, 50_000), address=st.integers(0, RAM_BYTES - 1), value=st.integers(1, 255))
def test_a_difference_in_memory_alone_is_found(at: int, address: int, value: int) -> None:
    wrong = {"length": 60_000, "deviations": [Deviation(at, memory=(address, value))]}
    outcome, _ = search({"length": 60_000}, wrong)
    assert outcome.divergence is not None
    assert outcome.divergence.guest_instructions == at - 1
    assert whats(outcome) == [f"memory {address & ~3:#010x}"]
    for ignored in ("memory", f"memory.{address}", f"memory.{address:#x}-{address:#x}"):
        assert search({"length": 60_000}, wrong, ignore=ignored)[0].divergence is None
    beside = f"memory.{address + 1}"
    assert search({"length": 60_000}, wrong, ignore=beside)[0].divergence is not None


@settings(max_examples=12)
@given(at=st.integers(1, 50_000))
def test_a_difference_in_a_device_alone_is_found(at: int) -> None:
    wrong = {"length": 60_000, "deviations": [Deviation(at, device=5)]}
    outcome, _ = search({"length": 60_000}, wrong)
    assert outcome.divergence is not None
    assert outcome.divergence.guest_instructions == at - 1
    assert whats(outcome) == ["devices.toy.value"]
    for ignored in ("devices", "devices.toy", "devices.toy.value"):
        assert search({"length": 60_000}, wrong, ignore=ignored)[0].divergence is None


@settings(max_examples=12)
@given(stays=st.integers(1000, 500_000), before=st.integers(1, LOCKSTEP_BEFORE - 1))
def test_a_difference_that_goes_away_shortly_before_one_that_stays_is_found(
    stays: int, before: int
) -> None:
    passing = Deviation(stays - before, stays - before, registers={"cr2": 1})
    wrong = {"length": 600_000, "wrong_at": stays, "deviations": [passing]}
    outcome, _ = search({"length": 600_000}, wrong)
    assert outcome.divergence is not None
    assert outcome.divergence.guest_instructions == stays - before - 1
    assert whats(outcome) == ["cr2"]


@settings(max_examples=12)
@given(at=st.integers(1, 900), length=st.integers(0, 3))
def test_looking_after_every_instruction_finds_what_comes_and_goes(at: int, length: int) -> None:
    passing = Deviation(at, at + length, registers={"cr2": 1})
    script = {"length": 1000, "deviations": [passing]}
    assert search({}, script)[0].divergence is None
    outcome, _ = search({}, script, every=1)
    assert outcome.divergence is not None
    assert outcome.divergence.guest_instructions == at - 1


@settings(max_examples=12)
@given(begin=st.integers(0, 5000), end=st.integers(1, 5000), wrong_at=st.integers(1, 5000))
def test_the_search_keeps_to_its_range(begin: int, end: int, wrong_at: int) -> None:
    start, until = sorted((begin, begin + end))
    outcome, _ = search(
        {"length": 20_000}, {"length": 20_000, "wrong_at": wrong_at}, start=start, until=until
    )
    if wrong_at > until:
        assert outcome.divergence is None
    elif wrong_at <= start:
        assert outcome.divergence is not None
        assert outcome.divergence.span == 0
    else:
        assert outcome.divergence is not None
        assert outcome.divergence.guest_instructions == wrong_at - 1


@settings(max_examples=12)
@given(later=st.integers(1, 20_000))
def test_what_differs_from_the_beginning_is_set_aside(later: int) -> None:
    always = Deviation(
        0, registers={"cr3": 0x1000, "eflags": 2 | 1 << 21}, memory=(99, 7), device=3
    )
    also = Deviation(later, memory=(100, 1))
    script = {"length": 30_000, "deviations": [always, also]}
    outcome, _ = search({"length": 30_000}, script, sets_aside=True)
    assert {part.what for part in outcome.set_aside} == {
        "cr3",
        "eflags",
        "eflags.id",
        "memory 0x00000060",
        "devices.toy.value",
    }
    assert outcome.divergence is not None
    assert outcome.divergence.guest_instructions == later - 1
    assert whats(outcome) == ["memory 0x00000064"]
    strict, _ = search({"length": 30_000}, script)
    assert strict.divergence is not None
    assert strict.divergence.span == 0


def test_of_a_register_of_bits_only_those_are_set_aside_that_differed() -> None:
    id_flag = Deviation(0, registers={"eflags": 2 | 1 << 21})
    carry = Deviation(700, registers={"eflags": 2 | 1 << 21 | 1})
    outcome, _ = search({}, {"deviations": [id_flag, carry]}, sets_aside=True)
    assert outcome.divergence is not None
    assert outcome.divergence.guest_instructions == 699
    assert whats(outcome) == ["eflags", "eflags.cf"]


@settings(max_examples=12)
@given(state=st.integers(1, 900))
def test_runs_that_get_nowhere_are_equal_wherever_they_were_cut_off(state: int) -> None:
    script = {"length": 900, "reason": StopReason.ERROR}
    cut = Deviation(900, registers={"cr2": state}, memory=(1, 1))
    outcome, _ = search(script, script | {"deviations": [cut]})
    assert outcome.divergence is None


@settings(max_examples=12)
@given(at=st.integers(1, 899), reason=st.sampled_from([StopReason.ERROR, StopReason.SHUTDOWN]))
def test_runs_that_break_off_are_compared_up_to_there(at: int, reason: StopReason) -> None:
    class Real(Scripted):
        """Stops at its last instruction first if asked to, as guests do."""

        def _run(self, until: int | None) -> None:
            self.sees_end_late = True
            super()._run(until)

    def make(**script: Any) -> Real:
        return Real(900, reason=reason, **script)

    outcome = find_divergence(Side("one", make), Side("two", lambda: make(wrong_at=at)))
    assert outcome.divergence is not None
    assert outcome.divergence.guest_instructions == at - 1
    assert find_divergence(Side("one", make), Side("two", make)).divergence is None


def test_different_ends_after_the_same_instruction_are_found() -> None:
    outcome, _ = search({}, {"reason": StopReason.HALT})
    assert outcome.divergence is not None
    assert outcome.divergence.guest_instructions == 999
    assert whats(outcome) == ["stop"]


class Jumpy(Scripted):
    """Wrong from 20,000 instructions on, but only after running 500 of them without a stop."""

    def is_wrong(self) -> bool:
        return self.count >= 20_000 and self.asked[-1] - self.asked[-2] >= 500


def test_a_difference_that_depends_on_where_the_runs_stop_is_reported_as_such() -> None:
    sides = Side("one", lambda: Scripted(100_000)), Side("two", lambda: Jumpy(100_000))
    divergence = find_divergence(*sides).divergence
    assert divergence is not None
    assert not divergence.is_exact
    first = divergence.guest_instructions
    assert first < 20_000 <= first + divergence.span
    assert divergence.differences


def test_the_trail_has_as_many_steps_as_were_asked_for() -> None:
    outcome, _ = search({}, {"wrong_at": 500}, context=7)
    assert outcome.divergence is not None
    for side in outcome.divergence.sides:
        assert [step.completed for step in side.executed] == list(range(493, 500))
    assert outcome.divergence.sides[1].state.gpr[0] == 501


def test_control_c_ends_the_search() -> None:
    with pytest.raises(KeyboardInterrupt):
        search({}, {"interrupted": True})


def test_progress_is_told() -> None:
    heard: list[tuple[str, int]] = []
    search({}, {"wrong_at": 900}, progress=lambda what, count: heard.append((what, count)))
    assert {"starting", "comparing", "narrowing down", "instruction by instruction"} == {
        what for what, _ in heard
    }
