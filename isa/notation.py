"""Reads the instruction table: rows of SDM notation become Form records.

A row that contains an unknown word or contradicts itself is refused with one line that names the
table's line and the rule. Overlaps between rows are found when the opcode map is built
(isa/opcode_map.py). Nothing here knows what an instruction computes.

Source: SDM vol. 2A, "Interpreting the Instruction Reference Pages".
"""

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from isa import operand_kinds as kinds
from isa import vocabulary
from isa.errors import TrapgateError
from isa.registers import FEATURE_386

TABLE: Final = Path(__file__).with_name("table.txt")
COLUMN_COUNT: Final = 7

PREFIX_BYTES: Final = frozenset({0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3})
IMMEDIATE_WORDS: Final = frozenset({"ib", "ibs", "iw", "id", "cb", "cw", "cd", "cp"})
ANY_DIGIT: Final = range(8)

# What the encoding column must say for each kind that is encoded after ModRM.
KIND_IMMEDIATE: Final = {
    kinds.K_IMM8: "ib",
    kinds.K_IMM8S: "ibs",
    kinds.K_IMM16: "iw",
    kinds.K_IMM32: "id",
    kinds.K_REL8: "cb",
    kinds.K_REL16: "cw",
    kinds.K_REL32: "cd",
    kinds.K_PTR16_16: "cd",
    kinds.K_PTR16_32: "cp",
}


# Facts that are words without a value, and the fields they set.
FACT_SWITCHES: Final = {
    "lock": "lockable",
    "far": "far",
    "pm": "protected_only",
    "v86iopl": "v86_iopl",
    "alias": "decode_only",
}

# Operands that do not tell the size of the data: counts, ports, numbers of interrupts.
CONTROL_KINDS: Final = frozenset(
    {kinds.K_CL, kinds.K_DX, kinds.K_IMM8, kinds.K_IMM16, kinds.K_REL8}
)


class NotationError(TrapgateError):
    """A row of the table that cannot be read, or contradicts itself or another row."""

    def __init__(self, line: int, rule: str) -> None:
        super().__init__(f"isa/table.txt:{line}: {rule}")


@dataclass(frozen=True, slots=True)
class Encoding:
    """The encoding column: which bytes make this form, and where its operands are."""

    opcode: int
    two_byte: bool
    mandatory: int = 0  # 0xF3 or 0
    operand_size: int = 0  # 16 or 32 when the form exists in that operand size only
    address_size: int = 0  # 16 or 32, likewise
    has_modrm: bool = False
    digits: range | None = None  # values of ModRM.reg that select the form; None: an operand
    fixed_modrm: int | None = None
    register_in_opcode: bool = False
    excluded: frozenset[int] = frozenset()  # opcodes of the +r range that are other forms
    immediates: tuple[str, ...] = ()

    def opcodes(self) -> tuple[int, ...]:
        """The opcode bytes that select this form, escape byte not counted."""
        count = 8 if self.register_in_opcode else 1
        codes = range(self.opcode, self.opcode + count)
        return tuple(code for code in codes if code not in self.excluded)


@dataclass(frozen=True, slots=True)
class Form:
    """One encoding of one mnemonic: everything its row says."""

    line: int
    mnemonic: str
    words: tuple[str, ...]
    kinds: tuple[int, ...]
    access: tuple[int, ...]
    encoding: Encoding
    flags: dict[str, int] = field(default_factory=dict)  # keys r w 0 1 u, EFLAGS masks
    privilege: str = ""
    sensitive: str = ""
    operation: str = ""
    condition: int = -1
    data_bits: int = 0
    lockable: bool = False
    repeat: str = ""
    flow: str = ""
    far: bool = False
    exit: str = ""
    exit_always: bool = False
    implicit: tuple[tuple[str, int], ...] = ()
    faults: tuple[str, ...] = ()
    processor: str = "8086"
    feature: str = ""
    protected_only: bool = False
    v86_iopl: bool = False
    decode_only: bool = False
    number: int = -1
    name: str = ""

    @property
    def syntax(self) -> str:
        return f"{self.mnemonic} {', '.join(self.words)}".rstrip()

    @property
    def needs(self) -> int:
        """The FEATURE bit that a processor must have to know the form."""
        if self.feature:
            return vocabulary.FEATURES[self.feature]
        return vocabulary.GENERATION_FEATURES.get(self.processor, FEATURE_386)

    @property
    def mod_ignored(self) -> bool:
        """True when ModRM.rm is a register whatever ModRM.mod says."""
        return kinds.K_RMR32 in self.kinds


@cache
def load_table() -> tuple[Form, ...]:
    """The forms of the project's own table, numbered in row order."""
    return read_table(TABLE.read_text(encoding="utf-8"))


def read_table(text: str) -> tuple[Form, ...]:
    """Read a whole table; the forms are numbered and named."""
    forms: list[Form] = []
    for number, row in enumerate(text.splitlines(), start=1):
        content = row.split("#", 1)[0].strip()
        if content:
            forms.extend(read_row(content, number))
    return _name_forms(forms)


def read_row(row: str, line: int) -> list[Form]:
    """Read one row; a row for a condition code (`Jcc rel8`) makes sixteen forms."""
    columns = [column.strip() for column in row.split("|")]
    if len(columns) != COLUMN_COUNT:
        raise NotationError(line, f"{len(columns)} columns, expected {COLUMN_COUNT}")
    syntax, encoding = columns[0], columns[1]
    mnemonic = syntax.split(maxsplit=1)[0] if syntax else ""
    if mnemonic.endswith("cc") != ("+cc" in encoding):
        raise NotationError(line, "a mnemonic in cc needs +cc in the encoding, and the reverse")
    if "+cc" not in encoding:
        return [_read_form(columns, line, -1)]
    return [_read_form(_expand_condition(columns, cc, line), line, cc) for cc in range(16)]


def _expand_condition(columns: list[str], condition: int, line: int) -> list[str]:
    """The columns of a `cc` row for one condition number."""
    suffix, flags_read = vocabulary.CONDITIONS[condition]
    syntax = re.sub(r"^([A-Z]+)cc\b", rf"\g<1>{suffix}", columns[0])
    base = re.search(r"\b([0-9A-F]{2})\+cc", columns[1])
    if base is None or int(base[1], 16) & 0xF:
        raise NotationError(line, "+cc needs an opcode byte that ends in 0 before it")
    opcode = f"{int(base[1], 16) + condition:02X}"
    encoding = columns[1].replace(base[0], opcode)
    flags = columns[3].replace("r=cc", f"r={flags_read}")
    return [syntax, encoding, columns[2], flags, *columns[4:]]


def _read_form(columns: list[str], line: int, condition: int) -> Form:
    syntax, encoding_text, access_text, flags, privilege, sensitive, facts = columns
    mnemonic, words = _read_syntax(syntax, line)
    encoding = _read_encoding(encoding_text, line)
    found = _kinds_of(words, encoding, line)
    fields: dict[str, Any] = {
        "encoding": encoding,
        "operation": mnemonic,
        "data_bits": _data_bits(found, encoding),
    }
    form = Form(
        line=line,
        mnemonic=mnemonic,
        words=words,
        kinds=found,
        access=_read_access(access_text, words, line),
        flags=_read_flags(flags, line),
        privilege=_one_of(privilege, vocabulary.PRIVILEGES, "privilege", line),
        sensitive=_one_of(sensitive, vocabulary.SENSITIVITIES, "sensitivity", line),
        condition=condition,
        **(fields | _read_facts(facts, encoding, line)),
    )
    _check(form)
    return form


def _one_of(word: str, known: dict[str, int], what: str, line: int) -> str:
    if word not in known:
        raise NotationError(line, f"unknown {what} '{word}'")
    return word


def _read_syntax(syntax: str, line: int) -> tuple[str, tuple[str, ...]]:
    mnemonic, _, rest = syntax.partition(" ")
    if not re.fullmatch(r"[A-Z][A-Z0-9]*", mnemonic):
        raise NotationError(line, f"'{mnemonic}' is not a mnemonic")
    words = tuple(word.strip() for word in rest.split(",")) if rest.strip() else ()
    for word in words:
        if word not in kinds.WORDS:
            raise NotationError(line, f"unknown operand word '{word}'")
    return mnemonic, words


def _read_access(text: str, words: tuple[str, ...], line: int) -> tuple[int, ...]:
    tokens = text.split()
    for token in tokens:
        if token not in vocabulary.ACCESS:
            raise NotationError(line, f"unknown access '{token}'")
    if len(tokens) != len(words):
        raise NotationError(line, f"{len(words)} operands but {len(tokens)} access words")
    return tuple(vocabulary.ACCESS[token] for token in tokens)


def _read_flags(text: str, line: int) -> dict[str, int]:
    """EFLAGS masks by class; a flag belongs to at most one of w, 0, 1 and u."""
    masks: dict[str, int] = {}
    results = 0
    for token in text.split():
        kind, _, letters = token.partition("=")
        if kind not in ("r", "w", "0", "1", "u") or not letters or kind in masks:
            raise NotationError(line, f"cannot read '{token}' in the flags column")
        mask = 0
        for letter in letters:
            bit = vocabulary.FLAG_BITS.get(letter, 0)
            if not bit:
                raise NotationError(line, f"unknown flag '{letter}'")
            if mask & bit:
                raise NotationError(line, f"flag '{letter}' is named twice in '{token}'")
            if kind != "r" and results & bit:
                raise NotationError(line, f"flag '{letter}' is in two classes")
            mask |= bit
        results |= 0 if kind == "r" else mask
        masks[kind] = mask
    return masks


def _read_encoding(text: str, line: int) -> Encoding:
    tokens = text.split()
    mandatory = operand_size = address_size = 0
    while tokens and tokens[0] in ("o16", "o32", "a16", "a32", "F3"):
        token = tokens.pop(0)
        if token == "F3":
            mandatory = 0xF3
        elif token[0] == "o":
            operand_size = int(token[1:])
        else:
            address_size = int(token[1:])
    if any(tokens.count(token) > 1 for token in tokens if token.startswith("/")):
        raise NotationError(line, "a ModRM word is repeated")
    codes: list[int] = []
    plus = False
    while tokens and (match := re.fullmatch(r"([0-9A-F]{2})(\+r[bwd])?", tokens[0])):
        tokens.pop(0)
        codes.append(int(match[1], 16))
        if match[2]:
            plus = True
            break
    opcode, two_byte, fixed_modrm = _split_opcode(codes, line)
    digits: range | None = None
    has_modrm = fixed_modrm is not None
    if tokens and (match := re.fullmatch(r"/(?:(r)|([0-7])(?:-([0-7]))?)", tokens[0])):
        tokens.pop(0)
        if has_modrm:
            raise NotationError(line, "a ModRM word after a fixed ModRM byte")
        has_modrm = True
        if match[2]:
            digits = range(int(match[2]), int(match[3] or match[2]) + 1)
    for token in tokens:
        if token not in IMMEDIATE_WORDS:
            raise NotationError(line, f"cannot read '{token}' in the encoding")
    if plus and (has_modrm or opcode & 7):
        raise NotationError(line, "+r needs an opcode byte divisible by 8 and no ModRM")
    return Encoding(
        opcode=opcode,
        two_byte=two_byte,
        mandatory=mandatory,
        operand_size=operand_size,
        address_size=address_size,
        has_modrm=has_modrm,
        digits=digits,
        fixed_modrm=fixed_modrm,
        register_in_opcode=plus,
        immediates=tuple(tokens),
    )


def _split_opcode(codes: list[int], line: int) -> tuple[int, bool, int | None]:
    """Opcode byte, whether 0F comes before it, and the ModRM byte when it is fixed."""
    two_byte = codes[:1] == [0x0F]
    rest = codes[1:] if two_byte else codes
    if not 1 <= len(rest) <= 2:
        raise NotationError(line, "an opcode is one byte, or 0F and one byte, and a fixed ModRM")
    if not two_byte and rest[0] in PREFIX_BYTES:
        raise NotationError(line, f"{rest[0]:02X} is a prefix, not an opcode")
    fixed = rest[1] if len(rest) == 2 else None
    if fixed is not None and fixed < 0xC0:
        raise NotationError(line, f"fixed ModRM byte {fixed:02X} is not a register form")
    return rest[0], two_byte, fixed


def _kinds_of(words: tuple[str, ...], encoding: Encoding, line: int) -> tuple[int, ...]:
    """Operand kinds; the encoding decides where a plain `r32` is kept."""
    found = [kinds.WORDS[word] for word in words]
    in_opcode = {
        kinds.K_R8: kinds.K_OPREG8,
        kinds.K_R16: kinds.K_OPREG16,
        kinds.K_R32: kinds.K_OPREG32,
    }
    if encoding.register_in_opcode:
        found = [in_opcode.get(kind, kind) for kind in found]
    if kinds.K_CR in found or kinds.K_DR in found:
        found = [kinds.K_RMR32 if kind == kinds.K_R32 else kind for kind in found]
    if "ibs" in encoding.immediates:
        found = [kinds.K_IMM8S if kind == kinds.K_IMM8 else kind for kind in found]
    in_reg = [kind for kind in found if kind in kinds.IN_REG_FIELD]
    in_rm = [kind for kind in found if kind in kinds.IN_RM_FIELD]
    open_reg = encoding.has_modrm and encoding.digits is None and encoding.fixed_modrm is None
    if len(in_reg) != int(open_reg):
        raise NotationError(line, "/r and an operand in ModRM.reg go together")
    if len(in_rm) != int(encoding.has_modrm and encoding.fixed_modrm is None):
        raise NotationError(line, "a ModRM word and an operand in ModRM.rm go together")
    if encoding.register_in_opcode != any(kind in kinds.IN_OPCODE for kind in found):
        raise NotationError(line, "+r and a register operand go together")
    expected = tuple(KIND_IMMEDIATE[kind] for kind in found if kind in KIND_IMMEDIATE)
    if expected != encoding.immediates:
        raise NotationError(line, f"operands need '{' '.join(expected)}' in the encoding")
    return tuple(found)


def _data_bits(found: tuple[int, ...], encoding: Encoding) -> int:
    """Bits of data the form works on: its operand-size word, else its widest plain operand."""
    if encoding.operand_size:
        return encoding.operand_size
    sizes = [kinds.KIND_BITS[kind] for kind in found if kind not in CONTROL_KINDS]
    return max((bits for bits in sizes if bits in (8, 16, 32)), default=0)


def _read_facts(text: str, encoding: Encoding, line: int) -> dict[str, Any]:
    """The fields of a Form that the facts column sets."""
    fields: dict[str, Any] = {}
    seen: set[str] = set()
    for token in text.split():
        key, _, value = token.partition("=")
        if key in seen:
            raise NotationError(line, f"fact '{key}' is given twice")
        seen.add(key)
        fields |= _read_fact(key, value, encoding, line)
    return fields


def _read_fact(key: str, value: str, encoding: Encoding, line: int) -> dict[str, Any]:
    if key in FACT_SWITCHES and not value:
        return {FACT_SWITCHES[key]: True}
    if key in ("rep", "repcc") and not value:
        return {"repeat": key}
    match key:
        case "exit":
            reason, _, always = value.partition(":")
            _one_of(reason, vocabulary.EXIT_REASONS, "exit reason", line)
            if always not in ("", "always"):
                raise NotationError(line, f"unknown exit rule '{always}'")
            return {"exit": reason, "exit_always": always == "always"}
        case "flow":
            return {"flow": _one_of(value, vocabulary.FLOWS, "flow", line)}
        case "impl":
            return {"implicit": _read_implicit(value, line)}
        case "faults":
            names = tuple(value.split(","))
            for name in names:
                if name not in vocabulary.FAULTS:
                    raise NotationError(line, f"unknown fault '{name}'")
            return {"faults": names}
        case "cpu":
            if value not in vocabulary.PROCESSORS:
                raise NotationError(line, f"unknown processor '{value}'")
            return {"processor": value}
        case "feature":
            _one_of(value, vocabulary.FEATURES, "feature", line)
            return {"feature": value}
        case "op":
            if not re.fullmatch(r"[A-Z][A-Z0-9_]*", value):
                raise NotationError(line, f"'{value}' is not an operation name")
            return {"operation": value}
        case "size":
            if value not in ("8", "16", "32"):
                raise NotationError(line, f"unknown size '{value}'")
            return {"data_bits": int(value)}
        case "except":
            codes = frozenset(int(code, 16) for code in value.split(","))
            if not codes < set(encoding.opcodes()) or not encoding.register_in_opcode:
                raise NotationError(line, "except= names opcodes outside the +r range")
            return {"encoding": replace(encoding, excluded=codes)}
        case _:
            raise NotationError(line, f"unknown fact '{key}'")


def _read_implicit(text: str, line: int) -> tuple[tuple[str, int], ...]:
    operands = []
    for token in text.split(","):
        name, _, access = token.partition(":")
        if name not in vocabulary.IMPLICIT:
            raise NotationError(line, f"unknown implicit operand '{name}'")
        if vocabulary.ACCESS.get(access, 0) == 0:
            raise NotationError(line, f"unknown access '{access}' of implicit operand '{name}'")
        operands.append((name, vocabulary.ACCESS[access]))
    return tuple(operands)


def _check(form: Form) -> None:
    """Refuse what is readable but contradicts itself."""
    line = form.line
    writable_memory = False
    for kind, access in zip(form.kinds, form.access, strict=True):
        constant = kind in kinds.IMMEDIATE | kinds.RELATIVE | kinds.FAR_POINTER | {kinds.K_ONE}
        if constant and access != vocabulary.ACCESS_READ:
            raise NotationError(line, "a constant operand is read, nothing else")
        if kind == kinds.K_M and access:
            raise NotationError(line, "operand m is an address: its access is '-'")
        if kind in kinds.IN_RM_FIELD and access & vocabulary.ACCESS_WRITE:
            writable_memory = writable_memory or kind != kinds.K_RMR32
        _check_size(form, kind)
    if form.lockable and not writable_memory:
        raise NotationError(line, "lock needs a memory operand that is written")
    if form.far and not form.flow:
        raise NotationError(line, "far needs a flow")
    if form.repeat and (form.kinds or form.encoding.has_modrm):
        raise NotationError(line, "rep is for string instructions, which have no operands")
    if form.condition >= 0 and "r" not in form.flags:
        raise NotationError(line, "a condition reads flags: r=cc is missing")
    if form.processor == "P5" and not form.feature:
        raise NotationError(line, "what came with the Pentium has a feature of its own: name it")
    if form.privilege == "cpl0" and not form.sensitive:
        raise NotationError(line, "what only CPL 0 may do is sensitive: name the class")


def _check_size(form: Form, kind: int) -> None:
    """An operand as wide as the operand size must agree with the o16 or o32 word."""
    sized = kinds.REGISTER_OR_MEMORY | kinds.IN_OPCODE | kinds.MEMORY_OFFSET
    sized |= {kinds.K_R16, kinds.K_R32, kinds.K_AX, kinds.K_EAX}
    required = form.encoding.operand_size
    bits = kinds.KIND_BITS[kind]
    if kind in sized and bits > required > 0:
        raise NotationError(form.line, f"a {bits}-bit operand in an o{required} form")


def _name_forms(forms: list[Form]) -> tuple[Form, ...]:
    """Give every form its number and a unique name.

    The name is the syntax; forms with equal syntax add the operand size, and encodings that
    exist for decoding only add their opcode.
    """
    names = [_base_name(form) for form in forms]
    real = Counter(name for name, form in zip(names, forms, strict=True) if not form.decode_only)
    named: list[Form] = []
    lines: dict[str, int] = {}
    for number, (form, base) in enumerate(zip(forms, names, strict=True)):
        name = base
        if real[base] > 1 and form.encoding.operand_size:
            name += f"_o{form.encoding.operand_size}"
        if real[base] > 1 and form.encoding.address_size:
            name += f"_a{form.encoding.address_size}"
        if form.decode_only:
            digits = form.encoding.digits
            name += f"_{'0F' if form.encoding.two_byte else ''}{form.encoding.opcode:02X}"
            name += f"_{digits.start}" if digits else ""
        if name in lines:
            raise NotationError(form.line, f"same syntax and sizes as line {lines[name]}")
        lines[name] = form.line
        named.append(replace(form, number=number, name=name))
    return tuple(named)


def _base_name(form: Form) -> str:
    words = {"CR0-CR7": "CR", "DR0-DR7": "DR"}
    parts = [
        words.get(word, word).replace("/", "").replace(":", "_").replace("&", "and")
        for word in form.words
    ]
    return "_".join([form.mnemonic, *parts])
