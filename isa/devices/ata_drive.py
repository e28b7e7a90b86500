"""One ATA hard disk behind a channel's registers: the task file, the commands, the transfers.

All of the general feature set for disks without DMA, the power management feature set and 48-bit
addresses. A command takes a little time: BSY is set until an event of the clock, so that drivers
that poll and drivers that wait for the interrupt both meet what they expect. The first block of a
write is asked for at once, as fast disks do.

Commands that do not exist here are aborted: DMA (IDENTIFY says that there is none), SMART,
security, PACKET, SET MAX. A sector that the host cannot read is an uncorrectable error; one that it
cannot write is a device fault.

Source: ATA/ATAPI-6 (T13/1410D): "Command descriptions", "PIO data-in command protocol", "PIO
data-out command protocol", "Non-data command protocol"; for CHS addresses ATA-4 (T13/1153D).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from isa.devices.ata_identity import identity
from isa.devices.ata_opcodes import (
    OLD_NAMES,
    POWER_AFTER,
    READS,
    READS_MULTIPLE,
    RECALIBRATE,
    SEEK,
    VERIFIES,
    WRITES,
    WRITES_MULTIPLE,
    Command,
    Power,
)
from isa.devices.ata_task_file import (
    ABRT,
    BSY,
    DEVICE_LBA,
    DF,
    DRQ,
    ERR,
    IDNF,
    MOST_MULTIPLE,
    READY,
    UNC,
    DriveState,
    Phase,
)
from isa.devices.clock import TICKS_PER_SECOND, Event, EventClock, SavedEvent
from isa.devices.disk_image import SECTOR_BYTES, MediumError
from isa.devices.medium import Medium

COMMAND_TICKS: Final = TICKS_PER_SECOND // 100_000
BLOCK_TICKS: Final = TICKS_PER_SECOND // 500_000
RESET_TICKS: Final = TICKS_PER_SECOND // 10_000


class AtaDrive:
    """A disk. Its state belongs to the channel, which says where it is."""

    def __init__(
        self,
        medium: Medium,
        clock: EventClock,
        state: Callable[[], DriveState],
        changed: Callable[[], None],
        *,
        is_slave: bool,
    ) -> None:
        """Make a drive.

        Args:
            medium: the disk's sectors.
            clock: of the machine.
            state: where the drive's state is now.
            changed: told whenever status or interrupt may be others than before.
            is_slave: whether this is device 1.
        """
        self._medium = medium
        self._clock = clock
        self._state = state
        self._changed = changed
        self._is_slave = is_slave
        self._event: Event | None = None

    @property
    def state(self) -> DriveState:
        """The drive's part of the channel's state."""
        return self._state()

    # The channel's side

    @property
    def is_listening(self) -> bool:
        """Whether the drive takes writes to its registers: not when it is busy or asleep."""
        state = self.state
        return not state.status & BSY and state.power is not Power.SLEEP

    def read_data(self, size: int) -> int:
        """Take bytes from the buffer; without a transfer there are none."""
        state = self.state
        if state.phase is not Phase.SEND:
            return 0
        end = state.position + size
        value = int.from_bytes(state.buffer[state.position : end], "little")
        state.position = end
        if end >= len(state.buffer):
            self._sent()
        return value

    def write_data(self, size: int, value: int) -> None:
        """Put bytes into the buffer; without a transfer they are lost."""
        state = self.state
        if state.phase is not Phase.TAKE:
            return
        end = min(state.position + size, len(state.buffer))
        wanted = max(end - state.position, 0)
        state.buffer[state.position : end] = value.to_bytes(size, "little")[:wanted]
        state.position = end
        if end >= len(state.buffer):
            self._wait(Phase.STORE, BLOCK_TICKS)

    def start_reset(self) -> None:
        """SRST is set: everything stops, until it is cleared."""
        state = self.state
        self._cancel()
        state.phase = Phase.RESET
        state.status = BSY
        state.interrupts = False

    def end_reset(self) -> None:
        """SRST is cleared: the drive gets ready again."""
        self._wait(Phase.RESET, RESET_TICKS)

    def restore_event(self) -> None:
        """Owe the clock again what the state says."""
        self._event = self._clock.restore_event(self.state.event, self._on_event)

    def save_event(self) -> SavedEvent | None:
        """What the clock owes to this drive."""
        return self._event.save() if self._event is not None else None

    def forget_event(self) -> None:
        """The drive's state is new: nothing is owed."""
        self._cancel()

    # Commands

    def execute(self, opcode: int) -> None:
        """Take a command. BSY is set from here on, or DRQ if the host is to write first."""
        state = self.state
        if not self.is_listening:
            return
        self._cancel()
        state.command = OLD_NAMES.get(opcode, opcode)
        state.interrupts = False
        state.error = 0
        state.status = READY
        if state.command in WRITES or state.command in WRITES_MULTIPLE:
            self._start_write()
        elif state.command in READS or state.command in READS_MULTIPLE:
            self._start_read()
        elif state.command == Command.IDENTIFY:
            state.remaining = 0
            self._wait(Phase.FETCH, COMMAND_TICKS)
        else:
            self._wait(Phase.NON_DATA, COMMAND_TICKS)
        self._changed()

    def _start_read(self) -> None:
        if self._prepare_transfer():
            self._wait(Phase.FETCH, COMMAND_TICKS)

    def _start_write(self) -> None:
        """The first block is asked for without an interrupt."""
        if self._prepare_transfer():
            self._ask_for_block()

    def _prepare_transfer(self) -> bool:
        """Take address and count from the registers; refuse what cannot be."""
        state = self.state
        is_multiple = state.command in READS_MULTIPLE or state.command in WRITES_MULTIPLE
        if is_multiple and not state.multiple:
            self._fail(ABRT)
            return False
        state.power = Power.ACTIVE
        state.block = state.multiple if is_multiple else 1
        state.remaining = state.wanted()
        lba = state.address(self._medium.sectors)
        if lba is None or not self._medium.has(lba, 1):
            self._fail(IDNF)
            return False
        state.lba = lba
        return True

    def _perform(self) -> None:
        """Carry out a command that transfers nothing."""
        state, command = self.state, self.state.command
        if command in VERIFIES:
            self._verify()
        elif command & 0xF0 == RECALIBRATE:
            self._finish()
        elif command & 0xF0 == SEEK:
            lba = state.address(self._medium.sectors)
            self._finish() if lba is not None and self._medium.has(lba, 1) else self._fail(IDNF)
        elif command in (Command.FLUSH, Command.FLUSH_EXT):
            self._flush()
        elif command == Command.SET_FEATURES:
            self._set_features()
        elif command == Command.SET_MULTIPLE:
            self._set_multiple()
        elif command == Command.INITIALIZE_PARAMETERS:
            self._initialize_parameters()
        elif command in (Command.READ_NATIVE_MAX, Command.READ_NATIVE_MAX_EXT):
            self._read_native_max()
        elif command == Command.DIAGNOSTIC:
            self._end()
            state.set_signature()
            state.interrupts = not self._is_slave
        elif command == Command.CHECK_POWER:
            state.count = int(state.power)
            self._finish()
        elif command in POWER_AFTER:
            state.power = POWER_AFTER[command]
            self._finish()
        else:
            if command in (Command.PACKET, Command.IDENTIFY_PACKET):
                state.set_signature()
            self._fail(ABRT)

    def _verify(self) -> None:
        if not self._prepare_transfer():
            return
        state = self.state
        while state.remaining:
            count = min(state.remaining, MOST_MULTIPLE)
            if self._read_block(count) is None:
                return
        self._finish()

    def _flush(self) -> None:
        try:
            self._medium.flush()
        except MediumError:
            self._fail(ABRT, DF)
        else:
            self._finish()

    def _set_features(self) -> None:
        state = self.state
        match state.features:
            case 0x02 | 0x82:
                state.write_cache = state.features == 0x02
            case 0xAA | 0x55:
                state.look_ahead = state.features == 0xAA
            case 0x66 | 0xCC:  # whether a soft reset brings back the defaults; nothing it would
                pass
            case 0x03 if state.count in (0x00, 0x01, *range(0x08, 0x0D)):  # PIO modes
                pass
            case _:
                self._fail(ABRT)
                return
        self._finish()

    def _set_multiple(self) -> None:
        """0 disables READ and WRITE MULTIPLE; otherwise a power of two."""
        state = self.state
        if state.count > MOST_MULTIPLE or state.count & (state.count - 1):
            state.multiple = 0
            self._fail(ABRT)
        else:
            state.multiple = state.count
            self._finish()

    def _initialize_parameters(self) -> None:
        state = self.state
        heads = (state.device & 0x0F) + 1
        if not state.count or self._medium.sectors < heads * state.count:
            self._fail(ABRT)
            return
        state.heads, state.track_sectors = heads, state.count
        self._finish()

    def _read_native_max(self) -> None:
        state, last = self.state, self._medium.sectors - 1
        if state.command == Command.READ_NATIVE_MAX:
            if not state.device & DEVICE_LBA:
                self._fail(ABRT)
                return
            last = min(last, 0x0FFFFFFF)
        state.show_address(last, self._medium.sectors)
        self._finish()

    # Transfers

    def _fetch(self) -> None:
        """The next block is there: let the host read it."""
        state = self.state
        if state.command == Command.IDENTIFY:
            self._send(self._identity())
            return
        block = self._read_block(min(state.block, state.remaining))
        if block is not None:
            self._send(block)

    def _read_block(self, count: int) -> bytes | None:
        """Read sectors and go on behind them. At a bad one the command ends; those before count."""
        state = self.state
        if self._medium.has(state.lba, count):
            try:
                block = self._medium.read(state.lba, count)
            except MediumError:
                pass
            else:
                self._advance(count)
                return block
        self._read_up_to_error(count)
        return None

    def _read_up_to_error(self, count: int) -> None:
        """Find which of several sectors is the bad one, and fail with its address."""
        state = self.state
        for _ in range(count):
            if not self._medium.has(state.lba, 1):
                self._fail_at(state.lba, IDNF)
                return
            try:
                self._medium.read(state.lba, 1)
            except MediumError:
                self._fail_at(state.lba, UNC)
                return
            self._advance(1)
        self._fail_at(max(state.lba - 1, 0), UNC)

    def _advance(self, count: int) -> None:
        state = self.state
        state.lba += count
        state.remaining -= count
        state.show_address(state.lba - 1, self._medium.sectors)
        state.show_remaining()

    def _send(self, block: bytes) -> None:
        state = self.state
        state.buffer = bytearray(block)
        state.position = 0
        state.phase = Phase.SEND
        state.status = READY | DRQ
        state.interrupts = True

    def _sent(self) -> None:
        """The host has read the buffer: the next block, or the end, which has no interrupt."""
        state = self.state
        if state.remaining and state.command != Command.IDENTIFY:
            self._wait(Phase.FETCH, BLOCK_TICKS)
            return
        self._end()
        self._changed()

    def _ask_for_block(self) -> None:
        state = self.state
        state.buffer = bytearray(min(state.block, state.remaining) * SECTOR_BYTES)
        state.position = 0
        state.phase = Phase.TAKE
        state.status = READY | DRQ

    def _store(self) -> None:
        """The host has filled the buffer: write it, then ask for the next one or end."""
        state = self.state
        count = len(state.buffer) // SECTOR_BYTES
        if not self._medium.has(state.lba, count):
            self._store_up_to_end()
            return
        try:
            self._medium.write(state.lba, bytes(state.buffer))
        except MediumError:
            self._fail_at(state.lba, ABRT, DF)
            return
        self._advance(count)
        if state.remaining:
            self._ask_for_block()
            state.interrupts = True
        else:
            self._finish()

    def _store_up_to_end(self) -> None:
        """A block goes beyond the last sector: write what is before, and fail."""
        state = self.state
        inside = self._medium.sectors - state.lba
        if inside > 0:
            try:
                self._medium.write(state.lba, bytes(state.buffer[: inside * SECTOR_BYTES]))
            except MediumError:
                self._fail_at(state.lba, ABRT, DF)
                return
            self._advance(inside)
        self._fail_at(state.lba, IDNF)

    def _identity(self) -> bytes:
        state = self.state
        return identity(
            self._medium.sectors,
            f"TG{int(self._is_slave):05}",
            state.geometry(self._medium.sectors),
            multiple=state.multiple,
            most_multiple=MOST_MULTIPLE,
            write_cache=state.write_cache,
            look_ahead=state.look_ahead,
            is_slave=self._is_slave,
        )

    # Ends

    def _end(self) -> None:
        """Leave the transfer; the status is that of a drive that waits for a command."""
        state = self.state
        state.phase = Phase.IDLE
        state.status = READY
        state.buffer = bytearray()
        state.position = 0
        state.remaining = 0

    def _finish(self) -> None:
        self._end()
        self.state.interrupts = True

    def _fail(self, error: int, fault: int = 0) -> None:
        self._end()
        state = self.state
        state.error = error
        state.status = READY | ERR | fault
        state.interrupts = True

    def _fail_at(self, lba: int, error: int, fault: int = 0) -> None:
        self.state.show_address(lba, self._medium.sectors)
        self._fail(error, fault)

    # Time

    def _wait(self, phase: Phase, ticks: int) -> None:
        state = self.state
        state.phase = phase
        state.status = BSY
        self._cancel()
        self._event = self._clock.schedule(self._clock.now + ticks, self._on_event)
        self._changed()

    def _cancel(self) -> None:
        self._clock.cancel(self._event)
        self._event = None

    def _on_event(self) -> None:
        state = self.state
        match state.phase:
            case Phase.FETCH:
                state.status = READY
                self._fetch()
            case Phase.STORE:
                self._store()
            case Phase.NON_DATA:
                self._perform()
            case Phase.RESET:
                self._end()
                state.set_signature()
                state.power = Power.ACTIVE
            case _:
                pass
        self._changed()
