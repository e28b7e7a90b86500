"""The log of deliveries: which events the processor last took through the IDT, and where.

An instrument: nothing acts on it, and the guest cannot see it. It keeps the last LOG_ENTRIES; the
count of all of them goes on.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from isa import workspace as w
from isa.accounts import retired_total
from isa.jit import jit
from isa.registers import CS
from isa.state import CPL, CR2, EIP, SELECTOR, State
from isa.workspace import Workspace


@jit
def note_origin(cpu: State, core: Workspace) -> int:
    """Begin an entry with where the processor is; the entry's index."""
    entry = w.LOG + (core[w.LOGGED] & w.LOG_MASK) * w.LOG_WORDS
    core[entry + w.LOG_CS] = cpu[SELECTOR + CS]
    core[entry + w.LOG_EIP] = cpu[EIP]
    core[entry + w.LOG_CPL] = cpu[CPL]
    return entry  # type: ignore[no-any-return]


@jit
def note_delivery(
    cpu: State, core: Workspace, entry: int, vector: int, error: int, kind: int
) -> None:
    """Complete an entry: what was delivered in the end. The instructions are settled."""
    core[entry + w.LOG_VECTOR] = vector
    core[entry + w.LOG_ERROR] = error
    core[entry + w.LOG_KIND] = kind
    core[entry + w.LOG_CR2] = cpu[CR2]
    core[entry + w.LOG_RETIRED] = retired_total(cpu)
    core[w.LOGGED] += 1


@dataclass(frozen=True)
class Delivery:
    """One event that was delivered.

    Attributes:
        number: how many there were before it.
        vector: of the handler entered, which is #DF after two faults.
        error: its error code, or None.
        kind: HARDWARE, EXTERNAL, SOFTWARE or PRIVILEGED of isa.events.
        cs, eip, cpl: where the processor was.
        cr2: the page-fault address as it was when the handler was entered.
        retired: instructions retired when the handler was entered.
    """

    number: int
    vector: int
    error: int | None
    kind: int
    cs: int
    eip: int
    cpl: int
    cr2: int
    retired: int


def deliveries(core: Workspace, since: int = 0) -> Iterator[Delivery]:
    """The entries from number `since` on, as far as they are still there, oldest first."""
    count = int(core[w.LOGGED])
    for number in range(max(since, count - w.LOG_ENTRIES, 0), count):
        at = w.LOG + (number & w.LOG_MASK) * w.LOG_WORDS
        entry = [int(word) for word in core[at : at + w.LOG_WORDS]]
        error = entry[w.LOG_ERROR]
        yield Delivery(
            number=number,
            vector=entry[w.LOG_VECTOR],
            error=error if error >= 0 else None,
            kind=entry[w.LOG_KIND],
            cs=entry[w.LOG_CS],
            eip=entry[w.LOG_EIP],
            cpl=entry[w.LOG_CPL],
            cr2=entry[w.LOG_CR2],
            retired=entry[w.LOG_RETIRED],
        )
