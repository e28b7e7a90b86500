"""The text screen: rendering, cursor, start address, and the registers guests write."""

from __future__ import annotations

import pytest

from isa.devices.bus import Bus
from isa.devices.vga import GLYPHS, Cell, VgaText


class Screen:
    """Text memory and the adapter's ports."""

    def __init__(self) -> None:
        self.ram = bytearray(0xC0000)
        self.vga = VgaText(lambda gpa, size: bytes(self.ram[gpa : gpa + size]))
        self.bus = Bus()
        self.bus.claim_ports(0x3C0, 0x3DF, self.vga)

    def put(self, row: int, column: int, text: bytes, attribute: int = 0x07) -> None:
        at = 0xB8000 + 2 * (80 * row + column)
        for byte in text:
            self.ram[at : at + 2] = bytes((byte, attribute))
            at += 2

    def crtc(self, index: int, value: int) -> None:
        self.bus.write_port(0x3D4, 2, value << 8 | index)


@pytest.fixture
def screen() -> Screen:
    return Screen()


def test_an_empty_screen_is_25_lines_of_80_blanks(screen: Screen) -> None:
    assert screen.vga.text() == "\n".join([" " * 80] * 25)


def test_text_and_attributes(screen: Screen) -> None:
    screen.put(0, 0, b"Hello")
    screen.put(24, 79, b"!", 0x4F)
    lines = screen.vga.text().split("\n")
    assert lines[0] == "Hello".ljust(80)
    assert lines[24] == "!".rjust(80)
    assert screen.vga.cell(24, 79) == Cell("!", 0x4F)
    for row, column in ((25, 0), (0, 80), (-1, 0)):
        with pytest.raises(ValueError, match="not on the screen"):
            screen.vga.cell(row, column)


def test_code_page_437(screen: Screen) -> None:
    assert len(GLYPHS) == 256
    screen.put(0, 0, bytes((0x01, 0x7F, 0xB0, 0xC9, 0xE1, 0xFF)))
    assert screen.vga.text().startswith("☺⌂░╔ß\xa0")
    assert "\n" not in GLYPHS


def test_cursor(screen: Screen) -> None:
    assert screen.vga.cursor == (0, 0)
    screen.crtc(0x0E, 81 >> 8)
    screen.crtc(0x0F, 81 & 0xFF)
    assert screen.vga.cursor == (1, 1)
    screen.crtc(0x0A, 0x20)
    assert screen.vga.cursor is None
    screen.crtc(0x0A, 0x0D)
    screen.crtc(0x0E, 0xFF)
    assert screen.vga.cursor is None


def test_start_address_scrolls_and_wraps(screen: Screen) -> None:
    screen.put(1, 0, b"second line")
    screen.crtc(0x0D, 80)
    assert screen.vga.text().startswith("second line")
    screen.ram[0xB8000] = ord("w")
    start = 0x4000 - 80
    screen.crtc(0x0C, start >> 8)
    screen.crtc(0x0D, start & 0xFF)
    lines = screen.vga.text().split("\n")
    assert lines[1].startswith("w")
    assert lines[2].startswith("second line")
    screen.crtc(0x0C, 0x40)  # beyond the end: round again
    screen.crtc(0x0D, 0x00)
    assert screen.vga.text().startswith("w")


def test_crtc_registers_read_back(screen: Screen) -> None:
    screen.crtc(0x0F, 0x5A)
    assert screen.bus.read_port(0x3D4, 1) == 0x0F
    assert screen.bus.read_port(0x3D5, 1) == 0x5A
    screen.bus.write_port(0x3D4, 1, 0xFF)
    screen.bus.write_port(0x3D5, 1, 1)


def test_attribute_flip_flop(screen: Screen) -> None:
    bus = screen.bus
    bus.read_port(0x3DA, 1)
    bus.write_port(0x3C0, 1, 0x10)
    bus.write_port(0x3C0, 1, 0x0C)
    bus.write_port(0x3C0, 1, 0x11)
    bus.read_port(0x3DA, 1)
    bus.write_port(0x3C0, 1, 0x10)
    assert bus.read_port(0x3C1, 1) == 0x0C


def test_waiting_for_retrace_ends(screen: Screen) -> None:
    seen = [screen.bus.read_port(0x3DA, 1) & 0x08 for _ in range(4)]
    assert sorted(set(seen)) == [0, 8]


def test_palette(screen: Screen) -> None:
    bus = screen.bus
    bus.write_port(0x3C8, 1, 0xFF)
    for component in (0x3F, 0xFF, 0x01, 0x02):
        bus.write_port(0x3C9, 1, component)
    assert bus.read_port(0x3C8, 1) == 0
    bus.write_port(0x3C7, 1, 0xFF)
    assert bus.read_port(0x3C7, 1) == 3
    assert [bus.read_port(0x3C9, 1) for _ in range(4)] == [0x3F, 0x3F, 0x01, 0x02]


def test_other_registers_are_kept(screen: Screen) -> None:
    bus = screen.bus
    bus.write_port(0x3C2, 1, 0x63)
    assert bus.read_port(0x3CC, 1) == 0x63
    bus.write_port(0x3C6, 1, 0x0F)
    assert bus.read_port(0x3C6, 1) == 0x0F
    for index_port in (0x3C4, 0x3CE):
        bus.write_port(index_port, 2, 0x2A03)
        assert bus.read_port(index_port + 1, 1) == 0x2A
    bus.write_port(0x3DF, 1, 0xFF)
    assert bus.read_port(0x3DF, 1) == 0
