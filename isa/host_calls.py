"""Compiled functions as Python calls them: with arrays, where compiled code passes pointers.

Software that owns the machine and is written in Python executes some instructions as calls; each
is a bridge of one line, so that what is behind it is compiled once, for both callers.
"""

from isa import codemap, control_registers, modes, paging, segmentation
from isa.jit import jit, pointer
from isa.state import State
from isa.workspace import Bytes, Workspace


@jit
def refresh(cpu: State, core: Workspace) -> None:
    """isa.modes.refresh."""
    modes.refresh(pointer(cpu), pointer(core))


@jit
def code_written(core: Workspace, marks: Bytes, address: int, size: int) -> None:
    """isa.codemap.code_written."""
    codemap.code_written(pointer(core), pointer(marks), address, size)


@jit
def write_cr0(cpu: State, core: Workspace, ram: Bytes, value: int) -> int:
    """MOV CR0."""
    return control_registers.write_cr0(pointer(cpu), pointer(core), pointer(ram), value)


@jit
def write_cr3(cpu: State, core: Workspace, ram: Bytes, value: int) -> int:
    """MOV CR3."""
    return control_registers.write_cr3(pointer(cpu), pointer(core), pointer(ram), value)


@jit
def write_cr4(cpu: State, core: Workspace, ram: Bytes, value: int) -> int:
    """MOV CR4."""
    return control_registers.write_cr4(pointer(cpu), pointer(core), pointer(ram), value)


@jit
def invalidate(_cpu: State, core: Workspace, gva: int) -> int:
    """INVLPG."""
    paging.invalidate(pointer(core), gva)
    return 0


@jit
def flush_tlb(core: Workspace) -> None:
    """isa.paging.flush_tlb."""
    paging.flush_tlb(pointer(core))


@jit
def load_ldtr(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, selector: int) -> int:
    """LLDT."""
    return segmentation.load_ldtr(
        pointer(cpu), pointer(core), pointer(ram), pointer(marks), selector
    )


@jit
def load_tr(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, selector: int) -> int:
    """LTR."""
    return segmentation.load_tr(pointer(cpu), pointer(core), pointer(ram), pointer(marks), selector)


@jit
def load_data_segment(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, segment: int, selector: int
) -> int:
    """MOV to a segment register."""
    return segmentation.load_data_segment(
        pointer(cpu), pointer(core), pointer(ram), pointer(marks), segment, selector
    )
