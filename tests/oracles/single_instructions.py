"""Runs many cases of each form on both machines and reports what differs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from random import Random

from isa.jit import ENABLED
from isa.notation import Form, load_table
from tests.case_count import count_case
from tests.oracles.instruction_cases import CaseMaker, in_scope
from tests.oracles.paired_machines import BASES, Pair

# Cases per form; an environment variable asks for more.
CASES = int(os.environ.get("TRAPGATE_ORACLE_CASES", "25" if ENABLED else "3"))
REPORTED = 10

_FAMILIES = {
    "arithmetic": "ADD OR ADC SBB AND SUB XOR CMP TEST INC DEC NOT NEG",
    "multiply_divide": "MUL IMUL1 DIV IDIV IMUL",
    "decimal": "DAA DAS AAA AAS AAM AAD CBW CWDE CWD CDQ",
    "shifts": "ROL ROR RCL RCR SHL SHR SAR SHLD SHRD",
    "bits": "BT BTS BTR BTC BSF BSR BSWAP SETCC",
    "exchange": "XCHG XADD CMPXCHG CMPXCHG8B",
    "moves": "MOV MOV_FROM_SREG MOVZX MOVSX CMOVCC LEA XLATB",
    "stack": "PUSH PUSH_SREG POP PUSHA POPA PUSHF ENTER LEAVE",
    "branches": "JCC JCXZ LOOPNE LOOPE LOOP JMP JMP_INDIRECT CALL CALL_INDIRECT RET",
    "strings": "MOVS CMPS STOS LODS SCAS",
    "flags": "CLC STC CMC CLD STD LAHF SAHF SALC",
    "rest": "BOUND INTO NOP PAUSE UD0 UD1 UD2",
}
_OPERATIONS = {name: frozenset(words.split()) for name, words in _FAMILIES.items()}
forms_of_family: dict[str, list[Form]] = {
    name: [form for form in load_table() if form.operation in operations]
    for name, operations in _OPERATIONS.items()
}
assert {form.name for form in load_table() if in_scope(form)} == {
    form.name for forms in forms_of_family.values() for form in forms
}, "every form in scope belongs to one family"


@cache
def pair(bits: int) -> Pair:
    return Pair(bits)


def check_forms(forms: list[Form], bits: int, seed: int) -> None:
    """Compare `CASES` cases of every form with Unicorn, each in both lanes of our processor."""
    machines = pair(bits)
    problems = run_forms(machines, forms, seed, CASES)
    assert not problems, "\n".join(problems)
    assert not machines.whole_memory_differs(), "memory outside the window was touched"


def run_forms(machines: Pair, forms: Iterable[Form], seed: int, cases: int) -> list[str]:
    """Compare cases of forms; what differs, cut off when it becomes much."""
    problems: list[str] = []
    for form in forms:
        rng = Random(f"{seed} {form.name}")
        maker = CaseMaker(rng, machines.bits, BASES[machines.bits])
        compared = tried = 0
        while compared < cases and tried < 4 * cases:
            tried += 1
            case = maker.make(form, machines.slot(rng))
            if not machines.is_left_out(case):
                compared += 1
                count_case()
                problems += machines.differences(case)
        if len(problems) > REPORTED:
            break
    return problems
