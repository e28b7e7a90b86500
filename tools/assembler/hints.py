"""Which of two registers in an address is the base: what NASM reads off the spelling.

The register met first is to be the base, unless it is multiplied; but once any two like terms have
been added, constants included, the spelling says nothing any more. This follows the evaluation of
the address step by step, because only the steps show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from isa.instruction import Register
from tools.assembler import values
from tools.assembler.expressions import (
    Binary,
    Conditional,
    Constant,
    Expression,
    Scope,
    Unary,
    registers_in,
)
from tools.assembler.values import Linear, Value

NONE: Final = ""
BASE: Final = "base"
NOT_BASE: Final = "not base"
SUMMED: Final = "summed"


@dataclass(slots=True)
class Hint:
    """What is known of the spelling: about the register met first, if any."""

    kind: str = NONE
    register: Register | None = None


def hint_of(expression: Expression, scope: Scope) -> Hint:
    """The hint that the spelling of an address gives."""
    hint = Hint()
    _walk(expression, scope, hint)
    return hint


def _walk(node: Expression, scope: Scope, hint: Hint) -> tuple[Value, bool]:
    """The node's value, and whether it has a plain number among its terms."""
    if isinstance(node, Binary):
        return _walk_binary(node, scope, hint)
    if isinstance(node, Unary):
        value, plain = _walk(node.operand, scope, hint)
        return values.negate(value) if node.operator == "-" else node.evaluate(scope), plain
    if isinstance(node, Conditional):
        return node.evaluate(scope), True
    value = node.evaluate(scope)
    if isinstance(node, Constant) and isinstance(value, Linear):
        register, _ = registers_in(value)[0]
        if hint.kind == NONE:
            hint.kind, hint.register = BASE, register
        return value, False
    return value, not values.is_unknown(value)


def _walk_binary(node: Binary, scope: Scope, hint: Hint) -> tuple[Value, bool]:
    left, left_plain = _walk(node.left, scope, hint)
    right, right_plain = _walk(node.right, scope, hint)
    if node.operator == "*":
        factors = [value for value in (left, right) if not isinstance(value, int)]
        if hint.kind == BASE and any(hint.register in value.terms for value in factors):
            hint.kind = NOT_BASE
        return values.multiply(left, right), left_plain and right_plain
    if node.operator not in {"+", "-"}:
        return values.apply(node.operator, left, right), True
    right = values.negate(right) if node.operator == "-" else right
    total = values.add(left, right)
    constant = _constant(left) + _constant(right)
    if _sums(left, right) or (left_plain and right_plain and constant):
        hint.kind = SUMMED
    return total, (bool(constant) if left_plain and right_plain else left_plain or right_plain)


def _constant(value: Value) -> int:
    return value if isinstance(value, int) else value.constant


def _sums(left: Value, right: Value) -> bool:
    """Whether two terms are added to each other and do not cancel."""
    if isinstance(left, int) or isinstance(right, int):
        return False
    return any(left.terms.get(term, -count) != -count for term, count in right.terms.items())
