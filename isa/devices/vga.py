"""The text screen of a VGA: registers, and a rendering of what text memory shows.

The 32 KiB at 0xB8000 are ordinary RAM of the guest, not a device: storing there costs nothing
extra. This file reads that memory back when somebody wants to see the screen (mode 3: 80 x 25,
code page 437). The CRT controller's start address and cursor are honoured; all other registers
keep what is written to them and change nothing. No graphics modes, no fonts, no other text sizes.

Source: IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem".
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Annotated, NamedTuple

import msgspec

from isa.devices.device import Byte, Device

TEXT_GPA, TEXT_BYTES = 0xB8000, 0x8000
ROWS, COLUMNS = 25, 80

# Offsets from port 0x3C0, with the addresses of colour displays.


class Port(IntEnum):
    """Registers that are not behind an index port."""

    ATTRIBUTE = 0x00
    ATTRIBUTE_READ = 0x01
    MISCELLANEOUS = 0x02
    PEL_MASK = 0x06
    DAC_READ_INDEX = 0x07
    DAC_WRITE_INDEX = 0x08
    DAC_DATA = 0x09
    MISCELLANEOUS_READ = 0x0C
    STATUS = 0x1A


class IndexPort(IntEnum):
    """Index ports; the register they select is at the next port."""

    SEQUENCER = 0x04
    GRAPHICS = 0x0E
    CRTC = 0x14


CRTC_CURSOR_START = 0x0A
CRTC_START_HIGH, CRTC_START_LOW = 0x0C, 0x0D
CRTC_CURSOR_HIGH, CRTC_CURSOR_LOW = 0x0E, 0x0F
CURSOR_OFF = 0x20
STATUS_BLANK = 0x09
"""Display disabled and vertical retrace."""
REGISTERS = 32
"""Registers in each file, as many as its largest index needs."""
DAC_BYTES = 768
DAC_BITS = 0x3F

_CONTROL_GLYPHS = " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
GLYPHS = (
    _CONTROL_GLYPHS + bytes(range(32, 127)).decode() + "⌂" + bytes(range(128, 256)).decode("cp437")
)
"""Unicode character of each byte of code page 437, as drawn on the screen."""


class Cell(NamedTuple):
    """One place on the screen."""

    character: str
    attribute: int


Registers = Annotated[bytearray, msgspec.Meta(min_length=REGISTERS, max_length=REGISTERS)]
Palette = Annotated[bytearray, msgspec.Meta(min_length=DAC_BYTES, max_length=DAC_BYTES)]


class RegisterFile(msgspec.Struct):
    """Registers behind an index port and a data port."""

    index: Byte = 0
    registers: Registers = msgspec.field(default_factory=lambda: bytearray(REGISTERS))

    @property
    def selected(self) -> int:
        """Number of the register that the data port shows."""
        return self.index % REGISTERS


class VgaState(msgspec.Struct):
    """State of the adapter's registers."""

    crtc: RegisterFile = msgspec.field(default_factory=RegisterFile)
    sequencer: RegisterFile = msgspec.field(default_factory=RegisterFile)
    graphics: RegisterFile = msgspec.field(default_factory=RegisterFile)
    attribute: RegisterFile = msgspec.field(default_factory=RegisterFile)
    attribute_takes_data: bool = False
    """The flip-flop of port 0x3C0."""
    miscellaneous: Byte = 0x67
    pel_mask: Byte = 0xFF
    dac: Palette = msgspec.field(default_factory=lambda: bytearray(DAC_BYTES))
    dac_position: Annotated[int, msgspec.Meta(ge=0, lt=DAC_BYTES)] = 0
    dac_is_read: bool = False
    is_blank: bool = False
    """What the status register said last: it alternates, so that waiting for retrace ends."""


class VgaText(Device[VgaState]):
    """Ports 0x3C0 to 0x3DF, and the screen."""

    widths = (1,)

    def __init__(self, read_memory: Callable[[int, int], bytes]) -> None:
        super().__init__(VgaState)
        self._read_memory = read_memory

    # The screen

    def text(self) -> str:
        """Return 25 lines of 80 characters, separated by newlines."""
        shown = self._shown()
        lines = (
            "".join(GLYPHS[byte] for byte in shown[row : row + 2 * COLUMNS : 2])
            for row in range(0, len(shown), 2 * COLUMNS)
        )
        return "\n".join(lines)

    def cell(self, row: int, column: int) -> Cell:
        """Return what is shown at a place; row 0..24, column 0..79."""
        if not (0 <= row < ROWS and 0 <= column < COLUMNS):
            raise ValueError(f"row {row}, column {column} is not on the screen")
        shown = self._shown()
        at = 2 * (row * COLUMNS + column)
        return Cell(GLYPHS[shown[at]], shown[at + 1])

    @property
    def cursor(self) -> tuple[int, int] | None:
        """Row and column of the cursor, or None when it is off or outside the screen."""
        registers = self.state.crtc.registers
        if registers[CRTC_CURSOR_START] & CURSOR_OFF:
            return None
        at = registers[CRTC_CURSOR_HIGH] << 8 | registers[CRTC_CURSOR_LOW]
        row, column = divmod(at - self._start, COLUMNS)
        return (row, column) if 0 <= row < ROWS else None

    @property
    def _start(self) -> int:
        registers = self.state.crtc.registers
        return registers[CRTC_START_HIGH] << 8 | registers[CRTC_START_LOW]

    def _shown(self) -> bytes:
        """The bytes of the shown cells; the display address wraps round in text memory."""
        start = 2 * self._start % TEXT_BYTES
        size = 2 * ROWS * COLUMNS
        head = min(size, TEXT_BYTES - start)
        shown = self._read_memory(TEXT_GPA + start, head)
        return shown + self._read_memory(TEXT_GPA, size - head) if head < size else shown

    # The registers

    def read(self, offset: int, size: int) -> int:
        """Read a register; what has no readable register gives 0."""
        state = self.state
        if (file := self._file(offset)) is not None:
            return file.index
        if (file := self._file(offset - 1)) is not None:
            return file.registers[file.selected]
        match offset:
            case Port.ATTRIBUTE:
                return state.attribute.index
            case Port.ATTRIBUTE_READ:
                return state.attribute.registers[state.attribute.selected]
            case Port.PEL_MASK:
                return state.pel_mask
            case Port.DAC_READ_INDEX:
                return 3 if state.dac_is_read else 0
            case Port.DAC_WRITE_INDEX:
                return state.dac_position // 3
            case Port.DAC_DATA:
                return self._step_dac(None)
            case Port.MISCELLANEOUS_READ:
                return state.miscellaneous
            case Port.STATUS:
                state.attribute_takes_data = False
                state.is_blank = not state.is_blank
                return STATUS_BLANK if state.is_blank else 0
            case _:
                return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register; writes to what is none are lost."""
        state = self.state
        if (file := self._file(offset)) is not None:
            file.index = value
            return
        if (file := self._file(offset - 1)) is not None:
            file.registers[file.selected] = value
            return
        match offset:
            case Port.ATTRIBUTE:
                self._write_attribute(value)
            case Port.MISCELLANEOUS:
                state.miscellaneous = value
            case Port.PEL_MASK:
                state.pel_mask = value
            case Port.DAC_READ_INDEX | Port.DAC_WRITE_INDEX:
                state.dac_position = 3 * value
                state.dac_is_read = offset == Port.DAC_READ_INDEX
            case Port.DAC_DATA:
                self._step_dac(value)

    def _file(self, index_port: int) -> RegisterFile | None:
        match index_port:
            case IndexPort.SEQUENCER:
                return self.state.sequencer
            case IndexPort.GRAPHICS:
                return self.state.graphics
            case IndexPort.CRTC:
                return self.state.crtc
            case _:
                return None

    def _write_attribute(self, value: int) -> None:
        state = self.state
        if state.attribute_takes_data:
            state.attribute.registers[state.attribute.selected] = value
        else:
            state.attribute.index = value
        state.attribute_takes_data = not state.attribute_takes_data

    def _step_dac(self, value: int | None) -> int:
        """Read or write one colour component and go on to the next."""
        state = self.state
        position = state.dac_position
        if value is not None:
            state.dac[position] = value & DAC_BITS
        state.dac_position = (position + 1) % DAC_BYTES
        return state.dac[position]
