"""A medium: a disk or diskette as one machine has it, with what it has written.

What a guest writes lies in memory, over the sectors of an image that other machines may read as
well. So the same guest can run any number of times from one image, and a saved machine includes its
disks. What becomes of the writes is decided by `DiskWrites`:

- `discard` (the default): they are gone with the machine. An image never changes by accident, and
  two runs are equal.
- `overlay`: they are read from a file when the machine is made, and saved to it by `keep`.
- `image`: they go to the image itself, whenever the guest flushes its disk, now and then in
  between, and by `keep`. Such a medium cannot go back to an earlier state.

A guest cannot fill the host's memory: beyond a limit its writes fail.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Annotated, Final

import msgspec

from isa.devices.device import Device
from isa.devices.disk_image import SECTOR_BYTES, DiskImageError, Image, MediumError
from isa.devices.disk_overlay import load_overlay, save_overlay

WRITTEN_BYTES: Final = 1 << 30
"""What a guest may write to one medium and keep in memory."""
PENDING_SECTORS: Final = (16 << 20) // SECTOR_BYTES
"""A medium that writes to its image does so when that much has come together."""

Lba = Annotated[int, msgspec.Meta(ge=0)]
Sector = Annotated[bytes, msgspec.Meta(min_length=SECTOR_BYTES, max_length=SECTOR_BYTES)]


class DiskWrites(StrEnum):
    """What becomes of what a guest writes."""

    DISCARD = "discard"
    OVERLAY = "overlay"
    IMAGE = "image"


class MediumState(msgspec.Struct):
    """What was written and is not in the image."""

    sectors: int = 0
    """Size of the image: a state of another one is refused."""
    written: dict[Lba, Sector] = msgspec.field(default_factory=dict)


class Medium(Device[MediumState]):
    """Sectors that can be read and written. It has no registers: a drive does."""

    def __init__(
        self,
        image: Image,
        writes: DiskWrites = DiskWrites.DISCARD,
        overlay: Path | None = None,
        limit_bytes: int = WRITTEN_BYTES,
    ) -> None:
        super().__init__(MediumState)
        self._image = image
        self._writes = writes
        self._overlay = overlay
        self._limit = limit_bytes // SECTOR_BYTES
        self.sectors = image.sectors
        self.state.sectors = image.sectors
        if writes is DiskWrites.IMAGE:
            image.claim_for_writing()
        elif writes is DiskWrites.OVERLAY:
            if overlay is None:
                raise DiskImageError(f"{image.name}: an overlay needs a file to be kept in")
            self.state.written = load_overlay(overlay, image.sectors)

    def has(self, lba: int, count: int) -> bool:
        """Whether so many sectors exist from there on."""
        return lba >= 0 and lba + count <= self.sectors

    def read(self, lba: int, count: int) -> bytes:
        """Return `count` sectors that exist, or raise MediumError."""
        written = self.state.written
        if not written:
            return self._image.read(lba, count)
        wanted = range(lba, lba + count)
        if all(number in written for number in wanted):
            return b"".join(written[number] for number in wanted)
        data = self._image.read(lba, count)
        return b"".join(
            written.get(number) or data[at : at + SECTOR_BYTES]
            for number, at in zip(wanted, range(0, len(data), SECTOR_BYTES), strict=True)
        )

    def write(self, lba: int, data: bytes) -> None:
        """Write whole sectors that exist, or raise MediumError and write nothing."""
        written = self.state.written
        count = len(data) // SECTOR_BYTES
        new = sum(number not in written for number in range(lba, lba + count))
        if len(written) + new > self._limit:
            raise MediumError(f"more is written to {self._image.name} than memory is kept for")
        for index in range(count):
            at = index * SECTOR_BYTES
            written[lba + index] = bytes(data[at : at + SECTOR_BYTES])
        if self._writes is DiskWrites.IMAGE and len(written) >= PENDING_SECTORS:
            self._write_image()

    def flush(self) -> None:
        """Do what a disk does when its cache is flushed; raise MediumError if that fails."""
        if self._writes is DiskWrites.IMAGE:
            self._write_image()
            self._image.flush()

    def keep(self) -> None:
        """Save what is to be kept beyond the machine, or raise DiskImageError."""
        try:
            self.flush()
        except MediumError as error:
            raise DiskImageError(str(error)) from error
        if self._writes is DiskWrites.OVERLAY and self._overlay is not None:
            save_overlay(self._overlay, self.sectors, self.state.written)

    def reset(self) -> None:
        """A reset changes no medium."""

    def save(self) -> MediumState:
        """Return a copy of the state."""
        return MediumState(self.sectors, dict(self.state.written))

    def check(self, state: MediumState) -> None:
        """Refuse the state of a medium of another size, or what cannot be taken back."""
        if self._writes is DiskWrites.IMAGE:
            raise ValueError(f"{self._image.name} is written to and cannot go back")
        if state.sectors != self.sectors or any(lba >= self.sectors for lba in state.written):
            raise ValueError(f"{self._image.name} has {self.sectors} sectors")

    def restore(self, state: MediumState) -> None:
        """Take over a saved state."""
        self.state = MediumState(self.sectors, dict(state.written))

    def _write_image(self) -> None:
        """Bring what was written to the image, neighbouring sectors together."""
        written = self.state.written
        in_order = enumerate(sorted(written))
        for _, group in groupby(in_order, key=lambda entry: entry[1] - entry[0]):
            lbas = [lba for _, lba in group]
            self._image.write(lbas[0], b"".join(written[lba] for lba in lbas))
        written.clear()
