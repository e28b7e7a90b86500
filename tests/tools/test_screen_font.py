"""The font and the picture files of the screen."""

from __future__ import annotations

import struct
import unicodedata
import zlib

import numpy as np
import pytest

from isa.devices.vga_screen import GLYPHS
from tools.screen.font import HEIGHT, WIDTH, font
from tools.screen.png import encode


def glyph(character: str) -> np.ndarray:
    return font()[GLYPHS.index(character)]


def test_every_character_but_the_spaces_has_a_glyph_of_its_own() -> None:
    shapes: dict[bytes, str] = {}
    for character in GLYPHS:
        shape = glyph(character)
        assert shape.shape == (HEIGHT, WIDTH)
        assert set(np.unique(shape)) <= {0, 1}
        assert shape.any() != character.isspace()
        if not character.isspace():
            twin = shapes.setdefault(shape.tobytes(), character)
            assert twin == character, f"{twin} and {character} look alike"


def test_letters_leave_a_column_free_so_that_they_do_not_touch() -> None:
    for character in map(chr, range(33, 127)):
        assert not glyph(character)[:, 0].any()


@pytest.mark.parametrize("character", [c for c in GLYPHS if 0x2500 <= ord(c) <= 0x256C])
def test_boxes_reach_the_edges_that_their_names_say(character: str) -> None:
    name = unicodedata.name(character)
    shape = glyph(character)
    sides = {"LEFT": shape[:, 0], "RIGHT": shape[:, -1], "UP": shape[0], "DOWN": shape[-1]}
    meant = {side for side in sides if side in name}
    meant |= {"LEFT", "RIGHT"} if "HORIZONTAL" in name else set()
    meant |= {"UP", "DOWN"} if "VERTICAL" in name else set()
    assert {side for side, edge in sides.items() if edge.any()} == meant


def test_a_picture_reads_back_as_it_was() -> None:
    pixels = np.arange(6 * 5, dtype=np.uint8).reshape(5, 6)
    palette = np.arange(3 * 30, dtype=np.uint8).reshape(30, 3)
    data = encode(pixels, palette)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks = {}
    at = 8
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + size]
        (check,) = struct.unpack_from(">I", data, at + 8 + size)
        assert check == zlib.crc32(kind + body)
        chunks[kind] = body
        at += 12 + size
    assert list(chunks) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    assert chunks[b"IHDR"] == struct.pack(">IIBBBBB", 6, 5, 8, 3, 0, 0, 0)
    assert chunks[b"PLTE"] == palette.tobytes()
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(5, 7)
    assert not lines[:, 0].any()
    assert (lines[:, 1:] == pixels).all()
