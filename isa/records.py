"""The operation record: one decoded instruction in four int64 words.

    word 0   handler 0..9 | a 10..13 | b 14..17 | base 18..21 | index 22..25 | scale 26..27
             | segment 28..30 | length 31..34 | left 35..41 | address32 42 | operand32 43
             | repeat 44..45 | lock 46 | memory 47 | form 48..59
    word 1   displacement 0..31 | page offset of the instruction 32..44 | physical page 45..63
    word 2   immediate (0 .. 2**32 - 1, sign-extended where the form says so)
    word 3   second immediate, or the record to continue with (0 = not linked)

`a` is ModRM.reg, `b` is ModRM.rm for a register operand; base and index are 8 (the constant zero)
when absent. `left` counts the instructions from this one to the end of its block.
"""

from typing import Final

from isa.jit import jit

A_SHIFT: Final = 10
B_SHIFT: Final = 14
BASE_SHIFT: Final = 18
INDEX_SHIFT: Final = 22
SCALE_SHIFT: Final = 26
SEGMENT_SHIFT: Final = 28
LENGTH_SHIFT: Final = 31
LEFT_SHIFT: Final = 35
ADDRESS32: Final = 1 << 42
OPERAND32: Final = 1 << 43
REPEAT_SHIFT: Final = 44
LOCK: Final = 1 << 46
MEMORY: Final = 1 << 47
FORM_SHIFT: Final = 48

HANDLER_MASK: Final = 0x3FF
OFFSET_SHIFT: Final = 32
OFFSET_MASK: Final = 0x1FFF
PAGE_SHIFT: Final = 45
NO_REGISTER: Final = 8

REPEAT_NONE: Final = 0
REPEAT_F3: Final = 1  # REP, REPE
REPEAT_F2: Final = 2  # REPNE


@jit
def handler_of(head: int) -> int:
    return head & HANDLER_MASK


@jit
def a_of(head: int) -> int:
    """ModRM.reg: 0..7."""
    return head >> A_SHIFT & 7


@jit
def b_of(head: int) -> int:
    """ModRM.rm of a register operand, or the register in the opcode: 0..7."""
    return head >> B_SHIFT & 7


@jit
def segment_of(head: int) -> int:
    """Segment register of the memory operand: 0..5."""
    return head >> SEGMENT_SHIFT & 7


@jit
def length_of(head: int) -> int:
    return head >> LENGTH_SHIFT & 15


@jit
def left_of(head: int) -> int:
    return head >> LEFT_SHIFT & 127


@jit
def repeat_of(head: int) -> int:
    return head >> REPEAT_SHIFT & 3


@jit
def form_of(head: int) -> int:
    return head >> FORM_SHIFT & 0xFFF


# Status of a cold function.
DONE: Final = 0  # go on with the next record
TRANSFER: Final = 1  # completed; continue at cpu[EIP] through a new look-up
TROUBLED: Final = 2  # not completed, or completed with an exit: see TROUBLE in isa.workspace
