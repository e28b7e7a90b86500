"""System calls on time: clocks, sleeping, the alarm.

Source: POSIX.1-2017, "clock_gettime", "nanosleep", "setitimer"; the i386 Linux ABI for structures
with 32 and with 64 bits of seconds.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from hypervisor.process.clock import NANOSECONDS
from hypervisor.process.errors import CallError, Errno, Interrupted

if TYPE_CHECKING:
    from hypervisor.process.process import Process

_REALTIME_CLOCKS: Final = frozenset({0, 5, 8})
_MONOTONIC_CLOCKS: Final = frozenset({1, 4, 6, 7, 9})
_CPU_CLOCKS: Final = frozenset({2, 3})
_TIMER_ABSTIME: Final = 1
_ITIMER_REAL: Final = 0
_CLOCK_TICK: Final = NANOSECONDS // 100
_OLD: Final = struct.Struct("<2i")
_NEW: Final = struct.Struct("<qI4x")
_LONGEST: Final = 1 << 62


def _clock(process: Process, number: int) -> int:
    clock = process.clock
    if number in _REALTIME_CLOCKS:
        return clock.calendar()
    if number in _MONOTONIC_CLOCKS:
        return clock.monotonic()
    if number in _CPU_CLOCKS:
        return clock.used()
    raise CallError(Errno.EINVAL)


def _pack(layout: struct.Struct, nanoseconds: int) -> bytes:
    seconds, rest = divmod(nanoseconds, NANOSECONDS)
    if layout is _OLD:
        seconds = (seconds + (1 << 31) & 0xFFFFFFFF) - (1 << 31)
    return layout.pack(seconds, rest)


def read_timespec(process: Process, address: int, layout: struct.Struct) -> int:
    """struct timespec as nanoseconds; EINVAL unless it is a duration."""
    seconds, nanoseconds = layout.unpack(process.space.read(address, layout.size))
    if seconds < 0 or not 0 <= nanoseconds < NANOSECONDS:
        raise CallError(Errno.EINVAL)
    return int(min(seconds * NANOSECONDS + nanoseconds, _LONGEST))


def read_timespec32(process: Process, address: int) -> int:
    """struct timespec with 32 bits of seconds."""
    return read_timespec(process, address, _OLD)


def read_timespec64(process: Process, address: int) -> int:
    """struct timespec with 64 bits of seconds."""
    return read_timespec(process, address, _NEW)


def clock_gettime(process: Process, number: int, address: int) -> int:
    """clock_gettime(clock, &time)."""
    process.space.write(address, _pack(_OLD, _clock(process, number)))
    return 0


def clock_gettime64(process: Process, number: int, address: int) -> int:
    """clock_gettime64(clock, &time)."""
    process.space.write(address, _pack(_NEW, _clock(process, number)))
    return 0


def clock_getres(process: Process, number: int, address: int) -> int:
    """clock_getres(clock, &resolution): a nanosecond."""
    _clock(process, number)
    if address:
        process.space.write(address, _pack(_OLD, 1))
    return 0


def clock_getres64(process: Process, number: int, address: int) -> int:
    """clock_getres_time64(clock, &resolution): a nanosecond."""
    _clock(process, number)
    if address:
        process.space.write(address, _pack(_NEW, 1))
    return 0


def gettimeofday(process: Process, address: int, zone: int) -> int:
    """gettimeofday(&time, &zone): the zone is UTC."""
    seconds, nanoseconds = divmod(process.clock.calendar(), NANOSECONDS)
    if address:
        process.space.write(address, struct.pack("<2I", seconds & 0xFFFFFFFF, nanoseconds // 1000))
    if zone:
        process.space.write(zone, bytes(8))
    return 0


def time(process: Process, address: int) -> int:
    """time(&seconds)."""
    seconds = process.clock.calendar() // NANOSECONDS & 0x7FFFFFFF
    if address:
        process.space.write_word(address, seconds)
    return seconds


def times(process: Process, address: int) -> int:
    """times(&struct tms): ticks of a hundredth of a second."""
    used = process.clock.used() // _CLOCK_TICK & 0xFFFFFFFF
    if address:
        process.space.write(address, struct.pack("<4I", used, 0, 0, 0))
    return process.clock.monotonic() // _CLOCK_TICK & 0x7FFFFFFF


# --- sleeping ------------------------------------------------------------------------------------
def _sleep(process: Process, deadline: int, remaining: int, layout: struct.Struct) -> int:
    try:
        process.wait(lambda: False, deadline=deadline)
    except Interrupted:
        if remaining:
            left = max(deadline - process.clock.monotonic(), 0)
            process.space.write(remaining, _pack(layout, left))
        raise CallError(Errno.EINTR) from None
    return 0


def nanosleep(process: Process, address: int, remaining: int) -> int:
    """nanosleep(&duration, &remaining)."""
    duration = read_timespec(process, address, _OLD)
    return _sleep(process, process.clock.monotonic() + duration, remaining, _OLD)


def _clock_nanosleep(
    process: Process, number: int, flags: int, address: int, remaining: int, layout: struct.Struct
) -> int:
    now = _clock(process, number)
    duration = read_timespec(process, address, layout)
    if flags & _TIMER_ABSTIME:
        duration, remaining = max(duration - now, 0), 0
    return _sleep(process, process.clock.monotonic() + duration, remaining, layout)


def clock_nanosleep(process: Process, number: int, flags: int, address: int, remaining: int) -> int:
    """clock_nanosleep(clock, flags, &time, &remaining)."""
    return _clock_nanosleep(process, number, flags, address, remaining, _OLD)


def clock_nanosleep64(
    process: Process, number: int, flags: int, address: int, remaining: int
) -> int:
    """clock_nanosleep_time64(clock, flags, &time, &remaining)."""
    return _clock_nanosleep(process, number, flags, address, remaining, _NEW)


def sched_yield(process: Process) -> int:
    """sched_yield(): there is nobody else."""
    return 0


# --- the alarm -----------------------------------------------------------------------------------
def _left(process: Process) -> int:
    """Nanoseconds until the alarm; 0 if there is none."""
    if process.alarm_at is None:
        return 0
    return max(process.alarm_at - process.clock.monotonic(), 1)


def alarm(process: Process, seconds: int) -> int:
    """alarm(seconds): what was left of the former one."""
    left = -(-_left(process) // NANOSECONDS)
    process.alarm_interval = 0
    now = process.clock.monotonic()
    process.alarm_at = now + seconds * NANOSECONDS if seconds else None
    return left


def getitimer(process: Process, which: int, address: int) -> int:
    """getitimer(which, &value): ITIMER_REAL only."""
    if which != _ITIMER_REAL:
        raise CallError(Errno.EINVAL)
    values = []
    for nanoseconds in (process.alarm_interval, _left(process)):
        seconds, rest = divmod(nanoseconds, NANOSECONDS)
        values += [seconds & 0xFFFFFFFF, rest // 1000]
    process.space.write(address, struct.pack("<4I", *values))
    return 0


def setitimer(process: Process, which: int, address: int, former: int) -> int:
    """setitimer(which, &value, &former): ITIMER_REAL only."""
    if which != _ITIMER_REAL:
        raise CallError(Errno.EINVAL)
    values = struct.unpack("<4i", process.space.read(address, 16)) if address else (0, 0, 0, 0)
    if any(value < 0 for value in values) or max(values[1], values[3]) >= 1_000_000:
        raise CallError(Errno.EINVAL)
    if former:
        getitimer(process, which, former)
    first = values[2] * NANOSECONDS + values[3] * 1000
    process.alarm_interval = values[0] * NANOSECONDS + values[1] * 1000
    process.alarm_at = process.clock.monotonic() + first if first else None
    return 0
