"""Instructions to be tried: every form of the table with real operands, for 32- and 16-bit code.

Nothing here is chosen for a particular form; what operands there are follows from the kinds of its
syntax column alone. Every segment, control and debug register is tried, general registers are not
told apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from isa import operand_kinds as kinds
from isa.disassembly import decode
from isa.encoder import FAR_OFFSET_BITS, KIND_FILES, POINTER_OFFSET_BITS, EncodingError, encode
from isa.instruction import FarPointer, Immediate, Memory, Operand, Register, Target
from isa.notation import Form
from isa.opcode_map import CONTROL_REGISTERS, LOADABLE_SEGMENT_REGISTERS, SEGMENT_REGISTERS
from isa.vocabulary import ACCESS_WRITE
from tools.popek_goldberg import world

CODE_OFFSETS: Final = {32: world.CODE, 16: world.CODE - (world.PARAGRAPHS[0] << 4)}
TARGET_OFFSETS: Final = {32: world.TARGET, 16: world.TARGET - (world.PARAGRAPHS[0] << 4)}
DATA_OFFSETS: Final = {32: world.DATA, 16: world.DATA - (world.PARAGRAPHS[0] + 8 << 4)}
BRANCH_BYTES: Final = 0x40
IMMEDIATES: Final = (world.INT_VECTOR, 0x20)  # also interrupt gates that users may and may not use
WIDE_IMMEDIATE: Final = 0x12
# Direct far transfers: code of the same, an outer, any level; a gate; a segment of 16-bit code.
POINTED: Final = (
    world.CODES[0],
    world.CODES[3] | 3,
    world.CONFORMING,
    world.CALL_GATE | 3,
    world.PARAGRAPHS[0],
)


@dataclass(frozen=True)
class Instance:
    """One instruction, encoded for both sizes of code.

    Attributes:
        code: bytes by the size of code.
    """

    form: Form
    number: int
    code: dict[int, bytes]

    def text(self, bits: int) -> str:
        """Readable assembly."""
        return decode(self.code[bits], 0, bits, CODE_OFFSETS[bits]).text


def instances_of(form: Form) -> list[Instance]:
    """All instances of a form, simplest first."""
    found: list[Instance] = []
    wide = list(_operand_lists(form, 32))
    narrow = list(_operand_lists(form, 16))
    for operands_32, operands_16 in zip(wide, narrow, strict=True):
        code = {32: _encode(form, operands_32, 32), 16: _encode(form, operands_16, 16)}
        if code[32] and code[16] and code not in [other.code for other in found]:
            found.append(Instance(form, len(found), code))
    return found


def _encode(form: Form, operands: tuple[Operand, ...], bits: int) -> bytes:
    try:
        return encode(form, operands, bits, CODE_OFFSETS[bits])
    except EncodingError:
        return b""  # this register is not encoded here (XCHG EAX, EAX)


def _operand_lists(form: Form, bits: int) -> Iterator[tuple[Operand, ...]]:
    return product(*(_choices(form, position, bits) for position in range(len(form.kinds))))


def _choices(form: Form, position: int, bits: int) -> list[Operand]:
    """The operands to try in one place, the same number for every size of code."""
    kind = form.kinds[position]
    if kind in kinds.FIXED_NUMBER:
        return [Register(KIND_FILES[kind], kinds.FIXED_NUMBER[kind])]
    if kind == kinds.K_ONE:
        return [Immediate(1)]
    if kind == kinds.K_IMM8:
        return [Immediate(value) for value in IMMEDIATES]
    if kind in kinds.IMMEDIATE:
        return [Immediate(WIDE_IMMEDIATE)]
    if kind in kinds.RELATIVE:
        return [Target(CODE_OFFSETS[bits] + BRANCH_BYTES)]
    if kind in kinds.FAR_POINTER:
        size = POINTER_OFFSET_BITS[kind]
        return [FarPointer(selector, TARGET_OFFSETS[bits], size) for selector in POINTED]
    if kind in kinds.MEMORY_OFFSET:
        return [replace(_memory(bits), bits=kinds.KIND_BITS[kind])]
    choices: list[Operand] = []
    if kind not in kinds.MEMORY_ONLY:
        choices += [Register(KIND_FILES[kind], number) for number in _numbers(form, position)]
    if kind in kinds.MEMORY_ONLY | kinds.REGISTER_OR_MEMORY:
        size = FAR_OFFSET_BITS[kind] if form.far else kinds.KIND_BITS[kind]
        choices.append(replace(_memory(bits), bits=size, far=form.far))
    return choices


def _memory(bits: int) -> Memory:
    return Memory(displacement=DATA_OFFSETS[bits], address_bits=bits)


def _numbers(form: Form, position: int) -> tuple[int, ...]:
    kind = form.kinds[position]
    if kind == kinds.K_CR:
        return CONTROL_REGISTERS
    if kind == kinds.K_DR:
        return tuple(range(8))
    if kind == kinds.K_SREG:
        loads = form.access[position] & ACCESS_WRITE
        return LOADABLE_SEGMENT_REGISTERS if loads else SEGMENT_REGISTERS
    return (0,) if kind in kinds.IN_RM_FIELD else (1,)
