"""What an instruction is outside memory: operands as values, prefixes, the decoded record.

The encoder takes these and the decoder gives them back; monitors read them to learn what faulted.
Nothing here knows how they become bytes.
"""

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from isa.notation import Form

GENERAL_8: Final = ("al", "cl", "dl", "bl", "ah", "ch", "dh", "bh")
GENERAL_16: Final = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di")
GENERAL_32: Final = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
SEGMENTS: Final = ("es", "cs", "ss", "ds", "fs", "gs")

# Names by register file, in encoding order.
REGISTER_FILES: Final = {
    "r8": GENERAL_8,
    "r16": GENERAL_16,
    "r32": GENERAL_32,
    "sreg": SEGMENTS,
    "cr": tuple(f"cr{number}" for number in range(8)),
    "dr": tuple(f"dr{number}" for number in range(8)),
}
REGISTER_BITS: Final = {"r8": 8, "r16": 16, "r32": 32, "sreg": 16, "cr": 32, "dr": 32}

SS: Final = 2
DS: Final = 3
FRAME_BASES: Final = frozenset({"esp", "ebp", "bp"})  # bases whose default segment is SS


@dataclass(frozen=True, slots=True)
class Register:
    """A register of one of the files in REGISTER_FILES."""

    file: str
    number: int

    @property
    def name(self) -> str:
        return REGISTER_FILES[self.file][self.number]

    @property
    def bits(self) -> int:
        return REGISTER_BITS[self.file]


REGISTERS: Final = {
    name: Register(file, number)
    for file, names in REGISTER_FILES.items()
    for number, name in enumerate(names)
}


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory at base + index * scale + displacement.

    Attributes:
        bits: size of the data; 0 when the text did not say. For a far pointer: of its offset.
        far: the memory holds a far pointer (offset, then selector).
        segment: number of the segment register that was named, or None for the default.
        address_bits: 16 or 32; 0 lets the registers or the code's size decide.
        displacement_bits: 8, 16 or 32 to insist on that width; 0 takes the shortest.
    """

    base: Register | None = None
    index: Register | None = None
    scale: int = 1
    displacement: int = 0
    segment: int | None = None
    bits: int = 0
    far: bool = False
    address_bits: int = 0
    displacement_bits: int = 0

    @property
    def effective_segment(self) -> int:
        """The segment register used: the one named, else SS for stack bases, else DS."""
        if self.segment is not None:
            return self.segment
        return SS if self.base is not None and self.base.name in FRAME_BASES else DS


@dataclass(frozen=True, slots=True)
class Immediate:
    """A constant.

    Attributes:
        bits: the size that the text gave (`push word 5`), or 0. After decoding: of the operand.
        strict: the constant must be encoded in `bits` bits, even where fewer would do.
    """

    value: int
    bits: int = 0
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """Where a relative branch goes, as an offset in the code segment.

    Attributes:
        distance: "short" or "near" to insist on that encoding; "" takes the shortest.
    """

    address: int
    distance: str = ""


@dataclass(frozen=True, slots=True)
class FarPointer:
    """Selector and offset in the instruction. `bits`: of the offset, or 0 if not said."""

    selector: int
    offset: int
    bits: int = 0


Operand: TypeAlias = Register | Memory | Immediate | Target | FarPointer


@dataclass(frozen=True, slots=True)
class Prefixes:
    """The prefixes of an instruction, by effect.

    Attributes:
        lock: LOCK was given.
        repeat: 0xF3 (REP, REPE), 0xF2 (REPNE), or 0.
        segment: number of the overriding segment register, or None.
        operand_bits: 16 or 32; when encoding, 0 leaves the choice to the form.
        address_bits: 16 or 32; when encoding, 0 leaves the choice to the operands.
    """

    lock: bool = False
    repeat: int = 0
    segment: int | None = None
    operand_bits: int = 0
    address_bits: int = 0


NO_PREFIXES: Final = Prefixes()


@dataclass(frozen=True, slots=True)
class Instruction:
    """A decoded instruction.

    Attributes:
        form: the row of the table.
        length: bytes, prefixes included, 1..15.
        operands: in the order of the form's syntax.
        text: NASM syntax.
        address: offset of the first byte in the code segment.
        bits: default size of the code, 16 or 32.
        data: the bytes themselves.
    """

    form: Form
    length: int
    operands: tuple[Operand, ...]
    prefixes: Prefixes
    text: str
    address: int = field(default=0, kw_only=True)
    bits: int = field(default=32, kw_only=True)
    data: bytes = field(default=b"", kw_only=True)
