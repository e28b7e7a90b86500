"""Names of files: resolved below a root, component by component, and never beyond it.

Every directory on the way is opened relative to the one before, without following symbolic links;
links are read and their text is resolved here, where "/" is the root and ".." stops at it. So no
name, link, race or mount leads outside. Other file systems mounted below the root cannot be
entered, which keeps /proc, /sys and /dev out even if the root is the host's own.

Source: POSIX.1-2017, "Pathname Resolution".
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from hypervisor.process.errors import CallError, Errno, of_host
from hypervisor.process.open_files import HostFile, is_plain
from isa.errors import TrapgateError

Names = tuple[bytes, ...]

LONGEST_PATH: Final = 4096
_MOST_LINKS: Final = 40
_CLOSED: Final = getattr(os, "O_CLOEXEC", 0)
# A descriptor to go through a directory needs no right to list it, where the host has such.
_STEP: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | _CLOSED
_UNREAL: Final = ("/proc", "/sys", "/dev")


class Entry(NamedTuple):
    """Where a name leads: a name in an open directory, which may not exist yet.

    Attributes:
        parent: host descriptor of the directory, valid while the entry is in use.
        name: the last component; "." for a directory that a path like ".." ends at.
        names: the way from the root.
        found: status of what is there, or None.
    """

    parent: int
    name: bytes
    names: Names
    found: os.stat_result | None

    @property
    def is_directory(self) -> bool:
        """Whether a directory is there."""
        return self.found is not None and stat.S_ISDIR(self.found.st_mode)


class PathTree:
    """The files a program can name.

    Attributes:
        is_writable: files may be changed and made.
    """

    def __init__(self, root: str, *, is_writable: bool) -> None:
        """Open the root. Raises TrapgateError."""
        self.is_writable = is_writable
        try:
            self._root = HostFile(os.open(root, _STEP & ~os.O_NOFOLLOW))
        except OSError as error:
            raise TrapgateError(f"--root {root}: {error.strerror}") from None
        self._device = self._root.status().st_dev
        for place in _UNREAL:
            try:
                if Path(place).stat().st_dev == self._device != Path("/").stat().st_dev:
                    raise TrapgateError(f"--root {root}: {place} is not a tree of plain files")
            except OSError:
                continue

    @contextmanager
    def resolve(self, start: Names, path: bytes, *, follow: bool = True) -> Iterator[Entry]:
        """The entry of a path; a link at its end is followed or not."""
        if not path:
            raise CallError(Errno.ENOENT)
        if len(path) >= LONGEST_PATH:
            raise CallError(Errno.ENAMETOOLONG)
        walk = _Walk(self._root.fd, self._device)
        try:
            yield walk.entry(() if path.startswith(b"/") else start, path, follow=follow)
        except OSError as error:
            raise of_host(error) from None
        finally:
            walk.close()

    def open_entry(self, entry: Entry, flags: int, mode: int) -> HostFile:
        """Open a plain file or directory; `flags` are the host's."""
        if entry.found is not None and not is_plain(entry.found):
            raise CallError(Errno.EACCES)
        HostFile.check_room()
        flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | _CLOSED
        file = HostFile(os.open(entry.name, flags, mode, dir_fd=entry.parent))
        if not is_plain(file.status()):
            raise CallError(Errno.EACCES)
        return file


class _Walk:
    """One resolution: the chain of directories from the root, all open."""

    def __init__(self, root: int, device: int) -> None:
        self._root = root
        self._device = device
        self._chain: list[tuple[bytes, int]] = []

    @property
    def _top(self) -> int:
        return self._chain[-1][1] if self._chain else self._root

    @property
    def _names(self) -> Names:
        return tuple(name for name, _ in self._chain)

    def close(self) -> None:
        while self._chain:
            os.close(self._chain.pop()[1])

    def _step(self, name: bytes) -> None:
        """Enter a directory."""
        fd = os.open(name, _STEP, dir_fd=self._top)
        self._chain.append((name, fd))
        if os.fstat(fd).st_dev != self._device:
            raise CallError(Errno.EACCES)

    def entry(self, start: Names, path: bytes, *, follow: bool) -> Entry:
        for name in start:
            self._step(name)
        todo = deque(_components(path))
        must_be_directory = path.endswith((b"/", b"/."))
        links = 0
        while todo:
            name = todo.popleft()
            if name == b"..":
                if self._chain:
                    os.close(self._chain.pop()[1])
                continue
            try:
                found = os.stat(name, dir_fd=self._top, follow_symlinks=False)
            except FileNotFoundError:
                if todo:
                    raise
                return Entry(self._top, name, (*self._names, name), None)
            is_link = stat.S_ISLNK(found.st_mode)
            if is_link and (todo or follow or must_be_directory):
                links += 1
                if links > _MOST_LINKS:
                    raise CallError(Errno.ELOOP)
                target = os.readlink(name, dir_fd=self._top)
                if target.startswith(b"/"):
                    self.close()
                todo.extendleft(reversed(_components(target)))
            elif todo:
                self._step(name)
            else:
                return self._last(name, found, must_be_directory=must_be_directory)
        found = os.fstat(self._top)
        return Entry(self._top, b".", self._names, found)

    def _last(self, name: bytes, found: os.stat_result, *, must_be_directory: bool) -> Entry:
        is_directory = stat.S_ISDIR(found.st_mode)
        if must_be_directory and not is_directory:
            raise CallError(Errno.ENOTDIR)
        if is_directory and found.st_dev != self._device:
            raise CallError(Errno.EACCES)
        return Entry(self._top, name, (*self._names, name), found)


def _components(path: bytes) -> list[bytes]:
    return [name for name in path.split(b"/") if name not in (b"", b".")]
