"""What passes while a guest waits in HLT: time, until a device interrupts.

Idle time is skipped, not spent: the clock jumps from event to event. A guest that no event wakes
has halted for good.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hypervisor.technique import StopReason, VmStopped
from isa.devices.platform import Platform

# A timer whose line is masked goes on ticking for ever; after that many events nothing will come.
_EVENTS_WITHOUT_INTERRUPT: Final = 1 << 16


def skip_to_interrupt(platform: Platform, must_stop: Callable[[], bool]) -> int:
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
