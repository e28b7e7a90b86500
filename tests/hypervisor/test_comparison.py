"""The comparison itself: what counts as a difference, and the search for its first instruction.

Most techniques here are scripted, so that the tests know the answer.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor.comparison import Comparison, compare, compare_techniques, same_state
from hypervisor.technique import StopReason
from tests.hypervisor.scripted_runs import IMAGE, Scripted


def pair(first: dict[str, object], second: dict[str, object], **options: object) -> Comparison:
    """Compare two scripted techniques."""
    makers = {
        "one": lambda: Scripted(**first),  # type: ignore[arg-type]
        "two": lambda: Scripted(**second),  # type: ignore[arg-type]
    }
    return compare_techniques(IMAGE, makers, **options)  # type: ignore[arg-type]


def test_equal_runs_are_equal():
    outcome = pair({}, {}, result_memory=[(0, 64)])
    assert outcome.equivalent
    assert outcome.divergence is None
    assert [run.name for run in outcome.runs] == ["one", "two"]


@settings(max_examples=12)
@given(length=st.integers(1, 100_000), data=st.data())
def test_the_first_wrong_instruction_is_found(length, data):
    wrong_at = data.draw(st.integers(1, length))
    outcome = pair(
        {"length": length}, {"length": length, "wrong_at": wrong_at}, result_memory=[(0x20, 1)]
    )
    assert not outcome.equivalent
    divergence = outcome.divergence
    assert divergence is not None
    assert divergence.guest_instructions == wrong_at - 1
    assert divergence.eip == 0x1000 + wrong_at - 1
    assert divergence.instruction == "nop"
    assert [difference.what for difference in divergence.differences] == [
        "eax",
        "memory 0x00000020",
    ]
    assert divergence.differences[0].first == f"{wrong_at:#010x}"
    assert divergence.differences[0].second == f"{wrong_at + 1:#010x}"


def test_states_that_differ_from_the_beginning_say_so():
    outcome = pair({}, {"wrong_at": 0}, result_memory=[(0x20, 1)])
    assert outcome.divergence is not None
    assert outcome.divergence.guest_instructions == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"code": 3}, "exit code: one 1, two 3"),
        ({"reason": StopReason.SHUTDOWN}, "stop: one exit, two shutdown"),
        ({"console": b"hello\nworld\n"}, "console line 2: one '', two 'world'"),
        ({"console": b"help\n"}, "console line 1: one 'hello', two 'help'"),
        ({"console": b"hello"}, "console line 2: one '', two '(nothing)'"),
    ],
)
def test_differences_are_put_into_words(options, words):
    outcome = pair({}, options)
    assert outcome.differences == (words,)
    assert outcome.divergence is not None


def test_a_run_that_ends_early_is_compared_up_to_its_end():
    outcome = pair({"length": 700}, {"length": 500})
    assert outcome.differences == ("guest instructions: one 700, two 500",)
    assert outcome.divergence is not None
    assert outcome.divergence.guest_instructions == 500
    assert [entry.what for entry in outcome.divergence.differences][-1] == "stop"
    assert outcome.divergence.sides[0].stop.reason is StopReason.BUDGET


def test_the_search_is_announced():
    heard: list[str] = []
    pair(
        {},
        {"wrong_at": 5},
        result_memory=[(0x20, 1)],
        progress=lambda what, _count: heard.append(what),
    )
    assert heard[0] == "searching where one and two part"
    assert "instruction by instruction" in heard


def test_control_c_leaves_the_comparison():
    with pytest.raises(KeyboardInterrupt):
        pair({"interrupted": True}, {})


DIFFERENCES = {
    "eflags": 2 | 1 << 16,
    "cr2": 1,
    "halted": True,
    "ram_digest": "x",
    "gdtr": (0, 1),
    "selectors": (9,) * 8,
    "guest_instructions": 1,
}


@pytest.mark.parametrize("field", DIFFERENCES)
def test_every_part_of_the_state_is_compared(field):
    start = Scripted().snapshot()
    assert same_state(start, replace(start))
    assert not same_state(start, replace(start, **{field: DIFFERENCES[field]}))


def test_real_techniques_are_compared_by_name():
    from tests.hypervisor.small_guests import RAM_BYTES, guest

    heard: set[str] = set()
    outcome = compare(
        guest("nop"),
        ["bare", "ring"],
        ram_bytes=RAM_BYTES,
        budget=10_000,
        progress=lambda what, _count: heard.add(what),
    )
    assert outcome.equivalent
    assert outcome.guest == "small guest"
