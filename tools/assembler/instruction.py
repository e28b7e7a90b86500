"""Instructions: sizes in the passes that measure, bytes in the last one.

The bytes come from isa/encoder.py. An instruction without symbols is encoded once and kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from isa import operand_kinds as kinds
from isa.encoder import (
    ADDRESS_SIZE_PREFIX,
    OPERAND_SIZE_PREFIX,
    SEGMENT_PREFIXES,
    EncodingError,
    encode,
)
from isa.instruction import (
    FarPointer,
    Immediate,
    Memory,
    Prefixes,
    Register,
    Target,
)
from isa.instruction import Operand as EncoderOperand
from isa.notation import Form
from tools.assembler.addressing import Address, signed
from tools.assembler.errors import SourceError
from tools.assembler.forms import Choice, choose
from tools.assembler.operands import Operand, Worth
from tools.assembler.place import Place
from tools.assembler.statements import Statement
from tools.assembler.values import Value, is_unknown

MAX_LENGTH: Final = 15


@dataclass(frozen=True, slots=True)
class WrittenPrefixes:
    """The prefixes in front of a mnemonic: bytes of LOCK and repeats, sizes, segment."""

    leading: bytes = b""
    segment: int | None = None
    operand_bits: int = 0
    address_bits: int = 0


class LonePrefixes(Statement):
    """Prefixes on a line of their own: they belong to whatever comes next."""

    __slots__ = ("prefixes",)

    is_code = True

    def __init__(self, prefixes: WrittenPrefixes) -> None:
        self.prefixes = prefixes

    def fixed_content(self, place: Place) -> bytes:
        prefixes = self.prefixes
        content = bytearray(prefixes.leading)
        if prefixes.segment is not None:
            content.append(SEGMENT_PREFIXES[prefixes.segment])
        if prefixes.operand_bits not in {0, place.bits}:
            content.append(OPERAND_SIZE_PREFIX)
        if prefixes.address_bits not in {0, place.bits}:
            content.append(ADDRESS_SIZE_PREFIX)
        return bytes(content)

    def run(self, place: Place) -> None:
        place.put(self.fixed_content(place), self.is_code)


class Instruction(Statement):
    """A mnemonic with prefixes and operands."""

    __slots__ = ("_bytes", "_constant", "mnemonic", "operands", "prefixes", "segment")

    is_code = True

    def __init__(
        self, mnemonic: str, operands: Sequence[Operand], prefixes: WrittenPrefixes
    ) -> None:
        self.mnemonic = mnemonic
        self.operands = operands
        self.prefixes = prefixes
        self.segment = prefixes.segment
        for operand in operands:
            override = operand.override()
            if override is not None:
                if self.segment is not None and self.segment != override.number:
                    raise SourceError("two different segment overrides")
                self.segment = override.number
        self._constant = all(operand.constant for operand in operands)
        self._bytes: dict[int, bytes | None] = {}  # by bits, if they are the same everywhere

    def fixed_content(self, place: Place) -> bytes | None:
        if not self._constant:
            return None
        bits = place.bits
        if bits not in self._bytes:
            choice, worths, _ = self._measure(place)
            fixed = choice.relative < 0
            self._bytes[bits] = self._encode(place, choice, worths) if fixed else None
        return self._bytes[bits]

    def run(self, place: Place) -> None:
        content = self.fixed_content(place)
        if content is not None:
            place.put(content, is_code=True)
            return
        choice, worths, size = self._measure(place)
        if place.emitting:
            content = self._encode(place, choice, worths)
            assert len(content) == size, f"{self.mnemonic}: {len(content)} bytes, not {size}"
            place.put(content, is_code=True)
        else:
            place.skip(size)

    def _measure(self, place: Place) -> tuple[Choice, list[Worth], int]:
        """The form, the operands as they stand there, and the size in this pass."""
        bits = place.bits
        address_bits = self.prefixes.address_bits or bits
        worths = [operand.worth(place, address_bits) for operand in self.operands]
        shapes = tuple([worth.shape for worth in worths])
        choice = choose(self.mnemonic, shapes, bits, self.prefixes.operand_bits)
        size = self._size(choice, worths, bits)
        if choice.near is not None:
            target = worths[choice.order[choice.relative]]
            if not _reaches(place, target, size):
                choice = choice.near
                size = self._size(choice, worths, bits)
        return choice, worths, size

    def _size(self, choice: Choice, worths: list[Worth], bits: int) -> int:
        size = choice.size + len(self.prefixes.leading) + (self.segment is not None)
        address_bits = self.prefixes.address_bits or choice.form.encoding.address_size
        if choice.memory >= 0:
            address = worths[choice.order[choice.memory]].address
            if address is not None:
                size += address.size - 1
                if address_bits and address.bits != address_bits:
                    raise SourceError("16-bit and 32-bit addressing are mixed")
                address_bits = address.bits
        return size + (address_bits not in {0, bits})

    def _encode(self, place: Place, choice: Choice, worths: list[Worth]) -> bytes:
        form = choice.form
        operands = [
            self._operand(place, form, kind, worths[index], choice)
            for kind, index in zip(form.kinds, choice.order, strict=True)
        ]
        prefixes = Prefixes(
            segment=self.segment,
            operand_bits=choice.operand_bits,
            address_bits=self.prefixes.address_bits,
        )
        try:
            content = self.prefixes.leading + encode(form, operands, place.bits, 0, prefixes)
        except EncodingError as error:
            raise SourceError(f"{self.mnemonic}: {error}") from None
        if len(content) > MAX_LENGTH:
            raise SourceError(f"{self.mnemonic}: longer than {MAX_LENGTH} bytes")
        return content

    def _operand(
        self, place: Place, form: Form, kind: int, worth: Worth, choice: Choice
    ) -> EncoderOperand:
        """The encoder's operand, with every number resolved."""
        if worth.shape.register is not None:
            return _register(kind, worth.shape.register)
        if worth.address is not None:
            return _memory(place, worth, worth.address)
        if kind in kinds.FAR_POINTER:
            offset_bits = 16 if kind == kinds.K_PTR16_16 else 32
            selector = place.number(worth.segment, 16)
            return FarPointer(selector, place.number(worth.value, offset_bits))
        if kind in kinds.RELATIVE:
            operand_bits = form.encoding.operand_size or choice.operand_bits or place.bits
            target = place.resolve(worth.value) - place.resolve(place.current())
            self._check_reach(place, kind, target, worth.value, choice)
            # As from address 0: what counts is the distance, modulo the operand size.
            return Target(target % (1 << operand_bits))
        return Immediate(self._constant_value(place, form, kind, worth))

    def _check_reach(
        self, place: Place, kind: int, distance: int, value: Value, choice: Choice
    ) -> None:
        if kind == kinds.K_REL8:
            size = self._size(choice, [], place.bits)
            if not -128 <= distance - size <= 127:
                raise SourceError(
                    f"{self.mnemonic}: the target is {distance - size} bytes away, out of reach of"
                    " a short branch (-128 to 127)"
                )

    def _constant_value(self, place: Place, form: Form, kind: int, worth: Worth) -> int:
        """An immediate as the encoder wants it: in the range of its field."""
        if kind == kinds.K_ONE:
            return 1
        if kind == kinds.K_IMM8S:
            value = place.resolve(worth.value)
            small = signed(value, 32 if form.data_bits == 32 else 16)
            if not -128 <= small <= 127:
                raise SourceError(
                    f"{self.mnemonic}: {value:#x} does not fit in a sign-extended byte"
                    " (-128 to 127)"
                )
            return small
        bits = kinds.KIND_BITS[kind]
        try:
            return place.number(worth.value, bits)
        except SourceError as error:
            raise SourceError(f"{self.mnemonic}: operand {error}") from None


def _register(kind: int, register: Register) -> Register:
    if kind == kinds.K_R32M16 and register.file == "r16":
        return Register("r32", register.number)  # `lar eax, cx`
    return register


def _memory(place: Place, worth: Worth, address: Address) -> Memory:
    displacement = signed(place.number(address.displacement, address.bits), address.bits)
    wanted = address.displacement_bits
    if wanted == 8 and not -128 <= displacement <= 127:
        raise SourceError(f"displacement {displacement:#x} does not fit in a byte")
    return Memory(
        base=address.base,
        index=address.index,
        scale=address.scale,
        displacement=displacement,
        far=worth.shape.distance == "far",
        address_bits=address.bits,
        displacement_bits=wanted,
    )


def _reaches(place: Place, target: Worth, size: int) -> bool:
    """Whether a short branch gets there, as far as this pass can tell."""
    if target.shape.strict:
        return False
    if is_unknown(target.value):
        return True  # a symbol further down: hope for the best
    here = place.current()
    if isinstance(target.value, int) or target.value.terms != here.terms:
        return False  # a number or another section: the distance is not known yet
    return -128 <= target.value.constant - here.constant - size <= 127
