"""Open files: what descriptors refer to. Regular files, directories, pipes and a few devices.

An open file never blocks: where a real one would wait it raises WouldWait, and the system call
decides what to do about it. Host file descriptors are closed when nobody refers to them any more,
and there are never more than HOST_FILES of them.

Source: POSIX.1-2017, "open", "read", "write", "pipe"; the i386 Linux ABI: struct linux_dirent64.
"""

from __future__ import annotations

import hashlib
import os
import stat
import weakref
from typing import ClassVar, Final

from hypervisor.addresses import PAGE_BYTES
from hypervisor.process import file_status
from hypervisor.process.errors import CallError, Errno, of_host
from hypervisor.process.file_status import FileStatus

O_ACCMODE: Final = 0o3
O_RDONLY: Final = 0o0
O_WRONLY: Final = 0o1
O_RDWR: Final = 0o2
O_CREAT: Final = 0o100
O_EXCL: Final = 0o200
O_TRUNC: Final = 0o1000
O_APPEND: Final = 0o2000
O_NONBLOCK: Final = 0o4000
O_LARGEFILE: Final = 0o100000
O_DIRECTORY: Final = 0o200000
O_NOFOLLOW: Final = 0o400000
O_CLOEXEC: Final = 0o2000000
O_PATH: Final = 0o10000000

SEEK_SET, SEEK_CUR, SEEK_END = 0, 1, 2
HOST_FILES: Final = 256
LARGEST_FILE: Final = 1 << 32
PIPE_BYTES: Final = 65_536
_CHARACTER_DEVICE: Final = file_status.S_IFCHR | 0o666


class WouldWait(Exception):
    """The operation cannot go on now."""


class HostFile:
    """A host file descriptor that is closed with its last reference."""

    _open: ClassVar[int] = 0

    def __init__(self, fd: int) -> None:
        self.fd = fd
        HostFile._open += 1
        self._end = weakref.finalize(self, HostFile._close, fd)

    @staticmethod
    def _close(fd: int) -> None:
        HostFile._open -= 1
        os.close(fd)

    @staticmethod
    def check_room() -> None:
        """ENFILE if too many are open."""
        if HostFile._open >= HOST_FILES:
            raise CallError(Errno.ENFILE)

    def status(self) -> os.stat_result:
        """Of the file."""
        return os.fstat(self.fd)


class OpenFile:
    """An open file description.

    Attributes:
        flags: access mode and status flags, as F_GETFL gives them.
        references: descriptors that refer to it.
    """

    is_terminal = False
    host_fd: int | None = None
    """A host descriptor to wait for, if the other side is outside."""

    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.references = 0

    @property
    def is_readable(self) -> bool:
        """Opened for reading."""
        return self.flags & O_ACCMODE != O_WRONLY and not self.flags & O_PATH

    @property
    def is_writable(self) -> bool:
        """Opened for writing."""
        return self.flags & O_ACCMODE != O_RDONLY and not self.flags & O_PATH

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; nothing at the end."""
        raise CallError(Errno.EINVAL)

    def write(self, data: bytes) -> int:
        """Some of the data; how many bytes."""
        raise CallError(Errno.EINVAL)

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes at a place, whatever the position."""
        raise CallError(Errno.ESPIPE)

    def write_at(self, offset: int, data: bytes) -> int:
        """Bytes to a place, whatever the position."""
        raise CallError(Errno.ESPIPE)

    def seek(self, offset: int, whence: int) -> int:
        """Move the position; the new one."""
        raise CallError(Errno.ESPIPE)

    def truncate(self, size: int) -> None:
        """Make it that long."""
        raise CallError(Errno.EINVAL)

    def status(self) -> FileStatus:
        """What fstat() says."""
        raise CallError(Errno.EBADF)

    def can_read(self) -> bool:
        """Whether read() would not wait."""
        return True

    def can_write(self) -> bool:
        """Whether write() would not wait."""
        return True

    def close(self) -> None:
        """The last descriptor is gone."""


class RegularFile(OpenFile):
    """A file of the host, below the root."""

    def __init__(self, file: HostFile, flags: int) -> None:
        super().__init__(flags)
        self.file = file
        self.position = 0

    def read(self, size: int) -> bytes:
        """At the position."""
        data = self.read_at(self.position, size)
        self.position += len(data)
        return data

    def write(self, data: bytes) -> int:
        """At the position, or at the end with O_APPEND."""
        if self.flags & O_APPEND:
            self.position = self.file.status().st_size
        done = self.write_at(self.position, data)
        self.position += done
        return done

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes at a place."""
        try:
            return os.pread(self.file.fd, size, offset)
        except OSError as error:
            raise of_host(error) from None

    def write_at(self, offset: int, data: bytes) -> int:
        """Bytes to a place; files have a largest size."""
        room = LARGEST_FILE - offset
        if room <= 0 and data:
            raise CallError(Errno.EFBIG)
        try:
            return os.pwrite(self.file.fd, data[:room], offset)
        except OSError as error:
            raise of_host(error) from None

    def seek(self, offset: int, whence: int) -> int:
        """Move the position."""
        size = self.file.status().st_size
        if whence not in (SEEK_SET, SEEK_CUR, SEEK_END):
            raise CallError(Errno.EINVAL)
        target = offset + (0, self.position, size)[whence]
        if not 0 <= target < 1 << 62:
            raise CallError(Errno.EINVAL)
        self.position = target
        return target

    def truncate(self, size: int) -> None:
        """Make it that long."""
        if not self.is_writable or size < 0:
            raise CallError(Errno.EINVAL)
        if size > LARGEST_FILE:
            raise CallError(Errno.EFBIG)
        try:
            os.ftruncate(self.file.fd, size)
        except OSError as error:
            raise of_host(error) from None

    def status(self) -> FileStatus:
        """Of the host's file."""
        return file_status.of_host(self.file.status())


class MappedFile:
    """What a region shows of a regular file; stays open as long as the region exists."""

    def __init__(self, file: HostFile, *, is_writable: bool) -> None:
        self._file = file
        self.is_writable = is_writable

    def read_page(self, offset: int) -> bytes | None:
        """Up to a page; None beyond the end. An unreadable page is like one beyond the end."""
        try:
            data = os.pread(self._file.fd, PAGE_BYTES, offset)
        except (OSError, OverflowError):
            return None
        return data or None

    def write_page(self, offset: int, data: bytes) -> None:
        """Bring a page back, as far as the file reaches; a host that cannot store it loses it."""
        try:
            room = self._file.status().st_size - offset
            if room > 0:
                os.pwrite(self._file.fd, data[:room], offset)
        except (OSError, OverflowError):
            return


class Directory(OpenFile):
    """A directory below the root. `names` is the way to it from there."""

    def __init__(self, file: HostFile, names: tuple[bytes, ...], flags: int) -> None:
        super().__init__(flags)
        self.file = file
        self.names = names
        self.position = 0
        self._entries: list[tuple[bytes, FileStatus]] | None = None

    def entries(self) -> list[tuple[bytes, FileStatus]]:
        """Names and kinds, sorted, as they were when the listing began."""
        if self._entries is None:
            own = file_status.of_host(self.file.status())
            found = [(b".", own), (b"..", own)]
            try:
                with os.scandir(self.file.fd) as listing:
                    names = sorted(os.fsencode(entry.name) for entry in listing)
                for name in names:
                    status = os.stat(name, dir_fd=self.file.fd, follow_symlinks=False)
                    found.append((name, file_status.of_host(status)))
            except OSError as error:
                raise of_host(error) from None
            self._entries = found
        return self._entries

    def read(self, size: int) -> bytes:
        """Directories are read entry by entry."""
        raise CallError(Errno.EISDIR)

    def seek(self, offset: int, whence: int) -> int:
        """Positions are numbers of entries."""
        if whence != SEEK_SET or not 0 <= offset < 1 << 31:
            raise CallError(Errno.EINVAL)
        if offset == 0:
            self._entries = None
        self.position = offset
        return offset

    def status(self) -> FileStatus:
        """Of the host's directory."""
        return file_status.of_host(self.file.status())


class Pipe:
    """The buffer between two ends."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.has_reader = True
        self.has_writer = True


class PipeReader(OpenFile):
    """The end to read from."""

    def __init__(self, pipe: Pipe, flags: int) -> None:
        super().__init__(O_RDONLY | flags)
        self._pipe = pipe

    def can_read(self) -> bool:
        """Data, or nobody left to write any."""
        return bool(self._pipe.data) or not self._pipe.has_writer

    def read(self, size: int) -> bytes:
        """What there is."""
        if not self.can_read():
            raise WouldWait
        data = bytes(self._pipe.data[:size])
        del self._pipe.data[:size]
        return data

    def status(self) -> FileStatus:
        """A pipe."""
        return FileStatus(file_status.S_IFIFO | 0o600, 1)

    def close(self) -> None:
        """Writers get EPIPE from now on."""
        self._pipe.has_reader = False


class PipeWriter(OpenFile):
    """The end to write to."""

    def __init__(self, pipe: Pipe, flags: int) -> None:
        super().__init__(O_WRONLY | flags)
        self._pipe = pipe

    def can_write(self) -> bool:
        """Room, or nobody left to read."""
        return len(self._pipe.data) < PIPE_BYTES or not self._pipe.has_reader

    def write(self, data: bytes) -> int:
        """As much as there is room for."""
        if not self._pipe.has_reader:
            raise CallError(Errno.EPIPE)
        if not self.can_write():
            raise WouldWait
        part = data[: PIPE_BYTES - len(self._pipe.data)]
        self._pipe.data += part
        return len(part)

    def status(self) -> FileStatus:
        """A pipe."""
        return FileStatus(file_status.S_IFIFO | 0o600, 1)

    def close(self) -> None:
        """Readers see the end after what is left."""
        self._pipe.has_writer = False


class NullDevice(OpenFile):
    """/dev/null: nothing to read, everything to write."""

    number: ClassVar[int] = 0x103

    def read(self, size: int) -> bytes:
        """The end."""
        return b""

    def write(self, data: bytes) -> int:
        """Gone."""
        return len(data)

    def seek(self, offset: int, whence: int) -> int:
        """Anywhere is the beginning."""
        return 0

    def status(self) -> FileStatus:
        """A character device."""
        return FileStatus(_CHARACTER_DEVICE, 2, device=self.number)


class ZeroDevice(NullDevice):
    """/dev/zero."""

    number: ClassVar[int] = 0x105

    def read(self, size: int) -> bytes:
        """Zeros without end."""
        return bytes(size)


class FullDevice(ZeroDevice):
    """/dev/full."""

    number: ClassVar[int] = 0x107

    def write(self, data: bytes) -> int:
        """There is no room."""
        raise CallError(Errno.ENOSPC)


class RandomDevice(NullDevice):
    """/dev/random and /dev/urandom."""

    number: ClassVar[int] = 0x109

    def __init__(self, flags: int, randomness: Randomness) -> None:
        super().__init__(flags)
        self._randomness = randomness

    def read(self, size: int) -> bytes:
        """Bytes nobody could guess, were they not the same in every run."""
        return self._randomness.take(size)


class Randomness:
    """Bytes for getrandom() and the like: the same in every run, or the host's."""

    def __init__(self, *, is_real: bool) -> None:
        self._is_real = is_real
        self._count = 0
        self._rest = b""

    def take(self, size: int) -> bytes:
        """The next bytes."""
        if self._is_real:
            return os.urandom(size)
        blocks = [self._rest]
        have = len(self._rest)
        while have < size:
            blocks.append(hashlib.sha256(b"trapgate %d" % self._count).digest())
            self._count += 1
            have += 32
        data = b"".join(blocks)
        self._rest = data[size:]
        return data[:size]


def is_plain(found: os.stat_result) -> bool:
    """A regular file or a directory: nothing else of the host is ever opened."""
    return stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)


def is_link(found: os.stat_result) -> bool:
    """A symbolic link."""
    return stat.S_ISLNK(found.st_mode)
