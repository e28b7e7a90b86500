"""An ATA channel: the registers of two drives, device 0 and device 1, and their interrupt.

Both drives hear every write to the task file; the one that is selected answers and drives the
interrupt line. Device 0 answers for an absent device 1: its registers are device 0's, its status
is zero. Where no drive answers, the bus reads as zero (the standard wants a resistor that
pulls BSY low, so that nobody waits for a drive that is not there). Device 1 alone, which the
standard does not know, answers for device 0: ready, and with an error to commands, because drivers
wait for ready before they select. Diagnostics are for both.

Status and alternate status are lent to the processor where reading them has no effect.

Source: ATA/ATAPI-6 (T13/1410D), "Interface register definitions and descriptions", "Device 1 not
present", "Software reset protocol", "EXECUTE DEVICE DIAGNOSTIC".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Final

import msgspec

from isa.devices.ata_drive import AtaDrive
from isa.devices.ata_opcodes import Command
from isa.devices.ata_task_file import ABRT, DEVICE, ERR, READY, DriveState
from isa.devices.clock import EventClock
from isa.devices.device import Byte, Device
from isa.devices.lending import Lender
from isa.devices.medium import Medium

DATA, ERROR, STATUS_COMMAND, CONTROL = 0, 1, 7, 8
"""Offsets: the task file is between; CONTROL reads as the alternate status."""
DEVICE_1: Final = 0x10  # in the device register
NIEN, SRST, HOB = 0x02, 0x04, 0x80  # in the control register
NOBODY: Final = 0

Drives = Annotated[list[DriveState], msgspec.Meta(min_length=2, max_length=2)]


class ChannelState(msgspec.Struct):
    """State of the channel."""

    control: Byte = 0
    selects_slave: bool = False
    refused: bool = False
    """Whether a command went to device 0 where there is device 1 only."""
    drives: Drives = msgspec.field(default_factory=lambda: [DriveState(), DriveState()])


class AtaChannel(Device[ChannelState]):
    """Command block (offsets 0 to 7) and control block (offset 8)."""

    widths = (1, 2, 4)

    def __init__(
        self,
        clock: EventClock,
        set_irq: Callable[[bool], None],
        master: Medium | None,
        slave: Medium | None,
    ) -> None:
        super().__init__(ChannelState)
        self._set_irq = set_irq
        self._master = self._drive(clock, master, 0)
        self._slave = self._drive(clock, slave, 1)
        self.lender: Lender | None = None

    def _drive(self, clock: EventClock, medium: Medium | None, number: int) -> AtaDrive | None:
        if medium is None:
            return None
        return AtaDrive(
            medium, clock, partial(self._state_of, number), self._changed, is_slave=bool(number)
        )

    def _state_of(self, number: int) -> DriveState:
        return self.state.drives[number]

    @property
    def _present(self) -> list[AtaDrive]:
        return [drive for drive in (self._master, self._slave) if drive is not None]

    @property
    def _selected(self) -> AtaDrive | None:
        """The drive that commands go to."""
        return self._slave if self.state.selects_slave else self._master

    # Registers

    def read(self, offset: int, size: int) -> int:
        """Read a register, or up to four at once; the data register is as wide as the access."""
        if offset == DATA:
            drive = self._selected
            return NOBODY if drive is None else drive.read_data(size)
        value = 0
        for index in range(size):
            value |= self._read_byte(offset + index) << 8 * index
        return value

    def _read_byte(self, offset: int) -> int:
        if offset == CONTROL:
            return self._status()
        if offset == STATUS_COMMAND:
            return self._read_status()
        drive = self._selected or self._master
        if drive is None:
            return ABRT if self.state.refused and offset == ERROR else NOBODY
        return drive.state.read_register(offset, previous=bool(self.state.control & HOB))

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register, or up to four at once."""
        if offset == DATA:
            if (drive := self._selected) is not None:
                drive.write_data(size, value)
            return
        for index in range(size):
            self._write_byte(offset + index, value >> 8 * index & 0xFF)

    def _write_byte(self, offset: int, value: int) -> None:
        if offset == CONTROL:
            self._write_control(value)
            return
        self.state.control &= ~HOB
        if offset == STATUS_COMMAND:
            self._write_command(value)
            return
        if offset == DEVICE:
            self.state.selects_slave = bool(value & DEVICE_1)
            self.state.refused = False
        for drive in self._present:
            if drive.is_listening:
                drive.state.write_register(offset, value)
        if offset == DEVICE:
            self._changed()

    def _write_command(self, opcode: int) -> None:
        if opcode == Command.DIAGNOSTIC:
            self.state.selects_slave = False
            drives = self._present
        else:
            drives = [drive for drive in (self._selected,) if drive is not None]
            self.state.refused = not drives and self._slave is not None
        for drive in drives:
            drive.execute(opcode)
        if self.state.refused:
            self._changed()

    def _write_control(self, value: int) -> None:
        before, self.state.control = self.state.control, value
        if value & ~before & SRST:
            self.state.selects_slave = False
            for drive in self._present:
                drive.start_reset()
        elif before & ~value & SRST:
            for drive in self._present:
                drive.end_reset()
        self._changed()

    def _status(self) -> int:
        drive = self._selected
        return self._status_of_nobody() if drive is None else drive.state.status

    def _status_of_nobody(self) -> int:
        if self.state.selects_slave or self._slave is None:
            return NOBODY
        return READY | ERR if self.state.refused else READY

    def _read_status(self) -> int:
        drive = self._selected
        if drive is None:
            return self._status_of_nobody()
        if drive.state.interrupts:
            drive.state.interrupts = False
            self._changed()
        return drive.state.status

    # What follows from the state

    def _interrupts(self) -> bool:
        drive = self._selected
        return drive is not None and drive.state.interrupts

    def _changed(self) -> None:
        """Drive the interrupt line, and lend what holds now."""
        self._set_irq(self._interrupts() and not self.state.control & NIEN)
        self.lend()

    def lend(self) -> None:
        """Lend both status registers: they change by events and by writes only."""
        if self.lender is not None:
            status = self._status()
            self.lender.lend(CONTROL, status)
            self.lender.lend(STATUS_COMMAND, None if self._interrupts() else status)

    # The device

    def reset(self) -> None:
        """A hardware reset: as a software reset, and the line is released."""
        for drive in self._present:
            drive.forget_event()
        super().reset()
        self._changed()

    def save(self) -> ChannelState:
        """Return a copy of the state."""
        state = super().save()
        for drive, saved in zip((self._master, self._slave), state.drives, strict=True):
            saved.event = drive.save_event() if drive is not None else None
        return state

    def restore(self, state: ChannelState) -> None:
        """Take over a saved state. The clock must have been restored before."""
        super().restore(state)
        for drive in self._present:
            drive.restore_event()
        self.lend()
