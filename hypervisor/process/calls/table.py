"""Which number is which system call, what its arguments are, and who serves it.

Kinds of arguments, for --trace (hypervisor.process.trace):

    fd path size hex int address signal mode open prot map      what they say
    in       a buffer to read; its size is the next argument
    out      a buffer that is filled; as many bytes as the result says
    text     a string

A call that takes a 64-bit number has two words for it.

Source: the i386 Linux ABI.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from hypervisor.process.calls import files, identity, memory, paths, signals, time, waiting
from hypervisor.process.calls.names import CALL_NAMES

Handler = Callable[..., int]


class Call(NamedTuple):
    """One system call.

    Attributes:
        kinds: of its arguments, a word for each.
        handler: called with the process and the arguments.
    """

    number: int
    name: str
    kinds: tuple[str, ...]
    handler: Handler


_CALLS: Final[tuple[tuple[int, str, Handler], ...]] = (
    # Files
    (3, "fd out size", files.read),
    (4, "fd in size", files.write),
    (5, "path open mode", files.open_),
    (6, "fd", files.close),
    (8, "path mode", files.creat),
    (19, "fd int int", files.lseek),
    (41, "fd", files.dup),
    (42, "address", files.pipe),
    (54, "fd hex address", files.ioctl),
    (55, "fd int hex", files.fcntl),
    (63, "fd fd", files.dup2),
    (93, "fd size", files.ftruncate),
    (118, "fd", files.fsync),
    (140, "fd hex hex address int", files.llseek),
    (145, "fd address int", files.readv),
    (146, "fd address int", files.writev),
    (148, "fd", files.fsync),
    (180, "fd out size hex hex", files.pread64),
    (181, "fd in size hex hex", files.pwrite64),
    (194, "fd hex hex", files.ftruncate64),
    (221, "fd int hex", files.fcntl),
    (295, "fd path open mode", files.openat),
    (330, "fd fd open", files.dup3),
    (331, "address open", files.pipe2),
    # Names
    (10, "path", paths.unlink),
    (12, "path", paths.chdir),
    (33, "path int", paths.access),
    (38, "path path", paths.rename),
    (39, "path mode", paths.mkdir),
    (40, "path", paths.rmdir),
    (60, "mode", paths.umask),
    (85, "path out size", paths.readlink),
    (92, "path size", paths.truncate),
    (106, "path address", paths.stat_old),
    (107, "path address", paths.lstat_old),
    (108, "fd address", paths.fstat_old),
    (133, "fd", paths.fchdir),
    (141, "fd address size", paths.getdents),
    (183, "out size", paths.getcwd),
    (193, "path hex hex", paths.truncate64),
    (195, "path address", paths.stat64),
    (196, "path address", paths.lstat64),
    (197, "fd address", paths.fstat64),
    (220, "fd address size", paths.getdents64),
    (296, "fd path mode", paths.mkdirat),
    (300, "fd path address hex", paths.fstatat64),
    (301, "fd path hex", paths.unlinkat),
    (302, "fd path fd path", paths.renameat),
    (305, "fd path out size", paths.readlinkat),
    (307, "fd path int", paths.faccessat),
    (353, "fd path fd path hex", paths.renameat2),
    (383, "fd path hex hex address", paths.statx),
    (439, "fd path int", paths.faccessat),
    # Memory
    (45, "address", memory.brk),
    (90, "address", memory.mmap),
    (91, "address size", memory.munmap),
    (125, "address size prot", memory.mprotect),
    (144, "address size hex", memory.msync),
    (150, "address size", memory.mlock),
    (151, "address size", memory.mlock),
    (163, "address size size hex address", memory.mremap),
    (192, "address size prot map fd hex", memory.mmap2),
    (219, "address size int", memory.madvise),
    # Time
    (13, "address", time.time),
    (27, "int", time.alarm),
    (43, "address", time.times),
    (78, "address address", time.gettimeofday),
    (104, "int address address", time.setitimer),
    (105, "int address", time.getitimer),
    (158, "", time.sched_yield),
    (162, "address address", time.nanosleep),
    (265, "int address", time.clock_gettime),
    (266, "int address", time.clock_getres),
    (267, "int hex address address", time.clock_nanosleep),
    (403, "int address", time.clock_gettime64),
    (406, "int address", time.clock_getres64),
    (407, "int hex address address", time.clock_nanosleep64),
    # Signals
    (29, "", signals.pause),
    (37, "int signal", signals.kill),
    (48, "signal address", signals.signal),
    (67, "signal address address", signals.sigaction),
    (72, "hex hex hex", signals.sigsuspend),
    (119, "", signals.sigreturn),
    (126, "int address address", signals.sigprocmask),
    (173, "", signals.rt_sigreturn),
    (174, "signal address address size", signals.rt_sigaction),
    (175, "int address address size", signals.rt_sigprocmask),
    (176, "address size", signals.rt_sigpending),
    (177, "address address address size", signals.rt_sigtimedwait),
    (179, "address size", signals.rt_sigsuspend),
    (186, "address address", signals.sigaltstack),
    (238, "int signal", signals.tkill),
    (270, "int int signal", signals.tgkill),
    (421, "address address address size", signals.rt_sigtimedwait64),
    # Waiting
    (82, "address", waiting.select),
    (142, "int address address address address", waiting.newselect),
    (168, "address int int", waiting.poll),
    (308, "int address address address address address", waiting.pselect6),
    (309, "address int address address size", waiting.ppoll),
    (413, "int address address address address address", waiting.pselect6_64),
    (414, "address int address address size", waiting.ppoll64),
    # The process and the system
    (1, "int", identity.exit_),
    (7, "int address hex", identity.waitpid),
    (20, "", identity.getpid),
    (24, "", identity.getuid),
    (47, "", identity.getuid),
    (49, "", identity.getuid),
    (50, "", identity.getuid),
    (64, "", identity.getppid),
    (65, "", identity.getpid),
    (75, "int address", identity.setrlimit),
    (76, "int address", identity.getrlimit),
    (77, "int address", identity.getrusage),
    (80, "int address", identity.getgroups),
    (114, "int address hex address", identity.wait4),
    (116, "address", identity.sysinfo),
    (122, "address", identity.uname),
    (132, "int", identity.getpgid),
    (147, "int", identity.getpgid),
    (172, "int hex hex hex hex", identity.prctl),
    (191, "int address", identity.getrlimit),
    (199, "", identity.getuid),
    (200, "", identity.getuid),
    (201, "", identity.getuid),
    (202, "", identity.getuid),
    (205, "int address", identity.getgroups),
    (209, "address address address", identity.getresuid),
    (211, "address address address", identity.getresuid),
    (213, "int", identity.setuid),
    (214, "int", identity.setuid),
    (224, "", identity.getpid),
    (240, "address hex hex address", identity.futex),
    (242, "int size address", identity.sched_getaffinity),
    (243, "address", identity.set_thread_area),
    (244, "address", identity.get_thread_area),
    (252, "int", identity.exit_),
    (258, "address", identity.set_tid_address),
    (311, "address size", identity.set_robust_list),
    (340, "int int address address", identity.prlimit64),
    (355, "out size hex", identity.getrandom),
    (422, "address hex hex address", identity.futex64),
)

CALLS: Final[dict[int, Call]] = {
    number: Call(number, CALL_NAMES[number], tuple(kinds.split()), handler)
    for number, kinds, handler in _CALLS
}


def unknown_name(number: int) -> str:
    """What to call a system call that is not there."""
    return CALL_NAMES.get(number, f"call {number}")
