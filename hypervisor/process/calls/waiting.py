"""System calls that wait for several descriptors: poll, select and their variants.

Source: POSIX.1-2017, "poll", "select".
"""

from __future__ import annotations

import select as host_select
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from hypervisor.process.calls.time import read_timespec32, read_timespec64
from hypervisor.process.descriptors import DESCRIPTORS
from hypervisor.process.errors import CallError, Errno, Interrupted

if TYPE_CHECKING:
    from hypervisor.process.process import Process

_POLLIN, _POLLOUT, _POLLNVAL = 1, 4, 32
_POLLIN_ALL: Final = _POLLIN | 0x40
_POLLOUT_ALL: Final = _POLLOUT | 0x100
_MOST: Final = 1024
_MILLISECOND: Final = 1_000_000

Wanted = dict[int, tuple[bool, bool]]  # descriptor -> wanted for reading, for writing


def _watcher(process: Process, wanted: Wanted) -> Callable[[float], bool] | None:
    """Waits for those descriptors whose other side is outside."""
    reading, writing = [], []
    for fd, (for_reading, for_writing) in wanted.items():
        file = process.files.find(fd)
        if file is not None and file.host_fd is not None:
            if for_reading:
                reading.append(file.host_fd)
            if for_writing:
                writing.append(file.host_fd)
    if not reading and not writing:
        return None
    return lambda seconds: any(host_select.select(reading, writing, [], seconds))


def _wait(
    process: Process,
    wanted: Wanted,
    is_ready: Callable[[], bool],
    duration: int | None,
    mask: int | None,
) -> None:
    """Wait with other signals blocked, if a mask is given. EINTR after a handler."""
    signals = process.signals
    if mask is not None:
        signals.saved_mask = signals.blocked
        signals.block(mask)
    deadline = None if duration is None else process.clock.monotonic() + duration
    try:
        process.wait(is_ready, deadline=deadline, watch=_watcher(process, wanted))
    except Interrupted:
        raise CallError(Errno.EINTR) from None


def _poll(
    process: Process, address: int, count: int, duration: int | None, mask: int | None
) -> int:
    if count > _MOST:
        raise CallError(Errno.EINVAL)
    process.space.check(address, 8 * count, write=True)
    asked = list(struct.iter_unpack("<iHH", process.space.read(address, 8 * count)))
    wanted: Wanted = {
        fd: (bool(events & _POLLIN_ALL), bool(events & _POLLOUT_ALL)) for fd, events, _ in asked
    }

    def states() -> list[int]:
        return [_state(process, fd, events) for fd, events, _ in asked]

    _wait(process, wanted, lambda: any(states()), duration, mask)
    found = states()
    for index, ((fd, events, _), state) in enumerate(zip(asked, found, strict=True)):
        process.space.write(address + 8 * index, struct.pack("<iHH", fd, events, state))
    return sum(1 for state in found if state)


def _state(process: Process, fd: int, events: int) -> int:
    if fd < 0:
        return 0
    file = process.files.find(fd)
    if file is None:
        return _POLLNVAL
    state = 0
    if events & _POLLIN_ALL and file.is_readable and file.can_read():
        state |= events & _POLLIN_ALL
    if events & _POLLOUT_ALL and file.is_writable and file.can_write():
        state |= events & _POLLOUT_ALL
    return state


def poll(process: Process, address: int, count: int, timeout: int) -> int:
    """poll(&fds, count, milliseconds)."""
    duration = None if timeout >> 31 else timeout * _MILLISECOND
    return _poll(process, address, count, duration, None)


def _mask(process: Process, address: int, size: int) -> int | None:
    if not address:
        return None
    if size != 8:
        raise CallError(Errno.EINVAL)
    return int.from_bytes(process.space.read(address, 8), "little")


def ppoll(process: Process, address: int, count: int, limit: int, mask: int, size: int) -> int:
    """ppoll(&fds, count, &duration, &mask, size of a set)."""
    duration = read_timespec32(process, limit) if limit else None
    return _poll(process, address, count, duration, _mask(process, mask, size))


def ppoll64(process: Process, address: int, count: int, limit: int, mask: int, size: int) -> int:
    """ppoll_time64(&fds, count, &duration, &mask, size of a set)."""
    duration = read_timespec64(process, limit) if limit else None
    return _poll(process, address, count, duration, _mask(process, mask, size))


# --- select --------------------------------------------------------------------------------------
def _select(
    process: Process, count: int, sets: tuple[int, int, int], duration: int | None, mask: int | None
) -> int:
    if count >> 31 or count > _MOST:
        raise CallError(Errno.EINVAL)
    size = (count + 31) // 32 * 4
    asked = [
        int.from_bytes(process.space.read(at, size), "little") & (1 << count) - 1 if at else 0
        for at in sets
    ]
    for at in sets:
        if at:
            process.space.check(at, size, write=True)
    everything = asked[0] | asked[1] | asked[2]
    if everything >> DESCRIPTORS:
        raise CallError(Errno.EBADF)
    numbers = [fd for fd in range(min(count, DESCRIPTORS)) if everything >> fd & 1]
    for fd in numbers:
        process.files.get(fd)
    wanted: Wanted = {fd: (bool(asked[0] >> fd & 1), bool(asked[1] >> fd & 1)) for fd in numbers}

    def ready() -> tuple[int, int]:
        reading = sum(1 << fd for fd in numbers if _is_ready(process, fd, asked[0], _POLLIN))
        writing = sum(1 << fd for fd in numbers if _is_ready(process, fd, asked[1], _POLLOUT))
        return reading, writing

    _wait(process, wanted, lambda: any(ready()), duration, mask)
    reading, writing = ready()
    for at, found in zip(sets, (reading, writing, 0), strict=True):
        if at:
            process.space.write(at, found.to_bytes(size, "little"))
    return reading.bit_count() + writing.bit_count()


def _is_ready(process: Process, fd: int, asked: int, event: int) -> bool:
    return bool(asked >> fd & 1 and _state(process, fd, event))


def _timeval(process: Process, address: int) -> int | None:
    if not address:
        return None
    seconds, microseconds = struct.unpack("<2i", process.space.read(address, 8))
    if seconds < 0 or microseconds < 0:
        raise CallError(Errno.EINVAL)
    return int(seconds * 1_000_000_000 + microseconds * 1000)


def newselect(process: Process, count: int, read: int, write: int, other: int, limit: int) -> int:
    """_newselect(count, &read, &write, &except, &timeval)."""
    return _select(process, count, (read, write, other), _timeval(process, limit), None)


def select(process: Process, address: int) -> int:
    """select(&five words), the call as it was at first."""
    words = struct.unpack("<5I", process.space.read(address, 20))
    return newselect(process, *words)


def _sigset_pointer(process: Process, address: int) -> int | None:
    if not address:
        return None
    return _mask(process, *struct.unpack("<2I", process.space.read(address, 8)))


def pselect6(
    process: Process, count: int, read: int, write: int, other: int, limit: int, mask: int
) -> int:
    """pselect6(count, &read, &write, &except, &duration, &(mask, size))."""
    duration = read_timespec32(process, limit) if limit else None
    sets = (read, write, other)
    return _select(process, count, sets, duration, _sigset_pointer(process, mask))


def pselect6_64(
    process: Process, count: int, read: int, write: int, other: int, limit: int, mask: int
) -> int:
    """pselect6_time64(count, &read, &write, &except, &duration, &(mask, size))."""
    duration = read_timespec64(process, limit) if limit else None
    sets = (read, write, other)
    return _select(process, count, sets, duration, _sigset_pointer(process, mask))
