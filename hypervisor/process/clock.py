"""The time a program sees: virtual by default, so that every run is the same.

Virtual time is the number of instructions the program has completed, at one per nanosecond, and
the time it has slept, which is skipped. The calendar begins at 2000-01-01 00:00:00 UTC.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

NANOSECONDS: Final = 1_000_000_000
EPOCH_SECONDS: Final = 946_684_800  # 2000-01-01 00:00:00 UTC
NANOSECONDS_PER_INSTRUCTION: Final = 1


class Clock:
    """Time since the start, and the calendar."""

    is_real = False

    def __init__(self, retired: Callable[[], int]) -> None:
        self._retired = retired
        self._skipped = 0

    def monotonic(self) -> int:
        """Nanoseconds since the program began."""
        return self._retired() * NANOSECONDS_PER_INSTRUCTION + self._skipped

    def calendar(self) -> int:
        """Nanoseconds since 1970."""
        return EPOCH_SECONDS * NANOSECONDS + self.monotonic()

    def used(self) -> int:
        """Nanoseconds of processor time used by the program."""
        return self._retired() * NANOSECONDS_PER_INSTRUCTION

    def pause(self, nanoseconds: int) -> None:
        """Let time pass while the program waits."""
        self._skipped += nanoseconds

    def instructions_until(self, moment: int) -> int:
        """After how many more instructions a moment of the monotonic clock has come."""
        return max(moment - self.monotonic(), 0) // NANOSECONDS_PER_INSTRUCTION


class RealClock(Clock):
    """The host's time."""

    is_real = True
    _LOOK_AFTER: Final = 1_000_000

    def __init__(self, retired: Callable[[], int]) -> None:
        super().__init__(retired)
        self._started = time.monotonic_ns()

    def monotonic(self) -> int:
        """Nanoseconds since the program began."""
        return time.monotonic_ns() - self._started

    def calendar(self) -> int:
        """Nanoseconds since 1970."""
        return time.time_ns()

    def pause(self, nanoseconds: int) -> None:
        """Wait, a twentieth of a second at most: the caller looks for signals and comes again."""
        time.sleep(min(nanoseconds, NANOSECONDS // 20) / NANOSECONDS)

    def instructions_until(self, moment: int) -> int:
        """How often to look at the clock when a moment is awaited."""
        return 0 if moment <= self.monotonic() else self._LOOK_AFTER
