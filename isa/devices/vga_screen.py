"""What a VGA shows: characters and attributes, or pixels, and the colours of both.

Derived from a copy of the registers and from video memory. Text of any number of rows and columns
that the CRT controller is set to, and pictures of one byte for each pixel; a picture in another
format is known to be one, and not drawn.

Source: IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem", CRT
controller, graphics controller, attribute controller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

# CRT controller
DISPLAY_END: Final = 0x01
OVERFLOW: Final = 0x07
ROW_SCAN: Final = 0x09  # bits 0 to 4: scan lines in a row less one
CURSOR_START, CURSOR_END = 0x0A, 0x0B
START_HIGH, START_LOW = 0x0C, 0x0D
CURSOR_HIGH, CURSOR_LOW = 0x0E, 0x0F
VERTICAL_END: Final = 0x12
OFFSET: Final = 0x13  # memory from row to row, in units of two (text) or eight (pixels)
CURSOR_OFF: Final = 0x20
SCANS: Final = 0x1F
DOUBLE_SCAN: Final = 0x80

SEQUENCER_MEMORY: Final = 0x04
CHAIN_FOUR: Final = 0x08
GRAPHICS_MODE: Final = 0x05
COLOURS_256: Final = 0x40
GRAPHICS_MISCELLANEOUS: Final = 0x06
IS_GRAPHICS: Final = 0x01
ATTRIBUTE_MODE, COLOUR_SELECT = 0x10, 0x14
BLINKS: Final = 0x08
SELECTS_COLOURS: Final = 0x80

# Where the graphics controller maps video memory: (first address, bytes) by its memory map.
APERTURES: Final = ((0xA0000, 0x20000), (0xA0000, 0x10000), (0xB0000, 0x8000), (0xB8000, 0x8000))

MOST_ROWS, MOST_COLUMNS = 128, 256

_CONTROL_GLYPHS = " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
GLYPHS = (
    _CONTROL_GLYPHS + bytes(range(32, 127)).decode() + "⌂" + bytes(range(128, 256)).decode("cp437")
)
"""Unicode character of each byte of code page 437, as drawn on the screen."""


class Cell(NamedTuple):
    """One place on the screen."""

    character: str
    attribute: int


@dataclass(frozen=True)
class Screen:
    """The screen at one time.

    Attributes:
        crtc, sequencer, graphics, attribute: registers of the four files.
        dac: 256 colours, red, green and blue of 6 bits each.
        pel_mask: what colour numbers are and-ed with.
        read_memory: guest-physical address, size -> bytes of RAM.
    """

    crtc: bytes
    sequencer: bytes
    graphics: bytes
    attribute: bytes
    dac: bytes
    pel_mask: int
    read_memory: Callable[[int, int], bytes]

    # --- which mode -----------------------------------------------------------------------------

    @property
    def is_text(self) -> bool:
        """Whether characters are shown."""
        return not self.graphics[GRAPHICS_MISCELLANEOUS] & IS_GRAPHICS

    @property
    def is_picture(self) -> bool:
        """Whether pixels of one byte each are shown."""
        has_bytes = self.graphics[GRAPHICS_MODE] & COLOURS_256
        is_linear = self.sequencer[SEQUENCER_MEMORY] & CHAIN_FOUR
        return not self.is_text and bool(has_bytes) and bool(is_linear)

    @property
    def _scan_lines(self) -> int:
        high = self.crtc[OVERFLOW]
        return 1 + (self.crtc[VERTICAL_END] | (high >> 1 & 1) << 8 | (high >> 6 & 1) << 9)

    @property
    def rows(self) -> int:
        """Rows of characters or of pixels."""
        each = (self.crtc[ROW_SCAN] & SCANS) + 1
        if self.crtc[ROW_SCAN] & DOUBLE_SCAN:
            each *= 2
        rows = self._scan_lines // each
        return max(1, min(rows, MOST_ROWS)) if self.is_text else max(1, rows)

    @property
    def columns(self) -> int:
        """Characters, or pixels of one byte each, in a row."""
        shown = self.crtc[DISPLAY_END] + 1
        return min(shown, MOST_COLUMNS) if self.is_text else 4 * shown

    @property
    def _start(self) -> int:
        return self.crtc[START_HIGH] << 8 | self.crtc[START_LOW]

    def _memory(self, first: int, size: int) -> bytes:
        """Bytes of video memory from an offset on; the display address wraps round in it."""
        base, length = APERTURES[self.graphics[GRAPHICS_MISCELLANEOUS] >> 2 & 3]
        shown = bytearray()
        while size > 0:
            first %= length
            piece = min(size, length - first)
            shown += self.read_memory(base + first, piece)
            first, size = 0, size - piece
        return bytes(shown)

    # --- text -----------------------------------------------------------------------------------

    def cells(self) -> list[list[Cell]]:
        """Every place of the text screen by row and column; none in graphics modes."""
        if not self.is_text:
            return []
        pitch = 2 * self.crtc[OFFSET] or self.columns
        rows = []
        for row in range(self.rows):
            shown = self._memory(2 * (self._start + row * pitch), 2 * self.columns)
            rows.append([Cell(GLYPHS[shown[at]], shown[at + 1]) for at in range(0, len(shown), 2)])
        return rows

    def text(self) -> str:
        """The lines of the text screen, separated by newlines; empty in graphics modes."""
        return "\n".join("".join(cell.character for cell in row) for row in self.cells())

    def cell(self, row: int, column: int) -> Cell:
        """What is shown at a place of the text screen."""
        if not (self.is_text and 0 <= row < self.rows and 0 <= column < self.columns):
            raise ValueError(f"row {row}, column {column} is not on the screen")
        return self.cells()[row][column]

    @property
    def cursor(self) -> tuple[int, int] | None:
        """Row and column of the cursor, or None when it is off or outside the screen."""
        if not self.is_text or self.crtc[CURSOR_START] & CURSOR_OFF:
            return None
        at = (self.crtc[CURSOR_HIGH] << 8 | self.crtc[CURSOR_LOW]) - self._start
        row, column = divmod(at, 2 * self.crtc[OFFSET] or self.columns)
        return (row, column) if 0 <= row < self.rows and column < self.columns else None

    @property
    def cursor_lines(self) -> tuple[int, int]:
        """First and last scan line of the cursor in its cell; none if the first is beyond."""
        return self.crtc[CURSOR_START] & SCANS, self.crtc[CURSOR_END] & SCANS

    @property
    def cell_height(self) -> int:
        """Scan lines of a character."""
        return (self.crtc[ROW_SCAN] & SCANS) + 1

    @property
    def blinks(self) -> bool:
        """Whether bit 7 of an attribute makes its character blink, and not its ground bright."""
        return bool(self.attribute[ATTRIBUTE_MODE] & BLINKS)

    # --- colours --------------------------------------------------------------------------------

    def palette(self) -> Pixels:
        """All 256 colours: uint8[256, 3], red, green and blue of 8 bits."""
        dac = np.frombuffer(self.dac, np.uint8).reshape(256, 3)
        chosen = dac[np.arange(256) & self.pel_mask] & 0x3F
        colours: Pixels = (chosen << 2 | chosen >> 4).astype(np.uint8)
        return colours

    def text_palette(self) -> Pixels:
        """The 16 colours of attributes: uint8[16, 3]."""
        numbers = []
        select = self.attribute[COLOUR_SELECT]
        for register in self.attribute[:16]:
            number = register & 0x3F | (select & 0xC) << 4
            if self.attribute[ATTRIBUTE_MODE] & SELECTS_COLOURS:
                number = number & 0xCF | (select & 3) << 4
            numbers.append(number)
        colours: Pixels = self.palette()[numbers]
        return colours

    # --- pictures -------------------------------------------------------------------------------

    def pixels(self) -> Pixels | None:
        """Colour numbers: uint8[rows, columns]; None unless pixels of one byte each are shown."""
        if not self.is_picture:
            return None
        rows, columns = self.rows, self.columns
        pitch = 8 * self.crtc[OFFSET] or columns
        memory = np.frombuffer(self._memory(4 * self._start, rows * pitch + columns), np.uint8)
        places = np.arange(rows)[:, None] * pitch + np.arange(columns)[None, :]
        pixels: Pixels = memory[places]
        return pixels
