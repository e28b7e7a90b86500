"""What instructions work on: general registers, status flags, a memory operand, the stack.

A *context* gives all of them a value. The same contexts are used for every form: selectors of all
kinds, values of control registers, flags, frames that returns can take, numbers of model-specific
registers, and random ones from the seed.
"""

import random
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Final

import numpy as np

from isa.registers import EAX, EBP, EBX, ECX, EDI, EDX, ESI, ESP, GPR_NAMES
from tools.popek_goldberg import world
from tools.popek_goldberg.instances import TARGET_OFFSETS
from tools.popek_goldberg.states import Words

MEMORY_BYTES: Final = 32
STACK_BYTES: Final = 48
PORT: Final = 0x44
STATUS: Final = (0x1, 0x4, 0x10, 0x40, 0x80, 0x800)  # CF PF AF ZF SF OF

SELECTORS: Final = (
    world.DATA3 | 3,
    world.CODES[0],
    0,
    world.STACKS[0],
    world.CODES[3] | 3,
    world.CONFORMING | 3,
    world.READ_ONLY | 3,
    world.CALL_GATE | 3,
    world.TABLES[1],
    world.SPARE_TASK,
    0x0F,  # of the LDT
    world.PARAGRAPHS[0] + 8,
    world.STACKS[1] | 1,
)
FLAG_IMAGES: Final = (0x0002, 0x3202, 0x3002, 0x0246)  # IF and IOPL clear; set; IOPL; IF, ZF, PF
FRAME_CODES: Final = (
    world.CODES[3] | 3,
    world.CODES[0],
    world.CONFORMING | 3,
    world.PARAGRAPHS[0],
)
# EAX and ECX for control registers, CPUID and model-specific registers.
REGISTER_VALUES: Final = (
    (0x80000019, 0x174),  # CR0 with TS set
    (0x8, 0x175),  # CR4 with DE set
    (0xE018, 0x176),  # CR3 with other cache bits
    (0xFEE01800, 0x1B),
    (0x1, 0x10),
    (0x0, 0x1),
    (0x400, 0x0),  # DR7 with nothing enabled
)

# Where pointers point, as linear addresses, and through which segment (by its place in the states
# of 16-bit modes).
_POINTERS: Final = {
    EBX: (world.DATA, 1),
    EBP: (world.DATA, 2),
    ESI: (world.DATA, 1),
    EDI: (world.DATA, 3),
    ESP: (world.STACK, 2),
}


@dataclass(frozen=True)
class Context:
    """Values of everything that instructions work on.

    Attributes:
        registers: EAX, ECX and EDX; the others point to the operand or the stack.
        memory: at world.DATA.
        stack: at world.STACK, by size of code.
        flags: status flags.
        zeroed: pointers that are zero instead, because a witness does not need them.
    """

    number: int
    registers: tuple[int, int, int]
    memory: bytes
    stack: dict[int, bytes] = field(hash=False)
    flags: int
    zeroed: tuple[int, ...] = ()

    def general_registers(self, bits: int) -> list[int]:
        """All eight, for a size of code."""
        values = [0] * 8
        values[EAX], values[ECX], values[EDX] = self.registers
        for register, (address, place) in _POINTERS.items():
            base = world.PARAGRAPHS[0] + 8 * place << 4 if bits == 16 else 0
            values[register] = 0 if register in self.zeroed else address - base
        return values

    def register_array(self, bits: int) -> Words:
        """As an array, made once."""
        arrays: dict[int, Words] = self.__dict__.setdefault("_arrays", {})
        if bits not in arrays:
            arrays[bits] = np.array(self.general_registers(bits), np.int64)
        return arrays[bits]

    def simpler(self, bits: int) -> list["Context"]:
        """Contexts with one thing less to say."""
        found = []
        for index, value in enumerate(self.registers):
            if value:
                values = [0 if at == index else old for at, old in enumerate(self.registers)]
                found.append(replace(self, registers=(values[0], values[1], values[2])))
        found += [replace(self, memory=memory) for memory in _simpler_bytes(self.memory)]
        for stack in _simpler_bytes(self.stack[bits]):
            found.append(replace(self, stack={**self.stack, bits: stack}))
        found += [replace(self, flags=self.flags & ~bit) for bit in STATUS if self.flags & bit]
        left = [number for number in _POINTERS if number not in (ESP, *self.zeroed)]
        return found + [replace(self, zeroed=(*self.zeroed, number)) for number in left]

    def described(self, bits: int) -> dict[str, str]:
        """What is not zero, in words: the part of an initial state that matters."""
        found = {}
        for number, value in enumerate(self.general_registers(bits)):
            if value and number != ESP:
                found[GPR_NAMES[number]] = f"{value:#x}"
        if any(self.memory):
            found["operand in memory"] = self.memory.rstrip(b"\0").hex(" ")
        if any(self.stack[bits]):
            found["stack"] = self.stack[bits].rstrip(b"\0").hex(" ")
        if self.flags:
            found["status flags"] = f"{self.flags:#x}"
        return found


def _simpler_bytes(data: bytes) -> list[bytes]:
    """All zero; then, from the end, with one word less that is not."""
    places = [at for at in range(0, len(data), 2) if any(data[at : at + 2])]
    words = [data[:at] + b"\0\0" + data[at + 2 :] for at in reversed(places)]
    return [bytes(len(data)), *words] if places else []


def make_contexts(seed: int) -> list[Context]:
    """The contexts of a seed; their number is the same for every seed."""
    source = random.Random(seed)
    stacks = _stacks(source)
    registers = _registers(source)
    memories = _memories(source)
    count = max(len(stacks), len(registers), len(memories))
    return [
        Context(
            number,
            registers[number % len(registers)],
            memories[number % len(memories)],
            stacks[number % len(stacks)],
            _flags(source, number),
        )
        for number in range(count)
    ]


def _flags(source: random.Random, number: int) -> int:
    """Status flags; OF is set every other time."""
    flags = sum(bit for bit in STATUS[:-1] if source.random() < 0.5)
    return flags | (STATUS[-1] if number % 2 else 0)


def _registers(source: random.Random) -> list[tuple[int, int, int]]:
    """EAX, ECX, EDX: random, a divisible number, an index within bounds, selectors, the rest."""
    found = [(source.getrandbits(32), source.randrange(1, 32), PORT)]
    found.append((source.randrange(1, 0x100), 0x7FFF0005, 0))
    found += [(selector, source.randrange(1, 16), PORT) for selector in SELECTORS]
    found += [(value, number, 0) for value, number in REGISTER_VALUES]
    return found


def _memories(source: random.Random) -> list[bytes]:
    found = [source.randbytes(MEMORY_BYTES)]
    found.append(bytes.fromhex("0000ff7fffffff7f") * 4)  # bounds in both sizes
    found += [selector.to_bytes(2, "little") * (MEMORY_BYTES // 2) for selector in SELECTORS]
    found += [(value & 0xFFFFFFFF).to_bytes(4, "little") * 8 for value, _ in REGISTER_VALUES]
    return found


def _stacks(source: random.Random) -> list[dict[int, bytes]]:
    """Random, then flags, then frames of IRET and far RET with words of both sizes, selectors."""
    noise = source.randbytes(STACK_BYTES)
    found = [{16: noise, 32: noise}]
    for image in FLAG_IMAGES:
        data = image.to_bytes(4, "little") * (STACK_BYTES // 4)
        found.append({16: data, 32: data})
    for selector in SELECTORS[:6]:
        data = selector.to_bytes(2, "little") * (STACK_BYTES // 2)
        found.append({16: data, 32: data})
    frames = product((4, 2), FRAME_CODES, (FLAG_IMAGES[0], None))
    return found + [
        {bits: _frame(size, code, flags, bits) for bits in (16, 32)} for size, code, flags in frames
    ]


def _frame(size: int, code: int, image: int | None, bits: int) -> bytes:
    """EIP, CS, EFLAGS unless there is none, ESP, SS."""
    words = [TARGET_OFFSETS[bits], code]
    if image is not None:
        words.append(image)
    words += [world.STACK, world.STACKS[3] | 3]
    return b"".join(word.to_bytes(size, "little") for word in words).ljust(STACK_BYTES, b"\0")
