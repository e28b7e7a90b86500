"""The interpreter's cold functions as tests call them: with arrays (see isa.host_calls)."""

from isa import cold, events
from isa.jit import jit, pointer
from isa.state import State
from isa.workspace import Bytes, Workspace


@jit
def execute(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """One instruction by its record, in full generality."""
    return cold.cold(pointer(cpu), pointer(core), pointer(ram), pointer(marks), at)


@jit
def deliver(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, vector: int, error: int, kind: int
) -> int:
    """Delivery of an event."""
    return events.deliver(
        pointer(cpu), pointer(core), pointer(ram), pointer(marks), vector, error, kind
    )
