"""The task file: the registers by which a host talks to an ATA disk, with the rest of its state.

Each register remembers what it held before its last write: commands with 48-bit addresses take the
high bytes from there.

Source: ATA/ATAPI-6 (T13/1410D), "Register delivered data transfer command", "48-bit Address feature
set"; for addresses by cylinder, head and sector ATA-4 (T13/1153D).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

import msgspec

from isa.devices.ata_opcodes import EXTENDED, Power
from isa.devices.clock import SavedEvent
from isa.devices.device import Byte
from isa.devices.disk_geometry import Geometry, ata_geometry
from isa.devices.disk_image import SECTOR_BYTES

BSY, DRDY, DF, DSC, DRQ, ERR = 0x80, 0x40, 0x20, 0x10, 0x08, 0x01
READY: Final = DRDY | DSC
UNC, IDNF, ABRT = 0x40, 0x10, 0x04
PASSED: Final = 0x01  # in the error register, after a reset or the diagnostics

FEATURES, COUNT, LOW, MID, HIGH, DEVICE = 1, 2, 3, 4, 5, 6
"""Offsets of the task file's registers; 1 reads as the error register."""
DEVICE_LBA: Final = 0x40
DEVICE_ALWAYS: Final = 0xA0  # two bits that were always 1 in ATA-1

MOST_MULTIPLE: Final = 16

Previous = Annotated[list[Byte], msgspec.Meta(min_length=8, max_length=8)]
TransferBytes = Annotated[bytearray, msgspec.Meta(max_length=MOST_MULTIPLE * SECTOR_BYTES)]


class Phase(IntEnum):
    """What the drive is waiting for."""

    IDLE = 0
    NON_DATA = 1  # the time a command takes
    FETCH = 2  # a block to come from the medium
    SEND = 3  # the host to read the buffer
    TAKE = 4  # the host to fill the buffer
    STORE = 5  # a block to go to the medium
    RESET = 6


class DriveState(msgspec.Struct):
    """State of one drive."""

    status: Byte = READY
    error: Byte = PASSED
    count: Byte = 1
    low: Byte = 1
    mid: Byte = 0
    high: Byte = 0
    features: Byte = 0
    device: Byte = 0
    previous: Previous = msgspec.field(default_factory=lambda: [0] * 8)
    """What the registers held before their last write, by offset: the high bytes of 48-bit
    commands."""
    command: Byte = 0
    phase: Phase = Phase.IDLE
    event: SavedEvent | None = None
    interrupts: bool = False
    """Interrupt pending: until Status is read or a command is written."""
    buffer: TransferBytes = msgspec.field(default_factory=bytearray)
    position: Annotated[int, msgspec.Meta(ge=0)] = 0
    lba: Annotated[int, msgspec.Meta(ge=0)] = 0
    """The next sector to transfer."""
    remaining: Annotated[int, msgspec.Meta(ge=0, le=0x10000)] = 0
    block: Annotated[int, msgspec.Meta(ge=1, le=MOST_MULTIPLE)] = 1
    """Sectors between two interrupts."""
    multiple: Annotated[int, msgspec.Meta(ge=0, le=MOST_MULTIPLE)] = MOST_MULTIPLE
    heads: Annotated[int, msgspec.Meta(ge=0, le=16)] = 0
    """Current translation; 0 is the one that IDENTIFY reports."""
    track_sectors: Byte = 0
    power: Power = Power.ACTIVE
    write_cache: bool = True
    look_ahead: bool = True

    def write_register(self, offset: int, value: int) -> None:
        """Write a register; what it held becomes its previous content."""
        match offset:
            case 1:
                self.previous[1], self.features = self.features, value
            case 2:
                self.previous[2], self.count = self.count, value
            case 3:
                self.previous[3], self.low = self.low, value
            case 4:
                self.previous[4], self.mid = self.mid, value
            case 5:
                self.previous[5], self.high = self.high, value
            case _:
                self.device = value

    def read_register(self, offset: int, *, previous: bool) -> int:
        """Read a register, or what it held before."""
        if offset == DEVICE:
            return self.device | DEVICE_ALWAYS
        if previous and offset != FEATURES:
            return self.previous[offset]
        return (0, self.error, self.count, self.low, self.mid, self.high)[offset]

    def wanted(self) -> int:
        """Sectors that the command is about; zero stands for all that the register can count."""
        if self.command in EXTENDED:
            return (self.previous[COUNT] << 8 | self.count) or 0x10000
        return self.count or 0x100

    def address(self, sectors: int) -> int | None:
        """The sector that the registers name, or None for one that no disk has."""
        low = self.high << 16 | self.mid << 8 | self.low
        if self.command in EXTENDED:
            before = self.previous
            return low | (before[HIGH] << 16 | before[MID] << 8 | before[LOW]) << 24
        if self.device & DEVICE_LBA:
            return (self.device & 0x0F) << 24 | low
        geometry = self.geometry(sectors)
        return geometry.lba(self.high << 8 | self.mid, self.device & 0x0F, self.low)

    def show_address(self, lba: int, sectors: int) -> None:
        """Leave a sector's address in the registers, in the form the command had it."""
        if self.command in EXTENDED:
            for register, shift in ((LOW, 24), (MID, 32), (HIGH, 40)):
                self.previous[register] = lba >> shift & 0xFF
        elif self.device & DEVICE_LBA:
            self.device = self.device & 0xF0 | lba >> 24 & 0x0F
        else:
            cylinder, head, sector = self.geometry(sectors).address(lba)
            self.device = self.device & 0xF0 | head
            lba = cylinder << 8 | sector & 0xFF
        self.low, self.mid, self.high = lba & 0xFF, lba >> 8 & 0xFF, lba >> 16 & 0xFF

    def show_remaining(self) -> None:
        """Leave the number of sectors still to be transferred in the registers."""
        self.count = self.remaining & 0xFF
        if self.command in EXTENDED:
            self.previous[COUNT] = self.remaining >> 8 & 0xFF

    def geometry(self, sectors: int) -> Geometry:
        """The translation in force on a disk of that size."""
        if not (self.heads and self.track_sectors):
            return ata_geometry(sectors)
        cylinders = sectors // (self.heads * self.track_sectors)
        return Geometry(min(cylinders, 0xFFFF), self.heads, self.track_sectors)

    def set_signature(self) -> None:
        """What the registers of a disk hold after a reset and after the diagnostics."""
        self.error = PASSED
        self.count, self.low, self.mid, self.high, self.device = 1, 1, 0, 0, 0
