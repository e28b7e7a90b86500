"""Disk images: where the sectors of a disk come from.

An image is raw: sector after sector, of any size; a last sector that the file cuts short ends in
zeroes. Files are read by position and never mapped, because a mapped file that somebody shortens
kills the process; here it is a sector that cannot be read, which the guest's disk reports as such.
Images know no machine, and several machines may read one. Only one may write to it.
"""

from __future__ import annotations

import os
import stat
import weakref
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from isa.errors import TrapgateError

SECTOR_BYTES: Final = 512


class DiskImageError(TrapgateError):
    """A disk image that cannot be used, found when the machine is made."""


class MediumError(Exception):
    """A sector that cannot be read or written; the guest sees an error of its disk."""


class Image(Protocol):
    """Sectors to read, and perhaps to write."""

    @property
    def name(self) -> str:
        """What the user calls the image."""

    @property
    def sectors(self) -> int:
        """How many sectors there are, a shortened last one included."""

    def read(self, lba: int, count: int) -> bytes:
        """Return `count` sectors that exist, or raise MediumError."""

    def claim_for_writing(self) -> None:
        """Become writable for the one who asks, or raise DiskImageError."""

    def write(self, lba: int, data: bytes) -> None:
        """Write whole sectors that exist, or raise MediumError."""

    def flush(self) -> None:
        """Return when everything written will survive, or raise MediumError."""


def sectors_of(size_bytes: int) -> int:
    """Sectors that so many bytes take."""
    return -(-size_bytes // SECTOR_BYTES)


class MemoryImage:
    """An image that is not in a file: nothing of it is kept."""

    def __init__(self, data: bytes, name: str = "memory") -> None:
        if not data:
            raise DiskImageError(f"{name}: the disk image is empty")
        self.name = name
        self.sectors = sectors_of(len(data))
        self._data = data

    def read(self, lba: int, count: int) -> bytes:
        """Return `count` sectors."""
        data = self._data[lba * SECTOR_BYTES : (lba + count) * SECTOR_BYTES]
        return data.ljust(count * SECTOR_BYTES, b"\0")

    def claim_for_writing(self) -> None:
        """Refuse: there is no file."""
        raise DiskImageError(f"{self.name}: not a file, so that what is written cannot be kept")

    def write(self, lba: int, data: bytes) -> None:
        """Refuse, likewise."""
        raise MediumError(f"{self.name} is read-only")

    def flush(self) -> None:
        """Nothing was written."""


class FileImage:
    """A raw image in a file or on a block device, open until the object is gone."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._file = _open(path, "rb")
        self._close = weakref.finalize(self, self._file.close)
        self._size = _size(self._file, path)
        self._is_claimed = False
        self.sectors = sectors_of(self._size)

    def read(self, lba: int, count: int) -> bytes:
        """Return `count` sectors; MediumError if the file has become shorter or cannot be read."""
        start = lba * SECTOR_BYTES
        wanted = min(count * SECTOR_BYTES, self._size - start)
        data = bytearray()
        try:
            self._file.seek(start)
            while len(data) < wanted and (part := self._file.read(wanted - len(data))):
                data += part
        except OSError as error:
            raise MediumError(f"{self.name}: {error.strerror}") from error
        if len(data) < wanted:
            raise MediumError(f"{self.name} has become shorter")
        return bytes(data.ljust(count * SECTOR_BYTES, b"\0"))

    def claim_for_writing(self) -> None:
        """Open the file for writing, with a lock where the host has them."""
        if self._is_claimed:
            raise DiskImageError(f"{self.name}: another machine writes to this image already")
        writable = _open(self._path, "r+b")
        try:
            _lock(writable, self._path)
        except DiskImageError:
            writable.close()
            raise
        self._close()
        self._file = writable
        self._close = weakref.finalize(self, writable.close)
        self._is_claimed = True

    def write(self, lba: int, data: bytes) -> None:
        """Write whole sectors. A shortened last sector becomes a whole one."""
        rest = memoryview(data)
        try:
            self._file.seek(lba * SECTOR_BYTES)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise MediumError(f"{self.name}: {error.strerror}") from error
        self._size = max(self._size, lba * SECTOR_BYTES + len(data))

    def flush(self) -> None:
        """Wait until the host has it."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise MediumError(f"{self.name}: {error.strerror}") from error


def _open(path: Path, mode: str) -> BinaryIO:
    """Open a regular file or block device; others (a pipe, a terminal) could block for ever."""
    try:
        kind = path.stat().st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISBLK(kind)):
            raise DiskImageError(f"{path}: not a regular file")
        return path.open(mode, buffering=0)  # type: ignore[return-value]
    except OSError as error:
        raise DiskImageError(f"{path}: {error.strerror}") from error
    except ValueError as error:  # a null byte in the name
        raise DiskImageError(f"{str(path)!r}: {error}") from error


def _size(file: BinaryIO, path: Path) -> int:
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        raise DiskImageError(f"{path}: the disk image is empty")
    return size


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # no such locks on this host
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise DiskImageError(f"{path}: another process writes to this image") from error
