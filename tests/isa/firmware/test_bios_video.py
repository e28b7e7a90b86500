"""INT 10h, function by function.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 10h—Video".
"""

from __future__ import annotations

import pytest

from tests.isa.firmware.bios_machine import BiosMachine

pytestmark = [pytest.mark.compiled, pytest.mark.usefixtures("compiled_machine")]


@pytest.fixture
def bios() -> BiosMachine:
    return BiosMachine()


def test_the_screen_is_empty_when_the_boot_sector_starts(bios):
    assert bios.machine.screen.strip() == ""
    bios.call("mov ah, 0x0F\nint 0x10")
    assert (bios.al, bios.ah, bios.bh) == (3, 80, 0)


def teletype(text: str) -> str:
    """Code that prints text by AH=0Eh."""
    data = ", ".join(str(byte) for byte in text.encode("ascii"))
    return f"""
        mov si, text
        mov cx, {len(text)}
    next:
        lodsb
        mov ah, 0x0E
        mov bx, 7
        int 0x10
        loop next
        jmp done
    text: db {data}
    done:
    """


def test_teletype_moves_and_obeys_controls(bios):
    bios.call(teletype("one\r\ntwo\bO\rT\a!") + "mov ah, 3\nmov bh, 0\nint 0x10\n")
    assert (bios.row(0), bios.row(1)) == ("one", "T!O")
    assert (bios.dh, bios.dl) == (1, 2)


def test_backspace_stays_in_its_row(bios):
    bios.call(teletype("\r\n\b\b") + "mov ah, 3\nmov bh, 0\nint 0x10\n")
    assert (bios.dh, bios.dl) == (1, 0)


def test_teletype_wraps_and_scrolls(bios):
    bios.call(teletype("first\r\n" + "x" * 81 + "\n" * 23 + "\rlast"))
    assert (bios.row(0), bios.row(1)) == ("x" * 80, "x")
    assert bios.row(24) == "last"


def test_a_scrolled_line_takes_the_attribute_of_the_cursor(bios):
    bios.call(
        "mov ax, 0x0600\nmov bh, 0x1F\nxor cx, cx\nmov dx, 0x184F\nint 0x10\n"
        "mov ah, 2\nmov bh, 0\nmov dx, 0x1800\nint 0x10\n" + teletype("\n")
    )
    assert bios.attribute(24, 79) == 0x1F


def test_the_cursor_is_where_the_screen_shows_it(bios):
    bios.call("mov ah, 2\nmov bh, 0\nmov dx, 0x050A\nint 0x10\nmov ah, 3\nint 0x10")
    assert (bios.dx, bios.cx) == (0x050A, 0x0607)
    assert bios.machine.platform.vga.screen.cursor == (5, 10)
    assert bios.word(0x450) == 0x050A


def test_the_shape_of_the_cursor(bios):
    bios.call("mov ah, 1\nmov cx, 0x2607\nint 0x10\nmov ah, 3\nmov bh, 0\nint 0x10")
    assert bios.cx == 0x2607
    assert bios.machine.platform.vga.screen.cursor is None
    bios.call("mov ah, 1\nmov cx, 0x0607\nint 0x10\n")
    assert bios.machine.platform.vga.screen.cursor == (0, 0)


def test_characters_with_attributes(bios):
    bios.call(
        "mov ah, 2\nmov bh, 0\nmov dx, 0x0203\nint 0x10\n"
        "mov ax, 0x0941\nmov bx, 0x004E\nmov cx, 3\nint 0x10\n"
        "mov ax, 0x0A42\nmov cx, 2\nint 0x10\n"
        "mov ah, 8\nmov bh, 0\nint 0x10"
    )
    assert bios.row(2) == "   BBA"
    assert [bios.attribute(2, column) for column in range(2, 7)] == [7, 0x4E, 0x4E, 0x4E, 7]
    assert bios.ax == 0x4E42


def test_pages_are_apart(bios):
    bios.call(
        "mov ah, 2\nmov bx, 0x0100\nmov dx, 0x0101\nint 0x10\n"
        "mov ax, 0x0950\nmov bx, 0x0107\nmov cx, 1\nint 0x10\n"
        "mov ax, 0x0501\nint 0x10\nmov ah, 0x0F\nint 0x10"
    )
    assert bios.bh == 1
    assert bios.row(1) == " P"
    assert bios.machine.platform.vga.screen.cursor == (1, 1)
    assert bios.byte(0xB8000 + 0x1000 + 2 * 81) == ord("P")


@pytest.mark.parametrize(
    ("function", "lines", "rows"),
    [
        (6, 1, ["aaaa", "bccb", "cddc", "d  d", "eeee"]),
        (6, 2, ["aaaa", "bddb", "c  c", "d  d", "eeee"]),
        (6, 0, ["aaaa", "b  b", "c  c", "d  d", "eeee"]),
        (6, 9, ["aaaa", "b  b", "c  c", "d  d", "eeee"]),
        (7, 1, ["aaaa", "b  b", "cbbc", "dccd", "eeee"]),
        (7, 3, ["aaaa", "b  b", "c  c", "d  d", "eeee"]),
        (7, 0, ["aaaa", "b  b", "c  c", "d  d", "eeee"]),
    ],
)
def test_windows_scroll(bios, function, lines, rows):
    bios.call(
        teletype("aaaa\r\nbbbb\r\ncccc\r\ndddd\r\neeee")
        + f"mov ax, {function << 8 | lines:#x}\nmov bh, 0x2E\n"
        "mov cx, 0x0101\nmov dx, 0x0302\nint 0x10"
    )
    assert [bios.row(number) for number in range(5)] == rows
    assert (bios.attribute(0, 1), bios.attribute(4, 1), bios.attribute(2, 3)) == (7, 7, 7)
    assert bios.attribute(1 if function == 7 else 3, 1) == 0x2E


@pytest.mark.parametrize(
    "window", ["mov cx, 0x0505\nmov dx, 0x0102", "mov cx, 0xFFFF\nmov dx, 0xFFFF"]
)
@pytest.mark.parametrize("function", [6, 7])
def test_impossible_windows_change_nothing(bios, window, function):
    bios.call(teletype("stays") + f"mov ax, {function << 8}\nmov bh, 7\n{window}\nint 0x10")
    assert bios.row(0) == "stays"


def test_strings(bios):
    bios.call(
        "xor bx, bx\nmov es, bx\n"
        "mov ax, 0x1301\nmov bx, 0x001E\nmov cx, 5\nmov dx, 0x0304\nmov bp, plain\nint 0x10\n"
        "mov ax, 0x1302\nmov bx, 0x0000\nmov cx, 2\nmov dx, 0x0400\nmov bp, coloured\nint 0x10\n"
        "mov ah, 3\nmov bh, 0\nint 0x10\njmp done\n"
        "plain: db 'plain'\ncoloured: db 'A', 0x4F, 'B', 0x2F\ndone:"
    )
    assert (bios.row(3), bios.row(4)) == ("    plain", "AB")
    assert (bios.attribute(3, 4), bios.attribute(4, 0), bios.attribute(4, 1)) == (0x1E, 0x4F, 0x2F)
    assert (bios.dh, bios.dl) == (3, 9)


def test_mode_13h_has_pixels(bios):
    bios.call(
        "mov ax, 0x0013\nint 0x10\nmov ax, 0x0C2A\nmov cx, 319\nmov dx, 199\nint 0x10\n"
        "mov ax, 0x0D00\nint 0x10\nmov [DATA], al\nmov ah, 0x0F\nint 0x10"
    )
    assert bios.byte(0x9000) == 0x2A
    assert bios.byte(0xA0000 + 320 * 199 + 319) == 0x2A
    assert (bios.al, bios.ah) == (0x13, 40)


def test_mode_13h_draws_characters_and_reads_them(bios):
    bios.call(
        "mov ax, 0x0013\nint 0x10\nmov ax, 0x0E48\nmov bx, 0x000F\nint 0x10\n"
        "mov ah, 2\nmov bh, 0\nxor dx, dx\nint 0x10\nmov ah, 8\nint 0x10"
    )
    assert bios.al == ord("H")
    pixels = bios.machine.read_memory(0xA0000, 320 * 8)
    assert set(pixels) == {0, 0x0F}


def test_mode_13h_scrolls(bios):
    bios.call(
        "mov ax, 0x0013\nint 0x10\n" + teletype("\n" * 24 + "A") + "mov ax, 0x0E0A\nint 0x10\n"
        "mov ah, 2\nmov bh, 0\nmov dx, 0x1700\nint 0x10\nmov ah, 8\nint 0x10"
    )
    assert bios.al == ord("A")
    assert set(bios.machine.read_memory(0xA0000 + 320 * 192, 320 * 8)) == {0}


def test_the_colours_of_mode_13h(bios):
    bios.call("mov ax, 0x0013\nint 0x10")
    dac = bios.machine.platform.vga.state.dac
    colours = [tuple(dac[3 * number : 3 * number + 3]) for number in range(256)]
    assert colours[:3] == [(0, 0, 0), (0, 0, 42), (0, 42, 0)]
    assert (colours[6], colours[15], colours[31]) == ((42, 21, 0), (63, 63, 63), (63, 63, 63))
    assert (colours[32], colours[40], colours[48]) == ((0, 0, 63), (63, 0, 0), (0, 63, 0))
    assert colours[248:] == [(0, 0, 0)] * 8


def test_eight_line_characters_make_fifty_rows(bios):
    bios.call("mov ax, 0x1112\nxor bx, bx\nint 0x10\n" + teletype("\n" * 49 + "fifty"))
    rows = bios.machine.screen.splitlines()
    assert len(rows) == 50
    assert rows[49].strip() == "fifty"
    assert bios.byte(0x484) == 49


def test_the_font_can_be_found(bios):
    bios.call("mov ax, 0x1130\nmov bh, 3\nint 0x10\nmov ax, es\nmov [DATA], ax")
    assert (bios.cx, bios.dl) == (16, 24)
    at = (bios.word(0x9000) << 4) + bios.bp
    assert any(bios.machine.read_memory(at + 8 * ord("A"), 8))


def test_palette_registers_and_colours(bios):
    bios.call(
        "mov ax, 0x1000\nmov bx, 0x2A05\nint 0x10\nmov ax, 0x1007\nmov bl, 5\nint 0x10\n"
        "mov [DATA], bh\n"
        "mov ax, 0x1010\nmov bx, 40\nmov dh, 11\nmov cx, 0x160D\nint 0x10\n"
        "mov ax, 0x1015\nmov bl, 40\nxor cx, cx\nxor dx, dx\nint 0x10"
    )
    assert bios.byte(0x9000) == 0x2A
    assert (bios.dh, bios.ch, bios.cl) == (11, 0x16, 13)


def test_blocks_of_colours(bios):
    bios.call(
        "mov ax, 0x1012\nmov bx, 100\nmov cx, 2\nmov dx, block\nint 0x10\n"
        "mov ax, 0x1017\nmov bx, 100\nmov cx, 2\nmov dx, DATA\nint 0x10\njmp done\n"
        "block: db 1, 2, 3, 61, 62, 63\ndone:"
    )
    assert bios.machine.read_memory(0x9000, 6) == bytes((1, 2, 3, 61, 62, 63))


def test_blinking_can_be_bright_background(bios):
    bios.call("mov ax, 0x1003\nmov bl, 0\nint 0x10")
    assert bios.machine.platform.vga.state.attribute.registers[0x10] & 0x08 == 0
    bios.call("mov ax, 0x1003\nmov bl, 1\nint 0x10")
    assert bios.machine.platform.vga.state.attribute.registers[0x10] & 0x08 == 0x08


@pytest.mark.parametrize(
    ("code", "registers"),
    [
        ("mov ax, 0x1A00", {"al": 0x1A, "bx": 0x0008}),
        ("mov ax, 0x1200\nmov bl, 0x10", {"bx": 0x0003}),
        ("mov ax, 0x1201\nmov bl, 0x30", {"al": 0x12}),
        ("mov ax, 0x4F00", {"ax": 0x4F00}),
        ("mov ax, 0x0012", {"ax": 0x0012}),
    ],
)
def test_what_the_adapter_says_of_itself(bios, code, registers):
    bios.call(f"{code}\nint 0x10")
    assert {name: getattr(bios, name) for name in registers} == registers


def test_a_mode_can_be_set_without_clearing(bios):
    bios.call(teletype("kept") + "mov ax, 0x0083\nint 0x10\nmov ah, 0x0F\nint 0x10")
    assert bios.row(0) == "kept"
    assert bios.al == 0x83


def test_registers_that_are_not_results_survive(bios):
    bios.call(
        "mov ebx, 0x11110007\nmov ecx, 0x22222222\nmov edx, 0x33333333\nmov esi, 0x44444444\n"
        "mov edi, 0x55555555\nmov ebp, 0x66666666\nmov eax, 0x77770E41\nint 0x10\n"
    )
    assert (bios.ebx, bios.ecx, bios.edx) == (0x11110007, 0x22222222, 0x33333333)
    assert (bios.esi, bios.edi, bios.ebp) == (0x44444444, 0x55555555, 0x66666666)
    assert bios.eax == 0x77770E41
