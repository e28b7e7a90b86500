"""The pace of real time: idle time passes no faster than the host's clock.

Only idle time is held back; while a guest computes, its time is its instructions, and may run ahead
or fall behind. What it is behind by is made up for when it idles, unless it is more than a second.
A run at this pace is for people who watch it: it never repeats exactly.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from isa.devices.clock import TICKS_PER_SECOND

# A wait comes back that often, so that its owner can show output, take input and stop.
WAIT_SECONDS: Final = 0.05
_MOST_BEHIND: Final = TICKS_PER_SECOND
_NANOSECONDS: Final = 1_000_000_000


class Pace:
    """Compares the event clock with the host's."""

    def __init__(
        self,
        nanoseconds: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._nanoseconds = nanoseconds
        self._sleep = sleep
        self._ahead: int | None = None  # ticks that the event clock shows more than the host's

    def wait(self, now: int, deadline: int | None) -> int:
        """Wait from tick `now` on until `deadline`, but not long; the tick that is reached."""
        if self._ahead is None or self._host + self._ahead - now > _MOST_BEHIND:
            self._ahead = now - self._host
        reached = self._host + self._ahead
        if deadline is None or reached < deadline:
            missing = WAIT_SECONDS
            if deadline is not None:
                missing = min(missing, (deadline - reached) / TICKS_PER_SECOND)
            self._sleep(missing)
            reached = self._host + self._ahead
        return max(now, reached if deadline is None else min(reached, deadline))

    @property
    def _host(self) -> int:
        """The host's clock in ticks."""
        return self._nanoseconds() * TICKS_PER_SECOND // _NANOSECONDS
