"""The host's own processor as an oracle: user-mode instructions, executed natively.

Where the host is an x86-64 Linux that lets processes trace their children, a child process runs one
instruction at a time in 32- or 16-bit segments of its local descriptor table. All segments have
bases in a megabyte that parent and child share, so that the guest's offsets are ours; registers are
given and taken through ptrace. Privilege level 3, paging as the host has it.

Source: ptrace(2), modify_ldt(2); SDM vol. 3A, "Compatibility Mode" (IA-32e mode operation).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import signal
import struct
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from isa import vectors

BASE = 0x1000_0000  # linear, of the shared megabyte in the child
CHILD = Path(__file__).with_name("host_child.py")

CONTINUE, SINGLE_STEP, GET_REGISTERS, SET_REGISTERS = 7, 9, 12, 13
SET_OPTIONS, GET_SIGNAL = 0x4200, 0x4202
EXIT_KILL = 0x100000
NO_SYSTEM_CALL = (1 << 64) - 1

# struct user_regs_struct of x86-64, by place.
_NAMES = (
    "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss "
    "fs_base gs_base ds es fs gs"
)
PLACE = {name: place for place, name in enumerate(_NAMES.split())}
GENERAL = [PLACE[name] for name in ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi")]
SEGMENTS = [PLACE[name] for name in ("es", "cs", "ss", "ds", "fs", "gs")]
SIGNAL_WORDS = 32  # of siginfo_t, 32 bits each: number, error, code, padding, address ...
SIGNAL_FROM_KERNEL = 128  # si_code of a fault without an address
MISALIGNED = 1  # si_code of an alignment check
INTERRUPT_ON = 0x200


class HostUnavailableError(RuntimeError):
    """This host cannot run instructions for us; says why."""


def ldt_entry(number: int, base: int, code: bool, big: bool) -> bytes:
    """A present 4-GByte segment of privilege level 3 in the format of modify_ldt."""
    contents = 2 if code else 0
    bits = int(big) | contents << 1 | 1 << 4 | 1 << 6  # limit in pages, usable
    return struct.pack("<4I", number, base & 0xFFFFFFFF, 0xFFFFF, bits)


class HostMachine:
    """One child process.

    Attributes:
        memory: the shared RAM as a numpy array; offset 0 is the guest's address 0.
        selectors: of ES CS SS DS FS GS.
        count: instructions given to the host's processor.
    """

    def __init__(self, ram_bytes: int, bases: Sequence[int], big: bool) -> None:
        if sys.platform != "linux" or platform.machine() not in ("x86_64", "AMD64"):
            raise HostUnavailableError(f"the host is {sys.platform} on {platform.machine()}")
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.ptrace.argtypes = [
            ctypes.c_long,
            ctypes.c_long,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        self._libc.ptrace.restype = ctypes.c_long
        descriptor = os.memfd_create("guest memory")
        os.ftruncate(descriptor, ram_bytes)
        self._buffer = mmap.mmap(descriptor, ram_bytes)
        self.memory = np.frombuffer(self._buffer, np.uint8)
        self.selectors = [8 * (number + 1) | 7 for number in range(6)]
        entries = [
            ldt_entry(number + 1, BASE + base, number == 1, big).hex()
            for number, base in enumerate(bases)
        ]
        command = [
            sys.executable,
            "-S",
            "-E",
            str(CHILD),
            str(descriptor),
            str(ram_bytes),
            str(BASE),
        ]
        self._child = subprocess.Popen(
            [*command, *entries], pass_fds=[descriptor], stderr=subprocess.PIPE, text=True
        )
        os.close(descriptor)
        self._await_stop()
        self._registers = np.zeros(len(PLACE), np.uint64)
        self._signal = np.zeros(SIGNAL_WORDS, np.int32)
        self._trace(SET_OPTIONS, 0, EXIT_KILL)
        self._trace(GET_REGISTERS, 0, self._registers.ctypes.data)
        self._start = self._registers.copy()
        self._start[SEGMENTS] = self.selectors
        self._start[[PLACE["fs_base"], PLACE["gs_base"]]] = [
            BASE + base & 0xFFFFFFFF for base in bases[4:]
        ]
        self._start[PLACE["orig_rax"]] = NO_SYSTEM_CALL
        self.fault: int | None = None
        self.count = 0

    def _await_stop(self) -> None:
        _, status = os.waitpid(self._child.pid, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            return
        assert self._child.stderr is not None
        reason = self._child.stderr.read().strip().splitlines()
        self._child.returncode = os.waitstatus_to_exitcode(status)
        self._child.stderr.close()
        raise HostUnavailableError(reason[-1] if reason else "the child process ended")

    def close(self) -> None:
        """End the child process."""
        self._child.kill()
        self._child.wait()
        assert self._child.stderr is not None
        self._child.stderr.close()

    def _trace(self, request: int, address: int, data: int) -> None:
        if self._libc.ptrace(request, self._child.pid, address, data) == -1:
            raise HostUnavailableError(f"ptrace: {os.strerror(ctypes.get_errno())}")

    def write(self, address: int, data: bytes) -> None:
        self.memory[address : address + len(data)] = np.frombuffer(data, np.uint8)

    def forget_code(self, address: int | None = None) -> None:
        """Nothing to do: the processor sees its own stores."""

    def set_registers(self, general: Sequence[int], eflags: int) -> None:
        """Give the state before an instruction; the interrupt flag is always set here."""
        registers = self._registers
        registers[:] = self._start
        registers[GENERAL] = general
        registers[PLACE["eflags"]] = eflags | INTERRUPT_ON

    def run(self, eip: int, step: bool) -> int | None:
        """Execute one instruction, or up to an INT3; the vector of a fault.

        After the INT3, EIP is its own address.
        """
        registers = self._registers
        registers[PLACE["rip"]] = eip
        self._trace(SET_REGISTERS, 0, registers.ctypes.data)
        self._trace(SINGLE_STEP if step else CONTINUE, 0, 0)
        _, status = os.waitpid(self._child.pid, 0)
        self.count += 1
        if not os.WIFSTOPPED(status):
            raise HostUnavailableError("the child process ended while it ran an instruction")
        self._trace(GET_REGISTERS, 0, registers.ctypes.data)
        number = os.WSTOPSIG(status)
        if number == signal.SIGTRAP:
            if not step:
                registers[PLACE["rip"]] -= np.uint64(1)
            self.fault = None
        else:
            self._trace(GET_SIGNAL, 0, self._signal.ctypes.data)
            self.fault = self._vector(number)
        return self.fault

    def _vector(self, number: int) -> int:
        """The exception that became a signal; #BR and #OF come as general faults."""
        if number == signal.SIGSEGV:
            return vectors.GP if self._signal[2] == SIGNAL_FROM_KERNEL else vectors.PF
        if number == signal.SIGBUS and self._signal[2] == MISALIGNED:
            return vectors.AC
        return {signal.SIGFPE: vectors.DE, signal.SIGILL: vectors.UD, signal.SIGBUS: vectors.SS}[
            signal.Signals(number)
        ]

    def registers(self) -> tuple[list[int], int, int]:
        """General registers, EIP, EFLAGS."""
        values = self._registers
        general = [int(value) & 0xFFFFFFFF for value in values[GENERAL]]
        return general, int(values[PLACE["rip"]]), int(values[PLACE["eflags"]])


@cache
def host_name() -> str:
    """The name the host's processor gives itself, for reports."""
    lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    named = {key.strip(): value.strip() for key, value in fields.items()}
    return f"{named.get('model name', 'x86')}, family {named.get('cpu family', '?')}"
