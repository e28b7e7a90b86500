"""Random sequences of instructions, made from the same cases as single ones.

What one instruction leaves behind is there for the next: registers, flags, memory. Registers that
an instruction needs for its address, count or stack are set by MOV before it. A flag that the
manual leaves undefined, or that the other machine is known to get wrong, is never read: a
comparison follows. Branches skip the instruction that follows; a fault ends the sequence.
"""

from __future__ import annotations

from collections.abc import Sequence as Elements
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from isa.disassembly import sweep
from isa.notation import Form, load_table
from isa.registers import ESP
from tests.case_count import count_case
from tests.oracles.instruction_cases import (
    STACK_PAGE,
    STATUS,
    CaseMaker,
    in_scope,
    number,
    undefined_flags,
    undefined_result,
)
from tests.oracles.paired_machines import BASES, Pair

if TYPE_CHECKING:
    from tests.oracles.sequence_pairs import SequencePair

COMPARE_AL = 0x3C  # CMP AL, imm8: defines all status flags
SKIPPED_AT_MOST = 127
LONGEST = 12
REPORTED = 5
BRANCHES = frozenset({"JCC", "LOOP", "LOOPE", "LOOPNE", "JCXZ"})
# Left to the tests of single instructions: they end a sequence always, or have no defined result.
_ENDS = "JMP JMP_INDIRECT CALL CALL_INDIRECT RET UD0 UD1 UD2 INTO"
_ENDING = frozenset(_ENDS.split())
# Flags that Unicorn lets later instructions of its translated block see too old.
_DEFINE_AFTER = frozenset({"CMPXCHG8B"})
FORMS = tuple(
    form
    for form in load_table()
    if in_scope(form)
    and form.operation not in _ENDING
    and (form.operation not in BRANCHES or form.encoding.immediates == ("cb",))
    and form.name not in ("BSWAP_r16", "ENTER_imm16_imm8_o32")
)
# What a program may not do, as bytes: CLI STI HLT, control registers, LGDT, CLTS, RDMSR, INVLPG.
PRIVILEGED = tuple(
    bytes.fromhex(code)
    for code in ("FA", "FB", "F4", "0F 20 C0", "0F 22 D8", "0F 01 16", "0F 06", "0F 32", "0F 01 3E")
)


@dataclass(frozen=True)
class Sequence:
    """Instructions one after the other, and the state before them."""

    bits: int
    address: int
    code: bytes
    registers: list[int]
    eflags: int

    @property
    def end(self) -> int:
        return self.address + len(self.code)

    def __str__(self) -> str:
        lines = [
            f"{address:x} {data.hex()} {text}"
            for address, data, text in sweep(self.code, self.bits, self.address)
        ]
        registers = " ".join(f"{value:08x}" for value in self.registers)
        return f"registers {registers}, eflags {self.eflags:#x}\n    " + "\n    ".join(lines)


Element = tuple[Form | bytes, int]  # a form or raw bytes, and the seed of its operands


def random_elements(rng: Random, count: int, privileged: bool) -> list[Element]:
    """What a sequence consists of, for runs that Hypothesis does not steer."""
    elements: list[Element] = []
    for _ in range(count):
        raw = privileged and rng.random() < 0.01
        chosen = rng.choice(PRIVILEGED) if raw else rng.choice(FORMS)
        elements.append((chosen, rng.getrandbits(32)))
    return elements


def make_sequence(pair: Pair, elements: Elements[Element], seed: int) -> Sequence:
    """Put a sequence together at the pair's next free address."""
    rng = Random(seed)
    chunks = [
        bytearray(chosen) if isinstance(chosen, bytes) else _chunk(pair, chosen, Random(operands))
        for chosen, operands in elements
    ]
    branches = [isinstance(chosen, Form) and chosen.operation in BRANCHES for chosen, _ in elements]
    for at, is_branch in enumerate(branches):
        if is_branch and chunks[at]:
            skipped = len(chunks[at + 1]) if at + 1 < len(chunks) else 0
            chunks[at][-1] = skipped if skipped <= SKIPPED_AT_MOST else 0
    code = bytes(b"".join(chunks))
    registers = [number(rng) for _ in range(8)]
    registers[ESP] = STACK_PAGE + 0x800
    eflags = 2 | sum(flag for flag in STATUS if rng.random() < 0.5)
    return Sequence(pair.bits, pair.place(len(code)), code, registers, eflags)


def _chunk(pair: Pair, form: Form, rng: Random) -> bytearray:
    """One instruction of a form with what it needs before and after it; empty if it is left out."""
    if form.operation in BRANCHES and form.encoding.operand_size == 16 < pair.bits:
        return bytearray()  # would leave the upper half of EIP behind
    maker = CaseMaker(rng, pair.bits, BASES[pair.bits])
    case = maker.make(form, 0)
    if pair.is_left_out(case) or undefined_result(case):
        return bytearray()
    undefined = undefined_flags(case) | pair.ignored_flags(case)
    needed = set(case.registers.used)
    if any(name == "stack" for name, _ in form.implicit):
        needed.add(ESP)
    code = bytearray()
    for register in sorted(needed):
        if pair.bits == 16:
            code.append(0x66)
        code.append(0xB8 + register)
        code += list.__getitem__(case.registers, register).to_bytes(4, "little")
    code += case.code
    if undefined or form.operation in _DEFINE_AFTER:
        code += bytes([COMPARE_AL, rng.getrandbits(8)])
    return code


def run_sequences(pair: SequencePair, instructions: int, seed: int) -> list[str]:
    """Run random sequences until a pair has executed as many instructions; what differs."""
    rng = Random(seed)
    problems: list[str] = []
    goal = pair.instructions + instructions
    while pair.instructions < goal and len(problems) < REPORTED:
        elements = random_elements(rng, rng.randint(1, LONGEST), pair.privileged)
        problems += pair.sequence_differences(make_sequence(pair, elements, rng.getrandbits(32)))
    count_case(pair.instructions - goal + instructions)
    return problems
