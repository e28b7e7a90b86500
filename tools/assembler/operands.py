"""Operands as written: registers, memory, immediates, far pointers, with their size keywords.

Parsing makes an operand once; `worth` gives what it is in one pass, ready for the choice of a form
(forms.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from isa.instruction import Register
from tools.assembler.addressing import Address, Wishes, choose_address
from tools.assembler.errors import SourceError
from tools.assembler.expressions import (
    Constant,
    Expression,
    ExpressionParser,
    Scope,
    count_registers,
    fold,
    no_registers,
    registers_in,
)
from tools.assembler.hints import Hint, hint_of
from tools.assembler.lexer import IDENTIFIER, Token
from tools.assembler.values import Value, is_unknown

SIZES: Final = {"byte": 8, "word": 16, "dword": 32, "qword": 64}
SIZE_NAMES: Final = {bits: name for name, bits in SIZES.items()}
DISTANCES: Final = frozenset({"near", "far", "short"})
_ADDRESS_WORDS: Final = frozenset({"nosplit", "abs", *SIZES})

REGISTER: Final = "register"
MEMORY: Final = "memory"
IMMEDIATE: Final = "immediate"
FAR: Final = "far pointer"

_NO_HINT: Final = Hint()

# What an immediate is good for, as bits of Shape.reach.
IS_ONE: Final = 1
FITS_16: Final = 2  # a sign-extended byte makes the same 16 bits
FITS_32: Final = 4


class Shape(NamedTuple):
    """All that the choice of a form depends on. `size` is in bits, 0 if no keyword tells."""

    kind: str
    size: int = 0
    distance: str = ""
    register: Register | None = None
    is_offset: bool = False  # memory at a displacement alone
    strict: bool = False
    reach: int = 0


class Worth(NamedTuple):
    """An operand in one pass."""

    shape: Shape
    address: Address | None = None
    value: Value = 0
    segment: Value = 0


class Operand:
    """An operand as written."""

    constant: bool = False

    def worth(self, scope: Scope, address_bits: int) -> Worth:
        """What the operand is at this place in this pass."""
        raise AssertionError

    def override(self) -> Register | None:
        """The segment register written inside of a memory operand."""
        return None


@dataclass(slots=True)
class RegisterOperand(Operand):
    """A register."""

    register: Register
    fixed: Worth
    constant: bool = True

    def worth(self, scope: Scope, address_bits: int) -> Worth:
        return self.fixed


@dataclass(slots=True)
class MemoryOperand(Operand):
    """[…]"""

    expression: Expression
    spelling: Expression | None  # the expression as written, where that matters
    size: int
    distance: str
    segment: Register | None
    wishes: Wishes
    constant: bool = False

    def worth(self, scope: Scope, address_bits: int) -> Worth:
        value = self.expression.evaluate(scope)
        hint = hint_of(self.spelling, scope) if self.spelling is not None else _NO_HINT
        address = choose_address(value, self.wishes, hint, address_bits)
        # `[byte 5]` asks for a displacement, so it is not an offset in place of ModRM.
        is_offset = address.is_direct and self.wishes.displacement != 8
        shape = Shape(MEMORY, self.size, self.distance, is_offset=is_offset)
        return Worth(shape, address)

    def override(self) -> Register | None:
        return self.segment


@dataclass(slots=True)
class ImmediateOperand(Operand):
    """A number, or the target of a branch."""

    expression: Expression
    size: int
    distance: str
    strict: bool
    constant: bool = False

    def worth(self, scope: Scope, address_bits: int) -> Worth:
        value = no_registers(self.expression.evaluate(scope))
        reach = 0
        if not self.strict:
            reach = reach_of(value) if isinstance(value, int) else _reach_of_address(value)
        shape = Shape(IMMEDIATE, self.size, self.distance, strict=self.strict, reach=reach)
        return Worth(shape, value=value)


@dataclass(slots=True)
class FarOperand(Operand):
    """segment:offset"""

    segment: Expression
    offset: Expression
    size: int
    constant: bool = False

    def worth(self, scope: Scope, address_bits: int) -> Worth:
        segment = no_registers(self.segment.evaluate(scope))
        offset = no_registers(self.offset.evaluate(scope))
        return Worth(Shape(FAR, self.size), value=offset, segment=segment)


def reach_of(value: int) -> int:
    """Which shorter encodings a known number has."""
    reach = IS_ONE if value == 1 else 0
    if (value + 128) & 0xFFFF <= 255:
        reach |= FITS_16
    if (value + 128) & 0xFFFFFFFF <= 255:
        reach |= FITS_32
    return reach


def _reach_of_address(value: Value) -> int:
    """An address may be anything; an unknown symbol is hoped to be small, in the first pass."""
    return IS_ONE | FITS_16 | FITS_32 if is_unknown(value) else 0


def register_worth(register: Register) -> Worth:
    """What a register is in every pass."""
    return Worth(Shape(REGISTER, register=register))


def immediate(value: int) -> Operand:
    """A number that was not written: the 10 of AAM."""
    return ImmediateOperand(Constant(value), 0, "", False, constant=True)


def parse_operands(parser: ExpressionParser) -> list[Operand]:
    """The operands up to the end of the line."""
    operands: list[Operand] = []
    if parser.peek() is None:
        return operands
    while True:
        operands.append(_parse_operand(parser))
        if not parser.accept(","):
            parser.expect_end()
            return operands


def _keyword(token: Token | None) -> str:
    if token is None or token.kind is not IDENTIFIER or token.escaped:
        return ""
    return str(token.value)


def _parse_operand(parser: ExpressionParser) -> Operand:
    size, distance, strict = 0, "", False
    while True:
        word = _keyword(parser.peek())
        if word in SIZES:
            if size and size != SIZES[word]:
                raise SourceError(f"an operand cannot be {SIZE_NAMES[size]} and {word}")
            size = SIZES[word]
        elif word in DISTANCES:
            distance = word
        elif word == "strict":
            strict = True
        else:
            break
        parser.index += 1
    if parser.at("["):
        return _parse_memory(parser, size, distance, None)
    expression = parser.parse()
    register = _plain_register(expression)
    if parser.accept(":"):
        if register is not None and register.file == "sreg" and parser.at("["):
            return _parse_memory(parser, size, distance, register)
        offset = parser.parse()
        return FarOperand(expression, offset, size, _all_constant(expression, offset))
    if register is not None:
        if size and size != register.bits:
            raise SourceError(f"{register.name} is not a {SIZE_NAMES[size]} register")
        return RegisterOperand(register, register_worth(register))
    return ImmediateOperand(expression, size, distance, strict, _all_constant(expression))


def _all_constant(*expressions: Expression) -> bool:
    return all(isinstance(expression, Constant) for expression in expressions)


def _plain_register(expression: Expression) -> Register | None:
    """The register, if the expression is nothing but a register."""
    if not isinstance(expression, Constant) or isinstance(expression.value, int):
        return None
    found = registers_in(expression.value)
    if len(found) == 1 and found[0][1] == 1 and expression.value.constant == 0:
        return found[0][0]
    return None


def _parse_memory(
    parser: ExpressionParser, size: int, distance: str, segment: Register | None
) -> Operand:
    """[keywords segment: keywords expression]"""
    parser.expect("[")
    wishes = _wishes(parser, Wishes())
    parser.folds = False  # the spelling counts
    expression = parser.parse()
    if parser.accept(":"):
        register = _plain_register(expression)
        if register is None or register.file != "sreg":
            raise SourceError("only a segment register can stand before ':' in an address")
        segment = register
        wishes = _wishes(parser, wishes)
        expression = parser.parse()
    parser.expect("]")
    parser.folds = True
    folded = fold(expression)
    needs_hint = wishes.nosplit or count_registers(expression) > 1
    return MemoryOperand(
        folded,
        expression if needs_hint else None,
        size,
        distance,
        segment,
        wishes,
        isinstance(folded, Constant),
    )


def _wishes(parser: ExpressionParser, wishes: Wishes) -> Wishes:
    """The keywords that come next in an address, added to those before."""
    while (word := _keyword(parser.peek())) in _ADDRESS_WORDS:
        if word == "nosplit":
            wishes = wishes._replace(nosplit=True)
        elif word != "abs":
            wishes = wishes._replace(displacement=SIZES[word])
        parser.index += 1
    return wishes
