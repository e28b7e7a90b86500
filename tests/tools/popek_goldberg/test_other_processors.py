"""Processors that are not ours: broken ones change the verdict, artificial instructions are found.

A processor is what executes an instruction; these do something else for one opcode, and nobody
tells the experiment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from isa import state
from isa.cpu_models import load_model
from isa.exits import Exit
from isa.notation import load_table
from isa.processor import Processor
from isa.registers import CS, EAX, EFLAGS_IF, EFLAGS_IOPL, IOPL_SHIFT
from tools.popek_goldberg import survey as survey_module
from tools.popek_goldberg.classes import (
    BEHAVIOUR,
    CONTROL,
    INNOCUOUS,
    LOCATION,
    MODE,
    PRIVILEGED,
    USER,
)
from tools.popek_goldberg.experiment import run_one
from tools.popek_goldberg.operands import Context, make_contexts
from tools.popek_goldberg.survey import Result, survey

FORMS = {form.name: form for form in load_table()}
P6 = load_model("p6")
HLT = 0xF4
FEW = (0, 1, 2, 3, 8)  # contexts that are enough here: random values, selectors, flags, a frame


@pytest.fixture(autouse=True)
def few_contexts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain Python executes a thousand times slower."""

    def few(seed: int) -> list[Context]:
        contexts = make_contexts(seed)
        return [contexts[number] for number in FEW]

    monkeypatch.setattr(survey_module, "make_contexts", few)


@dataclass
class Other:
    """A processor that is a P6 but for one opcode, whose bytes begin with `opcode`.

    Attributes:
        act: does what this processor does instead; returns the exit.
        reg: ModRM.reg of the instruction, if it counts.
    """

    opcode: bytes
    act: Callable[[Processor, int], Exit]
    reg: int | None = None

    def __call__(self, processor: Processor) -> Exit:
        at = self.place(processor)
        code = bytes(processor.memory[at : at + 8]).lstrip(b"\x66")
        is_it = code.startswith(self.opcode)
        if is_it and self.reg is not None:
            is_it = code[len(self.opcode)] >> 3 & 7 == self.reg
        return self.act(processor, at) if is_it else run_one(processor)

    @staticmethod
    def place(processor: Processor) -> int:
        """Physical address of the instruction: page tables are where their code is."""
        frames = int(processor.cr3) & ~0xFFFF
        return frames + int(processor.cpu[state.BASE + CS]) + int(processor.eip)


def traps_outside_ring_0(processor: Processor, at: int) -> Exit:
    """As HLT does."""
    if processor.cpl:
        processor.memory[at] = HLT
    return run_one(processor)


def completes(processor: Processor, length: int) -> Exit:
    """One instruction retires, having done nothing more."""
    processor.eip += length
    return Exit.BUDGET


def seen(name: str, other: Other | None = None) -> Result:
    """The classes of one form on another processor, or on ours."""
    run = run_one if other is None else other
    return survey(P6, 1, forms=[FORMS[name]], run=run).results[0]


# --- broken processors -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("SMSW_rm16", Other(b"\x0f\x01", traps_outside_ring_0, 4)),
        ("POPFD", Other(b"\x9d", traps_outside_ring_0)),
        ("PUSH_CS_o32", Other(b"\x0e", traps_outside_ring_0)),
    ],
)
def test_what_traps_in_user_mode_is_not_critical_any_more(name, other):
    assert seen(name).critical
    found = seen(name, other)
    assert PRIVILEGED in found.classes
    assert USER not in found.classes
    assert found.rule == "cpl0"
    assert not found.critical
    assert found.witness is None


def test_a_privileged_instruction_that_forgets_to_test_cpl_is_critical():
    def as_supervisor(processor: Processor, _at: int) -> Exit:
        level = processor.cpl
        processor.cpl = 0
        reason = run_one(processor)
        processor.cpl = level
        return reason

    name = "LGDT_m16and32_o32"
    assert seen(name).classes == (PRIVILEGED, CONTROL, "supervisor-sensitive")
    found = seen(name, Other(b"\x0f\x01", as_supervisor, 2))
    assert found.critical
    assert {CONTROL, USER} <= set(found.classes)
    assert found.rule == ""
    assert found.witness is not None
    assert "GDTR" in found.witness.sentence
    assert found.witness.sentence.startswith("At CPL 3, `lgdt [0x5000]` completes and changes")


def test_doing_nothing_silently_is_not_a_trap():
    """Popek and Goldberg insist on that."""

    def ignored(processor: Processor, _at: int) -> Exit:
        iopl = (processor.eflags & EFLAGS_IOPL) >> IOPL_SHIFT
        return completes(processor, 1) if processor.cpl > iopl else run_one(processor)

    assert seen("CLI").rule == "iopl"
    assert MODE not in seen("CLI").classes
    found = seen("CLI", Other(b"\xfa", ignored))
    assert {CONTROL, MODE} <= set(found.classes)
    assert PRIVILEGED not in found.classes
    assert found.critical
    assert found.rule == ""


def test_a_silently_ignored_hlt_is_critical():
    def ignored(processor: Processor, _at: int) -> Exit:
        return completes(processor, 1) if processor.cpl else run_one(processor)

    assert PRIVILEGED in seen("HLT").classes
    found = seen("HLT", Other(b"\xf4", ignored))
    assert found.critical
    assert found.witness is not None
    assert "halted" in found.witness.sentence


# --- artificial sensitive instructions -------------------------------------------------------


def shows_cpl(processor: Processor, _at: int) -> Exit:
    reason = run_one(processor)
    processor.gpr[EAX] = processor.gpr[EAX] & ~0xFF | processor.cpl
    return reason


def shows_gdtr(processor: Processor, _at: int) -> Exit:
    processor.gpr[EAX] = processor.cpu[state.GDTR_BASE]
    return completes(processor, 1)


def clears_interrupts(processor: Processor, _at: int) -> Exit:
    reason = run_one(processor)
    processor.eflags &= ~EFLAGS_IF
    return reason


def shows_page_directory_if_odd(processor: Processor, _at: int) -> Exit:
    """Only with an odd number in CL, and only outside ring 0."""
    reason = run_one(processor)
    if processor.cpl and processor.gpr[1] & 1:
        processor.gpr[EAX] ^= processor.cr3
    return reason


@pytest.mark.parametrize(
    ("name", "other", "expected", "told"),
    [
        ("SALC", Other(b"\xd6", shows_cpl), {BEHAVIOUR, MODE}, "eax is"),
        ("UD2", Other(b"\x0f\x0b", shows_gdtr), {BEHAVIOUR, LOCATION, USER}, "on GDTR: eax"),
        ("CLC", Other(b"\xf8", clears_interrupts), {CONTROL, USER}, "changes IF to 0"),
        (
            "CBW",
            Other(b"\x98", shows_page_directory_if_odd),
            {BEHAVIOUR, LOCATION, MODE, USER},
            "eax is",
        ),
    ],
)
def test_an_artificial_sensitive_instruction_is_found(name, other, expected, told):
    assert seen(name).classes == (INNOCUOUS,)
    found = seen(name, other)
    assert expected <= set(found.classes)
    assert found.critical
    assert found.witness is not None
    assert told in found.witness.sentence


def test_one_such_instruction_decides_the_theorems():
    chosen = [FORMS["SALC"], FORMS["HLT"], FORMS["ADD_rm32_r32"]]
    assert all(t.holds for t in survey(P6, 1, forms=chosen).theorems)
    found = survey(P6, 1, forms=chosen, run=Other(b"\xd6", shows_cpl)).theorems
    verdicts = {theorem.name: theorem.holds for theorem in found}
    # Its result depends on the mode, which a hybrid monitor leaves as it is.
    assert verdicts == {
        "virtualizable": False,
        "recursively_virtualizable": False,
        "hybrid_virtualizable": True,
    }


# --- no hints --------------------------------------------------------------------------------


class Blind:
    """A form whose columns of privilege and sensitivity cannot be looked at."""

    def __init__(self, name: str) -> None:
        self.form = FORMS[name]

    def __getattr__(self, name: str) -> object:
        assert name not in ("privilege", "sensitive"), "the experiment looks at the answer"
        return getattr(self.form, name)


def test_the_answer_is_not_read():
    names = (
        "SGDT_m16and32_o32",
        "LGDT_m16and32_o32",
        "CLI",
        "ADD_rm8_r8",
        "IN_AL_DX",
        "LAR_r16_rm16",
    )
    blind = survey(P6, 1, forms=[Blind(name) for name in names])  # type: ignore[misc]
    assert blind == survey(P6, 1, forms=[FORMS[name] for name in names])
    assert [result.critical for result in blind.results] == [True, False, True, False, True, True]
