"""Values of options as people write them: sizes with suffixes, large counts, addresses.

A value that cannot be read raises ValueError with the rule that it breaks; the command line shows
it as an error of that option.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Final

from cyclopts import Parameter, Token

_SIZE: Final = re.compile(r"(0x[0-9a-f]+|\d+)\s*([kmg]?)(?:i?b)?", re.IGNORECASE)
_SIZE_SHIFT: Final = {"k": 10, "m": 20, "g": 30}
_COUNT: Final = re.compile(r"(\d[\d_,]*(?:\.\d+)?)\s*([kmg]?)", re.IGNORECASE)
_COUNT_FACTOR: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


def parse_size(text: str) -> int:
    """Bytes from `64M`, `512K`, `0x100000`; a bare number is in mebibytes, as in QEMU's -m."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size: write 16M, 512K or 0x1000000")
    number = int(match[1], 0)
    if match[2]:
        return number << _SIZE_SHIFT[match[2].lower()]
    return number if match[1].lower().startswith("0x") else number << 20


def parse_count(text: str) -> int:
    """A number of instructions from `2000000`, `2_000_000`, `2M` (million) or `1.5G`."""
    match = _COUNT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a count: write 2000000, 2_000_000 or 2M")
    value = float(match[1].replace("_", "").replace(",", "")) * _COUNT_FACTOR[match[2].lower()]
    if "." not in match[1]:
        value = int(match[1].replace("_", "").replace(",", "")) * _COUNT_FACTOR[match[2].lower()]
    return int(value)


def parse_address(text: str) -> int:
    """A 32-bit address, decimal or hexadecimal (0x100000 or 100000h)."""
    word = text.strip().lower().replace("_", "")
    try:
        value = int(word[:-1], 16) if word.endswith("h") else int(word, 0)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 32:
        raise ValueError(f"{text!r} is not a 32-bit address: write 0x100000")
    return value


def _size(_type: object, tokens: Sequence[Token]) -> int:
    return parse_size(tokens[0].value)


def _count(_type: object, tokens: Sequence[Token]) -> int:
    return parse_count(tokens[0].value)


def _address(_type: object, tokens: Sequence[Token]) -> int:
    return parse_address(tokens[0].value)


Size = Annotated[int, Parameter(converter=_size)]
Count = Annotated[int, Parameter(converter=_count)]
Address = Annotated[int, Parameter(converter=_address)]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]
