"""The text screen: rendering, cursor, start address, and the registers guests write."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa.devices.bus import Bus
from isa.devices.vga import Vga
from isa.devices.vga_modes import PICTURE, Mode, picture_colours
from isa.devices.vga_screen import GLYPHS, Cell
from isa.devices.vga_screen import Screen as VgaScreen


class Screen:
    """Text memory and the adapter's ports."""

    def __init__(self) -> None:
        self.ram = bytearray(0xC0000)
        self.vga = Vga(lambda gpa, size: bytes(self.ram[gpa : gpa + size]))
        self.bus = Bus()
        self.bus.claim_ports(0x3C0, 0x3DF, self.vga)

    def put(self, row: int, column: int, text: bytes, attribute: int = 0x07) -> None:
        at = 0xB8000 + 2 * (80 * row + column)
        for byte in text:
            self.ram[at : at + 2] = bytes((byte, attribute))
            at += 2

    def set_mode(self, mode: Mode) -> None:
        """Write all registers in the order in which a BIOS does."""
        write = self.bus.write_port
        write(0x3C2, 1, mode.miscellaneous)
        for index, value in enumerate(mode.sequencer):
            write(0x3C4, 2, value << 8 | index)
        write(0x3D4, 2, 0x0011)  # the protection of the CRTC's registers off
        for index, value in enumerate(mode.crtc):
            write(0x3D4, 2, value << 8 | index)
        for index, value in enumerate(mode.graphics):
            write(0x3CE, 2, value << 8 | index)
        self.bus.read_port(0x3DA, 1)
        for index, value in enumerate(mode.attribute):
            write(0x3C0, 1, index)
            write(0x3C0, 1, value)
        write(0x3C0, 1, 0x20)

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
    assert screen.vga.screen.cell(24, 79) == Cell("!", 0x4F)
    for row, column in ((25, 0), (0, 80), (-1, 0)):
        with pytest.raises(ValueError, match="not on the screen"):
            screen.vga.screen.cell(row, column)


def test_code_page_437(screen: Screen) -> None:
    assert len(GLYPHS) == 256
    screen.put(0, 0, bytes((0x01, 0x7F, 0xB0, 0xC9, 0xE1, 0xFF)))
    assert screen.vga.text().startswith("☺⌂░╔ß\xa0")
    assert "\n" not in GLYPHS


def test_cursor(screen: Screen) -> None:
    assert screen.vga.screen.cursor == (0, 0)
    screen.crtc(0x0E, 81 >> 8)
    screen.crtc(0x0F, 81 & 0xFF)
    assert screen.vga.screen.cursor == (1, 1)
    screen.crtc(0x0A, 0x20)
    assert screen.vga.screen.cursor is None
    screen.crtc(0x0A, 0x0D)
    screen.crtc(0x0E, 0xFF)
    assert screen.vga.screen.cursor is None


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


def test_fifty_lines(screen: Screen) -> None:
    screen.crtc(0x09, 0x47)  # eight scan lines in a row
    screen.put(49, 0, b"last")
    lines = screen.vga.text().split("\n")
    assert len(lines) == 50
    assert lines[49].startswith("last")
    assert screen.vga.screen.cell_height == 8


def test_forty_columns_and_a_wider_memory(screen: Screen) -> None:
    screen.bus.write_port(0x3D4, 2, 0x0011)
    screen.crtc(0x01, 39)
    screen.put(1, 0, b"here")  # rows are still 80 characters apart
    lines = screen.vga.text().split("\n")
    assert {len(line) for line in lines} == {40}
    assert lines[1].startswith("here")


def test_timing_registers_are_protected(screen: Screen) -> None:
    screen.crtc(0x00, 0x11)
    screen.crtc(0x07, 0x00)
    screen.bus.write_port(0x3D4, 1, 0x00)
    assert screen.bus.read_port(0x3D5, 1) == 0x5F
    screen.bus.write_port(0x3D4, 1, 0x07)
    assert screen.bus.read_port(0x3D5, 1) == 0x0F  # bit 4 alone may be changed
    assert screen.vga.screen.rows == 25


def test_colours_of_text(screen: Screen) -> None:
    palette = screen.vga.screen.text_palette()
    assert palette.shape == (16, 3)
    assert [tuple(colour) for colour in palette[[0, 1, 4, 6, 7, 8, 15]].tolist()] == [
        (0, 0, 0),
        (0, 0, 170),
        (170, 0, 0),
        (170, 85, 0),
        (170, 170, 170),
        (85, 85, 85),
        (255, 255, 255),
    ]
    assert screen.vga.screen.blinks
    assert screen.vga.screen.cursor_lines == (13, 14)


def test_mode_13h(screen: Screen) -> None:
    assert screen.vga.screen.pixels() is None
    screen.set_mode(PICTURE)
    shown = screen.vga.screen
    assert not shown.is_text
    assert shown.text() == ""
    assert shown.cursor is None
    screen.ram[0xA0000 + 320 * 199 + 319] = 0x5A
    screen.ram[0xA0000] = 1
    pixels = shown.pixels()
    assert pixels is not None
    assert pixels.shape == (200, 320)
    assert (pixels[0, 0], pixels[199, 319]) == (1, 0x5A)
    assert int(np.count_nonzero(pixels)) == 2
    screen.crtc(0x0D, 80)  # one row further
    scrolled = screen.vga.screen.pixels()
    assert scrolled is not None
    assert scrolled[198, 319] == 0x5A


def test_colours_of_mode_13h(screen: Screen) -> None:
    screen.bus.write_port(0x3C8, 1, 0)
    for component in picture_colours():
        screen.bus.write_port(0x3C9, 1, component)
    palette = screen.vga.screen.palette()
    wanted = {1: (0, 0, 170), 15: (255, 255, 255), 31: (255, 255, 255), 32: (0, 0, 255)}
    wanted |= {40: (255, 0, 0), 48: (0, 255, 0), 255: (0, 0, 0)}
    for number, colour in wanted.items():
        assert tuple(palette[number].tolist()) == colour
    screen.bus.write_port(0x3C6, 1, 0x0F)
    assert tuple(screen.vga.screen.palette()[0x21].tolist()) == (0, 0, 170)


def test_a_picture_of_planes_is_not_drawn(screen: Screen) -> None:
    screen.set_mode(PICTURE)
    screen.bus.write_port(0x3C4, 2, 0x0604)  # mode X: not chained
    shown = screen.vga.screen
    assert not shown.is_text
    assert not shown.is_picture
    assert shown.pixels() is None


@given(
    files=st.tuples(*[st.binary(min_size=32, max_size=32) for _ in range(4)]),
    mask=st.integers(0, 255),
)
def test_no_registers_break_the_screen(files: tuple[bytes, ...], mask: int) -> None:
    ram = bytes(0xC0000)
    crtc, sequencer, graphics, attribute = files
    shown = VgaScreen(
        crtc, sequencer, graphics, attribute, bytes(768), mask, lambda gpa, n: ram[gpa : gpa + n]
    )
    lines = shown.text().split("\n")
    assert shown.cursor is None or shown.is_text
    assert len(lines) == (shown.rows if shown.is_text else 1)
    pixels = shown.pixels()
    assert pixels is None or pixels.shape == (shown.rows, shown.columns)
    assert shown.text_palette().shape == (16, 3)
