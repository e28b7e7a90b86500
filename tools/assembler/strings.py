"""Preprocessor directives that make strings and tokens: %strlen, %substr, %strcat and relatives."""

from __future__ import annotations

from collections.abc import Callable

from tools.assembler.errors import SourceError
from tools.assembler.lexer import (
    MAX_LINE,
    STRING,
    Token,
    is_operator,
    number_token,
    spelling,
    split_at_commas,
    string_token,
    tokenize,
)


def evaluate(
    word: str, tokens: list[Token], evaluate_number: Callable[[list[Token]], int]
) -> list[Token]:
    """The tokens that the directive's name is defined as."""
    if word == "%defstr":
        return [string_token(spelling(tokens))]
    if word == "%deftok":
        return tokenize(_string(word, tokens))
    if word == "%strlen":
        return [number_token(len(_concatenated(word, tokens)))]
    if word == "%strcat":
        return [string_token(_concatenated(word, tokens))]
    return [string_token(_substring(tokens, evaluate_number))]


def _string(word: str, tokens: list[Token]) -> str:
    if len(tokens) != 1 or tokens[0].kind is not STRING:
        raise SourceError(f"{word} needs a string")
    return str(tokens[0].value)


def _concatenated(word: str, tokens: list[Token]) -> str:
    parts = [token for token in tokens if not is_operator(token, ",")]
    if not parts or any(token.kind is not STRING for token in parts):
        raise SourceError(f"{word} needs strings")
    whole = "".join(str(token.value) for token in parts)
    if len(whole) > MAX_LINE:
        raise SourceError(f"{word} makes a string longer than {MAX_LINE} characters")
    return whole


def _substring(tokens: list[Token], evaluate_number: Callable[[list[Token]], int]) -> str:
    """%substr name string start[, count]: from 1; a negative count is measured from the end."""
    if len(tokens) < 2 or tokens[0].kind is not STRING:
        raise SourceError("%substr needs a string and a position")
    text = str(tokens[0].value)
    rest = tokens[1:]
    if is_operator(rest[0], ","):
        rest = rest[1:]
    numbers = [evaluate_number(group) for group in split_at_commas(rest)]
    start = numbers[0]
    count = numbers[1] if len(numbers) > 1 else 1
    if count < 0:
        count = len(text) + count + 1 - (start - 1)
    if start < 1 or count <= 0:
        return ""
    return text[start - 1 : start - 1 + count]
