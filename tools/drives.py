"""From the names of disk images to the drives of a machine, and to a machine that boots from them.

A guest that is a disk image itself becomes the first disk. What is written to a disk is forgotten
unless the user says where it is to be kept (`isa.devices.medium`).

Source: IBM PC/AT Technical Reference, "Bootstrap Loader".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from isa.boot import BootImage
from isa.devices.configuration import DISKS, BootDevice, Configuration, Disk
from isa.devices.disk_image import MediumError
from isa.devices.medium import DiskWrites
from isa.errors import TrapgateError
from isa.firmware.rom import RESET_OFFSET, RESET_SELECTOR
from tools.recognition import is_bootable

BootLetter = Literal["a", "c"]
DiskWritesName = Literal["discard", "overlay", "image"]

_ORDERS: Final[dict[str, tuple[BootDevice, ...]]] = {
    "a": (BootDevice.DISKETTE, BootDevice.DISK),
    "c": (BootDevice.DISK, BootDevice.DISKETTE),
}


@dataclass(frozen=True)
class Drives:
    """What the user has put into the drives.

    Attributes:
        disks: image files of -hda to -hdd.
        boot: where the BIOS looks first: a (diskettes) or c (disks).
        writes: what becomes of what the guest writes to a disk.
    """

    disks: tuple[str | None, ...] = ()
    boot: BootLetter = "a"
    writes: DiskWritesName = "discard"

    @property
    def first(self) -> str | None:
        """The first image there is, or None."""
        return next((name for name in self.disks if name is not None), None)

    def devices(self) -> Configuration:
        """A machine with these drives."""
        return Configuration(
            disks=tuple(None if name is None else self.disk(name) for name in self.disks),
            boot_order=_ORDERS[self.boot],
        )

    def disk(self, name: str) -> Disk:
        """A disk over an image file."""
        return Disk.open(Path(name), DiskWrites(self.writes))


NO_DRIVES: Final = Drives()


def with_first_disk(devices: Configuration, disk: Disk, where: str) -> Configuration:
    """The machine with one more disk, before all others."""
    if devices.disk(0) is not None:
        raise TrapgateError(f"{where}: is a disk image itself, and -hda names another; give one")
    others = tuple(devices.disk(index) for index in range(1, DISKS))
    return replace(devices, disks=(disk, *others))


def boot_image(
    name: str, where: str, symbols: Mapping[str, int] | None, devices: Configuration
) -> BootImage:
    """A machine that starts in its BIOS, which is in its memory anyway, and boots from a disk."""
    if not any(_boots(disk) for disk in devices.disks if disk is not None):
        raise TrapgateError(f"{where}: no boot sector (55h AAh at byte 510 of the first sector)")
    return BootImage(
        name=name,
        segments=(),
        entry=RESET_OFFSET,
        eax=0,
        ebx=0,
        esp=0,
        protected=False,
        symbols=symbols,
        source=where,
        code_selector=RESET_SELECTOR,
        devices=devices,
    )


def _boots(disk: Disk) -> bool:
    try:
        return is_bootable(disk.image.read(0, 1))
    except MediumError as error:
        raise TrapgateError(str(error)) from None
