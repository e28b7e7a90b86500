"""Effective addresses: which register is base and index, and how wide the displacement is.

Of several encodings NASM's is taken: the register written first is the base unless it is
multiplied; `[eax*2]` becomes `[eax+eax]`, which is shorter; a displacement takes one byte when it
is a known number that fits, and none when it is zero. The bytes are made by isa/encoder.py.

Source: SDM vol. 2A, "ModR/M and SIB Bytes".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from isa.instruction import Register
from tools.assembler.errors import SourceError
from tools.assembler.expressions import registers_in
from tools.assembler.hints import BASE, NOT_BASE, SUMMED, Hint
from tools.assembler.values import Linear, Term, Value

ESP: Final = 4
EBP: Final = 5

_BASES_16: Final = ("bx", "bp")
_INDEXES_16: Final = ("si", "di")


class Wishes(NamedTuple):
    """What the keywords in an address ask for."""

    nosplit: bool = False
    displacement: int = 0  # bits asked for by `[byte …]`, `[word …]`, `[dword …]`


@dataclass(frozen=True, slots=True)
class Address:
    """An address with every choice made. `size` is that of ModRM, SIB and displacement."""

    bits: int
    base: Register | None
    index: Register | None
    scale: int
    displacement: Value
    displacement_bits: int
    size: int

    @property
    def is_direct(self) -> bool:
        """Whether the displacement is all there is."""
        return self.base is None and self.index is None


def choose_address(value: Value, wishes: Wishes, hint: Hint, default_bits: int) -> Address:
    """Make the choices for `[value]` in code of the given size."""
    registers = registers_in(value)
    if not registers:
        bits = wishes.displacement if wishes.displacement in {16, 32} else default_bits
        return Address(bits, None, None, 1, value, bits, 1 + bits // 8)
    displacement = _without_registers(value)
    for register, _ in registers:
        if register.file not in {"r16", "r32"}:
            raise SourceError(f"register {register.name} cannot be used in an address")
    if len({register.file for register, _ in registers}) > 1:
        raise SourceError("an address cannot mix 16-bit and 32-bit registers")
    if wishes.displacement not in {0, 8, registers[0][0].bits}:
        raise SourceError(
            f"a {wishes.displacement}-bit displacement beside a {registers[0][0].bits}-bit register"
        )
    if registers[0][0].file == "r16":
        return _choose_16(registers, displacement, wishes)
    return _choose_32(registers, displacement, wishes, hint)


def _without_registers(value: Value) -> Value:
    if isinstance(value, int):
        return value
    rest: dict[Term, int] = {
        term: count for term, count in value.terms.items() if not isinstance(term, Register)
    }
    return Linear(value.constant, rest) if rest else value.constant


def _displacement_bits(needs_one: bool, value: Value, wishes: Wishes, bits: int) -> int:
    """Bits of displacement behind a base; `needs_one` for the base that cannot do without."""
    wanted = wishes.displacement
    if wanted == 8:
        return 8
    if isinstance(value, int) and not wanted:
        small = signed(value, bits)
        if small == 0 and not needs_one:
            return 0
        if -128 <= small <= 127:
            return 8
    return bits


def signed(value: int, bits: int) -> int:
    """The value modulo 2**bits, as a signed number."""
    half = 1 << (bits - 1)
    return ((value + half) & (2 * half - 1)) - half


def _choose_16(
    registers: list[tuple[Register, int]], displacement: Value, wishes: Wishes
) -> Address:
    if any(count != 1 for _, count in registers):
        raise SourceError("a 16-bit address cannot multiply a register")
    bases = [register for register, _ in registers if register.name in _BASES_16]
    indexes = [register for register, _ in registers if register.name in _INDEXES_16]
    if len(bases) > 1 or len(indexes) > 1 or len(bases) + len(indexes) != len(registers):
        names = "+".join(register.name for register, _ in registers)
        raise SourceError(f"[{names}] is not an address: bx or bp, si or di, or one of each")
    base = bases[0] if bases else None
    index = indexes[0] if indexes else None
    needs_one = index is None and base is not None and base.name == "bp"
    bits = _displacement_bits(needs_one, displacement, wishes, 16)
    if base is None:
        base, index = index, None
    return Address(16, base, index, 1, displacement, bits, 1 + bits // 8)


def _choose_32(
    registers: list[tuple[Register, int]], displacement: Value, wishes: Wishes, hint: Hint
) -> Address:
    base, index, scale = _base_and_index(registers, wishes, hint)
    if index is not None and index.number == ESP and scale == 1 and base is not None:
        base, index = index, base
    if index is not None and index.number == ESP:
        raise SourceError("esp cannot be an index register")
    if index is not None and scale not in {1, 2, 4, 8}:
        raise SourceError(f"a register can be multiplied by 1, 2, 4 or 8, not by {scale}")
    bits = 32
    if base is not None:
        bits = _displacement_bits(base.number == EBP, displacement, wishes, 32)
    has_sib = index is not None or (base is not None and base.number == ESP)
    return Address(32, base, index, scale, displacement, bits, 1 + has_sib + bits // 8)


def _base_and_index(
    registers: list[tuple[Register, int]], wishes: Wishes, hint: Hint
) -> tuple[Register | None, Register | None, int]:
    """Which register is the base, which the index, and the index's scale."""
    if len(registers) > 2:
        raise SourceError("an address has at most two registers")
    ordered = sorted(registers, key=lambda pair: pair[0].name)
    if len(ordered) == 2:
        return _two_registers(ordered, hint)
    register, count = ordered[0]
    may_split = not wishes.nosplit or hint.kind == SUMMED
    splits = (count == 2 and may_split) or count in {3, 5, 9}
    if splits and register.number != ESP:
        return register, register, count - 1
    keeps_factor = wishes.nosplit and hint.kind == NOT_BASE
    if count == 1 and not (keeps_factor and register.number != ESP):
        return register, None, 1
    return None, register, count


def _two_registers(
    ordered: list[tuple[Register, int]], hint: Hint
) -> tuple[Register, Register, int]:
    (base, base_count), (index, scale) = ordered
    if base_count != 1:
        base, base_count, index, scale = index, scale, base, base_count
    if base_count != 1:
        raise SourceError("an address can multiply one register only")
    if scale == 1:
        not_base = hint.kind == NOT_BASE and hint.register == base
        make_base = hint.kind == BASE and hint.register == index
        if not_base or make_base:
            base, index = index, base
    return base, index, scale
