"""Faults planted in the monitor: the comparison must notice each, and point at where it began."""

from __future__ import annotations

import pytest

from hypervisor.comparison import Comparison, compare
from hypervisor.faults import GuestFault
from hypervisor.ring_compression.monitor import RingMonitor
from hypervisor.shadow_paging import ShadowPaging
from isa import vectors
from tools.loader import load

pytestmark = pytest.mark.compiled

RAM_BYTES = 16 << 20


def count_of(monitor: RingMonitor) -> int:
    """How often this monitor has been asked, this time included. The search makes many monitors."""
    count = int(getattr(monitor, "planted_count", 0)) + 1
    monitor.planted_count = count  # type: ignore[attr-defined]
    return count


def compare_minikernel() -> Comparison:
    """Bare against ring compression, with the result memory of the catalogue."""
    return compare(
        load("minikernel", ram_bytes=RAM_BYTES),
        ["bare", "ring"],
        ram_bytes=RAM_BYTES,
        budget=3_000_000,
        result_memory=[(0x114000, 80)],
    )


def test_without_a_planted_fault_they_are_equal() -> None:
    outcome = compare_minikernel()
    assert outcome.equivalent
    assert outcome.divergence is None


@pytest.mark.parametrize("which", [1, 20])
def test_a_dropped_page_fault_is_found_where_it_was_dropped(
    monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    """The monitor skips the faulting instruction instead of giving the fault to the guest."""
    reflect = RingMonitor._reflect_fault
    dropped: list[tuple[int, int]] = []

    def drop_one(self: RingMonitor, fault: GuestFault) -> None:
        if fault.vector == vectors.PF:
            if count_of(self) == which:
                dropped.append((self.completed, self.vcpu.eip))
                self.vcpu.eip += self._decode().length
                return
        reflect(self, fault)

    monkeypatch.setattr(RingMonitor, "_reflect_fault", drop_one)
    outcome = compare_minikernel()
    assert not outcome.equivalent
    assert outcome.divergence is not None
    assert len(dropped) > 1  # the search ran the guest again, and it failed alike
    assert set(dropped) == {dropped[0]}
    completed, eip = dropped[0]
    assert outcome.divergence.guest_instructions == completed
    assert outcome.divergence.eip == eip
    assert outcome.divergence.instruction
    assert any(difference.what == "eip" for difference in outcome.divergence.differences)


def test_a_forgotten_shadow_update_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guest writes a page-table entry and the shadow keeps the old translation."""
    written: list[int] = []

    def forget(self: ShadowPaging, gfn: int) -> None:
        written.append(gfn)

    monkeypatch.setattr(ShadowPaging, "written_by_guest", forget)
    monkeypatch.setattr(ShadowPaging, "invalidate", lambda self, gva: None)
    outcome = compare_minikernel()
    assert written
    assert not outcome.equivalent
    divergence = outcome.divergence
    assert divergence is not None
    assert divergence.instruction
    assert divergence.differences
    assert 0 < divergence.guest_instructions < outcome.runs[0].stop.guest_instructions


def test_a_lost_interrupt_is_found_where_it_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The monitor acknowledges the tenth interrupt and never gives it to the guest."""
    inject = RingMonitor.inject_interrupt
    lost: list[int] = []

    def lose_one(self: RingMonitor) -> bool:
        if self.can_be_interrupted and self.platform.interrupt_pending():
            if count_of(self) == 10:
                self.platform.acknowledge_interrupt()
                lost.append(self.completed)
                return False
        return inject(self)

    monkeypatch.setattr(RingMonitor, "inject_interrupt", lose_one)
    outcome = compare_minikernel()
    assert not outcome.equivalent
    assert outcome.divergence is not None
    assert set(lost) == {lost[0]}
    assert outcome.divergence.guest_instructions == lost[0]


def test_a_wrong_device_answer_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A console byte is lost on its way to the virtual serial port."""
    write = RingMonitor.write_port

    def lose_one(self: RingMonitor, port: int, size: int, value: int) -> None:
        if port == 0x3F8 and count_of(self) == 40:
            return
        write(self, port, size, value)

    monkeypatch.setattr(RingMonitor, "write_port", lose_one)
    outcome = compare_minikernel()
    assert not outcome.equivalent
    assert any("console" in difference for difference in outcome.differences)
    assert outcome.divergence is not None
