"""The process in which instructions run on the host's own processor. Started by host_machine.py.

    python host_child.py FILE_DESCRIPTOR BYTES BASE ENTRIES

It maps the shared memory at linear address BASE, fills its local descriptor table, lets its parent
trace it, and stops. From then on the parent gives it registers, and it never runs Python again.
Descriptors are in user space's own format of modify_ldt(2), as hexadecimal bytes.
"""

import ctypes
import mmap
import os
import signal
import sys

LINUX_MODIFY_LDT = 154  # number of the system call on x86-64
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
    if libc.ptrace(TRACE_ME, 0, 0, 0) != 0:
        sys.exit(f"ptrace: {os.strerror(ctypes.get_errno())}")
    os.kill(os.getpid(), signal.SIGSTOP)


main(*map(int, sys.argv[1:4]), [bytes.fromhex(word) for word in sys.argv[4:]])
