"""Directives: lines that steer the assembly and make no bytes, but for align."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from tools.assembler.errors import SourceError
from tools.assembler.expressions import Constant, Expression, ExpressionParser
from tools.assembler.lexer import IDENTIFIER, STRING, Token, is_operator, split_at_commas
from tools.assembler.statements import (
    Absolute,
    Align,
    Bits,
    Global,
    Origin,
    SectionSwitch,
    Statement,
)

MAX_NAME: Final = 255


class LineParser(Protocol):
    """What directives need of the parser."""

    section: str  # the section to which __SECT__ goes back

    def qualify(self, name: str) -> str:
        """The full name of a symbol."""

    def expression(self, tokens: list[Token]) -> Expression:
        """One expression that takes the whole list."""

    def statement(self, tokens: list[Token]) -> Statement:
        """One statement that has content."""


def absolute(start: Expression) -> Statement:
    """Labels without content from `start` on."""
    return Absolute(start)


def parse_bracketed(tokens: list[Token], parser: LineParser) -> Sequence[Statement]:
    """[directive arguments]"""
    if not is_operator(tokens[-1], "]") or len(tokens) < 3 or tokens[1].kind is not IDENTIFIER:
        raise SourceError("expected a directive in brackets, such as [bits 32]")
    section = parser.section
    statements = parse_directive(str(tokens[1].value), tokens[2:-1], parser)
    parser.section = section  # brackets are for excursions
    return statements


def parse_directive(word: str, tokens: list[Token], parser: LineParser) -> Sequence[Statement]:
    """The statements of a directive."""
    handler = _HANDLERS.get(word)
    if handler is None:
        raise SourceError(f"unknown directive '{word}'")
    return handler(word, tokens, parser)


def _bits(word: str, tokens: list[Token], parser: LineParser) -> Sequence[Statement]:
    expression = parser.expression(tokens)
    value = expression.value if isinstance(expression, Constant) else None
    if value not in {16, 32}:
        raise SourceError("bits takes 16 or 32")
    return [Bits(16 if value == 16 else 32)]


def _use(word: str, tokens: list[Token], parser: LineParser) -> Sequence[Statement]:
    _refuse_arguments(word, tokens)
    return [Bits(16 if word == "use16" else 32)]


def _refuse_arguments(word: str, tokens: list[Token]) -> None:
    if tokens:
        raise SourceError(f"{word}: unexpected '{tokens[0].text}'")


def _org(word: str, tokens: list[Token], parser: LineParser) -> Sequence[Statement]:
    return [Origin(parser.expression(tokens))]


def _absolute(word: str, tokens: list[Token], parser: LineParser) -> Sequence[Statement]:
    return [Absolute(parser.expression(tokens))]


def _align(word: str, tokens: list[Token], parser: LineParser) -> Sequence[Statement]:
    reader = ExpressionParser(tokens, parser.qualify)
    boundary = reader.parse()
    filler = None
    if reader.accept(","):
        rest = list(tokens[reader.index :])
        if not rest:
            raise SourceError(f"{word}: the filler is missing behind the comma")
        filler = parser.statement(rest)
    else:
        reader.expect_end()
    return [Align(boundary, filler, reserve=word == "alignb")]


def _section(word: str, tokens: list[Token], parser: LineParser) -> Sequence[Statement]:
    if not tokens or tokens[0].kind not in {IDENTIFIER, STRING}:
        raise SourceError(f"{word} needs a name")
    name = str(tokens[0].value) if tokens[0].kind is STRING else tokens[0].text
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise SourceError(f"{word}: a name has 1 to {MAX_NAME} printable characters")
    parser.section = name
    return [SectionSwitch(name, _attributes(word, tokens[1:], parser))]


_NUMBERS: Final = frozenset({"align", "start", "vstart", "valign"})
_NAMES: Final = frozenset({"follows", "vfollows"})
_SWITCHES: Final = frozenset({"progbits", "nobits", "exec", "noexec", "write", "nowrite", "alloc"})


def _attributes(
    word: str, tokens: list[Token], parser: LineParser
) -> dict[str, Expression | str | bool]:
    """align=, start=, vstart=, follows=, vfollows=, and switches such as nobits."""
    attributes: dict[str, Expression | str | bool] = {}
    index = 0
    while index < len(tokens):
        key = str(tokens[index].value)
        if key in _SWITCHES:
            attributes[key] = True
            index += 1
            continue
        if key not in _NUMBERS | _NAMES:
            raise SourceError(f"{word}: unknown attribute '{tokens[index].text}'")
        if index + 2 >= len(tokens) or not is_operator(tokens[index + 1], "="):
            raise SourceError(f"{word}: expected '=' and a value behind '{key}'")
        if key in _NAMES:
            attributes[key] = tokens[index + 2].text
            index += 3
            continue
        reader = ExpressionParser(tokens[index + 2 :], parser.qualify)
        attributes[key] = reader.parse()
        index += 2 + reader.index
    return attributes


def _global(word: str, tokens: list[Token], parser: LineParser) -> Sequence[Statement]:
    names: list[str] = []
    for group in split_at_commas(tokens):
        if not group or group[0].kind is not IDENTIFIER:
            raise SourceError("global needs names")
        names.append(group[0].text)  # `name:function` says the type: it changes nothing here
    return [Global(names)]


def _extern(word: str, tokens: list[Token], parser: LineParser) -> Sequence[Statement]:
    name = tokens[0].text if tokens else ""
    raise SourceError(
        f"{word} {name}: a source stands alone here, there is no linker; use %include"
    )


def _back(word: str, tokens: list[Token], parser: LineParser) -> Sequence[Statement]:
    """__SECT__: the section of the last `section` line that had no brackets."""
    _refuse_arguments(word, tokens)
    return [SectionSwitch(parser.section, {})]


def _ignored(word: str, tokens: list[Token], parser: LineParser) -> Sequence[Statement]:
    return []


Handler = Callable[[str, list[Token], LineParser], Sequence[Statement]]

_HANDLERS: Final[dict[str, Handler]] = {
    "bits": _bits,
    "use16": _use,
    "use32": _use,
    "org": _org,
    "absolute": _absolute,
    "align": _align,
    "alignb": _align,
    "section": _section,
    "segment": _section,
    "global": _global,
    "extern": _extern,
    "common": _extern,
    "cpu": _ignored,  # every instruction of the table is always available
    "default": _ignored,
    "warning": _ignored,
    "map": _ignored,
    "__sect__": _back,
}

# `map` and `warning` are directives in brackets only: elsewhere they may be labels.
NAMES: Final = frozenset(_HANDLERS) - {"map", "warning"}
