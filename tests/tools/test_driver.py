"""Driving a technique: slices, limits, the console as it grows, Ctrl-C."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools import driver
from tools.driver import Limits, drive


@dataclass
class FakeStop:
    reason: str
    detail: str = ""
    eip: int = 0x1000
    instruction: str = "nop"


@dataclass
class FakeMachine:
    """Prints one character every ten instructions and stops after `length` of them."""

    length: int
    text: bytes = b""
    reason: str = "exit"
    exit_code: int | None = 33
    interrupt_at: int | None = None
    guest_instructions: int = 0
    targets: list[int] = field(default_factory=list)
    cycles: int = 0
    ledger: dict[str, int] = field(default_factory=dict)
    exits: dict[str, int] = field(default_factory=dict)

    @property
    def console(self) -> bytes:
        return self.text[: self.guest_instructions // 10]

    def run(self, until: int | None = None) -> FakeStop:
        assert until is not None
        self.targets.append(until)
        if self.interrupt_at is not None and until >= self.interrupt_at:
            raise KeyboardInterrupt
        self.guest_instructions = min(until, self.length)
        if self.guest_instructions == self.length:
            return FakeStop(self.reason, "wrote 0x10")
        return FakeStop("budget")


def drive_all(machine: FakeMachine, limits: Limits | None = None):
    written: list[bytes] = []
    return drive(machine, limits or Limits(), written.append), b"".join(written)


@given(length=st.integers(1, 3_000_000), text=st.binary(max_size=400))
def test_the_console_arrives_whole_and_in_order(length, text):
    machine = FakeMachine(length, text)
    ending, written = drive_all(machine)
    assert written == text[: length // 10]
    assert (ending.reason, ending.detail) == ("exit", "wrote 0x10")
    assert machine.targets == sorted(machine.targets)


@pytest.mark.parametrize("reason", ["exit", "shutdown", "halt", "error"])
def test_the_reason_is_passed_on(reason):
    ending, _ = drive_all(FakeMachine(10, reason=reason))
    assert ending.reason == reason
    assert (ending.eip, ending.instruction) == (0x1000, "nop")


@given(length=st.integers(1, 10**6), budget=st.integers(1, 10**6))
def test_the_budget_is_exact(length, budget):
    machine = FakeMachine(length)
    ending, _ = drive_all(machine, Limits(budget=budget))
    assert machine.guest_instructions == min(length, budget)
    assert ending.reason == ("budget" if budget < length else "exit")


def test_waiting_for_text_ends_the_run():
    machine = FakeMachine(10**9, b"booting\nready\n" + bytes(10**5))
    ending, written = drive_all(machine, Limits(until_text=b"ready"))
    assert ending.reason == "until"
    assert b"ready" in written
    assert machine.guest_instructions < 10**6


def test_a_timeout_ends_a_guest_that_never_does(monkeypatch):
    seconds = iter(range(10**6))
    monkeypatch.setattr(driver.time, "perf_counter", lambda: next(seconds))
    ending, _ = drive_all(FakeMachine(10**12), Limits(timeout_s=60))
    assert ending.reason == "budget"
    assert "60 s" in ending.detail


def test_ctrl_c_is_a_typed_ending():
    ending, written = drive_all(FakeMachine(10**9, b"x" * 10**6, interrupt_at=10**6))
    assert (ending.reason, ending.eip) == ("interrupted", 0x1000)
    assert written
