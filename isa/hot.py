"""The small pieces of the interpreter's specialised operations; all merged into its loop.

32-bit (and some 8-bit) arithmetic with lazy flags, effective addresses on flat segments, and the
tag comparisons that allow an access to go straight to RAM. The same instructions in full generality
are in isa.execute, against which these are tested.
"""

from isa import workspace as w
from isa.flags import carry
from isa.jit import inline
from isa.operations import multiply_high, multiply_low
from isa.records import (
    BASE_SHIFT,
    INDEX_SHIFT,
    LENGTH_SHIFT,
    OFFSET_MASK,
    OFFSET_SHIFT,
    SCALE_SHIFT,
)
from isa.state import State
from isa.workspace import LF_CARRIES, LF_RESULT, Workspace

M32 = 0xFFFFFFFF
_KEPT = 0xC0000008  # the carries that flags are made of
_CF_OF = 0xC0000000


@inline
def address(cpu: State, core: Workspace, at: int, head: int) -> int:
    """Linear address of the memory operand: flat segment, 32-bit address."""
    return (  # type: ignore[no-any-return]
        cpu[head >> BASE_SHIFT & 15]
        + (cpu[head >> INDEX_SHIFT & 15] << (head >> SCALE_SHIFT & 3))
        + core[at + 1]
        & M32
    )


@inline
def entry_of(core: Workspace, gva: int) -> int:
    """Core index of the TLB entry a linear address falls into."""
    index = gva >> 12 & w.TLB_MASK | core[w.TLB_HALF] & w.TLB_ENTRIES
    return w.TLB + index * w.TLB_WORDS  # type: ignore[no-any-return]


@inline
def may_read(core: Workspace, entry: int, last: int) -> bool:
    """Whether a load whose last byte is at `last` stays in this entry's page of plain RAM."""
    return core[entry] == core[w.TLB_BASE] + (last >> 12)  # type: ignore[no-any-return]


@inline
def may_write(core: Workspace, entry: int, last: int) -> bool:
    """As `may_read`, for a store: not write-protected, dirty already, no decoded code."""
    return core[entry + w.TLB_WRITE] == core[w.TLB_BASE] + (last >> 12)  # type: ignore[no-any-return]


@inline
def following(core: Workspace, at: int, head: int, delta: int) -> int:
    """EIP of the next instruction."""
    offset = core[at + 1] >> OFFSET_SHIFT & OFFSET_MASK
    return delta + offset + (head >> LENGTH_SHIFT & 15) & M32  # type: ignore[no-any-return]


@inline
def relative(core: Workspace, at: int, head: int, delta: int) -> int:
    """Target of a direct branch."""
    offset = core[at + 1] >> OFFSET_SHIFT & OFFSET_MASK
    return delta + offset + (head >> LENGTH_SHIFT & 15) + core[at + 2] & M32  # type: ignore[no-any-return]


@inline
def set_add32(core: Workspace, a: int, b: int, result: int) -> None:
    core[LF_RESULT] = result
    core[LF_CARRIES] = (a & b | (a | b) & ~result) & _KEPT


@inline
def set_sub32(core: Workspace, a: int, b: int, result: int) -> None:
    core[LF_RESULT] = result
    core[LF_CARRIES] = (~a & b | (~a | b) & result) & _KEPT


@inline
def set_logic32(core: Workspace, result: int) -> None:
    core[LF_RESULT] = result
    core[LF_CARRIES] = 0


@inline
def set_logic8(core: Workspace, result: int) -> None:
    core[LF_RESULT] = (result ^ 0x80) - 0x80 & M32
    core[LF_CARRIES] = 0


@inline
def set_sub8(core: Workspace, a: int, b: int) -> None:
    """Flags of an 8-bit subtraction or comparison."""
    b &= 0xFF
    result = a - b & 0xFF
    borrows = ~a & b | (~a | b) & result
    core[LF_RESULT] = (result ^ 0x80) - 0x80 & M32
    core[LF_CARRIES] = (borrows << 24 & _CF_OF) | borrows & 8


@inline
def set_inc32(core: Workspace, result: int) -> None:
    """Flags of INC from its result; CF stays."""
    carries = ~result & result - 1 & _KEPT  # of (result - 1) + 1
    core[LF_RESULT] = result
    core[LF_CARRIES] = carries ^ ((carries ^ core[LF_CARRIES]) >> 31 & 1) * _CF_OF


@inline
def set_dec32(core: Workspace, result: int) -> None:
    """Flags of DEC from its result; CF stays."""
    borrows = ~(result + 1) & result & _KEPT  # of (result + 1) - 1
    core[LF_RESULT] = result
    core[LF_CARRIES] = borrows ^ ((borrows ^ core[LF_CARRIES]) >> 31 & 1) * _CF_OF


@inline
def less(core: Workspace) -> int:
    """SF != OF."""
    carries = core[LF_CARRIES]
    return (core[LF_RESULT] >> 31 ^ carries ^ carries >> 31 ^ carries >> 30) & 1  # type: ignore[no-any-return]


@inline
def read8(cpu: State, number: int) -> int:
    """An 8-bit register by its encoding."""
    return cpu[number & 3] >> ((number & 4) << 1) & 0xFF  # type: ignore[no-any-return]


@inline
def write8(cpu: State, number: int, value: int) -> None:
    shift = (number & 4) << 1
    cpu[number & 3] = cpu[number & 3] & (M32 ^ 0xFF << shift) | (value & 0xFF) << shift


@inline
def shl32(core: Workspace, a: int, count: int) -> int:
    """SHL by 1 to 31."""
    result = a << count & M32
    c = a >> (32 - count) & 1
    o = result >> 31 ^ c
    core[LF_RESULT] = result
    core[LF_CARRIES] = c << 31 | (c ^ o) << 30
    return result


@inline
def shr32(core: Workspace, a: int, count: int) -> int:
    """SHR by 1 to 31."""
    result = a >> count
    c = a >> (count - 1) & 1
    o = a >> 31 if count == 1 else 0
    core[LF_RESULT] = result
    core[LF_CARRIES] = c << 31 | (c ^ o) << 30
    return result


@inline
def sar32(core: Workspace, a: int, count: int) -> int:
    """SAR by 1 to 31."""
    value = (a ^ 0x80000000) - 0x80000000
    result = value >> count & M32
    c = value >> (count - 1) & 1
    core[LF_RESULT] = result
    core[LF_CARRIES] = c << 31 | c << 30
    return result


@inline
def rol32(core: Workspace, a: int, count: int) -> int:
    """ROL by 1 to 31: only CF and OF change."""
    result = (a << count | a >> (32 - count)) & M32
    c = result & 1
    o = result >> 31 ^ c
    core[LF_CARRIES] = core[LF_CARRIES] & ~_CF_OF | c << 31 | (c ^ o) << 30
    return result


@inline
def ror32(core: Workspace, a: int, count: int) -> int:
    """ROR by 1 to 31: only CF and OF change."""
    result = (a >> count | a << (32 - count)) & M32
    core[LF_CARRIES] = core[LF_CARRIES] & ~_CF_OF | result & 0x80000000 | result & 0x40000000
    return result


@inline
def set_product32(core: Workspace, low: int, significant: int) -> None:
    core[LF_RESULT] = low
    core[LF_CARRIES] = significant << 31  # CF = OF: no carry into the top bit


@inline
def imul32(core: Workspace, a: int, b: int) -> int:
    product = ((a ^ 0x80000000) - 0x80000000) * ((b ^ 0x80000000) - 0x80000000)
    low = product & M32
    set_product32(core, low, 1 if (low ^ 0x80000000) - 0x80000000 != product else 0)
    return low


@inline
def mul32(cpu: State, core: Workspace, b: int) -> None:
    """MUL: EDX:EAX = EAX * b."""
    a = cpu[0]
    low = multiply_low(a, b)
    high = multiply_high(a, b)
    cpu[0] = low
    cpu[2] = high
    set_product32(core, low, 1 if high else 0)


@inline
def adc32(cpu: State, core: Workspace, register: int, b: int) -> None:
    a = cpu[register]
    result = a + b + carry(core) & M32
    set_add32(core, a, b, result)
    cpu[register] = result


@inline
def sbb32(cpu: State, core: Workspace, register: int, b: int) -> None:
    a = cpu[register]
    result = a - b - carry(core) & M32
    set_sub32(core, a, b, result)
    cpu[register] = result
