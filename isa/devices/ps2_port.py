"""What a keyboard and a mouse have in common: a few bytes of buffer, and commands with answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from isa.devices.device import Byte, Device

ACKNOWLEDGE, RESEND, SELF_TEST_PASSED = 0xFA, 0xFE, 0xAA
COMMAND_RESEND, COMMAND_RESET = 0xFE, 0xFF
BUFFER_BYTES = 16


class Ps2State(msgspec.Struct):
    """State that both have."""

    queue: bytearray = msgspec.field(default_factory=bytearray)
    """What is to be sent, oldest first."""
    last_sent: Byte = 0
    command: Byte | None = None
    """A command that waits for its parameter."""


StateT = TypeVar("StateT", bound=Ps2State)


class Ps2Device(Device[StateT], ABC, Generic[StateT]):
    """One device at the end of a PS/2 cable. The controller fetches what it sends."""

    def __init__(self, state_type: type[StateT]) -> None:
        super().__init__(state_type)
        self.on_data: Callable[[], None] = lambda: None
        """Called when there is something to fetch; set by the controller."""

    def fetch(self) -> int | None:
        """Send the oldest byte, if there is one."""
        if not self.state.queue:
            return None
        self.state.last_sent = self.state.queue.pop(0)
        return self.state.last_sent

    def take(self, value: int) -> None:
        """Receive a byte from the controller: a command or a parameter. What was to be sent is not.

        A device answers a command before anything else, so it forgets what it had to say.
        """
        command, self.state.command = self.state.command, None
        if value == COMMAND_RESEND and command is None:
            self.state.queue[:0] = bytes((self.state.last_sent,))
        else:
            self.state.queue.clear()
            if command is not None and self.is_parameter(command, value):
                self.obey_with(command, value)
            else:
                self.obey(value)
        self.on_data()

    def answer(self, *answer: int) -> None:
        """Send an answer to a command."""
        self.state.queue += bytes(answer)

    @abstractmethod
    def is_parameter(self, command: int, value: int) -> bool:
        """Whether a byte after a command is its parameter, and not the next command."""

    @abstractmethod
    def obey(self, command: int) -> None:
        """Carry out a command, or begin one that has a parameter."""

    @abstractmethod
    def obey_with(self, command: int, value: int) -> None:
        """Carry out a command with its parameter."""
