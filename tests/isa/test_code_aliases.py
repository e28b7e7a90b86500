"""Code in pages that are mapped many times, moved, written by everybody and run in both sizes.

Two machines do the same: one as usual, one that forgets everything derived before each instruction.
Four frames hold routines of one outline (instructions agree in their places, not in immediates),
so that any frame may follow any other where an instruction crosses a page. Routines store into the
immediates of routines through any alias, also across page ends; the host writes too, and moves
pages and invalidates them.
"""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from isa import state
from isa.exits import Exit
from isa.jit import ENABLED
from isa.modes import MODE_CODE32
from isa.registers import ATTR_DB, CS, EAX, EBX, EDI, ESP
from isa.stale_translations import TlbMode
from isa.workspace import MODE
from tests.isa.assembly_machine import CODE0, DONE, STACK, TRAPDOOR, AssemblyMachine
from tests.isa.paged_machine import set_page, use_paging

pytestmark = pytest.mark.bounds

FRAMES = tuple(range(0x40000, 0x44000, 0x1000))
LOW = tuple(range(0xC000, 0x10000, 0x1000))  # linear pages that 16-bit code can store to
HIGH = tuple(range(0x300000, 0x306000, 0x1000))
END = TRAPDOOR + bytes([DONE])
ROUTINES = 6
NOWHERE = 0x7000  # what the pointer of the other code size holds

# Alike in 16- and 32-bit code; an immediate of one byte is the last one.
SHORT_OPERATIONS = (b"\x04?", b"\x34?", b"\x2c?", b"\x80\xc2?", b"\x80\xf1?", b"\x83\xd0?", b"\x40")
JUMP = b"\xeb\x01\xf4"  # over a HLT
SHORT_STORES = (b"\x88\x07", b"\x00\x07", b"\xfe\x07", b"\x30\x0f")  # to [EDI], or [BX]
# 32-bit code with immediates of four bytes.
LONG_OPERATIONS = (b"\x05????", b"\x35????", b"\x81\xc2????", b"\x81\xd9????", b"\x69\xc0????")
LONG_STORES = (b"\x89\x07", b"\x01\x07", b"\xff\x07", b"\x31\x0f")


class Outline:
    """Where the instructions of a frame are. '?' stands for a byte of an immediate."""

    def __init__(self, rng: Random, is_short: bool) -> None:
        self.rng = rng
        self.is_short = is_short
        self.template = bytearray(b"\xf4" * 4096)
        self.immediates: list[int] = []  # offsets of their first bytes
        crossing = bytes(rng.choice(SHORT_OPERATIONS[:6] if is_short else LONG_OPERATIONS))
        cut = rng.randrange(1, len(crossing) + 1)  # at the most it ends with the page
        self.entries = [self._place(0x100 * number, b"") for number in range(1, ROUTINES)]
        self._place(0, crossing[cut:])
        lead = b"".join(rng.choice(self._plain()) for _ in range(rng.randrange(3)))
        start = 4096 - cut - len(lead)
        self.template[start:] = lead + crossing[:cut]
        self._note(start, lead + crossing)
        self.entries.append(start)

    def _plain(self) -> tuple[bytes, ...]:
        return SHORT_OPERATIONS if self.is_short else LONG_OPERATIONS

    def _place(self, at: int, beginning: bytes) -> int:
        stores = SHORT_STORES if self.is_short else LONG_STORES
        kinds = (self._plain(), self._plain(), stores, stores, (JUMP,))
        parts = [self.rng.choice(self.rng.choice(kinds)) for _ in range(7)]
        code = beginning + b"".join(parts)
        self.template[at : at + len(code) + len(END)] = code + END
        self._note(at + len(beginning), b"".join(parts))
        return at

    def _note(self, at: int, code: bytes) -> None:
        size = 1 if self.is_short else 4
        index = code.find(b"?")
        while index >= 0:
            self.immediates.append(at + index)
            index = code.find(b"?", index + size)

    def frame(self) -> bytes:
        """A frame with immediates of its own."""
        return bytes(self.rng.randrange(256) if byte == 0x3F else byte for byte in self.template)


class Aliases:
    """One of the machines."""

    def __init__(self, tlb: TlbMode, forgets: bool) -> None:
        self.machine = AssemblyMachine(tlb=tlb)
        self.forgets = forgets
        self.clean = self.machine.processor.cpu.copy()

    def begin(self, frames: list[bytes]) -> None:
        self.machine.reset()
        use_paging(self.machine)
        for at, data in zip(FRAMES, frames, strict=True):
            self.machine.processor.write_physical(at, data)

    def move(self, linear: int, frame: int) -> None:
        set_page(self.machine, linear, frame | 7)
        self.machine.processor.invlpg(linear)

    def run(self, page: int, offset: int, bits: int, target: int, value: int) -> None:
        processor = self.machine.processor
        cpu = processor.cpu
        base = page if bits == 16 else 0
        cpu[state.BASE + CS] = base
        cpu[state.SELECTOR + CS] = CODE0
        cpu[state.ATTRIBUTES + CS] &= ~ATTR_DB
        cpu[state.ATTRIBUTES + CS] |= ATTR_DB if bits == 32 else 0
        processor.eip = page - base + offset
        processor.gpr[EAX] = value
        processor.gpr[EBX], processor.gpr[EDI] = (target, NOWHERE)[:: 1 if bits == 16 else -1]
        processor.gpr[ESP] = STACK
        if self.forgets:
            reason = Exit.BUDGET
            while reason == Exit.BUDGET:
                processor.drop_derived()
                reason = processor.run(1)
        else:
            reason = processor.run(1000)
        assert (reason, processor.detail[0]) == (Exit.TRAPDOOR, DONE)
        assert processor.core[MODE] & MODE_CODE32 == (bits == 32)

    @property
    def outcome(self) -> tuple[list[int], bytes]:
        """Registers and memory; what the caches cost is left out."""
        cpu = self.machine.processor.cpu.copy()
        cpu[state.CYCLES] = 0
        return cpu.tolist(), self.machine.processor.memory.tobytes()


def steps(rng: Random, outline: Outline, pair: list[Aliases], count: int) -> None:
    """The same random things done to all machines, compared after every run."""
    mapped = {page: rng.choice(FRAMES) for page in (*LOW, *HIGH)}
    for each in pair:
        for page, frame in mapped.items():
            each.move(page, frame)
    for _ in range(count):
        match rng.randrange(6):
            case 0:
                page, frame = rng.choice((*LOW, *HIGH)), rng.choice(FRAMES)
                for each in pair:
                    each.move(page, frame)
            case 1:
                at = rng.choice(FRAMES[:-1]) + rng.choice(outline.immediates)
                data = rng.randbytes(1 if outline.is_short else 4)
                for each in pair:
                    each.machine.processor.write_physical(at, data)
            case _:
                bits = rng.choice((16, 32)) if outline.is_short else 32
                pages = (*LOW[:-1], *HIGH[:-1])
                target = rng.choice(LOW[:-1] if bits == 16 else pages)
                target += rng.choice(outline.immediates)
                page, offset = rng.choice(pages), rng.choice(outline.entries)
                value = rng.getrandbits(32)
                for each in pair:
                    each.run(page, offset, bits, target, value)
                first, *others = (each.outcome for each in pair)
                for other in others:
                    assert other[0] == first[0]
                    assert np.array_equal(
                        np.frombuffer(other[1], np.uint8), np.frombuffer(first[1], np.uint8)
                    )


@pytest.fixture(scope="module")
def pair():
    return [
        Aliases(TlbMode.NORMAL, forgets=False),
        Aliases(TlbMode.NORMAL, forgets=True),
        Aliases(TlbMode.KEEP, forgets=False),
    ]


@pytest.mark.parametrize("is_short", [True, False], ids=["both_sizes", "long"])
@pytest.mark.parametrize("seed", range(40 if ENABLED else 12))
def test_aliases_stores_and_moves_do_not_depend_on_the_caches(pair, seed, is_short):
    rng = Random(f"{seed} {is_short}")
    outline = Outline(rng, is_short)
    frames = [outline.frame() for _ in FRAMES]
    for each in pair:
        each.begin(frames)
    steps(rng, outline, pair, 60 if ENABLED else 40)
    assert not pair[2].machine.processor.stale_translations
