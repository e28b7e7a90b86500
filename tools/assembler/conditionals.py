"""Conditional assembly: which lines between %if and %endif count.

A condition negated by an `n` (`%ifndef`) and one asked again after `%el` (`%elifidn`) are the same
test; the tests are in one table here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from tools.assembler.defines import Defines
from tools.assembler.errors import Position, SourceError
from tools.assembler.lexer import IDENTIFIER, NUMBER, STRING, Token, is_operator, split_at_commas


class Facts(Protocol):
    """What conditions ask of the preprocessor."""

    defines: Defines

    def evaluate(self, tokens: list[Token]) -> int:
        """The value of an expression that has to be known now."""

    def has_macro(self, name: str, tokens: list[Token]) -> bool:
        """Whether a multi-line macro of that name (and number of parameters) is defined."""

    def context_name(self) -> str:
        """The name of the innermost %push, or an empty string."""

    def resolve(self, tokens: list[Token]) -> list[Token]:
        """The tokens with context-local names made full."""


@dataclass(slots=True)
class Branch:
    """One %if that has not been closed: where it began, whether it is taken, has been, may be."""

    position: Position
    active: bool
    done: bool
    has_else: bool = False


Test = Callable[[Facts, list[Token]], bool]


def _if(facts: Facts, tokens: list[Token]) -> bool:
    return facts.evaluate(facts.defines.expand(facts.resolve(tokens))) != 0


def _ifdef(facts: Facts, tokens: list[Token]) -> bool:
    names = [token for token in facts.resolve(tokens) if token.kind is IDENTIFIER]
    if not names:
        raise SourceError("%ifdef needs a name")
    return any(facts.defines.is_defined(name.text) for name in names)


def _ifmacro(facts: Facts, tokens: list[Token]) -> bool:
    if not tokens or tokens[0].kind is not IDENTIFIER:
        raise SourceError("%ifmacro needs a name")
    return facts.has_macro(tokens[0].text, tokens[1:])


def _ifctx(facts: Facts, tokens: list[Token]) -> bool:
    return any(token.text == facts.context_name() for token in tokens)


def _identical(facts: Facts, tokens: list[Token], fold: bool) -> bool:
    sides = split_at_commas(facts.defines.expand(facts.resolve(tokens)), parentheses=False)
    if len(sides) != 2:
        raise SourceError("%ifidn compares two texts: expected one comma")
    left, right = ([_shape(token, fold) for token in side] for side in sides)
    return left == right


def _shape(token: Token, fold: bool) -> tuple[str, str]:
    """What has to be equal: strings by their characters, everything else by its spelling."""
    text = str(token.value) if token.kind is STRING else token.text
    return token.kind, text.lower() if fold else text


def _single(facts: Facts, tokens: list[Token]) -> list[Token]:
    return facts.defines.expand(facts.resolve(tokens))


def _ifnum(facts: Facts, tokens: list[Token]) -> bool:
    expanded = _single(facts, tokens)
    if expanded and (is_operator(expanded[0], "-") or is_operator(expanded[0], "+")):
        expanded = expanded[1:]
    return len(expanded) == 1 and expanded[0].kind is NUMBER


def _ifkind(kind: str) -> Test:
    def test(facts: Facts, tokens: list[Token]) -> bool:
        expanded = _single(facts, tokens)
        return len(expanded) == 1 and expanded[0].kind is kind

    return test


_TESTS: Final[dict[str, Test]] = {
    "": _if,
    "def": _ifdef,
    "macro": _ifmacro,
    "ctx": _ifctx,
    "idn": lambda facts, tokens: _identical(facts, tokens, fold=False),
    "idni": lambda facts, tokens: _identical(facts, tokens, fold=True),
    "num": _ifnum,
    "id": _ifkind(IDENTIFIER),
    "str": _ifkind(STRING),
    "token": lambda facts, tokens: len(_single(facts, tokens)) == 1,
    "empty": lambda facts, tokens: not _single(facts, tokens),
    "env": lambda facts, tokens: False,  # the environment is not an input of an assembly
}


def test_of(directive: str) -> tuple[Test, bool] | None:
    """The test a %if or %elif word makes, and whether its result is negated."""
    for stem in ("%if", "%elif"):
        if directive.startswith(stem):
            word = directive[len(stem) :]
            if word in _TESTS:
                return _TESTS[word], False
            if word.startswith("n") and word[1:] in _TESTS:
                return _TESTS[word[1:]], True
    return None


class Conditionals:
    """The open %if of one source, innermost last."""

    def __init__(self) -> None:
        self.branches: list[Branch] = []

    @property
    def active(self) -> bool:
        """Whether lines count here."""
        return not self.branches or self.branches[-1].active

    def handles(self, directive: str) -> bool:
        """Whether this directive opens, divides or closes a conditional."""
        return directive in {"%else", "%endif"} or directive.startswith(("%if", "%elif"))

    def step(self, directive: str, tokens: list[Token], facts: Facts, position: Position) -> None:
        """Take one such directive into account."""
        if directive.startswith("%if"):
            self._open(directive, tokens, facts, position)
        elif not self.branches:
            raise SourceError(f"{directive} without %if")
        elif directive == "%endif":
            self.branches.pop()
        else:
            self._divide(directive, tokens, facts)

    def _open(self, directive: str, tokens: list[Token], facts: Facts, position: Position) -> None:
        branch = Branch(position, active=False, done=True)
        enclosing = self.active
        self.branches.append(branch)
        if enclosing:
            taken = _holds(directive, tokens, facts)
            branch.active = branch.done = taken

    def _divide(self, directive: str, tokens: list[Token], facts: Facts) -> None:
        branch = self.branches[-1]
        if branch.has_else:
            raise SourceError(f"{directive} after %else")
        branch.has_else = directive == "%else"
        branch.active = False
        if not branch.done:
            branch.done = True  # also when the test below fails: one error is enough
            branch.active = directive == "%else" or _holds(directive, tokens, facts)
            branch.done = branch.active


def _holds(directive: str, tokens: list[Token], facts: Facts) -> bool:
    found = test_of(directive)
    if found is None:
        raise SourceError(f"unknown preprocessor directive '{directive}'")
    test, negated = found
    return test(facts, tokens) != negated
