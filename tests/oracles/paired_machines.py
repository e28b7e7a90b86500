"""Our processor and another side by side, in the same state, for one instruction or a program.

Flat 32-bit segments, FS and GS with bases of their own, privilege level 0, paging off. The window
of memory that instructions may touch is restored from a template before every case and compared
after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np

from isa import state
from isa.exits import Exit
from isa.host_calls import refresh
from isa.processor import Processor
from isa.registers import ATTR_DB, ATTR_G, CS
from tests.oracles.instruction_cases import (
    WINDOW,
    WINDOW_BYTES,
    Case,
    undefined_flags,
    undefined_result,
)
from tests.oracles.known_differences import ignored_flags, ignored_register_bits, is_left_out
from tests.oracles.unicorn_machine import UnicornMachine

RAM_BYTES = 1 << 20
GDT = 0x1000
CODE, CODE_BYTES = 0x10000, 0x20000  # linear
TRAPDOOR = bytes([0x0F, 0x0A, 0x55])
HLT = bytes([0xF4])
COMPARED = 0x003FFED5 & ~0x10000  # of EFLAGS: all but reserved bits, TF and RF

BASES = {32: (0, 0, 0, 0, 0x1000, 0xFFFFF000), 16: (0, CODE, 0, 0, 0x1000, 0x2340)}
FIRST_SLOT = {32: CODE, 16: 0x100}
LAST_SLOT = {32: CODE + CODE_BYTES - 0x200, 16: 0x9E00}
SELECTORS = (0x10, 0x08, 0x10, 0x10, 0x18, 0x20)


def describe(base: int, kind: int, big: int) -> int:
    """A present 4-GByte descriptor of privilege level 0."""
    low = (base & 0xFFFF) << 16 | 0xFFFF
    high = base & 0xFF000000 | base >> 16 & 0xFF | 0x8F0000 | big << 22 | 0x80 << 8 | kind << 8
    return high << 32 | low


class Pair:
    """Both machines.

    Attributes:
        other: Unicorn, or another machine with the same methods.
        eflags_always: flags set in every case.
        cases, instructions: how much has been compared; a case runs in two lanes of ours.
    """

    eflags_always = 2
    behind_code = HLT  # Unicorn translates ahead
    unicorn_model: int | None = None  # which processor Unicorn is, if not its best

    def __init__(self, bits: int = 32, seed: int = 1) -> None:
        self.bits = bits
        self.ours = Processor(RAM_BYTES)
        rng = np.random.default_rng(seed)
        self.template = rng.integers(0, 256, WINDOW_BYTES, np.uint8).tobytes()
        self.address = FIRST_SLOT[bits]
        self.code_base = BASES[bits][CS]
        self.cases = self.instructions = 0
        self.other: Any = self.make_other()
        self._set_our_segments(self.other_selectors())

    def make_other(self) -> Any:
        """Unicorn with the same segments."""
        other = UnicornMachine(RAM_BYTES, model=self.unicorn_model)
        big = 1 if self.bits == 32 else 0
        bases = BASES[self.bits]
        descriptors = [0, describe(bases[CS], 0x1B, big), describe(0, 0x13, big)]
        descriptors += [describe(bases[4], 0x13, big), describe(bases[5], 0x13, big)]
        other.use_gdt(GDT, descriptors)
        for number, selector in enumerate(SELECTORS):
            other.load_segment(number, selector)
        other.keep_setup()
        return other

    def other_selectors(self) -> Sequence[int]:
        return SELECTORS

    def _set_our_segments(self, selectors: Sequence[int]) -> None:
        big = 1 if self.bits == 32 else 0
        cpu = self.ours.cpu
        cpu[state.IDTR_LIMIT] = 0  # every event becomes a shutdown with its vector, nothing changed
        for number, selector in enumerate(selectors):
            cpu[state.SELECTOR + number] = selector
            cpu[state.BASE + number] = BASES[self.bits][number]
            kind = 0x1B if number == CS else 0x13
            cpu[state.ATTRIBUTES + number] = 0x80 | kind | ATTR_G | ATTR_DB * big
            cpu[state.LIMIT + number] = 0xFFFFFFFF
        refresh(cpu, self.ours.core)
        self.setup = cpu.copy()

    def slot(self, rng: Random) -> int:
        """EIP of the next case: code is written to fresh memory, often across pages."""
        self.address += 64
        if self.address >= LAST_SLOT[self.bits]:
            self.address = FIRST_SLOT[self.bits] + 16
            self.other.forget_code()
        if rng.random() < 0.05:
            page = (self.address + 0x1000) & ~0xFFF
            if page + 64 < LAST_SLOT[self.bits]:
                self.address = page + 64
                return page - rng.randrange(1, 8)
        return self.address + rng.randrange(16)

    def place(self, size: int) -> int:
        """EIP of code of some size that is not there yet."""
        self.address += 64
        if self.address + size >= LAST_SLOT[self.bits]:
            self.address = FIRST_SLOT[self.bits] + 16
            self.other.forget_code()
        address = self.address
        self.address += size
        return address

    # --- known differences ---------------------------------------------------------------------

    def is_left_out(self, case: Case) -> bool:
        """Whether the other machine is known to do something else altogether."""
        return is_left_out(case)

    def ignored_flags(self, case: Case) -> int:
        """Flags that the other machine gets wrong."""
        return ignored_flags(case)

    def ignored_register_bits(self, case: Case, number: int) -> int:
        """Bits of a register that the other machine gets wrong."""
        return ignored_register_bits(case, number)

    # --- one case ------------------------------------------------------------------------------

    def load_ours(self, case: Case) -> None:
        """Put the state before a case into our machine."""
        ours = self.ours
        ours.write_physical(WINDOW, self.template)
        code = (self.code_base + case.address, case.code + HLT)
        for address, data in [*case.patches, code]:
            ours.write_physical(address, data)
        ours.cpu[:] = self.setup
        ours.gpr[:] = case.registers
        ours.eflags = case.eflags | self.eflags_always
        ours.eip = case.address

    def load_other(self, case: Case) -> None:
        """Put the state before a case into the other machine."""
        other = self.other
        other.write(WINDOW, self.template)
        code = (self.code_base + case.address, case.code + self.behind_code)
        for address, data in [*case.patches, code]:
            other.write(address, data)
        other.set_registers(case.registers, case.eflags)

    def run_other(self, case: Case) -> int | None:
        prefixes = (
            case.code[: case.code.index(case.form.encoding.opcode)] if case.form.repeat else b""
        )
        if 0xF3 in prefixes or 0xF2 in prefixes:
            return self.other.run(case.address, self.code_base + case.next)
        fault = self.other.run(case.address, 0xFFFFFFFF, 1)
        if case.form.flow:  # Unicorn has translated what was at the target
            for stop in self.linear_stops(case):
                self.other.forget_code(stop)
        return fault

    def linear_stops(self, case: Case) -> list[int]:
        return [self.code_base + stop & 0xFFFFFFFF for stop in case.stops]

    def run_ours(self, case: Case, hot: bool) -> int | None:
        """Run one instruction; with specialised handlers when `hot`. The vector of a fault."""
        ours = self.ours
        if hot:
            for stop in self.linear_stops(case):
                ours.write_physical(stop, TRAPDOOR)
            reason = ours.run(1000)
            if reason == Exit.TRAPDOOR:
                ours.eip -= len(TRAPDOOR)
                return None
        else:
            reason = ours.run(1)
            if reason == Exit.BUDGET:
                return None
        assert reason == Exit.SHUTDOWN, f"{case}: {reason!r} {ours.detail}"
        return ours.detail[0]

    def differences(self, case: Case) -> list[str]:
        """What differs after a case: the other machine against both lanes of ours."""
        self.load_other(case)
        expected_fault = self.run_other(case)
        result = self.other.registers()
        self.cases += 1
        self.instructions += 1
        found = []
        hot = not any(WINDOW <= at < WINDOW + WINDOW_BYTES for at in self.linear_stops(case))
        for lane in ("generic", "specialised") if hot else ("generic",):
            self.load_ours(case)
            fault = self.run_ours(case, lane == "specialised")
            problems = self._compare(case, fault, expected_fault, result)
            if problems:
                found.append("\n    ".join([f"{lane}: {case}", *problems]))
        return found

    def _compare(
        self,
        case: Case,
        fault: int | None,
        expected: int | None,
        result: tuple[list[int], int, int],
    ) -> list[str]:
        general, eip, eflags = result
        found = []
        if fault != expected:
            found.append(f"fault: ours {fault}, the other {expected}")
        if self.ours.eip != eip:
            found.append(f"eip: ours {self.ours.eip:#x}, the other {eip:#x}")
        if not undefined_result(case):
            ours = [int(value) for value in self.ours.gpr]
            if ours != general:
                found += [
                    f"register {n}: ours {a:#x}, the other {b:#x}"
                    for n, (a, b) in enumerate(zip(ours, general, strict=True))
                    if (a ^ b) & ~self.ignored_register_bits(case, n)
                ]
            found += self.memory_differences()
        mask = COMPARED & ~undefined_flags(case) & ~self.ignored_flags(case)
        if fault is not None and not case.form.repeat:
            eflags, mask = case.eflags | self.eflags_always, COMPARED
        if (self.ours.eflags ^ eflags) & mask:
            found.append(
                f"eflags: ours {self.ours.eflags:#x}, the other {eflags:#x}, mask {mask:#x}"
            )
        return found

    def memory_differences(self) -> list[str]:
        first, last = WINDOW, WINDOW + WINDOW_BYTES
        ours, other = self.ours.memory[first:last], self.other.memory[first:last]
        if np.array_equal(ours, other):
            return []
        where = np.flatnonzero(ours != other)[:8]
        return [
            f"[{WINDOW + int(a):#x}]: ours {ours[a]:#x}, the other {other[a]:#x}" for a in where
        ]

    def whole_memory_differs(self) -> bool:
        """Whether anything outside the window and the code was touched, unlike in Unicorn."""
        return not np.array_equal(
            self.ours.memory[CODE + CODE_BYTES :], self.other.memory[CODE + CODE_BYTES :]
        )
