"""The comparison itself: what counts as a difference, and the search for its first instruction.

The techniques here are lists of states, so that the tests know the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.comparison import Comparison, compare, compare_techniques, same_state
from hypervisor.technique import Snapshot, StopReason, Technique, VmStopped
from isa.boot import BootImage

IMAGE = BootImage("scripted", ((0x1000, b"\x90"),), 0x1000, 0, 0, 0, True, None, "scripted")
START = Snapshot(
    guest_instructions=0,
    gpr=(0,) * 8,
    eip=0x1000,
    eflags=2,
    cpl=0,
    selectors=(0,) * 8,
    cr0=1,
    cr2=0,
    cr3=0,
    cr4=0,
    gdtr=(0, 0),
    idtr=(0, 0),
    halted=False,
    ram_digest="",
)


class Scripted(Technique):
    """EAX counts instructions; from `wrong_at` on it is off by one."""

    name = "scripted"
    summary = "a list of states"

    def __init__(
        self,
        length: int = 1000,
        wrong_at: int | None = None,
        *,
        console: bytes = b"hello\n",
        code: int | None = 1,
        reason: StopReason = StopReason.EXIT,
        interrupted: bool = False,
    ) -> None:
        super().__init__(4096)
        self.length, self.wrong_at, self.text, self.code = length, wrong_at, console, code
        self.reason, self.interrupted = reason, interrupted
        self.count = 0

    def boot(self, image: BootImage) -> None:
        assert image is IMAGE

    def _run(self, until: int | None) -> None:
        if self.interrupted:
            raise VmStopped(StopReason.INTERRUPTED, "")
        self.count = self.length if until is None else min(until, self.length)
        reason = self.reason if self.count == self.length else StopReason.BUDGET
        raise VmStopped(reason, "scripted")

    def is_wrong(self) -> bool:
        return self.wrong_at is not None and self.count >= self.wrong_at

    def snapshot(self) -> Snapshot:
        eax = self.count + self.is_wrong()
        gpr = (eax, *START.gpr[1:])
        digest = "wrong" if self.is_wrong() else ""
        return replace(
            START,
            guest_instructions=self.count,
            gpr=gpr,
            eip=0x1000 + self.count,
            ram_digest=digest,
        )

    def read_memory(self, gpa: int, size: int) -> bytes:
        memory = bytearray(4096)
        memory[0x20] = self.is_wrong()
        return bytes(memory[gpa : gpa + size])

    def read_code(self, size: int) -> bytes:
        return b"\x90"

    @property
    def code_bits(self) -> int:
        return 32

    @property
    def exit_code(self) -> int | None:
        return self.code

    @property
    def console(self) -> bytes:
        return self.text

    @property
    def guest_instructions(self) -> int:
        return self.count

    @property
    def cycles(self) -> int:
        return 0

    @property
    def ledger(self) -> Mapping[str, int]:
        return {}

    @property
    def exits(self) -> Mapping[str, int]:
        return {}


def pair(first: dict[str, object], second: dict[str, object], **options: object) -> Comparison:
    """Compare two scripted techniques."""
    makers = {
        "one": lambda: Scripted(**first),  # type: ignore[arg-type]
        "two": lambda: Scripted(**second),  # type: ignore[arg-type]
    }
    return compare_techniques(IMAGE, makers, **options)  # type: ignore[arg-type]


def test_equal_runs_are_equal():
    outcome = pair({}, {}, result_memory=[(0, 64)])
    assert outcome.equivalent
    assert outcome.divergence is None
    assert [run.name for run in outcome.runs] == ["one", "two"]


@given(length=st.integers(1, 100_000), data=st.data())
def test_the_first_wrong_instruction_is_found(length, data):
    wrong_at = data.draw(st.integers(1, length))
    outcome = pair(
        {"length": length}, {"length": length, "wrong_at": wrong_at}, result_memory=[(0x20, 1)]
    )
    assert not outcome.equivalent
    divergence = outcome.divergence
    assert divergence is not None
    assert divergence.guest_instructions == wrong_at - 1
    assert divergence.eip == 0x1000 + wrong_at - 1
    assert divergence.instruction == "nop"
    assert [difference.what for difference in divergence.differences] == [
        "eax",
        "memory 0x00000020",
    ]
    assert divergence.differences[0].first == f"{wrong_at:#010x}"
    assert divergence.differences[0].second == f"{wrong_at + 1:#010x}"


def test_states_that_differ_from_the_beginning_say_so():
    outcome = pair({}, {"wrong_at": 0}, result_memory=[(0x20, 1)])
    assert outcome.divergence is not None
    assert outcome.divergence.guest_instructions == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"code": 3}, "exit code: one 1, two 3"),
        ({"reason": StopReason.SHUTDOWN}, "stop: one exit, two shutdown"),
        ({"console": b"hello\nworld\n"}, "console line 2: one '', two 'world'"),
        ({"console": b"help\n"}, "console line 1: one 'hello', two 'help'"),
        ({"console": b"hello"}, "console line 2: one '', two '(nothing)'"),
    ],
)
def test_differences_are_put_into_words(options, words):
    outcome = pair({}, options)
    assert outcome.differences == (words,)
    assert outcome.divergence is not None


def test_a_run_that_ends_early_is_compared_up_to_its_end():
    outcome = pair({"length": 700}, {"length": 500})
    assert outcome.differences == ("guest instructions: one 700, two 500",)
    assert outcome.divergence is not None
    assert outcome.divergence.guest_instructions == 500
    assert [entry.what for entry in outcome.divergence.differences][-1] == "stop"


def test_the_search_is_announced():
    heard: list[str] = []
    pair({}, {"wrong_at": 5, "code": 2}, progress=lambda what, _count: heard.append(what))
    assert heard == ["searching where one and two part"]


def test_control_c_leaves_the_comparison():
    with pytest.raises(KeyboardInterrupt):
        pair({"interrupted": True}, {})


DIFFERENCES = {
    "eflags": 2 | 1 << 16,
    "cr2": 1,
    "halted": True,
    "ram_digest": "x",
    "gdtr": (0, 1),
    "selectors": (8, *START.selectors[1:]),
    "guest_instructions": 1,
}


@pytest.mark.parametrize("field", DIFFERENCES)
def test_every_part_of_the_state_is_compared(field):
    assert same_state(START, replace(START))
    assert not same_state(START, replace(START, **{field: DIFFERENCES[field]}))


def test_real_techniques_are_compared_by_name():
    from tests.hypervisor.small_guests import RAM_BYTES, guest

    heard: set[str] = set()
    outcome = compare(
        guest("nop"),
        ["bare", "ring"],
        ram_bytes=RAM_BYTES,
        budget=10_000,
        progress=lambda what, _count: heard.add(what),
    )
    assert outcome.equivalent
    assert outcome.guest == "small guest"
