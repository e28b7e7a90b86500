"""The process monitor: runs one program, serves its system calls, turns faults into signals.

This is a process-level virtual machine in the sense of Smith and Nair: its interface is not a
machine's but an operating system's. The program's instructions are executed by the same processor
as everywhere else, in ring 3, under page tables that the monitor keeps; what it asks of the system
comes in by the gate of INT 80h, and is done by software on its behalf, below the root only.

Source: Smith & Nair, "Virtual Machines" (2005), chapter 3, "Process Virtual Machines"; the i386
Linux ABI for calls and signals.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hypervisor.process import layout
from hypervisor.process.address_space import AddressSpace, BadAccess, OutOfMemory
from hypervisor.process.calls.table import CALLS, Call, unknown_name
from hypervisor.process.clock import Clock, RealClock
from hypervisor.process.coprocessor import INITIAL_CONTROL, answer_for_coprocessor
from hypervisor.process.descriptors import Descriptors
from hypervisor.process.errors import CallError, Errno, Interrupted
from hypervisor.process.open_files import OpenFile, Randomness
from hypervisor.process.path_tree import Names, PathTree
from hypervisor.process.program import Program, build_stack, place
from hypervisor.process.signal_frames import FrameError, enter_handler
from hypervisor.process.signals import (
    SA_RESTART,
    SI_KERNEL,
    SIG_DFL,
    SIG_IGN,
    SIGALRM,
    SIGBUS,
    SIGFPE,
    SIGILL,
    SIGINT,
    SIGSEGV,
    SIGTRAP,
    LastFault,
    Pending,
    SignalState,
    signal_name,
)
from hypervisor.process.world import World
from isa import state, vectors
from isa.costs import Costs
from isa.cpu_models import CpuModel
from isa.registers import EAX, EBP, EBX, ECX, EDI, EDX, ESI

MEMORY_BYTES: Final = 256 << 20
_TABLES_BYTES: Final = 4 << 20  # page tables of the whole address space
_M32: Final = 0xFFFFFFFF
_SLICE: Final = 10_000_000  # instructions between two looks at the host
_ARGUMENTS: Final = tuple(state.GPR + r for r in (EBX, ECX, EDX, ESI, EDI, EBP))
_EAX: Final = state.GPR + EAX
_WAIT_SECONDS: Final = 0.05
_INT_BYTES: Final = 2

# Exception -> signal, si_code, and whether si_addr is the instruction.
_SIGNAL_OF: Final = {
    vectors.DE: (SIGFPE, 1, True),  # FPE_INTDIV
    vectors.DB: (SIGTRAP, 2, True),  # TRAP_TRACE
    vectors.BP: (SIGTRAP, SI_KERNEL, False),
    vectors.OF: (SIGSEGV, SI_KERNEL, False),
    vectors.BR: (SIGSEGV, SI_KERNEL, False),
    vectors.UD: (SIGILL, 2, True),  # ILL_ILLOPN
    vectors.NM: (SIGILL, 8, True),  # ILL_BADSTK: what comes nearest to "no coprocessor"
    vectors.TS: (SIGSEGV, SI_KERNEL, False),
    vectors.NP: (SIGBUS, SI_KERNEL, False),
    vectors.SS: (SIGBUS, SI_KERNEL, False),
    vectors.GP: (SIGSEGV, SI_KERNEL, False),
    vectors.AC: (SIGBUS, 1, True),  # BUS_ADRALN
}


class Reason(StrEnum):
    """Why a process is over."""

    EXIT = "exit"
    SIGNAL = "signal"
    BUDGET = "budget"
    TIMEOUT = "timeout"
    DEADLOCK = "deadlock"
    MEMORY = "memory"


@dataclass(frozen=True)
class Ending:
    """How a process ended.

    Attributes:
        status: exit status, or the number of the signal.
        detail: one line, empty after a normal exit.
        eip: where it was.
    """

    reason: Reason
    status: int
    detail: str
    eip: int


class ProcessEnded(Exception):
    """The process is over."""

    def __init__(self, reason: Reason, status: int, detail: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.status = status
        self.detail = detail


Tracer = Callable[["Process", Call, tuple[int, ...], int | None], None]


class Process:
    """One program in its own address space, with everything the system keeps for it."""

    def __init__(
        self,
        program: Program,
        tree: PathTree,
        streams: tuple[OpenFile, OpenFile, OpenFile],
        *,
        arguments: list[bytes] | None = None,
        environment: list[bytes] | None = None,
        memory_bytes: int = MEMORY_BYTES,
        is_realtime: bool = False,
        is_interactive: bool = False,
        costs: Costs | None = None,
        model: CpuModel | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """Load a program. Raises TrapgateError if it cannot be loaded.

        Args:
            streams: standard input, output, error.
            is_realtime: time and randomness are the host's.
            is_interactive: somebody is there who can end a wait.
            tracer: called after every system call; the result is None if it does not return.
        """
        self.program = program
        self.world = World(memory_bytes + _TABLES_BYTES, costs, model)
        self.space = AddressSpace(self.world, memory_bytes)
        self.placement = place(self.space, program)
        features = int(self.world.cpu[state.FEATURES]) & _M32
        self.arguments = arguments if arguments is not None else [program.name.encode()]
        stack = build_stack(
            self.space, program, self.placement, self.arguments, environment or [], features
        )
        self.world.start(self.placement.entry, stack)
        self.heap_end = self.placement.heap
        self.tree = tree
        self.cwd: Names = ()
        self.umask = 0o022
        self.streams = streams
        self.files = Descriptors(streams)
        self.signals = SignalState()
        self.clock = (RealClock if is_realtime else Clock)(lambda: self.world.retired)
        self.randomness = Randomness(is_real=is_realtime)
        self.is_interactive = is_interactive
        self.alarm_at: int | None = None
        self.alarm_interval = 0
        self.coprocessor_control = INITIAL_CONTROL
        self.calls: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.delivered: Counter[str] = Counter()
        self._tracer = tracer
        self._interrupts = 0
        self._budget: int | None = None
        self._give_up_at: float | None = None
        self._restartable: int | None = None
        self._fault = ""

    # --- running -------------------------------------------------------------------------------

    def run(self, budget: int | None = None, timeout_s: float | None = None) -> Ending:
        """Run until the process ends, or until a limit: instructions in all, or seconds."""
        self._budget = budget
        self._give_up_at = None if timeout_s is None else time.monotonic() + timeout_s
        world = self.world
        try:
            while True:
                self._before_program()
                vector = world.run(self._next_look(), self._must_look)
                if world.returned_badly:
                    self._raise_fault(vectors.GP)
                elif vector == layout.SYSTEM_CALL_VECTOR:
                    self._system_call()
                elif vector == vectors.PF:
                    self._page_fault()
                elif vector != layout.COUNTER_VECTOR:
                    self._raise_fault(vector)
        except ProcessEnded as end:
            return Ending(end.reason, end.status, end.detail, world.eip)
        except OutOfMemory:
            detail = f"out of memory: all {self.space.limit >> 8} MiB are in use; -m gives more"
            return Ending(Reason.MEMORY, 9, detail, world.eip)

    def close(self) -> None:
        """Bring shared mappings back to their files and close everything."""
        self.space.write_back(0, layout.USER_END)
        self.files.close_all()

    def interrupt(self) -> None:
        """Ctrl-C: SIGINT for the program, soon. May be called from a signal handler."""
        self._interrupts += 1

    def _next_look(self) -> int:
        retired = self.world.retired
        until = retired + _SLICE
        if self._budget is not None:
            until = min(until, self._budget)
        if self.alarm_at is not None:
            until = min(until, retired + self.clock.instructions_until(self.alarm_at))
        return until

    def _must_look(self) -> bool:
        return self._interrupts > 0 or self._is_overdue()

    def _is_overdue(self) -> bool:
        return self._give_up_at is not None and time.monotonic() >= self._give_up_at

    def look_outside(self) -> None:
        """Timers, Ctrl-C and limits: signals become pending, or the process ends."""
        if self.alarm_at is not None and self.clock.monotonic() >= self.alarm_at:
            self._ring()
        if self._interrupts:
            self._interrupts = 0
            self.signals.post(Pending(SIGINT))
        if self._budget is not None and self.world.retired >= self._budget:
            raise ProcessEnded(Reason.BUDGET, 0, f"budget of {self._budget:,} instructions used up")
        if self._is_overdue():
            raise ProcessEnded(Reason.TIMEOUT, 0, "timeout is over")

    def _ring(self) -> None:
        self.signals.post(Pending(SIGALRM))
        if self.alarm_interval and self.alarm_at is not None:
            missed = (self.clock.monotonic() - self.alarm_at) // self.alarm_interval
            self.alarm_at += (missed + 1) * self.alarm_interval
        else:
            self.alarm_at = None

    # --- signals -------------------------------------------------------------------------------

    def _before_program(self) -> None:
        """What is due before the program goes on."""
        self.look_outside()
        signals = self.signals
        while signals.has_deliverable():
            pending = signals.take()
            if pending is None:
                break
            self._deliver(pending)
        if self._restartable is not None:
            self._restart()
        if signals.saved_mask is not None:
            signals.block(signals.saved_mask)
            signals.saved_mask = None

    def _restart(self) -> None:
        """Begin the interrupted system call again."""
        if self._restartable is not None:
            self.world.eip = self.world.eip - _INT_BYTES & _M32
            self.world.cpu[_EAX] = self._restartable
            self._restartable = None

    def _deliver(self, pending: Pending) -> None:
        number = pending.number
        action = self.signals.action(number)
        if self.signals.is_ignored(number):
            return
        if action.handler == SIG_DFL or action.handler == SIG_IGN:
            fault = f" {self._fault}" if pending.is_forced else ""
            raise ProcessEnded(Reason.SIGNAL, number, f"{signal_name(number)}{fault}")
        if action.flags & SA_RESTART:
            self._restart()
        self._restartable = None
        self.delivered[signal_name(number)] += 1
        try:
            enter_handler(self, pending, action)
        except FrameError:
            detail = (
                f"{signal_name(SIGSEGV)} no stack to enter the handler of {signal_name(number)}"
            )
            raise ProcessEnded(Reason.SIGNAL, SIGSEGV, detail) from None

    def kill(self, number: int, code: int, address: int, fault: LastFault) -> None:
        """A fault as a signal."""
        self.signals.last_fault = fault
        self.signals.post(Pending(number, code, address, is_forced=True))

    def _raise_fault(self, vector: int) -> None:
        world = self.world
        if vector == vectors.NM and answer_for_coprocessor(self):
            return
        if vector == vectors.DB:
            world.clear_debug_status()
        number, code, is_here = _SIGNAL_OF.get(vector, (SIGSEGV, SI_KERNEL, False))
        name = vectors.EXCEPTION_NAMES.get(vector, f"interrupt {vector:#x}")
        self._fault = "(no floating-point unit)" if vector == vectors.NM else f"({name})"
        fault = LastFault(vector, world.error & 0xFFFF, self.signals.last_fault.address)
        self.kill(number, code, world.eip if is_here else 0, fault)

    def _page_fault(self) -> None:
        world = self.world
        address = world.page_fault_address
        write = bool(world.error & vectors.PF_WRITE)
        try:
            self.space.touch(address, write=write)
        except BadAccess as bad:
            what = "writing" if write else "executing" if address == world.eip else "reading"
            self._fault = f"({what} {address:#010x})"
            fault = LastFault(vectors.PF, world.error, address)
            if bad.is_beyond_file:
                self.kill(SIGBUS, 2, address, fault)
            else:
                self.kill(SIGSEGV, 2 if bad.is_mapped else 1, address, fault)

    def bad_frame(self) -> int:
        """sigreturn without a frame."""
        self._fault = "(sigreturn without a frame)"
        self.kill(SIGSEGV, SI_KERNEL, 0, LastFault(vectors.GP, 0, self.signals.last_fault.address))
        return 0

    # --- system calls --------------------------------------------------------------------------

    def _system_call(self) -> None:
        cpu = self.world.cpu
        number = cpu[_EAX]
        call = CALLS.get(number)
        if call is None:
            self._refuse(number)
            return
        self.calls[call.name] += 1
        arguments = tuple([cpu[register] for register in _ARGUMENTS[: len(call.kinds)]])
        try:
            result = call.handler(self, *arguments)
        except CallError as error:
            result = -error.number
        except Interrupted:
            result = -Errno.EINTR
            self._restartable = number
        except ProcessEnded:
            if self._tracer is not None:
                self._tracer(self, call, arguments, None)
            raise
        cpu[_EAX] = result & _M32
        if self._tracer is not None:
            self._tracer(self, call, arguments, result)

    def _refuse(self, number: int) -> None:
        """A call that is not there."""
        cpu = self.world.cpu
        call = Call(number, unknown_name(number), ("hex", "hex", "hex"), _absent)
        self.unknown[call.name] += 1
        if self._tracer is not None:
            arguments = tuple([cpu[register] for register in _ARGUMENTS[: len(call.kinds)]])
            self._tracer(self, call, arguments, -Errno.ENOSYS)
        cpu[_EAX] = -Errno.ENOSYS & _M32

    def wait(
        self,
        is_ready: Callable[[], bool],
        *,
        deadline: int | None = None,
        watch: Callable[[float], bool] | None = None,
    ) -> bool:
        """Let the program wait: True when ready, False when the deadline has come.

        Args:
            is_ready: asked again and again.
            deadline: a moment of the monotonic clock.
            watch: waits so many seconds for what comes from outside; None if nothing can come.

        Raises:
            Interrupted: a signal is to be delivered.
            ProcessEnded: nothing can ever end the wait.
        """
        watched_since = time.monotonic_ns()
        while True:
            self.look_outside()
            if is_ready():
                return True
            if self.signals.has_deliverable():
                raise Interrupted
            now = self.clock.monotonic()
            if deadline is not None and now >= deadline:
                return False
            moments = [moment for moment in (deadline, self.alarm_at) if moment is not None]
            left = min(moments) - now if moments else None
            if watch is None:
                self._pass_time(left)
            elif left is None:
                watch(_WAIT_SECONDS)
            else:
                self._watch_for(watch, left, watched_since)
                if not self.clock.is_real and time.monotonic_ns() - watched_since >= left:
                    self.clock.pause(left)
                    watched_since = time.monotonic_ns()

    def _watch_for(self, watch: Callable[[float], bool], left: int, since: int) -> None:
        spent = 0 if self.clock.is_real else time.monotonic_ns() - since
        watch(min(max(left - spent, 0) / 1e9, _WAIT_SECONDS))

    def _pass_time(self, nanoseconds: int | None) -> None:
        """Nothing comes from outside but a moment of the clock, or Ctrl-C."""
        if nanoseconds is not None:
            self.clock.pause(nanoseconds)
        elif self.is_interactive:
            time.sleep(_WAIT_SECONDS)
        else:
            raise ProcessEnded(Reason.DEADLOCK, 0, "waits for what can never happen")


def _absent(process: Process, *arguments: int) -> int:
    raise CallError(Errno.ENOSYS)
