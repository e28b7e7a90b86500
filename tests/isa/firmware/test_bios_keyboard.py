"""INT 09h and INT 16h: keys pressed at the platform's keyboard arrive as the manual's codes.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Keyboard Scan Code/Character Codes",
"Interrupt 16h—Keyboard".
"""

from __future__ import annotations

import pytest

from isa.devices.scancodes import KEYS
from tests.isa.firmware.bios_machine import BiosMachine

pytestmark = [pytest.mark.compiled, pytest.mark.usefixtures("compiled_machine")]

# Keys in set 1.
ESCAPE, ENTER, CTRL, SHIFT, ALT, CAPS, NUM, SCROLL = 0x01, 0x1C, 0x1D, 0x2A, 0x38, 0x3A, 0x45, 0x46
UP = 0x80


@pytest.fixture
def bios() -> BiosMachine:
    return BiosMachine()


def press(bios: BiosMachine, *codes: int) -> None:
    """Strike keys one by one, the guest taking each."""
    for code in codes:
        bios.machine.platform.keyboard.press(bytes((code,)))
        bios.call("mov cx, 2000\nagain: nop\nloop again")


def take(bios: BiosMachine, function: int = 0x10) -> int:
    """The next key, waited for."""
    bios.call(f"mov ah, {function:#x}\nint 0x16")
    return bios.ax


def is_empty(bios: BiosMachine) -> bool:
    bios.call("mov ah, 0x11\nint 0x16")
    return bios.zero


@pytest.mark.parametrize(
    ("before", "key", "code"),
    [
        ((), 0x1E, 0x1E61),
        ((SHIFT,), 0x1E, 0x1E41),
        ((0x36,), 0x1E, 0x1E41),
        ((CTRL,), 0x1E, 0x1E01),
        ((ALT,), 0x1E, 0x1E00),
        ((CAPS, CAPS | UP), 0x1E, 0x1E41),
        ((CAPS, CAPS | UP, SHIFT), 0x1E, 0x1E61),
        ((CAPS, CAPS | UP), 0x02, 0x0231),
        ((SHIFT,), 0x02, 0x0221),
        ((), ESCAPE, 0x011B),
        ((), ENTER, 0x1C0D),
        ((CTRL,), ENTER, 0x1C0A),
        ((SHIFT,), 0x0F, 0x0F00),
        ((), 0x3B, 0x3B00),
        ((SHIFT,), 0x3B, 0x5400),
        ((CTRL,), 0x44, 0x6700),
        ((ALT,), 0x3B, 0x6800),
        ((), 0x57, 0x8500),
        ((), 0x48, 0x4800),
        ((SHIFT,), 0x48, 0x4838),
        ((NUM, NUM | UP), 0x48, 0x4838),
        ((NUM, NUM | UP, SHIFT), 0x48, 0x4800),
        ((CTRL,), 0x48, 0x8D00),
        ((), 0x39, 0x3920),
    ],
)
def test_keys_have_their_codes(bios, before, key, code):
    press(bios, *before, key)
    assert take(bios) == code
    assert is_empty(bios)


@pytest.mark.parametrize(
    ("before", "key", "code", "old"),
    [
        ((), 0x48, 0x48E0, 0x4800),
        ((), 0x53, 0x53E0, 0x5300),
        ((CTRL,), 0x4B, 0x73E0, 0x7300),
        ((), 0x1C, 0xE00D, 0x1C0D),
        ((), 0x35, 0xE02F, 0x352F),
    ],
)
def test_grey_keys_have_codes_old_and_new(bios, before, key, code, old):
    press(bios, *before, 0xE0, key, 0xE0, key | UP, 0xE0, key)
    assert take(bios) == code
    assert take(bios, 0x00) == old


def test_old_functions_leave_out_new_keys(bios):
    press(bios, 0x57, 0x1E)
    bios.call("mov ah, 1\nint 0x16")
    assert (bios.zero, bios.ax) == (False, 0x1E61)
    assert take(bios, 0x00) == 0x1E61


def test_a_key_can_be_looked_at_before_it_is_taken(bios):
    assert is_empty(bios)
    press(bios, 0x1E, 0x1E | UP, 0x30)
    bios.call("mov ah, 1\nint 0x16")
    assert (bios.zero, bios.ax) == (False, 0x1E61)
    assert [take(bios), take(bios)] == [0x1E61, 0x3062]
    assert is_empty(bios)


def test_waiting_for_a_key_halts_the_processor(bios):
    program = "mov ah, 0\nint 0x16\nmov [DATA], ax\n"
    bios.load(program)
    before = bios.machine.platform.clock.now
    bios.machine.run(bios.machine.guest_instructions + 5000)
    assert bios.machine.platform.clock.now - before > 100 * 5000
    bios.machine.platform.keyboard.press(bytes((0x2C,)))
    bios.run_to(bios.symbols["finished"])
    assert bios.word(0x9000) == 0x2C7A


def test_shift_states(bios):
    press(bios, SHIFT, CTRL, ALT, 0x36)
    bios.call("mov ah, 2\nint 0x16")
    assert bios.al == 0x0F
    press(bios, SHIFT | UP, CTRL | UP, ALT | UP, 0x36 | UP)
    press(bios, CAPS, CAPS | UP, NUM, NUM | UP, SCROLL, SCROLL | UP, 0xE0, 0x52)
    bios.call("mov ah, 2\nint 0x16")
    assert bios.al == 0xF0
    press(bios, 0x52 | UP, CAPS, CAPS)  # a key that repeats changes its state once
    bios.call("mov ah, 0x12\nint 0x16")
    assert (bios.al, bios.ah) == (0xB0, 0x40)


def test_right_and_left_are_told_apart(bios):
    press(bios, 0xE0, CTRL, ALT)
    bios.call("mov ah, 0x12\nint 0x16")
    assert (bios.al & 0x0F, bios.ah) == (0x0C, 0x06)
    press(bios, 0xE0, CTRL | UP)
    bios.call("mov ah, 2\nint 0x16")
    assert bios.al & 0x0F == 0x08


def test_numbers_typed_with_alt(bios):
    press(bios, ALT, 0x4F, 0x4F | UP, 0x51, 0x51 | UP, ALT | UP)
    assert take(bios) == 0x000D


def test_a_full_buffer_loses_keys(bios):
    press(bios, *[0x1E, 0x1E | UP] * 20)
    assert [take(bios) for _ in range(15)] == [0x1E61] * 15
    assert is_empty(bios)


def test_keys_can_be_put_into_the_buffer(bios):
    bios.call("mov ah, 5\nmov cx, 0x1234\nint 0x16")
    assert bios.al == 0
    assert take(bios) == 0x1234
    bios.call("mov bl, 16\nagain: mov ah, 5\nmov cx, 0x1E61\nint 0x16\ndec bl\njnz again")
    assert bios.al == 1


def test_ctrl_break(bios):
    press(bios, 0x1E, CTRL, 0xE0, SCROLL)
    assert bios.byte(0x471) == 0x80
    assert take(bios) == 0


def test_pause_is_no_key(bios):
    press(bios, 0xE1, CTRL, NUM, 0xE1, CTRL | UP, NUM | UP, 0x1E)
    assert take(bios) == 0x1E61
    bios.call("mov ah, 2\nint 0x16")
    assert bios.al == 0


def test_the_intercept_sees_and_swallows_scan_codes(bios):
    bios.call(
        "mov word [0x15 * 4], hook\nmov word [0x15 * 4 + 2], 0\njmp done\n"
        "hook: cmp ax, 0x4F1E\nje swallow\ncmp ah, 0x4F\njne swallow\nmov al, 0x2C\nstc\nretf 2\n"
        "swallow: clc\nretf 2\ntimes 64 nop\ndone:"
    )
    hook = bios.word(0x15 * 4)
    code = bios.machine.read_memory(hook, 64)
    bios.write(0xA000, code)
    bios.write(0x15 * 4, (0xA000).to_bytes(2, "little"))
    press(bios, 0x1E, 0x30)
    assert take(bios) == 0x2C7A
    assert is_empty(bios)


def test_ctrl_alt_delete_starts_again(bios):
    press(bios, CTRL, ALT)
    bios.machine.platform.keyboard.press(bytes((0x53,)))
    bios.load("jmp $")
    bios.run_to_boot_sector()
    assert bios.word(0x472) == 0x1234


def test_what_the_service_can_do(bios):
    bios.call("mov ah, 9\nint 0x16")
    assert bios.al == 0x30
    bios.call("mov ah, 0x0A\nint 0x16")
    assert bios.bx == 0x41AB


def test_every_key_of_the_keyboard_is_harmless(bios):
    for code in range(1, 0x80):
        press(bios, code, code | UP)
    for code in range(1, 0x80):
        if code != 0x37:
            press(bios, 0xE0, code, 0xE0, code | UP)
    assert len(KEYS) > 100
    bios.call("nop")
