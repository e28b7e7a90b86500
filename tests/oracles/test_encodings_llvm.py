"""LLVM's assembler writes the bytes that our encoder writes, for every form and every address.

LLVM gets AT&T syntax, in which the size of every operand is written out; our own text is not
involved. Where one meaning has several encodings LLVM may choose another than the sample's; it
must then be no longer, and decode to the same operation and operands.
"""

from __future__ import annotations

from collections import Counter

import pytest

from isa import operand_kinds as kinds
from isa.instruction import Memory, Operand
from isa.notation import load_table
from tests.isa.instruction_samples import (
    Sample,
    address_samples,
    all_samples,
    means_the_same,
    memory_samples,
    normal_order,
)
from tests.oracles.llvm_assembler import assemble, att_text

pytestmark = pytest.mark.oracle

# LLVM has no name for these; TRAPDOOR is the project's own.
UNKNOWN_TO_LLVM = {"INT1", "UD0", "TRAPDOOR"}

# LLVM writes relative branches, and these, with the code's own operand and address size only.
OWN_SIZE_ONLY = {"UD1", "ENTER", "LEAVE"}


def is_expressible(sample: Sample) -> bool:
    """Whether LLVM's language can ask for this form with these operands."""
    form, bits = sample.form, sample.bits
    if form.mnemonic in UNKNOWN_TO_LLVM:
        return False
    if kinds.RELATIVE & set(form.kinds) or form.mnemonic in OWN_SIZE_ONLY:
        if form.data_bits != bits or sample.prefixes.address_bits not in (0, bits):
            return False
    if sample.prefixes.address_bits > bits:
        return False  # there is no word for 32-bit addresses in 16-bit code
    return all(is_plain_address(operand, bits) for operand in sample.operands)


def is_plain_address(operand: Operand, bits: int) -> bool:
    """An address without registers has the code's own size in LLVM's language."""
    if not isinstance(operand, Memory) or operand.base or operand.index:
        return True
    return operand.address_bits == bits


@pytest.mark.parametrize("bits", [16, 32])
def test_llvm_writes_our_bytes(bits):
    samples = [sample for sample in all_samples(bits) if is_expressible(sample)]
    lines = [att_text(sample, f"i{number}") for number, sample in enumerate(samples)]
    confirmed = set()
    different = []
    for sample, line, data in zip(samples, lines, assemble(lines, bits), strict=True):
        if normal_order(data) == normal_order(sample.data):
            confirmed.add(sample.form.name)
        elif not means_the_same(sample, data):
            different.append(f"{line}: ours {sample.data.hex()}, LLVM {data.hex()}")
    assert not different
    assert {sample.form.name for sample in samples} == confirmed


def test_llvm_is_asked_about_every_form_it_knows():
    asked = {
        sample.form.name
        for bits in (16, 32)
        for sample in all_samples(bits)
        if is_expressible(sample)
    }
    known = {
        form.name
        for form in load_table()
        if not form.decode_only and form.mnemonic not in UNKNOWN_TO_LLVM
    }
    assert asked == known


@pytest.mark.parametrize("bits", [16, 32])
def test_llvm_writes_every_address_as_we_do(bits):
    samples = [sample for sample in address_samples(bits) if is_expressible(sample)]
    assert len(samples) > 2000
    lines = [att_text(sample, "") for sample in samples]
    different = [
        f"{line}: ours {sample.data.hex()}, LLVM {data.hex()}"
        for sample, line, data in zip(samples, lines, assemble(lines, bits), strict=True)
        if normal_order(data) != normal_order(sample.data)
    ]
    assert not different


@pytest.mark.compiled  # needs no compiling, but seconds; once is enough
@pytest.mark.parametrize("bits", [16, 32])
def test_llvm_writes_every_form_with_every_address(bits):
    samples = [sample for sample in memory_samples(bits) if is_expressible(sample)]
    lines = [att_text(sample, "") for sample in samples]
    asked = Counter(sample.form.name for sample in samples)
    assert min(asked.values()) >= 24
    different = [
        f"{line}: ours {sample.data.hex()}, LLVM {data.hex()}"
        for sample, line, data in zip(samples, lines, assemble(lines, bits), strict=True)
        if normal_order(data) != normal_order(sample.data) and not means_the_same(sample, data)
    ]
    assert not different
