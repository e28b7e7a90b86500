"""The plain decoder: operands as values, text, and what is not an instruction."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa.disassembly import (
    OVERLONG,
    TRUNCATED,
    UNDEFINED,
    DecodeError,
    decode,
    sweep,
)
from isa.encoder import MAX_LENGTH, encode
from isa.instruction import (
    REGISTERS,
    FarPointer,
    Immediate,
    Memory,
    Register,
    Target,
)

TEXTS_32 = [
    ("b8 05 00 00 00", "mov eax, 0x5"),
    ("83 c0 ff", "add eax, -0x1"),
    ("c7 43 04 04 00 00 00", "mov dword [ebx+0x4], 0x4"),
    ("8b 44 8b fc", "mov eax, [ebx+ecx*4-0x4]"),
    ("8b 04 85 00 00 10 c0", "mov eax, [eax*4+0xc0100000]"),
    ("26 8b 03", "mov eax, [es:ebx]"),
    ("67 8b 42 10", "mov eax, [bp+si+0x10]"),
    ("67 a1 34 12", "mov eax, [word 0x1234]"),
    ("a1 00 10 00 00", "mov eax, [0x1000]"),
    ("0f b7 43 10", "movzx eax, word [ebx+0x10]"),
    ("8d 74 26 00", "lea esi, [esi+0x0]"),
    ("0f 20 c0", "mov eax, cr0"),
    ("0f 22 18", "mov cr3, eax"),
    ("8c d8", "mov eax, ds"),
    ("66 8c d8", "mov ax, ds"),
    ("8e d8", "mov ds, ax"),
    ("c3", "ret"),
    ("66 c3", "o16 ret"),
    ("ca 04 00", "retf 0x4"),
    ("9c", "pushfd"),
    ("66 9c", "pushfw"),
    ("cf", "iretd"),
    ("66 cf", "iretw"),
    ("6a ff", "push -0x1"),
    ("66 6a 05", "push word 0x5"),
    ("66 68 05 00", "push word 0x5"),
    ("1e", "push ds"),
    ("66 1e", "o16 push ds"),
    ("74 fe", "je 0x1000"),
    ("66 0f 84 10 00", "je near word 0x1015"),
    ("66 e8 10 00", "call word 0x1014"),
    ("e8 fb ff ff ff", "call 0x1000"),
    ("ea 00 10 00 00 08 00", "jmp 0x8:0x1000"),
    ("66 ea 00 10 08 00", "jmp word 0x8:0x1000"),
    ("ff 2d 10 00 00 00", "jmp far [0x10]"),
    ("66 ff 2d 10 00 00 00", "jmp word far [0x10]"),
    ("ff 15 00 00 00 c0", "call dword [0xc0000000]"),
    ("f3 a5", "rep movsd"),
    ("f2 ae", "repne scasb"),
    ("f3 a6", "repe cmpsb"),
    ("26 67 ac", "a16 es lodsb"),
    ("f3 67 66 ab", "rep a16 stosw"),
    ("2e d7", "cs xlatb"),
    ("67 e2 f0", "a16 loop 0xff3"),
    ("e3 00", "jecxz 0x1002"),
    ("67 e3 00", "jcxz 0x1003"),
    ("f0 0f c7 0b", "lock cmpxchg8b [ebx]"),
    ("f0 ff 03", "lock inc dword [ebx]"),
    ("0f 01 15 04 00 00 00", "lgdt [0x4]"),
    ("66 0f 01 15 04 00 00 00", "o16 lgdt [0x4]"),
    ("0f 01 3b", "invlpg [ebx]"),
    ("0f 02 03", "lar eax, word [ebx]"),
    ("d4 0a", "aam"),
    ("d4 07", "aam 0x7"),
    ("c8 10 00 01", "enter 0x10, 0x1"),
    ("d1 e0", "shl eax, 0x1"),
    ("d3 23", "shl dword [ebx], cl"),
    ("c4 03", "les eax, [ebx]"),
    ("cd 80", "int 0x80"),
    ("e4 60", "in al, 0x60"),
    ("66 ef", "out dx, ax"),
    ("90", "nop"),
    ("f3 90", "pause"),
    ("0f 1f 44 00 00", "nop dword [eax+eax+0x0]"),
    ("0f 0a 05", "trapdoor 0x5"),
    ("f3 c3", "ret"),
    ("2e 74 00", "je 0x1003"),
]

TEXTS_16 = [
    ("b8 05 00", "mov ax, 0x5"),
    ("66 b8 05 00 00 00", "mov eax, 0x5"),
    ("8b 42 10", "mov ax, [bp+si+0x10]"),
    ("67 8b 43 10", "mov ax, [ebx+0x10]"),
    ("67 a1 00 10 00 00", "mov ax, [dword 0x1000]"),
    ("9c", "pushf"),
    ("66 9c", "pushfd"),
    ("cf", "iret"),
    ("66 c3", "o32 ret"),
    ("66 ea 00 10 00 00 08 00", "jmp dword 0x8:0x1000"),
    ("66 ff 2e 10 00", "jmp dword far [0x10]"),
    ("66 e9 00 01 00 00", "jmp near dword 0x1106"),
    ("e9 fd ef", "jmp 0x0"),
    ("66 6a 05", "push dword 0x5"),
    ("66 0f 01 16 04 00", "o32 lgdt [0x4]"),
    ("67 f3 a4", "rep a32 movsb"),
    ("67 e3 00", "jecxz 0x1003"),
]


@pytest.mark.parametrize(("data", "text"), TEXTS_32)
def test_text_in_32_bit_code(data, text):
    assert decode(bytes.fromhex(data), 0, 32, 0x1000).text == text


@pytest.mark.parametrize(("data", "text"), TEXTS_16)
def test_text_in_16_bit_code(data, text):
    assert decode(bytes.fromhex(data), 0, 16, 0x1000).text == text


def test_a_record_tells_what_a_monitor_wants_to_know():
    code = bytes.fromhex("90 26 66 f3 0f b7 8c 93 00 10 00 00 cc")
    found = decode(code, 1, 32, 0x8001)
    assert found.form.mnemonic == "MOVZX"
    assert (found.address, found.length, found.bits) == (0x8001, 11, 32)
    assert found.data == code[1:12]
    register, memory = found.operands
    assert register == REGISTERS["cx"]
    assert isinstance(memory, Memory)
    assert memory.base == REGISTERS["ebx"]
    assert memory.index == REGISTERS["edx"]
    assert (memory.scale, memory.displacement, memory.bits) == (4, 0x1000, 16)
    assert memory.effective_segment == memory.segment == 0
    assert found.prefixes.repeat == 0xF3
    assert (found.prefixes.operand_bits, found.prefixes.address_bits) == (16, 32)


@pytest.mark.parametrize(
    ("data", "operands"),
    [
        ("0f 22 d8", (REGISTERS["cr3"], REGISTERS["eax"])),
        ("0f 23 f9", (REGISTERS["dr7"], REGISTERS["ecx"])),
        ("8e d0", (REGISTERS["ss"], REGISTERS["ax"])),
        ("e6 20", (Immediate(0x20, 8), REGISTERS["al"])),
        ("ed", (REGISTERS["eax"], REGISTERS["dx"])),
        ("66 83 c0 ff", (REGISTERS["ax"], Immediate(0xFFFF, 8))),
        ("eb fe", (Target(0x1000),)),
        ("9a 78 56 34 12 10 00", (FarPointer(0x10, 0x12345678, 32),)),
        ("d0 e0", (REGISTERS["al"], Immediate(1))),
        ("66 8c c8", (REGISTERS["ax"], Register("sreg", 1))),
    ],
)
def test_operands_are_values(data, operands):
    assert decode(bytes.fromhex(data), 0, 32, 0x1000).operands == operands


@pytest.mark.parametrize(
    ("text", "segment"),
    [("8b 03", 3), ("8b 45 00", 2), ("8b 04 24", 2), ("8b 44 2b 00", 3), ("65 8b 45 00", 5)],
)
def test_the_segment_of_an_address(text, segment):
    """SS where the base is ESP or EBP, DS otherwise; EBP as an index does not count."""
    memory = decode(bytes.fromhex(text)).operands[1]
    assert isinstance(memory, Memory)
    assert memory.effective_segment == segment


# What the opcode map of the manual leaves empty on this processor, or gives to units it lacks.
# fmt: off
UNDEFINED_OPCODES = (
    "0f 04", "0f 05", "0f 07", "0f 0c", "0f 0d 00", "0f 0e", "0f 0f", "0f 10 00", "0f 24 00",
    "0f 26 00", "0f 36", "0f 37", "0f 38 00", "0f 39", "0f 3a 00", "0f 50 c0", "0f 6f 00", "0f 77",
    "0f a6 00", "0f a7 00", "0f aa", "0f ae 00", "0f b8 00", "0f c2 00", "0f d0",
    "fe 10", "fe ff", "ff f8", "ff 38", "8f 48 00", "8d c0", "c4 c0", "c5 c0",
    "62 c0", "ff d8", "ff e8", "c6 48 00 00", "c7 08 00 00 00 00", "0f 00 30", "0f 00 f8",
    "0f 01 c0", "0f 01 d8", "0f 01 28", "0f 01 f8", "0f b2 c0", "0f b4 c0", "0f b5 c0",
    "0f ba 00 00", "0f ba d8 00", "0f c7 00", "0f c7 c8", "0f c7 30", "0f 20 c8", "0f 22 e8",
    "0f 22 f0", "0f 20 f8", "8e c8", "8e f0", "8c f8", "8c f0", "f0 90", "f0 8b 03", "f0 01 c0",
    "f0 03 03", "f0 38 03", "f0 0f a3 03", "f0 a5", "f0 f4",
)
# fmt: on


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("data", UNDEFINED_OPCODES)
def test_undefined_opcodes(data, bits):
    code = bytes.fromhex(data) + bytes(8)
    with pytest.raises(DecodeError, match=r"undefined instruction at 0x400000") as refusal:
        decode(code, 0, bits, 0x400000)
    assert refusal.value.reason == UNDEFINED
    assert refusal.value.address == 0x400000


@pytest.mark.parametrize("data", ["", "66", "0f", "b8 01", "8b", "8b 04", "8b 80 00 00 00", "9a"])
def test_bytes_that_end_too_early(data):
    with pytest.raises(DecodeError) as refusal:
        decode(bytes.fromhex(data))
    assert refusal.value.reason == TRUNCATED


def test_the_limit_of_fifteen_bytes():
    longest = b"\x2e" * (MAX_LENGTH - 1) + b"\x90" + bytes(4)
    assert decode(longest).length == MAX_LENGTH
    for data in (b"\x2e" * MAX_LENGTH + b"\x90", b"\x2e" * 11 + b"\xc7\x00" + bytes(8)):
        with pytest.raises(DecodeError) as refusal:
            decode(data)
        assert refusal.value.reason == OVERLONG


def test_a_sweep_lists_every_byte():
    code = bytes.fromhex("90 0f 04 c3 d8 b8")
    lines = list(sweep(code, 32, 0x100))
    assert [text for _, _, text in lines] == [
        "nop",
        "db 0x0f",
        "add al, 0xc3",
        "db 0xd8",
        "db 0xb8",
    ]
    assert [address for address, _, _ in lines] == [0x100, 0x101, 0x102, 0x104, 0x105]
    assert b"".join(data for _, data, _ in lines) == code


@given(st.binary(min_size=1, max_size=64), st.sampled_from([16, 32]), st.integers(0, 0xFFFF))
def test_any_bytes_can_be_swept(code, bits, address):
    lines = list(sweep(code, bits, address))
    assert b"".join(data for _, data, _ in lines) == code
    assert all(text and text.isascii() and "\n" not in text for _, _, text in lines)


@given(st.binary(min_size=16, max_size=16), st.sampled_from([16, 32]))
def test_what_decodes_can_be_encoded_again(code, bits):
    """Random instructions come back, apart from prefixes without effect and SIB bytes to spare."""
    try:
        found = decode(code, 0, bits, 0x2000)
    except DecodeError:
        return
    if found.prefixes.repeat and not found.form.repeat:
        return
    data = encode(found.form, found.operands, bits, 0x2000, found.prefixes)
    again = decode(data, 0, bits, 0x2000)
    assert again.form == found.form
    assert again.length <= found.length
    if not any(isinstance(operand, Target) for operand in found.operands):
        assert again.operands == found.operands
        assert again.text == found.text
