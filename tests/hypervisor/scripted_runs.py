"""Techniques that follow a script instead of a guest, so that a test knows where they differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from hypervisor.bare import Bare
from hypervisor.guest_state import ProcessorState
from hypervisor.technique import StopReason, Technique, VmStopped
from isa.boot import BootImage
from isa.devices.clock import ClockState
from isa.devices.platform import PlatformState

IMAGE = BootImage("scripted", ((0x1000, b"\x90"),), 0x1000, 0, 0, 0, True, None, "scripted")
RAM_BYTES = 8192
START = Bare(1 << 20).processor_state()


@dataclass(frozen=True)
class Deviation:
    """What is wrong while `first` to `last` instructions are completed (`last` None: for good)."""

    first: int
    last: int | None = None
    registers: Mapping[str, Any] | None = None
    memory: tuple[int, int] | None = None
    device: int | None = None

    def holds(self, count: int) -> bool:
        return self.first <= count and (self.last is None or count <= self.last)


class Scripted(Technique):
    """EAX and EIP count instructions; from `wrong_at` on EAX and a byte of memory are wrong."""

    name = "scripted"
    summary = "a list of states"

    def __init__(
        self,
        length: int = 1000,
        wrong_at: int | None = None,
        *,
        deviations: Iterable[Deviation] = (),
        console: bytes = b"hello\n",
        code: int | None = 1,
        reason: StopReason = StopReason.EXIT,
        interrupted: bool = False,
        sees_end_late: bool = False,
    ) -> None:
        super().__init__(RAM_BYTES)
        self.length, self.wrong_at, self.text, self.code = length, wrong_at, console, code
        self.reason, self.interrupted = reason, interrupted
        self.sees_end_late = sees_end_late
        self.deviations = tuple(deviations)
        self.count = 0
        self.asked: list[int] = []

    def boot(self, image: BootImage) -> None:
        assert image is IMAGE

    def _run(self, until: int | None) -> None:
        if self.interrupted:
            raise VmStopped(StopReason.INTERRUPTED, "")
        self.asked.append(-1 if until is None else until)
        self.count = self.length if until is None else min(until, self.length)
        at_end = self.count == self.length and not (self.sees_end_late and until == self.length)
        raise VmStopped(self.reason if at_end else StopReason.BUDGET, "scripted")

    def is_wrong(self) -> bool:
        return self.wrong_at is not None and self.count >= self.wrong_at

    def now_wrong(self) -> list[Deviation]:
        return [deviation for deviation in self.deviations if deviation.holds(self.count)]

    def processor_state(self) -> ProcessorState:
        changes: dict[str, Any] = {
            "gpr": (self.count + self.is_wrong(), *START.gpr[1:]),
            "eip": 0x1000 + self.count,
        }
        for deviation in self.now_wrong():
            changes |= deviation.registers or {}
        return msgspec.structs.replace(START, **changes)

    def memory(self) -> bytes:
        memory = bytearray(RAM_BYTES)
        memory[0x20] = self.is_wrong()
        for deviation in self.now_wrong():
            if deviation.memory is not None:
                memory[deviation.memory[0]] = deviation.memory[1]
        return bytes(memory)

    def ram_pieces(self) -> Iterable[memoryview]:
        whole = memoryview(self.memory())
        return whole[:4096], whole[4096:]

    def device_state(self) -> PlatformState:
        values = [deviation.device for deviation in self.now_wrong() if deviation.device]
        state = {"value": values[0] if values else 0, "event": {"at": 7, "sequence": id(self)}}
        return PlatformState(
            clock=ClockState(),
            console_output=b"",
            reset_requested=False,
            devices={"toy": msgspec.msgpack.encode(state)},
        )

    def read_memory(self, gpa: int, size: int) -> bytes:
        return self.memory()[gpa : gpa + size]

    def read_code(self, size: int) -> bytes:
        return b"\x90"

    @property
    def code_bits(self) -> int:
        return 32

    @property
    def exit_code(self) -> int | None:
        return self.code

    @property
    def console(self) -> bytes:
        return self.text

    @property
    def guest_instructions(self) -> int:
        return self.count

    @property
    def cycles(self) -> int:
        return 0

    @property
    def ledger(self) -> Mapping[str, int]:
        return {}

    @property
    def exits(self) -> Mapping[str, int]:
        return {}


def maker(made: list[Scripted], **script: Any) -> Callable[[], Technique]:
    """Makes scripted runs and remembers them."""

    def make() -> Technique:
        made.append(Scripted(**script))
        return made[-1]

    return make
