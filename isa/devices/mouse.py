"""A PS/2 mouse with two or three buttons, and a wheel for those who know how to ask for it.

It reports by itself in stream mode, and when asked in remote mode. Movement that no report has told
of yet adds up.

Source: IBM Personal System/2 Hardware Interface Technical Reference, "Mouse"; for the wheel the
sequence of sample rates 200, 100, 80 of Microsoft's IntelliMouse.
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

SCALE_1_TO_1, SCALE_2_TO_1, SET_RESOLUTION, GET_STATUS, SET_STREAM = 0xE6, 0xE7, 0xE8, 0xE9, 0xEA
READ_DATA, RESET_WRAP, SET_WRAP, SET_REMOTE, IDENTIFY, SET_RATE = 0xEB, 0xEC, 0xEE, 0xF0, 0xF2, 0xF3
ENABLE, DISABLE, SET_DEFAULTS = 0xF4, 0xF5, 0xF6
LEFT, RIGHT, MIDDLE = 1, 2, 4
RATES = (10, 20, 40, 60, 80, 100, 200)
_KNOCK = (200, 100, 80)
_SCALED = (0, 1, 1, 3, 6, 9)  # counts 0 to 5 at 2:1; more are doubled


class MouseState(Ps2State):
    """State of the mouse."""

    buttons: Annotated[int, msgspec.Meta(ge=0, le=7)] = 0
    dx: int = 0
    dy: int = 0
    wheel: int = 0
    rate: Byte = 100
    rates: tuple[int, ...] = ()
    """The last sample rates that were set."""
    resolution: Annotated[int, msgspec.Meta(ge=0, le=3)] = 2
    is_doubled: bool = False
    is_remote: bool = False
    is_wrapped: bool = False
    is_enabled: bool = False
    has_wheel: bool = False


class Mouse(Ps2Device[MouseState]):
    """A mouse."""

    def __init__(self) -> None:
        super().__init__(MouseState)

    def move(self, dx: int = 0, dy: int = 0, wheel: int = 0, buttons: int | None = None) -> None:
        """Move right by dx, up by dy, turn the wheel towards the user, hold the buttons given.

        Movement is in counts. In stream mode a report follows, if reporting is on.
        """
        state = self.state
        state.dx = max(-4096, min(4096, state.dx + dx))
        state.dy = max(-4096, min(4096, state.dy + dy))
        state.wheel = max(-4096, min(4096, state.wheel + wheel))
        if buttons is not None:
            state.buttons = buttons & 7
        if state.is_enabled and not state.is_remote and not state.is_wrapped:
            if len(state.queue) + 4 <= BUFFER_BYTES:
                self._report(is_doubled=state.is_doubled)
                self.on_data()

    def _report(self, *, is_doubled: bool) -> None:
        """Three bytes, or four: buttons with signs and overflows, then the movement."""
        state = self.state
        moved = [_double(count) if is_doubled else count for count in (state.dx, state.dy)]
        first = 8 | state.buttons
        for axis, count in enumerate(moved):
            first |= (0x10 << axis) if count < 0 else 0
            first |= (0x40 << axis) if not -256 <= count <= 255 else 0
        within = [max(-256, min(255, count)) & 0xFF for count in moved]
        state.queue += bytes((first, *within))
        if state.has_wheel:
            state.queue.append(max(-8, min(7, state.wheel)) & 0xFF)
        state.dx = state.dy = state.wheel = 0

    def is_parameter(self, command: int, value: int) -> bool:
        """Every byte after a command with a parameter is one."""
        return True

    def obey(self, command: int) -> None:
        """Carry out a command."""
        state = self.state
        if state.is_wrapped and command not in (COMMAND_RESET, RESET_WRAP):
            self.answer(command)
            return
        match command:
            case _ if command in (SET_RESOLUTION, SET_RATE):
                state.command = command
            case _ if command in (SCALE_1_TO_1, SCALE_2_TO_1):
                state.is_doubled = command == SCALE_2_TO_1
            case _ if command in (SET_WRAP, RESET_WRAP):
                state.is_wrapped = command == SET_WRAP
            case _ if command in (SET_STREAM, SET_REMOTE):
                state.is_remote = command == SET_REMOTE
            case _ if command in (ENABLE, DISABLE):
                state.is_enabled = command == ENABLE
            case _ if command in (SET_DEFAULTS, COMMAND_RESET):
                self.state = MouseState(has_wheel=state.has_wheel and command == SET_DEFAULTS)
            case _ if command not in (GET_STATUS, READ_DATA, IDENTIFY):
                self.answer(RESEND)
                return
        self.answer(ACKNOWLEDGE)
        self._tell(command)

    def _tell(self, command: int) -> None:
        """What some commands are answered after their acknowledgement."""
        state = self.state
        if command == COMMAND_RESET:
            self.answer(SELF_TEST_PASSED, 0x00)
        elif command == IDENTIFY:
            self.answer(3 if state.has_wheel else 0)
        elif command == READ_DATA:
            self._report(is_doubled=False)
        elif command == GET_STATUS:
            swapped = (state.buttons & 1) << 2 | state.buttons >> 1 & 1 | (state.buttons & 4) >> 1
            modes = state.is_remote << 6 | state.is_enabled << 5 | state.is_doubled << 4
            self.answer(modes | swapped, state.resolution, state.rate)

    def obey_with(self, command: int, value: int) -> None:
        """Carry out a command with its parameter."""
        state = self.state
        if command == SET_RESOLUTION and value < 4:
            state.resolution = value
        elif command == SET_RATE and value in RATES:
            state.rate = value
            state.rates = (*state.rates, value)[-3:]
            state.has_wheel = state.has_wheel or state.rates == _KNOCK
        else:
            state.command = command
            self.answer(RESEND)
            return
        self.answer(ACKNOWLEDGE)


def _double(count: int) -> int:
    """A movement at a scale of 2:1."""
    size = abs(count)
    scaled = _SCALED[size] if size < len(_SCALED) else 2 * size
    return scaled if count >= 0 else -scaled
