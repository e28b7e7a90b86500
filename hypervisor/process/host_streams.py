"""Standard input, output and error: the program's descriptors 0 to 2.

Streams of the host are asked whether they are ready before they are used, so that a program that
waits for input can be interrupted, and one that writes to a full pipe too.
"""

from __future__ import annotations

import os
import select
import stat
from typing import Final

from hypervisor.process import file_status
from hypervisor.process.errors import CallError, Errno, of_host
from hypervisor.process.file_status import FileStatus
from hypervisor.process.open_files import O_RDONLY, O_WRONLY, OpenFile, WouldWait

_PIECE: Final = 4096  # what a pipe that is ready takes without waiting (PIPE_BUF)
_TERMINAL: Final = file_status.S_IFCHR | 0o620
_TERMINAL_DEVICE: Final = 0x8800


class HostStream(OpenFile):
    """A descriptor that the command was started with; never closed."""

    def __init__(self, fd: int, flags: int) -> None:
        super().__init__(flags)
        self.host_fd = fd
        self._fd = fd
        try:
            mode = os.fstat(fd).st_mode
            self.is_terminal = os.isatty(fd)
        except OSError:
            mode = 0
        self._is_regular = stat.S_ISREG(mode)
        self._mode = mode

    def _is_ready(self, *, for_reading: bool) -> bool:
        if self._is_regular:
            return True
        wanted = [self._fd]
        try:
            found = select.select(
                wanted if for_reading else [], [] if for_reading else wanted, [], 0
            )
        except (OSError, ValueError):
            return True  # reading or writing will say what is wrong
        return bool(found[0] or found[1])

    def can_read(self) -> bool:
        """Input, or its end, is there."""
        return self._is_ready(for_reading=True)

    def can_write(self) -> bool:
        """Output is taken."""
        return self._is_ready(for_reading=False)

    def read(self, size: int) -> bytes:
        """What is there."""
        if not self.can_read():
            raise WouldWait
        try:
            return os.read(self._fd, size)
        except OSError as error:
            raise of_host(error) from None

    def write(self, data: bytes) -> int:
        """A piece."""
        if not self.can_write():
            raise WouldWait
        try:
            return os.write(self._fd, data if self._is_regular else data[:_PIECE])
        except OSError as error:
            raise of_host(error) from None

    def seek(self, offset: int, whence: int) -> int:
        """Where the host's stream is a file."""
        if not self._is_regular:
            raise CallError(Errno.ESPIPE)
        try:
            return os.lseek(self._fd, offset, whence)
        except (OSError, OverflowError):
            raise CallError(Errno.EINVAL) from None

    def status(self) -> FileStatus:
        """A terminal, a file, or a pipe."""
        if self.is_terminal:
            return FileStatus(_TERMINAL, 3, device=_TERMINAL_DEVICE)
        if self._is_regular:
            return file_status.of_host(os.fstat(self._fd))
        return FileStatus(file_status.S_IFIFO | 0o600, 1)


class MemoryInput(OpenFile):
    """Input that is known beforehand."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__(O_RDONLY)
        self._data = data
        self._at = 0

    def read(self, size: int) -> bytes:
        """The next bytes."""
        data = self._data[self._at : self._at + size]
        self._at += len(data)
        return data

    def status(self) -> FileStatus:
        """A pipe."""
        return FileStatus(file_status.S_IFIFO | 0o600, 1)


class MemoryOutput(OpenFile):
    """Output that is kept, up to a limit."""

    LIMIT: Final = 64 << 20

    def __init__(self) -> None:
        super().__init__(O_WRONLY)
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        """Append."""
        if len(self.data) + len(data) > self.LIMIT:
            raise CallError(Errno.ENOSPC)
        self.data += data
        return len(data)

    def status(self) -> FileStatus:
        """A pipe."""
        return FileStatus(file_status.S_IFIFO | 0o600, 1)
