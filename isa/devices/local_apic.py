"""The local APIC of a P6 processor: 4 KiB of registers, normally at 0xFEE00000.

It takes interrupts from its own timer, from the I/O APIC, from itself and from two pins, and hands
the processor the one of highest priority. LINT0 is wired to the 8259 pair, as MP-compliant boards
do: in ExtINT mode a request of the pair passes through (*virtual wire*). LINT1 is the NMI pin,
which nothing drives. There is one processor, so messages to others find nobody.

The timer counts bus cycles at BUS_HZ; `local_apic_timer.py` has it. What the processor cannot take
(NMI, SMI, INIT meant for itself) is reported to `refuse`. Registers are written by aligned
doublewords; narrower writes are lost, narrower reads give the part.

State after a reset is the datasheet's; firmware then selects virtual wire mode, see
`enter_virtual_wire_mode`.

Source: SDM vol. 3A, "Advanced Programmable Interrupt Controller (APIC)"; MultiProcessor
Specification 1.4, "Virtual Wire Mode".
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Annotated

import msgspec

from isa.devices.clock import EventClock
from isa.devices.device import Byte, Device, DoubleWord
from isa.devices.local_apic_timer import ApicTimer, TimerState
from isa.devices.vector_set import VectorSet, no_vectors

BASE_GPA, REGISTER_BYTES = 0xFEE00000, 0x1000
BASE_ENABLE, BASE_ADDRESS, BASE_AT_RESET = 0x800, 0xFFFFF000, 0xFEE00900


class Register(IntEnum):
    """Offsets of the registers; they lie 16 bytes apart."""

    ID = 0x020
    VERSION = 0x030
    TPR = 0x080
    APR = 0x090
    PPR = 0x0A0
    EOI = 0x0B0
    REMOTE_READ = 0x0C0
    LDR = 0x0D0
    DFR = 0x0E0
    SVR = 0x0F0
    ISR = 0x100  # eight registers, like the next two
    TMR = 0x180
    IRR = 0x200
    ESR = 0x280
    ICR_LOW = 0x300
    ICR_HIGH = 0x310
    LVT_TIMER = 0x320
    LVT_COUNTER = 0x340
    LVT_LINT0 = 0x350
    LVT_LINT1 = 0x360
    LVT_ERROR = 0x370
    INITIAL_COUNT = 0x380
    CURRENT_COUNT = 0x390
    DIVIDE = 0x3E0


VERSION = 0x00040011  # integrated, five entries in the local vector table
SVR_VECTOR_FIXED, SVR_ENABLE, SVR_WRITABLE = 0x0F, 0x100, 0x3F0
LVT_VECTOR, LVT_MODE, LVT_REMOTE_IRR, LVT_LEVEL = 0xFF, 0x700, 0x4000, 0x8000
LVT_POLARITY, LVT_MASK, LVT_PERIODIC = 0x2000, 0x10000, 0x20000
TIMER, COUNTER, LINT0, LINT1, ERROR = range(5)  # the local vector table
LVT_ENTRIES: dict[int, int] = {
    Register.LVT_TIMER: TIMER,
    Register.LVT_COUNTER: COUNTER,
    Register.LVT_LINT0: LINT0,
    Register.LVT_LINT1: LINT1,
    Register.LVT_ERROR: ERROR,
}
LVT_WRITABLE = (0x300FF, 0x107FF, 0x1A7FF, 0x1A7FF, 0x100FF)
ICR_WRITABLE, ICR_LOGICAL, ICR_LEVEL_ASSERT, ICR_SHORTHAND_SHIFT = 0xCCFFF, 0x800, 0x4000, 18
ICR_STATUS = 0x1000  # a message is always sent at once, so that it reads as idle
BROADCAST_PHYSICAL, FLAT_MODEL = 0xF, 0xF
FIRST_LEGAL_VECTOR = 16

ERROR_SEND_ACCEPT, ERROR_SEND_VECTOR, ERROR_RECEIVED_VECTOR, ERROR_REGISTER = 4, 0x20, 0x40, 0x80


class Mode(IntEnum):
    """Delivery modes of interrupt messages."""

    FIXED = 0
    LOWEST_PRIORITY = 1
    SMI = 2
    NMI = 4
    INIT = 5
    START_UP = 6
    EXTERNAL = 7


class Shorthand(IntEnum):
    """Destination shorthands of the interrupt command register."""

    NONE = 0
    SELF = 1
    ALL = 2
    OTHERS = 3


VectorTable = Annotated[
    list[DoubleWord], msgspec.Meta(min_length=len(LVT_ENTRIES), max_length=len(LVT_ENTRIES))
]


class LocalApicState(msgspec.Struct):
    """State of the local APIC."""

    base: DoubleWord = BASE_AT_RESET
    """IA32_APIC_BASE, as the processor told last."""
    identity: Annotated[int, msgspec.Meta(ge=0, le=15)] = 0
    task_priority: Byte = 0
    logical_destination: Byte = 0
    destination_format: Annotated[int, msgspec.Meta(ge=0, le=15)] = FLAT_MODEL
    spurious: Annotated[int, msgspec.Meta(ge=0, le=0x3FF)] = 0xFF
    in_service: VectorSet = msgspec.field(default_factory=no_vectors)
    is_level: VectorSet = msgspec.field(default_factory=no_vectors)
    requests: VectorSet = msgspec.field(default_factory=no_vectors)
    errors: Byte = 0
    """What the error status register shows."""
    new_errors: Byte = 0
    """What it will show after it has been written."""
    command_low: DoubleWord = 0
    command_high: DoubleWord = 0
    vectors: VectorTable = msgspec.field(default_factory=lambda: [LVT_MASK] * len(LVT_ENTRIES))
    """The local vector table."""
    pin: bool = False
    """Level of LINT0."""
    timer: TimerState = msgspec.field(default_factory=TimerState)


class LocalApic(Device[LocalApicState]):
    """The registers, and the processor's side of them."""

    widths = (1, 2, 4)

    def __init__(self, clock: EventClock, refuse: Callable[[str], None]) -> None:
        """Build the local APIC.

        Args:
            clock: the event clock, for the timer.
            refuse: told in words what the processor was sent and does not take.
        """
        super().__init__(LocalApicState)
        self._refuse = refuse
        self._end_of_interrupt: Callable[[int], None] = lambda _vector: None
        self._moved: Callable[[], None] = lambda: None
        self._timer = ApicTimer(clock, self._timer_fired)
        self._timer.bind(self.state.timer)
        self.vector: int | None = None
        """What the processor is asked to take, or None. Follows from the state."""
        self.passes_external = False
        """Whether LINT0 lets requests of the 8259 pair through. Follows from the state."""

    def on_end_of_interrupt(self, listener: Callable[[int], None]) -> None:
        """Tell `listener` the vector of every level-triggered interrupt that ends."""
        self._end_of_interrupt = listener

    def on_move(self, listener: Callable[[], None]) -> None:
        """Tell `listener` when the registers may have moved, appeared or disappeared."""
        self._moved = listener

    # --- the processor -----------------------------------------------------------------------

    @property
    def is_enabled(self) -> bool:
        """The global enable bit: without it there is no local APIC."""
        return bool(self.state.base & BASE_ENABLE)

    @property
    def gpa(self) -> int:
        """Where the registers are."""
        return self.state.base & BASE_ADDRESS

    def set_base(self, value: int) -> None:
        """The processor wrote IA32_APIC_BASE. A disabled APIC forgets everything."""
        was_enabled, self.state.base = self.is_enabled, value
        if was_enabled and not self.is_enabled:
            self._timer.stop()
            self._start_again(LocalApicState(base=value, pin=self.state.pin))
        self._moved()

    def acknowledge(self) -> int:
        """The processor takes the interrupt: its vector, or the spurious one if there is none."""
        state, vector = self.state, self.vector
        if vector is None:
            return state.spurious & 0xFF
        state.requests.remove(vector)
        state.in_service.add(vector)
        self._refresh()
        return vector

    # --- interrupts that come ----------------------------------------------------------------

    def accept(self, mode: int, vector: int, destination: int, logical: bool, level: bool) -> bool:
        """A message on the APIC bus; whether somebody took it.

        Args:
            mode: a `Mode`.
            vector: of the interrupt.
            destination: APIC ID or logical destination.
            logical: which of both.
            level: whether it is level triggered.
        """
        return self._is_addressed(destination, logical) and self._take(mode, vector, level)

    def set_pin(self, level: bool) -> None:
        """Drive LINT0."""
        rises = level and not self.state.pin
        self.state.pin = level
        self._sample_pin(rises)

    def enter_virtual_wire_mode(self) -> None:
        """Program the APIC as firmware leaves it to systems that do not know of it."""
        self.write(Register.SVR, 4, SVR_ENABLE | 0xFF)
        self.write(Register.LVT_LINT0, 4, Mode.EXTERNAL << 8)
        self.write(Register.LVT_LINT1, 4, Mode.NMI << 8)

    def _is_addressed(self, destination: int, logical: bool) -> bool:
        state = self.state
        if not logical:
            return destination & 0xF in (state.identity, BROADCAST_PHYSICAL)
        if state.destination_format == FLAT_MODEL:
            return bool(destination & state.logical_destination)
        cluster = destination >> 4
        return cluster in (0xF, state.logical_destination >> 4) and bool(
            destination & state.logical_destination & 0xF
        )

    def _take(self, mode: int, vector: int, level: bool) -> bool:
        if mode in (Mode.FIXED, Mode.LOWEST_PRIORITY):
            return self._request(vector, level)
        if mode in (Mode.NMI, Mode.SMI, Mode.INIT):
            self._refuse(f"an APIC sends {Mode(mode).name}, which the processor does not take")
        return mode != Mode.START_UP  # a running processor ignores that

    def _request(self, vector: int, level: bool) -> bool:
        state = self.state
        if not state.spurious & SVR_ENABLE:
            return False
        if vector < FIRST_LEGAL_VECTOR:
            self._error(ERROR_RECEIVED_VECTOR)
            return False
        state.requests.add(vector)
        if level:
            state.is_level.add(vector)
        else:
            state.is_level.remove(vector)
        self._refresh()
        return True

    def _sample_pin(self, rises: bool) -> None:
        entry = self.state.vectors[LINT0]
        if entry & LVT_MASK:
            return
        mode = (entry & LVT_MODE) >> 8
        is_active = self.state.pin != bool(entry & LVT_POLARITY)
        if mode == Mode.FIXED and entry & LVT_LEVEL:
            if is_active and not entry & LVT_REMOTE_IRR and self._request(entry & LVT_VECTOR, True):
                self.state.vectors[LINT0] |= LVT_REMOTE_IRR
        elif mode != Mode.EXTERNAL and is_active and rises:
            self._take(mode, entry & LVT_VECTOR, False)

    def _timer_fired(self) -> None:
        entry = self.state.vectors[TIMER]
        if not entry & LVT_MASK:
            self._request(entry & LVT_VECTOR, False)

    def _error(self, bits: int) -> None:
        state = self.state
        state.new_errors |= bits
        entry = state.vectors[ERROR]
        vector = entry & LVT_VECTOR
        if not entry & LVT_MASK and vector >= FIRST_LEGAL_VECTOR:
            self._request(vector, False)

    # --- priorities --------------------------------------------------------------------------

    @property
    def processor_priority(self) -> int:
        """PPR: what an interrupt must exceed in its upper four bits."""
        task, served = self.state.task_priority, max(self.state.in_service.highest, 0)
        return task if task >> 4 >= served >> 4 else served & 0xF0

    @property
    def _arbitration_priority(self) -> int:
        state = self.state
        task, served = state.task_priority, max(state.in_service.highest, 0)
        requested = max(state.requests.highest, 0)
        if task >> 4 >= requested >> 4 and task >> 4 > served >> 4:
            return task
        return max(task, served, requested) & 0xF0

    def _refresh(self) -> None:
        """Let what follows from the state follow."""
        best = self.state.requests.highest
        self.vector = best if best >> 4 > self.processor_priority >> 4 else None
        entry = self.state.vectors[LINT0]
        self.passes_external = entry & (LVT_MASK | LVT_MODE) == Mode.EXTERNAL << 8

    # --- registers ---------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        """Read a register or a part of one; between registers there are zeros."""
        value = self._read(offset & 0xFF0)
        return value >> 8 * (offset & 0xF) & ((1 << 8 * size) - 1)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register."""
        if size == 4 and not offset & 0xF:
            self._write(offset, value)

    def _read(self, offset: int) -> int:
        state = self.state
        if Register.ISR <= offset < Register.ESR:
            sets = (state.in_service, state.is_level, state.requests)
            return sets[(offset - Register.ISR) >> 7].word(offset >> 4 & 7)
        if (number := LVT_ENTRIES.get(offset)) is not None:
            return state.vectors[number]
        match offset:
            case Register.ID:
                return state.identity << 24
            case Register.VERSION:
                return VERSION
            case Register.TPR:
                return state.task_priority
            case Register.APR:
                return self._arbitration_priority
            case Register.PPR:
                return self.processor_priority
            case Register.EOI | Register.REMOTE_READ:
                return 0
            case Register.LDR:
                return state.logical_destination << 24
            case Register.DFR:
                return state.destination_format << 28 | 0x0FFFFFFF
            case Register.SVR:
                return state.spurious
            case Register.ESR:
                return state.errors
            case Register.ICR_LOW:
                return state.command_low
            case Register.ICR_HIGH:
                return state.command_high
            case Register.INITIAL_COUNT:
                return state.timer.initial
            case Register.CURRENT_COUNT:
                return self._timer.current
            case Register.DIVIDE:
                return state.timer.divide
        self._error(ERROR_REGISTER)
        return 0

    def _write(self, offset: int, value: int) -> None:
        state = self.state
        if (number := LVT_ENTRIES.get(offset)) is not None:
            self._write_vector(number, value)
            return
        match offset:
            case Register.ID:
                state.identity = value >> 24 & 0xF
            case Register.TPR:
                state.task_priority = value & 0xFF
                self._refresh()
            case Register.EOI:
                self._end()
            case Register.LDR:
                state.logical_destination = value >> 24
            case Register.DFR:
                state.destination_format = value >> 28
            case Register.SVR:
                self._write_spurious(value)
            case Register.ESR:
                state.errors, state.new_errors = state.new_errors, 0
            case Register.ICR_LOW:
                state.command_low = value & ICR_WRITABLE & ~ICR_STATUS
                self._send()
            case Register.ICR_HIGH:
                state.command_high = value & 0xFF000000
            case Register.INITIAL_COUNT:
                self._timer.start(value)
            case Register.DIVIDE:
                self._timer.set_divide(value)
            case _ if not self._is_read_only(offset):
                self._error(ERROR_REGISTER)

    @staticmethod
    def _is_read_only(offset: int) -> bool:
        if Register.ISR <= offset < Register.ESR:
            return True
        return offset in (
            *(Register.VERSION, Register.APR, Register.PPR),
            *(Register.REMOTE_READ, Register.CURRENT_COUNT),
        )

    def _write_vector(self, number: int, value: int) -> None:
        state = self.state
        old = state.vectors[number]
        entry = value & LVT_WRITABLE[number] | old & LVT_REMOTE_IRR
        if not state.spurious & SVR_ENABLE:
            entry |= LVT_MASK  # "attempts to reset these bits will be ignored"
        if not entry & LVT_LEVEL:
            entry &= ~LVT_REMOTE_IRR
        state.vectors[number] = entry
        if number == TIMER:
            self._timer.set_entry(bool(entry & LVT_PERIODIC), bool(entry & LVT_MASK))
        elif number == LINT0:
            self._sample_pin(False)
            self._refresh()

    def _write_spurious(self, value: int) -> None:
        state = self.state
        state.spurious = value & SVR_WRITABLE | SVR_VECTOR_FIXED
        if not state.spurious & SVR_ENABLE:
            state.vectors = [entry | LVT_MASK for entry in state.vectors]
            self._timer.set_entry(state.timer.is_periodic, True)
        self._refresh()

    def _end(self) -> None:
        """EOI: the interrupt of highest priority in service has been handled."""
        state = self.state
        vector = state.in_service.highest
        if vector < 0:
            return
        state.in_service.remove(vector)
        self._refresh()
        if vector not in state.is_level:
            return
        entry = state.vectors[LINT0]
        if entry & LVT_REMOTE_IRR and entry & LVT_VECTOR == vector:
            state.vectors[LINT0] &= ~LVT_REMOTE_IRR
            self._sample_pin(False)
        self._end_of_interrupt(vector)

    def _send(self) -> None:
        """Carry out the interrupt command."""
        command = self.state.command_low
        mode, vector = (command & LVT_MODE) >> 8, command & LVT_VECTOR
        is_vectored = mode in (Mode.FIXED, Mode.LOWEST_PRIORITY)
        if is_vectored and vector < FIRST_LEGAL_VECTOR:
            self._error(ERROR_SEND_VECTOR)
            return
        if mode == Mode.INIT and not command & ICR_LEVEL_ASSERT:
            return  # the de-assertion only synchronises arbitration
        match command >> ICR_SHORTHAND_SHIFT & 3:
            case Shorthand.NONE:
                destination, logical = self.state.command_high >> 24, bool(command & ICR_LOGICAL)
                if not self.accept(mode, vector, destination, logical, False) and is_vectored:
                    self._error(ERROR_SEND_ACCEPT)
            case Shorthand.SELF if is_vectored:
                self._take(mode, vector, False)
            case Shorthand.ALL:
                self._take(mode, vector, False)

    # --- power, and saved states -------------------------------------------------------------

    def reset(self) -> None:
        """Return to the state after power-on; the level of the pin is another device's."""
        self._timer.stop()
        self._start_again(LocalApicState(pin=self.state.pin))
        self._moved()

    def save(self) -> LocalApicState:
        """Return a copy of the state."""
        self._timer.note_event()
        return super().save()

    def restore(self, state: LocalApicState) -> None:
        """Take over a saved state. The clock must have been restored before."""
        super().restore(state)
        self._timer.bind(self.state.timer)
        self._timer.restore_event()
        self._refresh()
        self._moved()

    def _start_again(self, state: LocalApicState) -> None:
        self.state = state
        self._timer.bind(state.timer)
        self._refresh()
