"""Cylinders, heads and sectors: what a disk says of itself, and what a BIOS makes of it.

Sources: ATA/ATAPI-6 (T13/1410D), "Words (56:54): current number of …" and "Annex B"; Phoenix
Enhanced Disk Drive Specification 1.1, "Geometry" (assisted translation).
"""

from __future__ import annotations

from typing import Final, NamedTuple

ATA_HEADS: Final = 16
TRACK_SECTORS: Final = 63
ATA_CYLINDERS: Final = 16383
BIOS_CYLINDERS: Final = 1024
_BIOS_HEADS: Final = (16, 32, 64, 128, 255)


class Geometry(NamedTuple):
    """A cylinder has `heads` tracks of `track_sectors` sectors."""

    cylinders: int
    heads: int
    track_sectors: int

    @property
    def sectors(self) -> int:
        """All sectors that have such an address."""
        return self.cylinders * self.heads * self.track_sectors

    def lba(self, cylinder: int, head: int, sector: int) -> int | None:
        """Number of the sector at an address, or None if there is none. Sectors count from 1."""
        if head >= self.heads or not 1 <= sector <= self.track_sectors:
            return None
        return (cylinder * self.heads + head) * self.track_sectors + sector - 1

    def address(self, lba: int) -> tuple[int, int, int]:
        """Cylinder, head and sector of a sector number."""
        track, sector = divmod(lba, self.track_sectors)
        cylinder, head = divmod(track, self.heads)
        return cylinder, head, sector + 1


def ata_geometry(sectors: int) -> Geometry:
    """What an ATA disk of that size reports: 16 heads and 63 sectors, at least one cylinder."""
    cylinders = sectors // (ATA_HEADS * TRACK_SECTORS)
    return Geometry(min(max(cylinders, 1), ATA_CYLINDERS), ATA_HEADS, TRACK_SECTORS)


def bios_geometry(sectors: int) -> Geometry:
    """What a BIOS offers for such a disk, with at most 1024 cylinders."""
    for heads in _BIOS_HEADS:
        cylinders = sectors // (heads * TRACK_SECTORS)
        if cylinders <= BIOS_CYLINDERS:
            return Geometry(max(cylinders, 1), heads, TRACK_SECTORS)
    return Geometry(BIOS_CYLINDERS, _BIOS_HEADS[-1], TRACK_SECTORS)
