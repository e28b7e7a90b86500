"""Bytes to Instruction records, in plain Python.

The same opcode map as the machine's own decoder (isa/decoder.py), with operands as values and text
as people read it. Used where an instruction is looked at once: listings, error messages, monitors
that learn which instruction faulted. Does not touch machine state.

Source: SDM vol. 2A, "Instruction Format"; vol. 2D, "Opcode Map".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from isa import nasm_text, opcode_map
from isa import operand_kinds as kinds
from isa.encoder import (
    ADDRESS_SIZE_PREFIX,
    ADDRESSES_16,
    FAR_OFFSET_BITS,
    KIND_FILES,
    LOCK_PREFIX,
    MAX_LENGTH,
    OPERAND_SIZE_PREFIX,
    POINTER_OFFSET_BITS,
    SEGMENT_PREFIXES,
)
from isa.errors import TrapgateError
from isa.instruction import (
    FarPointer,
    Immediate,
    Instruction,
    Memory,
    Operand,
    Prefixes,
    Register,
    Target,
)
from isa.notation import Form, load_table

UNDEFINED: Final = "undefined"  # #UD
TRUNCATED: Final = "truncated"  # more bytes are needed than there are
OVERLONG: Final = "overlong"  # more than 15 bytes: #GP(0)

REPEAT_PREFIXES: Final = (0xF2, 0xF3)
NO_BASE_32: Final = 5  # rm or SIB.base with mod 0: a displacement only
SIB_FOLLOWS: Final = 4
NO_INDEX: Final = 4
NO_BASE_16: Final = 6
BASE_REGISTERS_16: Final = (3, 5)  # bx and bp; the other register of a pair is the index


class DecodeError(TrapgateError):
    """Bytes that are not an instruction. `reason`: UNDEFINED, TRUNCATED or OVERLONG."""

    def __init__(self, reason: str, address: int) -> None:
        super().__init__(f"{reason} instruction at {address:#x}")
        self.reason = reason
        self.address = address


@cache
def _opcodes() -> opcode_map.OpcodeMap:
    return opcode_map.build(load_table())


@dataclass(slots=True)
class _Reader:
    """The bytes of one instruction; counts what was taken."""

    data: bytes
    start: int
    address: int
    length: int = 0

    def take(self, width: int = 1) -> int:
        """The next little-endian number; DecodeError where there is none."""
        end = self.length + width
        position = self.start + self.length
        if end > MAX_LENGTH:
            raise DecodeError(OVERLONG, self.address)
        if self.start + end > len(self.data):
            raise DecodeError(TRUNCATED, self.address)
        self.length = end
        return int.from_bytes(self.data[position : position + width], "little")

    def take_signed(self, width: int) -> int:
        value = self.take(width)
        return value - (1 << width * 8) if value >> width * 8 - 1 else value


def decode(data: bytes, offset: int = 0, bits: int = 32, address: int = 0) -> Instruction:
    """Decode the instruction at `data[offset:]`, which lies at `address` in code of `bits`.

    Raises DecodeError for bytes that the machine does not execute either.
    """
    reader = _Reader(data, offset, address)
    prefixes, opcode = _take_prefixes(reader, bits)
    form, opcode, modrm = _take_form(reader, opcode, prefixes)
    operands = _take_operands(reader, form, opcode, modrm, prefixes)
    memory_destination = any(isinstance(operand, Memory) for operand in operands)
    if prefixes.lock and not (form.lockable and memory_destination):
        raise DecodeError(UNDEFINED, address)
    end = address + reader.length
    base = address & ~0xFFFF if bits == 16 else 0
    operands = tuple(
        Target(_wrapped(end + operand.address, prefixes.operand_bits, base))
        if isinstance(operand, Target)
        else operand
        for operand in operands
    )
    return Instruction(
        form=form,
        length=reader.length,
        operands=operands,
        prefixes=prefixes,
        text=nasm_text.instruction_text(form, operands, prefixes, bits),
        address=address,
        bits=bits,
        data=bytes(data[offset : offset + reader.length]),
    )


def sweep(data: bytes, bits: int = 32, address: int = 0) -> Iterator[tuple[int, bytes, str]]:
    """Disassemble from front to back: address, bytes, text. What does not decode becomes `db`."""
    offset = 0
    while offset < len(data):
        try:
            instruction = decode(data, offset, bits, address + offset)
            length, text = instruction.length, instruction.text
        except DecodeError:
            length, text = 1, f"db {data[offset]:#04x}"
        yield address + offset, data[offset : offset + length], text
        offset += length


def _wrapped(target: int, operand_bits: int, base: int) -> int:
    """Where a branch ends up. `base`: the 64 KiB that 16-bit code is listed in."""
    return target & 0xFFFFFFFF if operand_bits == 32 else base | target & 0xFFFF


def _take_prefixes(reader: _Reader, bits: int) -> tuple[Prefixes, int]:
    """Prefixes in any order and number, the last of a kind wins; then the opcode byte."""
    other = 48 - bits
    lock, repeat, operand_bits, address_bits = False, 0, bits, bits
    segment: int | None = None
    while True:
        byte = reader.take()
        if byte == OPERAND_SIZE_PREFIX:
            operand_bits = other
        elif byte == ADDRESS_SIZE_PREFIX:
            address_bits = other
        elif byte == LOCK_PREFIX:
            lock = True
        elif byte in REPEAT_PREFIXES:
            repeat = byte
        elif byte in SEGMENT_PREFIXES:
            segment = SEGMENT_PREFIXES.index(byte)
        else:
            return Prefixes(lock, repeat, segment, operand_bits, address_bits), byte


def _take_form(reader: _Reader, opcode: int, prefixes: Prefixes) -> tuple[Form, int, int]:
    """The form, its opcode byte and its ModRM byte (0 when it has none)."""
    two_byte = opcode == 0x0F
    if two_byte:
        opcode = reader.take()
    index = opcode_map.map_index(
        int(prefixes.repeat == 0xF3),
        int(two_byte),
        int(prefixes.operand_bits == 32),
        int(prefixes.address_bits == 32),
        opcode,
    )
    opcodes = _opcodes()
    number = opcodes.opcodes[index]
    modrm = 0
    if number <= opcode_map.FIRST_GROUP:
        group = opcode_map.FIRST_GROUP - number
        modrm = reader.take()
        place = group * opcode_map.GROUP_ENTRIES + opcode_map.group_index(modrm)
        number = opcodes.groups[place]
    elif number >= 0 and load_table()[number].encoding.has_modrm:
        modrm = reader.take()
    if number == opcode_map.UNDEFINED:
        raise DecodeError(UNDEFINED, reader.address)
    return load_table()[number], opcode, modrm


def _take_operands(
    reader: _Reader, form: Form, opcode: int, modrm: int, prefixes: Prefixes
) -> tuple[Operand, ...]:
    """The operands in the table's order; a branch target still holds its displacement."""
    operands: list[Operand] = []
    in_rm: Operand | None = None
    for kind in form.kinds:  # ModRM's displacement comes before any immediate
        if kind in kinds.IN_RM_FIELD:
            in_rm = _take_rm(reader, form, kind, modrm, prefixes)
    for kind in form.kinds:
        if kind in kinds.IN_RM_FIELD and in_rm is not None:
            operands.append(in_rm)
        elif kind in kinds.IN_REG_FIELD:
            operands.append(Register(KIND_FILES[kind], modrm >> 3 & 7))
        elif kind in kinds.IN_OPCODE:
            operands.append(Register(KIND_FILES[kind], opcode & 7))
        elif kind in kinds.FIXED_NUMBER:
            operands.append(Register(KIND_FILES[kind], kinds.FIXED_NUMBER[kind]))
        else:
            operands.append(_take_constant(reader, form, kind, prefixes))
    return tuple(operands)


def _take_constant(reader: _Reader, form: Form, kind: int, prefixes: Prefixes) -> Operand:
    """An immediate, branch displacement, far pointer or memory offset."""
    if kind == kinds.K_ONE:
        return Immediate(1)
    width = kinds.KIND_BITS[kind] // 8
    if kind == kinds.K_IMM8S:
        return Immediate(reader.take_signed(1) % (1 << form.data_bits), 8)
    if kind in kinds.IMMEDIATE:
        return Immediate(reader.take(width), width * 8)
    if kind in kinds.RELATIVE:
        return Target(reader.take_signed(width))
    if kind in kinds.FAR_POINTER:
        offset_bits = POINTER_OFFSET_BITS[kind]
        offset = reader.take(offset_bits // 8)
        return FarPointer(reader.take(2), offset, offset_bits)
    return Memory(
        displacement=reader.take(prefixes.address_bits // 8),
        segment=prefixes.segment,
        bits=kinds.KIND_BITS[kind],
        address_bits=prefixes.address_bits,
    )


def _take_rm(reader: _Reader, form: Form, kind: int, modrm: int, prefixes: Prefixes) -> Operand:
    """The register or memory of ModRM.mod and ModRM.rm."""
    if modrm >= 0xC0 or form.mod_ignored:
        return Register(KIND_FILES[kind], modrm & 7)
    address = _take_address_32 if prefixes.address_bits == 32 else _take_address_16
    base, index, scale, displacement, forced = address(reader, modrm >> 6, modrm & 7)
    return Memory(
        base=base,
        index=index,
        scale=scale,
        displacement=displacement,
        segment=prefixes.segment,
        bits=FAR_OFFSET_BITS[kind] if form.far else kinds.KIND_BITS[kind],
        far=form.far,
        address_bits=prefixes.address_bits,
        displacement_bits=forced,
    )


_Address = tuple[Register | None, Register | None, int, int, int]


def _take_address_32(reader: _Reader, mod: int, rm: int) -> _Address:
    """Base, index, scale, displacement, and its width where a shorter one would have done."""
    index: Register | None = None
    scale = 1
    if rm == SIB_FOLLOWS:
        sib = reader.take()
        rm = sib & 7
        if sib >> 3 & 7 != NO_INDEX:
            index, scale = Register("r32", sib >> 3 & 7), 1 << (sib >> 6)
    if mod == 0 and rm == NO_BASE_32:
        if index is None:
            return None, None, 1, reader.take(4), 0
        return None, index, scale, reader.take_signed(4), 0
    displacement, forced = _take_displacement(reader, mod, 4, rm == NO_BASE_32)
    return Register("r32", rm), index, scale, displacement, forced


def _take_address_16(reader: _Reader, mod: int, rm: int) -> _Address:
    """As _take_address_32, for 16-bit addressing."""
    if mod == 0 and rm == NO_BASE_16:
        return None, None, 1, reader.take(2), 0
    numbers = next(numbers for numbers, code in ADDRESSES_16.items() if code == rm)
    ordered = sorted(numbers, key=lambda number: number not in BASE_REGISTERS_16)
    registers = [Register("r16", number) for number in ordered]
    displacement, forced = _take_displacement(reader, mod, 2, rm == NO_BASE_16)
    index = registers[1] if len(registers) == 2 else None
    return registers[0], index, 1, displacement, forced


def _take_displacement(reader: _Reader, mod: int, wide: int, needed: bool) -> tuple[int, int]:
    """The displacement, and its width in bits where the encoder would take a shorter one."""
    if mod == 0:
        return 0, 0
    width = 1 if mod == 1 else wide
    value = reader.take_signed(width)
    shortest = 1 if -128 <= value <= 127 else wide
    shortest = 0 if value == 0 and not needed else shortest
    return value, width * 8 if width != shortest else 0
