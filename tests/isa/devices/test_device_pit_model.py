"""The 8254 counter against a model that counts pulse by pulse, written from the datasheet."""

from __future__ import annotations

import copy

from hypothesis import example, given, settings
from hypothesis import strategies as st

from isa.devices.pit_counter import Counter, CounterState


class ModelCounter:
    """One counter, one falling edge of CLK at a time."""

    def __init__(self) -> None:
        self.mode, self.access, self.modulus = 0, 3, 0x10000
        self.out, self.gate = False, True
        self.element = self.register = 0
        self.low: int | None = None
        self.written = self.due = self.live = self.hot = self.odd = False

    def control(self, control: int) -> None:
        self.mode = {6: 2, 7: 3}.get(control >> 1 & 7, control >> 1 & 7)
        self.access = control >> 4
        self.modulus = 10000 if control & 1 else 0x10000
        self.element %= self.modulus
        self.out = self.mode != 0
        self.register, self.low = 0, None
        self.written = self.due = self.live = self.hot = False

    def write(self, value: int) -> None:
        if self.access == 3 and self.low is None:
            self.low = value
            if self.mode == 0:
                self.out = self.live = self.due = False
            return
        word = {1: value, 2: value * 256}.get(self.access, value * 256 + (self.low or 0))
        self.low = None
        if self.modulus == 10000:
            word = sum((word >> 4 * place & 15) * 10**place for place in range(4)) % 10000
        self.register, self.written = word, True
        if self.mode == 0:
            self.out = False
        if self.mode in (0, 4) or (self.mode in (2, 3) and not self.live):
            self.due = True

    def set_gate(self, level: bool) -> None:
        if level and not self.gate and self.mode in (1, 2, 3, 5) and self.written:
            self.due = True
        if not level and self.mode in (2, 3):
            self.out = True
        self.gate = level

    def load(self) -> None:
        self.element, self.live, self.due, self.hot = self.register, True, False, True
        if self.mode == 3:
            self.odd = self.register % 2 == 1
            self.element -= self.odd

    def down(self, by: int = 1) -> bool:
        """Count down; say whether that reached zero."""
        self.element = (self.element - by) % self.modulus
        return self.element == 0

    def pulse(self) -> None:
        strobing = self.mode in (4, 5) and not self.out
        if strobing:
            self.out = True
        if self.due:
            self.load()
            self.out = {0: self.out, 1: False}.get(self.mode, True)
        elif not self.live or (self.mode in (0, 2, 3, 4) and not self.gate):
            return
        elif self.mode == 2:
            if not self.out:
                self.load()
                self.out = True
            else:
                self.down()
                self.out = self.element != 1
        elif self.mode == 3:
            expires = self.element == 0 if self.odd and self.out else self.down(2)
            if expires:
                self.load()
                self.out = not self.out
            elif self.odd and self.out:
                self.down(2)
        elif self.down() and self.hot:
            self.hot = False
            self.out = self.mode in (0, 1)


CONTROLS = st.builds(
    lambda access, mode, bcd: ("control", access << 4 | mode << 1 | bcd),
    st.integers(1, 3),
    st.integers(0, 7),
    st.booleans().map(int),
)
BYTES = st.tuples(st.just("write"), st.integers(0, 9) | st.integers(0, 255))
GATES = st.tuples(st.just("gate"), st.integers(0, 1))
PULSES = st.tuples(st.just("pulses"), st.integers(1, 30))
ACTIONS = st.lists(CONTROLS | BYTES | BYTES | GATES | PULSES | PULSES | PULSES, max_size=25)


def play(actions: list[tuple[str, int]]) -> None:
    """Do everything to the model, to a counter in single pulses, and to one that jumps."""
    model, stepping = ModelCounter(), Counter(CounterState())
    for action, argument in actions:
        if action == "control":
            model.control(argument)
            stepping.write_control(argument)
        elif action == "write":
            model.write(argument)
            stepping.write(argument)
        elif action == "gate":
            model.set_gate(bool(argument))
            stepping.set_gate(bool(argument))
        else:
            jumping = Counter(copy.deepcopy(stepping.state))
            jumping.advance(argument)
            for _ in range(argument):
                model.pulse()
                stepping.advance(1)
                assert stepping.state.output == model.out
                assert stepping.state.count == model.element
            assert jumping.state == stepping.state
        assert stepping.state.output == model.out
        assert stepping.state.count == model.element


@settings(max_examples=400, deadline=None)
@given(ACTIONS)
@example([("control", 0x16), ("write", 1), ("pulses", 5)])
@example([("control", 0x1A), ("write", 2), ("pulses", 4), ("write", 3), ("pulses", 9)])
def test_a_counter_equals_the_pulse_by_pulse_model(actions: list[tuple[str, int]]) -> None:
    play(actions)


@settings(max_examples=12, deadline=None)
@given(
    mode=st.integers(0, 5),
    bcd=st.booleans(),
    count=st.sampled_from((0, 1, 2, 3, 255, 999)),
    pulses=st.integers(10_000, 140_000),
)
def test_long_runs_equal_the_model(mode: int, bcd: bool, count: int, pulses: int) -> None:
    low, high = count & 0xFF, count >> 8
    play(
        [
            ("control", 0x30 | mode << 1 | bcd),
            ("write", low),
            ("write", high),
            ("gate", 0),
            ("gate", 1),
            ("pulses", pulses),
        ]
    )


@settings(max_examples=200, deadline=None)
@given(ACTIONS, st.integers(0, 10**15))
def test_the_next_transition_is_where_the_output_changes(
    actions: list[tuple[str, int]], far: int
) -> None:
    counter = Counter(CounterState())
    for action, argument in actions:
        if action == "control":
            counter.write_control(argument)
        elif action == "write":
            counter.write(argument)
        elif action == "gate":
            counter.set_gate(bool(argument))
        else:
            counter.advance(argument)
    step = counter.until_transition()
    output = counter.state.output
    if step is None:
        counter.advance(far)
        assert counter.state.output == output
    else:
        assert step >= 1
        counter.advance(step - 1)
        assert counter.state.output == output
        assert counter.until_transition() == 1
        counter.advance(far)  # a leap of years takes no time
        assert counter.state.count < counter.modulus
