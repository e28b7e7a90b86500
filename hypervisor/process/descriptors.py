"""The table of file descriptors of one process.

Source: POSIX.1-2017, "open", "dup", "fcntl".
"""

from __future__ import annotations

from typing import Final

from hypervisor.process.errors import CallError, Errno
from hypervisor.process.open_files import OpenFile

DESCRIPTORS: Final = 256


class Descriptors:
    """Which open file each number refers to."""

    def __init__(self, streams: tuple[OpenFile, ...]) -> None:
        """Begin with open files as 0, 1, 2."""
        self._files: dict[int, OpenFile] = {}
        self.closed_on_exec: set[int] = set()
        for number, file in enumerate(streams):
            self._place(number, file)

    def _place(self, number: int, file: OpenFile) -> None:
        self._files[number] = file
        file.references += 1

    def get(self, number: int) -> OpenFile:
        """The open file, or EBADF."""
        file = self._files.get(number)
        if file is None:
            raise CallError(Errno.EBADF)
        return file

    def find(self, number: int) -> OpenFile | None:
        """The open file, or None."""
        return self._files.get(number)

    def check_room(self, count: int = 1) -> None:
        """EMFILE unless that many descriptors are free."""
        if len(self._files) + count > DESCRIPTORS:
            raise CallError(Errno.EMFILE)

    def add(self, file: OpenFile, *, lowest: int = 0, close_on_exec: bool = False) -> int:
        """The lowest free number, from `lowest` on, for an open file."""
        for number in range(lowest, DESCRIPTORS):
            if number not in self._files:
                self.put(number, file, close_on_exec=close_on_exec)
                return number
        raise CallError(Errno.EMFILE)

    def put(self, number: int, file: OpenFile, *, close_on_exec: bool = False) -> None:
        """Let a number refer to an open file, whatever it referred to before."""
        if not 0 <= number < DESCRIPTORS:
            raise CallError(Errno.EBADF)
        file.references += 1  # first: it may be the same
        if number in self._files:
            self.close(number)
        self._files[number] = file
        if close_on_exec:
            self.closed_on_exec.add(number)

    def close(self, number: int) -> None:
        """Let a number refer to nothing."""
        file = self.get(number)
        del self._files[number]
        self.closed_on_exec.discard(number)
        file.references -= 1
        if file.references == 0:
            file.close()

    def close_all(self) -> None:
        """At the end of the process."""
        for number in list(self._files):
            self.close(number)
