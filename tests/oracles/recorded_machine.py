"""Runs recorded tests on our processor in real mode, and says what differs from the recording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from isa import state
from isa.exits import Exit
from isa.host_calls import code_written, refresh
from isa.processor import Processor
from isa.registers import CS, DS, ES, ESP, SS
from tests.case_count import count_case
from tests.oracles.recorded_vectors import FLAGS, IP, REGISTERS, Recorded

RAM_BYTES = 0x110000  # all that real mode reaches with the A20 line enabled
INSTRUCTIONS = 3  # the one recorded and HLT; one more would be noticed
PORT_ACCESSES = 1000  # of one string instruction
FLAGS_KEPT = 0x0FFF  # the 80286 keeps IOPL and NT clear in real mode; later processors do not
SEGMENTS = np.array([ES, CS, SS, DS]) + state.SELECTOR
GENERAL = slice(state.GPR, state.GPR + 8)
SS_PLACE = REGISTERS.index("ss")


@dataclass(frozen=True)
class Difference:
    """A test that did not end as recorded."""

    test: Recorded
    what: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.test}\n    " + "\n    ".join(self.what)


class RecordedMachine:
    """Our processor in real mode, as the recorded one was: nothing on its ports, all of its RAM.

    Attributes:
        count: tests executed.
    """

    def __init__(self) -> None:
        self.processor = Processor(RAM_BYTES)
        cpu = self.processor.cpu
        cpu[state.CR0] &= ~1
        cpu[state.LIMIT : state.LIMIT + 6] = 0xFFFF
        cpu[state.ATTRIBUTES : state.ATTRIBUTES + 6] = 0x93
        cpu[state.SELECTOR : state.SELECTOR + 6] = 0
        cpu[state.BASE : state.BASE + 6] = 0
        refresh(cpu, self.processor.core)
        self.setup = cpu.copy()
        self.expected = self.processor.memory.copy()
        self.count = 0

    def differences(self, tests: Iterable[tuple[Recorded, int]]) -> Iterator[Difference]:
        """Run tests, each with the mask of flags that are undefined after it."""
        for test, undefined in tests:
            found = self._run(test, undefined)
            if found:
                yield Difference(test, tuple(found))
        stray = np.flatnonzero(self.processor.memory != self.expected)
        assert not stray.size, f"{test.form}: a test wrote to {int(stray[0]):#x} and others"

    def _load(self, test: Recorded) -> None:
        processor = self.processor
        cpu = processor.cpu
        cpu[:] = self.setup
        cpu[GENERAL] = test.before[:8]
        cpu[SEGMENTS] = test.before[8:12]
        cpu[SEGMENTS + (state.BASE - state.SELECTOR)] = test.before[8:12] << 4
        cpu[state.EIP] = test.before[IP]
        cpu[state.EFLAGS] = int(test.before[FLAGS]) & FLAGS_KEPT | 2
        refresh(cpu, processor.core)
        self.expected[test.places] = test.values
        for place in test.places[processor.marks[test.places] != 0].tolist():
            code_written(processor.core, processor.marks, place, 1)
        processor.memory[test.places] = test.values

    def _run_to_halt(self) -> Exit:
        processor = self.processor
        for _ in range(PORT_ACCESSES):
            reason = processor.run(INSTRUCTIONS)
            if reason == Exit.PORT_IN:
                processor.complete_port_read(processor.detail[1], 0xFFFFFFFF)
            elif reason == Exit.PORT_STRING:
                processor.answer_read(0xFFFFFFFF)
            elif reason not in (Exit.PORT_OUT, Exit.YIELD):
                break
        return reason

    def _run(self, test: Recorded, undefined: int) -> list[str]:
        self.count += 1
        count_case()
        self._load(test)
        reason = self._run_to_halt()
        cpu = self.processor.cpu
        self.expected[test.changed_places] = test.changed_values
        found = [] if reason == Exit.HALT else [f"ended with {reason!r}"]
        after = np.empty(14, np.int64)
        after[:8] = cpu[GENERAL]
        after[8:12] = cpu[SEGMENTS]
        after[IP] = cpu[state.EIP] & 0xFFFF  # of the HLT at FFFF, EIP is 10000 afterwards
        after[FLAGS] = cpu[state.EFLAGS]
        differing = after ^ test.after
        differing[FLAGS] &= FLAGS_KEPT & ~undefined
        if differing.any():
            found += [
                f"{REGISTERS[at]}: ours {int(after[at]):#x}, recorded {int(test.after[at]):#x}"
                for at in np.flatnonzero(differing)
            ]
        found += self._memory_differences(test, undefined)
        return found

    def _memory_differences(self, test: Recorded, undefined: int) -> list[str]:
        memory, expected = self.processor.memory, self.expected
        places = test.changed_places
        if test.exception >= 0:
            # Where FLAGS were pushed, undefined ones are not compared.
            ignored = 0xFFFF & ~FLAGS_KEPT | undefined
            for place, mask in zip(pushed_flags(test), (ignored & 0xFF, ignored >> 8), strict=True):
                if not int(memory[place] ^ expected[place]) & ~mask & 0xFF:
                    expected[place] = memory[place]
        found = []
        if not np.array_equal(memory[places], expected[places]):
            found = [
                f"[{place:#x}]: ours {int(memory[place]):#x}, recorded {int(expected[place]):#x}"
                for place in places.tolist()
                if memory[place] != expected[place]
            ]
            self._agree()
        return found

    def _agree(self) -> None:
        """After a reported difference: go on from the same memory."""
        self.expected[:] = self.processor.memory


def pushed_flags(test: Recorded) -> list[int]:
    """Physical addresses of the two bytes of FLAGS on the stack after an exception."""
    segment, sp = int(test.after[SS_PLACE]) * 16, int(test.after[ESP]) + 4
    return [segment + (sp & 0xFFFF), segment + (sp + 1 & 0xFFFF)]
