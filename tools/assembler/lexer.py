"""Source text to tokens, one line at a time.

The words are NASM's. A token keeps its own spelling, so that a line can be put together again for
the listing and for macro arguments, and says whether blanks stood before it, which decides whether
neighbours are pasted together when a macro parameter is filled in.

Does not know what a name means: registers, mnemonics and labels are all identifiers here. What is
wrong with a token is reported when somebody uses it, so that text in skipped branches may be
anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from tools.assembler.errors import SourceError

IDENTIFIER: Final = "identifier"
NUMBER: Final = "number"
STRING: Final = "string"
OPERATOR: Final = "operator"
DIRECTIVE: Final = "directive"  # %word
PARAMETER: Final = "parameter"  # %1, %0, %+1, %%name, %$name, %{…}
INVALID: Final = "invalid"

MAX_LINE: Final = 1 << 16


class Token(NamedTuple):
    """One word of a line.

    `value` is the number, the string's characters (one per byte), the identifier in lower case, or
    for an invalid token the reason. `escaped` marks `$name`, which is never a reserved word.
    """

    kind: str
    text: str
    value: int | str
    spaced: bool
    escaped: bool = False


_PATTERN = re.compile(
    r"""
    (?P<blank>[ \t\r\f\v]+)
  | (?P<comment>;.*)
  | (?P<identifier>[A-Za-z_.@\x80-\xff][\w$\#@~.?\x80-\xff]*|\?[\w$\#@~.?\x80-\xff]+)
  | (?P<number>[0-9][0-9A-Za-z_.]*|\$[0-9][0-9A-Za-z_]*)
  | (?P<escaped>\$[A-Za-z_.?@\x80-\xff][\w$\#@~.?\x80-\xff]*)
  | (?P<string>'[^']*'|"[^"]*"|`(?:[^`\\]|\\.)*`)
  | (?P<unfinished>['"`].*)
  | (?P<parameter>%(?:\{[^{}]*\}|[+-]?[0-9]+|%[A-Za-z_.?@][\w$\#@~.?]*|\$+[A-Za-z_.?@][\w$\#@~.?]*
                      |\?\??))
  | (?P<directive>%[A-Za-z_][\w]*)
  | (?P<operator><=>|<<<|>>>|%\[|%\+|<<|>>|<=|>=|<>|==|!=|&&|\|\||\^\^|//|%%|\$\$
                 |[-+*/%^&|~!<>=()\[\]{},:?$\\])
  | (?P<other>.)
    """,
    re.VERBOSE | re.ASCII | re.DOTALL,
)

_SUFFIXES: Final = {"h": 16, "x": 16, "b": 2, "y": 2, "o": 8, "q": 8, "d": 10, "t": 10}
_PREFIXES: Final = {"0" + letter: base for letter, base in _SUFFIXES.items()}
_ESCAPES: Final = {
    "a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b",
}  # fmt: skip
_ESCAPE_PATTERN = re.compile(r"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|u[0-9A-Fa-f]{4}|.)", re.DOTALL)


def tokenize(line: str) -> list[Token]:
    """The tokens of one line, its comment dropped."""
    if len(line) > MAX_LINE:
        return [Token(INVALID, line[:20], f"line longer than {MAX_LINE} characters", False)]
    tokens: list[Token] = []
    spaced = False
    for match in _PATTERN.finditer(line):
        kind = match.lastgroup
        if kind == "blank":
            spaced = True
            continue
        text = match.group()
        if kind == "identifier":
            tokens.append(Token(IDENTIFIER, text, text.lower(), spaced))
        elif kind == "operator":
            tokens.append(Token(OPERATOR, text, text, spaced))
        elif kind == "comment":
            break
        else:
            tokens.append(_uncommon(str(kind), text, spaced))
        spaced = False
    return tokens


def _uncommon(kind: str, text: str, spaced: bool) -> Token:
    """A token that needs a closer look than an identifier or an operator."""
    if kind == "number":
        value = parse_number(text)
        if value is None:
            reason = f"'{text[:40]}' is not a number"
            if re.fullmatch(r"[0-9]+\.[0-9]*(?:[eE][0-9]*)?", text):
                reason = f"floating-point constant '{text}' is not supported"
            return Token(INVALID, text, reason, spaced)
        return Token(NUMBER, text, value, spaced)
    if kind == "string":
        return Token(STRING, text, _string_value(text), spaced)
    if kind == "escaped":
        return Token(IDENTIFIER, text[1:], text[1:].lower(), spaced, True)
    if kind in {"parameter", "directive"}:
        # The module's own constants: kinds are compared by identity.
        return Token(PARAMETER if kind == "parameter" else DIRECTIVE, text, text.lower(), spaced)
    if kind == "unfinished":
        return Token(INVALID, text, f"string {text[:20]} has no closing quote", spaced)
    return Token(INVALID, text, f"unexpected character {text!a}", spaced)


def parse_number(text: str) -> int | None:
    """The value of an integer constant in any of NASM's spellings; None when it is not one."""
    digits = text.replace("_", "").lower()
    base = 10
    if digits == "0x":
        return None
    if digits[0] == "$":
        base, digits = 16, digits[1:]
    elif digits[:2] in _PREFIXES and len(digits) > 2 and not _hexadecimal(digits):
        base, digits = _PREFIXES[digits[:2]], digits[2:]
    elif digits[-1] in _SUFFIXES:
        base, digits = _SUFFIXES[digits[-1]], digits[:-1]
    if len(digits) > 1000:
        return None
    try:
        return int(digits, base)
    except ValueError:
        return None


def _hexadecimal(digits: str) -> bool:
    """Whether what looks like a 0b or 0d prefix belongs to a hexadecimal number: `0b1h`."""
    return digits[-1] == "h"


def _string_value(text: str) -> str:
    """The characters between the quotes, one per byte."""
    inner = text[1:-1]
    if text[0] == "`" and "\\" in inner:
        return _ESCAPE_PATTERN.sub(_escape, inner)
    return inner


def _escape(match: re.Match[str]) -> str:
    code = match.group(1)
    if code[0] == "x" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code[0] == "u" and len(code) > 1:
        return chr(int(code[1:], 16)).encode("utf-8", "replace").decode("latin-1")
    if code[0] in "01234567":
        return chr(int(code, 8) & 0xFF)
    return _ESCAPES.get(code, code)


def character_constant(value: str) -> int:
    """A string as a number: first character in the lowest byte, at most eight count."""
    return int.from_bytes(value[:8].encode("latin-1"), "little")


def spelling(tokens: Iterable[Token]) -> str:
    """The line the tokens stand for."""
    parts: list[str] = []
    for token in tokens:
        if token.spaced and parts:
            parts.append(" ")
        parts.append("$" + token.text if token.escaped else token.text)
    return "".join(parts)


def quoted(text: str) -> str:
    """The characters as a string token would be spelled."""
    for quote in ("'", '"'):
        if quote not in text:
            return f"{quote}{text}{quote}"
    escaped = text.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def string_token(text: str, spaced: bool = True) -> Token:
    """A token for a string made by the preprocessor."""
    return Token(STRING, quoted(text), text, spaced)


def number_token(value: int, spaced: bool = True) -> Token:
    """A token for a number made by the preprocessor; negative ones keep their sign."""
    return Token(NUMBER, str(value), value, spaced)


def is_operator(token: Token, text: str) -> bool:
    """Whether the token is this operator or punctuation mark."""
    return token.kind is OPERATOR and token.text == text


def split_at_commas(tokens: list[Token], parentheses: bool = True) -> list[list[Token]]:
    """The token lists between commas; braces, and if asked parentheses, keep commas together."""
    groups: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        if token.kind is OPERATOR:
            if token.text == "{" or (parentheses and token.text == "("):
                depth += 1
            elif token.text == "}" or (parentheses and token.text == ")"):
                depth -= 1
            elif token.text == "," and depth <= 0:
                groups.append([])
                continue
        groups[-1].append(token)
    return groups


def refuse_invalid(tokens: Iterable[Token]) -> None:
    """Raise for the first token that is no word of the language."""
    for token in tokens:
        if token.kind is INVALID:
            raise SourceError(str(token.value))
