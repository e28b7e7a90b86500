"""Segments: the check of every data access, descriptors, and loads of segment registers.

The segment caches in the state (base, limit, attributes) are what accesses use; descriptors in
memory matter only at the moment of a load. Transfers of control, which load CS, and changes of
stack are checked in isa.privilege_levels.

Two choices where the SDM leaves room: an access that wraps around the end of a 4-GByte segment
faults, and a null selector marks a segment unusable but leaves its base and limit.

Source: SDM vol. 3A, "Protected-Mode Memory Management", "Limit Checking", "Type Checking",
"Privilege Levels"; vol. 2, the Operation sections of "MOV", "LLDT" and "LTR".
"""

from isa import vectors
from isa import workspace as w
from isa.accounts import charge, raise_fault
from isa.breakpoints import watch_data
from isa.jit import jit, load32
from isa.memory import probe_write, read_physical, translate, write_linear
from isa.modes import refresh
from isa.registers import (
    ATTR_ACCESSED,
    ATTR_CODE,
    ATTR_DB,
    ATTR_DPL_SHIFT,
    ATTR_EXPAND_DOWN,
    ATTR_G,
    ATTR_P,
    ATTR_S,
    ATTR_TYPE,
    ATTR_UNUSABLE,
    ATTR_WRITABLE,
    CR0_PE,
    EFLAGS_VM,
    LDTR,
    SS,
    TR,
)
from isa.state import (
    ATTRIBUTES,
    BASE,
    CPL,
    CR0,
    EFLAGS,
    GDTR_BASE,
    GDTR_LIMIT,
    LIMIT,
    SELECTOR,
    State,
)
from isa.workspace import Bytes, Workspace

M32 = 0xFFFFFFFF

# A descriptor in memory: (linear address, low doubleword, high doubleword).
Descriptor = tuple[int, int, int]
FAILED = -1  # in place of the address: a fault has been recorded
ABSENT = -2  # in place of the address: the selector points outside its table

INDEX_MASK = 0xFFFC  # a selector without its RPL: null if zero, and the form of error codes
SELECTOR_TI = 4  # the selector refers to the LDT

# System descriptor types, S = 0.
TYPE_TSS16 = 1
TYPE_LDT = 2
TYPE_CALL_GATE = 4  # of 16 bits; with TYPE_IS_32_BIT of 32
TYPE_TASK_GATE = 5
TYPE_TSS32 = 9
TYPE_IS_32_BIT = 8  # in the types of TSSs and gates
TYPE_BUSY = 2  # this bit makes an available TSS a busy one

ATTR_DPL = 3 << ATTR_DPL_SHIFT
ATTR_V86 = 0xF3  # a segment in virtual-8086 mode: data, writable, DPL 3
CONFORMING = ATTR_CODE | ATTR_EXPAND_DOWN  # of a code segment

_DATA_OR_READABLE = ATTR_CODE | ATTR_WRITABLE


# --- data accesses ---------------------------------------------------------------------------


@jit
def limit_allows(attributes: int, limit: int, first: int, last: int) -> int:
    """1 if the offsets `first` to `last` lie inside a segment; `last` may exceed 32 bits."""
    if attributes & (ATTR_CODE | ATTR_EXPAND_DOWN) == ATTR_EXPAND_DOWN:
        top = M32 if attributes & ATTR_DB else 0xFFFF
        return 1 if first > limit and last <= top else 0
    return 1 if last <= limit else 0


@jit
def type_allows(cpu: State, attributes: int, write: int) -> int:
    """1 if the type of a segment permits the access. Real mode has no types."""
    if not cpu[CR0] & CR0_PE:
        return 1
    if attributes & ATTR_UNUSABLE:
        return 0
    if write:
        return 1 if attributes & (ATTR_CODE | ATTR_WRITABLE) == ATTR_WRITABLE else 0
    return 1 if attributes & (ATTR_CODE | ATTR_WRITABLE) != ATTR_CODE else 0


@jit
def linear_address(
    cpu: State, core: Workspace, segment: int, offset: int, size: int, write: int
) -> int:
    """Linear address of a data access of `size` bytes; -1 after recording #GP(0) or #SS(0)."""
    attributes = cpu[ATTRIBUTES + segment]
    if type_allows(cpu, attributes, write) and limit_allows(
        attributes, cpu[LIMIT + segment], offset, offset + size - 1
    ):
        return (cpu[BASE + segment] + offset) & M32  # type: ignore[no-any-return]
    return raise_fault(core, vectors.SS if segment == SS else vectors.GP, 0)


@jit
def is_protected(cpu: State) -> int:
    """1 where selectors mean descriptors: protected mode, and not virtual-8086 mode."""
    return 1 if cpu[CR0] & CR0_PE and not cpu[EFLAGS] & EFLAGS_VM else 0


# --- descriptors -----------------------------------------------------------------------------


@jit
def attributes_of(high: int) -> int:
    """Attributes of a descriptor in the format of the segment caches."""
    return high >> 8 & 0xF0FF


@jit
def base_of(low: int, high: int) -> int:
    return low >> 16 & 0xFFFF | (high & 0xFF) << 16 | high & 0xFF000000


@jit
def limit_of(low: int, high: int) -> int:
    """Limit in bytes, granularity applied."""
    limit = low & 0xFFFF | high & 0xF0000
    return limit << 12 | 0xFFF if attributes_of(high) & ATTR_G else limit


@jit
def dpl_of(high: int) -> int:
    return high >> 13 & 3


@jit
def read_table(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, gva: int, size: int) -> int:
    """Read 1, 2 or 4 bytes of a system table as supervisor; -1 after recording a page fault.

    Tables are memory: addresses without RAM read as all ones, as paging structures do.
    """
    if core[w.BREAK_DATA]:
        watch_data(cpu, core, gva, size, 0)
    if (gva & 0xFFF) + size <= 4096:
        address = translate(cpu, core, ram, marks, gva, 0, 0)
        if address < 0:
            return -1
        if address + size <= core[w.RAM_BYTES]:
            return read_physical(core, ram, address, size)
        return (1 << size * 8) - 1
    value = 0
    for index in range(size):
        byte = translate(cpu, core, ram, marks, (gva + index) & M32, 0, 0)
        if byte < 0:
            return -1
        known = byte < core[w.RAM_BYTES]
        value |= (read_physical(core, ram, byte, 1) if known else 0xFF) << 8 * index
    return value


@jit
def read_pair(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, gva: int) -> tuple[int, int]:
    """Two doublewords of a system table; the first is -1 after a page fault."""
    if (gva & 0xFFF) + 8 <= 4096 and not core[w.BREAK_DATA]:
        address = translate(cpu, core, ram, marks, gva, 0, 0)
        if address < 0:
            return -1, 0
        if address + 8 <= core[w.RAM_BYTES]:
            return load32(ram, address), load32(ram, address + 4)
        return M32, M32
    low = read_table(cpu, core, ram, marks, gva, 4)
    if low < 0:
        return -1, 0
    high = read_table(cpu, core, ram, marks, (gva + 4) & M32, 4)
    if high < 0:
        return -1, 0
    return low, high


@jit
def find_descriptor(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, selector: int
) -> Descriptor:
    """The descriptor of a selector; FAILED or ABSENT in place of its address."""
    index = selector & 0xFFF8
    if selector & SELECTOR_TI:
        if cpu[ATTRIBUTES + LDTR] & ATTR_UNUSABLE or index + 7 > cpu[LIMIT + LDTR]:
            return ABSENT, 0, 0
        gva = (cpu[BASE + LDTR] + index) & M32
    else:
        if index + 7 > cpu[GDTR_LIMIT]:
            return ABSENT, 0, 0
        gva = (cpu[GDTR_BASE] + index) & M32
    low, high = read_pair(cpu, core, ram, marks, gva)
    if low < 0:
        return FAILED, 0, 0
    return gva, low, high


@jit
def read_descriptor(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, selector: int, vector: int
) -> Descriptor:
    """The descriptor of a selector; FAILED after trouble: `vector` if it is outside its table."""
    gva, low, high = find_descriptor(cpu, core, ram, marks, selector)
    if gva == ABSENT:
        selector_fault(core, vector, selector)
        return FAILED, 0, 0
    return gva, low, high


@jit
def selector_fault(core: Workspace, vector: int, selector: int) -> int:
    """Record a fault whose error code is a selector; always -1."""
    return raise_fault(core, vector, selector & INDEX_MASK)


@jit
def probe_accessed(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, gva: int, high: int
) -> int:
    """Check that the accessed bit of a descriptor can be set: 0, or -1 after recording a fault."""
    if high >> 8 & ATTR_ACCESSED:
        return 0
    return probe_write(cpu, core, ram, marks, (gva + 5) & M32, 1, 0)


@jit
def set_accessed(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, gva: int, high: int
) -> None:
    """Set the accessed bit of a descriptor in memory. Probed before, so it cannot fail."""
    if not high >> 8 & ATTR_ACCESSED:
        kind = high >> 8 & 0xFF | ATTR_ACCESSED
        write_linear(cpu, core, ram, marks, (gva + 5) & M32, 1, kind, 0)


@jit
def fill_cache(cpu: State, segment: int, selector: int, low: int, high: int) -> None:
    """Load a segment register and its cache from a code or data descriptor."""
    cpu[SELECTOR + segment] = selector
    cpu[BASE + segment] = base_of(low, high)
    cpu[LIMIT + segment] = limit_of(low, high)
    cpu[ATTRIBUTES + segment] = attributes_of(high) | ATTR_ACCESSED


@jit
def fill_real(cpu: State, segment: int, selector: int) -> None:
    """Load a segment register in real or virtual-8086 mode: the base is sixteen times the selector.

    Real mode keeps limit and attributes, whatever they were when protected mode was left.
    """
    cpu[SELECTOR + segment] = selector
    cpu[BASE + segment] = selector << 4
    if cpu[EFLAGS] & EFLAGS_VM:
        cpu[LIMIT + segment] = 0xFFFF
        cpu[ATTRIBUTES + segment] = ATTR_V86
    else:
        cpu[ATTRIBUTES + segment] &= ~ATTR_UNUSABLE


# --- loads of data segment registers ---------------------------------------------------------


@jit
def data_load_allowed(cpl: int, selector: int, attributes: int) -> int:
    """1 if DS, ES, FS or GS may be loaded: readable, and DPL not below CPL and RPL."""
    if not attributes & ATTR_S or attributes & _DATA_OR_READABLE == ATTR_CODE:
        return 0
    if attributes & CONFORMING == CONFORMING:
        return 1
    dpl = attributes >> ATTR_DPL_SHIFT & 3
    return 1 if dpl >= cpl and dpl >= selector & 3 else 0


@jit
def stack_load_allowed(level: int, selector: int, attributes: int) -> int:
    """1 if SS may be loaded for privilege level `level`: writable data, RPL and DPL equal to it."""
    writable_data = ATTR_S | ATTR_WRITABLE
    if attributes & (ATTR_S | ATTR_CODE | ATTR_WRITABLE) != writable_data:
        return 0
    return 1 if selector & 3 == level and attributes >> ATTR_DPL_SHIFT & 3 == level else 0


@jit
def load_null(cpu: State, core: Workspace, segment: int, selector: int) -> int:
    """Load a null selector: legal for DS, ES, FS and GS, which become unusable."""
    if segment == SS:
        return raise_fault(core, vectors.GP, 0)
    cpu[SELECTOR + segment] = selector
    cpu[ATTRIBUTES + segment] |= ATTR_UNUSABLE
    return 0


@jit
def load_allowed(
    cpu: State,
    core: Workspace,
    ram: Bytes,
    marks: Bytes,
    segment: int,
    selector: int,
    gva: int,
    low: int,
    high: int,
) -> int:
    """Load a segment register that may have this descriptor: 0, or -1 if it is absent or on #PF."""
    if not attributes_of(high) & ATTR_P:
        return selector_fault(core, vectors.SS if segment == SS else vectors.NP, selector)
    if probe_accessed(cpu, core, ram, marks, gva, high) < 0:
        return -1
    set_accessed(cpu, core, ram, marks, gva, high)
    fill_cache(cpu, segment, selector, low, high)
    return 0


@jit
def load_described(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, segment: int, selector: int
) -> int:
    """Load a data segment register through its descriptor: 0, or -1 with nothing changed."""
    gva, low, high = read_descriptor(cpu, core, ram, marks, selector, vectors.GP)
    if gva < 0:
        return -1
    attributes = attributes_of(high)
    if segment == SS:
        allowed = stack_load_allowed(cpu[CPL], selector, attributes)
    else:
        allowed = data_load_allowed(cpu[CPL], selector, attributes)
    if not allowed:
        return selector_fault(core, vectors.GP, selector)
    return load_allowed(cpu, core, ram, marks, segment, selector, gva, low, high)


@jit
def load_data_segment(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, segment: int, selector: int
) -> int:
    """Load DS, ES, FS, GS or SS: 0, or -1 after recording a fault, with nothing changed.

    The interrupt shadow of MOV SS and POP SS is theirs: LSS has none.
    """
    failed = 0
    if not is_protected(cpu):
        fill_real(cpu, segment, selector)
    elif not selector & INDEX_MASK:
        failed = load_null(cpu, core, segment, selector)
    else:
        failed = load_described(cpu, core, ram, marks, segment, selector)
    if failed < 0:
        return -1
    charge(cpu, core, w.EVENT_SEGMENT_LOAD, 1)
    refresh(cpu, core)
    return 0


# --- loads of LDTR and TR --------------------------------------------------------------------


@jit
def read_system_descriptor(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, selector: int
) -> Descriptor:
    """The descriptor for LLDT or LTR: it must be in the GDT."""
    if selector & SELECTOR_TI:
        selector_fault(core, vectors.GP, selector)
        return FAILED, 0, 0
    return read_descriptor(cpu, core, ram, marks, selector, vectors.GP)


@jit
def fill_system_cache(cpu: State, register: int, selector: int, low: int, high: int) -> None:
    cpu[SELECTOR + register] = selector
    cpu[BASE + register] = base_of(low, high)
    cpu[LIMIT + register] = limit_of(low, high)
    cpu[ATTRIBUTES + register] = attributes_of(high)


@jit
def load_ldtr(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, selector: int) -> int:
    """LLDT: 0, or -1 after recording a fault. A null selector leaves no LDT."""
    if not selector & INDEX_MASK:
        cpu[SELECTOR + LDTR] = selector
        cpu[ATTRIBUTES + LDTR] |= ATTR_UNUSABLE
        return 0
    gva, low, high = read_system_descriptor(cpu, core, ram, marks, selector)
    if gva < 0:
        return -1
    if attributes_of(high) & (ATTR_S | ATTR_TYPE) != TYPE_LDT:
        return selector_fault(core, vectors.GP, selector)
    if not attributes_of(high) & ATTR_P:
        return selector_fault(core, vectors.NP, selector)
    fill_system_cache(cpu, LDTR, selector, low, high)
    return 0


@jit
def load_tr(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, selector: int) -> int:
    """LTR: mark an available TSS busy and make it current; 0, or -1 after recording a fault."""
    if not selector & INDEX_MASK:
        return raise_fault(core, vectors.GP, 0)
    gva, low, high = read_system_descriptor(cpu, core, ram, marks, selector)
    if gva < 0:
        return -1
    kind = attributes_of(high) & (ATTR_S | ATTR_TYPE)
    if kind != TYPE_TSS16 and kind != TYPE_TSS32:
        return selector_fault(core, vectors.GP, selector)
    if not attributes_of(high) & ATTR_P:
        return selector_fault(core, vectors.NP, selector)
    busy = high | TYPE_BUSY << 8
    if write_linear(cpu, core, ram, marks, (gva + 5) & M32, 1, busy >> 8 & 0xFF, 0) < 0:
        return -1
    fill_system_cache(cpu, TR, selector, low, busy)
    return 0
