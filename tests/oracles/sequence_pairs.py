"""Sequences of instructions on our processor and another: in every mode, at ring 0 and at ring 3.

Ours runs a sequence twice: at once, in kept blocks with specialised handlers, and instruction by
instruction.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from collections.abc import Sequence as Elements

from unicorn import UC_MODE_16

from isa import state, vectors
from isa.exits import Exit
from isa.modes import refresh
from isa.registers import (
    ATTR_DPL_SHIFT,
    CS,
    EFLAGS_AC,
    EFLAGS_DF,
    EFLAGS_NT,
    EFLAGS_STATUS,
    EFLAGS_VM,
)
from tests.oracles.host_pair import HostPair
from tests.oracles.instruction_cases import STACK_PAGE, WINDOW, Case
from tests.oracles.instruction_sequences import Sequence
from tests.oracles.known_differences import leaves_old_flags
from tests.oracles.paired_machines import BASES, GDT, RAM_BYTES, TRAPDOOR, Pair, describe
from tests.oracles.unicorn_machine import UnicornMachine

INSTRUCTIONS = 1000  # more than any sequence has
COMPARED = EFLAGS_STATUS | EFLAGS_DF | EFLAGS_NT | EFLAGS_AC


class SequencePair(Pair):
    """Our processor and Unicorn's, for sequences: protected mode, ring 0."""

    privileged = False  # whether sequences hold instructions that fault here

    def is_left_out(self, case: Case) -> bool:
        return super().is_left_out(case) or leaves_old_flags(case)

    def sequence_differences(self, sequence: Sequence) -> list[str]:
        """What differs after a sequence; both lanes of ours."""
        code = self.code_base + sequence.address
        self.other.write(WINDOW, self.template)
        self.other.write(code, sequence.code + self.behind_code)
        self.other.set_registers(sequence.registers, sequence.eflags)
        expected = self.run_sequence_on_other(sequence)
        general, eip, eflags = self.other.registers()
        self.cases += 1
        found = []
        for lane in ("at once", "one by one"):
            self._load_sequence(sequence)
            before = self.ours.retired_total
            fault = self._run_sequence(sequence, 1 if lane == "one by one" else INSTRUCTIONS)
            if lane == "at once":
                self.instructions += self.ours.retired_total - before
            problems = self.memory_differences()
            if fault != expected:
                problems.append(f"fault: ours {fault}, the other {expected}")
            if self.ours.eip != eip:
                problems.append(f"eip: ours {self.ours.eip:#x}, the other {eip:#x}")
            problems += [
                f"register {n}: ours {int(a):#x}, the other {b:#x}"
                for n, (a, b) in enumerate(zip(self.ours.gpr, general, strict=True))
                if a != b
            ]
            if (self.ours.eflags ^ eflags) & COMPARED:
                problems.append(f"eflags: ours {self.ours.eflags:#x}, the other {eflags:#x}")
            if problems:
                found.append("\n    ".join([f"{lane}: {sequence}", *problems]))
        return found

    def run_sequence_on_other(self, sequence: Sequence) -> int | None:
        fault: int | None = self.other.run(self.start(sequence), self.code_base + sequence.end)
        return fault

    def start(self, sequence: Sequence) -> int:
        """Where the other machine is told to start."""
        return sequence.address

    def _load_sequence(self, sequence: Sequence) -> None:
        ours = self.ours
        ours.write_physical(WINDOW, self.template)
        ours.write_physical(self.code_base + sequence.address, sequence.code + TRAPDOOR)
        ours.cpu[:] = self.setup
        ours.gpr[:] = sequence.registers
        ours.eflags = sequence.eflags | self.eflags_always
        ours.eip = sequence.address

    def _run_sequence(self, sequence: Sequence, step: int) -> int | None:
        ours = self.ours
        reason = Exit.BUDGET
        for _ in range(INSTRUCTIONS):
            reason = ours.run(step)
            if reason not in (Exit.BUDGET, Exit.YIELD) or (step == 1 and ours.eip == sequence.end):
                break
        if reason == Exit.TRAPDOOR:
            ours.eip -= len(TRAPDOOR)
            return None
        if reason == Exit.BUDGET and ours.eip == sequence.end:
            return None
        assert reason == Exit.SHUTDOWN, f"{reason!r} {ours.detail}\n{sequence}"
        vector = ours.detail[0]
        at_trapdoor = vector == vectors.GP and ours.eip == sequence.end
        return None if at_trapdoor else vector


class RealModePair(SequencePair):
    """Both in real mode, with the bases of the 16-bit pair."""

    def __init__(self) -> None:
        super().__init__(16, seed=4)

    def make_other(self) -> UnicornMachine:
        other = UnicornMachine(RAM_BYTES, UC_MODE_16)
        for number, base in enumerate(BASES[16]):
            other.load_segment(number, base >> 4)
        other.keep_setup()
        return other

    def start(self, sequence: Sequence) -> int:
        return self.code_base + sequence.address

    def _set_our_segments(self, selectors: object) -> None:
        cpu = self.ours.cpu
        cpu[state.CR0] &= ~1
        cpu[state.IDTR_LIMIT] = 0
        for number, base in enumerate(BASES[16]):
            cpu[state.SELECTOR + number] = base >> 4
            cpu[state.BASE + number] = base
            cpu[state.ATTRIBUTES + number] = 0x93
            cpu[state.LIMIT + number] = 0xFFFF
        refresh(cpu, self.ours.core)
        self.setup = cpu.copy()


class UserPair(SequencePair):
    """Both at ring 3, I/O privilege level 0: programs that may try privileged instructions."""

    privileged = True

    def make_other(self) -> UnicornMachine:
        other = super().make_other()
        big, bases = int(self.bits == 32), BASES[self.bits]
        data, code = 3 << 5 | 0x13, 3 << 5 | 0x1B
        own = [describe(bases[CS], 0x1B, 1), describe(0, 0x13, 1)]
        user = [describe(bases[CS], code, big), describe(0, data, big)]
        user += [describe(bases[4], data, big), describe(bases[5], data, big)]
        other.use_gdt(GDT, [0, *own, *user])
        for segment in range(6):
            other.load_segment(segment, 0x08 if segment == CS else 0x10)
        frame, entry = STACK_PAGE, 0x200
        other.write(frame, struct.pack("<5I", entry, 0x1B, 2, frame, 0x23))
        other.write(bases[CS] + entry, b"\xcf")  # IRETD
        other.keep_setup()
        other.set_registers([0, 0, 0, 0, frame, 0, 0, 0], 2)
        assert other.run(entry, 0xFFFFFFFF, 1) is None
        for segment, selector in enumerate(USER_SELECTORS):
            if segment != CS:
                other.load_segment(segment, selector)
        other.keep_setup()
        return other

    def other_selectors(self) -> tuple[int, ...]:
        return USER_SELECTORS

    def _set_our_segments(self, selectors: tuple[int, ...]) -> None:
        super()._set_our_segments(selectors)
        cpu = self.ours.cpu
        cpu[state.ATTRIBUTES : state.ATTRIBUTES + 6] |= 3 << ATTR_DPL_SHIFT
        cpu[state.CPL] = 3
        refresh(cpu, self.ours.core)
        self.setup = cpu.copy()


USER_SELECTORS = (0x23, 0x1B, 0x23, 0x23, 0x2B, 0x33)


class VirtualUnicorn(UnicornMachine):
    """Stays in virtual-8086 mode whatever flags a sequence begins with."""

    def set_registers(self, general: Elements[int], eflags: int) -> None:
        super().set_registers(general, eflags | EFLAGS_VM)


class VirtualModePair(SequencePair):
    """Both in virtual-8086 mode at I/O privilege level 0, with the bases of the 16-bit pair."""

    privileged = True
    eflags_always = 2 | EFLAGS_VM

    def __init__(self) -> None:
        super().__init__(16, seed=5)

    def make_other(self) -> UnicornMachine:
        other = VirtualUnicorn(RAM_BYTES)
        bases = BASES[16]
        other.use_gdt(GDT, [0, describe(bases[CS], 0x1B, 1), describe(0, 0x13, 1)])
        for segment in range(6):
            other.load_segment(segment, 0x08 if segment == CS else 0x10)
        es, cs, ss, ds, fs, gs = (base >> 4 for base in bases)
        frame, entry = STACK_PAGE, 0x200
        words = (entry, cs, 2 | EFLAGS_VM, frame, ss, es, ds, fs, gs)
        other.write(frame, struct.pack("<9I", *words))
        other.write(bases[CS] + entry, b"\xcf")  # IRETD
        other.keep_setup()
        UnicornMachine.set_registers(other, [0, 0, 0, 0, frame, 0, 0, 0], 2)
        assert other.run(entry, 0xFFFFFFFF, 1) is None
        other.keep_setup()
        return other

    def _set_our_segments(self, selectors: object) -> None:
        cpu = self.ours.cpu
        cpu[state.IDTR_LIMIT] = 0
        cpu[state.CPL] = 3
        cpu[state.EFLAGS] = self.eflags_always
        for number, base in enumerate(BASES[16]):
            cpu[state.SELECTOR + number] = base >> 4
            cpu[state.BASE + number] = base
            cpu[state.ATTRIBUTES + number] = 0xF3
            cpu[state.LIMIT + number] = 0xFFFF
        refresh(cpu, self.ours.core)
        self.setup = cpu.copy()


class HostSequencePair(HostPair, SequencePair):
    """Ours and the host's own processor, at ring 3."""

    def is_left_out(self, case: Case) -> bool:
        return False

    def run_sequence_on_other(self, sequence: Sequence) -> int | None:
        fault: int | None = self.other.run(sequence.address, step=False)
        return fault


# Of these a sequence may ask for one by name.
PAIRS: dict[str, Callable[[], SequencePair]] = {
    "real mode": RealModePair,
    "virtual-8086 mode": VirtualModePair,
    "protected mode, 16-bit": lambda: SequencePair(16),
    "protected mode, 32-bit": lambda: SequencePair(32),
    "user mode, 16-bit": lambda: UserPair(16),
    "user mode, 32-bit": lambda: UserPair(32),
    "host's processor, 16-bit": lambda: HostSequencePair(16),
    "host's processor, 32-bit": lambda: HostSequencePair(32),
}
