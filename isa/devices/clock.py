"""The event clock: the one source of time for all devices of a machine or VM.

One tick is one retired guest instruction, or one tick of idle time that HLT skipped. Nothing here
looks at the host's time, so equal guests see equal devices. Advancing the clock does not fire
events: the owner advances it to where the guest has got, then calls `run_due`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

import msgspec

TICKS_PER_SECOND = 100_000_000
"""Nominal speed of the guest: what devices take a second to be."""

_COMPACT_ABOVE = 64


class SavedEvent(msgspec.Struct, frozen=True):
    """What a device saves of an event of its own, so that it fires in the same order again."""

    at: int
    sequence: int


class ClockState(msgspec.Struct):
    """State of the clock. Events belong to the devices that scheduled them."""

    now: int = 0
    scheduled: int = 0


class Event:
    """A callback that the clock owes to a device. Made by `EventClock.schedule` only."""

    __slots__ = ("at", "callback", "sequence")

    def __init__(self, at: int, sequence: int, callback: Callable[[], None]) -> None:
        self.at = at
        self.sequence = sequence
        self.callback: Callable[[], None] | None = callback

    @property
    def is_due(self) -> bool:
        """Whether the event still waits to be fired (not fired, not cancelled)."""
        return self.callback is not None

    def save(self) -> SavedEvent | None:
        """Return what restores the event, or None when it was fired or cancelled."""
        return SavedEvent(self.at, self.sequence) if self.callback is not None else None


class EventClock:
    """Time in ticks and the events that are still to come, in (time, insertion) order."""

    def __init__(self) -> None:
        self._state = ClockState()
        self._events: list[tuple[int, int, Event]] = []
        self._cancelled = 0

    @property
    def now(self) -> int:
        """Ticks since power-on."""
        return self._state.now

    def advance(self, ticks: int) -> None:
        """Let `ticks` pass. Fires nothing."""
        self.advance_to(self._state.now + ticks)

    def advance_to(self, at: int) -> None:
        """Set the time to `at`, which may not lie in the past. Fires nothing."""
        if at < self._state.now:
            raise ValueError(f"the clock is at {self._state.now} and cannot go back to {at}")
        self._state.now = at

    def schedule(self, at: int, callback: Callable[[], None]) -> Event:
        """Owe `callback` from time `at` on. A time in the past is due at the next `run_due`."""
        sequence = self._state.scheduled
        self._state.scheduled += 1
        return self._insert(Event(at, sequence, callback))

    def cancel(self, event: Event | None) -> None:
        """Forget an event. Cancelling one that was fired or cancelled does nothing."""
        if event is None or event.callback is None:
            return
        event.callback = None
        self._cancelled += 1
        # A guest that reprograms a timer in a loop must not fill the host's memory.
        if self._cancelled > _COMPACT_ABOVE and self._cancelled * 2 > len(self._events):
            self._events = [entry for entry in self._events if entry[2].callback is not None]
            heapq.heapify(self._events)
            self._cancelled = 0

    def next_deadline(self) -> int | None:
        """Time of the earliest event, or None when nothing is scheduled."""
        while self._events and self._events[0][2].callback is None:
            heapq.heappop(self._events)
            self._cancelled -= 1
        return self._events[0][0] if self._events else None

    def run_due(self) -> int:
        """Fire every event whose time has come, those scheduled meanwhile included.

        Returns how many were fired. Callbacks see `now` unchanged: it may be later than their
        event's time, and a device that must not drift computes from the latter.
        """
        fired = 0
        while (at := self.next_deadline()) is not None and at <= self._state.now:
            event = heapq.heappop(self._events)[2]
            callback, event.callback = event.callback, None
            if callback is not None:
                callback()
                fired += 1
        return fired

    def save(self) -> ClockState:
        """Return a copy of the clock's own state, without events."""
        return ClockState(self._state.now, self._state.scheduled)

    def restore(self, state: ClockState) -> None:
        """Set the time and forget every event; devices bring theirs with `restore_event`."""
        self._state = ClockState(state.now, state.scheduled)
        self._events = []
        self._cancelled = 0

    def restore_event(self, saved: SavedEvent | None, callback: Callable[[], None]) -> Event | None:
        """Owe a saved event again, in its old place among those of equal time."""
        if saved is None:
            return None
        return self._insert(Event(saved.at, saved.sequence, callback))

    def _insert(self, event: Event) -> Event:
        heapq.heappush(self._events, (event.at, event.sequence, event))
        return event
