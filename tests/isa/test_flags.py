"""Lazy flags: what is materialised equals what the manual's definitions say."""

from __future__ import annotations

from itertools import product
from random import Random

import numpy as np
import pytest

from isa import flags, hot, state
from isa import operations as o
from isa import workspace as w
from isa.generated import forms as f
from isa.jit import ENABLED

pytestmark = pytest.mark.bounds

CF, PF, AF, ZF, SF, OF = 0x1, 0x4, 0x10, 0x40, 0x80, 0x800
STATUS = CF | PF | AF | ZF | SF | OF
ALL_STATUS = [sum(bits) for bits in product((0, CF), (0, PF), (0, AF), (0, ZF), (0, SF), (0, OF))]
EDGES = (0, 1, 2, 7, 8, 0xF, 0x10, 0x7F, 0x80, 0x81, 0xFF)
SAMPLES = 3000 if ENABLED else 300
M32 = 0xFFFFFFFF


@pytest.fixture(scope="module")
def core():
    return np.zeros(256, np.int64)


def values(bits: int, count: int = SAMPLES) -> list[tuple[int, int]]:
    """Pairs of operands: all edges, then random ones."""
    mask = (1 << bits) - 1
    edges = sorted({edge & mask for edge in EDGES} | {mask - edge & mask for edge in EDGES})
    top = 1 << bits - 1
    edges += [top, top - 1, top + 1 & mask]
    rng = Random(bits)
    pairs = list(product(edges, edges))
    return pairs + [(rng.getrandbits(bits), rng.getrandbits(bits)) for _ in range(count)]


def parity(value: int) -> int:
    return PF if (value & 0xFF).bit_count() % 2 == 0 else 0


def result_flags(result: int, bits: int) -> int:
    return parity(result) | (0 if result else ZF) | (SF if result >> bits - 1 else 0)


def added(a: int, b: int, carry: int, bits: int) -> tuple[int, int]:
    """Sum and flags by definition: widths, signs and nibbles."""
    mask, top = (1 << bits) - 1, 1 << bits - 1
    result = a + b + carry & mask
    found = result_flags(result, bits)
    found |= CF if a + b + carry > mask else 0
    found |= AF if (a & 15) + (b & 15) + carry > 15 else 0
    total = (a ^ top) - top + ((b ^ top) - top) + carry
    return result, found | (OF if not -top <= total < top else 0)


def subtracted(a: int, b: int, borrow: int, bits: int) -> tuple[int, int]:
    mask, top = (1 << bits) - 1, 1 << bits - 1
    result = a - b - borrow & mask
    found = result_flags(result, bits)
    found |= CF if a < b + borrow else 0
    found |= AF if a & 15 < (b & 15) + borrow else 0
    total = (a ^ top) - top - ((b ^ top) - top) - borrow
    return result, found | (OF if not -top <= total < top else 0)


@pytest.mark.parametrize("eflags", ALL_STATUS)
def test_any_combination_can_be_set_and_read(core, eflags):
    flags.set_status(core, eflags)
    assert flags.status(core) == eflags


@pytest.mark.parametrize("eflags", ALL_STATUS)
def test_conditions_follow_the_flags(core, eflags):
    c, p, z, s, v = (bool(eflags & bit) for bit in (CF, PF, ZF, SF, OF))
    expected = [v, c, z, c or z, s, p, s != v, z or s != v]
    flags.set_status(core, eflags)
    for code in range(16):
        assert bool(flags.condition(core, code)) == (expected[code >> 1] != bool(code & 1)), code


@pytest.mark.parametrize("eflags", ALL_STATUS)
def test_the_carry_can_be_changed_alone(core, eflags):
    for value in (0, 1):
        flags.set_status(core, eflags)
        flags.set_carry(core, value)
        assert flags.status(core) == eflags & ~CF | value


def test_eflags_round_trip():
    core, cpu = np.zeros(256, np.int64), state.new_state()
    for eflags in (0x2, 0x3FFFD7, 0x246, 0xAD5 | 2):
        flags.write_eflags(cpu, core, eflags)
        assert flags.read_eflags(cpu, core) == eflags | 2


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("carry", [0, 1])
def test_sums_and_differences(core, bits, carry):
    for a, b in values(bits):
        result, expected = added(a, b, carry, bits)
        assert o.add(core, a, b, carry, bits) == result
        assert flags.status(core) == expected, f"{a:#x} + {b:#x} + {carry}"
        result, expected = subtracted(a, b, carry, bits)
        assert o.subtract(core, a, b, carry, bits) == result
        assert flags.status(core) == expected, f"{a:#x} - {b:#x} - {carry}"


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_logic_clears_carry_overflow_and_adjust(core, bits):
    for a, b in values(bits):
        for operation, result in ((f.O_AND, a & b), (f.O_OR, a | b), (f.O_XOR, a ^ b)):
            assert o.binary(core, operation, a, b, bits) == result
            assert flags.status(core) == result_flags(result, bits)


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_inc_and_dec_keep_the_carry(core, bits):
    for a, seed in values(bits):
        before = ALL_STATUS[seed % 64]
        for operation, (result, expected) in (
            (f.O_INC, added(a, 1, 0, bits)),
            (f.O_DEC, subtracted(a, 1, 0, bits)),
        ):
            flags.set_status(core, before)
            assert o.unary(core, operation, a, bits) == result
            assert flags.status(core) == expected & ~CF | before & CF


def lazy(core: np.ndarray) -> int:
    return int(flags.status(core))


def test_specialised_arithmetic_sets_the_same_flags(core):
    """The pieces of the interpreter's loop against the general functions, bit for bit."""
    for a, b in values(32):
        before = ALL_STATUS[b % 64]
        result = a + b & M32
        hot.set_add32(core, a, b, result)
        assert lazy(core) == added(a, b, 0, 32)[1]
        result = a - b & M32
        hot.set_sub32(core, a, b, result)
        assert lazy(core) == subtracted(a, b, 0, 32)[1]
        assert hot.less(core) == ((a ^ 1 << 31) < (b ^ 1 << 31))
        hot.set_logic32(core, a)
        assert lazy(core) == result_flags(a, 32)
        hot.set_logic8(core, a & 0xFF)
        assert lazy(core) == result_flags(a & 0xFF, 8)
        hot.set_sub8(core, a & 0xFF, b & 0xFF)
        assert lazy(core) == subtracted(a & 0xFF, b & 0xFF, 0, 8)[1]
        flags.set_status(core, before)
        hot.set_inc32(core, a + 1 & M32)
        assert lazy(core) == added(a, 1, 0, 32)[1] & ~CF | before & CF
        flags.set_status(core, before)
        hot.set_dec32(core, a - 1 & M32)
        assert lazy(core) == subtracted(a, 1, 0, 32)[1] & ~CF | before & CF


def test_specialised_shifts_and_products_agree_with_the_general_ones(core):
    for a, b in values(32):
        count = b % 31 + 1
        before = ALL_STATUS[b % 64]
        for operation, special in (
            (f.O_SHL, hot.shl32),
            (f.O_SHR, hot.shr32),
            (f.O_SAR, hot.sar32),
        ):
            flags.set_status(core, before)
            expected = o.shift(core, operation, a, count, 32), lazy(core)
            flags.set_status(core, before)
            assert (special(core, a, count), lazy(core)) == expected
        flags.set_status(core, before)
        expected = o.rotate(core, f.O_ROL, a, count, 32), lazy(core)
        flags.set_status(core, before)
        assert (hot.rol32(core, a, count), lazy(core)) == expected
        flags.set_status(core, before)
        expected = o.rotate(core, f.O_ROR, a, count, 32), lazy(core)
        flags.set_status(core, before)
        assert (hot.ror32(core, a, count), lazy(core)) == expected
        signed = ((a ^ 1 << 31) - (1 << 31)) * ((b ^ 1 << 31) - (1 << 31))
        assert hot.imul32(core, a, b) == signed & M32
        fits = -(1 << 31) <= signed < 1 << 31
        assert lazy(core) & (CF | OF) == (0 if fits else CF | OF)
        assert o.multiply_low(a, b) == a * b & M32
        assert o.multiply_high(a, b) == a * b >> 32


def test_the_result_word_alone_decides_zero():
    core = np.zeros(256, np.int64)
    flags.set_status(core, STATUS)
    assert core[w.LF_RESULT] == 0
    flags.set_status(core, STATUS & ~ZF)
    assert core[w.LF_RESULT] != 0
