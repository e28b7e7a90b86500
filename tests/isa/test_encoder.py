"""The encoder: what it writes is what our decoder reads, and what it refuses and why."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa import operand_kinds as kinds
from isa.disassembly import decode
from isa.encoder import (
    MAX_LENGTH,
    WRONG_KIND,
    WRONG_SIZE,
    EncodingError,
    check_operands,
    encode,
    encode_memory,
)
from isa.instruction import (
    REGISTERS,
    FarPointer,
    Immediate,
    Memory,
    Operand,
    Prefixes,
    Target,
)
from isa.mnemonics import forms_by_mnemonic
from isa.notation import load_table
from tests.isa.instruction_samples import ADDRESS, ADDRESSES, all_samples, samples_of

FORMS = {form.name: form for form in load_table()}
BX, EBX, ESP = REGISTERS["bx"], REGISTERS["ebx"], REGISTERS["esp"]


def values(operands: tuple[str | Operand, ...]) -> tuple[Operand, ...]:
    """Operands with registers by name."""
    return tuple(REGISTERS[item] if isinstance(item, str) else item for item in operands)


@pytest.mark.parametrize("bits", [16, 32])
def test_every_form_comes_back_from_the_decoder(bits):
    forms = set()
    for sample in all_samples(bits):
        found = decode(sample.data, 0, bits, ADDRESS)
        assert (found.form, found.operands) == (sample.form, sample.operands), sample
        assert found.length == len(sample.data), sample
        assert found.prefixes.lock == sample.prefixes.lock, sample
        assert found.prefixes.repeat in (sample.prefixes.repeat, sample.form.encoding.mandatory)
        assert found.prefixes.segment == sample.prefixes.segment, sample
        forms.add(sample.form.name)
    assert len(forms) == sum(not form.decode_only for form in load_table())


@pytest.mark.parametrize("bits", [16, 32])
def test_forms_for_decoding_only_decode_to_themselves(bits):
    for form in load_table():
        if form.decode_only:
            for sample in samples_of(form, bits):
                assert decode(sample.data, 0, bits, ADDRESS).form == form, sample


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("address_bits", [16, 32])
def test_every_address_shape_comes_back(bits, address_bits):
    form = FORMS["MOV_r32_rm32"]
    for shape in ADDRESSES[address_bits]:
        memory = replace(shape, bits=32)
        data = encode(form, (EBX, memory), bits)
        assert decode(data, 0, bits).operands == (EBX, memory)


@pytest.mark.parametrize("width", [8, 32])
def test_a_displacement_width_can_be_insisted_on(width):
    memory = Memory(base=EBX, displacement=0, bits=32, address_bits=32, displacement_bits=width)
    data = encode(FORMS["MOV_r32_rm32"], (EBX, memory), 32)
    assert len(data) == 2 + width // 8
    assert decode(data).operands[1] == memory


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.sampled_from([16, 32]))
def test_near_branches_reach_every_target(address, target, bits):
    """Within 32 bits, or within the 64 KiB that 16-bit code is listed in; both wrap."""
    if bits == 16:
        target = address & ~0xFFFF | target & 0xFFFF
    data = encode(FORMS[f"JMP_rel{bits}"], [Target(target)], bits, address)
    assert decode(data, 0, bits, address).operands == (Target(target),)


REFUSED = [
    ("MOV_r8_imm8", ("al", Immediate(256)), "operand 2: 0x100 does not fit in 8 bits"),
    ("MOV_r8_imm8", ("al", Immediate(-129)), "operand 2: -0x81 does not fit in 8 bits"),
    ("MOV_r32_imm32", ("eax", Immediate(1 << 32)), "operand 2: 0x100000000 does not fit in 32"),
    ("ADD_rm32_imm8", ("eax", Immediate(128)), "operand 2: 0x80 does not fit in a sign-extended"),
    ("MOV_Sreg_rm16", ("cs", "ax"), "operand 1: cs cannot be loaded by MOV"),
    ("MOV_CR_r32", ("cr1", "eax"), "operand 1: there is no cr1"),
    ("XCHG_EAX_r32", ("eax", "eax"), "operand 2: eax is not encoded here"),
    ("MOV_r32_rm32", ("eax", Memory(base=REGISTERS["ax"])), "[ax] is not an address: bx or bp"),
    ("MOV_r32_rm32", ("eax", Memory(base=EBX, index=ESP, scale=2)), "esp cannot be scaled"),
    ("MOV_r32_rm32", ("eax", Memory(index=EBX, scale=3)), "scale 3 is not 1, 2, 4 or 8"),
    ("MOV_r32_rm32", ("eax", Memory(base=BX, scale=2)), "16-bit addressing has no scale"),
    ("MOV_r32_rm32", ("eax", Memory(base=EBX, index=BX)), "16-bit and 32-bit addressing are mixed"),
    ("MOV_r32_rm32", ("eax", Memory(base=REGISTERS["al"])), "made of 16-bit or of 32-bit regis"),
    ("MOV_r32_rm32", ("eax", Memory(base=EBX, displacement=1 << 32)), "does not fit in 32 bits"),
    (
        "MOV_r32_rm32",
        ("eax", Memory(base=EBX, displacement=300, displacement_bits=8)),
        "displacement 0x12c does not fit in 8 bits",
    ),
    (
        "MOV_r32_rm32",
        ("eax", Memory(base=EBX, displacement_bits=16)),
        "a displacement has 8 or 32 bits here",
    ),
    ("JMP_rel8_o32", (Target(0x1000),), "operand 1: target is 4094 bytes away, too far for rel8"),
    ("JMP_ptr16_32", (FarPointer(0x12345, 0),), "operand 1: selector 0x12345 does not fit in 16"),
    ("JMP_ptr16_32", (FarPointer(8, 1 << 32),), "operand 1: offset 0x100000000 does not fit in 32"),
]


@pytest.mark.parametrize(("form", "operands", "rule"), REFUSED)
def test_a_refused_value_is_named_with_its_rule(form, operands, rule):
    with pytest.raises(EncodingError) as refusal:
        encode(FORMS[form], values(operands), 32)
    assert rule in str(refusal.value)
    assert "\n" not in str(refusal.value)


UNFIT = [
    ("MOV_r32_rm32", ("eax", "bx"), WRONG_SIZE, "operand 2: expected r/m32, found bx"),
    ("MOV_r32_rm32", ("ax", Immediate(1)), WRONG_KIND, "operand 2: expected r/m32, found an imm"),
    ("MOV_r32_rm32", ("eax", "ds"), WRONG_KIND, "operand 2: expected r/m32, found ds"),
    ("MOV_r32_rm32", ("eax", Memory(base=EBX, bits=8)), WRONG_SIZE, "found memory of 8 bits"),
    ("MOV_r32_rm32", ("eax",), WRONG_KIND, "MOV takes 2 operands here"),
    ("INC_rm32", (), WRONG_KIND, "INC takes 1 operand here"),
    ("LEA_r32_m", ("eax", "ebx"), WRONG_KIND, "operand 2: expected m, found ebx"),
    ("MOV_CR_r32", ("cr0", Memory(base=EBX)), WRONG_KIND, "operand 2: expected r32, found memory"),
    ("MOV_EAX_moffs32", ("eax", Memory(base=EBX)), WRONG_KIND, "found memory at a register"),
    ("SHL_rm32_CL", ("eax", "dl"), WRONG_KIND, "operand 2: expected CL, found dl"),
    ("SHL_rm32_1", ("eax", Immediate(2)), WRONG_KIND, "operand 2: expected 1, found an immediate"),
    ("PUSH_imm8_o32", (Immediate(5, 16),), WRONG_SIZE, "found an immediate of 16 bits"),
    ("PUSH_imm8_o32", (Immediate(5, 32, strict=True),), WRONG_SIZE, "an immediate of 32 bits"),
    ("PUSH_rm32", (Immediate(5),), WRONG_KIND, "operand 1: expected r/m32, found an immediate"),
    ("JMP_rm32", (Memory(base=EBX, far=True),), WRONG_KIND, "expected r/m32, found far memory"),
    ("JMP_m16_32", (Memory(base=EBX),), WRONG_KIND, "expected m16:32, found near memory"),
    ("JMP_m16_32", (Memory(base=EBX, far=True, bits=16),), WRONG_SIZE, "found memory of 16 bits"),
    ("JMP_rm32", (Target(0),), WRONG_KIND, "expected r/m32, found a branch target"),
    ("JMP_rel32", (Target(0, "short"),), WRONG_SIZE, "expected rel32, found a short target"),
    ("JMP_rel8_o32", (Target(0, "near"),), WRONG_SIZE, "expected rel8, found a near target"),
    ("JMP_rel32", (FarPointer(8, 0),), WRONG_KIND, "expected rel32, found a far pointer"),
    ("JMP_ptr16_32", (FarPointer(8, 0, 16),), WRONG_SIZE, "found a far pointer of 16 bits"),
]


@pytest.mark.parametrize(("form", "operands", "nearness", "rule"), UNFIT)
def test_operands_that_a_form_does_not_take(form, operands, nearness, rule):
    with pytest.raises(EncodingError) as refusal:
        check_operands(FORMS[form], values(operands))
    assert rule in str(refusal.value)
    assert refusal.value.nearness == nearness


def test_the_operand_that_fits_least_is_named():
    with pytest.raises(EncodingError, match="operand 2: expected imm8, found ecx") as refusal:
        check_operands(FORMS["ADD_rm8_imm8"], values(("eax", "ecx")))
    assert refusal.value.operand == 1


@pytest.mark.parametrize(
    ("prefixes", "rule"),
    [
        (Prefixes(lock=True), "LOCK is not legal with MOV r/m32, r32"),
        (Prefixes(repeat=0xF3), "MOV is not a string instruction: it cannot repeat"),
        (Prefixes(operand_bits=16), "has no 16-bit operand size here"),
        (Prefixes(segment=0), "two different segment overrides"),
        (Prefixes(address_bits=16), "16-bit and 32-bit addressing are mixed"),
    ],
)
def test_prefixes_without_meaning_are_refused(prefixes, rule):
    memory = Memory(base=EBX, segment=1)
    with pytest.raises(EncodingError, match=rule):
        encode(FORMS["MOV_rm32_r32"], (memory, EBX), 32, prefixes=prefixes)


def test_a_16_bit_branch_stays_in_its_64_kib():
    form = FORMS["JMP_rel8_o16"]
    with pytest.raises(EncodingError, match="outside the 64 KiB"):
        encode(form, [Target(0x10010)], 16, address=0xFFF0)
    assert encode(form, [Target(0x0010)], 16, address=0xFFF0) == bytes.fromhex("eb 1e")
    with pytest.raises(EncodingError, match="outside the 64 KiB"):
        encode(form, [Target(0x12340)], 32, address=0x12330)


def test_the_longest_instruction_has_exactly_the_fifteen_bytes_allowed():
    """So the encoder need not check: every prefix of use, SIB, and two 32-bit constants."""
    shape = {"base": EBX, "index": EBX, "scale": 4, "displacement": 0x12345, "segment": 0}
    operands = (Memory(**shape), Immediate(0x12345678))
    data = encode(FORMS["ADD_rm32_imm32"], operands, 16, prefixes=Prefixes(lock=True))
    assert len(data) == MAX_LENGTH
    assert max(len(sample.data) for sample in all_samples(16)) <= MAX_LENGTH


def test_customary_spellings():
    """A 32-bit register as the source of a segment register, and ESP as an index."""
    assert encode(FORMS["MOV_Sreg_rm16"], values(("ds", "eax")), 32) == bytes.fromhex("8e d8")
    swapped = Memory(base=EBX, index=ESP)
    assert encode(FORMS["MOV_r32_rm32"], (EBX, swapped), 32) == bytes.fromhex("8b 1c 1c")


def test_mnemonics_have_aliases_and_sizes():
    forms = forms_by_mnemonic()
    assert forms["JZ"] == forms["JE"]
    assert forms["SETNAE"] == forms["SETB"]
    assert forms["CMOVPO"] == forms["CMOVNP"]
    assert forms["SAL"] == forms["SHL"]
    assert [form.name for form in forms["PUSHF"]] == ["PUSHF", "PUSHFD"]
    assert [form.name for form in forms["PUSHFW"]] == ["PUSHF"]
    assert [form.name for form in forms["PUSHFD"]] == ["PUSHFD"]
    assert [form.name for form in forms["RETFD"]] == ["RETF_o32", "RETF_imm16_o32"]
    assert not any(form.decode_only for group in forms.values() for form in group)


def test_every_operand_is_in_one_place():
    """In ModRM, in the opcode, after them, or nowhere because it is fixed."""
    places = (
        kinds.IN_REG_FIELD,
        kinds.IN_RM_FIELD,
        kinds.IN_OPCODE,
        kinds.IMMEDIATE,
        kinds.RELATIVE,
        kinds.FAR_POINTER,
        kinds.MEMORY_OFFSET,
        kinds.FIXED,
    )
    for kind in range(1, kinds.KIND_COUNT):
        assert sum(kind in place for place in places) == 1, kind


def test_memory_without_an_instruction():
    assert encode_memory(Memory(base=EBX, displacement=4), 3, 32) == bytes.fromhex("5b 04")
