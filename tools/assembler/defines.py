"""Single-line macros: %define, %xdefine, %assign and everything that expands inside a line.

A define whose body is being expanded is not expanded again inside itself. Parameters are expanded
before they are filled in. What one line may grow to is bounded, so that defines that double at
every level end in an error and not in the machine's memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tools.assembler.errors import FatalError, SourceError
from tools.assembler.lexer import (
    IDENTIFIER,
    NUMBER,
    OPERATOR,
    Token,
    is_operator,
    spelling,
    split_at_commas,
    tokenize,
)

MAX_TOKENS_IN_LINE: Final = 20_000
MAX_NESTING: Final = 64


@dataclass(frozen=True, slots=True)
class Define:
    """One definition; `parameters` is None for a define that takes no parentheses at all."""

    name: str
    parameters: tuple[str, ...] | None
    body: tuple[Token, ...]

    def filled_in(self, arguments: list[list[Token]]) -> list[Token]:
        """The body with the arguments in place of the parameters."""
        if not self.parameters:
            return list(self.body)
        values = dict(zip(self.parameters, arguments, strict=True))
        filled: list[Token] = []
        for token in self.body:
            if token.kind is IDENTIFIER and token.text in values:
                filled.extend(respaced(values[token.text], token.spaced))
            else:
                filled.append(token)
        return filled


def respaced(tokens: list[Token], spaced: bool) -> list[Token]:
    """The tokens with the first one's blank replaced: they stand where another token stood."""
    if not tokens or tokens[0].spaced == spaced:
        return tokens
    return [tokens[0]._replace(spaced=spaced), *tokens[1:]]


class Defines:
    """The defines in force."""

    def __init__(self) -> None:
        self._exact: dict[str, list[Define]] = {}
        self._folded: dict[str, list[Define]] = {}
        self._computed: dict[str, Callable[[], Token]] = {}
        self._local: dict[str, list[str]] = {}
        self._grown = 0

    def compute(self, name: str, value: Callable[[], Token]) -> None:
        """Define a name whose value is asked for at every use, such as __LINE__."""
        self._computed[name] = value

    def define(self, define: Define, ignore_case: bool = False) -> None:
        """Add a definition; it replaces the one with as many parameters."""
        table = self._folded if ignore_case else self._exact
        key = define.name.lower() if ignore_case else define.name
        count = _parameter_count(define)
        kept = [other for other in table.get(key, []) if _parameter_count(other) != count]
        if count < 0 or (kept and _parameter_count(kept[0]) < 0):
            kept = []
        table[key] = [*kept, define]
        if key.startswith("..@"):
            prefix = key[: key.find(".", 3) + 1]
            self._local.setdefault(prefix, []).append(key)

    def undefine(self, name: str) -> None:
        """Forget all definitions of a name."""
        self._exact.pop(name, None)
        self._folded.pop(name.lower(), None)

    def forget_local(self, prefix: str) -> None:
        """Forget the definitions local to a context or a macro expansion: `..@7.`."""
        for name in self._local.pop(prefix, ()):
            self._exact.pop(name, None)

    def is_defined(self, name: str) -> bool:
        """Whether %ifdef finds the name."""
        return name in self._exact or name.lower() in self._folded or name in self._computed

    def expand(self, tokens: list[Token]) -> list[Token]:
        """The line with all defines expanded and all %+ pasted."""
        for token in tokens:
            if token.kind is IDENTIFIER:
                if (
                    token.text in self._exact
                    or token.value in self._folded
                    or token.text in self._computed
                ):
                    break
            elif token.text == "%[" or token.text == "%+":
                break
        else:
            return tokens
        self._grown = 0
        expanded = self._expand(tokens, frozenset())
        for _ in range(MAX_NESTING):
            if not any(is_operator(token, "%+") for token in expanded):
                return expanded
            expanded = self._expand(_paste(expanded), frozenset())
        raise SourceError("%+ is nested too deeply")

    def _expand(self, tokens: list[Token], active: frozenset[str]) -> list[Token]:
        if len(active) > MAX_NESTING:
            raise SourceError(f"defines are nested more than {MAX_NESTING} deep")
        output: list[Token] = []
        index = 0
        while index < len(tokens):
            token = tokens[index]
            if token.kind is IDENTIFIER and not token.escaped and token.text not in active:
                replacement, end = self._replacement(tokens, index, active)
                if replacement is not None:
                    self._account(len(replacement))
                    inner = self._expand(replacement, active | {token.text})
                    output.extend(respaced(inner, token.spaced))
                    index = end
                    continue
            elif token.kind is OPERATOR and token.text == "%[":
                index = self._indirection(tokens, index, active, output)
                continue
            output.append(token)
            index += 1
        return output

    def _account(self, count: int) -> None:
        self._grown += count + 1
        if self._grown > MAX_TOKENS_IN_LINE:
            raise FatalError(f"the line expands to more than {MAX_TOKENS_IN_LINE} words")

    def _replacement(
        self, tokens: list[Token], index: int, active: frozenset[str]
    ) -> tuple[list[Token] | None, int]:
        """What the identifier at `index` stands for, and where the text behind it goes on."""
        token = tokens[index]
        computed = self._computed.get(token.text)
        if computed is not None:
            return [computed()], index + 1
        candidates = self._exact.get(token.text) or self._folded.get(str(token.value))
        if not candidates:
            return None, index
        if candidates[0].parameters is None:
            return list(candidates[0].body), index + 1
        if index + 1 == len(tokens) or not is_operator(tokens[index + 1], "("):
            return None, index
        end = _closing(tokens, index + 1, "(", ")")
        arguments = [_unbraced(group) for group in split_at_commas(tokens[index + 2 : end])]
        if arguments == [[]]:
            arguments = []
        for candidate in candidates:
            count = _parameter_count(candidate)
            if count == len(arguments) or (count == 1 and not arguments):
                filled = arguments or [[]] * count
                expanded = [self._expand(argument, active) for argument in filled]
                self._account(sum(map(len, expanded)) * len(candidate.body))
                return candidate.filled_in(expanded), end + 1
        counts = " or ".join(str(_parameter_count(candidate)) for candidate in candidates)
        raise SourceError(f"'{token.text}' takes {counts} parameters, not {len(arguments)}")

    def _indirection(
        self, tokens: list[Token], index: int, active: frozenset[str], output: list[Token]
    ) -> int:
        """Expand `%[…]`, which is pasted to its neighbours; returns where the text goes on."""
        end = _closing(tokens, index, "%[", "]")
        inner = self._expand(tokens[index + 1 : end], active)
        self._account(len(inner))
        inner = respaced(inner, tokens[index].spaced)
        after = [
            token for token in tokens[end + 1 : end + 2] if not token.spaced and _pastable(token)
        ]
        joined = join_adjacent([*output[-1:], *inner, *after])
        del output[-1:]
        output.extend(joined)
        return end + 1 + len(after)


def _parameter_count(define: Define) -> int:
    return -1 if define.parameters is None else len(define.parameters)


def _closing(tokens: list[Token], start: int, opening: str, closing: str) -> int:
    """Index of the token that closes what `tokens[start]` opens."""
    depth = 0
    also_opening = "[" if opening == "%[" else opening
    for index in range(start, len(tokens)):
        token = tokens[index]
        if token.kind is OPERATOR:
            if token.text == opening or token.text == also_opening:
                depth += 1
            elif token.text == closing:
                depth -= 1
                if depth == 0:
                    return index
    raise SourceError(f"'{opening}' without '{closing}'")


def _unbraced(tokens: list[Token]) -> list[Token]:
    """An argument without the braces that protected its commas."""
    if len(tokens) >= 2 and is_operator(tokens[0], "{") and is_operator(tokens[-1], "}"):
        return tokens[1:-1]
    return tokens


def join_adjacent(tokens: list[Token]) -> list[Token]:
    """Paste names and numbers that have no blank between them: `isr` and `13` make `isr13`."""
    joined: list[Token] = []
    for token in tokens:
        if joined and not token.spaced and _pastable(joined[-1]) and _pastable(token):
            joined[-1:] = _pasted(joined[-1], token)
        else:
            joined.append(token)
    return joined


def _pastable(token: Token) -> bool:
    return token.kind is IDENTIFIER or (token.kind is NUMBER and token.text[0] != "-")


def _paste(tokens: list[Token]) -> list[Token]:
    """Join the two neighbours of every %+."""
    output: list[Token] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        if is_operator(token, "%+"):
            if index + 1 < len(tokens) and output:
                output[-1:] = _pasted(output[-1], tokens[index + 1])
            elif index + 1 < len(tokens):
                output.append(tokens[index + 1])
            index += 2
        else:
            output.append(token)
            index += 1
    return output


def _pasted(left: Token, right: Token) -> list[Token]:
    return respaced(tokenize(spelling([left]) + spelling([right])), left.spaced)
