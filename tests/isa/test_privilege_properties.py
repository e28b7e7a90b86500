"""Every instruction with a privilege rule, in every mode and at every level: fault or effect."""

from __future__ import annotations

import pytest

from isa import workspace as w
from isa.generated import columns, forms
from isa.records import TROUBLED
from tests.isa.manual_privileges import (
    INSTRUCTIONS,
    OPERAND,
    PORT,
    VECTOR,
    contexts,
    ports,
    prepare,
)
from tests.isa.protected_machine import ProtectedMachine


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_the_rules_of_the_manual(name: str) -> None:
    instruction = INSTRUCTIONS[name]
    machine = ProtectedMachine()
    clean = machine.cpu.copy(), machine.ram.copy()
    for context in contexts(instruction):
        machine.cpu[:], machine.ram[:] = clean
        machine.core[w.BUDGET] = machine.core[w.LIMIT_TOTAL] = machine.core[w.COUNTED] = 0
        machine.core[w.POSTED_COUNT] = 0
        prepare(machine, context, name)
        fault = instruction.rule(context)
        fields: dict[str, int | None] = {
            "a": instruction.a,
            "b": instruction.b,
            "memory": OPERAND if instruction.is_memory else None,
            "immediate": PORT if instruction.rule is ports else VECTOR,
        }
        if fault is None:
            machine.execute(name, **fields)
            assert machine.trouble is None, (context, machine.trouble)
            instruction.effect(machine)
        else:
            with machine.unchanged():
                assert machine.execute(name, **fields) == TROUBLED, context
            assert machine.trouble == fault, context


def test_every_form_with_a_rule_is_here() -> None:
    ruled = {
        name
        for number, name in enumerate(forms.FORM_NAMES)
        if columns.PRIVILEGE[number] or columns.V86_IOPL[number] or columns.PM_ONLY[number]
    }
    assert ruled == set(INSTRUCTIONS)


def test_the_contexts_are_all_of_them() -> None:
    assert len(list(contexts(INSTRUCTIONS["STI"]))) == 22 * 4 * 2 * 2
