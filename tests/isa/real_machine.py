"""A machine in real mode for tests in assembly, as after reset but for CS:IP: an IVT that catches.

Every vector has a handler of one trapdoor, so that an event ends run() with its vector as detail
and its frame on the stack. Memory: the IVT at 0, handlers at 0x600, stack below 0:0x8000, code at
0:0x9000, GDT at 0xA000; RAM reaches beyond what real mode can address.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from isa import state
from isa.exits import Exit
from isa.processor import Processor
from isa.registers import CR0_PE, CS, ESP
from tools.assembler import assemble_text

RAM_BYTES = 0x120000
HANDLERS, STACK, CODE, GDT = 0x600, 0x8000, 0x9000, 0xA000
DONE = 0xFE  # `trapdoor DONE` ends a program
DATA_BYTE, CODE_BYTE = 0x93, 0x9B  # segment attributes as real mode has them


class RealMachine:
    """A processor that runs 16-bit source; symbols of the last one in `symbols`."""

    def __init__(self) -> None:
        self.processor = Processor(RAM_BYTES)
        cpu = self.processor.cpu
        cpu[state.CR0] &= ~CR0_PE
        for segment in range(6):
            cpu[state.SELECTOR + segment] = 0
            cpu[state.BASE + segment] = 0
            cpu[state.LIMIT + segment] = 0xFFFF
            cpu[state.ATTRIBUTES + segment] = CODE_BYTE if segment == CS else DATA_BYTE
        self.processor.gpr[ESP] = STACK
        for vector in range(256):
            handler = HANDLERS + 4 * vector
            self.processor.write_physical(4 * vector, struct.pack("<HH", handler, 0))
            self.processor.write_physical(handler, bytes([0x0F, 0x0A, vector]))
        self.symbols: Mapping[str, int] = {}
        self.clean_state = cpu.copy()
        self.clean_memory = self.processor.memory.copy()

    def reset(self) -> None:
        """The machine as it was made."""
        self.processor.cpu[:] = self.clean_state
        self.processor.memory[:] = self.clean_memory
        self.processor.drop_derived()

    def load(self, source: str, address: int = CODE, base: int = 0) -> None:
        """Assemble for an offset in a segment with this base, and put CS:IP there."""
        assembly = assemble_text(f"DONE equ {DONE}\norg {address:#x}\n{source}", bits=16)
        self.symbols = assembly.symbols
        self.processor.write_physical(base + address, assembly.bytes)
        self.processor.cpu[state.SELECTOR + CS] = base >> 4
        self.processor.cpu[state.BASE + CS] = base
        self.processor.eip = address

    def run(self, budget: int = 10_000) -> Exit:
        return self.processor.run(budget)

    def finish(self) -> None:
        """Run to `trapdoor DONE`."""
        assert self.expect(DONE) is not None

    def expect(self, vector: int) -> tuple[int, int, int]:
        """Run to an event of this vector: IP, CS and FLAGS on the stack."""
        reason = self.run()
        assert reason == Exit.TRAPDOOR, f"{reason!r} {self.processor.detail}"
        assert self.processor.detail[0] == vector, f"event {self.processor.detail[0]}"
        ip, cs, flags = (self.peek((self.sp + at) & 0xFFFF, 2) for at in (0, 2, 4))
        return ip, cs, flags

    @property
    def sp(self) -> int:
        return int(self.processor.gpr[ESP]) & 0xFFFF

    def register(self, number: int) -> int:
        return int(self.processor.gpr[number])

    def peek(self, address: int, size: int = 4) -> int:
        return int.from_bytes(self.processor.read_physical(address, size), "little")

    def poke(self, address: int, value: int, size: int = 4) -> None:
        self.processor.write_physical(address, value.to_bytes(size, "little"))
