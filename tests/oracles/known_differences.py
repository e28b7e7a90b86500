"""Where Unicorn departs from the manual: what the comparisons leave out, and why.

Each entry is repeated with the section of the manual in docs/quirks.md, "Oracle differences", and
what our processor does there is tested by itself in tests/isa/test_execute.py.
"""

from __future__ import annotations

from isa.registers import ECX, EFLAGS_STATUS
from tests.oracles.instruction_cases import Case

# Undocumented encodings that every processor executes and Unicorn refuses.
_UNDEFINED_IN_UNICORN = frozenset(
    {"TEST_rm8_imm8_F6_1", "TEST_rm16_imm16_F7_1", "TEST_rm32_imm32_F7_1"}
)


def is_left_out(case: Case) -> bool:
    """True if Unicorn is known to do something else altogether."""
    name, code = case.form.name, case.code
    if name in _UNDEFINED_IN_UNICORN:
        return True
    if name.startswith("NOP_") and "0F18" in name:
        return case.memory is None  # 0F 18 with a register is a no-operation, not undefined
    if name.startswith("RET_imm16"):
        return code[-1] >= 0x80  # Unicorn sign-extends the number of bytes to release
    return False


def ignored_flags(case: Case) -> int:
    """Flags that Unicorn gets wrong: those of LOCK NEG follow the old value."""
    prefixes = case.code[:-1].split(b"\xf6")[0].split(b"\xf7")[0]
    return EFLAGS_STATUS if case.form.operation == "NEG" and 0xF0 in prefixes else 0


def ignored_register_bits(case: Case, number: int) -> int:
    """Bits of a register that Unicorn gets wrong.

    ENTER with 32-bit operands on a 16-bit stack loads all of EBP; Unicorn loads BP.
    """
    on_16_bit_stack = case.bits == 16 and case.form.name == "ENTER_imm16_imm8_o32"
    return 0xFFFF0000 if on_16_bit_stack and number == 5 else 0


def leaves_old_flags(case: Case) -> bool:
    """Whether instructions that Unicorn translates together with this one may see older flags.

    LOOPE and LOOPNE whose count runs out: the flags that were to be worked out for the condition
    never are.
    """
    return case.form.operation in ("LOOPE", "LOOPNE") and case.registers[ECX] & 0xFFFF == 1
