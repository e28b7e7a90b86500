"""A technique: one way of running a guest, and what may be asked of it whatever the way.

The command, the comparison and the tests know techniques only through this file. A technique is
made, booted once, and run in as many slices as its owner likes: what the guest does never depends
on how its run is sliced.

Guest time is the number of guest instructions completed plus the idle time that HLT skipped. It is
the same under every technique, so that a device interrupts all of them at the same instruction.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar, Final

import xxhash

from hypervisor.pace import Pace
from isa.devices.configuration import DEFAULT, Configuration
from isa.errors import TrapgateError

if TYPE_CHECKING:
    from hypervisor.guest_state import ProcessorState
    from isa.boot import BootImage
    from isa.costs import Costs
    from isa.cpu_models import CpuModel
    from isa.devices.platform import Platform, PlatformState
    from isa.stale_translations import StaleTranslation

RAM_BYTES: Final = 16 << 20

# A run comes back to Python at least that often, for Ctrl-C and for progress.
SLICE_INSTRUCTIONS: Final = 5_000_000

# A guest that takes that many faults in a row without completing one instruction is going nowhere.
FAULTS_WITHOUT_PROGRESS: Final = 1 << 16


class StopReason(StrEnum):
    """Why a run ended."""

    EXIT = "exit"  # the guest wrote to the exit port
    POWER_OFF = "power-off"  # the guest switched the machine off
    SHUTDOWN = "shutdown"  # triple fault, or the guest reset the machine
    HALT = "halt"  # HLT, and no interrupt can come
    WAITING = "waiting"  # in real time: the guest idles; to be run again soon
    BUDGET = "budget"  # the asked number of guest instructions is completed
    INTERRUPTED = "interrupted"  # somebody asked to stop
    ERROR = "error"  # the guest asked for what this technique cannot give


_RESUMABLE: Final = frozenset({StopReason.BUDGET, StopReason.INTERRUPTED, StopReason.WAITING})


@dataclass(frozen=True)
class Stop:
    """How a run ended: the reason, words for people, and where the guest was."""

    reason: StopReason
    detail: str
    eip: int
    instruction: str
    guest_instructions: int


class VmStopped(Exception):
    """Ends a run from anywhere inside a technique; becomes its `Stop`. Never seen outside."""

    def __init__(self, reason: StopReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Snapshot:
    """What the guest would call the state of its machine, at an instruction boundary."""

    guest_instructions: int
    gpr: tuple[int, ...]  # EAX ECX EDX EBX ESP EBP ESI EDI
    eip: int
    eflags: int
    cpl: int
    selectors: tuple[int, ...]  # ES CS SS DS FS GS LDTR TR
    cr0: int
    cr2: int
    cr3: int
    cr4: int
    gdtr: tuple[int, int]  # base, limit
    idtr: tuple[int, int]
    halted: bool
    ram_digest: str


class Technique(ABC):
    """One machine or VM with one guest."""

    name: ClassVar[str]
    summary: ClassVar[str]
    checks_tlb: ClassVar[bool] = False
    """Whether the guest's translations can be checked for stale ones."""
    platform: Platform
    """The guest's devices."""

    def __init__(
        self,
        ram_bytes: int = RAM_BYTES,
        *,
        costs: Costs | None = None,
        progress: Callable[[int], None] | None = None,
        model: CpuModel | None = None,
        devices: Configuration = DEFAULT,
    ) -> None:
        """Make the machine.

        Args:
            ram_bytes: memory the guest sees, a multiple of 4096 from 1 MiB.
            costs: modelled cycles of every event; the default profile if not given.
            progress: called with the guest instructions completed, now and then during a run.
            model: the processor that the guest sees; the default model if not given.
            devices: disks and what else the guest's machine may have or not.
        """
        self.ram_bytes = ram_bytes
        self.costs = costs
        self._progress = progress
        self._stop_requested = False
        self._pace = Pace() if devices.real_time else None
        self._ended: Stop | None = None

    @abstractmethod
    def boot(self, image: BootImage) -> None:
        """Put a guest into memory and make its first instruction the next one."""

    def run(self, until: int | None = None) -> Stop:
        """Run until the guest ends or has completed `until` instructions since boot.

        With `until` the run stops at exactly that count, before anything is delivered there. A
        guest that has ended stays ended: running it again gives the same stop.
        """
        if self._ended is not None:
            return self._ended
        try:
            with self._interruptible():
                self._run(until)
        except VmStopped as ending:
            stop = self._stop(ending.reason, ending.detail)
            if ending.reason not in _RESUMABLE:
                self._ended = stop
            return stop
        raise AssertionError("a run without an ending")

    @abstractmethod
    def _run(self, until: int | None) -> None:
        """What `run` does; ends by VmStopped and in no other way."""

    @property
    def exit_code(self) -> int | None:
        """The process status the guest asked for, or None while it has not."""
        return self.platform.exit_code

    @property
    def console(self) -> bytes:
        """Everything the guest has written to COM1 and to port 0xE9."""
        return bytes(self.platform.console_output)

    @property
    def screen(self) -> str:
        """The 25 lines of the guest's text screen."""
        return self.platform.vga.text()

    @property
    @abstractmethod
    def guest_instructions(self) -> int:
        """Instructions the guest has completed, emulated ones included."""

    @property
    @abstractmethod
    def cycles(self) -> int:
        """The modelled clock."""

    @property
    @abstractmethod
    def ledger(self) -> Mapping[str, int]:
        """The modelled clock by cause; the values sum to `cycles`."""

    @property
    @abstractmethod
    def exits(self) -> Mapping[str, int]:
        """How often control left the guest for the technique, by reason."""

    @property
    def stale_translations(self) -> Sequence[StaleTranslation]:
        """What a TLB that checks has noticed, in order of first use."""
        return ()

    @abstractmethod
    def processor_state(self) -> ProcessorState:
        """The guest's processor as the guest believes it to be."""

    @abstractmethod
    def ram_pieces(self) -> Iterable[memoryview]:
        """All of the guest's RAM in order, in whole pages; to be read before the guest goes on."""

    @abstractmethod
    def device_state(self) -> PlatformState:
        """The guest's devices as of the last completed instruction."""

    def snapshot(self) -> Snapshot:
        """The state as the guest believes it to be."""
        processor = self.processor_state()
        digest = xxhash.xxh3_128()
        for piece in self.ram_pieces():
            digest.update(piece)
        return Snapshot(
            guest_instructions=self.guest_instructions,
            gpr=processor.gpr,
            eip=processor.eip,
            eflags=processor.eflags,
            cpl=processor.cpl,
            selectors=tuple(segment.selector for segment in processor.segments),
            cr0=processor.cr0,
            cr2=processor.cr2,
            cr3=processor.cr3,
            cr4=processor.cr4,
            gdtr=(processor.gdtr.base, processor.gdtr.limit),
            idtr=(processor.idtr.base, processor.idtr.limit),
            halted=processor.halted,
            ram_digest=digest.hexdigest(),
        )

    @abstractmethod
    def read_memory(self, gpa: int, size: int) -> bytes:
        """Bytes of the guest's RAM."""

    @abstractmethod
    def read_code(self, size: int) -> bytes:
        """Up to `size` bytes at CS:EIP, fewer where the guest's map ends."""

    @property
    @abstractmethod
    def code_bits(self) -> int:
        """Default size of the code at CS:EIP, 16 or 32."""

    def request_stop(self) -> None:
        """Make a run that is going on end soon with INTERRUPTED. May be called from a signal."""
        self._stop_requested = True

    def read_u32(self, gpa: int) -> int:
        """A little-endian doubleword of the guest's RAM."""
        return int.from_bytes(self.read_memory(gpa, 4), "little")

    def instruction_text(self) -> str:
        """The instruction at CS:EIP in words, as far as its bytes can be read."""
        from isa.disassembly import DecodeError, decode

        code = self.read_code(15)
        if not code:
            return "(no code)"
        try:
            return decode(code, 0, self.code_bits, self.snapshot_eip()).text
        except DecodeError:
            return f"db {code[0]:#04x}"

    def snapshot_eip(self) -> int:
        """EIP alone."""
        return self.processor_state().eip

    def _stop(self, reason: StopReason, detail: str) -> Stop:
        """A stop here and now."""
        return Stop(
            reason, detail, self.snapshot_eip(), self.instruction_text(), self.guest_instructions
        )

    def _between_slices(self) -> None:
        """Called by `run` now and then: tells of progress, ends the run if that was asked."""
        if self._progress is not None:
            self._progress(self.guest_instructions)
        if self._stop_requested:
            self._stop_requested = False
            raise VmStopped(StopReason.INTERRUPTED, "stopped on request")

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Turn Ctrl-C into a request to stop, so that it never cuts a handler in two.

        Only the main thread can; elsewhere, and where somebody else handles the signal, nothing is
        changed.
        """
        is_main = threading.current_thread() is threading.main_thread()
        if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            yield
            return

        def request(_number: int, _frame: FrameType | None) -> None:
            if self._stop_requested:
                raise KeyboardInterrupt  # asked twice: the run does not come back, so leave at once
            self.request_stop()

        signal.signal(signal.SIGINT, request)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)


# Where each technique lives; imported only when asked for.
_TECHNIQUES: Final = {
    "bare": ("hypervisor.bare", "Bare"),
    "ring": ("hypervisor.ring_compression.technique", "RingCompression"),
}


def available_techniques() -> dict[str, type[Technique]]:
    """The techniques there are by name, the bare machine first."""
    return {name: technique_class(name) for name in _TECHNIQUES}


def technique_class(name: str) -> type[Technique]:
    """The class of a technique by name."""
    if name not in _TECHNIQUES:
        raise TrapgateError(f"unknown technique {name!r}: one of {', '.join(_TECHNIQUES)}")
    module, attribute = _TECHNIQUES[name]
    found: type[Technique] = getattr(import_module(module), attribute)
    return found


def create(
    name: str,
    ram_bytes: int = RAM_BYTES,
    *,
    costs: Costs | None = None,
    progress: Callable[[int], None] | None = None,
    model: CpuModel | None = None,
    devices: Configuration = DEFAULT,
    tlb: str = "normal",
) -> Technique:
    """Make a technique by name; `tlb` is a value of `TlbMode`."""
    technique = technique_class(name)
    checks: dict[str, Any] = {}
    if tlb != "normal":
        if not technique.checks_tlb:
            raise TrapgateError(f"the technique {name!r} cannot check the guest's TLB")
        from isa.stale_translations import TlbMode

        checks = {"tlb": TlbMode(tlb)}
    return technique(
        ram_bytes, costs=costs, progress=progress, model=model, devices=devices, **checks
    )
