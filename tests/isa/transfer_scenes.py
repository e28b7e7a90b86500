"""What tests of far transfers, returns and events share: stacks, selectors, and scenes of returns.

RETF and IRET judge the code segment and the outer stack alike, so the scene of a return and what
the manual says about it are here; what is popped besides is each test's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from hypothesis import strategies as st

from isa import state, vectors
from isa.registers import ESP, SS
from tests.isa.protected_machine import (
    CALL32,
    CODES,
    DATA_RO,
    DATA_RW,
    FREE,
    INT32,
    TRAP32,
    ProtectedMachine,
    descriptor,
    gate,
)

TARGET = 0x11000
CODE_SLOT, GATE_SLOT, STACK_SLOT = FREE, FREE + 8, FREE + 16
LEVEL = st.integers(0, 3)


def mostly(value: Any, *others: Any) -> st.SearchStrategy[Any]:
    """The value in most cases, and now and then another one."""
    return st.sampled_from((value,) * 5 + others)


def frame(machine: ProtectedMachine, words: int, size: int = 4) -> list[int]:
    """The words on top of the stack."""
    base = int(machine.cpu[state.BASE + SS])
    return [machine.peek(base + machine.esp + size * slot, size) for slot in range(words)]


def push_frame(machine: ProtectedMachine, words: list[int], size: int = 4) -> None:
    """Put words on the stack, the first on top."""
    machine.cpu[state.GPR + ESP] -= size * len(words)
    base = int(machine.cpu[state.BASE + SS])
    for slot, word in enumerate(words):
        machine.poke(base + machine.esp + size * slot, word, size)


def transfer(machine: ProtectedMachine, name: str, selector: int, offset: int, size: int) -> int:
    """A direct far JMP or CALL."""
    form = f"{name}_ptr16_{8 * size}"
    return machine.execute(form, immediate=offset, second=selector)


def selector_of(word: str, slot: int, rpl: int) -> int:
    """A selector by what is the matter with it; the table must end before 0x1F0."""
    return {"null": rpl, "outside": 0x1F0 | rpl, "fine": slot | rpl}[word]


def flat_machine(level: int = 3) -> ProtectedMachine:
    """Gates for all exceptions and 0x80, each with a handler of its own at TARGET + vector."""
    machine = ProtectedMachine()
    for vector in range(32):
        machine.gate(vector, gate(CODES[0], TARGET + vector, INT32))
    machine.gate(0x80, gate(CODES[0], TARGET + 0x80, TRAP32, 3))
    machine.set_level(level)
    return machine


# --- returns ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Return:
    """The segments a far return or IRET finds on the stack; the stack segment if it goes out."""

    size: int
    cpl: int
    selector: str  # "null", "outside" or "fine"
    rpl: int
    kind: int
    dpl: int
    present: int
    stack: str
    stack_rpl: int
    stack_dpl: int
    stack_kind: int
    stack_present: int
    reachable: bool

    @property
    def goes_out(self) -> bool:
        return self.rpl > self.cpl

    @property
    def offset(self) -> int:
        return TARGET if self.size == 4 else TARGET & 0xFFFF

    @property
    def code_selector(self) -> int:
        return selector_of(self.selector, CODE_SLOT, self.rpl)

    @property
    def stack_selector(self) -> int:
        return selector_of(self.stack, STACK_SLOT, self.stack_rpl)


@st.composite
def returns(draw: st.DrawFn) -> Return:
    """Returns that lean towards being legal."""
    cpl = draw(LEVEL)
    rpl = draw(st.integers(cpl, 3)) if draw(mostly(True, False)) else draw(LEVEL)
    return Return(
        size=draw(st.sampled_from((2, 4))),
        cpl=cpl,
        selector=draw(mostly("fine", "null", "outside")),
        rpl=rpl,
        kind=draw(mostly(0x1A, 0x18, 0x1C, 0x1E, 0x12, CALL32)),
        dpl=draw(mostly(rpl, 0, 1, 2, 3)),
        present=draw(mostly(1, 0)),
        stack=draw(mostly("fine", "null", "outside")),
        stack_rpl=draw(mostly(rpl, 0, 3)),
        stack_dpl=draw(mostly(rpl, 0, 3)),
        stack_kind=draw(mostly(DATA_RW, DATA_RO, 0x1A)),
        stack_present=draw(mostly(1, 0)),
        reachable=draw(mostly(True, False)),
    )


def every_return(kind: int) -> Iterator[Return]:
    """A code segment of one type at every combination of privilege levels; the stack fits."""
    for size, cpl, rpl, dpl, present in product((2, 4), *[range(4)] * 3, (0, 1)):
        yield Return(size, cpl, "fine", rpl, kind, dpl, present, "fine", rpl, rpl, DATA_RW, 1, True)


def every_outer_stack() -> Iterator[Return]:
    """A return from ring 0 to ring 2 with every stack segment there can be."""
    kinds = (DATA_RW, DATA_RO, 0x1A, CALL32)
    for size, rpl, dpl, kind, present in product((2, 4), range(4), range(4), kinds, (0, 1)):
        yield Return(size, 0, "fine", 2, 0x1A, 2, 1, "fine", rpl, dpl, kind, present, True)
    for stack in ("null", "outside"):
        yield Return(4, 0, "fine", 2, 0x1A, 2, 1, stack, 2, 2, DATA_RW, 1, True)


def expected_return(case: Return) -> tuple[int, int] | None:
    """SDM vol. 2, the Operation sections of "RET" (far, protected mode) and "IRET"."""
    if case.selector == "null":
        return vectors.GP, 0
    code = case.code_selector & ~3
    if case.selector == "outside" or case.kind & 0x18 != 0x18 or case.rpl < case.cpl:
        return vectors.GP, code
    conforming = case.kind & 4
    if (conforming and case.dpl > case.rpl) or (not conforming and case.dpl != case.rpl):
        return vectors.GP, code
    if not case.present:
        return vectors.NP, code
    if case.goes_out:
        if case.stack == "null":
            return vectors.GP, 0
        stack = case.stack_selector & ~3
        wrong_level = case.stack_rpl != case.rpl or case.stack_dpl != case.rpl
        if case.stack == "outside" or wrong_level or case.stack_kind != DATA_RW:
            return vectors.GP, stack
        if not case.stack_present:
            return vectors.SS, stack
    return None if case.reachable else (vectors.GP, 0)


def stage_return(case: Return) -> ProtectedMachine:
    """A machine at the level the return starts from, with both segments described."""
    machine = ProtectedMachine()
    machine.cpu[state.GDTR_LIMIT] = 0x1EF
    machine.set_level(case.cpl)
    limit = case.offset if case.reachable else case.offset - 1
    words = descriptor(0, limit, case.kind, case.dpl, present=case.present, pages=0, accessed=0)
    machine.describe(CODE_SLOT, words)
    words = descriptor(
        0, 0xFFFFF, case.stack_kind, case.stack_dpl, present=case.stack_present, accessed=0
    )
    machine.describe(STACK_SLOT, words)
    return machine
