"""A decoded instruction as text in NASM's syntax.

The text assembles back to an instruction with the same form of operands and the same meaning;
the bytes may differ where one meaning has several encodings.

Source: NASM manual, "The NASM Language".
"""

from collections.abc import Sequence
from typing import Final

from isa import operand_kinds as kinds
from isa.instruction import (
    SEGMENTS,
    FarPointer,
    Immediate,
    Memory,
    Operand,
    Prefixes,
    Register,
    Target,
)
from isa.notation import Form

SIZE_WORDS: Final = {8: "byte", 16: "word", 32: "dword", 64: "qword"}

# A general register operand that tells an assembler the size of the memory beside it.
SIZE_TELLING: Final = frozenset(
    {kinds.K_R8, kinds.K_R16, kinds.K_R32, kinds.K_AL, kinds.K_AX, kinds.K_EAX}
)
ADDRESSED_BY_SIZE: Final = frozenset({"si", "di", "bx", "cx"})
OVERRIDABLE: Final = frozenset({"source", "memory"})
REPEAT_WORDS: Final = {
    ("rep", 0xF3): "rep",
    ("repcc", 0xF3): "repe",
    ("repcc", 0xF2): "repne",
    ("rep", 0xF2): "repne",
}
SMALL_DISPLACEMENT: Final = 0x10000  # below it, a negative displacement reads best with its sign


def instruction_text(form: Form, operands: Sequence[Operand], prefixes: Prefixes, bits: int) -> str:
    """The instruction in code of `bits`."""
    words = _prefix_words(form, prefixes, bits)
    texts = []
    for position, operand in enumerate(operands):
        texts.append(_operand_text(form, position, operand, bits))
    if form.mnemonic in ("AAM", "AAD") and operands == (Immediate(10, 8),):
        texts = []
    words.append(_mnemonic(form, bits))
    text = " ".join(words)
    return f"{text} {', '.join(texts)}" if texts else text


def _prefix_words(form: Form, prefixes: Prefixes, bits: int) -> list[str]:
    """The prefixes that act on this form and that its operands do not show."""
    words = []
    if prefixes.lock:
        words.append("lock")
    if prefixes.repeat and form.repeat:
        words.append(REPEAT_WORDS[form.repeat, prefixes.repeat])
    implicit = {name for name, _ in form.implicit}
    if implicit & ADDRESSED_BY_SIZE and not form.encoding.address_size:
        if prefixes.address_bits != bits:
            words.append(f"a{prefixes.address_bits}")
    if _hides_operand_size(form) and form.encoding.operand_size != bits:
        words.append(f"o{form.encoding.operand_size}")
    if prefixes.segment is not None and implicit & OVERRIDABLE:
        words.append(SEGMENTS[prefixes.segment])
    return words


def _hides_operand_size(form: Form) -> bool:
    """Whether neither mnemonic nor operands tell the operand size."""
    if not form.encoding.operand_size or kinds.K_IMM8S in form.kinds:
        return False
    return f"_o{form.encoding.operand_size}" in form.name


def _mnemonic(form: Form, bits: int) -> str:
    """NASM's `pushf` has the code's own operand size: the 16-bit one is `pushfw` in 32-bit code."""
    name = form.mnemonic.lower()
    if name in ("pusha", "popa", "pushf", "popf", "iret") and bits == 32:
        return f"{name}w"
    return name


def _operand_text(form: Form, position: int, operand: Operand, bits: int) -> str:
    match operand:
        case Register():
            return operand.name
        case Memory():
            return _memory_text(form, position, operand, bits)
        case Immediate():
            return _immediate_text(form, position, operand, bits)
        case Target():
            return _target_text(form, position, operand, bits)
        case FarPointer():
            size = f"{SIZE_WORDS[operand.bits]} " if operand.bits != bits else ""
            return f"{size}{operand.selector:#x}:{operand.offset:#x}"


def _target_text(form: Form, position: int, target: Target, bits: int) -> str:
    size = form.encoding.operand_size
    text = f"{target.address:#x}"
    if form.kinds[position] == kinds.K_REL8 or size == bits:
        return text
    return f"{'' if form.flow == 'call' else 'near '}{SIZE_WORDS[size]} {text}"


def _immediate_text(form: Form, position: int, immediate: Immediate, bits: int) -> str:
    value = immediate.value
    text = f"{value:#x}"
    if form.kinds[position] == kinds.K_IMM8S and value >> form.data_bits - 1:
        text = f"-{(1 << form.data_bits) - value:#x}"
    if form.operation == "PUSH" and form.data_bits != bits:
        return f"{SIZE_WORDS[form.data_bits]} {text}"
    return text


def _memory_text(form: Form, position: int, memory: Memory, bits: int) -> str:
    words = []
    kind = form.kinds[position]
    if memory.far:
        if memory.bits != bits:
            words.append(SIZE_WORDS[memory.bits])
        words.append("far")
    elif kind not in kinds.MEMORY_ONLY | kinds.MEMORY_OFFSET:
        if not _size_told(form, position):
            words.append(SIZE_WORDS[memory.bits])
    return " ".join([*words, address_text(memory, bits)])


def _size_told(form: Form, position: int) -> bool:
    """Whether another operand tells the size of the memory at `position`."""
    if form.operation in ("MOVZX", "MOVSX"):
        return False
    size = kinds.KIND_BITS[form.kinds[position]]
    others = form.kinds[:position] + form.kinds[position + 1 :]
    return kinds.K_SREG in others or any(
        kind in SIZE_TELLING and kinds.KIND_BITS[kind] == size for kind in others
    )


def address_text(memory: Memory, bits: int) -> str:
    """`[segment:base+index*scale+displacement]`."""
    parts = [memory.base.name] if memory.base else []
    if memory.index is not None:
        scaled = memory.scale != 1 or memory.base is None
        parts.append(f"{memory.index.name}*{memory.scale}" if scaled else memory.index.name)
    inner = "+".join(parts)
    displacement = memory.displacement
    if not parts:
        size = f"{SIZE_WORDS[memory.address_bits]} " if memory.address_bits != bits else ""
        inner = f"{size}{displacement:#x}"
    elif displacement or memory.displacement_bits:
        inner += _displacement_text(displacement, memory.address_bits)
    segment = f"{SEGMENTS[memory.segment]}:" if memory.segment is not None else ""
    return f"[{segment}{inner}]"


def _displacement_text(displacement: int, address_bits: int) -> str:
    if displacement >= 0:
        return f"+{displacement:#x}"
    if displacement > -SMALL_DISPLACEMENT:
        return f"-{-displacement:#x}"
    return f"+{displacement % (1 << address_bits):#x}"
