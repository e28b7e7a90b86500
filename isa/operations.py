"""What the arithmetic, logic and shift instructions compute, as functions of values.

Each takes operands of `bits` bits (8, 16 or 32), sets the lazy flags and returns the result.
Nothing here touches registers or memory, and nothing can fault.

Flags the SDM leaves undefined follow one rule: AF is cleared; OF of a shift or rotate by more than
one is computed as for a shift by one from the last step; the flags MUL leaves undefined follow the
low half of the product.

Source: SDM vol. 2, the instructions' "Operation" and "Flags Affected".
"""

from isa.flags import M32, carry, set_arithmetic, set_logic
from isa.generated import forms as f
from isa.jit import jit
from isa.workspace import LF_CARRIES, LF_RESULT, Workspace


@jit
def mask_of(bits: int) -> int:
    return (1 << bits) - 1


@jit
def signed(value: int, bits: int) -> int:
    """Two's complement value of the low `bits` bits."""
    top = 1 << (bits - 1)
    return (value & (top * 2 - 1) ^ top) - top


@jit
def set_carry_overflow(core: Workspace, c: int, o: int) -> None:
    """Change CF and OF alone (rotates)."""
    core[LF_CARRIES] = core[LF_CARRIES] & ~0xC0000000 | c << 31 | (c ^ o) << 30


@jit
def set_result(core: Workspace, result: int, bits: int, c: int, o: int) -> None:
    """ZF, SF and PF from a result, CF and OF as given, AF cleared."""
    core[LF_RESULT] = signed(result, bits) & M32
    core[LF_CARRIES] = c << 31 | (c ^ o) << 30


@jit
def add(core: Workspace, a: int, b: int, carry_in: int, bits: int) -> int:
    result = a + b + carry_in & mask_of(bits)
    set_arithmetic(core, result, a & b | (a | b) & ~result, bits)
    return result


@jit
def subtract(core: Workspace, a: int, b: int, borrow_in: int, bits: int) -> int:
    result = a - b - borrow_in & mask_of(bits)
    set_arithmetic(core, result, ~a & b | (~a | b) & result, bits)
    return result


@jit
def keep_carry(core: Workspace, c: int) -> None:
    """Give CF back its old value after INC or DEC, OF unchanged."""
    core[LF_CARRIES] ^= ((core[LF_CARRIES] >> 31 ^ c) & 1) * 0xC0000000


@jit
def binary(core: Workspace, operation: int, a: int, b: int, bits: int) -> int:
    """ADD ADC SUB SBB CMP AND OR XOR TEST."""
    if operation == f.O_ADD:
        return add(core, a, b, 0, bits)
    if operation == f.O_ADC:
        return add(core, a, b, carry(core), bits)
    if operation == f.O_SUB or operation == f.O_CMP:
        return subtract(core, a, b, 0, bits)
    if operation == f.O_SBB:
        return subtract(core, a, b, carry(core), bits)
    if operation == f.O_OR:
        result = a | b
    elif operation == f.O_XOR:
        result = a ^ b
    else:
        result = a & b
    set_logic(core, result, bits)
    return result


@jit
def unary(core: Workspace, operation: int, a: int, bits: int) -> int:
    """INC DEC NEG NOT."""
    if operation == f.O_NOT:
        return ~a & mask_of(bits)
    if operation == f.O_NEG:
        return subtract(core, 0, a, 0, bits)
    c = carry(core)
    result = add(core, a, 1, 0, bits) if operation == f.O_INC else subtract(core, a, 1, 0, bits)
    keep_carry(core, c)
    return result


@jit
def shift(core: Workspace, operation: int, a: int, count: int, bits: int) -> int:
    """SHL SHR SAR by a count already masked to five bits; a count of 0 changes no flag."""
    if count == 0:
        return a
    top = bits - 1
    if operation == f.O_SHL:
        result = (a << count) & mask_of(bits)
        c = a << count >> bits & 1
        o = result >> top ^ c
    elif operation == f.O_SHR:
        result = a >> count
        c = a >> (count - 1) & 1
        o = a >> top if count == 1 else 0
    else:
        value = signed(a, bits)
        result = value >> count & mask_of(bits)
        c = value >> (count - 1) & 1
        o = 0
    set_result(core, result, bits, c, o)
    return result


@jit
def rotate(core: Workspace, operation: int, a: int, count: int, bits: int) -> int:
    """ROL and ROR by a count already masked to five bits."""
    if count == 0:
        return a
    top = bits - 1
    n = count % bits
    if operation == f.O_ROL:
        result = (a << n | a >> (bits - n)) & mask_of(bits)
        set_carry_overflow(core, result & 1, result >> top ^ result & 1)
    else:
        result = (a >> n | a << (bits - n)) & mask_of(bits)
        set_carry_overflow(core, result >> top, (result >> top ^ result >> (top - 1)) & 1)
    return result


@jit
def rotate_carry(core: Workspace, operation: int, a: int, count: int, bits: int) -> int:
    """RCL and RCR: a rotation of bits + 1 bits through CF."""
    n = count % (bits + 1)
    if n == 0:
        return a
    c = carry(core)
    top = bits - 1
    wide = c << bits | a
    if operation == f.O_RCL:
        turned = wide << n | wide >> (bits + 1 - n)
        result = turned & mask_of(bits)
        set_carry_overflow(core, turned >> bits & 1, (turned >> bits ^ turned >> top) & 1)
    else:
        turned = wide >> n | wide << (bits + 1 - n)
        result = turned & mask_of(bits)
        set_carry_overflow(core, turned >> bits & 1, (result >> top ^ result >> (top - 1)) & 1)
    return result


@jit
def shift_double(core: Workspace, operation: int, a: int, b: int, count: int, bits: int) -> int:
    """SHLD and SHRD. For 16 bits a count above 16 shifts in the operands again, as the P6 does."""
    if count == 0:
        return a
    top = bits - 1
    if operation == f.O_SHLD:
        if bits == 32:
            result = (a << count | b >> (32 - count)) & M32
            c = a >> (32 - count) & 1
        else:
            wide = (a << 16 | b) << 16 | a
            result = wide >> (32 - count) & 0xFFFF
            c = wide >> (48 - count) & 1
        o = (result ^ a) >> top & 1
    else:
        if bits == 32:
            result = (a >> count | b << (32 - count)) & M32
            c = a >> (count - 1) & 1
        else:
            wide = (a << 16 | b) << 16 | a
            result = wide >> count & 0xFFFF
            c = wide >> (count - 1) & 1
        o = (result ^ a) >> top & 1
    set_result(core, result, bits, c, o)
    return result


@jit
def multiply_high(a: int, b: int) -> int:
    """Upper 32 bits of the unsigned product of two 32-bit values, without leaving int64."""
    low = a * (b & 0xFFFF)
    return a * (b >> 16) + (low >> 16) >> 16


@jit
def multiply_low(a: int, b: int) -> int:
    """Lower 32 bits of the product of two 32-bit values, without leaving int64."""
    return (a * (b & 0xFFFF) + ((a * (b >> 16) & 0xFFFF) << 16)) & M32


@jit
def set_product(core: Workspace, low: int, bits: int, significant: int) -> None:
    """CF = OF = whether the upper half of the product matters."""
    set_result(core, low, bits, significant, significant)
