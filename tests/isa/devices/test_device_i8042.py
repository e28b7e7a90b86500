"""The keyboard controller, its keyboard and its mouse, as their manuals have them."""

from __future__ import annotations

import pytest

from isa.devices.bus import Bus
from isa.devices.i8042 import KeyboardController
from isa.devices.keyboard import Keyboard
from isa.devices.mouse import LEFT, MIDDLE, RIGHT, Mouse
from isa.devices.scancodes import KEYS, keys_of, set1, set2, strokes, typed

RAW = 0x60, 0x05  # the command byte without translation, the mouse's port on
TRANSLATED = 0x60, 0x45
WITH_MOUSE = 0x60, 0x47


class Ports:
    """The controller behind its ports, with both devices."""

    def __init__(self) -> None:
        self.lines = [False, False]
        self.rises = [0, 0]
        self.resets = 0
        self.keyboard = Keyboard()
        self.mouse = Mouse()
        self.controller = KeyboardController(
            self.keyboard,
            self.mouse,
            lambda level: self._drive(0, level),
            lambda level: self._drive(1, level),
            self._reset,
        )
        self.bus = Bus()
        self.bus.claim_ports(0x60, 0x60, self.controller)
        self.bus.claim_ports(0x64, 0x64, self.controller, offset=4)

    def _drive(self, line: int, level: bool) -> None:
        self.rises[line] += level and not self.lines[line]
        self.lines[line] = level

    def _reset(self) -> None:
        self.resets += 1

    def command(self, *values: int) -> None:
        self.bus.write_port(0x64, 1, values[0])
        for value in values[1:]:
            self.bus.write_port(0x60, 1, value)

    def say(self, *values: int) -> bytes:
        """Say something to the keyboard; its answers."""
        answers = b""
        for value in values:
            self.bus.write_port(0x60, 1, value)
            answers += self.read_all()
        return answers

    def ask_mouse(self, *values: int) -> bytes:
        answers = b""
        for value in values:
            self.command(0xD4, value)
            answers += self.read_all(from_mouse=True)
        return answers

    def status(self) -> int:
        return self.bus.read_port(0x64, 1)

    def read_all(self, *, from_mouse: bool = False) -> bytes:
        read = bytearray()
        while (status := self.status()) & 1:
            assert bool(status & 0x20) == from_mouse
            read.append(self.bus.read_port(0x60, 1))
        return bytes(read)


@pytest.fixture
def ports() -> Ports:
    return Ports()


# --- the controller ---------------------------------------------------------------------------


def test_self_test_command_byte_and_internal_ram(ports: Ports) -> None:
    assert ports.status() == 0x14
    ports.command(0x20)
    assert ports.read_all() == b"\x65"  # as a BIOS leaves it
    ports.command(0xAA)
    assert ports.status() == 0x1D
    assert ports.read_all() == b"\x55"
    ports.command(0x60, 0x54)
    assert ports.status() & 0x08 == 0
    ports.command(0x20)
    assert ports.read_all() == b"\x54"
    ports.command(0x75, 0xA5)
    ports.command(0x35)
    assert ports.read_all() == b"\xa5"
    for command, answer in ((0xAB, b"\0"), (0xA9, b"\0"), (0xC0, b"\xff"), (0xE0, b"\0")):
        ports.command(command)
        assert ports.read_all() == answer
    assert ports.bus.read_port(0x60, 1) == 0x00  # an empty buffer gives its last byte again


def test_a20_and_reset_through_the_output_port(ports: Ports) -> None:
    assert ports.controller.opens_a20
    ports.command(0xD0)
    assert ports.read_all() == b"\xff"
    ports.command(0xD1, 0xDD)
    assert not ports.controller.opens_a20
    ports.command(0xD1, 0xDF)
    assert ports.controller.opens_a20
    assert ports.resets == 0
    ports.command(0xD1, 0xDE)
    assert ports.resets == 1
    ports.command(0xFE)
    assert ports.resets == 2
    ports.command(0xFF)
    ports.command(0xF1)
    assert ports.resets == 2


def test_the_ports_are_switched_on_and_off(ports: Ports) -> None:
    for off, on, bit in ((0xAD, 0xAE, 0x10), (0xA7, 0xA8, 0x20)):
        for command, wanted in ((off, bit), (on, 0)):
            ports.command(command)
            ports.command(0x20)
            assert ports.read_all()[0] & bit == wanted


def test_buffers_written_by_the_host_seem_to_come_from_the_devices(ports: Ports) -> None:
    ports.command(*WITH_MOUSE)
    ports.command(0xD2, 0x42)
    assert ports.lines == [True, False]
    assert ports.read_all() == b"\x42"
    ports.command(0xD3, 0x43)
    assert ports.lines == [False, True]
    assert ports.read_all(from_mouse=True) == b"\x43"
    ports.command(0xD1)
    ports.command(0xAE)  # another command instead of the parameter
    assert ports.say(0xFF) == b"\xfa\xaa"


def test_keys_raise_irq_1_one_edge_each(ports: Ports) -> None:
    ports.keyboard.press(b"\x1e\x9e")
    assert ports.lines == [True, False]
    assert ports.rises[0] == 1
    assert ports.bus.read_port(0x60, 1) == 0x1E
    assert ports.lines[0]
    assert ports.rises[0] == 2
    assert ports.bus.read_port(0x60, 1) == 0x9E
    assert not ports.lines[0]


def test_interrupts_and_keyboard_can_be_disabled(ports: Ports) -> None:
    ports.command(0x60, 0x44)
    ports.keyboard.press(b"\x1e")
    assert not ports.lines[0]
    assert ports.read_all() == b"\x1e"
    ports.command(0xAD)
    ports.keyboard.press(b"\x1f")
    assert ports.read_all() == b""
    ports.command(0xAE)
    assert ports.read_all() == b"\x1f"


def test_buffers_are_bounded(ports: Ports) -> None:
    ports.keyboard.press(bytes(range(1, 84)))
    for _ in range(1000):
        ports.command(0x20)
        ports.bus.write_port(0x60, 1, 0xF2)
        ports.command(0xD4, 0xE9)
        ports.mouse.move(1, 1)
    assert len(ports.controller.state.answers) <= 16
    assert len(ports.keyboard.state.queue) <= 20
    assert len(ports.mouse.state.queue) <= 20


def test_controller_reset(ports: Ports) -> None:
    ports.keyboard.press(b"\x1e")
    ports.command(0xD1, 0x01)
    ports.controller.reset()
    assert not ports.lines[0]
    assert ports.read_all() == b""
    assert ports.controller.opens_a20


# --- the keyboard -----------------------------------------------------------------------------


def test_keyboard_commands(ports: Ports) -> None:
    ports.command(*RAW)
    assert ports.say(0xFF) == b"\xfa\xaa"
    assert ports.say(0xF2) == b"\xfa\xab\x83"
    assert ports.say(0xEE) == b"\xee"
    assert ports.say(0xED, 0x06) == b"\xfa\xfa"
    assert ports.keyboard.state.lamps == 6
    assert ports.say(0x07) == b"\xfe"
    assert ports.say(0xFE) == b"\xfe"  # what was sent last
    assert ports.say(0xF3, 0xF4) == b"\xfa\xfa"  # a command instead of the parameter
    assert ports.say(0xF0, 0x00) == b"\xfa\xfa\x02"
    assert ports.say(0xF0, 0x03) == b"\xfa\xfe"
    assert ports.say(0x01) == b"\xfa"
    assert ports.keyboard.state.scan_code_set == 1


def test_answers_are_translated_too(ports: Ports) -> None:
    assert ports.say(0xF2) == b"\xfa\xab\x41"  # by which software knows that it translates


def test_a_disabled_keyboard_says_nothing(ports: Ports) -> None:
    assert ports.say(0xF5) == b"\xfa"
    ports.keyboard.press(b"\x1e")
    assert ports.read_all() == b""
    assert ports.say(0xF4) == b"\xfa"
    ports.keyboard.press(b"\x1e")
    assert ports.read_all() == b"\x1e"


def test_too_many_keys_are_reported(ports: Ports) -> None:
    ports.keyboard.press(strokes("a") * 20)
    read = ports.read_all()
    assert read.startswith(strokes("a"))
    assert read.endswith(b"\xff")  # the overrun code of set 2, 00, translated


@pytest.mark.parametrize("down", [True, False])
@pytest.mark.parametrize("key", KEYS)
def test_every_key_in_both_sets(key: str, down: bool) -> None:
    ports = Ports()
    codes = set1(key, down=down)
    ports.keyboard.press(codes)
    assert ports.read_all() == codes
    ports.command(*RAW)
    ports.keyboard.press(codes)
    assert ports.read_all() == set2(key, down=down)
    ports.say(0xF0, 0x01)
    ports.keyboard.press(codes)
    assert ports.read_all() == codes


def test_the_codes_of_some_keys_by_the_manual() -> None:
    wanted = {
        "escape": (0x76, 0x01), "a": (0x1C, 0x1E), "z": (0x1A, 0x2C), "1": (0x16, 0x02),
        "0": (0x45, 0x0B), "-": (0x4E, 0x0C), "=": (0x55, 0x0D), "backspace": (0x66, 0x0E),
        "enter": (0x5A, 0x1C), "left ctrl": (0x14, 0x1D), "left shift": (0x12, 0x2A),
        "right shift": (0x59, 0x36), "left alt": (0x11, 0x38), "space": (0x29, 0x39),
        "caps lock": (0x58, 0x3A), "f1": (0x05, 0x3B), "f7": (0x83, 0x41), "f10": (0x09, 0x44),
        "num lock": (0x77, 0x45), "keypad *": (0x7C, 0x37), "keypad 5": (0x73, 0x4C),
        "f11": (0x78, 0x57), "f12": (0x07, 0x58), "\\": (0x5D, 0x2B), "102nd": (0x61, 0x56),
    }  # fmt: skip
    for key, (second, first) in wanted.items():
        assert set2(key) == bytes((second,))
        assert set1(key) == bytes((first,))
        assert set2(key, down=False) == bytes((0xF0, second))
        assert set1(key, down=False) == bytes((first | 0x80,))
    assert set1("up") == b"\xe0\x48"
    assert set2("up", down=False) == b"\xe0\xf0\x75"


def test_text_is_typed_on_a_us_keyboard() -> None:
    assert typed("aB\n") == b"\x1e\x9e" + b"\x2a\x30\xb0\xaa" + b"\x1c\x9c"
    assert typed("$\x03") == b"\x2a\x05\x85\xaa" + b"\x1d\x2e\xae\x9d"
    with pytest.raises(ValueError, match="no key for 'é'"):
        typed("é")
    for code in range(32, 127):
        assert keys_of(chr(code))


# --- the mouse --------------------------------------------------------------------------------


def test_mouse_reset_identity_and_status(ports: Ports) -> None:
    assert ports.ask_mouse(0xFF) == b"\xfa\xaa\x00"
    assert ports.ask_mouse(0xF2) == b"\xfa\x00"
    assert ports.ask_mouse(0xE9) == b"\xfa\x00\x02\x64"
    assert ports.ask_mouse(0xE8, 3, 0xF3, 40, 0xE7, 0xF4) == b"\xfa" * 6
    ports.mouse.state.buttons = LEFT | MIDDLE
    assert ports.ask_mouse(0xE9) == b"\xfa\x36\x03\x28"
    assert ports.ask_mouse(0xF6, 0xE9) == b"\xfa\xfa\x00\x02\x64"
    assert ports.ask_mouse(0xE8, 4) == b"\xfa\xfe"


def test_movement_in_stream_mode(ports: Ports) -> None:
    ports.command(*WITH_MOUSE)
    ports.mouse.move(5, -3)
    assert not ports.lines[1]  # reporting is off after a reset
    assert ports.ask_mouse(0xF4) == b"\xfa"
    ports.mouse.move(1, 1, buttons=LEFT | RIGHT)
    assert ports.lines == [False, True]
    assert ports.read_all(from_mouse=True) == bytes((0x2B, 6, 0xFE))
    ports.mouse.move(300, -300)
    assert ports.read_all(from_mouse=True) == bytes((0x6B | 0x80, 255, 0))
    ports.ask_mouse(0xE7)
    ports.mouse.move(4, -9)
    assert ports.read_all(from_mouse=True) == bytes((0x2B, 6, 256 - 18))


def test_remote_and_wrap_mode(ports: Ports) -> None:
    assert ports.ask_mouse(0xF4, 0xF0) == b"\xfa\xfa"
    ports.mouse.move(2, 2)
    assert ports.read_all() == b""
    assert ports.ask_mouse(0xEB) == b"\xfa\x08\x02\x02"
    assert ports.ask_mouse(0xEE, 0x55, 0xF4) == b"\xfa\x55\xf4"
    assert ports.ask_mouse(0xEC, 0xEA) == b"\xfa\xfa"


def test_the_wheel_has_to_be_asked_for(ports: Ports) -> None:
    assert ports.ask_mouse(0xF3, 200, 0xF3, 100, 0xF3, 80) == b"\xfa" * 6
    assert ports.ask_mouse(0xF2, 0xF4) == b"\xfa\x03\xfa"
    ports.mouse.move(wheel=-1)
    assert ports.read_all(from_mouse=True) == b"\x08\x00\x00\xff"
    assert ports.ask_mouse(0xFF, 0xF2) == b"\xfa\xaa\x00\xfa\x00"


def test_the_mouse_is_silent_while_its_port_is_off(ports: Ports) -> None:
    ports.ask_mouse(0xF4)
    ports.command(0xA7)
    ports.mouse.move(1, 0)
    assert ports.read_all() == b""
    ports.command(0xA8)
    assert ports.read_all(from_mouse=True) == b"\x08\x01\x00"
