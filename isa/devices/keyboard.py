"""A PS/2 keyboard: keys go in, scan codes of set 2 or 1 come out, commands are answered.

Keys repeat at the host, not here. Scan code set 3 can be asked for and is refused, as by many
keyboards of laptops. The lamps light nothing, but are known.

Source: IBM Personal System/2 Hardware Interface Technical Reference, "Keyboards (101- and
102-Key)".
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from isa.devices.device import Byte
from isa.devices.ps2_port import (
    ACKNOWLEDGE,
    BUFFER_BYTES,
    COMMAND_RESET,
    RESEND,
    SELF_TEST_PASSED,
    Ps2Device,
    Ps2State,
)
from isa.devices.scancodes import RELEASE, RELEASE_BIT, from_set1, translate

SET_LAMPS, ECHO, SCAN_CODE_SET, IDENTIFY, SET_TYPEMATIC = 0xED, 0xEE, 0xF0, 0xF2, 0xF3
ENABLE, DISABLE, SET_DEFAULTS = 0xF4, 0xF5, 0xF6
ALL_KEYS = range(0xF7, 0xFB)  # what all keys of set 3 do
IDENTITY = (0xAB, 0x83)
OVERRUN = {1: 0xFF, 2: 0x00}
_WITH_PARAMETER = (SET_LAMPS, SCAN_CODE_SET, SET_TYPEMATIC)


class KeyboardState(Ps2State):
    """State of the keyboard."""

    lamps: Annotated[int, msgspec.Meta(ge=0, le=7)] = 0
    """Bit 0 Scroll Lock, bit 1 Num Lock, bit 2 Caps Lock."""
    typematic: Byte = 0x2B
    scan_code_set: Annotated[int, msgspec.Meta(ge=1, le=2)] = 2
    is_enabled: bool = True


class Keyboard(Ps2Device[KeyboardState]):
    """A keyboard with 101 or 102 keys."""

    def __init__(self) -> None:
        super().__init__(KeyboardState)

    @property
    def room(self) -> int:
        """How many bytes its buffer can take yet."""
        return max(BUFFER_BYTES - len(self.state.queue), 0)

    def press(self, scan_codes: bytes) -> None:
        """Strike keys, given by their codes in set 1 (see isa.devices.scancodes).

        The keyboard sends them in the set it was told to use. What its buffer has no room for is
        lost, and a code that says so is sent in its place.
        """
        if not self.state.is_enabled:
            return
        for code in scan_codes:
            sent = from_set1(bytes((code,)))
            if self.state.scan_code_set == 1:
                sent = bytes((code,))
            if len(sent) <= self.room:
                self.state.queue += sent
            else:
                overrun = OVERRUN[self.state.scan_code_set]
                if self.state.queue[-1:] != bytes((overrun,)):
                    self.state.queue += bytes((overrun,))
                break
        self.on_data()

    def is_parameter(self, command: int, value: int) -> bool:
        """Parameters are below the commands."""
        return value < SET_LAMPS

    def obey(self, command: int) -> None:
        """Carry out a command."""
        state = self.state
        match command:
            case _ if command in _WITH_PARAMETER:
                state.command = command
                self.answer(ACKNOWLEDGE)
            case _ if command == ECHO:
                self.answer(ECHO)
            case _ if command == IDENTIFY:
                self.answer(ACKNOWLEDGE, *IDENTITY)
            case _ if command in (ENABLE, DISABLE):
                if command == DISABLE:
                    self._set_defaults()
                self.state.is_enabled = command == ENABLE
                self.answer(ACKNOWLEDGE)
            case _ if command == SET_DEFAULTS or command in ALL_KEYS:
                self._set_defaults()
                self.answer(ACKNOWLEDGE)
            case _ if command == COMMAND_RESET:
                self._set_defaults()
                self.answer(ACKNOWLEDGE, SELF_TEST_PASSED)
            case _:
                self.answer(RESEND)

    def _set_defaults(self) -> None:
        fresh = KeyboardState()
        fresh.queue, fresh.last_sent = self.state.queue, self.state.last_sent
        self.state = fresh

    def obey_with(self, command: int, value: int) -> None:
        """Carry out a command with its parameter."""
        state = self.state
        if command == SET_LAMPS:
            state.lamps = value & 7
        elif command == SET_TYPEMATIC:
            state.typematic = value & 0x7F
        elif value == 0:
            self.answer(ACKNOWLEDGE, state.scan_code_set)
            return
        elif value in OVERRUN:
            state.scan_code_set = value
        else:
            state.command = command
            self.answer(RESEND)
            return
        self.answer(ACKNOWLEDGE)


class Translator(msgspec.Struct):
    """The controller's translation of what the keyboard sends, from set 2 to set 1."""

    is_release: bool = False

    def translate(self, code: int) -> int | None:
        """The byte to show to the guest, or None when the next one decides."""
        if code == RELEASE:
            self.is_release = True
            return None
        release, self.is_release = self.is_release, False
        return translate(code) | (RELEASE_BIT if release else 0)
