"""System calls on open files: read, write, open and close, seek, dup, fcntl, ioctl, pipe.

Source: POSIX.1-2017; the i386 Linux ABI for numbers, flags and structures.
"""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from hypervisor.process import open_files
from hypervisor.process.errors import CallError, Errno
from hypervisor.process.open_files import (
    O_ACCMODE,
    O_APPEND,
    O_CLOEXEC,
    O_CREAT,
    O_DIRECTORY,
    O_EXCL,
    O_NOFOLLOW,
    O_NONBLOCK,
    O_PATH,
    O_RDONLY,
    O_TRUNC,
    O_WRONLY,
    Directory,
    FullDevice,
    NullDevice,
    OpenFile,
    Pipe,
    PipeReader,
    PipeWriter,
    RandomDevice,
    RegularFile,
    WouldWait,
    ZeroDevice,
)
from hypervisor.process.path_tree import LONGEST_PATH, Entry, Names
from hypervisor.process.signals import SIGPIPE, Pending

if TYPE_CHECKING:
    from hypervisor.process.process import Process

AT_FDCWD: Final = -100
LARGEST_TRANSFER: Final = 4 << 20
MOST_VECTORS: Final = 1024
_STATUS_FLAGS: Final = O_APPEND | O_NONBLOCK
_KEPT_FLAGS: Final = O_ACCMODE | _STATUS_FLAGS | O_DIRECTORY | O_NOFOLLOW | O_PATH

_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_SETFL = 0, 1, 2, 3, 4
_F_GETLK, _F_SETLK, _F_SETLKW, _F_GETLK64, _F_SETLK64, _F_SETLKW64 = 5, 6, 7, 12, 13, 14
_F_DUPFD_CLOEXEC: Final = 1030
_FD_CLOEXEC: Final = 1
_F_UNLCK: Final = 2

_TCGETS, _TIOCGPGRP, _TIOCGWINSZ, _FIONREAD, _FIONBIO = 0x5401, 0x540F, 0x5413, 0x541B, 0x5421
_FIOCLEX, _FIONCLEX = 0x5451, 0x5450
# struct termios of a terminal in line mode: ICRNL IXON, OPOST ONLCR, B38400 CS8 CREAD, ISIG ICANON
# ECHO and its variants, and the usual control characters.
_CONTROL_CHARACTERS: Final = bytes.fromhex("031c7f150400010011131a00120f1716000000")
_TERMIOS: Final = struct.pack("<4IB19s", 0x500, 5, 0xBF, 0x8A3B, 0, _CONTROL_CHARACTERS)


def signed(value: int) -> int:
    """A word as a signed number."""
    return value - (1 << 32) if value >> 31 else value


def signed64(low: int, high: int) -> int:
    """Two words as a signed number."""
    return low | signed(high) << 32


# --- reading and writing -------------------------------------------------------------------------
def _watcher(file: OpenFile, *, for_reading: bool) -> Callable[[float], bool] | None:
    fd = file.host_fd
    if fd is None:
        return None

    def watch(seconds: float) -> bool:
        reading, writing = ([fd], []) if for_reading else ([], [fd])
        return any(select.select(reading, writing, [], seconds))

    return watch


def _read_waiting(process: Process, file: OpenFile, size: int) -> bytes:
    if not file.is_readable:
        raise CallError(Errno.EBADF)
    while True:
        try:
            return file.read(size)
        except WouldWait:
            if file.flags & O_NONBLOCK:
                raise CallError(Errno.EAGAIN) from None
        process.wait(file.can_read, watch=_watcher(file, for_reading=True))


def _write_waiting(process: Process, file: OpenFile, data: bytes) -> int:
    """All of the data, unless something keeps it from being written when some has been."""
    if not file.is_writable:
        raise CallError(Errno.EBADF)
    done = 0
    while True:
        try:
            done += file.write(data[done:])
        except WouldWait:
            if file.flags & O_NONBLOCK:
                if done:
                    return done
                raise CallError(Errno.EAGAIN) from None
            process.wait(file.can_write, watch=_watcher(file, for_reading=False))
        except CallError as error:
            if done:
                return done
            if error.number is Errno.EPIPE:
                process.signals.post(Pending(SIGPIPE))
            raise
        if done >= len(data):
            return done


def read(process: Process, fd: int, address: int, size: int) -> int:
    """read(fd, buffer, size)."""
    file = process.files.get(fd)
    size = min(size, LARGEST_TRANSFER)
    process.space.check(address, size, write=True)
    data = _read_waiting(process, file, size)
    process.space.write(address, data)
    return len(data)


def write(process: Process, fd: int, address: int, size: int) -> int:
    """write(fd, buffer, size)."""
    file = process.files.get(fd)
    data = process.space.read(address, min(size, LARGEST_TRANSFER))
    return _write_waiting(process, file, data)


def _vectors(process: Process, address: int, count: int) -> list[tuple[int, int]]:
    """struct iovec: (address, size), cut to what one transfer may be."""
    if signed(count) < 0 or count > MOST_VECTORS:
        raise CallError(Errno.EINVAL)
    words = struct.unpack(f"<{2 * count}I", process.space.read(address, 8 * count))
    found = []
    left = LARGEST_TRANSFER
    for base, size in zip(words[::2], words[1::2], strict=True):
        if signed(size) < 0:
            raise CallError(Errno.EINVAL)
        part = min(size, left)
        left -= part
        found.append((base, part))
    return found


def readv(process: Process, fd: int, address: int, count: int) -> int:
    """readv(fd, vector, count)."""
    file = process.files.get(fd)
    pieces = _vectors(process, address, count)
    for base, size in pieces:
        process.space.check(base, size, write=True)
    data = _read_waiting(process, file, sum(size for _, size in pieces))
    at = 0
    for base, size in pieces:
        process.space.write(base, data[at : at + size])
        at += size
    return len(data)


def writev(process: Process, fd: int, address: int, count: int) -> int:
    """writev(fd, vector, count)."""
    file = process.files.get(fd)
    pieces = _vectors(process, address, count)
    data = b"".join(process.space.read(base, size) for base, size in pieces)
    return _write_waiting(process, file, data)


def pread64(process: Process, fd: int, address: int, size: int, low: int, high: int) -> int:
    """pread64(fd, buffer, size, offset)."""
    file = process.files.get(fd)
    offset = signed64(low, high)
    if offset < 0:
        raise CallError(Errno.EINVAL)
    if not file.is_readable:
        raise CallError(Errno.EBADF)
    size = min(size, LARGEST_TRANSFER)
    process.space.check(address, size, write=True)
    data = file.read_at(offset, size)
    process.space.write(address, data)
    return len(data)


def pwrite64(process: Process, fd: int, address: int, size: int, low: int, high: int) -> int:
    """pwrite64(fd, buffer, size, offset)."""
    file = process.files.get(fd)
    offset = signed64(low, high)
    if offset < 0:
        raise CallError(Errno.EINVAL)
    if not file.is_writable:
        raise CallError(Errno.EBADF)
    return file.write_at(offset, process.space.read(address, min(size, LARGEST_TRANSFER)))


def lseek(process: Process, fd: int, offset: int, whence: int) -> int:
    """lseek(fd, offset, whence)."""
    position = process.files.get(fd).seek(signed(offset), whence)
    if position >> 31:
        raise CallError(Errno.EOVERFLOW)
    return position


def llseek(process: Process, fd: int, high: int, low: int, result: int, whence: int) -> int:
    """_llseek(fd, high, low, &result, whence)."""
    file = process.files.get(fd)
    process.space.check(result, 8, write=True)
    position = file.seek(signed64(low, high), whence)
    process.space.write(result, position.to_bytes(8, "little"))
    return 0


# --- opening -------------------------------------------------------------------------------------
def path_at(process: Process, address: int) -> bytes:
    """A path in the program's memory."""
    return process.space.read_text(address, LONGEST_PATH)


def directory_at(process: Process, fd: int, path: bytes) -> Names:
    """Where a path of the …at() calls begins."""
    if path.startswith(b"/") or signed(fd) == AT_FDCWD:
        return process.cwd
    file = process.files.get(fd)
    if not isinstance(file, Directory):
        raise CallError(Errno.ENOTDIR)
    return file.names


def openat(process: Process, at_fd: int, address: int, flags: int, mode: int) -> int:
    """openat(fd, path, flags, mode)."""
    path = path_at(process, address)
    process.files.check_room()
    file = _open_device(process, path, flags)
    if file is None:
        start = directory_at(process, at_fd, path)
        follow = not flags & O_NOFOLLOW and flags & (O_CREAT | O_EXCL) != O_CREAT | O_EXCL
        with process.tree.resolve(start, path, follow=follow) as entry:
            file = _open_plain(process, entry, path, flags, mode)
    return process.files.add(file, close_on_exec=bool(flags & O_CLOEXEC))


def open_(process: Process, address: int, flags: int, mode: int) -> int:
    """open(path, flags, mode)."""
    return openat(process, AT_FDCWD & 0xFFFFFFFF, address, flags, mode)


def creat(process: Process, address: int, mode: int) -> int:
    """creat(path, mode)."""
    return open_(process, address, O_CREAT | O_WRONLY | O_TRUNC, mode)


def device_of(process: Process, path: bytes) -> str | None:
    """The name of one of the devices that exist below every root."""
    if not path.startswith(b"/dev/"):
        return None
    name = path[5:].decode("ascii", "replace")
    return name if name in _DEVICES else None


_DEVICES: Final[dict[str, type[NullDevice] | None]] = {
    "null": NullDevice,
    "zero": ZeroDevice,
    "full": FullDevice,
    "random": None,
    "urandom": None,
    "stdin": None,
    "stdout": None,
    "stderr": None,
    "tty": None,
}
_STREAMS: Final = {"stdin": 0, "stdout": 1, "stderr": 2}


def _open_device(process: Process, path: bytes, flags: int) -> OpenFile | None:
    name = device_of(process, path)
    if name is None:
        return None
    kept = flags & _KEPT_FLAGS
    made = _DEVICES[name]
    if made is not None:
        return made(kept)
    if name in ("random", "urandom"):
        return RandomDevice(kept, process.randomness)
    if name in _STREAMS:
        return process.files.get(_STREAMS[name])
    for number in _STREAMS.values():
        file = process.files.find(number)
        if file is not None and file.is_terminal:
            return file
    raise CallError(Errno.ENXIO)


def _open_plain(
    process: Process, entry: Entry, path: bytes, flags: int, mode: int
) -> RegularFile | Directory:
    found = entry.found
    changes = flags & O_ACCMODE != O_RDONLY or flags & O_TRUNC
    if found is None:
        if not flags & O_CREAT:
            raise CallError(Errno.ENOENT)
        if path.endswith(b"/"):
            raise CallError(Errno.EISDIR)
    elif flags & O_CREAT and flags & O_EXCL:
        raise CallError(Errno.EEXIST)
    elif entry.is_directory:
        if changes or flags & O_CREAT:
            raise CallError(Errno.EISDIR)
    elif flags & O_DIRECTORY:
        raise CallError(Errno.ENOTDIR)
    elif open_files.is_link(found):
        raise CallError(Errno.ELOOP)
    if (found is None or changes) and not process.tree.is_writable:
        raise CallError(Errno.EROFS)
    if flags & O_ACCMODE == O_ACCMODE:
        raise CallError(Errno.EINVAL)
    host = (os.O_RDONLY, os.O_WRONLY, os.O_RDWR)[flags & O_ACCMODE]
    if entry.is_directory:
        host |= os.O_DIRECTORY
    if found is None:
        host |= os.O_CREAT | os.O_EXCL
    if flags & O_TRUNC:
        host |= os.O_TRUNC
    file = process.tree.open_entry(entry, host, mode & 0o777 & ~process.umask)
    if entry.is_directory:
        return Directory(file, entry.names, flags & _KEPT_FLAGS)
    return RegularFile(file, flags & _KEPT_FLAGS)


def close(process: Process, fd: int) -> int:
    """close(fd)."""
    process.files.close(fd)
    return 0


# --- descriptors ---------------------------------------------------------------------------------
def dup(process: Process, fd: int) -> int:
    """dup(fd)."""
    return process.files.add(process.files.get(fd))


def dup2(process: Process, fd: int, target: int) -> int:
    """dup2(fd, target)."""
    file = process.files.get(fd)
    if fd != target:
        process.files.put(target, file)
    return target


def dup3(process: Process, fd: int, target: int, flags: int) -> int:
    """dup3(fd, target, flags)."""
    if fd == target or flags & ~O_CLOEXEC:
        raise CallError(Errno.EINVAL)
    process.files.put(target, process.files.get(fd), close_on_exec=bool(flags & O_CLOEXEC))
    return target


def fcntl(process: Process, fd: int, command: int, argument: int) -> int:
    """fcntl(fd, command, argument); fcntl64 too."""
    files = process.files
    file = files.get(fd)
    if command in (_F_DUPFD, _F_DUPFD_CLOEXEC):
        if argument >= open_files.HOST_FILES:
            raise CallError(Errno.EINVAL)
        return files.add(file, lowest=argument, close_on_exec=command == _F_DUPFD_CLOEXEC)
    if command == _F_GETFD:
        return _FD_CLOEXEC if fd in files.closed_on_exec else 0
    if command == _F_SETFD:
        (files.closed_on_exec.add if argument & _FD_CLOEXEC else files.closed_on_exec.discard)(fd)
        return 0
    if command == _F_GETFL:
        return file.flags
    if command == _F_SETFL:
        file.flags = file.flags & ~_STATUS_FLAGS | argument & _STATUS_FLAGS
        return 0
    if command in (_F_SETLK, _F_SETLKW, _F_SETLK64, _F_SETLKW64):
        return 0  # there is no other process to lock out
    if command in (_F_GETLK, _F_GETLK64):
        process.space.write(argument, _F_UNLCK.to_bytes(2, "little"))
        return 0
    raise CallError(Errno.EINVAL)


def ioctl(process: Process, fd: int, request: int, argument: int) -> int:
    """ioctl(fd, request, argument): what terminals are asked at start-up."""
    file = process.files.get(fd)
    if request == _FIONBIO:
        wanted = process.space.read_word(argument)
        file.flags = file.flags | O_NONBLOCK if wanted else file.flags & ~O_NONBLOCK
        return 0
    if request == _FIOCLEX or request == _FIONCLEX:
        return fcntl(process, fd, _F_SETFD, _FD_CLOEXEC if request == _FIOCLEX else 0)
    if not file.is_terminal:
        raise CallError(Errno.ENOTTY)
    if request == _TCGETS:
        process.space.write(argument, _TERMIOS)
    elif request == _TIOCGWINSZ:
        columns, lines = _window()
        process.space.write(argument, struct.pack("<4H", lines, columns, 0, 0))
    elif request == _TIOCGPGRP:
        from hypervisor.process.signal_frames import PROCESS_ID

        process.space.write_word(argument, PROCESS_ID)
    else:
        raise CallError(Errno.EINVAL)
    return 0


def _window() -> tuple[int, int]:
    for fd in (0, 1, 2):
        try:
            size = os.get_terminal_size(fd)
        except OSError:
            continue
        return size.columns, size.lines
    return 80, 24


def pipe2(process: Process, address: int, flags: int) -> int:
    """pipe2(&fds, flags)."""
    if flags & ~(O_CLOEXEC | O_NONBLOCK):
        raise CallError(Errno.EINVAL)
    process.files.check_room(2)
    process.space.check(address, 8, write=True)
    buffer = Pipe()
    kept, closes = flags & O_NONBLOCK, bool(flags & O_CLOEXEC)
    first = process.files.add(PipeReader(buffer, kept), close_on_exec=closes)
    second = process.files.add(PipeWriter(buffer, kept), close_on_exec=closes)
    process.space.write(address, struct.pack("<2I", first, second))
    return 0


def pipe(process: Process, address: int) -> int:
    """pipe(&fds)."""
    return pipe2(process, address, 0)


def ftruncate64(process: Process, fd: int, low: int, high: int) -> int:
    """ftruncate64(fd, size)."""
    process.files.get(fd).truncate(signed64(low, high))
    return 0


def ftruncate(process: Process, fd: int, size: int) -> int:
    """ftruncate(fd, size)."""
    process.files.get(fd).truncate(signed(size))
    return 0


def fsync(process: Process, fd: int) -> int:
    """fsync(fd): the host has what was written."""
    process.files.get(fd)
    return 0
