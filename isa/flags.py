"""Lazy flags: the status flags kept as a result and a vector of carries, materialised on demand.

    LF_RESULT    result of the last flag-setting operation, sign-extended to 32 bits
    LF_CARRIES   carry out of every bit position of that operation, scaled so that bit 31 is the
                 carry out of the top bit and bit 30 the carry into it; bit 3 is the carry out of
                 bit 3. Bits 8..15 and bit 0 correct parity and sign when the flags were set to a
                 combination that no result gives.

    CF = carries[31]   OF = carries[31] ^ carries[30]   AF = carries[3]   ZF = result == 0
    SF = result[31] ^ carries[0]   PF = even parity of (result ^ carries >> 8) & 0xFF

Any instruction can set them with two stores, any condition is a few operations without a case
distinction on what set them. All functions work on the workspace and are inlined.

Source: SDM vol. 1, "EFLAGS Register"; the carry-vector identity is textbook addition:
carries = (a & b) | ((a | b) & ~sum).
"""

from isa.jit import jit
from isa.registers import EFLAGS_FIXED, EFLAGS_STATUS
from isa.state import EFLAGS, State
from isa.workspace import LACKS_EFLAGS, LF_CARRIES, LF_RESULT, Workspace

M32 = 0xFFFFFFFF
_TOP = 0x80000000


@jit
def parity_even(value: int) -> int:
    """1 if the low byte has an even number of ones."""
    low = value & 0xFF
    low ^= low >> 4
    return 0x9669 >> (low & 15) & 1


@jit
def carry(core: Workspace) -> int:
    return core[LF_CARRIES] >> 31 & 1  # type: ignore[no-any-return]


@jit
def adjust(core: Workspace) -> int:
    return core[LF_CARRIES] >> 3 & 1  # type: ignore[no-any-return]


@jit
def zero(core: Workspace) -> int:
    return 1 if core[LF_RESULT] == 0 else 0


@jit
def sign(core: Workspace) -> int:
    return (core[LF_RESULT] >> 31 ^ core[LF_CARRIES]) & 1  # type: ignore[no-any-return]


@jit
def overflow(core: Workspace) -> int:
    return (core[LF_CARRIES] >> 31 ^ core[LF_CARRIES] >> 30) & 1  # type: ignore[no-any-return]


@jit
def parity(core: Workspace) -> int:
    return parity_even(core[LF_RESULT] ^ core[LF_CARRIES] >> 8)


@jit
def condition(core: Workspace, code: int) -> int:
    """Value (0 or 1) of condition code 0..15 in the order of the opcodes (O NO B AE E NE ...)."""
    which = code >> 1 & 7
    if which == 0:
        value = overflow(core)
    elif which == 1:
        value = carry(core)
    elif which == 2:
        value = zero(core)
    elif which == 3:
        value = carry(core) | zero(core)
    elif which == 4:
        value = sign(core)
    elif which == 5:
        value = parity(core)
    elif which == 6:
        value = sign(core) ^ overflow(core)
    else:
        value = zero(core) | (sign(core) ^ overflow(core))
    return value ^ (code & 1)


@jit
def status(core: Workspace) -> int:
    """The six status flags as EFLAGS bits."""
    return (
        carry(core)
        | parity(core) << 2
        | adjust(core) << 4
        | zero(core) << 6
        | sign(core) << 7
        | overflow(core) << 11
    )


@jit
def set_status(core: Workspace, eflags: int) -> None:
    """Make the status flags those of an EFLAGS image."""
    result = 0 if eflags & 0x40 else 1
    c = eflags & 1
    o = eflags >> 11 & 1
    wrong_parity = parity_even(result) ^ (eflags >> 2 & 1)
    core[LF_RESULT] = result
    core[LF_CARRIES] = (
        c << 31 | (c ^ o) << 30 | (eflags >> 4 & 1) << 3 | (eflags >> 7 & 1) | wrong_parity << 8
    )


@jit
def read_eflags(cpu: State, core: Workspace) -> int:
    """EFLAGS as the guest would see it."""
    return cpu[EFLAGS] & ~EFLAGS_STATUS | status(core)  # type: ignore[no-any-return]


@jit
def write_eflags(cpu: State, core: Workspace, value: int) -> None:
    """Set all of EFLAGS that exists; the caller has applied privilege."""
    cpu[EFLAGS] = value & ~core[LACKS_EFLAGS] & ~EFLAGS_STATUS | EFLAGS_FIXED
    set_status(core, value)


@jit
def set_carry(core: Workspace, value: int) -> None:
    """Change CF alone."""
    flip = (core[LF_CARRIES] >> 31 ^ value) & 1
    core[LF_CARRIES] ^= flip * 0xC0000000


@jit
def set_logic(core: Workspace, result: int, bits: int) -> None:
    """Flags of AND, OR, XOR, TEST: CF = OF = 0; AF, undefined in the SDM, is cleared."""
    shift = 32 - bits
    value = result << shift & M32
    core[LF_RESULT] = (value ^ _TOP) - _TOP >> shift & M32
    core[LF_CARRIES] = 0


@jit
def set_arithmetic(core: Workspace, result: int, carries: int, bits: int) -> None:
    """Flags of an addition or subtraction of `bits` bits from its vector of carries or borrows."""
    shift = 32 - bits
    value = result << shift & M32
    core[LF_RESULT] = (value ^ _TOP) - _TOP >> shift & M32
    core[LF_CARRIES] = (carries << shift & 0xC0000000) | (carries & 8)
