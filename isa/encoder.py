"""From a form and its operands to bytes.

The caller has chosen the form, as an assembler does from a mnemonic (isa/mnemonics.py). Operands
that the form does not take, and values that do not fit, are refused with an EncodingError whose
text says which rule was broken. Reads the same rows as the decoder, backwards.

Source: SDM vol. 2A, "Instruction Format"; "ModR/M and SIB Bytes"; "Instruction Prefixes".
"""

from collections.abc import Sequence
from typing import Final

from isa import opcode_map
from isa import operand_kinds as kinds
from isa.errors import TrapgateError
from isa.instruction import (
    NO_PREFIXES,
    FarPointer,
    Immediate,
    Memory,
    Operand,
    Prefixes,
    Register,
    Target,
)
from isa.notation import Form
from isa.vocabulary import ACCESS_WRITE

MAX_LENGTH: Final = 15
SEGMENT_PREFIXES: Final = (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65)
LOCK_PREFIX: Final = 0xF0
OPERAND_SIZE_PREFIX: Final = 0x66
ADDRESS_SIZE_PREFIX: Final = 0x67

# How near a refused form was: the message shown is that of the nearest one.
WRONG_KIND: Final = 0
WRONG_SIZE: Final = 1
WRONG_VALUE: Final = 2

KIND_FILES: Final = {
    kinds.K_R8: "r8",
    kinds.K_R16: "r16",
    kinds.K_R32: "r32",
    kinds.K_RM8: "r8",
    kinds.K_RM16: "r16",
    kinds.K_RM32: "r32",
    kinds.K_R32M16: "r32",
    kinds.K_RMR32: "r32",
    kinds.K_OPREG8: "r8",
    kinds.K_OPREG16: "r16",
    kinds.K_OPREG32: "r32",
    kinds.K_SREG: "sreg",
    kinds.K_CR: "cr",
    kinds.K_DR: "dr",
    kinds.K_AL: "r8",
    kinds.K_CL: "r8",
    kinds.K_AX: "r16",
    kinds.K_DX: "r16",
    kinds.K_EAX: "r32",
    kinds.K_ES: "sreg",
    kinds.K_CS: "sreg",
    kinds.K_SS: "sreg",
    kinds.K_DS: "sreg",
    kinds.K_FS: "sreg",
    kinds.K_GS: "sreg",
}
GENERAL_FILES: Final = frozenset({"r8", "r16", "r32"})
FAR_OFFSET_BITS: Final = {kinds.K_M16_16: 16, kinds.K_M16_32: 32}
POINTER_OFFSET_BITS: Final = {kinds.K_PTR16_16: 16, kinds.K_PTR16_32: 32}
RELATIVE_BYTES: Final = {kinds.K_REL8: 1, kinds.K_REL16: 2, kinds.K_REL32: 4}
IMMEDIATE_BYTES: Final = {kinds.K_IMM8: 1, kinds.K_IMM8S: 1, kinds.K_IMM16: 2, kinds.K_IMM32: 4}

# ModRM.rm of 16-bit addressing, by the numbers of the registers that are added.
ADDRESSES_16: Final = {
    frozenset({3, 6}): 0,
    frozenset({3, 7}): 1,
    frozenset({5, 6}): 2,
    frozenset({5, 7}): 3,
    frozenset({6}): 4,
    frozenset({7}): 5,
    frozenset({5}): 6,
    frozenset({3}): 7,
}
SCALES: Final = {1: 0, 2: 1, 4: 2, 8: 3}
ESP: Final = 4
EBP: Final = 5


class EncodingError(TrapgateError):
    """An operand, value or prefix that the form does not take.

    Attributes:
        operand: which operand, from 0, or None when it is not about one.
        nearness: WRONG_KIND, WRONG_SIZE or WRONG_VALUE.
    """

    def __init__(self, rule: str, operand: int | None = None, nearness: int = WRONG_VALUE) -> None:
        super().__init__(rule if operand is None else f"operand {operand + 1}: {rule}")
        self.operand = operand
        self.nearness = nearness


def encode(
    form: Form,
    operands: Sequence[Operand],
    bits: int,
    address: int = 0,
    prefixes: Prefixes = NO_PREFIXES,
) -> bytes:
    """The bytes of one instruction at `address` in code of `bits` (16 or 32)."""
    check_operands(form, operands)
    operand_bits = _operand_bits(form, bits, prefixes)
    address_bits = _address_bits(form, operands, bits, prefixes)
    head = bytearray(_prefix_bytes(form, operands, prefixes))
    if operand_bits != bits:
        head.append(OPERAND_SIZE_PREFIX)
    if address_bits != bits:
        head.append(ADDRESS_SIZE_PREFIX)
    head += _opcode_bytes(form, operands)
    if form.encoding.has_modrm:
        head += _modrm_bytes(form, operands, address_bits)
    relative_at = None
    for position, (kind, operand) in enumerate(zip(form.kinds, operands, strict=True)):
        if isinstance(operand, Target):
            relative_at = position
            head += bytes(RELATIVE_BYTES[kind])
        else:
            head += _constant_bytes(form, position, operand, address_bits)
    if relative_at is not None:
        page = address & ~0xFFFF if bits == 16 else 0
        _fill_relative(head, form, operands, relative_at, address, operand_bits, page)
    return bytes(head)


def check_operands(form: Form, operands: Sequence[Operand]) -> None:
    """Refuse operands of kinds or sizes that the form does not take; the worst one is named."""
    if len(operands) != len(form.kinds):
        count = len(form.kinds)
        rule = f"{form.mnemonic} takes {count} operand{'' if count == 1 else 's'} here"
        raise EncodingError(rule, None, WRONG_KIND)
    refusals: list[EncodingError] = []
    for position, operand in enumerate(operands):
        try:
            _check_operand(form, position, operand)
        except EncodingError as refusal:
            refusals.append(refusal)
    if refusals:
        raise min(refusals, key=lambda refusal: refusal.nearness)


def _check_operand(form: Form, position: int, operand: Operand) -> None:
    match operand:
        case Register():
            _check_register(form, position, operand)
        case Memory():
            _check_memory(form, position, operand)
        case Immediate():
            _check_immediate(form, position, operand)
        case Target():
            _check_target(form, position, operand)
        case FarPointer():
            _check_pointer(form, position, operand)


def _refuse(form: Form, position: int, nearness: int, found: str) -> EncodingError:
    return EncodingError(f"expected {form.words[position]}, found {found}", position, nearness)


def _check_register(form: Form, position: int, register: Register) -> None:
    kind = form.kinds[position]
    file = KIND_FILES.get(kind)
    if kind == kinds.K_RM16 and form.operation == "MOV_TO_SREG" and register.file == "r32":
        return  # `mov ds, eax` is a customary spelling: the upper half is not read
    if file != register.file:
        general = file in GENERAL_FILES and register.file in GENERAL_FILES
        raise _refuse(form, position, WRONG_SIZE if general else WRONG_KIND, register.name)
    if kind in kinds.FIXED_NUMBER and kinds.FIXED_NUMBER[kind] != register.number:
        raise _refuse(form, position, WRONG_KIND, register.name)
    if kind == kinds.K_CR and register.number not in opcode_map.CONTROL_REGISTERS:
        raise EncodingError(f"there is no {register.name}", position)
    if kind == kinds.K_SREG and form.access[position] & ACCESS_WRITE:
        if register.number not in opcode_map.LOADABLE_SEGMENT_REGISTERS:
            raise EncodingError(f"{register.name} cannot be loaded by MOV", position)
    if kind in kinds.IN_OPCODE and form.encoding.opcode + register.number not in (
        form.encoding.opcodes()
    ):
        raise EncodingError(f"{register.name} is not encoded here", position, WRONG_KIND)


def _check_memory(form: Form, position: int, memory: Memory) -> None:
    kind = form.kinds[position]
    if kind not in kinds.IN_RM_FIELD | kinds.MEMORY_OFFSET or kind == kinds.K_RMR32:
        raise _refuse(form, position, WRONG_KIND, "memory")
    if kind in kinds.MEMORY_OFFSET and (memory.base or memory.index):
        raise _refuse(form, position, WRONG_KIND, "memory at a register")
    expected = FAR_OFFSET_BITS[kind] if form.far else kinds.KIND_BITS[kind]
    if memory.far != form.far:
        raise _refuse(form, position, WRONG_KIND, f"{'far' if memory.far else 'near'} memory")
    if memory.bits and expected and memory.bits != expected:
        raise _refuse(form, position, WRONG_SIZE, f"memory of {memory.bits} bits")


def _check_immediate(form: Form, position: int, immediate: Immediate) -> None:
    kind = form.kinds[position]
    if kind == kinds.K_ONE:
        if immediate.value != 1 or immediate.bits:
            raise _refuse(form, position, WRONG_KIND, "an immediate")
        return
    if kind not in kinds.IMMEDIATE:
        raise _refuse(form, position, WRONG_KIND, "an immediate")
    width = kinds.KIND_BITS[kind]
    sizes = {width} if immediate.strict or immediate.bits == 8 else {width, form.data_bits}
    if immediate.bits and immediate.bits not in sizes:
        raise _refuse(form, position, WRONG_SIZE, f"an immediate of {immediate.bits} bits")


def _check_target(form: Form, position: int, target: Target) -> None:
    kind = form.kinds[position]
    if kind not in kinds.RELATIVE:
        raise _refuse(form, position, WRONG_KIND, "a branch target")
    if target.distance and (target.distance == "short") != (kind == kinds.K_REL8):
        raise _refuse(form, position, WRONG_SIZE, f"a {target.distance} target")


def _check_pointer(form: Form, position: int, pointer: FarPointer) -> None:
    offset_bits = POINTER_OFFSET_BITS.get(form.kinds[position])
    if offset_bits is None:
        raise _refuse(form, position, WRONG_KIND, "a far pointer")
    if pointer.bits and pointer.bits != offset_bits:
        raise _refuse(form, position, WRONG_SIZE, f"a far pointer of {pointer.bits} bits")


def _operand_bits(form: Form, bits: int, prefixes: Prefixes) -> int:
    required = form.encoding.operand_size
    if required and prefixes.operand_bits and required != prefixes.operand_bits:
        rule = f"{form.syntax} has no {prefixes.operand_bits}-bit operand size here"
        raise EncodingError(rule, None, WRONG_SIZE)
    return required or prefixes.operand_bits or bits


def _address_bits(form: Form, operands: Sequence[Operand], bits: int, prefixes: Prefixes) -> int:
    """The address size that the form, its memory operand and the prefixes agree on."""
    wishes = {form.encoding.address_size, prefixes.address_bits}
    for operand in operands:
        if isinstance(operand, Memory):
            wishes.add(operand.address_bits)
            registers = (operand.base, operand.index)
            wishes |= {register.bits for register in registers if register is not None}
    wishes.discard(0)
    if not wishes <= {16, 32}:
        raise EncodingError("an address is made of 16-bit or of 32-bit registers")
    if len(wishes) > 1:
        raise EncodingError("16-bit and 32-bit addressing are mixed")
    return wishes.pop() if wishes else bits


def _prefix_bytes(form: Form, operands: Sequence[Operand], prefixes: Prefixes) -> bytes:
    """LOCK, repeat and segment prefixes; refuses those without effect."""
    data = bytearray()
    memory = [operand for operand in operands if isinstance(operand, Memory)]
    if prefixes.lock:
        if not (form.lockable and memory):
            raise EncodingError(f"LOCK is not legal with {form.syntax}")
        data.append(LOCK_PREFIX)
    if prefixes.repeat:
        if not form.repeat:
            raise EncodingError(f"{form.mnemonic} is not a string instruction: it cannot repeat")
        data.append(prefixes.repeat)
    if form.encoding.mandatory:
        data.append(form.encoding.mandatory)
    segments = {operand.segment for operand in memory} | {prefixes.segment}
    segments.discard(None)
    if len(segments) > 1:
        raise EncodingError("two different segment overrides")
    data += bytes(SEGMENT_PREFIXES[segment] for segment in segments if segment is not None)
    return bytes(data)


def _opcode_bytes(form: Form, operands: Sequence[Operand]) -> bytes:
    opcode = form.encoding.opcode
    for kind, operand in zip(form.kinds, operands, strict=True):
        if kind in kinds.IN_OPCODE and isinstance(operand, Register):
            opcode += operand.number
    return bytes([0x0F, opcode] if form.encoding.two_byte else [opcode])


def _modrm_bytes(form: Form, operands: Sequence[Operand], address_bits: int) -> bytes:
    """ModRM, SIB and displacement."""
    encoding = form.encoding
    if encoding.fixed_modrm is not None:
        return bytes([encoding.fixed_modrm])
    reg = encoding.digits.start if encoding.digits else 0
    for kind, operand in zip(form.kinds, operands, strict=True):
        if kind in kinds.IN_REG_FIELD and isinstance(operand, Register):
            reg = operand.number
    for kind, operand in zip(form.kinds, operands, strict=True):
        if kind in kinds.IN_RM_FIELD:
            if isinstance(operand, Register):
                return bytes([0xC0 | reg << 3 | operand.number])
            if isinstance(operand, Memory):
                return encode_memory(operand, reg, address_bits)
    raise AssertionError(f"{form.name} has ModRM but no operand in it")


def encode_memory(memory: Memory, reg: int, address_bits: int) -> bytes:
    """ModRM with `reg`, SIB and displacement of a memory operand."""
    displacement = _signed(memory.displacement, address_bits)
    base, index = memory.base, memory.index
    if address_bits == 16:
        return _encode_memory_16(memory, reg, displacement)
    if index is not None and index.number == ESP and memory.scale == 1:
        base, index = index, base
    if index is not None and index.number == ESP:
        raise EncodingError("esp cannot be scaled, nor be added to itself")
    if memory.scale not in SCALES:
        raise EncodingError(f"scale {memory.scale} is not 1, 2, 4 or 8")
    if base is None and index is None:
        return bytes([reg << 3 | 5]) + _little(displacement, 4)
    if base is None:
        assert index is not None
        sib = SCALES[memory.scale] << 6 | index.number << 3 | 5
        return bytes([reg << 3 | 4, sib]) + _little(displacement, 4)
    mod, tail = _displacement(memory, displacement, 4, base.number == EBP)
    if index is None and base.number != ESP:
        return bytes([mod << 6 | reg << 3 | base.number]) + tail
    number = ESP if index is None else index.number
    scale = 0 if index is None else SCALES[memory.scale]
    return bytes([mod << 6 | reg << 3 | 4, scale << 6 | number << 3 | base.number]) + tail


def _encode_memory_16(memory: Memory, reg: int, displacement: int) -> bytes:
    registers = [part for part in (memory.base, memory.index) if part is not None]
    if memory.scale != 1:
        raise EncodingError("16-bit addressing has no scale")
    if not registers:
        return bytes([reg << 3 | 6]) + _little(displacement, 2)
    numbers = frozenset(register.number for register in registers)
    rm = ADDRESSES_16.get(numbers)
    if rm is None or len(numbers) != len(registers):
        names = "+".join(register.name for register in registers)
        raise EncodingError(f"[{names}] is not an address: bx or bp, plus si or di")
    mod, tail = _displacement(memory, displacement, 2, rm == 6)
    return bytes([mod << 6 | reg << 3 | rm]) + tail


def _displacement(memory: Memory, value: int, wide: int, needed: bool) -> tuple[int, bytes]:
    """ModRM.mod and the displacement bytes; `needed`: mod 0 means something else here."""
    forced = memory.displacement_bits // 8
    if forced not in (0, 1, wide):
        raise EncodingError(f"a displacement has 8 or {wide * 8} bits here")
    if forced == 1 and not -128 <= value <= 127:
        raise EncodingError(f"displacement {value:#x} does not fit in 8 bits")
    if forced == wide:
        return 2, _little(value, wide)
    if not forced and not value and not needed:
        return 0, b""
    if -128 <= value <= 127:
        return 1, _little(value, 1)
    return 2, _little(value, wide)


def _constant_bytes(form: Form, position: int, operand: Operand, address_bits: int) -> bytes:
    """The bytes of an immediate, far pointer or memory offset; nothing for other operands."""
    kind = form.kinds[position]
    if isinstance(operand, Immediate) and kind in kinds.IMMEDIATE:
        return _immediate_bytes(form, position, operand.value)
    if isinstance(operand, FarPointer):
        offset_bits = POINTER_OFFSET_BITS[kind]
        if not 0 <= operand.selector <= 0xFFFF:
            raise EncodingError(f"selector {operand.selector:#x} does not fit in 16 bits", position)
        if not 0 <= operand.offset < 1 << offset_bits:
            rule = f"offset {operand.offset:#x} does not fit in {offset_bits} bits"
            raise EncodingError(rule, position)
        return _little(operand.offset, offset_bits // 8) + _little(operand.selector, 2)
    if isinstance(operand, Memory) and kind in kinds.MEMORY_OFFSET:
        return _little(_signed(operand.displacement, address_bits), address_bits // 8)
    return b""


def _immediate_bytes(form: Form, position: int, value: int) -> bytes:
    kind = form.kinds[position]
    width = IMMEDIATE_BYTES[kind]
    if kind == kinds.K_IMM8S:
        modulus = 1 << form.data_bits
        extended = value - modulus if modulus - 128 <= value < modulus else value
        if not -128 <= extended <= 127:
            raise EncodingError(f"{value:#x} does not fit in a sign-extended byte", position)
        return _little(extended, 1)
    bits = width * 8
    if not -(1 << bits - 1) <= value < 1 << bits:
        raise EncodingError(f"{value:#x} does not fit in {bits} bits", position)
    return _little(value, width)


def _fill_relative(
    data: bytearray,
    form: Form,
    operands: Sequence[Operand],
    position: int,
    address: int,
    operand_bits: int,
    page: int,
) -> None:
    """Write the displacement that ends `data`; it counts from the end of the instruction.

    A 16-bit branch reaches the 64 KiB from `page` on, and wraps inside them.
    """
    target = operands[position]
    assert isinstance(target, Target)
    width = RELATIVE_BYTES[form.kinds[position]]
    end = address + len(data)
    if operand_bits == 16 and (target.address ^ page) >> 16:
        rule = f"target {target.address:#x} is outside the 64 KiB that a 16-bit branch reaches"
        raise EncodingError(rule, position)
    half = 1 << operand_bits - 1
    distance = (target.address - end + half) % (2 * half) - half
    if not -(1 << width * 8 - 1) <= distance < 1 << width * 8 - 1:
        raise EncodingError(
            f"target is {distance} bytes away, too far for rel{width * 8}", position
        )
    data[-width:] = _little(distance, width)


def _signed(displacement: int, address_bits: int) -> int:
    """A displacement as the signed number of the address size that it wraps to."""
    half = 1 << address_bits - 1
    if not -half <= displacement < 2 * half:
        raise EncodingError(f"displacement {displacement:#x} does not fit in {address_bits} bits")
    return displacement - 2 * half if displacement >= half else displacement


def _little(value: int, width: int) -> bytes:
    return (value & (1 << width * 8) - 1).to_bytes(width, "little")
