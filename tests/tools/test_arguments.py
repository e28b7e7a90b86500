"""Sizes, counts and addresses as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.arguments import parse_address, parse_count, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("16", 16 << 20),
        ("16M", 16 << 20),
        ("16 MiB", 16 << 20),
        ("512k", 512 << 10),
        ("1G", 1 << 30),
        ("0x100000", 1 << 20),
        ("0x10K", 16 << 10),
    ],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "count"),
    [("2000000", 2_000_000), ("2_000_000", 2_000_000), ("2M", 2_000_000), ("1.5G", 1_500_000_000)],
)
def test_counts(text, count):
    assert parse_count(text) == count


@given(st.integers(0, 2**63))
def test_counts_are_exact(number):
    assert parse_count(str(number)) == number
    assert parse_count(f"{number:,}") == number


@pytest.mark.parametrize(
    ("text", "address"), [("0x7C00", 0x7C00), ("7C00h", 0x7C00), ("31744", 31744), ("0", 0)]
)
def test_addresses(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize("parse", [parse_address, parse_count, parse_size])
@pytest.mark.parametrize("text", ["", "x", "-1", "1T", "0x", "1e9", "0xz"])
def test_nonsense_names_the_rule(parse, text):
    with pytest.raises(ValueError, match=r"is not a .*: write"):
        parse(text)
