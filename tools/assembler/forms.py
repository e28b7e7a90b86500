"""The choice of a form for a mnemonic and operands, as NASM makes it, and the size that follows.

Which forms take which operands is asked of isa/encoder.py. Added here is what an assembler needs
before it knows every number: a symbol that is defined further down counts as large, a branch to it
as short; a branch across sections is near. The choice depends on the operands' shapes only and is
remembered.

Source: the NASM manual, "Operand Size Keywords", "STRICT: Inhibiting Optimization".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Final, NamedTuple

from isa import operand_kinds as kinds
from isa.encoder import WRONG_KIND, WRONG_SIZE, EncodingError, check_operands
from isa.instruction import (
    REGISTERS,
    FarPointer,
    Immediate,
    Memory,
    Operand,
    Register,
    Target,
)
from isa.mnemonics import forms_by_mnemonic
from isa.notation import Form
from tools.assembler.errors import SourceError
from tools.assembler.operands import (
    FAR,
    FITS_16,
    FITS_32,
    IMMEDIATE,
    IS_ONE,
    MEMORY,
    SIZE_NAMES,
    Shape,
)

_SOME_REGISTER: Final = REGISTERS["ebx"]
_CONSTANT_BYTES: Final = {
    kinds.K_IMM8: 1,
    kinds.K_IMM8S: 1,
    kinds.K_IMM16: 2,
    kinds.K_IMM32: 4,
    kinds.K_REL8: 1,
    kinds.K_REL16: 2,
    kinds.K_REL32: 4,
    kinds.K_PTR16_16: 4,
    kinds.K_PTR16_32: 6,
}


class Choice(NamedTuple):
    """A form and how the written operands fill it.

    `order` says which written operand stands where; `operand_bits` is what the encoder has to be
    told; `size` leaves out the address in memory, whose size changes from pass to pass, and `near`
    is the form to take when the target is too far for this one.
    """

    form: Form
    order: tuple[int, ...]
    operand_bits: int
    size: int
    memory: int  # position of the memory operand in the form, or -1
    relative: int  # position of the branch target, or -1
    near: Choice | None = None


@cache
def mnemonics() -> Mapping[str, tuple[Form, ...]]:
    """The forms by mnemonic in lower case, with the names that only assemblers know."""
    table = {name.lower(): forms for name, forms in forms_by_mnemonic().items()}
    # NASM forgets the prefix of `retw 4`. Better no such word than one with two meanings.
    table["retw"] = tuple(form for form in table["retw"] if not form.kinds)
    table["retnw"], table["retnd"] = table["retw"], table["retd"]
    return table


@lru_cache(maxsize=8192)
def choose(mnemonic: str, shapes: tuple[Shape, ...], bits: int, operand_bits: int) -> Choice:
    """The form for operands of these shapes; `operand_bits` is 16 or 32 if a prefix asks for it."""
    refusals: list[EncodingError] = []
    found: list[tuple[Form, tuple[int, ...]]] = []
    for order in _orders(mnemonic, shapes):
        ordered = _with_sizes(mnemonic, tuple(shapes[index] for index in order))
        fitting = [form for form in mnemonics()[mnemonic] if _takes(form, ordered, refusals)]
        _refuse_unknown_size(fitting, ordered)
        found.extend((form, order) for form in fitting)
    wanted = operand_bits or bits
    own = [pair for pair in found if pair[0].encoding.operand_size in {0, wanted}]
    if operand_bits and found and not own:
        raise SourceError(f"{found[0][0].syntax} has no {operand_bits}-bit operand size")
    choices = [_choice(form, order, bits, operand_bits) for form, order in own or found]
    if not choices:
        raise SourceError(_refusal(mnemonic, shapes, refusals))
    return _best(choices)


def _orders(mnemonic: str, shapes: tuple[Shape, ...]) -> Iterator[tuple[int, ...]]:
    """The operands as written, and in the table's order where custom allows another one."""
    count = len(shapes)
    written = tuple(range(count))
    if mnemonic == "imul" and count == 2 and shapes[1].kind == IMMEDIATE:
        yield (0, 0, 1)
        return
    if mnemonic == "xchg" and count == 2:
        yield (1, 0)
    yield written
    if mnemonic == "test" and count == 2:
        yield (1, 0)


def _with_sizes(mnemonic: str, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
    """Operands that custom allows to be written with less, or with other sizes."""
    if len(shapes) != 2:
        return shapes
    first, second = shapes
    if first.kind == MEMORY and second.kind == IMMEDIATE:
        # `mov [ebx], dword 5`: memory of unknown size takes that of the immediate.
        if second.size and not first.size and _has_equal_sizes(mnemonic):
            return first._replace(size=second.size), second
    if mnemonic in {"lar", "lsl"} and first.register and second.register:
        # `lar eax, cx`: the upper half of the second register does not count.
        if (first.register.file, second.register.file) == ("r32", "r16"):
            return first, second._replace(register=Register("r32", second.register.number))
    return shapes


@cache
def _has_equal_sizes(mnemonic: str) -> bool:
    """Whether the immediate is as wide as the memory, so that one tells the other's size."""
    return any(form.kinds == (kinds.K_RM16, kinds.K_IMM16) for form in mnemonics()[mnemonic])


def _takes(form: Form, shapes: tuple[Shape, ...], refusals: list[EncodingError]) -> bool:
    """Whether the form takes such operands; if not, the reason is added to the refusals."""
    if len(shapes) != len(form.kinds):
        return False
    pairs = list(zip(shapes, form.kinds, strict=True))
    try:
        check_operands(form, [_stand_in(shape, kind) for shape, kind in pairs])
    except EncodingError as refusal:
        refusals.append(refusal.with_traceback(None))
        return False
    return all(_reaches(form, kind, shape) for shape, kind in pairs)


def _stand_in(shape: Shape, kind: int) -> Operand:
    """The encoder's kind of operand for a shape."""
    if shape.register is not None:
        return shape.register
    if shape.kind == MEMORY:
        base = None if shape.is_offset else _SOME_REGISTER
        return Memory(base=base, bits=shape.size, far=shape.distance == "far")
    if shape.kind == FAR:
        return FarPointer(0, 0, shape.size)
    if kind in kinds.RELATIVE:
        return Target(0, "near" if shape.size and not shape.distance else shape.distance)
    return Immediate(shape.reach & IS_ONE, shape.size, shape.strict)


def _reaches(form: Form, kind: int, shape: Shape) -> bool:
    """Whether a number's value allows this kind, and a target's size this operand size."""
    if kind in kinds.RELATIVE:
        return shape.distance != "far" and shape.size in {0, form.encoding.operand_size}
    if kind != kinds.K_IMM8S or shape.size == 8:
        return True
    return bool(shape.reach & (FITS_16 if form.data_bits == 16 else FITS_32))


def _refuse_unknown_size(forms: list[Form], shapes: tuple[Shape, ...]) -> None:
    for position, shape in enumerate(shapes):
        if shape.kind == MEMORY and not shape.size:
            sizes = {kinds.KIND_BITS[form.kinds[position]] for form in forms}
            if len(sizes) > 1 and not any(form.flow for form in forms):
                names = ", ".join(SIZE_NAMES[bits] for bits in sorted(sizes) if bits in SIZE_NAMES)
                raise SourceError(
                    f"the size of the memory operand is not known: write one of {names}"
                )


def _choice(form: Form, order: tuple[int, ...], bits: int, operand_bits: int) -> Choice:
    encoding = form.encoding
    if kinds.K_RM32 in form.kinds and not encoding.operand_size:
        operand_bits = 32  # UD0 and UD1 have no size of their own, but their operands do
    prefixed = (encoding.operand_size or operand_bits or bits) != bits
    prefixes = prefixed + bool(encoding.mandatory)
    size = prefixes + encoding.two_byte + 1
    memory = relative = -1
    for position, kind in enumerate(form.kinds):
        size += _CONSTANT_BYTES.get(kind, 0)
        if kind in kinds.RELATIVE:
            relative = position
        elif kind in kinds.IN_RM_FIELD or kind in kinds.MEMORY_OFFSET:
            memory = position
    if encoding.has_modrm:
        size += 1
    return Choice(form, order, operand_bits, size, memory, relative)


def _best(choices: list[Choice]) -> Choice:
    """The shortest; of equals the one with the shortest immediate, then the first."""

    def rank(choice: Choice) -> tuple[int, int]:
        constants = sum(
            _CONSTANT_BYTES[kind] for kind in choice.form.kinds if kind in kinds.IMMEDIATE
        )
        # An offset in place of ModRM is as wide as a displacement: one byte is saved.
        return choice.size, constants

    best = min(choices, key=rank)
    if best.relative >= 0:
        near = [choice for choice in choices if choice.size > best.size]
        if near:
            return best._replace(near=min(near, key=rank))
    return best


def _refusal(mnemonic: str, shapes: tuple[Shape, ...], refusals: list[EncodingError]) -> str:
    """Why no form takes the operands: the nearest form's own reason, or a description."""
    counts = sorted({len(form.kinds) for form in mnemonics()[mnemonic]})
    if len(shapes) not in counts:
        takes = " or ".join(str(count) for count in counts)
        return f"{mnemonic} takes {takes} operands, not {len(shapes)}"
    written = ", ".join(describe(shape) for shape in shapes)
    nearest = max((refusal.nearness for refusal in refusals), default=WRONG_KIND)
    if nearest == WRONG_KIND:
        return f"{mnemonic} does not take {written}"
    if nearest > WRONG_SIZE:
        text = next(str(refusal) for refusal in refusals if refusal.nearness == nearest)
        return f"{mnemonic}: {text}"
    return f"{mnemonic}: operand sizes do not agree: {written}"


def describe(shape: Shape) -> str:
    """An operand in words."""
    if shape.register is not None:
        return shape.register.name
    word = f"{SIZE_NAMES[shape.size]} " if shape.size else ""
    if shape.kind == MEMORY:
        return f"{word}far memory" if shape.distance == "far" else f"{word}memory"
    return f"{word}far pointer" if shape.kind == FAR else f"{word}number"
