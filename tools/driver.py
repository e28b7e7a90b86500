"""Drive one technique to its end: in slices, so that the console flows and limits are kept.

The guest's time does not depend on how its run is sliced; only host-side limits (a timeout, a text
to wait for, Ctrl-C) look at the clock of the host. Knows no technique: anything with the methods of
`Running` will do.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

# The first slice is short so that a first line of output shows at once; later ones aim at a
# twentieth of a second, which is how long Ctrl-C may take.
_FIRST_SLICE: Final = 20_000
_LONGEST_SLICE: Final = 50_000_000
_SLICE_SECONDS: Final = 0.05
# Stops after which the guest is run again: the slice is over, or the guest idles in real time.
_GOES_ON: Final = ("budget", "waiting")


class Stopped(Protocol):
    """Why a run ended, as `hypervisor.technique.Stop` says it."""

    @property
    def reason(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def eip(self) -> int: ...
    @property
    def instruction(self) -> str: ...


class Running(Protocol):
    """What the driver needs of a technique that has booted a guest."""

    @property
    def exit_code(self) -> int | None: ...
    @property
    def console(self) -> bytes: ...
    @property
    def guest_instructions(self) -> int: ...
    @property
    def cycles(self) -> int: ...
    @property
    def ledger(self) -> Mapping[str, int]: ...
    @property
    def exits(self) -> Mapping[str, int]: ...

    def run(self, until: int | None = None) -> Stopped: ...


@dataclass(frozen=True)
class Limits:
    """When to end a run that does not end by itself; None means never."""

    budget: int | None = None
    timeout_s: float | None = None
    until_text: bytes | None = None


@dataclass(frozen=True)
class Ending:
    """How a run ended. `reason` is a stop reason, or "until" when the awaited text appeared."""

    reason: str
    detail: str
    eip: int
    instruction: str
    host_seconds: float


def drive(technique: Running, limits: Limits, write_console: Callable[[bytes], None]) -> Ending:
    """Run until the guest stops or a limit is reached; pass on the console as it grows."""
    started = time.perf_counter()
    slice_instructions = _FIRST_SLICE
    written = 0
    last: Stopped | None = None
    try:
        while True:
            begun = time.perf_counter()
            target = technique.guest_instructions + slice_instructions
            if limits.budget is not None:
                target = min(target, limits.budget)
            last = technique.run(target)
            now = time.perf_counter()
            console = technique.console
            write_console(console[written:])
            written = len(console)
            reason = _verdict(last, technique, limits, console, now - started)
            if reason:
                return Ending(*reason, last.eip, last.instruction, now - started)
            slice_instructions = _next_slice(slice_instructions, now - begun)
    except KeyboardInterrupt:
        seconds = time.perf_counter() - started
        eip, instruction = (last.eip, last.instruction) if last is not None else (0, "")
        return Ending("interrupted", "Ctrl-C", eip, instruction, seconds)


def _verdict(
    stop: Stopped, technique: Running, limits: Limits, console: bytes, seconds: float
) -> tuple[str, str] | None:
    """Reason and detail if the run is over, None if the slice was merely used up."""
    if limits.until_text is not None and limits.until_text in console:
        text = limits.until_text.decode("utf-8", "replace")
        return "until", f"the console shows {text!r}"
    if stop.reason not in _GOES_ON:
        return str(stop.reason), stop.detail
    if limits.budget is not None and technique.guest_instructions >= limits.budget:
        return "budget", f"budget of {limits.budget:,} guest instructions is used up"
    if limits.timeout_s is not None and seconds >= limits.timeout_s:
        return "budget", f"timeout of {limits.timeout_s:g} s is over"
    return None


def _next_slice(instructions: int, seconds: float) -> int:
    wanted = instructions * _SLICE_SECONDS / max(seconds, 1e-6)
    return max(_FIRST_SLICE, min(int(wanted), instructions * 4, _LONGEST_SLICE))


def console_digest(console: bytes) -> str:
    """The digest by which consoles are compared across runs and machines."""
    return hashlib.sha256(console).hexdigest()
