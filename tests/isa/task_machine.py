"""A machine with a second task: the TSS of the standard machine is current, another one waits.

The other task's TSS lies at 0x5000 and is described by OTHER, with segments of its own: OTHER_CODE,
OTHER_STACK, OTHER_DATA in the GDT, and an LDT at 0x6000 described by OTHER_LDT. GATE is a task gate
to it in the GDT, VECTOR one in the IDT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from isa import state
from isa import workspace as w
from isa.events import EXTERNAL, HARDWARE
from isa.modes import refresh
from isa.registers import LDTR, TR
from tests.isa.protected_machine import (
    CODE_RX,
    DATA_RW,
    FREE,
    GDT,
    LDT_TYPE,
    TASK,
    TSS,
    TSS16,
    TSS16_BUSY,
    TSS32,
    TSS32_BUSY,
    TSS_SELECTOR,
    ProtectedMachine,
    descriptor,
    gate,
)

OTHER_TSS, OTHER_LDT_BASE = 0x5000, 0x6000
OTHER, GATE, OTHER_LDT, OTHER_CODE, OTHER_STACK, OTHER_DATA, OTHER_TSS_LDT = range(
    FREE, FREE + 7 * 8, 8
)
VECTOR = 0x21
TARGET, OTHER_TOP = 0x11000, 0x22000
LAST = {4: 0x67, 2: 0x2B}
AVAILABLE = {4: TSS32, 2: TSS16}
BUSY = {4: TSS32_BUSY, 2: TSS16_BUSY}
NT, VM, TS = 1 << 14, 1 << 17, 1 << 3

GENERAL: Final = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
SELECTORS: Final = ("es", "cs", "ss", "ds", "fs", "gs")
FIELDS: Final = ("eip", "eflags", *GENERAL, *SELECTORS)


def layout(size: int) -> dict[str, tuple[int, int]]:
    """Offset and bytes of the fields of a TSS that a switch uses."""
    if size == 2:
        names = ("eip", "eflags", *GENERAL, *SELECTORS[:4], "ldt")
        return {"link": (0, 2)} | {name: (0x0E + 2 * n, 2) for n, name in enumerate(names)}
    fields = {"link": (0, 2), "cr3": (0x1C, 4), "trap": (0x64, 2), "ldt": (0x60, 2)}
    fields |= {name: (0x20 + 4 * n, 4) for n, name in enumerate(("eip", "eflags", *GENERAL))}
    return fields | {name: (0x48 + 4 * n, 2) for n, name in enumerate(SELECTORS)}


class TaskMachine(ProtectedMachine):
    """Two tasks, of which the first runs.

    Args:
        old, new: bytes of a field of the TSS, 4 or 2.
        level: privilege level of the task that runs.
        new_level: of the other one, by its CS, SS and descriptors.
    """

    def __init__(self, old: int = 4, new: int = 4, level: int = 0, new_level: int = 0) -> None:
        super().__init__()
        self.old, self.new = old, new
        # Selector 0 must never be looked at: what is there would do as anything.
        self.describe(0, descriptor(OTHER_TSS, LAST[new], AVAILABLE[new], big=0, pages=0))
        kind = BUSY[old]
        self.describe(TSS_SELECTOR, descriptor(TSS, LAST[old], kind, big=0, pages=0, accessed=0))
        self.fill(TR, TSS_SELECTOR)
        kind = AVAILABLE[new]
        self.describe(OTHER, descriptor(OTHER_TSS, LAST[new], kind, big=0, pages=0))
        self.describe(GATE, gate(OTHER, 0xDEAD, TASK))
        self.describe(OTHER_LDT, descriptor(OTHER_LDT_BASE, 0xFF, LDT_TYPE, big=0, pages=0))
        self.describe(OTHER_CODE, descriptor(kind=CODE_RX, dpl=new_level))
        self.describe(OTHER_STACK, descriptor(kind=DATA_RW, dpl=new_level))
        self.describe(OTHER_DATA, descriptor(kind=DATA_RW, dpl=new_level))
        self.gate(VECTOR, gate(OTHER, 0xDEAD, TASK, 3))
        self.set_level(level)
        rpl = new_level
        self.write_tss(
            OTHER_TSS,
            new,
            {"eip": TARGET, "eflags": 2, "esp": OTHER_TOP, "cs": OTHER_CODE | rpl}
            | {"ss": OTHER_STACK | rpl, "ds": OTHER_DATA | rpl, "es": OTHER_DATA | rpl},
        )
        self.core[w.LIMIT_TOTAL], self.core[w.BUDGET], self.core[w.LEFT] = 100, 50, 10

    def write_tss(self, base: int, size: int, fields: Mapping[str, int]) -> None:
        places = layout(size)
        for name, value in fields.items():
            at, length = places[name]
            self.poke(base + at, value, length)

    def read_tss(self, base: int, size: int) -> dict[str, int]:
        return {name: self.peek(base + at, n) for name, (at, n) in layout(size).items()}

    def registers(self) -> dict[str, int]:
        """What a TSS can hold, as the processor has it."""
        found = {"eip": self.eip, "eflags": self.eflags}
        found |= {name: int(self.cpu[state.GPR + n]) for n, name in enumerate(GENERAL)}
        found |= {name: self.selector(n) for n, name in enumerate(SELECTORS)}
        return found | {"ldt": self.selector(LDTR)}

    def load(self, registers: Mapping[str, int]) -> None:
        """General registers and EFLAGS."""
        for number, name in enumerate(GENERAL):
            self.cpu[state.GPR + number] = registers[name]
        self.eflags = registers["eflags"]
        refresh(self.cpu, self.core)

    def nest(self, flags: int = NT) -> None:
        """Make the current task nested in the other one, as after a CALL from there."""
        self.write_tss(TSS, self.old, {"link": OTHER})
        self.set_type(OTHER, BUSY[self.new])
        self.eflags |= flags

    def set_type(self, selector: int, kind: int) -> None:
        """Change the type of a descriptor in the GDT."""
        at = GDT + selector + 5
        self.poke(at, self.peek(at, 1) & 0xE0 | kind, 1)

    def is_usable(self, segment: int) -> bool:
        return not int(self.cpu[state.ATTRIBUTES + segment]) & 1 << 16

    def switch(self, way: str) -> int:
        """Switch by `way`: JMP, CALL, their gates, INT, IRET, or an event; the status."""
        direct = {"JMP": OTHER, "CALL": OTHER, "JMP gate": GATE, "CALL gate": GATE}
        if way in direct:
            form = f"{way.split(maxsplit=1)[0]}_ptr16_32"
            return self.execute(form, immediate=0xDEAD, second=direct[way])
        if way == "IRET":
            self.nest()
            return self.execute("IRETD")
        if way == "INT":
            return self.execute("INT_imm8", immediate=VECTOR)
        return self.deliver(VECTOR, -1, EXTERNAL if way == "interrupt" else HARDWARE)


WAYS: Final[Sequence[str]] = (
    "JMP",
    "CALL",
    "JMP gate",
    "CALL gate",
    "INT",
    "IRET",
    "exception",
    "interrupt",
)
NESTING: Final = frozenset({"CALL", "CALL gate", "INT", "exception", "interrupt"})
EVENTS: Final = frozenset({"exception", "interrupt"})
