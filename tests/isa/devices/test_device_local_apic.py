"""The local APIC, statement by statement of SDM vol. 3A, "APIC"."""

from __future__ import annotations

import pytest

from isa.devices.clock import EventClock
from isa.devices.local_apic import BASE_AT_RESET, LocalApic, Mode, Register

ENABLE = 0x1FF
MASK = 0x10000


class Board:
    """A local APIC with its clock, and what it told others."""

    def __init__(self) -> None:
        self.clock = EventClock()
        self.refused: list[str] = []
        self.ended: list[int] = []
        self.apic = LocalApic(self.clock, self.refused.append)
        self.apic.on_end_of_interrupt(self.ended.append)

    def write(self, register: int, value: int) -> None:
        self.apic.write(register, 4, value)

    def read(self, register: int) -> int:
        return self.apic.read(register, 4)

    def request(self, vector: int, *, level: bool = False) -> bool:
        return self.apic.accept(Mode.FIXED, vector, 0, False, level)

    def wait(self, ticks: int) -> None:
        end = self.clock.now + ticks
        while (at := self.clock.next_deadline()) is not None and at <= end:
            self.clock.advance_to(max(at, self.clock.now))
            self.clock.run_due()
        self.clock.advance_to(end)


@pytest.fixture
def board() -> Board:
    made = Board()
    made.write(Register.SVR, ENABLE)
    return made


def test_state_after_reset() -> None:
    board = Board()
    expected = {
        Register.ID: 0,
        Register.VERSION: 0x00040011,
        Register.TPR: 0,
        Register.LDR: 0,
        Register.DFR: 0xFFFFFFFF,
        Register.SVR: 0xFF,
        Register.ICR_LOW: 0,
        Register.INITIAL_COUNT: 0,
        Register.CURRENT_COUNT: 0,
        Register.DIVIDE: 0,
    }
    expected |= dict.fromkeys((800, 832, 848, 864, 880), MASK)
    for register, value in expected.items():
        assert board.read(register) == value, hex(register)
    for offset in range(0x100, 0x280, 0x10):
        assert board.read(offset) == 0
    assert board.apic.vector is None


def test_a_disabled_apic_takes_no_fixed_interrupts_and_keeps_its_masks() -> None:
    board = Board()
    assert not board.request(0x40)
    board.write(Register.LVT_TIMER, 0x40)
    assert board.read(Register.LVT_TIMER) == MASK | 0x40
    board.write(Register.SVR, ENABLE)
    board.write(Register.LVT_TIMER, 0x40)
    assert board.read(Register.LVT_TIMER) == 0x40
    board.write(Register.SVR, 0xFF)
    assert board.read(Register.LVT_TIMER) == MASK | 0x40


def test_the_low_bits_of_the_spurious_vector_are_ones(board: Board) -> None:
    board.write(Register.SVR, 0xFFFFFF20)
    assert board.read(Register.SVR) == 0x32F
    assert board.apic.acknowledge() == 0x2F  # nothing was requested
    assert board.read(Register.ISR + 0x10) == 0


def test_priorities(board: Board) -> None:
    board.request(0x41)
    board.request(0x95)
    board.request(0x52)
    assert board.apic.acknowledge() == 0x95
    assert board.read(Register.ISR + 0x40) == 1 << 0x15
    assert board.read(Register.PPR) == 0x90
    assert board.apic.vector is None
    board.request(0x9F)  # the same class waits
    assert board.apic.vector is None
    board.request(0xA0)
    assert board.apic.acknowledge() == 0xA0
    board.write(Register.EOI, 0)
    board.write(Register.EOI, 0)
    assert board.apic.acknowledge() == 0x9F
    board.write(Register.EOI, 0)
    board.write(Register.TPR, 0x50)
    assert board.read(Register.PPR) == 0x50
    assert board.apic.vector is None  # 52h is of the task's own class
    board.write(Register.TPR, 0x4F)
    assert board.apic.acknowledge() == 0x52
    board.write(Register.EOI, 0)
    assert board.apic.vector is None
    board.write(Register.TPR, 0x30)
    assert board.apic.acknowledge() == 0x41


def test_the_task_priority_shows_where_nothing_of_its_class_is_served(board: Board) -> None:
    board.request(0x45)
    board.apic.acknowledge()
    board.write(Register.TPR, 0x47)
    assert board.read(Register.PPR) == 0x47
    board.write(Register.TPR, 0x37)
    assert board.read(Register.PPR) == 0x40
    assert board.read(Register.APR) == 0x40


def test_end_of_a_level_triggered_interrupt_is_told(board: Board) -> None:
    board.request(0x60, level=True)
    assert board.read(Register.TMR + 0x30) == 1
    board.request(0x61)
    board.apic.acknowledge()
    board.write(Register.EOI, 0)
    assert board.ended == []
    board.apic.acknowledge()
    board.write(Register.EOI, 0)
    assert board.ended == [0x60]
    board.write(Register.EOI, 0)  # nothing in service: nothing happens
    assert board.ended == [0x60]


@pytest.mark.parametrize(
    ("code", "divisor"), [(0, 2), (1, 4), (2, 8), (3, 16), (8, 32), (9, 64), (10, 128), (11, 1)]
)
def test_timer_divides(board: Board, code: int, divisor: int) -> None:
    board.write(Register.DIVIDE, code)
    board.write(Register.INITIAL_COUNT, 1000)
    board.wait(10 * divisor)
    assert board.read(Register.CURRENT_COUNT) == 990
    board.wait(divisor - 1)
    assert board.read(Register.CURRENT_COUNT) == 990


def test_one_shot(board: Board) -> None:
    board.write(Register.DIVIDE, 0xB)
    board.write(Register.LVT_TIMER, 0x33)
    board.write(Register.INITIAL_COUNT, 500)
    board.wait(499)
    assert board.apic.vector is None
    board.wait(1)
    assert board.apic.acknowledge() == 0x33
    assert board.read(Register.CURRENT_COUNT) == 0
    board.wait(5000)
    assert board.apic.vector is None
    assert board.read(Register.INITIAL_COUNT) == 500


def test_periodic(board: Board) -> None:
    board.write(Register.DIVIDE, 0xB)
    board.write(Register.LVT_TIMER, 0x20033)
    board.write(Register.INITIAL_COUNT, 100)
    for _ in range(3):
        board.wait(100)
        assert board.apic.acknowledge() == 0x33
        board.write(Register.EOI, 0)
    board.wait(30)
    assert board.read(Register.CURRENT_COUNT) == 70
    board.write(Register.INITIAL_COUNT, 0)
    assert board.read(Register.CURRENT_COUNT) == 0
    assert board.clock.next_deadline() is None


def test_a_masked_timer_counts_and_owes_no_event(board: Board) -> None:
    board.write(Register.DIVIDE, 0xB)
    board.write(Register.LVT_TIMER, MASK | 0x20033)
    board.write(Register.INITIAL_COUNT, 100)
    assert board.clock.next_deadline() is None
    board.wait(250)
    assert board.read(Register.CURRENT_COUNT) == 50
    board.write(Register.LVT_TIMER, 0x20033)
    board.wait(49)
    assert board.apic.vector is None
    board.wait(1)
    assert board.apic.vector == 0x33


def test_a_new_divisor_holds_for_what_is_left(board: Board) -> None:
    board.write(Register.DIVIDE, 0xB)
    board.write(Register.INITIAL_COUNT, 100)
    board.wait(40)
    board.write(Register.DIVIDE, 0)
    assert board.read(Register.CURRENT_COUNT) == 60
    board.wait(20)
    assert board.read(Register.CURRENT_COUNT) == 50


def test_errors_show_after_the_register_was_written(board: Board) -> None:
    board.write(Register.LVT_ERROR, 0xE3)
    board.read(0x3F0)
    assert board.read(Register.ESR) == 0
    assert board.apic.acknowledge() == 0xE3
    board.write(Register.ESR, 0)
    assert board.read(Register.ESR) == 0x80
    board.write(Register.ICR_LOW, 0x40005)  # to self, vector 5
    board.write(Register.ESR, 0)
    assert board.read(Register.ESR) == 0x20
    board.request(0xF)
    board.write(Register.ESR, 0)
    assert board.read(Register.ESR) == 0x40
    board.write(Register.ESR, 0)
    assert board.read(Register.ESR) == 0


@pytest.mark.parametrize(
    ("high", "low", "arrives"),
    [
        (0, 0x40055, True),  # self
        (0, 0x80055, True),  # all including self
        (0, 0xC0055, False),  # all but self
        (0, 0x00055, True),  # APIC ID 0
        (1 << 24, 0x00055, False),  # APIC ID 1
        (0xFF << 24, 0x00055, True),  # broadcast
        (2 << 24, 0x00855, True),  # logical
        (4 << 24, 0x00855, False),
        (2 << 24, 0x00955, True),  # lowest priority
    ],
)
def test_commands_find_their_destination(board: Board, high: int, low: int, arrives: bool) -> None:
    board.write(Register.LDR, 2 << 24)
    board.write(Register.ICR_HIGH, high)
    board.write(Register.ICR_LOW, low)
    assert board.apic.vector == (0x55 if arrives else None)
    assert board.read(Register.ICR_LOW) == low  # delivery status: idle
    assert board.read(Register.ICR_HIGH) == high


def test_clusters(board: Board) -> None:
    board.write(Register.DFR, 0)
    board.write(Register.LDR, 0x31 << 24)
    for destination, arrives in ((0x31, True), (0x33, True), (0x32, False), (0x21, False)):
        assert board.apic.accept(Mode.FIXED, 0x70, destination, True, False) is arrives
    assert board.apic.accept(Mode.FIXED, 0x70, 0xF1, True, False)


def test_starting_absent_processors_is_ignored(board: Board) -> None:
    for high, low in (
        (1 << 24, 0x0C500),
        (1 << 24, 0x08500),
        (1 << 24, 0x00608),
        (0, 0xC4500),
        (0, 0xC4608),
        (0, 0x88500),
        (0, 0x00608),
    ):
        board.write(Register.ICR_HIGH, high)
        board.write(Register.ICR_LOW, low)
        assert not board.read(Register.ICR_LOW) & 0x1000
    assert not board.refused
    board.write(Register.ESR, 0)
    assert board.read(Register.ESR) == 0


@pytest.mark.parametrize(("mode", "name"), [(2, "SMI"), (4, "NMI"), (5, "INIT")])
def test_what_the_processor_does_not_take(board: Board, mode: int, name: str) -> None:
    board.write(Register.ICR_LOW, 0x4000 | mode << 8)
    assert len(board.refused) == 1
    assert name in board.refused[0]


def test_lint0_passes_external_interrupts(board: Board) -> None:
    assert not board.apic.passes_external
    board.write(Register.LVT_LINT0, 0x700)
    assert board.apic.passes_external
    board.write(Register.LVT_LINT0, MASK | 0x700)
    assert not board.apic.passes_external
    board.apic.enter_virtual_wire_mode()
    assert board.apic.passes_external
    board.write(Register.SVR, 0xFF)
    assert not board.apic.passes_external


def test_lint0_as_an_edge(board: Board) -> None:
    board.write(Register.LVT_LINT0, 0x48)
    board.apic.set_pin(True)
    assert board.apic.acknowledge() == 0x48
    board.write(Register.EOI, 0)
    assert board.apic.vector is None
    board.apic.set_pin(False)
    board.apic.set_pin(True)
    assert board.apic.vector == 0x48


def test_lint0_as_a_level(board: Board) -> None:
    board.write(Register.LVT_LINT0, 0x8048)
    board.apic.set_pin(True)
    assert board.read(Register.LVT_LINT0) == 0xC048
    assert board.apic.acknowledge() == 0x48
    board.write(Register.EOI, 0)
    assert board.apic.acknowledge() == 0x48  # still high
    board.apic.set_pin(False)
    board.write(Register.EOI, 0)
    assert board.read(Register.LVT_LINT0) == 0x8048
    assert board.apic.vector is None


def test_switched_off_it_forgets(board: Board) -> None:
    board.write(Register.TPR, 0x20)
    board.request(0x50)
    board.write(Register.LVT_TIMER, 0x51)
    board.write(Register.INITIAL_COUNT, 100)
    board.apic.set_base(BASE_AT_RESET & ~0x800)
    assert not board.apic.is_enabled
    assert board.apic.vector is None
    assert board.clock.next_deadline() is None
    board.apic.set_base(BASE_AT_RESET)
    assert (board.read(Register.TPR), board.read(Register.SVR)) == (0, 0xFF)


def test_narrow_accesses(board: Board) -> None:
    assert board.apic.read(Register.VERSION, 1) == 0x11
    assert board.apic.read(Register.VERSION + 2, 2) == 4
    assert board.apic.read(Register.VERSION + 4, 4) == 0
    board.apic.write(Register.TPR, 1, 0x50)
    assert board.read(Register.TPR) == 0
