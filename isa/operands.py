"""Operands of the generic executor: effective addresses, reads, write probes, writes.

A slot (0..3) is the position of an operand in the table's syntax column. Reading returns the value
or -1 after recording a fault; values are never negative, so -1 cannot be mistaken.

Source: SDM vol. 2A, "Addressing-Mode Encoding of ModR/M and SIB Bytes".
"""

from isa import operand_kinds as k
from isa.generated.columns import KIND
from isa.jit import jit
from isa.memory import probe_write, read_linear, write_linear
from isa.records import (
    A_SHIFT,
    ADDRESS32,
    B_SHIFT,
    BASE_SHIFT,
    FORM_SHIFT,
    INDEX_SHIFT,
    MEMORY,
    SCALE_SHIFT,
    SEGMENT_SHIFT,
)
from isa.segmentation import linear_address
from isa.state import CPL, GPR, SELECTOR, State
from isa.workspace import Bytes, Workspace

M32 = 0xFFFFFFFF


@jit
def effective_offset(cpu: State, core: Workspace, at: int) -> int:
    """Offset of the memory operand within its segment."""
    head = core[at]
    offset = (
        cpu[GPR + (head >> BASE_SHIFT & 15)]
        + (cpu[GPR + (head >> INDEX_SHIFT & 15)] << (head >> SCALE_SHIFT & 3))
        + (core[at + 1] & M32)
    )
    return offset & (M32 if head & ADDRESS32 else 0xFFFF)  # type: ignore[no-any-return]


@jit
def memory_address(cpu: State, core: Workspace, at: int, size: int, write: int) -> int:
    """Linear address of the memory operand after the segment check; -1 after a fault."""
    offset = effective_offset(cpu, core, at)
    return linear_address(cpu, core, core[at] >> SEGMENT_SHIFT & 7, offset, size, write)


@jit
def is_user(cpu: State) -> int:
    """1 if explicit memory accesses are user-mode accesses."""
    return 1 if cpu[CPL] == 3 else 0


@jit
def read_register(cpu: State, number: int, bits: int) -> int:
    """A general register by its encoding; numbers 4..7 of 8 bits are AH CH DH BH."""
    if bits == 32:
        return cpu[GPR + (number & 7)]  # type: ignore[no-any-return]
    if bits == 16:
        return cpu[GPR + (number & 7)] & 0xFFFF  # type: ignore[no-any-return]
    return cpu[GPR + (number & 3)] >> ((number & 4) << 1) & 0xFF  # type: ignore[no-any-return]


@jit
def write_register(cpu: State, number: int, bits: int, value: int) -> None:
    """Set a general register by its encoding; the rest of the 32 bits stays."""
    if bits == 32:
        cpu[GPR + (number & 7)] = value & M32
    elif bits == 16:
        cpu[GPR + (number & 7)] = cpu[GPR + (number & 7)] & 0xFFFF0000 | value & 0xFFFF
    else:
        shift = (number & 4) << 1
        old = cpu[GPR + (number & 3)] & (M32 ^ 0xFF << shift)
        cpu[GPR + (number & 3)] = old | (value & 0xFF) << shift


@jit
def kind_bits(kind: int) -> int:
    """Bits of a general-register, memory or immediate operand of a kind (32 where it is moot)."""
    if (
        kind == k.K_R8
        or kind == k.K_RM8
        or kind == k.K_M8
        or kind == k.K_MOFFS8
        or kind == k.K_OPREG8
        or kind == k.K_AL
        or kind == k.K_CL
    ):
        return 8
    if (
        kind == k.K_R16
        or kind == k.K_RM16
        or kind == k.K_M16
        or kind == k.K_MOFFS16
        or kind == k.K_OPREG16
        or kind == k.K_AX
        or kind == k.K_DX
    ):
        return 16
    return 32


@jit
def register_number(head: int, kind: int) -> int:
    """Encoding of the general register an operand of this kind names, or -1 if it names none."""
    if kind == k.K_R8 or kind == k.K_R16 or kind == k.K_R32:
        return head >> A_SHIFT & 7
    if kind == k.K_AL or kind == k.K_AX or kind == k.K_EAX:
        return 0
    if kind == k.K_CL:
        return 1
    if kind == k.K_DX:
        return 2
    if k.K_RM8 <= kind <= k.K_RMR32 or k.K_OPREG8 <= kind <= k.K_OPREG32:
        return head >> B_SHIFT & 7
    return -1


@jit
def is_memory(head: int, kind: int) -> int:
    """1 if an operand of this kind is in memory in this instruction."""
    if k.K_RM8 <= kind <= k.K_R32M16:
        return 1 if head & MEMORY else 0
    return 1 if k.K_M <= kind <= k.K_M16A32 or k.K_MOFFS8 <= kind <= k.K_MOFFS32 else 0


@jit
def memory_bytes(kind: int) -> int:
    """Bytes that an operand of this kind occupies in memory (1, 2 or 4)."""
    if kind == k.K_R32M16:
        return 2
    return kind_bits(kind) >> 3


@jit
def read_operand(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int, slot: int) -> int:
    """Value of an operand, zero-extended (immediates as the form has them); -1 after a fault."""
    head = core[at]
    kind = KIND[head >> FORM_SHIFT & 0xFFF, slot]
    if is_memory(head, kind):
        size = memory_bytes(kind)
        gva = memory_address(cpu, core, at, size, 0)
        if gva < 0:
            return -1
        return read_linear(cpu, core, ram, marks, gva, size, is_user(cpu))
    number = register_number(head, kind)
    if number >= 0:
        return read_register(cpu, number, kind_bits(kind))
    if k.K_IMM8 <= kind <= k.K_IMM32:
        return core[at + 2] & M32  # type: ignore[no-any-return]
    if kind == k.K_ONE:
        return 1
    if kind == k.K_SREG:
        return cpu[SELECTOR + (head >> A_SHIFT & 7)]  # type: ignore[no-any-return]
    if k.K_ES <= kind <= k.K_GS:
        return cpu[SELECTOR + kind - k.K_ES]  # type: ignore[no-any-return]
    return 0


@jit
def probe_operand(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int, slot: int) -> int:
    """Check that a later `write_operand` cannot fail: 0, or -1 after recording a fault."""
    head = core[at]
    kind = KIND[head >> FORM_SHIFT & 0xFFF, slot]
    if not is_memory(head, kind):
        return 0
    size = memory_bytes(kind)
    gva = memory_address(cpu, core, at, size, 1)
    if gva < 0:
        return -1
    return probe_write(cpu, core, ram, marks, gva, size, is_user(cpu))


@jit
def write_operand(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int, slot: int, value: int
) -> int:
    """Store an operand: 0, or -1 after recording a fault, with nothing changed."""
    head = core[at]
    kind = KIND[head >> FORM_SHIFT & 0xFFF, slot]
    if is_memory(head, kind):
        size = memory_bytes(kind)
        gva = memory_address(cpu, core, at, size, 1)
        if gva < 0:
            return -1
        return write_linear(cpu, core, ram, marks, gva, size, value, is_user(cpu))
    number = register_number(head, kind)
    if number >= 0:
        write_register(cpu, number, kind_bits(kind), value)
    return 0
