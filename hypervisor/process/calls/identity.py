"""System calls on the process and the system: who, where, limits, threads' state, the end.

Source: POSIX.1-2017; the i386 Linux ABI for set_thread_area, futex and structures.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from hypervisor.descriptors import pack
from hypervisor.process import layout
from hypervisor.process.calls.time import read_timespec32, read_timespec64
from hypervisor.process.descriptors import DESCRIPTORS
from hypervisor.process.errors import CallError, Errno
from hypervisor.process.program import USER_ID
from hypervisor.process.signal_frames import PROCESS_ID
from hypervisor.process.world import DATA_SEGMENTS
from isa.registers import (
    ATTR_DB,
    ATTR_DPL_SHIFT,
    ATTR_EXPAND_DOWN,
    ATTR_G,
    ATTR_P,
    ATTR_S,
    ATTR_WRITABLE,
)

if TYPE_CHECKING:
    from hypervisor.process.process import Process

_PARENT_ID: Final = 999
_INFINITY: Final = 0xFFFFFFFF
_RLIMIT_STACK, _RLIMIT_CORE, _RLIMIT_NOFILE, _RLIMIT_AS = 3, 4, 7, 9
_RLIMITS: Final = 16
_GRND_ALL: Final = 7
_FUTEX_PRIVATE, _FUTEX_CLOCK = 128, 256
_FUTEX_WAIT, _FUTEX_WAKE, _FUTEX_REQUEUE, _FUTEX_CMP_REQUEUE = 0, 1, 3, 4
_FUTEX_WAIT_BITSET, _FUTEX_WAKE_BITSET = 9, 10
_UNAME: Final = ("Linux", "trapgate", "6.1.0", "#1", "i686", "(none)")


def exit_(process: Process, status: int) -> int:
    """exit(status); exit_group too: there is one thread."""
    from hypervisor.process.process import ProcessEnded, Reason

    raise ProcessEnded(Reason.EXIT, status & 0xFF)


def getpid(process: Process) -> int:
    """getpid(), gettid()."""
    return PROCESS_ID


def getppid(process: Process) -> int:
    """getppid()."""
    return _PARENT_ID


def getpgid(process: Process, target: int) -> int:
    """getpgid(pid), getsid(pid)."""
    if target not in (0, PROCESS_ID):
        raise CallError(Errno.ESRCH)
    return PROCESS_ID


def getuid(process: Process) -> int:
    """getuid(), geteuid(), getgid(), getegid(), with 16 or 32 bits."""
    return USER_ID


def getresuid(process: Process, real: int, effective: int, saved: int) -> int:
    """getresuid32(&real, &effective, &saved); getresgid32 too."""
    for address in (real, effective, saved):
        process.space.write_word(address, USER_ID)
    return 0


def setuid(process: Process, wanted: int) -> int:
    """setuid32(id), setgid32(id): to what it is already."""
    if wanted != USER_ID:
        raise CallError(Errno.EPERM)
    return 0


def getgroups(process: Process, count: int, address: int) -> int:
    """getgroups32(count, &groups): none but its own."""
    return 0


def uname(process: Process, address: int) -> int:
    """uname(&struct utsname)."""
    fields = b"".join(text.encode().ljust(65, b"\0") for text in _UNAME)
    process.space.write(address, fields)
    return 0


def sysinfo(process: Process, address: int) -> int:
    """sysinfo(&struct sysinfo)."""
    total = process.space.limit * 4096
    free = max(total - process.space.resident_pages * 4096, 0)
    seconds = process.clock.monotonic() // 1_000_000_000 & 0x7FFFFFFF
    words = (seconds, 0, 0, 0, total, free, 0, 0, 0, 0, 1, 0, 0, 0, 1)
    process.space.write(address, struct.pack("<10IHHIII8x", *words))
    return 0


# --- limits --------------------------------------------------------------------------------------
def _limit(process: Process, resource: int) -> tuple[int, int]:
    known = {
        _RLIMIT_STACK: (layout.STACK_BYTES, layout.STACK_BYTES),
        _RLIMIT_CORE: (0, 0),
        _RLIMIT_NOFILE: (DESCRIPTORS, DESCRIPTORS),
        _RLIMIT_AS: (_INFINITY, _INFINITY),
    }
    if resource >= _RLIMITS:
        raise CallError(Errno.EINVAL)
    return known.get(resource, (_INFINITY, _INFINITY))


def getrlimit(process: Process, resource: int, address: int) -> int:
    """ugetrlimit(resource, &limit); getrlimit too."""
    process.space.write(address, struct.pack("<2I", *_limit(process, resource)))
    return 0


def setrlimit(process: Process, resource: int, address: int) -> int:
    """setrlimit(resource, &limit): accepted where it lowers nothing that is kept here."""
    _limit(process, resource)
    process.space.read(address, 8)
    return 0


def prlimit64(process: Process, target: int, resource: int, new: int, old: int) -> int:
    """prlimit64(pid, resource, &new, &old)."""
    if target not in (0, PROCESS_ID):
        raise CallError(Errno.ESRCH)
    limits = _limit(process, resource)
    if new:
        process.space.read(new, 16)
    if old:
        wide = ((1 << 64) - 1 if limit == _INFINITY else limit for limit in limits)
        process.space.write(old, struct.pack("<2Q", *wide))
    return 0


def getrusage(process: Process, who: int, address: int) -> int:
    """getrusage(who, &usage)."""
    seconds, nanoseconds = divmod(process.clock.used(), 1_000_000_000)
    own = who != 0xFFFFFFFF  # RUSAGE_CHILDREN
    times = (seconds & 0x7FFFFFFF, nanoseconds // 1000, 0, 0) if own else (0, 0, 0, 0)
    faults = process.space.faults if own else 0
    resident = process.space.resident_pages * 4 if own else 0
    words = (*times, resident, 0, 0, 0, faults, *[0] * 9)
    process.space.write(address, struct.pack("<18I", *words))
    return 0


def getrandom(process: Process, address: int, size: int, flags: int) -> int:
    """getrandom(buffer, size, flags)."""
    if flags & ~_GRND_ALL:
        raise CallError(Errno.EINVAL)
    size = min(size, 1 << 20)
    process.space.check(address, size, write=True)
    process.space.write(address, process.randomness.take(size))
    return size


# --- threads -------------------------------------------------------------------------------------
def set_thread_area(process: Process, address: int) -> int:
    """set_thread_area(&struct user_desc): a descriptor for thread-local storage."""
    number, base, limit, flags = struct.unpack("<4I", process.space.read(address, 16))
    world = process.world
    first = layout.TLS_FIRST_INDEX
    indexes = range(first, first + layout.TLS_ENTRIES)
    if number == 0xFFFFFFFF:
        free = [i for i in indexes if not world.words[(layout.GDT_HPA + 8 * i) // 4 + 1]]
        if not free:
            raise CallError(Errno.ESRCH)
        number = free[0]
        process.space.write_word(address, number)
    if number not in indexes:
        raise CallError(Errno.EINVAL)
    is_empty = base == 0 and limit == 0 and flags & 0x7F == 0x28
    if is_empty or (base == 0 and limit == 0 and flags == 0):
        world.set_descriptor(8 * number, 0, 0)
    else:
        world.set_descriptor(8 * number, *_tls_descriptor(base, limit, flags))
    for segment in DATA_SEGMENTS:
        if world.selector(segment) >> 3 == number:
            world.load_segment(segment, world.selector(segment))
    return 0


def _tls_descriptor(base: int, limit: int, flags: int) -> tuple[int, int]:
    """struct user_desc as a descriptor: 32-bit data segments only.

    Bits of `flags`: seg_32bit, contents (2), read_exec_only, limit_in_pages, seg_not_present,
    useable.
    """
    if not flags & 1 or flags >> 1 & 3 > 1 or limit >> 20:
        raise CallError(Errno.EINVAL)
    attributes = ATTR_S | ATTR_DB | 3 << ATTR_DPL_SHIFT | 1
    if flags >> 1 & 1:
        attributes |= ATTR_EXPAND_DOWN
    if not flags & 8:
        attributes |= ATTR_WRITABLE
    if flags & 0x10:
        attributes |= ATTR_G
        limit = limit << 12 | 0xFFF
    if not flags & 0x20:
        attributes |= ATTR_P
    return pack(base, limit, attributes)


def get_thread_area(process: Process, address: int) -> int:
    """get_thread_area(&struct user_desc)."""
    number = process.space.read_word(address)
    first = layout.TLS_FIRST_INDEX
    if not first <= number < first + layout.TLS_ENTRIES:
        raise CallError(Errno.EINVAL)
    at = (layout.GDT_HPA + 8 * number) // 4
    low, high = process.world.words[at], process.world.words[at + 1]
    base = low >> 16 | (high & 0xFF) << 16 | high & 0xFF000000
    limit = low & 0xFFFF | high & 0xF0000
    if high == 0:
        flags = 0x28
    else:
        flags = high >> 22 & 1 | (high >> 10 & 1) << 1 | (not high >> 9 & 1) << 3
        flags |= (high >> 23 & 1) << 4 | (not high >> 15 & 1) << 5 | 0x40
    process.space.write(address, struct.pack("<4I", number, base, limit, flags))
    return 0


def set_tid_address(process: Process, address: int) -> int:
    """set_tid_address(&tid): nobody is there to see it cleared."""
    return PROCESS_ID


def set_robust_list(process: Process, address: int, size: int) -> int:
    """set_robust_list(&head, size)."""
    if size != 12:
        raise CallError(Errno.EINVAL)
    return 0


def _futex(process: Process, address: int, operation: int, value: int, deadline: int | None) -> int:
    command = operation & ~(_FUTEX_PRIVATE | _FUTEX_CLOCK)
    if command in (_FUTEX_WAIT, _FUTEX_WAIT_BITSET):
        if process.space.read_word(address) != value:
            raise CallError(Errno.EAGAIN)
        process.wait(lambda: False, deadline=deadline)  # nobody else is there to wake it
        raise CallError(Errno.ETIMEDOUT)
    if command in (_FUTEX_WAKE, _FUTEX_WAKE_BITSET, _FUTEX_REQUEUE, _FUTEX_CMP_REQUEUE):
        process.space.read_word(address)
        return 0
    raise CallError(Errno.ENOSYS)


def _futex_deadline(process: Process, operation: int, limit: int | None) -> int | None:
    if limit is None:
        return None
    if operation & ~(_FUTEX_PRIVATE | _FUTEX_CLOCK) == _FUTEX_WAIT:
        return process.clock.monotonic() + limit
    if operation & _FUTEX_CLOCK:
        return process.clock.monotonic() + max(limit - process.clock.calendar(), 0)
    return limit


def futex(process: Process, address: int, operation: int, value: int, limit: int) -> int:
    """futex(&word, operation, value, &duration): what one thread can do with it."""
    waits = operation & 15 in (_FUTEX_WAIT, _FUTEX_WAIT_BITSET)
    duration = read_timespec32(process, limit) if limit and waits else None
    return _futex(process, address, operation, value, _futex_deadline(process, operation, duration))


def futex64(process: Process, address: int, operation: int, value: int, limit: int) -> int:
    """futex_time64(&word, operation, value, &duration)."""
    waits = operation & 15 in (_FUTEX_WAIT, _FUTEX_WAIT_BITSET)
    duration = read_timespec64(process, limit) if limit and waits else None
    return _futex(process, address, operation, value, _futex_deadline(process, operation, duration))


def prctl(process: Process, option: int, first: int, _2: int, _3: int, _4: int) -> int:
    """prctl(option, …): the name of the thread."""
    if option == 15:  # PR_SET_NAME
        process.space.read_text(first, 4096)
        return 0
    raise CallError(Errno.EINVAL)


def wait4(process: Process, target: int, status: int, options: int, usage: int) -> int:
    """wait4(pid, …): there are no children."""
    raise CallError(Errno.ECHILD)


def waitpid(process: Process, target: int, status: int, options: int) -> int:
    """waitpid(pid, &status, options): there are no children."""
    raise CallError(Errno.ECHILD)


def sched_getaffinity(process: Process, target: int, size: int, address: int) -> int:
    """sched_getaffinity(pid, size, &mask): one processor."""
    if target not in (0, PROCESS_ID):
        raise CallError(Errno.ESRCH)
    if size < 4 or size & 3:
        raise CallError(Errno.EINVAL)
    process.space.write(address, (1).to_bytes(4, "little"))
    return 4
