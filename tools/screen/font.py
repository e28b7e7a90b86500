"""The font of the text screen: 256 glyphs of code page 437, 8 pixels wide and 16 high.

Letters and signs are drawn by hand in glyphs.txt, five pixels wide, and stretched here with strokes
two pixels wide; accented letters are put together, lines of boxes follow from their Unicode names,
and blocks and shades are computed. The ROM font of no adapter was copied.

Source: code page 437 as Unicode names it.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isa.devices.vga_screen import GLYPHS

WIDTH: Final = 8
HEIGHT: Final = 16

Bitmap = NDArray[np.uint8]
"""HEIGHT rows of WIDTH pixels, 0 or 1."""

_ROWS: Final = 9  # of a drawing: seven above the base line
_REPEATS: Final = (1, 2, 1, 2, 1, 2, 1, 2, 1)  # rows of the glyph for each row of the drawing
_TOP: Final = 2

# Marks over a letter: two rows of five pixels.
_MARKS: Final = {
    "\N{COMBINING GRAVE ACCENT}": (0x08, 0x04),
    "\N{COMBINING ACUTE ACCENT}": (0x02, 0x04),
    "\N{COMBINING CIRCUMFLEX ACCENT}": (0x04, 0x0A),
    "\N{COMBINING TILDE}": (0x0D, 0x16),
    "\N{COMBINING DIAERESIS}": (0x11, 0x00),
    "\N{COMBINING RING ABOVE}": (0x04, 0x04),
}
_SHADES: Final = {"░": (0x88, 0x22), "▒": (0xAA, 0x55), "▓": (0x77, 0xDD), "█": (0xFF, 0xFF)}
_HALVES: Final = {"▀": (0, 8, 0, 8), "▄": (8, 16, 0, 8), "▌": (0, 16, 0, 4), "▐": (0, 16, 4, 8)}


@cache
def font() -> NDArray[np.uint8]:
    """All glyphs: uint8[256, HEIGHT, WIDTH], 0 or 1."""
    glyphs = np.stack([_glyph(character) for character in GLYPHS])
    glyphs.setflags(write=False)
    return glyphs


def _glyph(character: str) -> Bitmap:
    bitmap: Bitmap = np.zeros((HEIGHT, WIDTH), np.uint8)
    if character in _SHADES:
        for row in range(HEIGHT):
            bitmap[row] = _pixels(_SHADES[character][row % 2], 8)
    elif character in _HALVES:
        top, bottom, left, right = _HALVES[character]
        bitmap[top:bottom, left:right] = 1
    elif unicodedata.name(character, "").startswith("BOX DRAWINGS"):
        _draw_box(bitmap, unicodedata.name(character))
    elif character in drawings():
        _stretch(bitmap, drawings()[character])
    elif not character.isspace():
        _accented(bitmap, *unicodedata.normalize("NFD", character))
    return bitmap


def _pixels(row: int, width: int) -> list[int]:
    return [row >> (width - 1 - column) & 1 for column in range(width)]


# --- drawings ---------------------------------------------------------------------------------


@cache
def drawings() -> dict[str, tuple[int, ...]]:
    """The glyphs drawn by hand: nine rows of five pixels, bit 4 leftmost."""
    text = (files("tools") / "screen" / "glyphs.txt").read_text("utf-8")
    drawn = {}
    for line in text.splitlines():
        character, _, rows = line.partition(" ")
        if len(character) == 1 and len(rows) == 3 * _ROWS - 1:
            drawn[character] = tuple(int(row, 16) for row in rows.split())
    return drawn


def _accented(bitmap: Bitmap, letter: str, mark: str) -> None:
    """A letter and a mark over it: above the cell's top row for capitals."""
    body = drawings()[letter]
    marks = _MARKS[mark]
    if letter.isupper():
        _stretch(bitmap, body)
        for row in range(2):
            bitmap[row] = _stroke(marks[row])
    else:
        _stretch(bitmap, (*marks, *body[2:]))


def _stroke(row: int) -> list[int]:
    """A row of a drawing with strokes two pixels wide: six pixels, and one free on either side."""
    return _pixels(row << 2 | row << 1, WIDTH)


def _stretch(bitmap: Bitmap, drawing: tuple[int, ...]) -> None:
    at = _TOP
    for row, times in zip(drawing, _REPEATS, strict=True):
        bitmap[at : at + times] = _stroke(row)
        at += times


# --- boxes ------------------------------------------------------------------------------------

_DIRECTIONS: Final = {
    "HORIZONTAL": ("LEFT", "RIGHT"),
    "VERTICAL": ("UP", "DOWN"),
    "LEFT": ("LEFT",),
    "RIGHT": ("RIGHT",),
    "UP": ("UP",),
    "DOWN": ("DOWN",),
}


def _draw_box(bitmap: Bitmap, name: str) -> None:
    """Draw the arms that a name such as BOX DRAWINGS VERTICAL SINGLE AND RIGHT DOUBLE lists."""
    words = name.removeprefix("BOX DRAWINGS ").replace("AND ", "").split()
    weight = "LIGHT"
    arms: dict[str, str] = {}
    pending: list[str] = []
    for word in words:
        if word in _DIRECTIONS:
            pending = list(_DIRECTIONS[word])
            arms |= dict.fromkeys(pending, weight)
        elif word in ("SINGLE", "DOUBLE", "LIGHT"):
            weight = word
            arms |= dict.fromkeys(pending, weight)
    across = {arms[side] for side in ("LEFT", "RIGHT") if side in arms}
    along = {arms[side] for side in ("UP", "DOWN") if side in arms}
    rows = (6, 7, 9, 10) if "DOUBLE" in across else (7, 8)
    columns = (2, 5) if "DOUBLE" in along else (3, 4)
    for side, weight in arms.items():
        _draw_arm(bitmap, side, weight, rows, columns)


def _draw_arm(
    bitmap: Bitmap, side: str, weight: str, rows: tuple[int, ...], columns: tuple[int, ...]
) -> None:
    """One arm from the edge to the far side of what it meets."""
    if side in ("LEFT", "RIGHT"):
        reach = slice(0, columns[-1] + 1) if side == "LEFT" else slice(columns[0], WIDTH)
        bitmap[list((6, 9) if weight == "DOUBLE" else (7, 8)[:1]), reach] = 1
    else:
        reach = slice(0, rows[-1]) if side == "UP" else slice(rows[0], HEIGHT)
        bitmap[reach, list((2, 5) if weight == "DOUBLE" else (3, 4))] = 1
