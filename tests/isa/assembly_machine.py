"""A small machine for tests in assembly: flat segments, an IDT that catches, device memory.

Every vector has a handler of one trapdoor, so that an event ends run() with its vector as detail
and its frame on the stack. Memory: GDT at 0x1000, IDT at 0x2000, handlers at 0x3000, TSS at 0x4000
with the ring-0 stack at 0x8000; code from 0x10000; the stack below 0x9000. What lies beyond RAM is
device memory.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from isa import state, workspace
from isa.exits import Exit
from isa.host_calls import refresh
from isa.processor import Processor
from isa.registers import ATTR_DB, ATTR_DPL_SHIFT, CS, ESP, TR
from isa.stale_translations import TlbMode
from isa.vectors import PUSHES_ERROR_CODE
from tools.assembler import assemble_text

RAM_BYTES = 1 << 20
DEVICE = 0x200000  # an address in device memory
GDT, IDT, HANDLERS, TSS = 0x1000, 0x2000, 0x3000, 0x4000
INNER_STACK, STACK, CODE = 0x8000, 0x9000, 0x10000
DONE = 0xFE  # `trapdoor DONE` ends a program
CODE0, DATA0, CODE3, DATA3, CODE16, TSS_SELECTOR = 0x08, 0x10, 0x1B, 0x23, 0x28, 0x30
TRAPDOOR = b"\x0f\x0a"


@dataclass(frozen=True)
class Event:
    """An exception or interrupt as its handler finds it."""

    vector: int
    error: int | None
    eip: int
    eflags: int


@dataclass
class Devices:
    """Answers device reads from a table or function, and records every access in order."""

    values: Mapping[int, int] = field(default_factory=dict)
    accesses: list[tuple[str, int, int, int]] = field(default_factory=list)

    def read(self, address: int, size: int) -> int:
        value = self.values.get(address, 0xAA55AA55) & (1 << 8 * size) - 1
        self.accesses.append(("read", address, size, value))
        return value

    def write(self, address: int, size: int, value: int) -> None:
        self.accesses.append(("write", address, size, value))


def descriptor(kind: int, dpl: int, big: int = 1, base: int = 0, limit: int = 0xFFFFF) -> bytes:
    """A present segment descriptor with 4-KByte granularity."""
    low = (base & 0xFFFF) << 16 | limit & 0xFFFF
    high = base & 0xFF000000 | base >> 16 & 0xFF | limit & 0xF0000
    high |= 1 << 23 | big << 22 | 1 << 15 | dpl << 13 | kind << 8
    return struct.pack("<II", low, high)


class AssemblyMachine:
    """A processor that runs NASM-dialect source; symbols of the last one in `symbols`."""

    def __init__(self, ram_bytes: int = RAM_BYTES, tlb: TlbMode = TlbMode.NORMAL) -> None:
        self.processor = Processor(ram_bytes, tlb=tlb)
        self.symbols: Mapping[str, int] = {}
        self.write_tables()
        self.clean_state = self.processor.cpu.copy()
        self.clean_memory = self.processor.memory.copy()

    def reset(self) -> None:
        """The machine as it was made."""
        self.processor.cpu[:] = self.clean_state
        self.processor.memory[:] = self.clean_memory
        self.processor.core[workspace.REPLAY_COUNT] = 0
        self.processor.drop_derived()

    def write_tables(self) -> None:
        processor = self.processor
        table = bytes(8) + descriptor(0x1B, 0) + descriptor(0x13, 0)
        table += descriptor(0x1B, 3) + descriptor(0x13, 3) + descriptor(0x1B, 0, big=0)
        processor.write_physical(GDT, table)
        for vector in range(256):
            handler = HANDLERS + 4 * vector
            gate = struct.pack("<HHHH", handler & 0xFFFF, CODE0, 0xEE00, handler >> 16)
            processor.write_physical(IDT + 8 * vector, gate)
            processor.write_physical(handler, TRAPDOOR + bytes([vector]))
        processor.write_physical(TSS + 4, struct.pack("<II", INNER_STACK, DATA0))
        cpu = processor.cpu
        cpu[state.GDTR_BASE], cpu[state.GDTR_LIMIT] = GDT, len(table) - 1
        cpu[state.IDTR_BASE], cpu[state.IDTR_LIMIT] = IDT, 0x7FF
        cpu[state.BASE + TR], cpu[state.LIMIT + TR] = TSS, 0x67
        for segment in range(6):
            cpu[state.SELECTOR + segment] = CODE0 if segment == CS else DATA0
        processor.gpr[ESP] = STACK
        processor.eip = CODE

    def load(self, source: str, address: int = CODE, bits: int = 32) -> None:
        """Assemble at an address and put EIP there."""
        text = f"DONE equ {DONE}\nDEVICE equ {DEVICE:#x}\norg {address:#x}\n{source}"
        assembly = assemble_text(text, bits=bits)
        self.symbols = {**assembly.symbols, **assembly.constants}
        self.processor.write_physical(address, assembly.bytes)
        self.processor.eip = address

    def enter_ring_3(self) -> None:
        """What an IRET to flat ring-3 segments leaves behind."""
        cpu = self.processor.cpu
        for segment in range(6):
            cpu[state.SELECTOR + segment] = CODE3 if segment == CS else DATA3
            cpu[state.ATTRIBUTES + segment] |= 3 << ATTR_DPL_SHIFT
        cpu[state.CPL] = 3
        refresh(cpu, self.processor.core)

    def use_16_bit_code(self) -> None:
        cpu = self.processor.cpu
        cpu[state.SELECTOR + CS] = CODE16
        cpu[state.ATTRIBUTES + CS] &= ~ATTR_DB
        cpu[state.LIMIT + CS] = 0xFFFF
        refresh(cpu, self.processor.core)

    # --- running -------------------------------------------------------------------------------

    def run(self, budget: int = 100_000) -> Exit:
        return self.processor.run(budget)

    def finish(self, budget: int = 100_000) -> None:
        """Run to `trapdoor DONE`."""
        reason = self.run(budget)
        assert reason == Exit.TRAPDOOR, f"{reason!r} {self.processor.detail}"
        assert self.processor.detail[0] == DONE, f"event {self.processor.detail[0]}"

    def drive(
        self, devices: Devices, budget: int = 100_000, between: Callable[[], None] | None = None
    ) -> Exit:
        """Run, carrying out device accesses, until another exit."""
        processor = self.processor
        while True:
            reason = processor.run(budget)
            if reason == Exit.MEMORY_READ:
                address, size, _ = processor.detail
                processor.answer_read(devices.read(address, size))
            elif reason == Exit.MEMORY_WRITE:
                for address, size, value in processor.posted_writes():
                    devices.write(address, size, value)
            else:
                return reason
            if between is not None:
                between()

    def event(self) -> Event:
        """The event that ended the last run()."""
        vector = self.processor.detail[0]
        at = int(self.processor.gpr[ESP])
        words = struct.unpack("<4I", self.processor.read_physical(at, 16))
        if PUSHES_ERROR_CODE >> vector & 1 and vector < 32:
            return Event(vector, words[0], words[1], words[3])
        return Event(vector, None, words[0], words[2])

    def expect(self, vector: int, budget: int = 100_000) -> Event:
        """Run to an event of this vector."""
        reason = self.run(budget)
        assert reason == Exit.TRAPDOOR, f"{reason!r} {self.processor.detail}"
        assert self.processor.detail[0] == vector, f"event {self.processor.detail[0]}"
        return self.event()

    # --- looking -------------------------------------------------------------------------------

    def register(self, number: int) -> int:
        return int(self.processor.gpr[number])

    def peek(self, address: int, size: int = 4) -> int:
        return int.from_bytes(self.processor.read_physical(address, size), "little")

    def poke(self, address: int, value: int, size: int = 4) -> None:
        self.processor.write_physical(address, value.to_bytes(size, "little"))
