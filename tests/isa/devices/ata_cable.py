"""An ATA channel with its disks, and the program that drives it through its ports."""

from __future__ import annotations

import struct

from isa.devices import ata
from isa.devices.ata import AtaChannel
from isa.devices.bus import Bus
from isa.devices.clock import EventClock
from isa.devices.disk_image import SECTOR_BYTES, MemoryImage
from isa.devices.medium import Medium

BASE, CONTROL = 0x1F0, 0x3F6
BSY, DRDY, DF, DSC, DRQ, ERR = 0x80, 0x40, 0x20, 0x10, 0x08, 0x01
READY = DRDY | DSC
SECTORS = 3000


def sector(number: int) -> bytes:
    """What the test disk holds: every sector tells its number."""
    return struct.pack("<Q", number) * (SECTOR_BYTES // 8)


IMAGE = MemoryImage(b"".join(sector(number) for number in range(SECTORS)))


class Cable:
    """One channel behind its ports, and the program that drives it."""

    def __init__(self, master: bool = True, slave: bool = False) -> None:
        self.clock = EventClock()
        self.media = [Medium(IMAGE) if there else None for there in (master, slave)]
        self.line = False
        self.rises = 0
        self.channel = AtaChannel(self.clock, self._drive, *self.media)
        self.bus = Bus()
        self.bus.claim_ports(BASE, BASE + 7, self.channel)
        self.bus.claim_ports(CONTROL, CONTROL, self.channel, offset=ata.CONTROL)

    def _drive(self, level: bool) -> None:
        self.rises += level and not self.line
        self.line = level

    def medium(self, number: int = 0) -> Medium:
        medium = self.media[number]
        assert medium is not None
        return medium

    def put(self, offset: int, value: int, size: int = 1) -> None:
        self.bus.write_port(BASE + offset, size, value)

    def get(self, offset: int, size: int = 1) -> int:
        return self.bus.read_port(BASE + offset, size)

    def control(self, value: int) -> None:
        self.bus.write_port(CONTROL, 1, value)

    @property
    def alternate(self) -> int:
        return self.bus.read_port(CONTROL, 1)

    def settle(self) -> None:
        """Let time pass until nothing is owed."""
        while (at := self.clock.next_deadline()) is not None:
            self.clock.advance_to(at)
            self.clock.run_due()

    def task(self, command: int, *, lba: int = 0, count: int = 1, slave: bool = False) -> None:
        """A 28-bit command."""
        self.put(6, 0xE0 | slave << 4 | lba >> 24)
        self.put(2, count & 0xFF)
        for offset in (3, 4, 5):
            self.put(offset, lba >> 8 * (offset - 3) & 0xFF)
        self.put(7, command)

    def task_ext(self, command: int, *, lba: int, count: int) -> None:
        """A 48-bit command."""
        self.put(6, 0x40)
        for shift in (8, 0):
            self.put(2, count >> shift & 0xFF)
        for offset in (3, 4, 5):
            self.put(offset, lba >> 24 + 8 * (offset - 3) & 0xFF)
            self.put(offset, lba >> 8 * (offset - 3) & 0xFF)
        self.put(7, command)

    def task_chs(self, command: int, cylinder: int, head: int, number: int, count: int = 1) -> None:
        for offset, value in ((6, 0xA0 | head), (2, count), (3, number)):
            self.put(offset, value)
        self.put(4, cylinder & 0xFF)
        self.put(5, cylinder >> 8)
        self.put(7, command)

    def take(self, size: int = 2) -> bytes:
        """Read one sector from the data register."""
        assert self.alternate == READY | DRQ
        words = (self.get(0, size).to_bytes(size, "little") for _ in range(SECTOR_BYTES // size))
        return b"".join(words)

    def give(self, data: bytes, size: int = 2) -> None:
        """Write to the data register."""
        for at in range(0, len(data), size):
            assert self.alternate == READY | DRQ
            self.put(0, int.from_bytes(data[at : at + size], "little"), size)

    def lba(self) -> int:
        return sum(self.get(3 + byte) << 8 * byte for byte in range(3)) | (self.get(6) & 15) << 24

    def fails(self, error: int, fault: int = 0) -> bool:
        """Let the command end; whether it did with that error."""
        self.settle()
        return (self.alternate, self.get(1)) == (READY | ERR | fault, error)

    def identity(self) -> list[int]:
        self.task(0xEC)
        self.settle()
        return list(struct.unpack("<256H", self.take()))
