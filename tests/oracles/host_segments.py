"""Segments as the host's own processor sees them: loads, limits, types, far transfers, queries.

Unicorn checks no limits; this is the oracle for them. A scene is a few instructions that load a
segment register with a selector of the local descriptor table and use it near its limit.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from random import Random

from isa import state, vectors
from isa.exits import Exit
from isa.modes import refresh
from isa.registers import ATTR_DPL_SHIFT, CS, EBX, EFLAGS_IF, EFLAGS_STATUS, ESP, LDTR, SS, TR
from tests.oracles.host_machine import HostMachine, LocalSegment
from tests.oracles.host_pair import INT3, HostPair
from tests.oracles.instruction_cases import STACK_PAGE, WINDOW, WINDOW_BYTES, number
from tests.oracles.paired_machines import BASES, GDT, RAM_BYTES, TRAPDOOR, describe

TABLE = 0x2000  # of our machine: its local descriptor table
IDT, TSS, HANDLERS, STACK_0 = 0x3000, 0x2C00, 0x3800, 0x3F00  # likewise
TARGET = 0x40  # offset behind the scene where far transfers lead
FIRST_OTHER = 7
LAR_UNDEFINED = 0x000F0000  # SDM vol. 2, LAR: bits 16 to 19 of the result
PARTIAL = frozenset({"far call", "push all in ss", "enter in ss"})

# Name -> instructions, as bytes each. AX holds the selector; the offset is in ECX, EDI and ESP.
LOADS = {"es": "8E C0", "ss": "8E D0", "ds": "8E D8", "fs": "8E E0", "gs": "8E E8"}
PREFIXES = {"es": "26 ", "ss": "36 ", "ds": "3E ", "fs": "64 ", "gs": "65 "}
SHORT_ADDRESS = "read with 16-bit address"
USES = {
    "read a byte": "8A 19",
    "read a word": "66 8B 19",
    "read a doubleword": "8B 19",
    "write a byte": "88 19",
    "write a word": "66 89 19",
    "write a doubleword": "89 19",
    "add to a doubleword": "01 19",
    "exchange": "87 19",
    "test a bit": "0F BA 21 05",
    "set a bit": "0F BA 29 05",
    SHORT_ADDRESS: "67 8B 1D",
    "compare and exchange 8": "0F C7 09",
}
STACK_USES = {
    "push": "53", "push a word": "66 53", "pop": "5B", "pop a word": "66 5B", "push all": "60",
    "pop all": "61", "push flags": "9C", "enter": "C8 08 00 02", "leave": "C9",
    "push memory": "FF 35 00 41 00 00", "pop memory": "8F 05 00 41 00 00",
}  # fmt: skip
STRING_USES = {"rep stosb": "F3 AA", "rep stosd": "F3 AB", "repne scasb": "F2 AE", "stosw": "66 AB"}
QUERIES = {
    "LAR": "0F 02 D8", "LAR, 16-bit": "66 0F 02 D8", "LSL": "0F 03 D8",
    "LSL, 16-bit": "66 0F 03 D8",
    "VERR": "0F 00 E0", "VERW": "0F 00 E8", "ARPL": "63 C8",
}  # fmt: skip


KINDS = ("use", "use", "use", "string", "stack", "stack", "query", "far", "pointer")


@dataclass(frozen=True)
class Scene:
    """Instructions, the state before them, and how many there are."""

    what: str
    address: int
    instructions: tuple[bytes, ...]
    registers: tuple[int, ...]
    eflags: int
    patches: tuple[tuple[int, bytes], ...] = ()

    @property
    def code(self) -> bytes:
        return b"".join(self.instructions)

    def __str__(self) -> str:
        values = " ".join(f"{value:08x}" for value in self.registers)
        return f"{self.what}: {self.code.hex(' ')}, registers {values}"


def random_segment(rng: Random) -> LocalSegment:
    """A segment in the compared window, or code."""
    contents = rng.choice((0, 0, 0, 1, 1, 2))
    pages = rng.random() < 0.25
    code = contents == 2
    limit = rng.randrange(3) if pages else rng.choice((0, 0xF, 0x7F, 0xFFF, rng.randrange(0x1000)))
    return LocalSegment(
        base=BASES[32][CS] if code else WINDOW + rng.randrange(0x800),
        limit=0x1F + rng.randrange(0x20) if code and pages else 0x10000 + limit if code else limit,
        contents=contents,
        big=rng.random() < 0.6,
        protected=rng.random() < 0.3,
        pages=pages,
        present=rng.random() < 0.9,
    )


class HostSegmentPair(HostPair):
    """Our processor at ring 3 with a local descriptor table, and the host's with the same."""

    def __init__(self, seed: int = 11, segments: int = 40) -> None:
        rng = Random(seed)
        self.others = [random_segment(rng) for _ in range(segments)]
        super().__init__(32)

    def make_other(self) -> HostMachine:
        self.undefined = Counter()
        return HostMachine(RAM_BYTES, BASES[32], True, self.others)

    def _set_our_segments(self, selectors: object) -> None:
        super()._set_our_segments(self.other.selectors)
        cpu = self.ours.cpu
        cpu[state.ATTRIBUTES : state.ATTRIBUTES + 6] |= 3 << ATTR_DPL_SHIFT
        cpu[state.CPL] = 3
        cpu[state.SELECTOR + LDTR] = 0x28
        cpu[state.BASE + LDTR] = TABLE
        cpu[state.LIMIT + LDTR] = 8 * (len(self.other.segments) + 1) - 1
        cpu[state.ATTRIBUTES + LDTR] = 0x82
        self._set_up_handlers()
        table = bytes(8) + b"".join(segment.descriptor() for segment in self.other.segments)
        self.ours.write_physical(TABLE, table)
        refresh(cpu, self.ours.core)
        self.setup = cpu.copy()

    def _set_up_handlers(self) -> None:
        """Handlers in ring 0 for our machine, so that faults show their error codes."""
        cpu, ours = self.ours.cpu, self.ours
        ours.write_physical(GDT, struct.pack("<3Q", 0, describe(0, 0x1B, 1), describe(0, 0x13, 1)))
        cpu[state.GDTR_BASE], cpu[state.GDTR_LIMIT] = GDT, 8 * 3 - 1
        gates = b"".join(
            struct.pack("<HHHH", HANDLERS + 8 * vector, 0x08, 0x8E00, 0) for vector in range(32)
        )
        ours.write_physical(IDT, gates)
        cpu[state.IDTR_BASE], cpu[state.IDTR_LIMIT] = IDT, len(gates) - 1
        for vector in range(32):
            ours.write_physical(HANDLERS + 8 * vector, bytes([*TRAPDOOR[:2], vector]))
        ours.write_physical(TSS + 4, struct.pack("<II", STACK_0, 0x10))
        cpu[state.SELECTOR + TR], cpu[state.BASE + TR], cpu[state.LIMIT + TR] = 0x30, TSS, 0x67
        cpu[state.ATTRIBUTES + TR] = 0x8B

    # --- scenes --------------------------------------------------------------------------------

    def scene(self, rng: Random) -> Scene:
        """A random scene."""
        chosen = rng.randrange(FIRST_OTHER, FIRST_OTHER + len(self.others))
        segment = self.others[chosen - FIRST_OTHER]
        selector = chosen << 3 | 4 | rng.randrange(4)
        kind = rng.choice(KINDS)
        if rng.random() < 0.05:
            selector = rng.choice((0, 3, 8 * (len(self.others) + FIRST_OTHER) | 7, 0xFFF7))
        registers = [number(rng) for _ in range(8)]
        registers[0] = rng.getrandbits(16) << 16 | selector
        registers[4] = STACK_PAGE + 0x800
        offset = self._offset(rng, segment)
        self.here = self.place(2 * TARGET)
        make = getattr(self, f"_{kind}")
        scene: Scene = make(rng, registers, selector, offset)
        return scene

    def _offset(self, rng: Random, segment: LocalSegment) -> int:
        """An offset near the end of a segment, in the window as far as it is inside."""
        end = segment.limit << 12 | 0xFFF if segment.pages else segment.limit
        near = end + rng.randrange(-9, 10)
        if segment.contents == 2:  # its base is 0: what both have in common
            return near if rng.random() < 0.5 else WINDOW + rng.randrange(0x1800)
        if rng.random() < 0.1:
            return rng.choice((0xFFFF, 0xFFFE, 0xFFFD, 0xFFFC))
        offset = near if rng.random() < 0.8 else rng.randrange(0x1800)
        return offset & 0xFFFFFFFF if offset < 0x3000 else offset & 0xFFF

    def _use(self, rng: Random, registers: list[int], _selector: int, offset: int) -> Scene:
        register = rng.choice(("ds", "es", "fs", "gs"))
        name = rng.choice(tuple(USES))
        if name == SHORT_ADDRESS and offset > 0xFFFF:
            name = "read a doubleword"
        registers[1] = offset
        registers[7] = registers[7] & 0xFFFF0000 | offset & 0xFFFF
        code = (LOADS[register], PREFIXES[register] + USES[name])
        return self._made(f"{name} in {register}", code, registers, rng)

    def _string(self, rng: Random, registers: list[int], _selector: int, offset: int) -> Scene:
        name = rng.choice(tuple(STRING_USES))
        registers[1] = rng.randrange(40)
        registers[7] = offset
        registers[0] = registers[0] & 0xFFFF | 0x55550000
        return self._made(f"{name} in es", (LOADS["es"], STRING_USES[name]), registers, rng, 0x400)

    def _stack(self, rng: Random, registers: list[int], _selector: int, offset: int) -> Scene:
        name = rng.choice(tuple(STACK_USES))
        registers[4] = registers[5] = offset
        return self._made(f"{name} in ss", (LOADS["ss"], STACK_USES[name]), registers, rng)

    def _query(self, rng: Random, registers: list[int], _selector: int, _offset: int) -> Scene:
        name = rng.choice(tuple(QUERIES))
        return self._made(name, (QUERIES[name],), registers, rng)

    def _far(self, rng: Random, registers: list[int], selector: int, _offset: int) -> Scene:
        target = (self.here + TARGET).to_bytes(4, "little").hex()
        far = target + selector.to_bytes(2, "little").hex()
        push = "68" + selector.to_bytes(4, "little").hex()
        scenes = {
            "jump": ("EA" + far,),
            "call": ("9A" + far,),
            "return": (push, "68" + target, "CB"),
            "return and release": (push, "68" + target, "CA 08 00"),
            "IRET": ("9C", push, "68" + target, "CF"),
        }
        name = rng.choice(tuple(scenes))
        return self._made(f"far {name}", scenes[name], registers, rng)

    def _pointer(self, rng: Random, registers: list[int], selector: int, offset: int) -> Scene:
        name = rng.choice(("C4", "C5", "0F B2", "0F B4", "0F B5"))
        patch = (WINDOW + 0x300, offset.to_bytes(4, "little") + selector.to_bytes(2, "little"))
        code = (f"{name} 1D 00 43 00 00",)
        return self._made(f"pointer {name}", code, registers, rng, patches=(patch,))

    def _made(
        self,
        what: str,
        code: tuple[str, ...],
        registers: list[int],
        rng: Random,
        flags: int = 0,
        patches: tuple[tuple[int, bytes], ...] = (),
    ) -> Scene:
        eflags = 2 | rng.getrandbits(12) & EFLAGS_STATUS | (flags if rng.random() < 0.5 else 0)
        instructions = tuple(bytes.fromhex(text) for text in code)
        return Scene(what, self.here, instructions, tuple(registers), eflags, patches)

    # --- comparing -----------------------------------------------------------------------------

    def scene_differences(self, scene: Scene) -> list[str]:
        """What differs after a scene."""
        place = self.code_base + scene.address
        for write in (self.ours.write_physical, self.other.write):
            write(WINDOW, self.template)
            for at, data in scene.patches:
                write(at, data)
            write(place, scene.code + INT3)
            write(place + TARGET, INT3 * 16)
        self.other.set_registers(scene.registers, scene.eflags)
        expected = self.other.run(scene.address, step=False)
        general, eip, eflags = self.other.registers()
        fault = self._run_scene(scene)
        self.cases += 1
        found = []
        if fault != expected:
            found.append(f"fault: ours {fault}, the other {expected}")
        elif fault is not None and self.error_code != self.other.error_code:
            found.append(
                f"error code: ours {self.error_code:#x}, the other {self.other.error_code:#x}"
            )
        if self.ours.eip != eip:
            found.append(f"eip: ours {self.ours.eip:#x}, the other {eip:#x}")
        mine = [int(value) for value in self.ours.gpr]
        restartable = fault is not None and scene.what == "pop all in ss"
        found += [
            f"register {n}: ours {a:#x}, the other {b:#x}"
            for n, (a, b) in enumerate(zip(mine, general, strict=True))
            if (a ^ b) & ~(LAR_UNDEFINED if scene.what == "LAR" and n == EBX else 0)
            and not (restartable and n != ESP)  # may have loaded some, and will load them again
        ]
        selectors = [int(value) for value in self.ours.cpu[state.SELECTOR : state.SELECTOR + 6]]
        if selectors != self.other.loaded_selectors():
            found.append(f"selectors: ours {selectors}, the other {self.other.loaded_selectors()}")
        if (self.ours.eflags ^ eflags) & EFLAGS_STATUS:
            found.append(f"eflags: ours {self.ours.eflags:#x}, the other {eflags:#x}")
        if fault is not None and scene.what in PARTIAL:
            self._forget_unfinished_pushes(scene)
        found += self.memory_differences()
        return ["\n    ".join([str(scene), *found])] if found else []

    def _forget_unfinished_pushes(self, scene: Scene) -> None:
        """What these push before they fault lies below the stack pointer, which they leave alone.

        The SDM's pseudo-code of a far CALL checks the target's limit before it pushes, AMD's
        processors after.
        """
        base = 0
        if scene.what != "far call":
            chosen = (scene.registers[0] >> 3 & 0x1FFF) - FIRST_OTHER
            if not 0 <= chosen < len(self.others):
                return  # the stack segment was not loaded
            base = self.others[chosen].base
        for end in (base + scene.registers[ESP], base + 0x10000):  # a 16-bit stack wraps around
            places = slice(end - 48, end + 8)
            self.other.memory[places] = self.ours.memory[places]

    def _run_scene(self, scene: Scene) -> int | None:
        ours = self.ours
        ours.cpu[:] = self.setup
        ours.gpr[:] = scene.registers
        ours.eflags = scene.eflags | EFLAGS_IF
        ours.eip = scene.address
        refresh(ours.cpu, ours.core)
        reason = ours.run(len(scene.instructions))
        while reason == Exit.YIELD:  # of a repeated string instruction, always the last one
            reason = ours.run(1)
        if reason == Exit.BUDGET:
            if ours.cpl == 3:
                return None
            reason = ours.run(1)  # the trapdoor of a handler
        assert reason == Exit.TRAPDOOR, f"{reason!r} after {scene}"
        return self._fault_delivered()

    def _fault_delivered(self) -> int:
        """Take the state back that a fault has saved on the stack of ring 0; its vector."""
        ours = self.ours
        vector, place = ours.detail[0], int(ours.gpr[ESP])
        self.error_code = 0
        if vectors.PUSHES_ERROR_CODE >> vector & 1:
            self.error_code = int.from_bytes(ours.read_physical(place, 4), "little")
            place += 4
        eip, cs, eflags, esp, ss = struct.unpack("<5I", ours.read_physical(place, 20))
        ours.eip, ours.eflags, ours.gpr[ESP] = eip, eflags, esp
        ours.cpu[state.SELECTOR + CS], ours.cpu[state.SELECTOR + SS] = cs, ss
        return vector


assert WINDOW <= 0x4100 < WINDOW + WINDOW_BYTES, "what memory operands of the stack use"
