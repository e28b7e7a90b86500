"""Expressions: tokens to trees, trees to values.

A tree is built once and evaluated in every pass. Precedence and meaning are NASM's: from the
loosest, `? :`, `||`, `^^`, `&&`, comparisons, `|`, `^`, `&`, shifts, `+ -`, `* / // % %%`, unary.
Depth is bounded, so that no source can exhaust the stack. Registers are terms like any other; who
wants none in an expression asks with `no_registers`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from isa.instruction import REGISTERS, Register
from tools.assembler import values
from tools.assembler.errors import SourceError
from tools.assembler.lexer import (
    IDENTIFIER,
    INVALID,
    NUMBER,
    OPERATOR,
    STRING,
    Token,
    character_constant,
)
from tools.assembler.values import Linear, Value

MAX_DEPTH: Final = 200
MAX_PARENTHESES: Final = 40

_LEVELS: Final = (
    ("||",),
    ("^^",),
    ("&&",),
    ("=", "==", "!=", "<>", "<", "<=", ">", ">=", "<=>"),
    ("|",),
    ("^",),
    ("&",),
    ("<<", ">>", "<<<", ">>>"),
    ("+", "-"),
    ("*", "/", "//", "%", "%%"),
)
_PRECEDENCE: Final = {
    operator: level for level, operators in enumerate(_LEVELS) for operator in operators
}


class Scope(Protocol):
    """What an expression may ask of the place where it stands."""

    def here(self) -> Value:
        """The value of $."""

    def section_start(self) -> Value:
        """The value of $$."""

    def lookup(self, name: str) -> Value:
        """The value of a symbol; raises SourceError when there is none."""


class Expression:
    """A node; `depth` is the height of the tree below it."""

    __slots__ = ("depth",)

    def __init__(self, depth: int = 0) -> None:
        self.depth = depth
        if depth > MAX_DEPTH:
            raise SourceError(f"the expression is nested more than {MAX_DEPTH} deep")

    def evaluate(self, scope: Scope) -> Value:
        """The value at this place in this pass."""
        raise AssertionError(f"{type(self).__name__} has no value")


class Constant(Expression):
    """A number, or a register, which is worth itself."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        super().__init__()
        self.value = value

    def evaluate(self, scope: Scope) -> Value:
        return self.value


class Symbol(Expression):
    """A label or an equ."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def evaluate(self, scope: Scope) -> Value:
        return scope.lookup(self.name)


class Here(Expression):
    """$: the start of the line's instruction or data."""

    __slots__ = ()

    def evaluate(self, scope: Scope) -> Value:
        return scope.here()


class SectionStart(Expression):
    """$$: the start of the section."""

    __slots__ = ()

    def evaluate(self, scope: Scope) -> Value:
        return scope.section_start()


class Unary(Expression):
    """-x, ~x, !x; + leaves its operand alone and makes no node."""

    __slots__ = ("operand", "operator")

    def __init__(self, operator: str, operand: Expression) -> None:
        super().__init__(operand.depth + 1)
        self.operator = operator
        self.operand = operand

    def evaluate(self, scope: Scope) -> Value:
        value = self.operand.evaluate(scope)
        if self.operator == "-":
            return values.negate(value)
        if isinstance(value, int):
            return ~value if self.operator == "~" else int(value == 0)
        if values.is_unknown(value):
            return values.UNKNOWN_VALUE
        raise SourceError(
            f"'{self.operator}' needs a plain number: {values.describe(value)} is not one"
        )


class Binary(Expression):
    """left operator right."""

    __slots__ = ("left", "operator", "right")

    def __init__(self, operator: str, left: Expression, right: Expression) -> None:
        super().__init__(max(left.depth, right.depth) + 1)
        self.operator = operator
        self.left = left
        self.right = right

    def evaluate(self, scope: Scope) -> Value:
        return values.apply(self.operator, self.left.evaluate(scope), self.right.evaluate(scope))


class Conditional(Expression):
    """condition ? yes : no."""

    __slots__ = ("condition", "no", "yes")

    def __init__(self, condition: Expression, yes: Expression, no: Expression) -> None:
        super().__init__(max(condition.depth, yes.depth, no.depth) + 1)
        self.condition = condition
        self.yes = yes
        self.no = no

    def evaluate(self, scope: Scope) -> Value:
        condition = self.condition.evaluate(scope)
        if isinstance(condition, int):
            return (self.yes if condition else self.no).evaluate(scope)
        if values.is_unknown(condition):
            return values.UNKNOWN_VALUE
        raise SourceError("'?' needs a plain number as its condition")


_HERE: Final = Here()
_SECTION_START: Final = SectionStart()


class _NoScope:
    """Constants need no scope."""

    def here(self) -> Value:
        raise AssertionError

    def section_start(self) -> Value:
        raise AssertionError

    def lookup(self, name: str) -> Value:
        raise AssertionError(name)


NO_SCOPE: Final = _NoScope()


class ExpressionParser:
    """Parses one expression at a time from a list of tokens, from `index` on.

    `qualify` makes a name as written into the full name of a symbol (`.loop` into `main.loop`).
    """

    def __init__(self, tokens: Sequence[Token], qualify: Callable[[str], str]) -> None:
        self.tokens = tokens
        self.index = 0
        self.folds = True  # whether constant parts are worked out while parsing
        self._qualify = qualify
        self._nesting = 0

    def peek(self) -> Token | None:
        """The next token, or None at the end."""
        return self.tokens[self.index] if self.index < len(self.tokens) else None

    def at(self, text: str) -> bool:
        """Whether the next token is this operator."""
        token = self.peek()
        return token is not None and token.kind is OPERATOR and token.text == text

    def accept(self, text: str) -> bool:
        """Step over this operator if it comes next."""
        if self.at(text):
            self.index += 1
            return True
        return False

    def expect(self, text: str) -> None:
        """Step over this operator, which has to come next."""
        if not self.accept(text):
            raise SourceError(f"expected '{text}' {self.before_what()}")

    def before_what(self) -> str:
        """Names the next token, for errors."""
        token = self.peek()
        if token is None:
            return "at the end of the line"
        if token.kind is INVALID:
            return f"but {token.value}"
        return f"before '{token.text}'"

    def expect_end(self) -> None:
        """Refuse anything after what was parsed."""
        token = self.peek()
        if token is not None:
            if token.kind is INVALID:
                raise SourceError(str(token.value))
            raise SourceError(f"unexpected '{token.text}'")

    def parse(self) -> Expression:
        """One expression, as long as it goes."""
        self._nesting += 1
        if self._nesting > MAX_PARENTHESES:
            raise SourceError(f"parentheses are nested more than {MAX_PARENTHESES} deep")
        condition = self._binary(0)
        if self.accept("?"):
            yes = self.parse()
            self.expect(":")
            no = self.parse()
            condition = Conditional(condition, yes, no)
        self._nesting -= 1
        return condition

    def _binary(self, level: int) -> Expression:
        """Operators at `level` and tighter, all of them left-associative."""
        left = self._unary()
        while True:
            token = self.peek()
            if token is None or token.kind is not OPERATOR:
                return left
            precedence = _PRECEDENCE.get(token.text, -1)
            if precedence < level:
                return left
            self.index += 1
            left = Binary(token.text, left, self._binary(precedence + 1))
            if self.folds and isinstance(left.left, Constant) and isinstance(left.right, Constant):
                left = Constant(left.evaluate(NO_SCOPE))

    def _unary(self) -> Expression:
        signs: list[str] = []
        while (token := self.peek()) is not None and token.kind is OPERATOR:
            if token.text not in ("-", "+", "~", "!"):
                break
            signs.append(token.text)
            self.index += 1
        operand = self._primary()
        for sign in reversed(signs):
            if sign != "+":
                constant = isinstance(operand, Constant)
                operand = Unary(sign, operand)
                if self.folds and constant:
                    operand = Constant(operand.evaluate(NO_SCOPE))
        return operand

    def _primary(self) -> Expression:
        token = self.peek()
        if token is None:
            raise SourceError("an expression is missing at the end of the line")
        self.index += 1
        if token.kind is NUMBER:
            return Constant(values.wrap(int(token.value)))
        if token.kind is STRING:
            return Constant(values.wrap(character_constant(str(token.value))))
        if token.kind is IDENTIFIER:
            return self._name(token)
        if token.kind is INVALID:
            raise SourceError(str(token.value))
        if token.text == "(":
            inner = self.parse()
            self.expect(")")
            return inner
        if token.text == "$":
            return _HERE
        if token.text == "$$":
            return _SECTION_START
        if token.kind is OPERATOR:
            raise SourceError(f"an expression is missing before '{token.text}'")
        raise SourceError(f"'{token.text}' has a meaning in macros only")

    def _name(self, token: Token) -> Expression:
        if not token.escaped:
            register = REGISTERS.get(str(token.value))
            if register is not None:
                return Constant(Linear(0, {register: 1}))
            if token.value in ("seg", "wrt"):
                raise SourceError(f"'{token.text}' is not supported: there are no relocations")
        return Symbol(self._qualify(token.text))


def children(node: Expression) -> tuple[Expression, ...]:
    """The nodes right below a node."""
    if isinstance(node, Binary):
        return node.left, node.right
    if isinstance(node, Unary):
        return (node.operand,)
    if isinstance(node, Conditional):
        return node.condition, node.yes, node.no
    return ()


def is_fixed(node: Expression) -> bool:
    """Whether the value is the same everywhere."""
    if isinstance(node, (Symbol, Here, SectionStart)):
        return False
    return all(is_fixed(child) for child in children(node))


def fold(node: Expression) -> Expression:
    """The node, worked out if its value is the same everywhere."""
    return Constant(node.evaluate(NO_SCOPE)) if is_fixed(node) else node


def count_registers(node: Expression) -> int:
    """How often a register is written in an expression."""
    own = isinstance(node, Constant) and isinstance(node.value, Linear)
    return own + sum(count_registers(child) for child in children(node))


def registers_in(value: Value) -> list[tuple[Register, int]]:
    """The registers of a value with their factors, in the order they were written."""
    if isinstance(value, int):
        return []
    return [(term, count) for term, count in value.terms.items() if isinstance(term, Register)]


def no_registers(value: Value) -> Value:
    """The value; an error if there is a register in it."""
    for register, _ in registers_in(value):
        raise SourceError(f"register {register.name} cannot be used in this expression")
    return value
