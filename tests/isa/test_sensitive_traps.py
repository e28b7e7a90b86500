"""A processor with TRAPS: what the table calls sensitive is #GP(0) above CPL 0, nothing else."""

from __future__ import annotations

import pytest

from isa import state, vectors
from isa.generated import columns, forms
from isa.records import TROUBLED
from isa.registers import EFLAGS_VM, FEATURE_TRAPS
from isa.specialise import HOT_MEMORY, HOT_REGISTER
from tests.isa.protected_machine import ProtectedMachine

SENSITIVE = [name for number, name in enumerate(forms.FORM_NAMES) if columns.SENSITIVE[number]]
GP0 = (vectors.GP, 0)


def machine_at(cpl: int, flags: int = 0, *, traps: bool = True) -> ProtectedMachine:
    machine = ProtectedMachine()
    machine.cpu[state.CPL] = cpl
    machine.cpu[state.EFLAGS] |= flags
    if traps:
        machine.cpu[state.FEATURES] |= FEATURE_TRAPS
    return machine


@pytest.mark.parametrize("name", SENSITIVE)
def test_the_sensitive_trap_before_anything_else_is_looked_at(name: str) -> None:
    for cpl, flags in ((1, 0), (2, 0), (3, 0), (3, 0x3000), (3, EFLAGS_VM | 0x3000)):
        machine = machine_at(cpl, flags)
        with machine.unchanged():
            assert machine.execute(name) == TROUBLED
        assert machine.trouble == GP0


@pytest.mark.parametrize("name", ["CLC", "CMC", "CBW", "LAHF"])
def test_the_innocuous_do_not(name: str) -> None:
    machine = machine_at(3)
    machine.execute(name)
    assert machine.trouble is None


@pytest.mark.parametrize("name", ["CLI", "PUSHFD", "MOV_r32_CR", "CPUID", "STR_r32m16"])
def test_ring_0_and_processors_without_it_know_nothing_of_it(name: str) -> None:
    machine = machine_at(0)
    machine.execute(name)
    assert machine.trouble is None
    machine = machine_at(3, 0x3000, traps=False)
    machine.execute(name)
    assert machine.trouble == (GP0 if name == "MOV_r32_CR" else None)


def test_no_sensitive_form_has_a_specialised_handler() -> None:
    """The check is made on the way to the cold functions."""
    for name in SENSITIVE:
        form = forms.FORM_NAMES.index(name)
        assert not HOT_REGISTER[form]
        assert not HOT_MEMORY[form]
