"""All ways to say where an operand lies: bytes put together here, not by the project's encoder.

Every ModRM byte with memory, every SIB byte, both address sizes, every segment override; redundant
encodings (a displacement of zero, a SIB byte without index, an override of the default segment)
included.
"""

from __future__ import annotations

from collections.abc import Iterator

from isa import operand_kinds as kinds
from isa.notation import Form, load_table
from isa.opcode_map import CONTROL_REGISTERS, LOADABLE_SEGMENT_REGISTERS, SEGMENT_REGISTERS
from isa.vocabulary import ACCESS_WRITE

SEGMENT_PREFIXES = (b"", b"\x26", b"\x2e", b"\x36", b"\x3e", b"\x64", b"\x65")
DISPLACEMENTS = {1: (b"\x12", b"\xcc"), 2: (b"\x34\x12", b"\x00\xf0"), 4: (b"\x78\x56\x34\x12",)}
CONSTANT_BYTES = {"ib": 1, "ibs": 1, "iw": 2, "id": 4, "cb": 1, "cw": 2, "cd": 4, "cp": 6}
OPERAND_SIZE, ADDRESS_SIZE = b"\x66", b"\x67"
SIB_STRIDE = 53  # prime to 256
Shape = tuple[int, bytes]  # ModRM without reg, and what follows it


def _displacement(size: int, turn: int) -> bytes:
    choices = DISPLACEMENTS[size] if size else (b"",)
    return choices[turn % len(choices)]


def shapes_16() -> list[Shape]:
    """The 24 ModRM bytes of 16-bit addressing."""
    found = []
    for modrm in range(24):
        mod, rm = modrm >> 3, modrm & 7
        size = 2 if mod == 2 or (mod == 0 and rm == 6) else mod
        found.append((mod << 6 | rm, _displacement(size, rm)))
    return found


def shapes_32(sibs: range = range(256)) -> list[Shape]:
    """The 24 ModRM bytes of 32-bit addressing; those with a SIB byte for each of `sibs`."""
    found = []
    for modrm in range(24):
        mod, rm = modrm >> 3, modrm & 7
        if rm != 4:
            size = 4 if mod == 2 or (mod == 0 and rm == 5) else mod
            found.append((mod << 6 | rm, _displacement(size, rm)))
            continue
        for sib in sibs:
            size = 4 if mod == 2 or (mod == 0 and sib % 256 & 7 == 5) else mod
            found.append((mod << 6 | rm, bytes([sib % 256]) + _displacement(size, sib)))
    return found


def loads(bits: int) -> Iterator[bytes]:
    """Every shape with every segment override and both operand sizes, as the source of MOV."""
    for address_bits in (16, 32):
        size_prefix = b"" if address_bits == bits else ADDRESS_SIZE
        for number, (modrm, rest) in enumerate(shapes_16() if address_bits == 16 else shapes_32()):
            for place, segment in enumerate(SEGMENT_PREFIXES):
                operand_size = OPERAND_SIZE if (number + place) % 2 else b""
                reg = (number + place) % 8
                prefixes = segment + operand_size + size_prefix
                yield prefixes + bytes([0x8B, modrm | reg << 3]) + rest


def register_fields(form: Form) -> tuple[int, ...]:
    """What ModRM.reg may be."""
    if form.encoding.digits is not None:
        return tuple(form.encoding.digits)
    for kind, access in zip(form.kinds, form.access, strict=True):
        if kind == kinds.K_SREG:
            return LOADABLE_SEGMENT_REGISTERS if access & ACCESS_WRITE else SEGMENT_REGISTERS
        if kind == kinds.K_CR:
            return CONTROL_REGISTERS
    return tuple(range(8))


def takes_memory(form: Form) -> bool:
    """Whether ModRM names an operand that can be memory."""
    return any(kind in kinds.IN_RM_FIELD - {kinds.K_RMR32} for kind in form.kinds)


def forms_in_memory(bits: int) -> Iterator[tuple[Form, bytes]]:
    """Every form that can have memory, with every ModRM byte of it, some SIB bytes, any segment.

    Taken together the forms see all SIB bytes with each mod.
    """
    for form in load_table():
        if not takes_memory(form):
            continue
        encoding = form.encoding
        fields = register_fields(form)
        first = form.number * SIB_STRIDE
        shapes = [(16, shape) for shape in shapes_16()]
        shapes += [(32, shape) for shape in shapes_32(range(first, first + 4))]
        opcode = (b"\x0f" if encoding.two_byte else b"") + bytes([encoding.opcode])
        constants = b"".join(b"\x15" * CONSTANT_BYTES[word] for word in encoding.immediates)
        for turn, (address_bits, (modrm, rest)) in enumerate(shapes):
            prefixes = SEGMENT_PREFIXES[(form.number + turn) % len(SEGMENT_PREFIXES)]
            if address_bits != bits:
                prefixes += ADDRESS_SIZE
            if encoding.operand_size not in (0, bits):
                prefixes += OPERAND_SIZE
            reg = fields[turn % len(fields)]
            yield form, prefixes + opcode + bytes([modrm | reg << 3]) + rest + constants
