"""The registers and colours of the VGA's modes 3 and 13h, as its BIOS sets them.

Source: IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem"; register
values and the colours of mode 13h as every VGA BIOS loads them.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Mode(NamedTuple):
    """Register files of one mode, from register 0 on."""

    miscellaneous: int
    sequencer: bytes
    crtc: bytes
    graphics: bytes
    attribute: bytes


_CRTC_TIMING: Final = "5f4f50825581bf1f"
_CRTC_LAST: Final = "9c8e8f28"

TEXT: Final = Mode(
    miscellaneous=0x67,
    sequencer=bytes.fromhex("0300030002"),
    crtc=bytes.fromhex(_CRTC_TIMING + "004f0d0e00000000" + _CRTC_LAST + "1f96b9a3ff"),
    graphics=bytes.fromhex("0000000000100e00ff"),
    attribute=bytes.fromhex("0001020304051407" + "38393a3b3c3d3e3f" + "0c000f0800"),
)
"""Mode 3: 80 x 25 characters of 8 x 16 pixels in 16 colours, at 0xB8000."""

PICTURE: Final = Mode(
    miscellaneous=0x63,
    sequencer=bytes.fromhex("03010f000e"),
    crtc=bytes.fromhex("5f4f50825480bf1f" + "0041000000000000" + _CRTC_LAST + "4096b9a3ff"),
    graphics=bytes.fromhex("000000000040050fff"),
    attribute=bytes.fromhex("0001020304050607" + "08090a0b0c0d0e0f" + "41000f0000"),
)
"""Mode 13h: 320 x 200 pixels in 256 colours, one byte each, at 0xA0000."""


def text_colours() -> bytes:
    """The DAC of mode 3: 64 colours of an EGA, red, green and blue of 6 bits each."""
    colours = bytearray()
    for index in range(64):
        for bit in (2, 1, 0):  # red, green, blue; the bit three above it is the dim one
            colours.append(0x2A * (index >> bit & 1) + 0x15 * (index >> bit + 3 & 1))
    return bytes(colours).ljust(768, b"\0")


_GREYS: Final = bytes.fromhex("0005080b0e1114181c2024282d32383f")
# Steps from a pair's darkest to its brightest component, by brightness and by saturation.
_RAMPS: Final = (
    "00101f2f3f", "1f272f373f", "2d31363a3f",
    "00070e151c", "0e1115181c", "141618 1a1c",
    "0004080c10", "080a0c0e10", "0b0c0d0f10",
)  # fmt: skip


def picture_colours() -> bytes:
    """The DAC of mode 13h: 16 colours of an EGA, 16 greys, then nine wheels of 24 hues."""
    ega = text_colours()
    colours = bytearray()
    for index in TEXT.attribute[:16]:
        colours += ega[3 * index : 3 * index + 3]
    for grey in _GREYS:
        colours += bytes((grey, grey, grey))
    for ramp in _RAMPS:
        colours += _wheel(bytes.fromhex(ramp))
    return bytes(colours).ljust(768, b"\0")


def _wheel(ramp: bytes) -> bytes:
    """24 hues from blue by red and green back to blue; `ramp` has five steps, dark to bright."""
    up, down = ramp[:4], ramp[:0:-1]
    dark, bright = bytes(4 * ramp[:1]), bytes(4 * ramp[-1:])
    red = up + bright + bright + down + dark + dark
    green = dark + dark + up + bright + bright + down
    blue = bright + down + dark + dark + up + bright
    return bytes(value for colour in zip(red, green, blue, strict=True) for value in colour)
