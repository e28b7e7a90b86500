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
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

BASE = 0x1000_0000  # linear, of the shared megabyte in the child
CHILD = Path(__file__).with_name("host_child.py")

CONTINUE, SINGLE_STEP, GET_REGISTERS, SET_REGISTERS = 7, 9, 12, 13
SET_OPTIONS = 0x4200
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
# ucontext_t of x86-64: where the saved registers begin, and which of them are no registers.
SAVED_REGISTERS, SAVED_ERROR, SAVED_VECTOR = 40, 19, 20
INTERRUPT_ON = 0x200


class HostUnavailableError(RuntimeError):
    """This host cannot run instructions for us; says why."""


@dataclass(frozen=True)
class LocalSegment:
    """A descriptor of privilege level 3, as Linux lets a process put one into its own table.

    Attributes:
        limit: in bytes, or in pages when `pages` is set.
        contents: 0 data, 1 data that expands down, 2 code.
        big: 32-bit.
        protected: data may not be written, code may not be read.
    """

    base: int = 0
    limit: int = 0xFFFFF
    contents: int = 0
    big: bool = True
    protected: bool = False
    pages: bool = True
    present: bool = True

    def for_linux(self, number: int) -> bytes:
        """The format of modify_ldt(2); bases are moved into the shared memory."""
        bits = int(self.big) | self.contents << 1 | int(self.protected) << 3
        bits |= int(self.pages) << 4 | int(not self.present) << 5 | 1 << 6
        return struct.pack("<4I", number, BASE + self.base & 0xFFFFFFFF, self.limit, bits)

    def descriptor(self) -> bytes:
        """The same as eight bytes of a descriptor table, with the accessed bit that Linux sets."""
        kind = 1 | int(not self.protected) << 1 | self.contents << 2
        access = kind | 0x70 | int(self.present) << 7
        flags = int(self.pages) << 7 | int(self.big) << 6 | 1 << 4 | self.limit >> 16
        low, high = self.base & 0xFFFFFF, self.base >> 24 & 0xFF
        words = struct.pack("<HI", self.limit & 0xFFFF, low | access << 24)
        return words + bytes([flags, high])


class HostMachine:
    """One child process.

    Attributes:
        memory: the shared RAM as a numpy array; offset 0 is the guest's address 0.
        selectors: of ES CS SS DS FS GS.
        segments: what is in the local descriptor table from entry 1 on.
        fault, error_code: vector and error code that ended the last run, or None.
        count: instructions given to the host's processor.
    """

    def __init__(
        self,
        ram_bytes: int,
        bases: Sequence[int],
        big: bool,
        others: Sequence[LocalSegment] = (),
    ) -> None:
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
        self.segments = [
            LocalSegment(base, contents=2 if number == 1 else 0, big=big)
            for number, base in enumerate(bases)
        ]
        self.segments += others
        entries = [
            segment.for_linux(number).hex() for number, segment in enumerate(self.segments, 1)
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
        self._trace(SET_OPTIONS, 0, EXIT_KILL)
        self._trace(GET_REGISTERS, 0, self._registers.ctypes.data)
        self._start = self._registers.copy()
        self._start[SEGMENTS] = self.selectors
        self._start[[PLACE["fs_base"], PLACE["gs_base"]]] = [
            BASE + base & 0xFFFFFFFF for base in bases[4:]
        ]
        self._start[PLACE["orig_rax"]] = NO_SYSTEM_CALL
        self.fault: int | None = None
        self.error_code = 0
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
            self.fault = self._read_fault(number)
        return self.fault

    def _read_fault(self, number: int) -> int:
        """Vector and error code, from the frame that Linux makes for the signal's handler."""
        registers = np.empty_like(self._registers)
        self._trace(SINGLE_STEP, 0, number)
        os.waitpid(self._child.pid, 0)
        self._trace(GET_REGISTERS, 0, registers.ctypes.data)
        frame = int(registers[PLACE["rdx"]]) - BASE + SAVED_REGISTERS
        words = np.frombuffer(self._buffer, np.uint64, 23, frame)
        self.error_code = int(words[SAVED_ERROR])
        return int(words[SAVED_VECTOR])

    def registers(self) -> tuple[list[int], int, int]:
        """General registers, EIP, EFLAGS."""
        values = self._registers
        general = [int(value) & 0xFFFFFFFF for value in values[GENERAL]]
        return general, int(values[PLACE["rip"]]), int(values[PLACE["eflags"]])

    def loaded_selectors(self) -> list[int]:
        """ES CS SS DS FS GS after the last run."""
        return [int(value) & 0xFFFF for value in self._registers[SEGMENTS]]


@cache
def host_name() -> str:
    """The name the host's processor gives itself, for reports."""
    lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    named = {key.strip(): value.strip() for key, value in fields.items()}
    return f"{named.get('model name', 'x86')}, family {named.get('cpu family', '?')}"
