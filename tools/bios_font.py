"""Writes the font of the BIOS for graphics modes: 256 glyphs of 8 by 8 pixels.

Drawn glyphs come from tools/screen/glyphs.txt, whose nine rows lose the last; the others are the
glyphs of the text screen, two rows of which become one.
"""

from __future__ import annotations

from typing import Final

from isa.devices.vga_screen import GLYPHS
from tools.screen.font import drawings, font

HALF: Final = 128
_ROWS: Final = 8
_SHIFT: Final = 2  # a drawing is five pixels wide


def glyph_rows() -> list[bytes]:
    """The eight rows of each glyph, bit 7 leftmost."""
    drawn = drawings()
    rows = []
    for number, character in enumerate(GLYPHS):
        if character in drawn:
            rows.append(bytes(row << _SHIFT for row in drawn[character][:_ROWS]))
            continue
        tall = font()[number]
        halved = tall[0::2] | tall[1::2]
        rows.append(bytes(int("".join(map(str, row)), 2) for row in halved.tolist()))
    return rows


def font_text(first: int, label: str, warning: str) -> str:
    """Half of the font as an include file."""
    lines = [
        f"; {label} — the 8 x 8 font from character {first:02X}h on. {warning}",
        "",
        f"{label}:",
    ]
    lines += [
        f"    db {', '.join(f'0x{row:02X}' for row in rows)}"
        for rows in glyph_rows()[first : first + HALF]
    ]
    return "\n".join([*lines, ""])
