"""The keyboard controller of a PC (8042, ports 0x60 and 0x64): two PS/2 ports, A20, reset.

It fetches a byte from the keyboard or the mouse whenever its output buffer is free, translates what
the keyboard sends from scan code set 2 to set 1 if the command byte says so, and asks for IRQ 1 or
IRQ 12. Its commands are carried out at once. It starts as a BIOS leaves it: tested, translating,
the mouse's port off.

Source: Intel 8042 as programmed in IBM PC/AT Technical Reference, "Keyboard Controller";
IBM Personal System/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
Controller".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec

from isa.devices.device import Byte, Device
from isa.devices.keyboard import Keyboard, Translator
from isa.devices.lending import Lender
from isa.devices.mouse import Mouse

DATA_OFFSET, COMMAND_OFFSET = 0, 4

STATUS_OUTPUT_FULL, STATUS_SYSTEM, STATUS_COMMAND, STATUS_UNLOCKED = 0x01, 0x04, 0x08, 0x10
STATUS_FROM_MOUSE = 0x20
COMMAND_BYTE_IRQ, COMMAND_BYTE_MOUSE_IRQ, COMMAND_BYTE_SYSTEM = 0x01, 0x02, 0x04
COMMAND_BYTE_DISABLE, COMMAND_BYTE_MOUSE_DISABLE, COMMAND_BYTE_TRANSLATE = 0x10, 0x20, 0x40
OUTPUT_RUNS, OUTPUT_A20 = 0x01, 0x02
RAM_BYTES = 32
ANSWER_BYTES = 16

SELF_TEST, SELF_TEST_PASSED, PORT_TEST_PASSED = 0xAA, 0x55, 0x00
WRITE_OUTPUT_PORT, WRITE_KEYBOARD_BUFFER, WRITE_MOUSE_BUFFER, WRITE_MOUSE = 0xD1, 0xD2, 0xD3, 0xD4


def _power_on_ram() -> bytearray:
    command_byte = (
        COMMAND_BYTE_IRQ | COMMAND_BYTE_SYSTEM | COMMAND_BYTE_MOUSE_DISABLE | COMMAND_BYTE_TRANSLATE
    )
    return bytearray((command_byte,)) + bytearray(RAM_BYTES - 1)


class ControllerState(msgspec.Struct):
    """State of the controller; the keyboard and the mouse have their own."""

    ram: Annotated[bytearray, msgspec.Meta(min_length=RAM_BYTES, max_length=RAM_BYTES)] = (
        msgspec.field(default_factory=_power_on_ram)
    )
    """Internal RAM; byte 0 is the command byte."""
    output_port: Byte = 0xFF
    answers: bytearray = msgspec.field(default_factory=bytearray)
    """What the controller has to say; goes before the bytes of the devices."""
    answers_as_mouse: bool = False
    """Whether what is in `answers` is shown as if the mouse had sent it."""
    output_buffer: Byte | None = None
    is_from_mouse: bool = False
    """Where the byte in the output buffer came from."""
    last_output: Byte = 0
    """What reading an empty output buffer gives again."""
    command: Byte | None = None
    """A command to the controller that waits for its parameter."""
    last_was_command: bool = False
    translator: Translator = msgspec.field(default_factory=Translator)


class KeyboardController(Device[ControllerState]):
    """Data port (offset 0) and command/status port (offset 4)."""

    widths = (1,)

    def __init__(
        self,
        keyboard: Keyboard,
        mouse: Mouse,
        set_keyboard_irq: Callable[[bool], None],
        set_mouse_irq: Callable[[bool], None],
        request_reset: Callable[[], None],
        a20_changed: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(ControllerState)
        self._keyboard = keyboard
        self._mouse = mouse
        self._set_keyboard_irq = set_keyboard_irq
        self._set_mouse_irq = set_mouse_irq
        self._request_reset = request_reset
        self._a20_changed = a20_changed
        self.lender: Lender | None = None
        keyboard.on_data = self._update
        mouse.on_data = self._update

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

    def read(self, offset: int, size: int) -> int:
        """Read the output buffer or the status."""
        if offset == COMMAND_OFFSET:
            return self._status()
        state = self.state
        if state.output_buffer is not None:
            state.last_output, state.output_buffer = state.output_buffer, None
            self._drive_irqs()  # so that a byte that follows at once is an edge of its own
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
            state.ram[0] &= ~COMMAND_BYTE_DISABLE  # writing to the keyboard opens its interface
            self._keyboard.take(value)
        self._update()

    def reset(self) -> None:
        """Do what the reset line does."""
        super().reset()
        self._drive_irqs()
        self.lend()

    def restore(self, state: ControllerState) -> None:
        """Take over a saved state."""
        super().restore(state)
        self.lend()

    def _status(self) -> int:
        state = self.state
        status = STATUS_UNLOCKED | state.ram[0] & COMMAND_BYTE_SYSTEM
        if state.output_buffer is not None:
            status |= STATUS_OUTPUT_FULL
            if state.is_from_mouse:
                status |= STATUS_FROM_MOUSE
        if state.last_was_command:
            status |= STATUS_COMMAND
        return status

    def _update(self) -> None:
        """Fill the output buffer when it is free, and tell the processor."""
        if self.state.output_buffer is None:
            self._fill()
        self._drive_irqs()
        self.lend()

    def _fill(self) -> None:
        """Fetch a byte: an answer first, then the keyboard's, then the mouse's."""
        state = self.state
        if state.answers:
            state.output_buffer = state.answers.pop(0)
            state.is_from_mouse = state.answers_as_mouse
            return
        if not state.ram[0] & COMMAND_BYTE_DISABLE:
            while (code := self._keyboard.fetch()) is not None:
                shown: int | None = code
                if state.ram[0] & COMMAND_BYTE_TRANSLATE:
                    shown = state.translator.translate(code)
                if shown is not None:
                    state.output_buffer, state.is_from_mouse = shown, False
                    return
        if not state.ram[0] & COMMAND_BYTE_MOUSE_DISABLE:
            state.output_buffer = self._mouse.fetch()
            state.is_from_mouse = True

    def _drive_irqs(self) -> None:
        state = self.state
        is_full, enabled = state.output_buffer is not None, state.ram[0]
        is_mouse = is_full and state.is_from_mouse
        is_keyboard = is_full and not state.is_from_mouse
        self._set_keyboard_irq(is_keyboard and bool(enabled & COMMAND_BYTE_IRQ))
        self._set_mouse_irq(is_mouse and bool(enabled & COMMAND_BYTE_MOUSE_IRQ))

    def _command(self, command: int) -> None:
        state = self.state
        match command:
            case _ if 0x20 <= command <= 0x3F:
                self._answer(state.ram[command & 0x1F])
            case _ if 0x60 <= command <= 0x7F or WRITE_OUTPUT_PORT <= command <= WRITE_MOUSE:
                state.command = command
            case 0xA7:
                state.ram[0] |= COMMAND_BYTE_MOUSE_DISABLE
            case 0xA8:
                state.ram[0] &= ~COMMAND_BYTE_MOUSE_DISABLE
            case 0xA9 | 0xAB:
                self._answer(PORT_TEST_PASSED)
            case _ if command == SELF_TEST:
                state.ram[0] |= COMMAND_BYTE_SYSTEM
                self._answer(SELF_TEST_PASSED)
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
            case _ if command == WRITE_OUTPUT_PORT:
                state.output_port = value
                self._a20_changed()
                if not value & OUTPUT_RUNS:
                    self._request_reset()
            case _ if command in (WRITE_KEYBOARD_BUFFER, WRITE_MOUSE_BUFFER):
                self._answer(value, as_mouse=command == WRITE_MOUSE_BUFFER)
            case _ if command == WRITE_MOUSE:
                state.ram[0] &= ~COMMAND_BYTE_MOUSE_DISABLE
                self._mouse.take(value)
            case _:
                state.ram[command & 0x1F] = value

    def _answer(self, value: int, *, as_mouse: bool = False) -> None:
        state = self.state
        if as_mouse != state.answers_as_mouse:
            state.answers.clear()
            state.answers_as_mouse = as_mouse
        # A guest that asks for ever and never reads must not fill the host's memory.
        if len(state.answers) < ANSWER_BYTES:
            state.answers.append(value)
