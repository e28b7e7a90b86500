"""The event clock: order, cancellation, and events that survive a save."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa.devices.clock import EventClock


def test_time_advances_and_never_goes_back() -> None:
    clock = EventClock()
    clock.advance(5)
    clock.advance_to(5)
    clock.advance_to(9)
    assert clock.now == 9
    with pytest.raises(ValueError, match="cannot go back to 8"):
        clock.advance_to(8)
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-1)


def test_advancing_fires_nothing_by_itself() -> None:
    clock = EventClock()
    fired: list[int] = []
    clock.schedule(3, lambda: fired.append(3))
    clock.advance_to(10)
    assert fired == []
    assert clock.next_deadline() == 3
    assert clock.run_due() == 1
    assert fired == [3]
    assert clock.next_deadline() is None


def test_an_event_fires_at_its_time_not_before() -> None:
    clock = EventClock()
    fired: list[int] = []
    clock.schedule(3, lambda: fired.append(clock.now))
    clock.advance_to(2)
    assert clock.run_due() == 0
    clock.advance_to(3)
    assert clock.run_due() == 1
    assert fired == [3]


@given(st.lists(st.integers(0, 5), max_size=20))
def test_order_is_time_then_insertion(times: list[int]) -> None:
    clock = EventClock()
    fired: list[tuple[int, int]] = []
    for number, at in enumerate(times):
        clock.schedule(at, lambda key=(at, number): fired.append(key))
    clock.advance_to(5)
    clock.run_due()
    assert fired == sorted(fired)
    assert len(fired) == len(times)


def test_an_event_scheduled_by_an_event_is_due_in_the_same_run() -> None:
    clock = EventClock()
    fired: list[str] = []

    def first() -> None:
        fired.append("first")
        clock.schedule(4, lambda: fired.append("in the past"))
        clock.schedule(11, lambda: fired.append("in the future"))

    clock.schedule(5, first)
    clock.schedule(7, lambda: fired.append("second"))
    clock.advance_to(10)
    assert clock.run_due() == 3
    assert fired == ["first", "in the past", "second"]
    assert clock.next_deadline() == 11


def test_cancelled_events_do_not_fire() -> None:
    clock = EventClock()
    fired: list[str] = []
    early = clock.schedule(1, lambda: fired.append("early"))
    late = clock.schedule(2, lambda: fired.append("late"))
    clock.cancel(early)
    clock.cancel(early)
    clock.cancel(None)
    assert not early.is_due
    assert late.is_due
    assert clock.next_deadline() == 2
    clock.advance_to(2)
    clock.run_due()
    assert fired == ["late"]
    assert not late.is_due
    clock.cancel(late)
    assert clock.next_deadline() is None


def test_cancelled_events_do_not_pile_up() -> None:
    clock = EventClock()
    kept = [clock.schedule(10_000 + number, lambda: None) for number in range(10)]
    for number in range(10_000):
        clock.cancel(clock.schedule(1_000_000 - number, lambda: None))
    assert len(clock._events) < 200
    clock.advance_to(1_000_000)
    assert clock.run_due() == len(kept)


def test_saved_events_keep_their_place() -> None:
    def build(clock: EventClock, fired: list[str]) -> None:
        clock.schedule(7, lambda: fired.append("new"))
        clock.advance_to(9)
        clock.run_due()

    clock, fired = EventClock(), list[str]()
    first = clock.schedule(7, lambda: fired.append("a"))
    second = clock.schedule(7, lambda: fired.append("b"))
    clock.advance_to(3)
    saved, events = clock.save(), [first.save(), second.save()]
    build(clock, fired)

    again, refired = EventClock(), list[str]()
    again.restore(saved)
    assert again.now == 3
    again.restore_event(events[1], lambda: refired.append("b"))
    again.restore_event(events[0], lambda: refired.append("a"))
    assert again.restore_event(None, lambda: refired.append("none")) is None
    build(again, refired)
    assert fired == refired == ["a", "b", "new"]
    assert first.save() is None
