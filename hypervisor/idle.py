"""What passes while a guest waits in HLT: time, until a device interrupts.

Idle time is skipped, not spent: the clock jumps from event to event. A guest that no event wakes
has halted for good; but at the pace of real time somebody may press a key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hypervisor.pace import Pace
from hypervisor.technique import StopReason, VmStopped
from isa.devices.platform import Platform

# A timer whose line is masked goes on ticking for ever; after that many events nothing will come.
_EVENTS_WITHOUT_INTERRUPT: Final = 1 << 16


def wait_for_interrupt(platform: Platform, must_stop: Callable[[], bool], pace: Pace | None) -> int:
    """Let time pass until INTR is asserted, or for a moment at a `pace`; the ticks that took.

    Raises VmStopped for never. The wait can be taken up again.
    """
    if pace is None:
        return _skip_to_interrupt(platform, must_stop)
    clock = platform.clock
    started = clock.now
    while not platform.interrupt_pending() and not must_stop():
        deadline = clock.next_deadline()
        clock.advance_to(pace.wait(clock.now, deadline))
        if deadline is None or clock.now < deadline:
            break
        clock.run_due()
    return clock.now - started


def _skip_to_interrupt(platform: Platform, must_stop: Callable[[], bool]) -> int:
    """Let time pass until INTR is asserted; the ticks that took. Raises VmStopped for never.

    `must_stop` is asked between events; the wait can then be taken up again.
    """
    clock = platform.clock
    started = clock.now
    for _ in range(_EVENTS_WITHOUT_INTERRUPT):
        if platform.interrupt_pending() or must_stop():
            return clock.now - started
        deadline = clock.next_deadline()
        if deadline is None:
            raise VmStopped(StopReason.HALT, "HLT, and no device is going to interrupt")
        clock.advance_to(max(deadline, clock.now))
        clock.run_due()
    raise VmStopped(StopReason.HALT, "HLT, and what interrupts there are stay masked")
