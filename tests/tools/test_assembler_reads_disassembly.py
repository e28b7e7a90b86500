"""The assembler takes the disassembler's text of every form and gives the same meaning back.

No other program is needed for this: what one of the two gets wrong, the other has to get wrong
too. NASM and LLVM watch over both in tests/oracles.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from isa.instruction import Target
from isa.nasm_text import instruction_text
from isa.notation import load_table
from tests.isa.instruction_samples import (
    ADDRESS,
    Sample,
    address_samples,
    all_samples,
    is_rewritten_by_nasm,
    means_the_same,
)
from tools.assembler import assemble_text

# In 16-bit code these get an operand-size prefix from the assembler, as from NASM; the processor
# does not care.
PREFIXED = {"UD0", "UD1"}


def text_of(sample: Sample) -> str:
    """The disassembler's text, with branch targets relative to the line."""
    operand_bits = sample.form.encoding.operand_size or sample.bits
    address_bits = sample.prefixes.address_bits or sample.bits
    prefixes = replace(sample.prefixes, operand_bits=operand_bits, address_bits=address_bits)
    text = instruction_text(sample.form, sample.operands, prefixes, sample.bits)
    for operand in sample.operands:
        if isinstance(operand, Target):
            text = text.replace(f"{operand.address:#x}", f"$+({operand.address - ADDRESS})")
    return text


def assembled(samples: list[Sample], bits: int) -> list[bytes]:
    """The bytes of every sample's text, all assembled in one run."""
    lines = [f"l{number}: {text_of(sample)}" for number, sample in enumerate(samples)]
    assembly = assemble_text("\n".join([*lines, f"l{len(lines)}:"]), bits=bits)
    at = [assembly.symbols[f"l{number}"] for number in range(len(lines) + 1)]
    return [assembly.bytes[start:end] for start, end in pairwise(at)]


@pytest.mark.parametrize("bits", [16, 32])
def test_every_form_comes_back(bits):
    samples = list(all_samples(bits))
    assert {sample.form.name for sample in samples} == {
        form.name for form in load_table() if not form.decode_only
    }
    different = [
        f"{text_of(sample)}: {data.hex()}, not {sample.data.hex()}"
        for sample, data in zip(samples, assembled(samples, bits), strict=True)
        if data != sample.data
        and not means_the_same(sample, data)
        and not (bits == 16 and sample.form.mnemonic in PREFIXED)
    ]
    assert not different


@pytest.mark.parametrize("bits", [16, 32])
def test_every_address_comes_back(bits):
    samples = [s for s in address_samples(bits) if not is_rewritten_by_nasm(s.operands[1])]
    assert len(samples) > 1000
    different = [
        f"{text_of(sample)}: {data.hex()}, not {sample.data.hex()}"
        for sample, data in zip(samples, assembled(samples, bits), strict=True)
        if data != sample.data and not means_the_same(sample, data)
    ]
    assert not different
