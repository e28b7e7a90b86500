"""Expressions: 64-bit arithmetic, precedence, and what labels may be used for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.assembler import AssemblyError, assemble_text
from tools.assembler.lexer import parse_number
from tools.assembler.values import apply, negate, wrap

MASK = (1 << 64) - 1
NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1)


def value(expression: str) -> int:
    """What an expression is worth, as an unsigned 64-bit number."""
    return int.from_bytes(assemble_text(f"dq {expression}").bytes, "little")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("2 + 3 * 4 & 7 | 8", 14),
        ("1 | 2 ^ 3 & 1", 3),
        ("1 + 2 << 3", 24),
        ("1 << 2 + 3", 32),
        ("10 - 3 - 2", 5),
        ("100 / 10 / 5", 2),
        ("1 == 1 & 2", 0),
        ("1 < 2 < 3", 1),
        ("5 && 0 || 7", 1),
        ("1 ^^ 1", 0),
        ("1 ? 2 : 3 ? 4 : 5", 2),
        ("0 ? 2 : 0 ? 4 : 5", 5),
        ("- - 5", 5),
        ("-~5", 6),
        ("!0 + !7", 1),
        ("+5", 5),
        ("-5 / 2", (MASK - 4) // 2),
        ("-5 // 2", MASK - 1),
        ("-5 % 3", (MASK - 4) % 3),
        ("-5 %% 3", MASK - 1),
        ("-1 >> 60", 15),
        ("-1 >>> 60", MASK),
        ("1 << 64", 1),
        ("'ab'", 0x6261),
        ("`\\n` + 1", 11),
        ("2 <=> 1", 1),
        ("1 <=> 2", MASK),
        ("1 <> 2", 1),
        ("3 = 3", 1),
    ],
)
def test_precedence_and_operators(expression, expected):
    assert value(expression) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10", 10), ("0x1F", 31), ("1Fh", 31), ("0h1F", 31), ("$1F", 31), ("0x1_F", 31),
        ("101b", 5), ("0b101", 5), ("0y101", 5), ("101y", 5), ("17q", 15), ("17o", 15),
        ("0o17", 15), ("0q17", 15), ("10d", 10), ("0d10", 10), ("10t", 10), ("0t10", 10),
        ("1_000_000", 1_000_000), ("0b1h", 0xB1), ("0d1h", 0xD1), ("0", 0), ("0x", None),
        ("12ab", None), ("0b12", None), ("08o", None), ("1.5", None), ("0xfg", None),
    ],
)  # fmt: skip
def test_numbers_in_every_spelling(text, expected):
    assert parse_number(text) == expected


@given(NUMBERS, NUMBERS)
def test_arithmetic_wraps_at_64_bits(left, right):
    assert apply("+", left, right) == wrap(left + right)
    assert apply("-", left, right) == wrap(left - right)
    assert apply("*", left, right) == wrap(left * right)
    assert negate(left) == wrap(-left)
    for operator in "&|^":
        assert apply(operator, left, right) == eval(f"left {operator} right")


@given(NUMBERS, NUMBERS.filter(bool))
def test_quotient_and_remainder_belong_together(left, right):
    for quotient, remainder in (("/", "%"), ("//", "%%")):
        parts = apply("*", apply(quotient, left, right), right)
        assert apply("+", parts, apply(remainder, left, right)) == left


@given(NUMBERS, st.integers(0, 200))
def test_shift_counts_are_taken_modulo_64(left, count):
    assert apply("<<", left, count) == wrap(left << count % 64)
    assert apply(">>", left, count) == wrap((left & MASK) >> count % 64)
    assert apply(">>>", left, count) == left >> count % 64


@given(NUMBERS, NUMBERS)
def test_comparisons_are_signed(left, right):
    assert apply("<", left, right) == (left < right)
    assert apply(">=", left, right) == (left >= right)
    assert apply("<=>", left, right) == (left > right) - (left < right)


@given(NUMBERS)
def test_a_written_number_is_read_back(number):
    assert value(str(number)) == number & MASK
    assert value(hex(number)) == number & MASK


EXPRESSIONS = st.recursive(
    st.integers(0, 1 << 32).map(str),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "&", "|", "^"]), inner).map(" ".join),
        inner.map("({})".format),
        inner.map("-{}".format),
        inner.map("~{}".format),
    ),
    max_leaves=12,
)


@given(EXPRESSIONS)
def test_expressions_that_python_shares_agree_with_python(expression):
    assert value(expression) == eval(expression) & MASK


@given(EXPRESSIONS, EXPRESSIONS)
def test_folding_does_not_change_a_value(left, right):
    """The same expression with a symbol in it cannot be worked out while parsing."""
    text = f"dq {left} + zero + ({right})\nzero equ 0\n"
    assert int.from_bytes(assemble_text(text).bytes, "little") == value(f"{left} + ({right})")


def test_labels_of_one_section_can_be_subtracted_and_compared():
    text = """
        org 0x1000
    a:  dd b - a, (b - a) * 2, b > a, a == b, $ - $$, a != other
    b:  dd a, b + 4, 8 + a - 4
    section .data
    other:
    """
    numbers = memoryview(assemble_text(text).bytes).cast("I").tolist()
    assert numbers == [24, 48, 1, 0, 0, 1, 0x1000, 0x101C, 0x1004]


def test_a_distance_across_sections_works_from_here_only():
    text = "section .data\nd: dd 1\nsection .text\nnop\ndd d - $\n"
    assert assemble_text(text).bytes[1:5] == bytes([8 - 1, 0, 0, 0])
    with pytest.raises(AssemblyError, match="only plus or minus a number"):
        assemble_text(text + "dd d - $$ - 1 + d - $")


def test_section_marks_can_be_asked_for():
    text = "org 0x100\ndd section..data.start, section..data.length\nsection .data\ndb 1\n"
    assert assemble_text(text).bytes[:8] == bytes([8, 1, 0, 0, 1, 0, 0, 0])


def test_an_equ_may_look_ahead():
    text = "dd a\na equ b + 1\nb equ c * 2\nc equ 20\n"
    assert assemble_text(text).bytes == bytes([41, 0, 0, 0])
    chain = "dd e0\n" + "".join(f"e{n} equ e{n + 1}\n" for n in range(150)) + "e150 equ 7\n"
    assert assemble_text(chain).bytes == bytes([7, 0, 0, 0])
