"""One counter of an 8254, as an arithmetic of CLK pulses.

All six modes, binary and BCD, at the granularity of one CLK pulse. A counter is never stepped
pulse by pulse: it knows how many pulses away its next change of state lies (`until_transition`),
coasts there in one subtraction, and skips whole periods of modes 2 and 3. It does not know what a
pulse is in time (pit.py does).

A write falls between two pulses; "CLK pulse" below is the falling edge that loads and decrements.
Where the datasheet leaves behaviour undefined: a count of 1 in modes 2 and 3 is taken literally
(the count passes 1 or 0 only after wrapping round); BCD digits above 9 weigh what they are worth,
modulo 10000; GATE edges before the first count of modes 1 and 5 trigger nothing.

Source: Intel 8254 Programmable Interval Timer datasheet (231164), "Mode Definitions",
"Read Operations".
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from isa.devices.device import Byte, Word

ACCESS_LOW, ACCESS_HIGH, ACCESS_BOTH = 1, 2, 3
STATUS_OUTPUT, STATUS_NULL_COUNT = 0x80, 0x40
CONTROL_MASK = 0x3F


class CounterState(msgspec.Struct):
    """State of one counter. Counts are plain numbers, also in BCD."""

    control: Annotated[int, msgspec.Meta(ge=0, le=CONTROL_MASK)] = ACCESS_BOTH << 4
    """Low six bits of the last control word: access, mode, BCD."""
    output: bool = False
    gate: bool = True
    count: Word = 0
    """CE, the counting element; 0 stands for the modulus when it is to be counted down."""
    reload: Word = 0
    """CR, the count register."""
    has_reload: bool = False
    """A whole count was written since the control word."""
    loads_next: bool = False
    """CR goes to CE at the next pulse."""
    is_loaded: bool = False
    """CE holds a count of the current mode."""
    is_armed: bool = False
    """Modes 0, 1, 4, 5: OUT changes when CE reaches zero."""
    is_odd: bool = False
    """Mode 3: the current half-cycle began from an odd count."""
    is_null: bool = True
    """Null count: CR was written and has not gone to CE yet."""
    first_byte: Byte | None = None
    """Low byte of a two-byte count whose high byte is still to come."""
    reads_high: bool = False
    latched_count: Word | None = None
    latched_status: Byte | None = None


def to_bcd(number: int) -> int:
    """Return the four-digit BCD code of 0..9999."""
    return int(str(number), 16)


def from_bcd(code: int) -> int:
    """Return the number of a four-digit BCD code; digits above 9 weigh what they are worth."""
    digits = (code & 15) + (code >> 4 & 15) * 10 + (code >> 8 & 15) * 100 + (code >> 12) * 1000
    return digits % 10000


class Counter:
    """The logic of one counter over its state."""

    def __init__(self, state: CounterState) -> None:
        self.state = state

    @property
    def mode(self) -> int:
        """Mode 0 to 5; the codes 6 and 7 are modes 2 and 3 again."""
        code = self.state.control >> 1 & 7
        return code - 4 if code > 5 else code

    @property
    def modulus(self) -> int:
        """How many counts there are: 2**16, or 10**4 in BCD."""
        return 10000 if self.state.control & 1 else 0x10000

    @property
    def is_counting(self) -> bool:
        """Whether the next pulse decrements CE. GATE is a level in modes 0, 2, 3 and 4 only."""
        return self.state.is_loaded and (self.state.gate or self.mode in (1, 5))

    @property
    def period(self) -> int | None:
        """Pulses after which everything repeats, or None when it does not."""
        state = self.state
        if self.mode not in (2, 3) or not self.is_counting or state.loads_next or state.is_null:
            return None
        if self.mode == 2:
            return (state.reload - 2) % self.modulus + 2
        low = (state.reload & ~1 or self.modulus) // 2
        return (state.reload // 2 + 1 if state.reload & 1 else low) + low

    # What the processor does: control words, counts, latches.

    def write_control(self, control: int) -> None:
        """Program the counter: logic and latches are reset, OUT takes its initial level at once."""
        state = self.state
        # CE goes on holding what it held, whatever that means in the new base.
        state.control = control & CONTROL_MASK
        state.count %= self.modulus
        state.output = self.mode != 0
        state.reload = 0
        state.has_reload = state.loads_next = state.is_loaded = state.is_armed = False
        state.is_null = True
        state.first_byte = state.latched_count = state.latched_status = None
        state.reads_high = False

    def write(self, byte: int) -> None:
        """Write one byte of a count, as the access bits of the control word say."""
        state = self.state
        match state.control >> 4:
            case 1:
                self._set_reload(byte)
            case 2:
                self._set_reload(byte << 8)
            case _ if state.first_byte is None:
                state.first_byte = byte
                if self.mode == 0:
                    # "Writing the first byte disables counting. OUT is set low immediately."
                    state.is_loaded = state.loads_next = state.output = False
            case _:
                first, state.first_byte = state.first_byte, None
                self._set_reload(byte << 8 | first)

    def read(self) -> int:
        """Read a byte: latched status, else latched count, else CE as it is."""
        state = self.state
        if state.latched_status is not None:
            status, state.latched_status = state.latched_status, None
            return status
        word = self._code() if state.latched_count is None else state.latched_count
        access = state.control >> 4
        is_high = access == ACCESS_HIGH or (access == ACCESS_BOTH and state.reads_high)
        if access == ACCESS_BOTH:
            state.reads_high = not state.reads_high
        if is_high or access == ACCESS_LOW:
            state.latched_count = None
        return word >> 8 if is_high else word & 0xFF

    def latch_count(self) -> None:
        """Hold the count until it is read; latching again before that changes nothing."""
        if self.state.latched_count is None:
            self.state.latched_count = self._code()

    def latch_status(self) -> None:
        """Hold the status byte until it is read; latching again before that changes nothing."""
        state = self.state
        if state.latched_status is None:
            output = STATUS_OUTPUT if state.output else 0
            null = STATUS_NULL_COUNT if state.is_null else 0
            state.latched_status = output | null | state.control

    def set_gate(self, level: bool) -> None:
        """Drive GATE. A rising edge is a trigger in modes 1, 2, 3 and 5."""
        state = self.state
        if level == state.gate:
            return
        state.gate = level
        if level and self.mode in (1, 2, 3, 5) and state.has_reload:
            state.loads_next = True
        if not level and self.mode in (2, 3):
            state.output = True  # "OUT is set high immediately"

    # What time does: pulses.

    def until_transition(self) -> int | None:
        """Pulses until the state changes in another way than by counting; None when never."""
        state = self.state
        mode = self.mode
        if state.loads_next or (mode in (4, 5) and not state.output):
            return 1
        if not self.is_counting:
            return None
        if mode == 2:
            return (state.count - 2) % self.modulus + 1 if state.output else 1
        if mode == 3:
            if state.is_odd and state.output:
                return state.count // 2 + 1
            return (state.count or self.modulus) // 2
        return (state.count or self.modulus) if state.is_armed else None

    def advance(self, pulses: int) -> None:
        """Let any number of pulses pass."""
        while pulses:
            if (period := self.period) is not None:
                pulses %= period
                if not pulses:
                    return
            step = self.until_transition()
            if step is None or step > pulses:
                self._coast(pulses)
                return
            self._coast(step - 1)
            self._transition()
            pulses -= step

    def _coast(self, pulses: int) -> None:
        if self.is_counting:
            decrement = pulses * 2 if self.mode == 3 else pulses
            self.state.count = (self.state.count - decrement) % self.modulus

    def _transition(self) -> None:
        state = self.state
        mode = self.mode
        if state.loads_next:
            self._load()
        elif mode in (4, 5) and not state.output:
            state.output = True  # the strobe lasts one pulse, whatever GATE says
            self._coast(1)
        elif mode == 2 and state.output:
            state.count = 1
            state.output = False
        elif mode == 2:
            self._load()
        elif mode == 3:
            output = not state.output
            self._load()
            state.output = output
        else:
            state.count = 0
            state.is_armed = False
            state.output = mode in (0, 1)

    def _load(self) -> None:
        state = self.state
        state.count = state.reload
        state.loads_next = state.is_null = False
        state.is_loaded = state.is_armed = True
        mode = self.mode
        if mode == 3:
            # Odd counts: "the initial count minus one (an even number) is loaded".
            state.is_odd = bool(state.reload & 1)
            state.count -= state.reload & 1
        if mode == 1:
            state.output = False
        elif mode != 0:
            state.output = True

    def _set_reload(self, word: int) -> None:
        state = self.state
        state.reload = from_bcd(word) if state.control & 1 else word
        state.has_reload = state.is_null = True
        mode = self.mode
        if mode == 0:
            state.output = False
        if mode in (0, 4) or (mode in (2, 3) and not state.is_loaded):
            state.loads_next = True

    def _code(self) -> int:
        return to_bcd(self.state.count) if self.state.control & 1 else self.state.count
