"""The keyboard controller of a PC (8042, ports 0x60 and 0x64) with a keyboard at its first port.

Enough for guests that ask it: self tests, command byte, internal RAM, output port with A20 and
reset, and the keyboard's own commands, answered at once. Keys are what the host gives to `press`,
as scan codes that pass untranslated. There is no mouse: commands for the second port find nobody.

Source: Intel 8042 as programmed in IBM PC/AT Technical Reference, "Keyboard Controller";
IBM Personal System/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
Controller".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec

from isa.devices.device import Byte, Device
from isa.devices.lending import Lender

DATA_OFFSET, COMMAND_OFFSET = 0, 4

STATUS_OUTPUT_FULL, STATUS_SYSTEM, STATUS_COMMAND, STATUS_UNLOCKED = 0x01, 0x04, 0x08, 0x10
COMMAND_BYTE_IRQ, COMMAND_BYTE_SYSTEM, COMMAND_BYTE_DISABLE = 0x01, 0x04, 0x10
OUTPUT_RUNS, OUTPUT_A20 = 0x01, 0x02
RAM_BYTES = 32
QUEUE_BYTES = 16
"""What the keyboard, and the controller, buffer; more is lost."""

ACKNOWLEDGE, RESEND, SELF_TEST_PASSED = 0xFA, 0xFE, 0xAA
KEYBOARD_ANSWERS = {
    0xEE: bytes((0xEE,)),
    0xF2: bytes((ACKNOWLEDGE, 0xAB, 0x83)),
    0xFF: bytes((ACKNOWLEDGE, SELF_TEST_PASSED)),
}
KEYBOARD_WITH_PARAMETER = (0xED, 0xF0, 0xF3)
KEYBOARD_PLAIN = (0xF4, 0xF5, 0xF6)
"""Commands that are acknowledged: LEDs, scan code set, rate; enable, disable, defaults."""


def _power_on_ram() -> bytearray:
    return bytearray((COMMAND_BYTE_IRQ | COMMAND_BYTE_SYSTEM,)) + bytearray(RAM_BYTES - 1)


class KeyboardState(msgspec.Struct):
    """State of the controller and its keyboard."""

    ram: Annotated[bytearray, msgspec.Meta(min_length=RAM_BYTES, max_length=RAM_BYTES)] = (
        msgspec.field(default_factory=_power_on_ram)
    )
    """Internal RAM; byte 0 is the command byte."""
    output_port: Byte = 0xFF
    answers: bytearray = msgspec.field(default_factory=bytearray)
    """What the controller has to say; goes before the keyboard's bytes."""
    keys: bytearray = msgspec.field(default_factory=bytearray)
    """What the keyboard has to say."""
    output_buffer: Byte | None = None
    last_output: Byte = 0
    """What reading an empty output buffer gives again."""
    command: Byte | None = None
    """A command to the controller that waits for its parameter."""
    last_was_command: bool = False
    keyboard_expects_parameter: bool = False


class KeyboardController(Device[KeyboardState]):
    """Data port (offset 0) and command/status port (offset 4)."""

    widths = (1,)

    def __init__(
        self,
        set_irq: Callable[[bool], None],
        request_reset: Callable[[], None],
        a20_changed: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(KeyboardState)
        self._set_irq = set_irq
        self._request_reset = request_reset
        self._a20_changed = a20_changed
        self.lender: Lender | None = None

    def lend(self) -> None:
        """Lend the status, and the data port while reading it changes nothing."""
        if self.lender is not None:
            empty = self.state.output_buffer is None
            self.lender.lend(COMMAND_OFFSET, self._status())
            self.lender.lend(DATA_OFFSET, self.state.last_output if empty else None)

    @property
    def opens_a20(self) -> bool:
        """Whether the output port lets address line 20 through."""
        return bool(self.state.output_port & OUTPUT_A20)

    def press(self, scan_codes: bytes) -> None:
        """Let the keyboard send scan codes, as far as its buffer has room."""
        room = QUEUE_BYTES - len(self.state.keys)
        self.state.keys += scan_codes[: max(room, 0)]
        self._update()

    def read(self, offset: int, size: int) -> int:
        """Read the output buffer or the status."""
        if offset == COMMAND_OFFSET:
            return self._status()
        state = self.state
        if state.output_buffer is not None:
            state.last_output, state.output_buffer = state.output_buffer, None
            self._set_irq(False)  # so that a byte that follows at once is an edge of its own
            self._update()
        return state.last_output

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a command to the controller, a parameter, or a byte to the keyboard."""
        state = self.state
        state.last_was_command = offset == COMMAND_OFFSET
        if offset == COMMAND_OFFSET:
            state.command = None
            self._command(value)
        elif state.command is not None:
            command, state.command = state.command, None
            self._parameter(command, value)
        else:
            self._to_keyboard(value)
        self._update()

    def reset(self) -> None:
        """Start again; keys in flight are lost."""
        super().reset()
        self._set_irq(False)
        self.lend()

    def restore(self, state: KeyboardState) -> None:
        """Take over a saved state."""
        super().restore(state)
        self.lend()

    def _status(self) -> int:
        state = self.state
        return (
            STATUS_UNLOCKED
            | (STATUS_OUTPUT_FULL if state.output_buffer is not None else 0)
            | state.ram[0] & STATUS_SYSTEM
            | (STATUS_COMMAND if state.last_was_command else 0)
        )

    def _update(self) -> None:
        """Fill the output buffer when it is free; IRQ1 says that it is full, if enabled."""
        state = self.state
        if state.output_buffer is None:
            if state.answers:
                state.output_buffer = state.answers.pop(0)
            elif state.keys and not state.ram[0] & COMMAND_BYTE_DISABLE:
                state.output_buffer = state.keys.pop(0)
        is_full = state.output_buffer is not None
        self._set_irq(is_full and bool(state.ram[0] & COMMAND_BYTE_IRQ))
        self.lend()

    def _command(self, command: int) -> None:
        state = self.state
        match command:
            case _ if 0x20 <= command <= 0x3F:
                self._answer(state.ram[command & 0x1F])
            case _ if 0x60 <= command <= 0x7F or command in (0xD1, 0xD2, 0xD3, 0xD4):
                state.command = command
            case 0xA9:
                self._answer(0x01)  # clock line stuck low: nobody at the second port
            case 0xAA:
                state.ram[0] |= COMMAND_BYTE_SYSTEM
                self._answer(0x55)
            case 0xAB:
                self._answer(0x00)
            case 0xAD:
                state.ram[0] |= COMMAND_BYTE_DISABLE
            case 0xAE:
                state.ram[0] &= ~COMMAND_BYTE_DISABLE
            case 0xC0:
                self._answer(0xFF)  # input port: every line pulled up, keyboard not locked
            case 0xD0:
                self._answer(state.output_port)
            case 0xE0:
                self._answer(0x00)
            case _ if command >= 0xF0 and not command & OUTPUT_RUNS:
                self._request_reset()  # bits 0 to 3 that are 0 pulse their output line low

    def _parameter(self, command: int, value: int) -> None:
        state = self.state
        match command:
            case 0xD1:
                state.output_port = value
                self._a20_changed()
                if not value & OUTPUT_RUNS:
                    self._request_reset()
            case 0xD2:
                self._answer(value)
            case 0xD3 | 0xD4:
                return  # the second port: nobody there
            case _:
                state.ram[command & 0x1F] = value

    def _to_keyboard(self, value: int) -> None:
        state = self.state
        state.ram[0] &= ~COMMAND_BYTE_DISABLE  # writing to the keyboard opens its interface
        if state.keyboard_expects_parameter and value < 0x80:
            state.keyboard_expects_parameter = False
            self._answer(ACKNOWLEDGE)
            return
        state.keyboard_expects_parameter = value in KEYBOARD_WITH_PARAMETER
        if value in KEYBOARD_WITH_PARAMETER or value in KEYBOARD_PLAIN:
            self._answer(ACKNOWLEDGE)
        elif value in KEYBOARD_ANSWERS:
            self._answer(*KEYBOARD_ANSWERS[value])
        else:
            self._answer(RESEND)

    def _answer(self, *answer: int) -> None:
        # A guest that asks for ever and never reads must not fill the host's memory.
        if len(self.state.answers) < QUEUE_BYTES:
            self.state.answers += bytes(answer)
