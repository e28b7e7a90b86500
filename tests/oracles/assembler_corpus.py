"""Source for the comparison with NASM: single lines of every form, and random programs.

Everything here is the same in every run.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product

from isa import operand_kinds as kinds
from isa.mnemonics import forms_by_mnemonic
from isa.notation import Form
from isa.vocabulary import CONDITIONS
from tools.assembler.operands import SIZE_NAMES

REGISTERS = {
    8: ("al", "cl", "ah", "bl"),
    16: ("ax", "cx", "bp", "di"),
    32: ("eax", "ecx", "esp", "edi"),
}
MEMORY = (
    "[ebx]", "[0x1234]", "[ebp+esi*4-5]", "[esp+0x1000]", "[bx]", "[bp+si+5]", "[di+0x1234]",
)  # fmt: skip
NUMBERS = (
    "0", "1", "3", "5", "-1", "127", "-128", "128", "255", "0xffff", "0x1234", "-300",
    "0xffffffff", "0xffffff80", "0x12345678", "byte 5", "word 5", "dword 5", "strict byte 5",
    "strict word 5", "strict dword 5", "byte -1",
)  # fmt: skip
TARGETS = ("$", "$+2", "$+127", "$-100", "$+300", "short $", "near $")
FAR_TARGETS = ("8:0x1234", "word 8:0x1234", "dword 8:0x12345678")
OFFSETS = ("[0x1234]", "[word 0x1234]", "[dword 0x123456]", "[es:0x10]")
SEGMENTS = ("es", "ss", "ds", "fs", "gs", "cs")
LINES_PER_FORM = 12
# TRAPDOOR is not Intel's. NASM forgets the operand-size prefix of `retw 4`: not in our language.
LEFT_OUT = frozenset({"TRAPDOOR", "RETW"})


def _registers(kind: int) -> tuple[str, ...]:
    general = {kinds.K_R8, kinds.K_R16, kinds.K_R32, kinds.K_RMR32, *kinds.IN_OPCODE}
    if kind in general | kinds.REGISTER_OR_MEMORY - {kinds.K_R32M16}:
        return REGISTERS[kinds.KIND_BITS[kind]]
    return REGISTERS[32] if kind == kinds.K_R32M16 else ()


def _memory(kind: int) -> tuple[str, ...]:
    bits = kinds.KIND_BITS[kind] if kind <= kinds.K_M64 else 0
    word = f"{SIZE_NAMES[bits]} " if bits else ""
    if kind in (kinds.K_M16_16, kinds.K_M16_32):
        return (*MEMORY, *(f"far {text}" for text in MEMORY[:3]))
    return (*(word + text for text in MEMORY), *(MEMORY if bits else ()))


def spellings(kind: int, word: str) -> tuple[str, ...]:
    """How an operand of a kind may be written."""
    if kind in kinds.IMMEDIATE:
        return NUMBERS
    if kind in kinds.RELATIVE:
        return TARGETS
    if kind in kinds.FAR_POINTER:
        return FAR_TARGETS
    if kind in kinds.MEMORY_OFFSET:
        return OFFSETS
    if kind == kinds.K_SREG:
        return SEGMENTS
    if kind == kinds.K_CR:
        return ("cr0", "cr2", "cr3", "cr4")
    if kind == kinds.K_DR:
        return ("dr0", "dr1", "dr2", "dr3", "dr6", "dr7")
    in_memory = _memory(kind) if kind in kinds.IN_RM_FIELD - {kinds.K_RMR32} else ()
    return (*_registers(kind), *in_memory) or (word.lower(),)


def _lines_of(name: str, form: Form, choice: random.Random) -> Iterator[str]:
    operands = [spellings(kind, word) for kind, word in zip(form.kinds, form.words, strict=True)]
    combinations = list(product(*operands))
    if len(combinations) > LINES_PER_FORM:
        combinations = choice.sample(combinations, LINES_PER_FORM)
    for combination in combinations:
        yield f"{name.lower()} {', '.join(combination)}".strip()


def form_lines() -> list[str]:
    """Lines for every form under every name; not all of them are legal."""
    choice = random.Random(1)
    lines = [
        line
        for name, forms in forms_by_mnemonic().items()
        if name not in LEFT_OUT
        for form in forms
        for line in _lines_of(name, form, choice)
    ]
    return list(dict.fromkeys(lines))


BASES = ("eax", "ebx", "esp", "ebp", "esi")
BASES_16 = ("bx", "bp", "si", "di")
FACTORS = ("", "*1", "*2", "*3", "*4", "*5", "*8", "*9", "*6")
ENDINGS = ("", "+0", "+5", "-128", "+127", "+128", "-129")
ENDINGS_16 = ("", "+5", "+128", "-0x1000", "+bx", "+bp", "+si+1", "+di-200")
SUMS = (
    "{0}+{1}", "{0}*1+{1}", "{0}+{1}*1", "{0}*1+{1}*1", "{0}*2+{1}", "{0}+{1}*2", "{1}+4*{0}",
    "{0}*4+{1}+8", "2*{0}+5+{1}-5", "{0}+{1}-{0}", "{0}*2-{0}+{1}", "{0}+{1}+8+4", "8+{0}+{1}",
    "{0}+{1}+(3-3)",
)  # fmt: skip


def address_lines() -> list[str]:
    """Addresses in every spelling that changes their encoding."""
    lines = [
        "mov eax, es:[ebx]",
        "es mov eax, [ebx]",
        "mov eax, [fs:ebx+ecx*8]",
    ]
    for prefix in ("", "byte ", "dword ", "nosplit ", "es:"):
        single = map("".join, product(BASES, FACTORS, ENDINGS))
        double = (sums.format(*pair) for pair in product(BASES, BASES) for sums in SUMS)
        lines += [f"mov ecx, [{prefix}{address}]" for address in (*single, *double)]
        lines += [f"mov cx, [{prefix}{a}{b}]" for a, b in product(BASES_16, ENDINGS_16)]
        for number in ("0", "5", "0x1234", "-5"):
            lines += [f"mov ax, [{prefix}{number}]", f"mov [{prefix}{number}], al"]
    return lines


CONDITION_NAMES = tuple(name.lower() for name, _ in CONDITIONS)
GENERAL = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
PLAIN = (
    "nop", "cli", "ret", "pushad", "movsb", "rep movsd", "lgdt [eax]", "mov cr0, eax", "iret",
    "out 0x20, al", "in eax, dx", "int 0x80", "lock xchg [eax], ebx", "es lodsb",
)  # fmt: skip
EQU_VALUES = (0, 1, 2, 5, -1, 127, 128, 200, -128, -129, 30)


class _Program:
    """A random program whose sizes depend on symbols further down."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.labels = [f"L{number}" for number in range(self.random.randint(2, 25))]
        self.equs = [f"E{number}" for number in range(5)]
        self.has_sections = self.random.random() < 0.3

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)

    def number(self) -> str:
        """A number: known, an equ of a later line, a distance, an address."""
        kinds_of_number = [str(self.random.choice((0, 1, 5, -1, 127, 128, -129, 256, 1000)))]
        kinds_of_number += [self.pick(*self.equs), self.pick(*self.labels)]
        if not self.has_sections:
            kinds_of_number.append(f"{self.pick(*self.labels)}-{self.pick(*self.labels)}")
        return self.pick(*kinds_of_number)

    def address(self) -> str:
        """An address in memory."""
        base, label = self.pick(*GENERAL), self.pick(*self.labels)
        index = self.pick(*(name for name in GENERAL if name != "esp"))
        scale = self.pick("1", "2", "4", "8")
        return self.pick(
            f"[{base}]",
            f"[{base}+{self.number()}]",
            f"[{base}+{index}*{scale}+{self.number()}]",
            f"[{label}]",
            f"[{label}+{base}]",
            f"[bx+si+{self.pick(*self.equs)}]",
            f"[{index}*{self.pick('2', '3', '4', '5', '8', '9')}]",
        )

    def line(self) -> str:
        """A line of content."""
        label = self.pick(*self.labels)
        jump = f"j{self.pick(*CONDITION_NAMES)} {label}"
        section = ".text", ".data", ".more align=16", ".rodata"
        lines = [
            jump, jump, jump,
            f"jmp {self.pick('', '', 'near ', 'strict ')}{label}{self.pick('', '+1', '-3')}",
            f"call {label}",
            f"{self.pick('add', 'and', 'sub', 'cmp')} {self.pick(*GENERAL)}, {self.number()}",
            f"{self.pick('add', 'or', 'mov')} dword {self.address()}, {self.number()}",
            f"mov {self.pick(*GENERAL)}, {self.address()}",
            f"mov {self.address()}, {self.pick(*GENERAL)}",
            f"push {self.pick('', 'dword ', 'word ')}{self.pick(*self.equs)}",
            f"imul {self.pick(*GENERAL)}, {self.address()}, {self.pick(*self.equs)}",
            f"shl {self.pick(*GENERAL)}, {self.pick(*self.equs)}",
            f"times {self.pick('1', '3', '20', '60', '100', '126', '127')} nop",
            f"times {self.pick('1', '3')} {jump}",
            f"align {self.pick('2', '4', '8', '16')}",
            f"dd {self.number()}, $, $-$$",
            f"db 'text', {self.random.randint(0, 255)}",
            self.pick(*PLAIN),
        ]  # fmt: skip
        if self.has_sections:
            lines.append(f"section {self.pick(*section)}")
        return self.pick(*lines)

    def text(self) -> str:
        """The whole program."""
        count = self.random.randint(5, 120)
        lines = [f"bits {self.pick('16', '32')}"]
        if self.random.random() < 0.5:
            lines.append(f"org {self.pick('0', '0x100', '0x7c00', '0x1000')}")
        waiting = self.random.sample(self.labels, len(self.labels))
        for _ in range(count):
            while waiting and self.random.random() < 2 * len(waiting) / (count + 1):
                lines.append(f"{waiting.pop()}:")
            lines.append(self.line())
        lines += [f"{label}:" for label in waiting]
        lines += [f"{name} equ {self.random.choice(EQU_VALUES)}" for name in self.equs]
        return "\n".join(lines) + "\n"


def random_program(seed: int) -> str:
    """A program in which branches, immediates and displacements wait for symbols."""
    return _Program(seed).text()
