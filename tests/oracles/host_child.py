"""The process in which instructions run on the host's own processor. Started by host_machine.py.

    python host_child.py FILE_DESCRIPTOR BYTES BASE ENTRIES

It maps the shared memory at linear address BASE, fills its local descriptor table, has faults
reported on a stack at the end of the memory, lets its parent trace it, and stops. From then on the
parent gives it registers, and it never runs Python again. Descriptors are in user space's own
format of modify_ldt(2), as hexadecimal bytes.
"""

import ctypes
import mmap
import os
import signal
import struct
import sys

# Numbers of system calls on x86-64.
LINUX_RT_SIGACTION, LINUX_SIGALTSTACK, LINUX_MODIFY_LDT = 13, 131, 154
# The frame of a signal goes to a stack of its own; the handler itself never runs.
SIGNAL_STACK_BYTES = 0x10000
ON_STACK, WITH_INFO, NOT_DEFERRED, RESTORER = 0x08000000, 4, 0x40000000, 0x04000000
FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
WRITE_ENTRY = 0x11
MAP_FIXED = 0x10
TRACE_ME = 0


def main(descriptor: int, size: int, base: int, entries: list[bytes]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_size_t
    libc.mmap.argtypes = [ctypes.c_size_t, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    rights = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    if libc.mmap(base, size, rights, mmap.MAP_SHARED | MAP_FIXED, descriptor, 0) != base:
        sys.exit("the shared memory cannot be mapped executable")
    for entry in entries:
        if libc.syscall(LINUX_MODIFY_LDT, WRITE_ENTRY, entry, len(entry)) != 0:
            sys.exit(f"modify_ldt: {os.strerror(ctypes.get_errno())}")
    stack = base + size - SIGNAL_STACK_BYTES
    libc.syscall(LINUX_SIGALTSTACK, struct.pack("<QQQ", stack, 0, SIGNAL_STACK_BYTES), 0)
    flags = ON_STACK | WITH_INFO | NOT_DEFERRED | RESTORER
    for number in FAULTS:
        action = struct.pack("<4Q", base, flags, base, 0)
        libc.syscall(LINUX_RT_SIGACTION, int(number), action, 0, 8)
    if libc.ptrace(TRACE_ME, 0, 0, 0) != 0:
        sys.exit(f"ptrace: {os.strerror(ctypes.get_errno())}")
    os.kill(os.getpid(), signal.SIGSTOP)


main(*map(int, sys.argv[1:4]), [bytes.fromhex(word) for word in sys.argv[4:]])
