"""Long sequences of task switches against a model: who runs, who is busy, who returns to whom.

Four tasks, of which each has a number in a register that only it changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from isa import vectors
from isa.events import EXTERNAL
from isa.records import TRANSFER, TROUBLED
from isa.registers import CS, EBX, TR
from isa.state import GPR
from tests.isa.protected_machine import (
    CODES,
    DATAS,
    FREE,
    STACKS,
    TASK,
    ProtectedMachine,
    descriptor,
    gate,
)
from tests.isa.task_machine import AVAILABLE, BUSY, LAST, NT, layout

TASKS = 4
EIP = 0x11000


def selector_of(task: int) -> int:
    return FREE + 8 * task


def tss_of(task: int) -> int:
    return 0x5000 + 0x100 * task


@dataclass
class Model:
    """What the manual says about tasks, without their contents."""

    current: int = 0
    busy: set[int] = field(default_factory=lambda: {0})
    link: dict[int, int] = field(default_factory=dict)
    nested: dict[int, bool] = field(default_factory=lambda: dict.fromkeys(range(TASKS), False))

    def enter(self, task: int, *, nesting: bool) -> tuple[int, int] | None:
        """JMP or CALL: the fault, or None."""
        if task in self.busy:
            return vectors.GP, selector_of(task)
        if nesting:
            self.link[task] = self.current
            self.nested[task] = True
        else:
            self.busy.remove(self.current)
        self.busy.add(task)
        self.current = task
        return None

    def leave(self) -> tuple[int, int] | None:
        """IRET of a nested task."""
        task = self.link[self.current]
        if task not in self.busy:
            return vectors.TS, selector_of(task)
        self.nested[self.current] = False
        self.busy.discard(self.current)
        self.current = task
        return None


class Machine(ProtectedMachine):
    """The standard machine running task 0 of four."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.sizes = sizes
        for task, size in enumerate(sizes):
            kind = BUSY[size] if task == 0 else AVAILABLE[size]
            words = descriptor(tss_of(task), LAST[size], kind, big=0, pages=0, accessed=0)
            self.describe(selector_of(task), words)
            self.gate(0x20 + task, gate(selector_of(task), 0, TASK))
            fields = {"eip": EIP, "eflags": 2, "ebx": task, "esp": 0x8000}
            fields |= {"cs": CODES[0], "ss": DATAS[0], "ds": DATAS[0], "es": DATAS[0]}
            for name, value in fields.items():
                at, length = layout(size)[name]
                self.poke(tss_of(task) + at, value, length)
        self.fill(TR, selector_of(0))
        self.cpu[GPR + EBX] = 0
        self.cpu[GPR + 4] = STACKS[0]

    def perform(self, way: str, task: int) -> int:
        if way == "IRET":
            return self.execute("IRETD")
        if way == "interrupt":
            return self.deliver(0x20 + task, -1, EXTERNAL)
        return self.execute(f"{way}_ptr16_32", second=selector_of(task))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("JMP", "CALL", "CALL", "interrupt", "IRET", "IRET")),
        st.integers(0, TASKS - 1),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=200)
@given(st.tuples(*[st.sampled_from((4, 2))] * TASKS), STEPS)
def test_tasks_follow_the_model(sizes: tuple[int, ...], steps: list[tuple[str, int]]) -> None:
    machine, model = Machine(sizes), Model()
    for way, task in steps:
        if way == "IRET":
            if not model.nested[model.current]:
                continue
            fault = model.leave()
        else:
            if way == "interrupt" and task in model.busy:
                continue  # its #GP has no handler here
            fault = model.enter(task, nesting=way != "JMP")
        status = machine.perform(way, task)
        assert status == (TRANSFER if fault is None else TROUBLED)
        assert fault is None or machine.trouble == fault
        running = model.current
        assert machine.selector(TR) == selector_of(running)
        assert machine.cpu[GPR + EBX] & 0xFFFF == running
        assert machine.selector(CS) == CODES[0]
        assert bool(machine.eflags & NT) == model.nested[running]
        for number, size in enumerate(sizes):
            kind = (BUSY if number in model.busy else AVAILABLE)[size]
            assert machine.descriptor_type(selector_of(number)) == kind
        if model.nested[running]:
            assert machine.peek(tss_of(running), 2) == selector_of(model.link[running])
