"""Error numbers as a Linux program on i386 knows them, and how a system call fails.

Hosts number their errors differently; names are what is carried over.

Source: POSIX.1-2017, <errno.h>; the numbers are those of the i386 Linux ABI.
"""

from __future__ import annotations

import errno
from enum import IntEnum


class Errno(IntEnum):
    """The numbers a system call can fail with."""

    EPERM = 1
    ENOENT = 2
    ESRCH = 3
    EINTR = 4
    EIO = 5
    ENXIO = 6
    E2BIG = 7
    ENOEXEC = 8
    EBADF = 9
    ECHILD = 10
    EAGAIN = 11
    ENOMEM = 12
    EACCES = 13
    EFAULT = 14
    EBUSY = 16
    EEXIST = 17
    EXDEV = 18
    ENODEV = 19
    ENOTDIR = 20
    EISDIR = 21
    EINVAL = 22
    ENFILE = 23
    EMFILE = 24
    ENOTTY = 25
    ETXTBSY = 26
    EFBIG = 27
    ENOSPC = 28
    ESPIPE = 29
    EROFS = 30
    EMLINK = 31
    EPIPE = 32
    EDOM = 33
    ERANGE = 34
    EDEADLK = 35
    ENAMETOOLONG = 36
    ENOSYS = 38
    ENOTEMPTY = 39
    ELOOP = 40
    EOVERFLOW = 75
    EOPNOTSUPP = 95
    ETIMEDOUT = 110
    EDQUOT = 122


class CallError(Exception):
    """A system call fails with an error number."""

    def __init__(self, number: Errno) -> None:
        super().__init__(number.name)
        self.number = number


class Interrupted(Exception):
    """A system call that waits has been interrupted by a signal; it may be begun again."""


def of_host(error: OSError) -> CallError:
    """The failure of a host call, by the same name; EIO if the program's ABI has none for it."""
    name = errno.errorcode.get(error.errno or 0, "EIO")
    if name in ("ENOTSUP", "EOPNOTSUPP"):
        name = "EOPNOTSUPP"
    elif name == "EWOULDBLOCK":
        name = "EAGAIN"
    return CallError(Errno[name] if name in Errno.__members__ else Errno.EIO)
