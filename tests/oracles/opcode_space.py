"""All of the opcode space: every opcode, ModRM.reg and kind of operand, with and without LOCK."""

from __future__ import annotations

from collections.abc import Iterator

from isa.notation import PREFIX_BYTES

# What follows ModRM: SIB, displacement and immediates of anything. As an address it stays small.
TAIL = bytes.fromhex("24 10 00 00 00 01 00 00 00 02 00")
ESCAPE = 0x0F
FLOATING_POINT = range(0xD8, 0xE0)


def opcodes() -> Iterator[bytes]:
    """Opcodes of one and two bytes that are neither prefixes nor the escape byte."""
    for opcode in range(256):
        if opcode not in PREFIX_BYTES and opcode != ESCAPE:
            yield bytes([opcode])
    for opcode in range(256):
        yield bytes([ESCAPE, opcode])


def modrms(turn: int) -> Iterator[int]:
    """Every ModRM.reg with memory and with a register; the rest of the byte changes with `turn`."""
    for digit in range(8):
        place = turn * 8 + digit
        yield (place % 3) << 6 | digit << 3 | place // 3 % 8
        yield 0xC0 | digit << 3 | place % 8


def vectors(prefixes: tuple[bytes, ...]) -> Iterator[bytes]:
    """Instructions, or bytes that are none: 16 for every prefix and opcode."""
    turn = 0
    for prefix in prefixes:
        for opcode in opcodes():
            turn += 1
            for modrm in modrms(turn):
                yield prefix + opcode + bytes([modrm]) + TAIL
