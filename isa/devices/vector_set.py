"""Sets of interrupt vectors as the 256-bit registers of an APIC hold them: eight words of 32 bits.

Source: SDM vol. 3A, "Interrupt Acceptance for Fixed Interrupts".
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from isa.devices.device import DoubleWord

WORDS = 8
Words = Annotated[list[DoubleWord], msgspec.Meta(min_length=WORDS, max_length=WORDS)]


class VectorSet(msgspec.Struct):
    """Some of the vectors 0 to 255."""

    words: Words = msgspec.field(default_factory=lambda: [0] * WORDS)

    def __contains__(self, vector: int) -> bool:
        return bool(self.words[vector >> 5] >> (vector & 31) & 1)

    @property
    def highest(self) -> int:
        """The highest vector in the set, -1 if it is empty."""
        for index in range(WORDS - 1, -1, -1):
            if self.words[index]:
                return 32 * index + self.words[index].bit_length() - 1
        return -1

    def add(self, vector: int) -> None:
        """Put a vector in."""
        self.words[vector >> 5] |= 1 << (vector & 31)

    def remove(self, vector: int) -> None:
        """Take a vector out, if it is there."""
        self.words[vector >> 5] &= ~(1 << (vector & 31))

    def word(self, index: int) -> int:
        """The vectors from 32 * index on, as a register shows them."""
        return self.words[index]


def no_vectors() -> VectorSet:
    """An empty set."""
    return VectorSet()
