"""System calls on names: stat, access, directories, links, removing and renaming.

Source: POSIX.1-2017; the i386 Linux ABI for flags and structures.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from hypervisor.process import file_status
from hypervisor.process.calls.files import (
    AT_FDCWD,
    device_of,
    directory_at,
    path_at,
    signed,
    signed64,
)
from hypervisor.process.errors import CallError, Errno
from hypervisor.process.file_status import FileStatus
from hypervisor.process.open_files import LARGEST_FILE, Directory, NullDevice
from hypervisor.process.path_tree import Entry

if TYPE_CHECKING:
    from hypervisor.process.process import Process

_AT_REMOVEDIR: Final = 0x200
_AT_SYMLINK_NOFOLLOW: Final = 0x100
_AT_EMPTY_PATH: Final = 0x1000
_W_OK: Final = 2
_HERE: Final = AT_FDCWD & 0xFFFFFFFF
_LARGEST_LISTING: Final = 1 << 20


# --- status --------------------------------------------------------------------------------------
def _status_at(process: Process, fd: int, path: bytes, flags: int) -> FileStatus:
    if not path and flags & _AT_EMPTY_PATH and signed(fd) != AT_FDCWD:
        return process.files.get(fd).status()
    if not path and flags & _AT_EMPTY_PATH:
        path = b"."
    name = device_of(process, path)
    if name is not None:
        return NullDevice(0).status()
    start = directory_at(process, fd, path)
    follow = not flags & _AT_SYMLINK_NOFOLLOW
    with process.tree.resolve(start, path, follow=follow) as entry:
        if entry.found is None:
            raise CallError(Errno.ENOENT)
        return file_status.of_host(entry.found)


Layout = Callable[[FileStatus], bytes]


def _stat(process: Process, path: int, buffer: int, flags: int, layout: Layout) -> int:
    status = _status_at(process, _HERE, path_at(process, path), flags)
    process.space.write(buffer, layout(status))
    return 0


def stat_old(process: Process, path: int, buffer: int) -> int:
    """stat(path, &buffer)."""
    return _stat(process, path, buffer, 0, file_status.stat_old)


def lstat_old(process: Process, path: int, buffer: int) -> int:
    """lstat(path, &buffer)."""
    return _stat(process, path, buffer, _AT_SYMLINK_NOFOLLOW, file_status.stat_old)


def fstat_old(process: Process, fd: int, buffer: int) -> int:
    """fstat(fd, &buffer)."""
    process.space.write(buffer, file_status.stat_old(process.files.get(fd).status()))
    return 0


def stat64(process: Process, path: int, buffer: int) -> int:
    """stat64(path, &buffer)."""
    return _stat(process, path, buffer, 0, file_status.stat64)


def lstat64(process: Process, path: int, buffer: int) -> int:
    """lstat64(path, &buffer)."""
    return _stat(process, path, buffer, _AT_SYMLINK_NOFOLLOW, file_status.stat64)


def fstat64(process: Process, fd: int, buffer: int) -> int:
    """fstat64(fd, &buffer)."""
    process.space.write(buffer, file_status.stat64(process.files.get(fd).status()))
    return 0


def fstatat64(process: Process, fd: int, path: int, buffer: int, flags: int) -> int:
    """fstatat64(fd, path, &buffer, flags)."""
    status = _status_at(process, fd, path_at(process, path), flags)
    process.space.write(buffer, file_status.stat64(status))
    return 0


def statx(process: Process, fd: int, path: int, flags: int, mask: int, buffer: int) -> int:
    """statx(fd, path, flags, mask, &buffer): the basic facts, whatever is asked."""
    if mask >> 31:
        raise CallError(Errno.EINVAL)
    status = _status_at(process, fd, path_at(process, path), flags)
    process.space.write(buffer, file_status.statx(status))
    return 0


def faccessat(process: Process, fd: int, path: int, mode: int) -> int:
    """faccessat(fd, path, mode): as the host would decide, and a read-only root."""
    if mode & ~7:
        raise CallError(Errno.EINVAL)
    name = path_at(process, path)
    if device_of(process, name) is not None:
        return 0
    with process.tree.resolve(directory_at(process, fd, name), name) as entry:
        if entry.found is None:
            raise CallError(Errno.ENOENT)
        if mode & _W_OK and not process.tree.is_writable:
            raise CallError(Errno.EROFS)
        if not os.access(entry.name, mode & 7, dir_fd=entry.parent):
            raise CallError(Errno.EACCES)
    return 0


def access(process: Process, path: int, mode: int) -> int:
    """access(path, mode)."""
    return faccessat(process, _HERE, path, mode)


def readlinkat(process: Process, fd: int, path: int, buffer: int, size: int) -> int:
    """readlinkat(fd, path, buffer, size)."""
    if signed(size) <= 0:
        raise CallError(Errno.EINVAL)
    name = path_at(process, path)
    start = directory_at(process, fd, name)
    with process.tree.resolve(start, name, follow=False) as entry:
        if entry.found is None:
            raise CallError(Errno.ENOENT)
        if not stat.S_ISLNK(entry.found.st_mode):
            raise CallError(Errno.EINVAL)
        target = os.readlink(entry.name, dir_fd=entry.parent)[:size]
    process.space.write(buffer, target)
    return len(target)


def readlink(process: Process, path: int, buffer: int, size: int) -> int:
    """readlink(path, buffer, size)."""
    return readlinkat(process, _HERE, path, buffer, size)


# --- the working directory, listings -------------------------------------------------------------
def getcwd(process: Process, buffer: int, size: int) -> int:
    """getcwd(buffer, size): the length with its zero byte."""
    path = b"/" + b"/".join(process.cwd) + b"\0"
    if len(path) > size:
        raise CallError(Errno.ERANGE)
    process.space.write(buffer, path)
    return len(path)


def chdir(process: Process, path: int) -> int:
    """chdir(path)."""
    name = path_at(process, path)
    with process.tree.resolve(process.cwd, name) as entry:
        if entry.found is None:
            raise CallError(Errno.ENOENT)
        if not entry.is_directory:
            raise CallError(Errno.ENOTDIR)
        process.cwd = entry.names
    return 0


def fchdir(process: Process, fd: int) -> int:
    """fchdir(fd)."""
    file = process.files.get(fd)
    if not isinstance(file, Directory):
        raise CallError(Errno.ENOTDIR)
    process.cwd = file.names
    return 0


def _list(process: Process, fd: int, buffer: int, size: int, *, is_64: bool) -> int:
    file = process.files.get(fd)
    if not isinstance(file, Directory):
        raise CallError(Errno.ENOTDIR)
    entries = file.entries()
    size = min(size, _LARGEST_LISTING)
    listing = bytearray()
    at = file.position
    while at < len(entries):
        name, status = entries[at]
        record = _dirent64(name, status, at + 1) if is_64 else _dirent(name, status, at + 1)
        if len(listing) + len(record) > size:
            break
        listing += record
        at += 1
    if not listing and at < len(entries):
        raise CallError(Errno.EINVAL)
    process.space.write(buffer, bytes(listing))
    file.position = at
    return len(listing)


def _dirent64(name: bytes, status: FileStatus, following: int) -> bytes:
    length = (19 + len(name) + 1 + 7) & ~7
    head = struct.pack("<QqHB", status.inode, following, length, status.kind)
    return (head + name).ljust(length, b"\0")


def _dirent(name: bytes, status: FileStatus, following: int) -> bytes:
    length = (10 + len(name) + 2 + 3) & ~3
    head = struct.pack("<IIH", status.inode & 0xFFFFFFFF, following, length)
    return (head + name).ljust(length - 1, b"\0") + bytes([status.kind])


def getdents64(process: Process, fd: int, buffer: int, size: int) -> int:
    """getdents64(fd, buffer, size)."""
    return _list(process, fd, buffer, size, is_64=True)


def getdents(process: Process, fd: int, buffer: int, size: int) -> int:
    """getdents(fd, buffer, size)."""
    return _list(process, fd, buffer, size, is_64=False)


# --- changes -------------------------------------------------------------------------------------
def _must_be_writable(process: Process) -> None:
    if not process.tree.is_writable:
        raise CallError(Errno.EROFS)


def _must_exist(entry: Entry) -> os.stat_result:
    if entry.found is None:
        raise CallError(Errno.ENOENT)
    if entry.name == b".":
        raise CallError(Errno.EBUSY)
    return entry.found


def mkdirat(process: Process, fd: int, path: int, mode: int) -> int:
    """mkdirat(fd, path, mode)."""
    name = path_at(process, path)
    with process.tree.resolve(directory_at(process, fd, name), name, follow=False) as entry:
        if entry.found is not None:
            raise CallError(Errno.EEXIST)
        _must_be_writable(process)
        os.mkdir(entry.name, mode & 0o777 & ~process.umask, dir_fd=entry.parent)
    return 0


def mkdir(process: Process, path: int, mode: int) -> int:
    """mkdir(path, mode)."""
    return mkdirat(process, _HERE, path, mode)


def unlinkat(process: Process, fd: int, path: int, flags: int) -> int:
    """unlinkat(fd, path, flags)."""
    if flags & ~_AT_REMOVEDIR:
        raise CallError(Errno.EINVAL)
    name = path_at(process, path)
    with process.tree.resolve(directory_at(process, fd, name), name, follow=False) as entry:
        _must_exist(entry)
        _must_be_writable(process)
        if flags & _AT_REMOVEDIR:
            if not entry.is_directory:
                raise CallError(Errno.ENOTDIR)
            os.rmdir(entry.name, dir_fd=entry.parent)
        elif entry.is_directory:
            raise CallError(Errno.EISDIR)
        else:
            os.unlink(entry.name, dir_fd=entry.parent)
    return 0


def unlink(process: Process, path: int) -> int:
    """unlink(path)."""
    return unlinkat(process, _HERE, path, 0)


def rmdir(process: Process, path: int) -> int:
    """rmdir(path)."""
    return unlinkat(process, _HERE, path, _AT_REMOVEDIR)


def renameat2(process: Process, fd: int, path: int, new_fd: int, new: int, flags: int) -> int:
    """renameat2(fd, path, fd, path, flags): flags must be 0."""
    if flags:
        raise CallError(Errno.EINVAL)
    old_name, new_name = path_at(process, path), path_at(process, new)
    starts = directory_at(process, fd, old_name), directory_at(process, new_fd, new_name)
    tree = process.tree
    with (
        tree.resolve(starts[0], old_name, follow=False) as old,
        tree.resolve(starts[1], new_name, follow=False) as target,
    ):
        _must_exist(old)
        if target.name == b".":
            raise CallError(Errno.EBUSY)
        _must_be_writable(process)
        os.rename(old.name, target.name, src_dir_fd=old.parent, dst_dir_fd=target.parent)
    return 0


def renameat(process: Process, fd: int, path: int, new_fd: int, new: int) -> int:
    """renameat(fd, path, fd, path)."""
    return renameat2(process, fd, path, new_fd, new, 0)


def rename(process: Process, path: int, new: int) -> int:
    """rename(path, path)."""
    return renameat2(process, _HERE, path, _HERE, new, 0)


def truncate64(process: Process, path: int, low: int, high: int) -> int:
    """truncate64(path, size)."""
    size = signed64(low, high)
    if size < 0:
        raise CallError(Errno.EINVAL)
    if size > LARGEST_FILE:
        raise CallError(Errno.EFBIG)
    with process.tree.resolve(process.cwd, path_at(process, path)) as entry:
        if entry.found is None:
            raise CallError(Errno.ENOENT)
        if entry.is_directory:
            raise CallError(Errno.EISDIR)
        _must_be_writable(process)
        file = process.tree.open_entry(entry, os.O_WRONLY, 0)
        os.ftruncate(file.fd, size)
    return 0


def truncate(process: Process, path: int, size: int) -> int:
    """truncate(path, size)."""
    return truncate64(process, path, size, 0xFFFFFFFF if size >> 31 else 0)


def umask(process: Process, mask: int) -> int:
    """umask(mask): the former one."""
    former, process.umask = process.umask, mask & 0o777
    return former
