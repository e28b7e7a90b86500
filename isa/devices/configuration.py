"""Configuration: the hardware that a machine is made with, as far as a user can choose it.

A value, from which any number of equal machines can be made: images are shared and only read, and
each machine has media of its own over them. (A disk whose writes go to the image itself is for one
machine only, and a second one is refused.)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

from isa.devices.calendar import Moment
from isa.devices.cmos import POWER_ON
from isa.devices.disk_image import FileImage, Image
from isa.devices.medium import WRITTEN_BYTES, DiskWrites, Medium

BOOT_ORDER_ADDRESS: Final = 0x3D
"""Where CMOS memory has the first two devices to boot from, a digit each."""
DISKS: Final = 4
"""Primary master and slave, secondary master and slave."""


class BootDevice(IntEnum):
    """What the firmware looks for a system on, as CMOS memory codes it."""

    DISKETTE = 1
    DISK = 2


@dataclass(frozen=True)
class Disk:
    """A hard disk.

    Attributes:
        image: its sectors.
        writes: what becomes of what the guest writes.
        overlay: where writes are kept if they are kept apart from the image.
        limit_bytes: how much the guest may write before it is flushed or the machine is gone.
    """

    image: Image
    writes: DiskWrites = DiskWrites.DISCARD
    overlay: Path | None = None
    limit_bytes: int = WRITTEN_BYTES

    @classmethod
    def open(
        cls, path: Path, writes: DiskWrites = DiskWrites.DISCARD, overlay: Path | None = None
    ) -> Disk:
        """Open an image file; an overlay is kept beside it unless a place is given.

        Raises:
            DiskImageError: the file is not there or not an image.
        """
        if writes is DiskWrites.OVERLAY and overlay is None:
            overlay = path.with_name(f"{path.name}.overlay")
        return cls(FileImage(path), writes, overlay)

    def medium(self) -> Medium:
        """The disk's contents for one machine."""
        return Medium(self.image, self.writes, self.overlay, self.limit_bytes)


@dataclass(frozen=True)
class Configuration:
    """What a machine has besides the devices that every one has.

    Attributes:
        disks: primary master, primary slave, secondary master, secondary slave; None is none, and
            so is what is missing at the end.
        start: what the real-time clock shows when the machine is made.
        real_time: whether idle time passes at the pace of the host's clock. Such a run never
            repeats exactly.
        boot_order: what the BIOS tries, at most two.
    """

    disks: tuple[Disk | None, ...] = ()
    start: Moment = POWER_ON
    real_time: bool = False
    boot_order: tuple[BootDevice, ...] = (BootDevice.DISKETTE, BootDevice.DISK)

    def __post_init__(self) -> None:
        if len(self.disks) > DISKS:
            raise ValueError(f"a machine has {DISKS} places for disks, not {len(self.disks)}")

    def settings(self) -> dict[int, int]:
        """What the firmware's set-up would write to CMOS memory: address → byte."""
        digits = enumerate(self.boot_order[:2])
        return {BOOT_ORDER_ADDRESS: sum(device << 4 * place for place, device in digits)}

    def disk(self, index: int) -> Disk | None:
        """The disk at one of the four places."""
        return self.disks[index] if index < len(self.disks) else None


DEFAULT: Final = Configuration()
