"""Names for addresses, as a listing or a stop report shows them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import Final

# Further from a symbol than this, the name would say nothing about the place.
_NEAR_BYTES: Final = 0x10000


def locate(address: int, symbols: Mapping[str, int] | None) -> str | None:
    """`name` or `name+0x12` for the nearest symbol at or below an address, if one is near."""
    if not symbols:
        return None
    ordered = sorted((value, name) for name, value in symbols.items())
    index = bisect_right(ordered, (address, "\U0010ffff")) - 1
    if index < 0 or address - ordered[index][0] >= _NEAR_BYTES:
        return None
    value = ordered[index][0]
    # Several names for one place: the first in alphabetical order that is not a local label.
    names = [name for at, name in ordered if at == value]
    name = next((name for name in names if "." not in name), names[0])
    return name if address == value else f"{name}+{address - value:#x}"
