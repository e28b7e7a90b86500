"""What expressions are worth: plain integers, or integers plus terms whose size is not known yet.

A term is a section's start, a register in an effective address, or "unknown" for a symbol that a
later line defines. Sums and differences of terms are kept; when they cancel, an integer is left.
Integers are 64 bits wide and signed, as in NASM.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from isa.instruction import Register
from tools.assembler.errors import SourceError

_MASK: Final = (1 << 64) - 1
_SIGN: Final = 1 << 63


class Base:
    """Something an address is relative to, compared by identity: a section, or a mark in one.

    `address` is where it is, which is known once the sections are placed.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.address = 0


class Unknown:
    """The worth of a symbol that is not defined yet, in the first pass."""


UNKNOWN: Final = Unknown()

Term = Base | Register | Unknown


class Linear:
    """`constant` plus multiples of terms; never without terms (that is an int)."""

    __slots__ = ("constant", "terms")

    def __init__(self, constant: int, terms: Mapping[Term, int]) -> None:
        self.constant = constant
        self.terms = terms

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Linear):
            return NotImplemented
        return self.constant == other.constant and self.terms == other.terms

    def __hash__(self) -> int:
        return hash((self.constant, frozenset(self.terms.items())))


Value = int | Linear

UNKNOWN_VALUE: Final = Linear(0, {UNKNOWN: 1})


def wrap(number: int) -> int:
    """The number as a signed 64-bit integer."""
    if -_SIGN <= number < _SIGN:
        return number
    return ((number + _SIGN) & _MASK) - _SIGN


def is_unknown(value: Value) -> bool:
    """Whether the value depends on a symbol that is not defined yet."""
    return not isinstance(value, int) and UNKNOWN in value.terms


def add(left: Value, right: Value) -> Value:
    """left + right; terms that cancel disappear."""
    if isinstance(left, int):
        if isinstance(right, int):
            return wrap(left + right)
        return Linear(wrap(left + right.constant), right.terms)
    if isinstance(right, int):
        return Linear(wrap(left.constant + right), left.terms)
    terms = dict(left.terms)
    for term, count in right.terms.items():
        total = terms.get(term, 0) + count
        if total:
            terms[term] = total
        else:
            del terms[term]
    constant = wrap(left.constant + right.constant)
    return Linear(constant, terms) if terms else constant


def negate(value: Value) -> Value:
    """-value."""
    if isinstance(value, int):
        return wrap(-value)
    return Linear(wrap(-value.constant), {term: -count for term, count in value.terms.items()})


def multiply(left: Value, right: Value) -> Value:
    """left * right; one of them has to be a plain number."""
    if isinstance(left, int) and isinstance(right, int):
        return wrap(left * right)
    if is_unknown(left) or is_unknown(right):
        return UNKNOWN_VALUE
    if isinstance(left, int):
        left, right = right, left
    if not isinstance(right, int) or isinstance(left, int):
        raise SourceError(f"'*' needs a plain number: {describe(right)} is not one")
    if right == 0:
        return 0
    terms = {term: wrap(count * right) for term, count in left.terms.items()}
    return Linear(wrap(left.constant * right), terms)


def divide_unsigned(left: int, right: int) -> int:
    """Unsigned quotient."""
    _refuse_zero(right)
    return wrap((left & _MASK) // (right & _MASK))


def remainder_unsigned(left: int, right: int) -> int:
    """Unsigned remainder."""
    _refuse_zero(right)
    return wrap((left & _MASK) % (right & _MASK))


def divide_signed(left: int, right: int) -> int:
    """Signed quotient, rounded towards zero."""
    _refuse_zero(right)
    quotient = abs(left) // abs(right)
    return wrap(-quotient if (left < 0) != (right < 0) else quotient)


def remainder_signed(left: int, right: int) -> int:
    """Signed remainder; it has the sign of the dividend."""
    _refuse_zero(right)
    remainder = abs(left) % abs(right)
    return -remainder if left < 0 else remainder


def shift_left(left: int, right: int) -> int:
    """left << right, counts modulo 64."""
    return wrap(left << (right & 63))


def shift_right(left: int, right: int) -> int:
    """Unsigned shift, counts modulo 64."""
    return wrap((left & _MASK) >> (right & 63))


def shift_right_signed(left: int, right: int) -> int:
    """Arithmetic shift, counts modulo 64."""
    return left >> (right & 63)


def _refuse_zero(divisor: int) -> None:
    if divisor == 0:
        raise SourceError("division by zero")


# Operators that take plain numbers only.
SCALAR: Final[Mapping[str, Callable[[int, int], int]]] = {
    "/": divide_unsigned,
    "//": divide_signed,
    "%": remainder_unsigned,
    "%%": remainder_signed,
    "<<": shift_left,
    "<<<": shift_left,
    ">>": shift_right,
    ">>>": shift_right_signed,
    "&": lambda left, right: left & right,
    "|": lambda left, right: left | right,
    "^": lambda left, right: left ^ right,
    "&&": lambda left, right: int(left != 0 and right != 0),
    "||": lambda left, right: int(left != 0 or right != 0),
    "^^": lambda left, right: int((left != 0) != (right != 0)),
}

# Operators on the difference of their operands: two labels of one section can be compared.
COMPARISONS: Final[Mapping[str, Callable[[int], int]]] = {
    "=": lambda difference: int(difference == 0),
    "==": lambda difference: int(difference == 0),
    "!=": lambda difference: int(difference != 0),
    "<>": lambda difference: int(difference != 0),
    "<": lambda difference: int(difference < 0),
    "<=": lambda difference: int(difference <= 0),
    ">": lambda difference: int(difference > 0),
    ">=": lambda difference: int(difference >= 0),
    "<=>": lambda difference: (difference > 0) - (difference < 0),
}


def apply(operator: str, left: Value, right: Value) -> Value:
    """The value of `left operator right`."""
    if operator == "+":
        return add(left, right)
    if operator == "-":
        return add(left, negate(right))
    if operator == "*":
        return multiply(left, right)
    compare = COMPARISONS.get(operator)
    if compare is not None:
        return _compared(operator, left, right)
    if isinstance(left, int) and isinstance(right, int):
        return SCALAR[operator](left, right)
    if is_unknown(left) or is_unknown(right):
        return UNKNOWN_VALUE
    culprit = right if isinstance(left, int) else left
    raise SourceError(f"'{operator}' needs plain numbers: {describe(culprit)} is not one")


def _compared(operator: str, left: Value, right: Value) -> Value:
    if isinstance(left, int) and isinstance(right, int):
        return COMPARISONS[operator](left - right)
    if is_unknown(left) or is_unknown(right):
        return UNKNOWN_VALUE
    difference = add(left, negate(right))
    if isinstance(difference, int):
        return COMPARISONS[operator](difference)
    if operator in {"=", "==", "!=", "<>"}:
        return int(operator in {"!=", "<>"})
    raise SourceError(
        f"'{operator}' cannot compare what is not in one section: {describe(difference)}"
    )


def describe(value: Value) -> str:
    """The value in words, for errors."""
    if isinstance(value, int):
        return f"{value:#x}" if abs(value) > 9 else str(value)
    parts: list[str] = []
    for term, count in value.terms.items():
        if isinstance(term, Unknown):
            return "a symbol defined further down"
        name = f"an address in {term.name}" if isinstance(term, Base) else term.name
        parts.append(name if count == 1 else f"{count}*{name}")
    return " + ".join(parts)
