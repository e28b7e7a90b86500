"""A VGA: its registers, and what they make of video memory.

Video memory is ordinary RAM of the guest at 0xA0000 to 0xBFFFF, not a device: storing there costs
nothing extra. isa/devices/vga_screen.py reads it back when somebody wants to see the screen. That
is right for text and for mode 13h, whose memory is one byte after the other; the planes of the
16-colour modes and of mode X do not exist, nor do fonts that a guest loads. It starts in mode 3,
as its BIOS leaves it.

Source: IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem".
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Annotated

import msgspec

from isa.devices.device import Byte, Device
from isa.devices.vga_modes import TEXT, text_colours
from isa.devices.vga_screen import Screen

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


CRTC_OVERFLOW, CRTC_PROTECT = 0x07, 0x11
PROTECTED = 0x80
LINE_COMPARE_BIT_8 = 0x10
STATUS_BLANK = 0x09
"""Display disabled and vertical retrace."""
REGISTERS = 32
"""Registers in each file, as many as its largest index needs."""
DAC_BYTES = 768
DAC_BITS = 0x3F


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


def _loaded(registers: bytes) -> Callable[[], RegisterFile]:
    """What makes a register file with registers as a mode has them."""
    return lambda: RegisterFile(registers=bytearray(registers.ljust(REGISTERS, b"\0")))


class VgaState(msgspec.Struct):
    """State of the adapter's registers."""

    crtc: RegisterFile = msgspec.field(default_factory=_loaded(TEXT.crtc))
    sequencer: RegisterFile = msgspec.field(default_factory=_loaded(TEXT.sequencer))
    graphics: RegisterFile = msgspec.field(default_factory=_loaded(TEXT.graphics))
    attribute: RegisterFile = msgspec.field(default_factory=_loaded(TEXT.attribute))
    attribute_takes_data: bool = False
    """The flip-flop of port 0x3C0."""
    miscellaneous: Byte = TEXT.miscellaneous
    pel_mask: Byte = 0xFF
    dac: Palette = msgspec.field(default_factory=lambda: bytearray(text_colours()))
    dac_position: Annotated[int, msgspec.Meta(ge=0, lt=DAC_BYTES)] = 0
    dac_is_read: bool = False
    is_blank: bool = False
    """What the status register said last: it alternates, so that waiting for retrace ends."""


class Vga(Device[VgaState]):
    """Ports 0x3C0 to 0x3DF, and the screen."""

    widths = (1,)

    def __init__(self, read_memory: Callable[[int, int], bytes]) -> None:
        super().__init__(VgaState)
        self._read_memory = read_memory

    @property
    def screen(self) -> Screen:
        """What is shown now; looks at registers and memory when it is asked."""
        state = self.state
        return Screen(
            crtc=bytes(state.crtc.registers),
            sequencer=bytes(state.sequencer.registers),
            graphics=bytes(state.graphics.registers),
            attribute=bytes(state.attribute.registers),
            dac=bytes(state.dac),
            pel_mask=state.pel_mask,
            read_memory=self._read_memory,
        )

    def text(self) -> str:
        """The lines of the text screen, separated by newlines; empty in graphics modes."""
        return self.screen.text()

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
            self._write_register(file, value)
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

    def _write_register(self, file: RegisterFile, value: int) -> None:
        """Store a register. Bit 7 of CRTC register 11h protects the first eight, a bit excepted."""
        number, registers = file.selected, file.registers
        is_protected = file is self.state.crtc and registers[CRTC_PROTECT] & PROTECTED
        if is_protected and number <= CRTC_OVERFLOW:
            kept = 0 if number == CRTC_OVERFLOW else LINE_COMPARE_BIT_8
            mask = LINE_COMPARE_BIT_8 & ~kept
            value = registers[number] & ~mask | value & mask
        registers[number] = value

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
