"""Sample instructions made from the table: every form, with operands of every shape.

Shared by the tests of the encoder and the decoder and by those that ask independent assemblers and
disassemblers. The samples are the same in every run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from isa import operand_kinds as kinds
from isa.disassembly import decode
from isa.encoder import FAR_OFFSET_BITS, KIND_FILES, POINTER_OFFSET_BITS, encode
from isa.instruction import (
    FarPointer,
    Immediate,
    Memory,
    Operand,
    Prefixes,
    Register,
    Target,
)
from isa.notation import PREFIX_BYTES, Form, load_table
from isa.opcode_map import CONTROL_REGISTERS, LOADABLE_SEGMENT_REGISTERS, SEGMENT_REGISTERS
from isa.vocabulary import ACCESS_WRITE

ADDRESS = 0x4000  # of every sample, so that branches have room on both sides
SAMPLES = 8  # per form and code size
STRIDE = 37  # prime to the number of address shapes: walks through all of them

DISPLACEMENTS = (0, 0x7F, -0x80, 0x80, -0x12345)
IMMEDIATES = {
    kinds.K_IMM8: (0x12, 0x7F, 0x80, 0xFF),
    kinds.K_IMM8S: (0x05, 0x7F, -0x80, -0x01),
    kinds.K_IMM16: (0x1234, 0x0180, 0xFEDC, 0x8000),
    kinds.K_IMM32: (0x12345678, 0x00000180, 0xFEDCBA98, 0x80000000),
}
DISTANCES = {
    kinds.K_REL8: (0x00, 0x20, -0x20, 0x70),
    kinds.K_REL16: (0x300, -0x300, 0x1000, -0x1000),
    kinds.K_REL32: (0x300, -0x300, 0x12340, -0x2000),
}


@dataclass(frozen=True)
class Sample:
    """One instruction and its bytes, as our encoder writes them."""

    form: Form
    operands: tuple[Operand, ...]
    prefixes: Prefixes
    bits: int
    data: bytes

    def __str__(self) -> str:
        return f"{self.form.name} {self.operands} in {self.bits}-bit code: {self.data.hex(' ')}"


def addresses_32() -> tuple[Memory, ...]:
    """Every base, index, scale and displacement width of 32-bit addressing."""
    registers = [Register("r32", number) for number in range(8)]
    indexes = [register for register in registers if register.name != "esp"]
    shapes = [Memory(displacement=0x12345678), Memory(displacement=0xC0001000)]
    for base, displacement in product(registers, (0, 0x12, -0x34, 0x1234, -0x12345)):
        shapes.append(Memory(base=base, displacement=displacement))
    for index, scale, displacement in product(indexes, (1, 2, 4, 8), (0, 0x1234, -0x56789)):
        shapes.append(Memory(index=index, scale=scale, displacement=displacement))
    for base, index, scale in product(registers, indexes, (1, 2, 4, 8)):
        shapes += [Memory(base, index, scale, displacement) for displacement in DISPLACEMENTS]
    return tuple(replace(shape, address_bits=32) for shape in shapes)


def is_rewritten_by_nasm(memory: Memory) -> bool:
    """NASM writes [eax*2] as [eax+eax], [eax*1] as [eax] and [ebp+eax] as [eax+ebp]."""
    if memory.base is None:
        return memory.index is not None and memory.scale <= 2
    no_displacement = memory.displacement == 0 and memory.base.name == "ebp"
    return no_displacement and memory.index is not None and memory.scale == 1


def addresses_16() -> tuple[Memory, ...]:
    """Every shape of 16-bit addressing."""
    pairs = [("bx", "si"), ("bx", "di"), ("bp", "si"), ("bp", "di")]
    numbers = {"bx": 3, "bp": 5, "si": 6, "di": 7}
    bases: list[tuple[str, str | None]] = [*pairs, *((name, None) for name in numbers)]
    shapes = [Memory(displacement=0x1234), Memory(displacement=0xF000)]
    for (base, index), displacement in product(bases, (0, 0x12, -0x34, 0x1234, -0x4321)):
        register = Register("r16", numbers[base])
        other = Register("r16", numbers[index]) if index else None
        shapes.append(Memory(register, other, 1, displacement))
    return tuple(replace(shape, address_bits=16) for shape in shapes)


ADDRESSES = {16: addresses_16(), 32: addresses_32()}
SAMPLED = {
    bits: tuple(shape for shape in shapes if not is_rewritten_by_nasm(shape))
    for bits, shapes in ADDRESSES.items()
}
IN_MEMORY = kinds.IN_RM_FIELD - {kinds.K_RMR32}


def _memory_shapes() -> tuple[Memory, ...]:
    """One address for each combination of ModRM.mod and rm, in both address sizes."""
    wide = [Memory(displacement=0x12345678, address_bits=32)]
    for number in range(8):
        base = Register("r32", number)
        index = Register("r32", (number + 5) % 8 if number != 7 else 1)
        for displacement in (0, 0x12, -0x12345):
            plain = Memory(base=base, displacement=displacement, address_bits=32)
            wide += [plain, replace(plain, index=index, scale=1 << number % 3 + 1)]
    return (*(shape for shape in ADDRESSES[16] if shape.displacement <= 0x1234), *wide)


MEMORY_SHAPES = _memory_shapes()


def all_samples(bits: int) -> Iterator[Sample]:
    """Samples of every form that assemblers may produce, in code of `bits`."""
    for form in load_table():
        if not form.decode_only:
            yield from samples_of(form, bits)


def samples_of(form: Form, bits: int) -> Iterator[Sample]:
    """Samples of one form: registers first, then memory of changing shapes."""
    seen = set()
    for turn in range(SAMPLES):
        operands = tuple(_operand(form, kind, turn, bits) for kind in form.kinds)
        prefixes = _prefixes(form, operands, turn, bits)
        if (operands, prefixes) in seen:
            continue
        seen.add((operands, prefixes))
        if any(isinstance(operand, Target) for operand in operands):
            length = len(encode(form, [Target(ADDRESS)] * len(operands), bits, ADDRESS, prefixes))
            operands = tuple(_aimed(operand, length, form, bits) for operand in operands)
        data = encode(form, operands, bits, ADDRESS, prefixes)
        yield Sample(form, operands, prefixes, bits, data)


def _operand(form: Form, kind: int, turn: int, bits: int) -> Operand:
    walk = form.number * 5 + turn
    if kind in kinds.FIXED_NUMBER:
        return Register(KIND_FILES[kind], kinds.FIXED_NUMBER[kind])
    if kind == kinds.K_ONE:
        return Immediate(1)
    if kind in kinds.IMMEDIATE:
        value = IMMEDIATES[kind][turn % 4]
        if kind == kinds.K_IMM8S:
            value %= 1 << form.data_bits
        return Immediate(value, kinds.KIND_BITS[kind])
    if kind in kinds.RELATIVE:
        return Target(DISTANCES[kind][turn % 4])
    if kind in kinds.FAR_POINTER:
        offset_bits = POINTER_OFFSET_BITS[kind]
        return FarPointer(0x10 + 8 * turn, 0xFEDCBA98 >> (32 - offset_bits), offset_bits)
    if kind in kinds.IN_RM_FIELD and _takes_memory(kind, turn):
        return _memory(form, kind, turn)
    if kind in kinds.MEMORY_OFFSET:
        address_bits = bits if turn % 2 == 0 else 48 - bits
        memory = Memory(displacement=0x1234 * (turn + 1), address_bits=address_bits)
        return replace(memory, bits=kinds.KIND_BITS[kind], segment=_segment(turn))
    return Register(KIND_FILES[kind], _register_number(form, kind, walk))


def _takes_memory(kind: int, turn: int) -> bool:
    return kind in kinds.MEMORY_ONLY or (kind in kinds.REGISTER_OR_MEMORY and turn >= 2)


def _memory(form: Form, kind: int, turn: int) -> Memory:
    shapes = SAMPLED[32 if turn % 3 else 16]
    shape = shapes[(form.number * SAMPLES + turn) * STRIDE % len(shapes)]
    bits = FAR_OFFSET_BITS[kind] if form.far else kinds.KIND_BITS[kind]
    return replace(shape, bits=bits, far=form.far, segment=_segment(turn))


def _segment(turn: int) -> int | None:
    return turn - 2 if turn in (2, 5, 6, 7) else None


def _register_number(form: Form, kind: int, walk: int) -> int:
    numbers: tuple[int, ...] = tuple(range(8))
    if kind == kinds.K_CR:
        numbers = CONTROL_REGISTERS
    elif kind == kinds.K_SREG:
        access = form.access[form.kinds.index(kind)]
        numbers = LOADABLE_SEGMENT_REGISTERS if access & ACCESS_WRITE else SEGMENT_REGISTERS
    elif kind in kinds.IN_OPCODE:
        numbers = tuple(code - form.encoding.opcode for code in form.encoding.opcodes())
    offset = 3 if kind in kinds.IN_REG_FIELD else 0
    return numbers[(walk + offset) % len(numbers)]


def _aimed(operand: Operand, length: int, form: Form, bits: int) -> Operand:
    """A branch target: its address was a distance from the end of the instruction so far."""
    if not isinstance(operand, Target):
        return operand
    wrap = 0xFFFF if (form.encoding.operand_size or bits) == 16 else 0xFFFFFFFF
    return Target(ADDRESS + length + operand.address & wrap)


def _prefixes(form: Form, operands: tuple[Operand, ...], turn: int, bits: int) -> Prefixes:
    """LOCK, repeat, segment and address-size prefixes, where the form has a use for them."""
    implicit = {name for name, _ in form.implicit}
    memory = [operand for operand in operands if isinstance(operand, Memory)]
    string = bool(implicit & {"si", "di", "bx", "cx"}) and not form.encoding.address_size
    segment = memory[0].segment if memory else None
    if implicit & {"source", "memory"}:
        segment = _segment(turn)
    repeat = 0
    if form.repeat:
        repeat = (0, 0xF3, 0xF2 if form.repeat == "repcc" else 0xF3)[turn % 3]
    return Prefixes(
        lock=form.lockable and bool(memory) and turn % 4 == 3,
        repeat=repeat,
        segment=segment,
        operand_bits=0,
        address_bits=48 - bits if string and turn % 2 else 0,
    )


def address_samples(bits: int) -> Iterator[Sample]:
    """Every address shape, of both address sizes, as the operand of a load.

    Each without and with a segment override; all of those in turn, and both operand sizes.
    """
    loads = [form for form in load_table() if form.name in ("MOV_r16_rm16", "MOV_r32_rm32")]
    for number, shape in enumerate((*ADDRESSES[16], *ADDRESSES[32])):
        for segment in (None, number % 6):
            load = loads[(number // 6 + (segment is None)) % 2]
            target = Register(f"r{load.data_bits}", 1 + number % 7)  # the accumulator has moffs
            operands = (target, replace(shape, bits=load.data_bits, segment=segment))
            prefixes = Prefixes(segment=segment)
            data = encode(load, operands, bits, ADDRESS, prefixes)
            yield Sample(load, operands, prefixes, bits, data)


def memory_samples(bits: int) -> Iterator[Sample]:
    """Every form that can have memory, with every combination of ModRM.mod and rm.

    Registers and segment overrides change from one sample to the next.
    """
    for form in load_table():
        if form.decode_only or not any(kind in IN_MEMORY for kind in form.kinds):
            continue
        for turn, shape in enumerate(MEMORY_SHAPES):
            segment = (form.number + turn) % 7 - 1
            operands = tuple(
                replace(
                    shape,
                    bits=FAR_OFFSET_BITS[kind] if form.far else kinds.KIND_BITS[kind],
                    far=form.far,
                    segment=None if segment < 0 else segment,
                )
                if kind in IN_MEMORY
                else _operand(form, kind, turn, bits)
                for kind in form.kinds
            )
            prefixes = Prefixes(segment=None if segment < 0 else segment)
            data = encode(form, operands, bits, ADDRESS, prefixes)
            yield Sample(form, operands, prefixes, bits, data)


def normal_order(data: bytes) -> tuple[tuple[int, ...], bytes]:
    """The prefixes sorted, and the rest: assemblers differ in the order of prefixes."""
    count = next(index for index, byte in enumerate(data) if byte not in PREFIX_BYTES)
    return tuple(sorted(data[:count])), data[count:]


def means_the_same(sample: Sample, data: bytes) -> bool:
    """Whether other bytes say what the sample says, with no more of them.

    The widths of immediates may differ, and XCHG may name its operands in either order.
    """
    found = decode(data, 0, sample.bits, ADDRESS)
    operands = [_plain(operand) for operand in found.operands]
    wanted = [_plain(operand) for operand in sample.operands]
    same = operands == wanted or (found.form.mnemonic == "XCHG" and operands[::-1] == wanted)
    same = same and found.form.operation == sample.form.operation
    return same and len(data) <= len(sample.data)


def _plain(operand: Operand) -> Operand:
    return replace(operand, bits=0) if isinstance(operand, Immediate) else operand
