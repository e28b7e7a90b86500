"""Real time: idle time waits for the host's clock, which is made up here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hypervisor.bare import Bare
from hypervisor.idle import wait_for_interrupt
from hypervisor.pace import WAIT_SECONDS, Pace
from hypervisor.ring_compression.technique import RingCompression
from hypervisor.technique import StopReason
from isa.devices.clock import TICKS_PER_SECOND
from isa.devices.configuration import DEFAULT
from isa.devices.platform import Platform
from tests.hypervisor.small_guests import RAM_BYTES, guest


class Host:
    """A clock that goes on only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 10**12
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += round(seconds * 10**9)

    def pace(self) -> Pace:
        return Pace(lambda: self.now, self.sleep)


def test_a_deadline_is_waited_for() -> None:
    host = Host()
    pace = host.pace()
    assert pace.wait(0, 1_000_000) == 1_000_000
    assert host.slept == [pytest.approx(0.01)]


def test_a_wait_comes_back_soon() -> None:
    host = Host()
    pace = host.pace()
    reached = pace.wait(0, TICKS_PER_SECOND)
    assert reached == pytest.approx(WAIT_SECONDS * TICKS_PER_SECOND, abs=1)
    assert pace.wait(reached, None) == pytest.approx(2 * reached, abs=2)


def test_a_guest_that_is_behind_does_not_wait() -> None:
    host = Host()
    pace = host.pace()
    pace.wait(0, 1)
    slept = len(host.slept)
    host.now += 10**9 // 2
    assert pace.wait(2, 1_000_000) == 1_000_000
    assert len(host.slept) == slept


def test_being_far_behind_is_forgiven() -> None:
    host = Host()
    pace = host.pace()
    pace.wait(0, 1)
    slept = len(host.slept)
    host.now += 3600 * 10**9
    assert pace.wait(2, 1_000_000) == pytest.approx(1_000_000, abs=2)
    assert len(host.slept) == slept + 1


def test_a_guest_that_is_ahead_stays_where_it_is() -> None:
    host = Host()
    pace = host.pace()
    pace.wait(0, 1)
    assert pace.wait(TICKS_PER_SECOND, TICKS_PER_SECOND + 5) == TICKS_PER_SECOND


def test_without_any_event_the_wait_goes_on_for_keys() -> None:
    platform = Platform(lambda gpa, size: bytes(size), 4 << 20)
    host = Host()
    pace = host.pace()
    assert wait_for_interrupt(platform, lambda: False, pace) > 0
    assert not platform.interrupt_pending()


@pytest.mark.compiled
@pytest.mark.parametrize("kind", [Bare, RingCompression])
def test_a_guest_in_real_time(kind: type[Bare | RingCompression]) -> None:
    image = guest("mov ecx, 11932\ncall timer_on\nsti\nhlt\nhlt\nhlt\ncli")
    paced = kind(RAM_BYTES, devices=replace(DEFAULT, real_time=True))
    host = Host()
    paced._pace = host.pace()
    paced.boot(image)
    waits = 0
    while (stop := paced.run()).reason is StopReason.WAITING:
        waits += 1
    assert stop.reason is StopReason.EXIT
    assert sum(host.slept) == pytest.approx(0.03, rel=0.5)

    unpaced = kind(RAM_BYTES)
    unpaced.boot(image)
    unpaced.run()
    assert paced.snapshot() == unpaced.snapshot()
    assert paced.guest_instructions == unpaced.guest_instructions
