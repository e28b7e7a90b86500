"""The interpreter's cold functions as tests call them: with arrays (see isa.host_calls)."""

from isa import events, ports, strings, system, transfers
from isa.jit import jit, pointer
from isa.state import State
from isa.workspace import Bytes, Workspace


@jit
def execute_port(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """IN and OUT."""
    return ports.execute_port(pointer(cpu), pointer(core), pointer(ram), pointer(marks), at)


@jit
def execute_string(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """String instructions."""
    return strings.execute_string(pointer(cpu), pointer(core), pointer(ram), pointer(marks), at)


@jit
def execute_system(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """System instructions."""
    return system.execute_system(pointer(cpu), pointer(core), pointer(ram), pointer(marks), at)


@jit
def execute_transfer(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """Far transfers."""
    return transfers.execute_transfer(pointer(cpu), pointer(core), pointer(ram), pointer(marks), at)


@jit
def deliver(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, vector: int, error: int, kind: int
) -> int:
    """Delivery of an event."""
    return events.deliver(
        pointer(cpu), pointer(core), pointer(ram), pointer(marks), vector, error, kind
    )
