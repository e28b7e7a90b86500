"""The stack of contexts that %push and %pop make, and the names local to them.

`%$loop` in the third context ever pushed is the symbol `..@c3.loop`; `%$$loop` is one level out.
"""

from __future__ import annotations

from typing import Final

from tools.assembler.errors import FatalError, SourceError
from tools.assembler.lexer import IDENTIFIER, PARAMETER, Token

MAX_CONTEXTS: Final = 1000


class Contexts:
    """The contexts that are open, innermost last."""

    def __init__(self) -> None:
        self._open: list[tuple[str, int]] = []
        self._count = 0

    @property
    def name(self) -> str:
        """The name of the innermost context, or an empty string."""
        return self._open[-1][0] if self._open else ""

    def push(self, tokens: list[Token]) -> None:
        """Open a context; the name is optional."""
        if len(self._open) >= MAX_CONTEXTS:
            raise FatalError(f"%push is nested more than {MAX_CONTEXTS} deep")
        self._count += 1
        self._open.append((tokens[0].text if tokens else "", self._count))

    def pop(self, tokens: list[Token]) -> str:
        """Close the innermost context; the prefix of the names that were local to it."""
        name, number = self._innermost("%pop")
        if tokens and tokens[0].text != name:
            raise SourceError(f"%pop {tokens[0].text}: the innermost context is '{name}'")
        self._open.pop()
        return _prefix(number)

    def rename(self, tokens: list[Token]) -> None:
        """Give the innermost context another name."""
        _, number = self._innermost("%repl")
        self._open[-1] = (tokens[0].text if tokens else "", number)

    def _innermost(self, word: str) -> tuple[str, int]:
        if not self._open:
            raise SourceError(f"{word} without %push")
        return self._open[-1]

    def resolve(self, tokens: list[Token]) -> list[Token]:
        """The tokens with context-local names made full."""
        if not any(token.kind is PARAMETER for token in tokens):
            return tokens
        return [
            self._full_name(token) if token.kind is PARAMETER and is_local(token) else token
            for token in tokens
        ]

    def _full_name(self, token: Token) -> Token:
        name = token.text[1:].strip("{}")
        bare = name.lstrip("$")
        level = len(name) - len(bare)
        if level > len(self._open):
            raise SourceError(f"'{token.text}' is outside of any %push context")
        full = _prefix(self._open[-level][1]) + bare
        return Token(IDENTIFIER, full, full.lower(), token.spaced)


def is_local(token: Token) -> bool:
    """Whether a parameter token is a context-local name."""
    return token.text.startswith(("%$", "%{$"))


def _prefix(number: int) -> str:
    return f"..@c{number}."
