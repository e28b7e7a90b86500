"""The I/O APIC (82093AA): 24 inputs, each with an entry that says what interrupt it makes.

Two registers in memory select and show the others. Inputs are driven high when their device asks;
the polarity bit of an entry inverts that. A message reaches its processor at once, so delivery
status is always idle. An edge at a masked input is lost, as the datasheet says.

Source: Intel 82093AA I/O Advanced Programmable Interrupt Controller datasheet (290566).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec

from isa.devices.device import Byte, Device, DoubleWord

BASE_GPA, REGISTER_BYTES = 0xFEC00000, 0x20
SELECT_OFFSET, WINDOW_OFFSET = 0x00, 0x10
INPUTS = 24
VERSION = (INPUTS - 1) << 16 | 0x11
INDEX_ID, INDEX_VERSION, INDEX_ARBITRATION, INDEX_TABLE = 0, 1, 2, 0x10

VECTOR, MODE, LOGICAL, STATUS, POLARITY = 0xFF, 0x700, 0x800, 0x1000, 0x2000
REMOTE_IRR, LEVEL, MASK = 0x4000, 0x8000, 0x10000
LOW_WRITABLE = 0x1AFFF
DESTINATION_SHIFT = 24
MODE_EXTERNAL = 7

Send = Callable[[int, int, int, bool, bool], bool]
"""Sends a message: delivery mode, vector, destination, logical, level → whether it was taken."""

Entries = Annotated[list[DoubleWord], msgspec.Meta(min_length=INPUTS, max_length=INPUTS)]


class IoApicState(msgspec.Struct):
    """State of the I/O APIC."""

    select: Byte = 0
    identity: Annotated[int, msgspec.Meta(ge=0, le=15)] = 0
    lines: Annotated[int, msgspec.Meta(ge=0, lt=1 << INPUTS)] = 0
    """Levels of the inputs."""
    low: Entries = msgspec.field(default_factory=lambda: [MASK] * INPUTS)
    high: Entries = msgspec.field(default_factory=lambda: [0] * INPUTS)


class IoApic(Device[IoApicState]):
    """The select register (offset 0) and the window (offset 0x10)."""

    widths = (1, 2, 4)

    def __init__(self, send: Send) -> None:
        super().__init__(IoApicState)
        self._send = send

    @property
    def passes_external(self) -> bool:
        """Whether input 0 lets requests of the 8259 pair through (ExtINT)."""
        return self.state.low[0] & (MASK | MODE) == MODE_EXTERNAL << 8

    def set_input(self, number: int, level: bool) -> None:
        """Drive an input."""
        state, bit = self.state, 1 << number
        if bool(state.lines & bit) == level:
            return
        state.lines ^= bit
        self._sample(number, changed=True)

    def end_of_interrupt(self, vector: int) -> None:
        """A local APIC has finished with a level-triggered interrupt."""
        for number, entry in enumerate(self.state.low):
            if entry & LEVEL and entry & VECTOR == vector and entry & REMOTE_IRR:
                self.state.low[number] &= ~REMOTE_IRR
                self._sample(number)

    def read(self, offset: int, size: int) -> int:
        """Read the select register or the register that it selects."""
        place = offset & 0x10
        value = self._read(self.state.select) if place == WINDOW_OFFSET else self.state.select
        return value >> 8 * (offset & 0xF) & ((1 << 8 * size) - 1)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write the select register, or all of the register that it selects."""
        if offset == SELECT_OFFSET:
            self.state.select = value & 0xFF
        elif offset == WINDOW_OFFSET and size == 4:
            self._write(self.state.select, value)

    def reset(self) -> None:
        """Mask everything. The levels of the inputs are other devices'."""
        lines = self.state.lines
        super().reset()
        self.state.lines = lines

    def _read(self, index: int) -> int:
        state = self.state
        if INDEX_TABLE <= index < INDEX_TABLE + 2 * INPUTS:
            number = (index - INDEX_TABLE) >> 1
            return state.high[number] if index & 1 else state.low[number]
        if index == INDEX_VERSION:
            return VERSION
        return state.identity << 24 if index in (INDEX_ID, INDEX_ARBITRATION) else 0

    def _write(self, index: int, value: int) -> None:
        state = self.state
        if index == INDEX_ID:
            state.identity = value >> 24 & 0xF
        if not INDEX_TABLE <= index < INDEX_TABLE + 2 * INPUTS:
            return
        number = (index - INDEX_TABLE) >> 1
        if index & 1:
            state.high[number] = value & 0xFF << DESTINATION_SHIFT
        else:
            entry = value & LOW_WRITABLE
            if entry & LEVEL:
                entry |= state.low[number] & REMOTE_IRR
            state.low[number] = entry
        self._sample(number)

    def _sample(self, number: int, *, changed: bool = False) -> None:
        """Send the interrupt of an input if it asks for one."""
        state = self.state
        entry = state.low[number]
        mode = (entry & MODE) >> 8
        is_active = bool(state.lines >> number & 1) != bool(entry & POLARITY)
        if entry & MASK or not is_active or mode == MODE_EXTERNAL:
            return
        is_level = bool(entry & LEVEL)
        if entry & REMOTE_IRR if is_level else not changed:
            return
        destination = state.high[number] >> DESTINATION_SHIFT
        logical = bool(entry & LOGICAL)
        if self._send(mode, entry & VECTOR, destination, logical, is_level) and is_level:
            state.low[number] |= REMOTE_IRR
