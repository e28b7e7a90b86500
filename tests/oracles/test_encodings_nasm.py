"""NASM assembles our text of every form to the bytes that our encoder writes.

This checks two things at once: that the text is NASM's language, and that the encoder is right.
Where one meaning has several encodings NASM may choose another than the sample's; it must then be
no longer, and decode to the same operation and operands.
"""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace

import pytest

from isa.instruction import Memory, Target
from isa.nasm_text import instruction_text
from isa.notation import load_table
from tests.isa.instruction_samples import (
    ADDRESS,
    Sample,
    address_samples,
    all_samples,
    is_rewritten_by_nasm,
    means_the_same,
    memory_samples,
    normal_order,
)
from tests.oracles.nasm_assembler import assemble

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(shutil.which("nasm") is None, reason="nasm is not installed"),
]

# NASM knows neither; TRAPDOOR is the project's own.
UNKNOWN_TO_NASM = {"TRAPDOOR"}

# Forms that NASM never chooses: in each mode it stores a segment or system register in memory
# with the code's own operand size, because the stored value is the same; and it gives UD0 and UD1
# an operand-size prefix in 16-bit code, where the table has one form for both sizes.
SAME_MEANING = {"MOV_FROM_SREG", "SMSW", "SLDT", "STR"}
SIZED_BY_NASM = {"UD0", "UD1"}


def text_for_nasm(sample: Sample) -> str:
    """Our text, with branch targets relative to the line."""
    operand_bits = sample.form.encoding.operand_size or sample.bits
    address_bits = sample.prefixes.address_bits or sample.bits
    prefixes = replace(sample.prefixes, operand_bits=operand_bits, address_bits=address_bits)
    text = instruction_text(sample.form, sample.operands, prefixes, sample.bits)
    for operand in sample.operands:
        if isinstance(operand, Target):
            text = text.replace(f"{operand.address:#x}", f"$+({operand.address - ADDRESS})")
    return text


def is_compared(sample: Sample) -> bool:
    form = sample.form
    if form.operation in UNKNOWN_TO_NASM:
        return False
    if form.operation in SAME_MEANING and form.encoding.operand_size != sample.bits:
        return not any(hasattr(operand, "displacement") for operand in sample.operands)
    return not (form.operation in SIZED_BY_NASM and sample.bits == 16)


@pytest.mark.parametrize("bits", [16, 32])
def test_nasm_writes_our_bytes(bits, tmp_path):
    samples = [sample for sample in all_samples(bits) if is_compared(sample)]
    lines = [text_for_nasm(sample) for sample in samples]
    written = assemble(lines, bits, tmp_path)
    confirmed = set()
    different = []
    for sample, line, data in zip(samples, lines, written, strict=True):
        if normal_order(data) == normal_order(sample.data):
            confirmed.add(sample.form.name)
        elif not means_the_same(sample, data):
            different.append(f"{line}: ours {sample.data.hex()}, NASM {data.hex()}")
    assert not different
    silent = {form.name for form in load_table() if not form.decode_only} - confirmed
    expected = {"TRAPDOOR_imm8"} | ({"UD0_r32_rm32", "UD1_r32_rm32"} if bits == 16 else set())
    assert silent == expected


@pytest.mark.parametrize("bits", [16, 32])
def test_nasm_writes_every_address_as_we_do(bits, tmp_path):
    samples = [
        sample for sample in address_samples(bits) if not is_rewritten_by_nasm(sample.operands[1])
    ]
    assert len(samples) > 2000
    written = assemble([text_for_nasm(sample) for sample in samples], bits, tmp_path)
    different = [
        f"{text_for_nasm(sample)}: ours {sample.data.hex()}, NASM {data.hex()}"
        for sample, data in zip(samples, written, strict=True)
        if normal_order(data) != normal_order(sample.data)
    ]
    assert not different


def is_rewritten(sample: Sample) -> bool:
    return any(
        isinstance(operand, Memory) and is_rewritten_by_nasm(operand) for operand in sample.operands
    )


@pytest.mark.compiled  # needs no compiling, but seconds; once is enough
@pytest.mark.parametrize("bits", [16, 32])
def test_nasm_writes_every_form_with_every_address(bits, tmp_path):
    samples = [
        sample
        for sample in memory_samples(bits)
        if is_compared(sample) and not is_rewritten(sample)
    ]
    lines = [text_for_nasm(sample) for sample in samples]
    written = assemble(lines, bits, tmp_path)
    asked = Counter(sample.form.name for sample in samples)
    assert min(asked.values()) >= 24
    different = [
        f"{line}: ours {sample.data.hex()}, NASM {data.hex()}"
        for sample, line, data in zip(samples, lines, written, strict=True)
        if normal_order(data) != normal_order(sample.data) and not means_the_same(sample, data)
    ]
    assert not different
