"""Names for addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.symbols import locate

SYMBOLS = {"start": 0x100000, "main": 0x100010, "main.loop": 0x100014, "entry": 0x100000}


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (0x100000, "entry"),
        (0x100001, "entry+0x1"),
        (0x10000F, "entry+0xf"),
        (0x100010, "main"),
        (0x100014, "main.loop"),
        (0x100016, "main.loop+0x2"),
        (0xFFFFF, None),
        (0x200000, None),
    ],
)
def test_the_nearest_symbol_below_names_an_address(address, name):
    assert locate(address, SYMBOLS) == name


@pytest.mark.parametrize("symbols", [None, {}])
def test_without_symbols_there_are_no_names(symbols):
    assert locate(0x100000, symbols) is None


@given(
    st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(0, 2**32 - 1)),
    st.integers(0, 2**32 - 1),
)
def test_a_name_leads_back_to_the_address(symbols, address):
    name = locate(address, symbols)
    if name is not None:
        base, _, offset = name.partition("+")
        assert symbols[base] + int(offset or "0", 16) == address
