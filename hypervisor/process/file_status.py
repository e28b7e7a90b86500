"""What stat() and its relatives say of a file, in the layouts of the i386 Linux ABI.

Times of access and of status changes are given as those of the last modification, and the host's
device numbers are not shown: two runs on the same files see the same.

Source: the i386 Linux ABI: struct stat, struct stat64, struct statx.
"""

from __future__ import annotations

import os
import struct
from typing import Final, NamedTuple

from hypervisor.process.program import USER_ID

S_IFIFO: Final = 0o010000
S_IFCHR: Final = 0o020000
S_IFDIR: Final = 0o040000
S_IFREG: Final = 0o100000
S_IFMT: Final = 0o170000

_OLD: Final = struct.Struct("<2I4H4I6I2I")
_STAT64: Final = struct.Struct("<Q4x5IQ4xqIQ6IQ")
_STATX_BYTES: Final = 256
_STATX_BASIC: Final = 0x7FF
_BLOCK: Final = 4096
_M32: Final = 0xFFFFFFFF
_DEVICE: Final = 1


class FileStatus(NamedTuple):
    """A file as a program sees it."""

    mode: int
    inode: int
    links: int = 1
    owner: int = USER_ID
    group: int = USER_ID
    device: int = 0
    size: int = 0
    modified_ns: int = 0

    @property
    def blocks(self) -> int:
        """In units of 512 bytes."""
        return (self.size + 511) // 512

    @property
    def kind(self) -> int:
        """The file type as directory entries have it."""
        return (self.mode & S_IFMT) >> 12


def of_host(found: os.stat_result) -> FileStatus:
    """The status of a host file; the user who runs the program is its user."""
    return FileStatus(
        found.st_mode,
        found.st_ino & 0xFFFFFFFFFFFFFFFF,
        found.st_nlink,
        USER_ID if found.st_uid == os.getuid() else found.st_uid & _M32,
        USER_ID if found.st_gid == os.getgid() else found.st_gid & _M32,
        0,
        found.st_size,
        found.st_mtime_ns,
    )


def _times(status: FileStatus) -> tuple[int, int]:
    seconds, nanoseconds = divmod(status.modified_ns, 1_000_000_000)
    return seconds, nanoseconds


def stat_old(status: FileStatus) -> bytes:
    """struct stat of calls 106 to 108."""
    seconds, nanoseconds = _times(status)
    return _OLD.pack(
        _DEVICE,
        status.inode & _M32,
        status.mode & 0xFFFF,
        min(status.links, 0xFFFF),
        status.owner & 0xFFFF,
        status.group & 0xFFFF,
        status.device,
        status.size & _M32,
        _BLOCK,
        status.blocks & _M32,
        *(seconds & _M32, nanoseconds) * 3,
        0,
        0,
    )


def stat64(status: FileStatus) -> bytes:
    """struct stat64 of calls 195 to 197 and 300."""
    seconds, nanoseconds = _times(status)
    return _STAT64.pack(
        _DEVICE,
        status.inode & _M32,
        status.mode,
        status.links & _M32,
        status.owner,
        status.group,
        status.device,
        status.size,
        _BLOCK,
        status.blocks,
        *(seconds & _M32, nanoseconds) * 3,
        status.inode,
    )


def statx(status: FileStatus) -> bytes:
    """struct statx of call 383."""
    seconds, nanoseconds = _times(status)
    head = struct.pack("<2IQ", _STATX_BASIC, _BLOCK, 0)
    owner = struct.pack(
        "<3IH2x", status.links & _M32, status.owner, status.group, status.mode & 0xFFFF
    )
    sizes = struct.pack("<4Q", status.inode, status.size, status.blocks, 0)
    moment = struct.pack("<qI4x", seconds, nanoseconds)
    times = moment + bytes(16) + moment + moment  # accessed, born, changed, modified
    devices = struct.pack("<4I", status.device >> 8, status.device & 0xFF, 0, _DEVICE)
    return (head + owner + sizes + times + devices).ljust(_STATX_BYTES, b"\0")
