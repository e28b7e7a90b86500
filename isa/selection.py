"""From a mnemonic and operands to a form: the choice an assembler makes.

All forms of the mnemonic that take the operands are encoded; the shortest encoding wins, then the
one with the shortest immediate, then the first row of the table. When the operands do not tell the
operand size (RET, PUSH 5, JMP), it is that of the code. Mnemonics are NASM's: the table's own, and
the aliases listed here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Final

from isa import operand_kinds as kinds
from isa import vocabulary
from isa.encoder import WRONG_KIND, WRONG_SIZE, EncodingError, check_operands, encode
from isa.instruction import (
    NO_PREFIXES,
    REGISTERS,
    FarPointer,
    Immediate,
    Memory,
    Operand,
    Prefixes,
    Register,
    Target,
)
from isa.notation import Form, load_table

CONDITIONAL_STEMS: Final = ("J", "SET", "CMOV")

ALIASES: Final = {
    "SAL": "SHL",
    "LOOPZ": "LOOPE",
    "LOOPNZ": "LOOPNE",
    "XLAT": "XLATB",
    "FWAIT": "WAIT",
    "RETN": "RET",
    "ICEBP": "INT1",
    "INT01": "INT1",
    "INT03": "INT3",
    "UD2A": "UD2",
}

# Mnemonics that name the operand size, or leave it to the code: NASM's `pushf` is the code's own
# size, `pushfw` and `pushfd` say which. The table may have one name or two.
SIZED: Final = {
    f"{stem}{suffix}": (stem, long, bits)
    for stem, long in (
        ("PUSHA", "PUSHAD"),
        ("POPA", "POPAD"),
        ("PUSHF", "PUSHFD"),
        ("POPF", "POPFD"),
        ("IRET", "IRETD"),
        ("RET", "RET"),
        ("RETF", "RETF"),
    )
    for suffix, bits in (("", 0), ("W", 16), ("D", 32))
}

SOME_REGISTER: Final = REGISTERS["ebx"]
DECIMAL_BASE: Final = Immediate(10)  # AAM and AAD without an operand work in decimal


@dataclass(frozen=True, slots=True)
class Selected:
    """The form that was chosen and its bytes."""

    form: Form
    data: bytes


@cache
def forms_by_mnemonic() -> Mapping[str, tuple[Form, ...]]:
    """The encodable forms of every mnemonic and alias, in upper case."""
    found: dict[str, list[Form]] = {}
    for form in load_table():
        if not form.decode_only:
            found.setdefault(form.mnemonic, []).append(form)
    for alias, condition in vocabulary.CONDITION_ALIASES.items():
        for stem in CONDITIONAL_STEMS:
            found[stem + alias] = found[stem + condition]
    for alias, mnemonic in ALIASES.items():
        found[alias] = found[mnemonic]
    sized = {
        name: [
            form
            for mnemonic in dict.fromkeys((short, long))
            for form in found[mnemonic]
            if bits in (0, form.encoding.operand_size)
        ]
        for name, (short, long, bits) in SIZED.items()
    }
    return {name: tuple(forms) for name, forms in (found | sized).items()}


def is_mnemonic(word: str) -> bool:
    """Whether the word, in any case, names an instruction."""
    return word.upper() in forms_by_mnemonic()


def select(
    mnemonic: str,
    operands: Sequence[Operand],
    bits: int,
    address: int = 0,
    prefixes: Prefixes = NO_PREFIXES,
) -> Selected:
    """Choose the form for a mnemonic and encode it; refuse with the nearest form's reason."""
    name = mnemonic.upper()
    if name not in forms_by_mnemonic():
        raise EncodingError(f"unknown instruction '{mnemonic}'", None, WRONG_KIND)
    refusals: list[EncodingError] = []
    found: list[Selected] = []
    for spelling in _spellings(name, operands):
        fitting, unfit = _fitting(name, tuple(_shape(operand) for operand in spelling))
        refusals += unfit
        if fitting:
            _check_size_known(fitting, spelling)
            own = _of_code_size(fitting, bits, prefixes)
            found += _encoded(own, spelling, bits, address, prefixes, refusals)
    if not found:
        raise _nearest(mnemonic, operands, refusals)
    return min(found, key=_rank)


def _spellings(name: str, operands: Sequence[Operand]) -> list[tuple[Operand, ...]]:
    """The operands as written, then as the table has them where custom allows another order."""
    written = tuple(operands)
    spellings = [written]
    if name in ("AAM", "AAD") and not written:
        spellings = [(DECIMAL_BASE,)]
    elif name == "IMUL" and len(written) == 2 and isinstance(written[1], Immediate):
        spellings.append((written[0], written[0], written[1]))
    elif name in ("TEST", "XCHG") and len(written) == 2:
        spellings.append((written[1], written[0]))
    if name == "XCHG":
        spellings.reverse()  # NASM puts the first of two registers in ModRM.reg
    return spellings


def _shape(operand: Operand) -> Operand:
    """A stand-in with the operand's kind and size: all that choosing among forms looks at."""
    if isinstance(operand, Memory):
        register = operand.base or operand.index
        return Memory(base=register and SOME_REGISTER, bits=operand.bits, far=operand.far)
    if isinstance(operand, Immediate):
        return replace(operand, value=int(operand.value == 1))
    if isinstance(operand, Target):
        return replace(operand, address=0)
    if isinstance(operand, FarPointer):
        return replace(operand, selector=0, offset=0)
    return operand


@lru_cache(maxsize=4096)
def _fitting(
    name: str, shapes: tuple[Operand, ...]
) -> tuple[tuple[Form, ...], tuple[EncodingError, ...]]:
    """Forms of the mnemonic that take such operands, and why the others do not."""
    fitting: list[Form] = []
    refusals: list[EncodingError] = []
    for form in forms_by_mnemonic()[name]:
        try:
            check_operands(form, shapes)
        except EncodingError as refusal:
            refusals.append(refusal.with_traceback(None))
        else:
            fitting.append(form)
    return tuple(fitting), tuple(refusals)


def _check_size_known(forms: tuple[Form, ...], operands: Sequence[Operand]) -> None:
    """Refuse memory of unknown size where the size would choose between forms."""
    for position, operand in enumerate(operands):
        if not isinstance(operand, Memory) or operand.bits:
            continue
        sizes = {kinds.KIND_BITS[form.kinds[position]] for form in forms}
        if len(sizes) > 1 and not any(form.flow for form in forms):
            raise EncodingError("memory of unknown size: write byte, word or dword", position)


def _of_code_size(forms: tuple[Form, ...], bits: int, prefixes: Prefixes) -> tuple[Form, ...]:
    """Where both operand sizes would do, those of the code's size or of the prefix."""
    wanted = prefixes.operand_bits or bits
    return tuple(form for form in forms if form.encoding.operand_size in (0, wanted)) or forms


def _encoded(
    forms: Sequence[Form],
    operands: Sequence[Operand],
    bits: int,
    address: int,
    prefixes: Prefixes,
    refusals: list[EncodingError],
) -> list[Selected]:
    """Every form that takes the operands' values, encoded."""
    found = []
    for form in forms:
        try:
            found.append(Selected(form, encode(form, operands, bits, address, prefixes)))
        except EncodingError as refusal:
            refusals.append(refusal)
    return found


def _rank(choice: Selected) -> tuple[int, int, int]:
    """Shortest encoding, then shortest immediate, then the table's order."""
    form = choice.form
    immediate = sum(kinds.KIND_BITS[kind] for kind in form.kinds if kind in kinds.IMMEDIATE)
    return len(choice.data), immediate, form.number


def _nearest(
    mnemonic: str, operands: Sequence[Operand], refusals: Sequence[EncodingError]
) -> EncodingError:
    """One refusal for all forms: the nearest form's own, or a description of the operands."""
    nearness = max((refusal.nearness for refusal in refusals), default=WRONG_KIND)
    if nearness > WRONG_SIZE:
        return [refusal for refusal in refusals if refusal.nearness == nearness][-1]
    found = ", ".join(describe(operand) for operand in operands) or "no operands"
    if nearness == WRONG_SIZE:
        return EncodingError(f"{mnemonic}: operand sizes do not agree: {found}", None, WRONG_SIZE)
    return EncodingError(f"{mnemonic} does not take {found}", None, WRONG_KIND)


def describe(operand: Operand) -> str:
    """An operand in the words of an error message."""
    if isinstance(operand, Register):
        return operand.name
    if isinstance(operand, Memory):
        size = f"{operand.bits}-bit " if operand.bits else ""
        return f"{size}{'far pointer in ' if operand.far else ''}memory"
    if isinstance(operand, Immediate):
        return f"immediate {operand.value:#x}"
    return "a branch target" if isinstance(operand, Target) else "a far pointer"
