"""The generic executor: any arithmetic, logic, move or bit instruction, in every operand shape.

Probe, compute, commit: operands are read (and written ones probed for writing) before anything
changes; then a pure function of values; then the commit, which cannot fail. The interpreter's
specialised operations do the same for common shapes on plain RAM and fall back to this for the
rest: device memory, page crossings, TLB misses, segments that are not flat, 16-bit code.

Source: SDM vol. 2, the instructions' "Operation".
"""

from isa import operations as o
from isa.accounts import raise_fault
from isa.flags import carry, condition, read_eflags, set_carry, set_status, status
from isa.generated import forms as f
from isa.generated.columns import ACCESS, CONDITION, KIND, OPERATION, OPSIZE
from isa.jit import jit
from isa.memory import probe_write, read_linear, write_linear
from isa.operand_kinds import K_R16, K_R32
from isa.operands import (
    effective_offset,
    is_memory,
    is_user,
    memory_address,
    memory_bytes,
    probe_operand,
    read_operand,
    read_register,
    write_operand,
    write_register,
)
from isa.records import A_SHIFT, ADDRESS32, B_SHIFT, DONE, FORM_SHIFT, SEGMENT_SHIFT, TROUBLED
from isa.registers import EAX, EBX, ECX, EDX, EFLAGS_DF, EFLAGS_STATUS
from isa.segmentation import linear_address
from isa.state import EFLAGS, GPR, State
from isa.vectors import DE
from isa.workspace import LF_CARRIES, Bytes, Workspace

M32 = 0xFFFFFFFF
_BYTE_FLAGS = EFLAGS_STATUS & 0xFF  # the status flags LAHF and SAHF move


@jit
def execute_arithmetic(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """Two-operand and one-operand arithmetic, logic, shifts and moves."""
    form = core[at] >> FORM_SHIFT & 0xFFF
    operation = OPERATION[form]
    bits = OPSIZE[form]
    access = ACCESS[form, 0]
    if access == 3 and probe_operand(cpu, core, ram, marks, at, 0) < 0:
        return TROUBLED
    first = 0
    if access & 1:
        first = read_operand(cpu, core, ram, marks, at, 0)
        if first < 0:
            return TROUBLED
    second = 0
    if ACCESS[form, 1] & 1:
        second = read_operand(cpu, core, ram, marks, at, 1)
        if second < 0:
            return TROUBLED
    if f.O_ADD <= operation <= f.O_TEST:
        result = o.binary(core, operation, first, second & o.mask_of(bits), bits)
    elif f.O_INC <= operation <= f.O_NEG:
        result = o.unary(core, operation, first, bits)
    elif f.O_ROL <= operation <= f.O_SAR:
        result = shift_or_rotate(core, operation, first, second & 31, bits)
    elif operation == f.O_SHLD or operation == f.O_SHRD:
        count = read_operand(cpu, core, ram, marks, at, 2) & 31
        result = o.shift_double(core, operation, first, second, count, bits)
    elif operation == f.O_MOVSX:
        kind = KIND[form, 1]
        result = o.signed(second, memory_bytes(kind) * 8)
    elif operation == f.O_SETCC:
        result = condition(core, CONDITION[form])
    elif operation == f.O_CMOVCC:
        if not condition(core, CONDITION[form]):
            return DONE
        result = second
    elif operation == f.O_LEA:
        result = effective_offset(cpu, core, at)
    else:  # MOV, MOVZX, NOP
        result = second
    if access & 2 and write_operand(cpu, core, ram, marks, at, 0, result & M32) < 0:
        return TROUBLED
    return DONE


@jit
def shift_or_rotate(core: Workspace, operation: int, value: int, count: int, bits: int) -> int:
    """Any of the seven shifts and rotates by a count already masked to five bits."""
    if operation >= f.O_SHL:
        return o.shift(core, operation, value, count, bits)
    if operation == f.O_ROL or operation == f.O_ROR:
        return o.rotate(core, operation, value, count, bits)
    return o.rotate_carry(core, operation, value, count, bits)


@jit
def execute_multiply(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """MUL, IMUL, DIV, IDIV."""
    form = core[at] >> FORM_SHIFT & 0xFFF
    operation = OPERATION[form]
    bits = OPSIZE[form]
    if operation == f.O_IMUL:
        return imul_register(cpu, core, ram, marks, at, bits)
    operand = read_operand(cpu, core, ram, marks, at, 0)
    if operand < 0:
        return TROUBLED
    if operation == f.O_DIV or operation == f.O_IDIV:
        return divide(cpu, core, operation, operand, bits)
    a = read_register(cpu, EAX, bits)
    if operation == f.O_MUL:
        low, high = o.multiply_low(a, operand), o.multiply_high(a, operand)
        if bits < 32:
            high = low >> bits
        significant = 1 if high else 0
    else:
        product = o.signed(a, bits) * o.signed(operand, bits)
        low, high = product & M32, product >> bits & M32
        significant = 1 if o.signed(low, bits) != product else 0
    if bits == 8:
        write_register(cpu, EAX, 16, low & 0xFFFF)
    else:
        write_register(cpu, EAX, bits, low)
        write_register(cpu, EDX, bits, high)
    o.set_product(core, low & o.mask_of(bits), bits, significant)
    return DONE


@jit
def imul_register(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int, bits: int) -> int:
    """IMUL with two or three operands: the truncated signed product goes to a register."""
    form = core[at] >> FORM_SHIFT & 0xFFF
    second = read_operand(cpu, core, ram, marks, at, 1)
    if second < 0:
        return TROUBLED
    other = core[at + 2] if KIND[form, 2] else read_operand(cpu, core, ram, marks, at, 0)
    product = o.signed(second, bits) * o.signed(other, bits)
    low = product & o.mask_of(bits)
    significant = 1 if o.signed(low, bits) != product else 0
    write_register(cpu, core[at] >> A_SHIFT & 7, bits, low)
    o.set_product(core, low, bits, significant)
    return DONE


@jit
def divide(cpu: State, core: Workspace, operation: int, divisor: int, bits: int) -> int:
    """DIV and IDIV: #DE on a zero divisor or a quotient that does not fit; flags are left alone."""
    if bits == 8:
        high, low = cpu[GPR + EAX] >> 8 & 0xFF, cpu[GPR + EAX] & 0xFF
    else:
        high, low = read_register(cpu, EDX, bits), read_register(cpu, EAX, bits)
    if divisor == 0:
        raise_fault(core, DE, -1)
        return TROUBLED
    if operation == f.O_DIV:
        if high >= divisor:
            raise_fault(core, DE, -1)
            return TROUBLED
        quotient, remainder = divide_long(high, low, divisor, bits)
    else:
        dividend_high = o.signed(high, bits)
        negative = 1 if dividend_high < 0 else 0
        if negative:  # magnitude of a two-word number, without leaving 64 bits
            low_m = -low & o.mask_of(bits)
            high_m = (~high + (1 if low == 0 else 0)) & o.mask_of(bits)
        else:
            low_m, high_m = low, high
        d = o.signed(divisor, bits)
        magnitude = -d if d < 0 else d
        if high_m >= magnitude:
            raise_fault(core, DE, -1)
            return TROUBLED
        quotient, remainder = divide_long(high_m, low_m, magnitude, bits)
        opposite = negative ^ (1 if d < 0 else 0)
        if quotient > o.mask_of(bits - 1) + opposite:
            raise_fault(core, DE, -1)
            return TROUBLED
        quotient = -quotient if opposite else quotient
        remainder = -remainder if negative else remainder
    if bits == 8:
        write_register(cpu, EAX, 16, (remainder & 0xFF) << 8 | quotient & 0xFF)
    else:
        write_register(cpu, EAX, bits, quotient)
        write_register(cpu, EDX, bits, remainder)
    return DONE


@jit
def divide_long(high: int, low: int, divisor: int, bits: int) -> tuple[int, int]:
    """Quotient and remainder of high:low by divisor, where high < divisor (so the quotient fits).

    A 64-bit dividend may not fit int64, so 32-bit operands go in two 16-bit steps.
    """
    if bits < 32:
        wide = high << bits | low
        return wide // divisor, wide % divisor
    step = high << 16 | low >> 16
    upper = step // divisor
    step = step % divisor << 16 | low & 0xFFFF
    return upper << 16 | step // divisor, step % divisor


@jit
def execute_exchange(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """XCHG, XADD, CMPXCHG: two results, the first of which may be in memory."""
    head = core[at]
    form = head >> FORM_SHIFT & 0xFFF
    operation = OPERATION[form]
    bits = OPSIZE[form]
    if probe_operand(cpu, core, ram, marks, at, 0) < 0:
        return TROUBLED
    first = read_operand(cpu, core, ram, marks, at, 0)
    if first < 0:
        return TROUBLED
    second = read_operand(cpu, core, ram, marks, at, 1)
    if operation == f.O_CMPXCHG:
        accumulator = read_register(cpu, EAX, bits)
        o.subtract(core, accumulator, first, 0, bits)
        if accumulator == first:
            write_operand(cpu, core, ram, marks, at, 0, second)
        else:
            # "The destination is written back" even when it does not change.
            write_operand(cpu, core, ram, marks, at, 0, first)
            write_register(cpu, EAX, bits, first)
        return DONE
    if operation == f.O_XADD:
        total = o.add(core, first, second, 0, bits)
        if is_memory(head, KIND[form, 0]):  # first, while the registers of its address are intact
            write_operand(cpu, core, ram, marks, at, 0, total)
            write_operand(cpu, core, ram, marks, at, 1, first)
        else:  # the sum wins where both operands are one register
            write_operand(cpu, core, ram, marks, at, 1, first)
            write_operand(cpu, core, ram, marks, at, 0, total)
        return DONE
    write_operand(cpu, core, ram, marks, at, 0, second)
    write_operand(cpu, core, ram, marks, at, 1, first)
    return DONE


@jit
def compare_exchange_8(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """CMPXCHG8B m64."""
    gva = memory_address(cpu, core, at, 8, 1)
    if gva < 0:
        return TROUBLED
    user = is_user(cpu)
    if probe_write(cpu, core, ram, marks, gva, 8, user) < 0:
        return TROUBLED
    low = read_linear(cpu, core, ram, marks, gva, 4, user)
    if low < 0:
        return TROUBLED
    above = gva + 4 & M32
    high = read_linear(cpu, core, ram, marks, above, 4, user)
    if high < 0:
        return TROUBLED
    flags = status(core) & ~0x40
    if low == cpu[GPR + EAX] and high == cpu[GPR + EDX]:
        write_linear(cpu, core, ram, marks, gva, 4, cpu[GPR + EBX], user)
        write_linear(cpu, core, ram, marks, above, 4, cpu[GPR + ECX], user)
        flags |= 0x40
    else:
        write_linear(cpu, core, ram, marks, gva, 4, low, user)
        write_linear(cpu, core, ram, marks, above, 4, high, user)
        cpu[GPR + EAX] = low
        cpu[GPR + EDX] = high
    set_status(core, flags)
    return DONE


@jit
def execute_bits(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """BT, BTS, BTR, BTC (with bit strings in memory), BSF, BSR, BSWAP."""
    head = core[at]
    form = head >> FORM_SHIFT & 0xFFF
    operation = OPERATION[form]
    bits = OPSIZE[form]
    if operation == f.O_BSWAP:
        number = head >> B_SHIFT & 7
        v = cpu[GPR + number]
        swapped = v >> 24 | v >> 8 & 0xFF00 | (v & 0xFF00) << 8 | (v & 0xFF) << 24
        # BSWAP of a 16-bit register is undefined; the P6 clears it.
        write_register(cpu, number, bits, swapped if bits == 32 else 0)
        return DONE
    if operation == f.O_BSF or operation == f.O_BSR:
        return bit_scan(cpu, core, ram, marks, at, operation, bits)
    index = read_operand(cpu, core, ram, marks, at, 1)
    write = 0 if operation == f.O_BT else 1
    if not is_memory(head, KIND[form, 0]):
        number = head >> B_SHIFT & 7
        value = read_register(cpu, number, bits)
        changed = change_bit(core, operation, value, index & (bits - 1))
        if write:
            write_register(cpu, number, bits, changed)
        return DONE
    offset = effective_offset(cpu, core, at)
    if KIND[form, 1] == K_R16 or KIND[form, 1] == K_R32:
        # The register is a signed bit index into a string of bits.
        offset += (o.signed(index, bits) >> (4 if bits == 16 else 5)) * (bits >> 3)
        offset &= M32 if head & ADDRESS32 else 0xFFFF
    gva = linear_address(cpu, core, head >> SEGMENT_SHIFT & 7, offset, bits >> 3, write)
    if gva < 0:
        return TROUBLED
    user = is_user(cpu)
    if write and probe_write(cpu, core, ram, marks, gva, bits >> 3, user) < 0:
        return TROUBLED
    word = read_linear(cpu, core, ram, marks, gva, bits >> 3, user)
    if word < 0:
        return TROUBLED
    updated = change_bit(core, operation, word, index & (bits - 1))
    if write:
        write_linear(cpu, core, ram, marks, gva, bits >> 3, updated, user)
    return DONE


@jit
def change_bit(core: Workspace, operation: int, value: int, index: int) -> int:
    """The bit goes to CF; the value with the bit set, reset or complemented comes back."""
    set_carry(core, value >> index & 1)
    if operation == f.O_BTS:
        return value | 1 << index
    if operation == f.O_BTR:
        return value & ~(1 << index)
    if operation == f.O_BTC:
        return value ^ 1 << index
    return value


@jit
def bit_scan(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int, operation: int, bits: int
) -> int:
    """BSF and BSR: a zero source sets ZF and leaves the destination alone, as every P6 does."""
    source = read_operand(cpu, core, ram, marks, at, 1)
    if source < 0:
        return TROUBLED
    o.set_result(core, source, bits, 0, 0)
    if source == 0:
        return DONE
    index = 0
    if operation == f.O_BSF:
        while not source >> index & 1:
            index += 1
    else:
        index = bits - 1
        while not source >> index & 1:
            index -= 1
    write_register(cpu, core[at] >> A_SHIFT & 7, bits, index)
    return DONE


@jit
def execute_simple(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """Instructions on fixed registers and flags: CBW … CDQ, CLC … STD, LAHF … SALC, XLAT, BCD."""
    form = core[at] >> FORM_SHIFT & 0xFFF
    operation = OPERATION[form]
    if f.O_DAA <= operation <= f.O_AAD:
        return decimal_adjust(cpu, core, operation, core[at + 2] & 0xFF)
    eax = cpu[GPR + EAX]
    if operation == f.O_CBW:
        write_register(cpu, EAX, 16, o.signed(eax, 8))
    elif operation == f.O_CWDE:
        write_register(cpu, EAX, 32, o.signed(eax, 16))
    elif operation == f.O_CWD:
        write_register(cpu, EDX, 16, o.signed(eax, 16) >> 16)
    elif operation == f.O_CDQ:
        write_register(cpu, EDX, 32, o.signed(eax, 32) >> 32)
    elif operation == f.O_CLC:
        set_carry(core, 0)
    elif operation == f.O_STC:
        set_carry(core, 1)
    elif operation == f.O_CMC:
        set_carry(core, carry(core) ^ 1)
    elif operation == f.O_CLD:
        cpu[EFLAGS] &= ~EFLAGS_DF
    elif operation == f.O_STD:
        cpu[EFLAGS] |= EFLAGS_DF
    elif operation == f.O_LAHF:
        write_register(cpu, 4, 8, read_eflags(cpu, core) & 0xFF)
    elif operation == f.O_SAHF:
        kept = status(core) & ~_BYTE_FLAGS
        set_status(core, kept | eax >> 8 & _BYTE_FLAGS)
    elif operation == f.O_SALC:
        write_register(cpu, EAX, 8, 0xFF if carry(core) else 0)
    elif operation == f.O_XLATB:
        return translate_byte(cpu, core, ram, marks, at)
    return DONE


@jit
def translate_byte(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """XLATB: AL = byte at BX/EBX + AL."""
    head = core[at]
    wrap = M32 if head & ADDRESS32 else 0xFFFF
    offset = cpu[GPR + EBX] + (cpu[GPR + EAX] & 0xFF) & wrap
    gva = linear_address(cpu, core, head >> SEGMENT_SHIFT & 7, offset, 1, 0)
    if gva < 0:
        return TROUBLED
    value = read_linear(cpu, core, ram, marks, gva, 1, is_user(cpu))
    if value < 0:
        return TROUBLED
    write_register(cpu, EAX, 8, value)
    return DONE


@jit
def decimal_adjust(cpu: State, core: Workspace, operation: int, base: int) -> int:
    """DAA DAS AAA AAS AAM AAD."""
    al = cpu[GPR + EAX] & 0xFF
    ah = cpu[GPR + EAX] >> 8 & 0xFF
    cf = carry(core)
    af = core[LF_CARRIES] >> 3 & 1
    if operation == f.O_AAM:
        if base == 0:
            raise_fault(core, DE, -1)
            return TROUBLED
        write_register(cpu, EAX, 16, al // base << 8 | al % base)
        o.set_result(core, al % base, 8, 0, 0)
        return DONE
    if operation == f.O_AAD:
        total = al + ah * base & 0xFF
        write_register(cpu, EAX, 16, total)
        o.set_result(core, total, 8, 0, 0)
        return DONE
    low_digit = 1 if al & 15 > 9 or af else 0
    if operation == f.O_AAA or operation == f.O_AAS:
        ax = ah << 8 | al
        if low_digit:
            ax = ax + 0x106 if operation == f.O_AAA else ax - 0x106
        write_register(cpu, EAX, 16, ax & 0xFF0F)
        o.set_result(core, ax & 0x0F, 8, low_digit, 0)
        core[LF_CARRIES] |= low_digit << 3
        return DONE
    high_digit = 1 if al > 0x99 or cf else 0
    change = low_digit * 6 + high_digit * 0x60
    if operation == f.O_DAA:
        adjusted, c = al + change, high_digit
    else:
        adjusted = al - change
        c = 1 if high_digit or (low_digit and al < 6) else 0
    write_register(cpu, EAX, 8, adjusted & 0xFF)
    o.set_result(core, adjusted & 0xFF, 8, c, 0)
    core[LF_CARRIES] |= low_digit << 3
    return DONE
