"""The encoder: what it writes is what our decoder reads, and what it refuses and why."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa import operand_kinds as kinds
from isa.disassembly import decode
from isa.encoder import MAX_LENGTH, EncodingError, check_operands, encode, encode_memory
from isa.instruction import (
    REGISTERS,
    FarPointer,
    Immediate,
    Memory,
    Prefixes,
    Target,
)
from isa.notation import load_table
from isa.selection import select
from tests.isa.instruction_samples import ADDRESS, ADDRESSES, all_samples, samples_of

FORMS = {form.name: form for form in load_table()}
EBX = REGISTERS["ebx"]


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
def test_near_branches_reach_their_target(address, target, bits):
    if bits == 16:
        target = address & ~0xFFFF | target & 0xFFFF
    chosen = select("jmp", [Target(target)], bits, address)
    assert decode(chosen.data, 0, bits, address).operands == (Target(target),)


REFUSED = [
    ("mov", ("eax", "bx"), "mov: operand sizes do not agree: eax, bx"),
    ("mov", ("al", Immediate(256)), "operand 2: 0x100 does not fit in 8 bits"),
    ("mov", ("al", Immediate(-129)), "operand 2: -0x81 does not fit in 8 bits"),
    ("mov", ("cs", "ax"), "operand 1: cs cannot be loaded by MOV"),
    ("mov", ("cr1", "eax"), "operand 1: there is no cr1"),
    ("mov", (Memory(base=EBX), Immediate(1)), "memory of unknown size: write byte, word or dword"),
    ("inc", (Memory(base=EBX),), "operand 1: memory of unknown size: write byte, word or dword"),
    ("mov", ("eax", Memory(base=REGISTERS["ax"])), "[ax] is not an address: bx or bp, plus si"),
    ("mov", ("eax", Memory(base=EBX, index=REGISTERS["esp"], scale=2)), "esp cannot be scaled"),
    ("mov", ("eax", Memory(index=EBX, scale=3)), "scale 3 is not 1, 2, 4 or 8"),
    ("mov", ("eax", Memory(base=REGISTERS["bx"], scale=2)), "16-bit addressing has no scale"),
    ("mov", ("eax", Memory(base=EBX, index=REGISTERS["si"])), "16-bit and 32-bit addressing"),
    ("mov", ("eax", Memory(base=REGISTERS["al"])), "an address is made of 16-bit or of 32-bit"),
    ("mov", ("eax", Memory(base=EBX, displacement=1 << 32)), "does not fit in 32 bits"),
    ("mov", ("eax", Memory(base=EBX, displacement=300, displacement_bits=8)), "does not fit in 8"),
    (
        "mov",
        ("eax", Memory(base=EBX, displacement_bits=16)),
        "a displacement has 8 or 32 bits here",
    ),
    ("add", ("eax",), "add does not take eax"),
    ("hlt", ("eax",), "hlt does not take eax"),
    ("lea", ("eax", "ebx"), "lea does not take eax, ebx"),
    ("jmp", (Target(0x1000, "short"),), "operand 1: target is 4094 bytes away, too far for rel8"),
    ("jmp", (FarPointer(0x12345, 0),), "operand 1: selector 0x12345 does not fit in 16 bits"),
    ("jmp", (FarPointer(8, 1 << 32),), "operand 1: offset 0x100000000 does not fit in 32 bits"),
    ("jmp", (Memory(base=EBX, bits=8),), "jmp: operand sizes do not agree: 8-bit memory"),
    ("shl", ("eax", "bl"), "shl does not take eax, bl"),
    ("frobnicate", (), "unknown instruction 'frobnicate'"),
    ("int", (Immediate(3, 32),), "int: operand sizes do not agree: immediate 0x3"),
]


@pytest.mark.parametrize(("mnemonic", "operands", "rule"), REFUSED)
def test_a_refusal_names_the_rule(mnemonic, operands, rule):
    values = [REGISTERS[operand] if isinstance(operand, str) else operand for operand in operands]
    with pytest.raises(EncodingError) as refusal:
        select(mnemonic, values, 32)
    assert rule in str(refusal.value)
    assert "\n" not in str(refusal.value)


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
    with pytest.raises(EncodingError, match="outside the 64 KiB"):
        select("jmp", [Target(0x10010)], 16, address=0xFFF0)
    wrapped = select("jmp", [Target(0x0010)], 16, address=0xFFF0)
    assert wrapped.form.name == "JMP_rel8_o16"


def test_the_longest_instruction_has_exactly_the_fifteen_bytes_allowed():
    """So the encoder need not check: every prefix of use, SIB, and two 32-bit constants."""
    shape = {"base": EBX, "index": EBX, "scale": 4, "displacement": 0x12345, "segment": 0}
    operands = (Memory(**shape), Immediate(0x12345678))
    data = encode(FORMS["ADD_rm32_imm32"], operands, 16, prefixes=Prefixes(lock=True))
    assert len(data) == MAX_LENGTH
    assert max(len(sample.data) for sample in all_samples(16)) <= MAX_LENGTH


CHOICES = [
    (32, "mov", ("eax", Immediate(5)), "b8 05 00 00 00"),
    (32, "add", ("eax", Immediate(5)), "83 c0 05"),
    (32, "add", ("eax", Immediate(0xFFFFFFFF)), "83 c0 ff"),
    (32, "add", ("ax", Immediate(5)), "66 83 c0 05"),
    (16, "add", ("ax", Immediate(0xFFFF)), "83 c0 ff"),
    (32, "add", ("al", Immediate(5)), "04 05"),
    (32, "add", ("eax", "ecx"), "01 c8"),
    (32, "ret", (), "c3"),
    (16, "ret", (), "c3"),
    (32, "pushf", (), "9c"),
    (32, "pushfw", (), "66 9c"),
    (16, "pushfd", (), "66 9c"),
    (16, "iret", (), "cf"),
    (16, "iretd", (), "66 cf"),
    (32, "push", (Immediate(5),), "6a 05"),
    (32, "push", (Immediate(5, 16),), "66 6a 05"),
    (32, "push", (Immediate(5, 32, strict=True),), "68 05 00 00 00"),
    (32, "push", (Immediate(0x1234),), "68 34 12 00 00"),
    (32, "imul", ("ebx", Immediate(3)), "6b db 03"),
    (32, "xchg", ("ebx", "eax"), "93"),
    (32, "test", ("eax", Memory(base=EBX)), "85 03"),
    (32, "aam", (), "d4 0a"),
    (32, "sal", ("eax", Immediate(1)), "d1 e0"),
    (32, "jz", (Target(0x10),), "74 0e"),
    (32, "jz", (Target(0x10, "near"),), "0f 84 0a 00 00 00"),
    (32, "setnae", ("cl",), "0f 92 c1"),
    (32, "call", (Memory(base=EBX),), "ff 13"),
    (16, "call", (Memory(base=EBX),), "67 ff 13"),
    (32, "call", (Memory(base=EBX, far=True),), "ff 1b"),
    (32, "jmp", (FarPointer(8, 0x10, 16),), "66 ea 10 00 08 00"),
    (32, "lgdt", (Memory(displacement=16),), "0f 01 15 10 00 00 00"),
    (32, "mov", ("ds", "eax"), "8e d8"),
    (32, "mov", ("eax", Memory(displacement=16)), "a1 10 00 00 00"),
    (32, "mov", ("eax", Memory(displacement=16, address_bits=16)), "67 a1 10 00"),
    (32, "movzx", ("eax", Memory(base=EBX, bits=16)), "0f b7 03"),
    (32, "mov", ("eax", Memory(base=EBX, index=REGISTERS["esp"])), "8b 04 1c"),
]


@pytest.mark.parametrize(("bits", "mnemonic", "operands", "data"), CHOICES)
def test_the_form_an_assembler_takes(bits, mnemonic, operands, data):
    values = [REGISTERS[operand] if isinstance(operand, str) else operand for operand in operands]
    assert select(mnemonic, values, bits).data == bytes.fromhex(data)


def test_operands_of_a_wrong_number_are_refused():
    with pytest.raises(EncodingError, match="MOV takes 2 operands here"):
        check_operands(FORMS["MOV_r32_rm32"], (EBX,))


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
