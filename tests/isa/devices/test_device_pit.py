"""The 8254: datasheet waveforms, registers, and exact time."""

from __future__ import annotations

import pytest

from isa.devices.bus import Bus
from isa.devices.clock import TICKS_PER_SECOND, EventClock
from isa.devices.pit import PIT_HZ, Pit, pulses_until, tick_of_pulse
from isa.devices.pit_counter import Counter, CounterState, from_bcd, to_bcd
from isa.devices.system_control import SystemControlB


def waveform(mode: int, count: int, pulses: int, bcd: bool = False) -> str:
    """OUT before and after each pulse, for a one-byte count; modes 1 and 5 are triggered."""
    counter = Counter(CounterState())
    counter.write_control(0x10 | mode << 1 | bcd)
    counter.write(count)
    if mode in (1, 5):
        counter.set_gate(False)
        counter.set_gate(True)
    shape = "H" if counter.state.output else "L"
    for _ in range(pulses):
        counter.advance(1)
        shape += "H" if counter.state.output else "L"
    return shape


def counts(mode: int, count: int, pulses: int) -> list[int]:
    """CE after each pulse."""
    counter = Counter(CounterState())
    counter.write_control(0x10 | mode << 1)
    counter.write(count)
    if mode in (1, 5):
        counter.set_gate(False)
        counter.set_gate(True)
    seen = []
    for _ in range(pulses):
        counter.advance(1)
        seen.append(counter.state.count)
    return seen


@pytest.mark.parametrize(
    ("mode", "count", "shape"),
    [
        (0, 4, "LLLLLHHHH"),  # "does not go high until N + 1 CLK pulses"
        (1, 3, "HLLLHHHHH"),  # low for N pulses from the one after the trigger
        (2, 3, "HHHLHHLHHL"),  # low N pulses after the count is written, then every N
        (2, 2, "HHLHLHLH"),
        (3, 4, "HHHLLHHLLHH"),
        (3, 5, "HHHHLLHHHLLHHH"),  # high (N + 1)/2, low (N - 1)/2
        (3, 2, "HHLHLHL"),
        (4, 3, "HHHHLHHHH"),  # strobe N + 1 pulses after the count is written, once
        (5, 3, "HHHHLHHHH"),
    ],
)
def test_waveforms(mode: int, count: int, shape: str) -> None:
    assert waveform(mode, count, len(shape) - 1) == shape


@pytest.mark.parametrize(
    ("mode", "count", "expected"),
    [
        (0, 4, [4, 3, 2, 1, 0, 0xFFFF, 0xFFFE]),
        (1, 3, [3, 2, 1, 0, 0xFFFF]),
        (2, 3, [3, 2, 1, 3, 2, 1, 3]),
        (3, 4, [4, 2, 4, 2, 4]),
        (3, 5, [4, 2, 0, 4, 2, 4, 2, 0]),
        (4, 2, [2, 1, 0, 0xFFFF]),
        (5, 2, [2, 1, 0, 0xFFFF]),
    ],
)
def test_counting_elements(mode: int, count: int, expected: list[int]) -> None:
    assert counts(mode, count, len(expected)) == expected


def test_a_count_of_zero_is_the_largest() -> None:
    for bcd, modulus in ((0, 0x10000), (1, 10000)):
        counter = Counter(CounterState())
        counter.write_control(0x30 | bcd)
        counter.write(0)
        counter.write(0)
        counter.advance(modulus)
        assert not counter.state.output
        counter.advance(1)
        assert counter.state.output


def test_bcd() -> None:
    assert [to_bcd(number) for number in (0, 9, 10, 9999)] == [0, 9, 0x10, 0x9999]
    assert from_bcd(0x1234) == 1234
    assert from_bcd(0x1A) == 20
    assert from_bcd(0xFFFF) == 6665
    counter = Counter(CounterState())
    counter.write_control(0x35)  # mode 2, BCD, two bytes
    counter.write(0x00)
    counter.write(0x10)
    counter.advance(2)
    assert (counter.read(), counter.read()) == (0x99, 0x09)
    counter.advance(998)
    assert not counter.state.output
    counter.advance(1)
    assert counter.state.output


def test_mode_0_gate_stops_counting() -> None:
    counter = Counter(CounterState())
    counter.write_control(0x10)
    counter.set_gate(False)
    counter.write(3)
    counter.advance(10)
    assert counter.state.count == 3  # "it will still be loaded on the next CLK pulse"
    counter.set_gate(True)
    counter.advance(2)
    assert not counter.state.output
    counter.advance(1)
    assert counter.state.output  # N pulses later, not N + 1


def test_mode_0_new_count_sets_out_low_and_first_byte_stops() -> None:
    counter = Counter(CounterState())
    counter.write_control(0x30)
    counter.write(2)
    counter.write(0)
    counter.advance(3)
    assert counter.state.output
    counter.write(5)
    assert not counter.state.output
    frozen = counter.state.count
    counter.advance(100)
    assert counter.state.count == frozen
    counter.write(0)
    counter.advance(5)
    assert not counter.state.output
    counter.advance(1)
    assert counter.state.output


def test_mode_1_is_retriggerable_and_takes_a_new_count_at_the_next_trigger() -> None:
    counter = Counter(CounterState())
    counter.set_gate(False)
    counter.write_control(0x12)
    counter.set_gate(True)
    counter.advance(3)
    assert counter.state.output  # no count yet: nothing to trigger
    counter.write(3)
    counter.advance(5)
    assert counter.state.output
    counter.set_gate(False)
    counter.set_gate(True)
    counter.advance(2)
    counter.set_gate(False)
    counter.set_gate(True)
    counter.write(5)
    counter.advance(5)
    assert not counter.state.output
    counter.advance(1)
    assert counter.state.output


def test_mode_2_gate_sets_out_high_and_a_trigger_reloads() -> None:
    counter = Counter(CounterState())
    counter.write_control(0x14)
    counter.write(4)
    counter.advance(4)
    assert not counter.state.output
    counter.set_gate(False)
    assert counter.state.output
    counter.advance(50)
    assert counter.state.output
    counter.set_gate(True)
    counter.advance(3)
    assert counter.state.output
    counter.advance(1)
    assert not counter.state.output


def test_mode_2_new_count_waits_for_the_end_of_the_period() -> None:
    counter = Counter(CounterState())
    counter.write_control(0x14)
    counter.write(4)
    counter.advance(2)
    counter.write(2)
    shape = ""
    for _ in range(8):
        counter.advance(1)
        shape += "H" if counter.state.output else "L"
    assert shape == "HLHLHLHL"


def test_mode_3_new_count_waits_for_the_end_of_the_half_cycle() -> None:
    counter = Counter(CounterState())
    counter.write_control(0x16)
    counter.write(6)
    counter.advance(1)
    counter.write(2)
    shape = ""
    for _ in range(7):
        counter.advance(1)
        shape += "H" if counter.state.output else "L"
    assert shape == "HHLHLHL"


def test_mode_4_new_count_restarts() -> None:
    counter = Counter(CounterState())
    counter.write_control(0x38)
    counter.write(3)
    counter.write(0)
    counter.advance(3)
    counter.write(3)  # the first byte has no effect on counting
    counter.advance(1)
    assert not counter.state.output
    counter.write(0)
    counter.advance(3)
    assert counter.state.output
    counter.advance(1)
    assert not counter.state.output


class Timer:
    """The chip behind its ports, with a recorder on IRQ0."""

    def __init__(self) -> None:
        self.clock = EventClock()
        self.edges: list[tuple[int, bool]] = []
        self.level = False
        self.pit = Pit(self.clock, self._record)
        self.bus = Bus()
        self.bus.claim_ports(0x40, 0x43, self.pit)
        self.bus.claim_ports(0x61, 0x61, SystemControlB(self.clock, self.pit))

    def _record(self, level: bool) -> None:
        if level != self.level:
            self.edges.append((self.clock.now, level))
            self.level = level

    def out(self, port: int, *values: int) -> None:
        for value in values:
            self.bus.write_port(port, 1, value)

    def read(self, port: int) -> int:
        return self.bus.read_port(port, 1)

    def pulses(self, count: int) -> None:
        """Let time pass until `count` more CLK pulses have happened."""
        self.run_to(tick_of_pulse(pulses_until(self.clock.now) + count))

    def run_to(self, tick: int) -> None:
        """Go from deadline to deadline, as a processor that halts does."""
        while (deadline := self.clock.next_deadline()) is not None and deadline <= tick:
            self.clock.advance_to(max(deadline, self.clock.now))
            self.clock.run_due()
        self.clock.advance_to(tick)

    def rises(self) -> list[int]:
        return [tick for tick, level in self.edges if level]


@pytest.fixture
def timer() -> Timer:
    return Timer()


def test_pulses_are_exact() -> None:
    assert pulses_until(TICKS_PER_SECOND) == PIT_HZ
    assert tick_of_pulse(PIT_HZ * 3600) == TICKS_PER_SECOND * 3600
    for pulse in (0, 1, 2, 12345, 10**12 + 7):
        tick = tick_of_pulse(pulse)
        assert pulses_until(tick) == pulse
        assert pulse == 0 or pulses_until(tick - 1) == pulse - 1


def test_counter_0_interrupts_at_exact_ticks_without_drift(timer: Timer) -> None:
    timer.out(0x43, 0x34)
    timer.out(0x40, 11932 & 0xFF, 11932 >> 8)  # 100 Hz, nearly
    timer.edges.clear()
    timer.run_to(60 * TICKS_PER_SECOND)
    expected = [tick_of_pulse(1 + 11932 * period) for period in range(1, 6000)]
    expected = [tick for tick in expected if tick <= 60 * TICKS_PER_SECOND]
    assert timer.rises() == expected
    assert len(expected) == (60 * PIT_HZ - 1) // 11932
    low = [tick for tick, level in timer.edges if not level]
    assert low[:5] == [tick_of_pulse(11932 * period) for period in range(1, 6)]


def test_interrupts_are_the_same_however_late_the_clock_is_told(timer: Timer) -> None:
    """Skipped whole periods leave the line as if each edge had been watched."""
    late = Timer()
    for one in (timer, late):
        one.out(0x43, 0x36)
        one.out(0x40, 3, 0)
    timer.run_to(123_456)
    late.clock.advance_to(123_456)
    late.clock.run_due()
    assert late.pit.save().counters == timer.pit.save().counters
    assert late.clock.next_deadline() == timer.clock.next_deadline()
    assert late.level == timer.level
    assert 1 <= len(late.rises()) < len(timer.rises())


@pytest.mark.parametrize("mode", [0x34, 0x36])
def test_an_edge_is_not_lost_in_a_leap_of_whole_periods(timer: Timer, mode: int) -> None:
    timer.out(0x43, mode)
    timer.out(0x40, 6, 0)
    timer.pulses(2)
    assert timer.level
    timer.edges.clear()
    timer.clock.advance_to(tick_of_pulse(pulses_until(timer.clock.now) + 600))
    timer.clock.run_due()
    assert timer.level
    assert timer.rises()


def test_a_leap_of_a_year_is_cheap(timer: Timer) -> None:
    timer.out(0x43, 0x34, 0xB6)
    timer.out(0x40, 2, 0)
    timer.out(0x42, 2, 0)
    timer.out(0x61, 1)
    timer.clock.advance(365 * 24 * 3600 * TICKS_PER_SECOND)
    timer.clock.run_due()
    assert len(timer.edges) < 10
    assert timer.read(0x61) & 1


def test_one_shot_interrupt(timer: Timer) -> None:
    timer.out(0x43, 0x30)
    timer.out(0x40, 100, 0)
    timer.run_to(10**6)
    assert timer.edges == [(tick_of_pulse(101), True)]
    assert timer.clock.next_deadline() is None


def test_control_word_sets_out_at_once(timer: Timer) -> None:
    timer.out(0x43, 0x34)
    assert timer.level
    timer.out(0x43, 0x30)
    assert not timer.level


def test_two_byte_reads_alternate_and_writes_do_not_disturb_them(timer: Timer) -> None:
    timer.out(0x43, 0x74)
    timer.out(0x41, 0x34, 0x12)
    timer.pulses(1)
    assert timer.read(0x41) == 0x34
    timer.out(0x41, 0x00)
    assert timer.read(0x41) == 0x12
    assert timer.read(0x41) == 0x34
    timer.out(0x43, 0x54)  # one byte, low
    timer.out(0x41, 0x56)
    timer.pulses(1)
    assert [timer.read(0x41), timer.read(0x41)] == [0x56, 0x56]
    timer.out(0x43, 0x64)  # one byte, high
    timer.out(0x41, 0x78)
    timer.pulses(1)
    assert [timer.read(0x41), timer.read(0x41)] == [0x78, 0x78]


def test_counter_latch_holds_until_read_and_ignores_a_second_command(timer: Timer) -> None:
    timer.out(0x43, 0x74)
    timer.out(0x41, 0x00, 0x10)
    timer.pulses(1)
    timer.out(0x43, 0x40)
    timer.pulses(0x100)
    timer.out(0x43, 0x40)
    assert [timer.read(0x41), timer.read(0x41)] == [0x00, 0x10]
    assert [timer.read(0x41), timer.read(0x41)] == [0x00, 0x0F]
    timer.out(0x43, 0x40)
    timer.out(0x43, 0x74)  # reprogramming drops the latch
    timer.out(0x41, 0x07, 0x00)
    timer.pulses(1)
    assert timer.read(0x41) == 7


def test_read_back_latches_several_counters(timer: Timer) -> None:
    timer.out(0x43, 0x34, 0x74)
    timer.out(0x40, 0x00, 0x10)
    timer.out(0x41, 0x00, 0x20)
    timer.pulses(1)
    timer.out(0x43, 0xC0 | 0x10 | 0x02 | 0x04)  # counts only, counters 0 and 1
    timer.pulses(7)
    assert [timer.read(0x40), timer.read(0x40)] == [0x00, 0x10]
    assert [timer.read(0x41), timer.read(0x41)] == [0x00, 0x20]
    assert timer.read(0x40) == 0xF9


def test_read_back_status(timer: Timer) -> None:
    timer.out(0x43, 0x74, 0xE0 | 0x04)
    assert timer.read(0x41) == 0x80 | 0x40 | 0x34  # OUT high, null count, as programmed
    timer.out(0x41, 0x09)
    timer.out(0x41, 0x00)
    timer.out(0x43, 0xE4)
    assert timer.read(0x41) == 0xF4  # written, not loaded
    timer.pulses(1)
    timer.out(0x43, 0xE4)
    timer.out(0x41, 0x05, 0x00)
    timer.out(0x43, 0xE4)  # ignored: the first is not read yet
    assert timer.read(0x41) == 0xB4  # loaded, at the time of the first command
    timer.out(0x43, 0xE4)
    assert timer.read(0x41) == 0xF4  # a new count waits


def test_status_comes_before_the_count_when_both_are_latched(timer: Timer) -> None:
    timer.out(0x43, 0x7C)  # mode code 6 is mode 2, and is read back as written
    timer.out(0x41, 0x34, 0x12)
    timer.pulses(1)
    timer.out(0x43, 0xC4)
    timer.pulses(3)
    assert [timer.read(0x41) for _ in range(4)] == [0xBC, 0x34, 0x12, 0x31]


def test_counter_2_port_61(timer: Timer) -> None:
    """The classic calibration: gate on, mode 0, poll OUT2."""
    timer.out(0x61, 0xFD)
    assert timer.read(0x61) & 0x2F == 0x0D
    timer.out(0x43, 0xB0)
    timer.out(0x42, 0xFF, 0x00)
    timer.pulses(255)
    assert not timer.read(0x61) & 0x20
    timer.pulses(1)
    assert timer.read(0x61) & 0x20


def test_gate_2_stops_the_speaker(timer: Timer) -> None:
    timer.out(0x61, 0x03)
    timer.out(0x43, 0xB6)
    timer.out(0x42, 10, 0)
    timer.pulses(1 + 5)
    assert not timer.pit.output(2)
    timer.out(0x61, 0x02)
    assert timer.pit.output(2)
    assert not timer.pit.gate(2)
    timer.pulses(100)
    assert timer.pit.output(2)


def test_refresh_toggles_every_18_pulses(timer: Timer) -> None:
    seen = []
    for _ in range(6):
        seen.append(bool(timer.read(0x61) & 0x10))
        timer.pulses(18)
    assert seen == [False, True] * 3
    timer.pulses(17)
    assert not timer.read(0x61) & 0x10
    timer.pulses(1)
    assert timer.read(0x61) & 0x10


def test_the_control_word_cannot_be_read(timer: Timer) -> None:
    assert timer.read(0x43) == 0xFF


def test_reset_stops_the_timer(timer: Timer) -> None:
    timer.out(0x43, 0x34)
    timer.out(0x40, 0, 1)
    timer.pulses(10)
    timer.pit.reset()
    assert not timer.level
    assert timer.clock.next_deadline() is None


def test_rewriting_the_same_deadline_keeps_the_event(timer: Timer) -> None:
    timer.out(0x43, 0x34)
    timer.out(0x40, 0, 1)
    timer.pulses(2)
    before = timer.clock.save().scheduled
    for _ in range(10):
        timer.out(0x43, 0x00)  # counter latch
    assert timer.clock.save().scheduled == before


def test_save_and_restore_in_the_middle(timer: Timer) -> None:
    timer.out(0x43, 0x36)
    timer.out(0x40, 0xFF, 0x01)
    timer.pulses(1000)
    clock, state = timer.clock.save(), timer.pit.save()
    other = Timer()
    other.clock.restore(clock)
    other.pit.restore(state)
    other.level = timer.level
    timer.edges.clear()
    for one in (timer, other):
        one.pulses(5000)
    assert timer.edges == other.edges
    assert len(timer.edges) > 10
    assert timer.pit.save() == other.pit.save()
