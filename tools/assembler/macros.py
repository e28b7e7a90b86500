"""Multi-line macros: their definitions, and the filling in of parameters.

A macro may call itself by no name: while it is being expanded its name means what it meant before,
so that a macro can wrap the instruction it is named after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from isa.vocabulary import CONDITION_ALIASES, CONDITIONS
from tools.assembler.contexts import is_local
from tools.assembler.defines import join_adjacent, respaced
from tools.assembler.errors import FatalError, Position, SourceError
from tools.assembler.lexer import (
    IDENTIFIER,
    INVALID,
    NUMBER,
    OPERATOR,
    PARAMETER,
    Token,
    is_operator,
    number_token,
    split_at_commas,
    tokenize,
)

MAX_PARAMETERS: Final = 4096
MAX_DEFINITIONS: Final = 10_000
_COMMA: Final = Token(OPERATOR, ",", ",", False)

_CONDITION_NUMBERS: Final = {name.lower(): index for index, (name, _) in enumerate(CONDITIONS)} | {
    alias.lower(): [name for name, _ in CONDITIONS].index(name)
    for alias, name in CONDITION_ALIASES.items()
}


@dataclass(frozen=True, slots=True)
class RawLine:
    """A line as read, before anything is expanded."""

    number: int
    tokens: list[Token]
    has_parameters: bool


@dataclass(slots=True)
class MultiMacro:
    """A definition between %macro and %endmacro. `most` is None for any number of parameters."""

    name: str
    least: int
    most: int | None
    greedy: bool
    defaults: list[list[Token]]
    lines: Sequence[RawLine]
    position: Position
    ignore_case: bool = False
    expansions: int = 0  # how many are in progress
    takes_label: bool = False  # %00 is used: the label before a call is the macro's business

    def accepts(self, count: int) -> bool:
        """Whether a call with so many parameters means this definition."""
        if count < self.least:
            return False
        return self.most is None or count <= self.most or self.greedy

    def arguments(self, tokens: list[Token]) -> list[list[Token]]:
        """The parameters of a call: braces removed, rest swallowed if greedy, defaults added."""
        groups = split_at_commas(tokens, parentheses=False) if tokens else []
        if self.greedy and self.most is not None and len(groups) > self.most:
            kept = groups[: self.most - 1]
            rest: list[Token] = []
            for group in groups[self.most - 1 :]:
                rest += [_COMMA, *group] if rest else group
            groups = [*kept, rest]
        groups = [_unbraced(group) for group in groups]
        missing = self.defaults[len(groups) - self.least :] if len(groups) >= self.least else []
        return [*groups, *missing]

    def takes(self) -> str:
        """How many parameters, in words."""
        if self.most is None:
            return f"{self.least} or more"
        if self.greedy:
            return f"{self.least} or more"
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"


def _unbraced(tokens: list[Token]) -> list[Token]:
    if len(tokens) >= 2 and is_operator(tokens[0], "{") and is_operator(tokens[-1], "}"):
        return tokens[1:-1]
    return tokens


@dataclass(slots=True)
class Expansion:
    """One call of a macro: its parameters and its number, which makes %%labels unique."""

    macro: MultiMacro
    arguments: list[list[Token]]
    number: int
    position: Position
    called_as: str
    label: list[Token] = field(default_factory=list)
    rotation: int = 0

    def local_prefix(self) -> str:
        """What %%name begins with."""
        return f"..@{self.number}."

    def fill_in(self, tokens: list[Token]) -> list[Token]:
        """A line of the body with its parameters in place."""
        output: list[Token] = []
        filled_before = False
        for token in tokens:
            filled = token.kind is PARAMETER and not is_local(token)
            parts = respaced(self._meaning(token), token.spaced) if filled else [token]
            if parts and (filled or filled_before) and output and not parts[0].spaced:
                if _sticks(output[-1]) and _sticks(parts[0]):
                    output[-1:] = join_adjacent([output[-1], parts[0]])
                    parts = parts[1:]
            output.extend(parts)
            filled_before = filled
        return output

    def _meaning(self, token: Token) -> list[Token]:
        """What one parameter token stands for."""
        inner = token.text[1:].strip("{}")
        if inner.startswith("%"):
            return tokenize(self.local_prefix() + inner[1:])
        if inner == "0":
            return [number_token(len(self.arguments))]
        if inner == "00":
            return self.label
        if inner in {"?", "??"}:
            return tokenize(self.called_as if inner == "?" else self.macro.name)
        if inner.isdigit():
            return self._argument(int(inner))
        if ":" in inner:
            return self._range(inner)
        if inner[:1] in {"+", "-"} and inner[1:].isdigit():
            return self._condition(int(inner[1:]), inverted=inner[0] == "-")
        raise SourceError(f"'{token.text}' is not a macro parameter")

    def _argument(self, number: int) -> list[Token]:
        if not 0 < number <= len(self.arguments):
            return []
        return self.arguments[(number - 1 + self.rotation) % len(self.arguments)]

    def _range(self, text: str) -> list[Token]:
        """%{first:last}; negative numbers count from the end, and a range may run backwards."""
        try:
            first, last = (int(part) for part in text.split(":"))
        except ValueError:
            raise SourceError(f"'%{{{text}}}' is not a range of parameters") from None
        count = len(self.arguments)
        first, last = (number + count + 1 if number < 0 else number for number in (first, last))
        if not (1 <= first <= count and 1 <= last <= count):
            return []
        step = 1 if last >= first else -1
        tokens: list[Token] = []
        for number in range(first, last + step, step):
            tokens += (
                [_COMMA, *self._argument(number)] if number != first else self._argument(number)
            )
        return tokens

    def _condition(self, number: int, inverted: bool) -> list[Token]:
        """%+1 and %-1: the condition code in a parameter, or its opposite."""
        argument = self._argument(number)
        code = _CONDITION_NUMBERS.get(str(argument[0].value)) if len(argument) == 1 else None
        if code is None:
            raise SourceError(f"parameter {number} of '{self.macro.name}' is not a condition code")
        return tokenize(CONDITIONS[code ^ 1][0].lower()) if inverted else argument


def _sticks(token: Token) -> bool:
    return token.kind in {IDENTIFIER, NUMBER, INVALID}


class Macros:
    """The multi-line macros in force."""

    def __init__(self) -> None:
        self._by_name: dict[str, list[MultiMacro]] = {}
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def add(self, macro: MultiMacro) -> None:
        """Add a definition; it replaces the one with as many parameters."""
        self._count += 1
        if self._count > MAX_DEFINITIONS:
            raise FatalError(f"more than {MAX_DEFINITIONS} macros")
        key = macro.name.lower() if macro.ignore_case else macro.name
        others = self._by_name.setdefault(key, [])
        others[:] = [o for o in others if (o.least, o.most) != (macro.least, macro.most)]
        others.append(macro)

    def remove(self, name: str) -> None:
        """Forget all definitions of a name."""
        for key in (name, name.lower()):
            self._by_name.pop(key, None)

    def named(self, name: str) -> list[MultiMacro]:
        """The definitions that a name may mean."""
        found = self._by_name.get(name, [])
        folded = self._by_name.get(name.lower(), [])
        return found or [macro for macro in folded if macro.ignore_case]

    def locate(self, tokens: list[Token]) -> int | None:
        """Index of the macro's name in a line: first, or behind a label."""
        if tokens[0].kind is not IDENTIFIER:
            return None
        colon = len(tokens) > 1 and is_operator(tokens[1], ":")
        if not colon and self.named(tokens[0].text):
            return 0
        start = 2 if colon else 1
        if len(tokens) > start and tokens[start].kind is IDENTIFIER:
            if self.named(tokens[start].text):
                return start
        return None

    def choose(self, name: str, arguments: list[Token]) -> MultiMacro | None:
        """The definition a call means; None if the name means an instruction here."""
        candidates = self.named(name)
        count = len(split_at_commas(arguments, parentheses=False)) if arguments else 0
        for macro in reversed(candidates):
            if macro.accepts(count) and not macro.expansions:
                return macro
        if any(candidate.expansions for candidate in candidates):
            return None
        takes = " or ".join(dict.fromkeys(candidate.takes() for candidate in candidates))
        raise SourceError(f"macro '{name}' takes {takes} parameters, not {count}")


def parse_definition(
    tokens: list[Token], lines: Sequence[RawLine], position: Position, ignore_case: bool
) -> MultiMacro:
    """A macro from the rest of its %macro line and the lines of its body."""
    if not tokens or tokens[0].kind is not IDENTIFIER:
        raise SourceError("%macro needs a name")
    name = tokens[0].text
    numbers = [part for token in tokens[1:] for part in _without_nolist(token)]
    if not numbers or numbers[0].kind is not NUMBER:
        raise SourceError(f"macro '{name}' needs a number of parameters")
    least = int(numbers[0].value)
    most: int | None = least
    index = 1
    if index < len(numbers) and is_operator(numbers[index], "-"):
        index += 1
        token = numbers[index] if index < len(numbers) else None
        if token is not None and token.kind is NUMBER:
            most = int(token.value)
        elif token is not None and is_operator(token, "*"):
            most = None
        else:
            raise SourceError(f"macro '{name}': expected a number or '*' after '-'")
        index += 1
    if least > MAX_PARAMETERS or (most is not None and not least <= most <= MAX_PARAMETERS):
        raise SourceError(f"macro '{name}': impossible number of parameters")
    greedy = index < len(numbers) and is_operator(numbers[index], "+")
    rest = numbers[index + greedy :]
    defaults = [_unbraced(group) for group in split_at_commas(rest, False)] if rest else []
    if most is not None and len(defaults) > most - least:
        raise SourceError(f"macro '{name}' has more defaults than optional parameters")
    takes_label = any(token.text in {"%00", "%{00}"} for line in lines for token in line.tokens)
    return MultiMacro(
        name, least, most, greedy, defaults, lines, position, ignore_case, takes_label=takes_label
    )


def _without_nolist(token: Token) -> list[Token]:
    """The token without `.nolist`, which does not change what a macro means."""
    return tokenize(token.text.removesuffix(".nolist")) if ".nolist" in token.text else [token]
