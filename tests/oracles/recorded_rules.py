"""Which recorded tests of the 80286 say something about a P6, and which of their results.

Where the two processors are documented to differ, a rule says so, with the section that proves it:
a test is left out altogether, or one thing is not compared, or compared with what the P6 does. How
often each rule is used is counted by the test, so that none grows unnoticed.

Sources: SDM vol. 3A, "Architecture Compatibility", "Interrupt 12—Stack Fault Exception (#SS)",
"Exception Classifications"; SDM vol. 2, instruction reference, "LOCK"; Intel's 80286 and 80287
Programmer's Reference Manual, "Reserved Exception Vectors".
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from isa import operand_kinds as kinds
from isa.notation import Form, load_table
from isa.registers import (
    CS,
    DS,
    ECX,
    EDI,
    EFLAGS_CF,
    EFLAGS_DF,
    EFLAGS_OF,
    EFLAGS_STATUS,
    ES,
    ESI,
    ESP,
    SS,
)
from isa.vectors import DE, GP
from isa.vectors import SS as STACK_FAULT
from tests.oracles.recorded_vectors import FLAGS, Recorded

SHIFTS = frozenset({"ROL", "ROR", "RCL", "RCR", "SHL", "SHR", "SAR"})
SEGMENT_PREFIXES = {0x26: ES, 0x2E: CS, 0x36: SS, 0x3E: DS}
LOCK, REPEAT = 0xF0, (0xF2, 0xF3)
PREFIXES = frozenset({*SEGMENT_PREFIXES, LOCK, *REPEAT})
_STACK = "POP POP_SREG POPA POPF RET RET_FAR IRET LEAVE PUSH PUSH_SREG PUSHA PUSHF ENTER CALL"
STACK_OPERATIONS = frozenset(_STACK.split())
LONGEST_286 = 10
FIRST_386_SEGMENT = 4  # FS
READ_BY_SI = frozenset({"MOVS", "CMPS", "LODS", "OUTS"})
USE_DI = frozenset({"MOVS", "CMPS", "STOS", "SCAS", "INS"})
STRINGS = READ_BY_SI | USE_DI

# Rule -> tests it concerns; what differs, and where that is said.
RULES = {
    "lock": (
        3530,
        "the 80286 takes LOCK before any instruction; since the 80386 it is #UD except before the "
        "listed ones with a memory destination (SDM vol. 2, LOCK; vol. 3A, New Exceptions)",
    ),
    "length": (
        28,
        "the 80286 raises exception 13 for more than 10 bytes; later processors allow 15 (SDM vol. "
        "3A, Instruction Length)",
    ),
    "segments": (
        8,
        "MOV to and from segment registers 4 and 5 is undefined on the 80286; they are FS and GS "
        "since the 80386 (SDM vol. 2, MOV)",
    ),
    "wrong quotient": (
        1,
        "one recorded IDIV gives a quotient that, times the divisor, plus the remainder, is not "
        "the dividend: an error of the recorded processor or of the recording (SDM vol. 2, IDIV)",
    ),
    "stack fault": (
        94,
        "an operand in the stack segment that wraps at FFFF raises exception 13 on the 80286 in "
        "real mode, and 12 since the 80386: compared with the handler at vector 12 (SDM vol. 3A, "
        "Interrupt 12, Stack Fault Exception)",
    ),
    "not restartable": (
        258,
        "the 80286 has changed SI, DI, CX or SP when these fault in real mode; since the 80386 a "
        "fault restores the state: compared with that (SDM vol. 3A, Exception Classifications)",
    ),
    "flags of #DE": (
        3,
        "after AAM by zero the 80286 pushes flags of its unfinished work; a fault restores the "
        "flags: status flags not compared (SDM vol. 3A, Exception Classifications)",
    ),
}


@cache
def form_of(name: str) -> Form | None:
    """The table's row in 16-bit code of an opcode form such as "F7.6", or None."""
    opcode, _, digit = name.partition(".")
    for form in load_table():
        encoding = form.encoding
        if encoding.two_byte or encoding.mandatory:
            continue
        if encoding.operand_size == 32 or encoding.address_size == 32:
            continue
        if int(opcode, 16) not in encoding.opcodes():
            continue
        if digit and encoding.digits is not None and int(digit) not in encoding.digits:
            continue
        return form
    return None


def prefixes(test: Recorded) -> bytes:
    """The prefix bytes of a test's instruction."""
    code = test.code
    return code[: next(at for at, byte in enumerate(code) if byte not in PREFIXES)]


def modrm(test: Recorded) -> int:
    """The ModRM byte of a test's instruction, if its form has one; else -1."""
    form = form_of(test.form)
    at = len(prefixes(test)) + 1
    return test.code[at] if form is not None and form.encoding.has_modrm else -1


def undefined_flags(test: Recorded) -> int:
    """The flags the SDM leaves undefined after a test: the table's column, and shift counts."""
    form = form_of(test.form)
    if form is None:
        return 0
    undefined = form.flags.get("u", 0)
    if form.operation not in SHIFTS:
        return undefined
    count = shift_count(test)
    if count == 0:
        return 0
    undefined = undefined & ~EFLAGS_OF if count == 1 else undefined | EFLAGS_OF
    if form.operation in ("SHL", "SHR") and count >= form.data_bits:
        undefined |= EFLAGS_CF
    return undefined


def shift_count(test: Recorded) -> int:
    """The count of a shift or rotate, masked to five bits."""
    opcode = test.form[:2]
    if opcode in ("D0", "D1"):
        return 1
    return (test.code[-1] if opcode in ("C0", "C1") else int(test.before[1])) & 31


def operand_segment(test: Recorded) -> int:
    """The segment of a test's memory operand."""
    form = form_of(test.form)
    if form is not None and form.operation in STACK_OPERATIONS and modrm(test) < 0:
        return SS
    override = [SEGMENT_PREFIXES[byte] for byte in prefixes(test) if byte in SEGMENT_PREFIXES]
    if override:
        return override[-1]
    byte = modrm(test)
    uses_bp = byte >= 0 and (byte & 7 in (2, 3) or (byte & 7 == 6 and byte < 0xC0 and byte >= 0x40))
    return SS if uses_bp else DS


def whole_length(test: Recorded) -> int:
    """Bytes of a test's instruction, also where the recording names the first ones only."""
    form, byte = form_of(test.form), modrm(test)
    if form is None:
        return test.length
    length = len(prefixes(test)) + 1 + sum(map(immediate_bytes, form.encoding.immediates))
    if byte >= 0:
        direct = byte & 0xC7 == 0x06
        length += 1 + (2 if direct else (0, 1, 2, 0)[byte >> 6])
    return max(length, test.length)


def immediate_bytes(word: str) -> int:
    """Bytes of an immediate by its word of the table."""
    return {"ib": 1, "ibs": 1, "iw": 2, "id": 4, "cb": 1, "cw": 2, "cd": 4}[word]


def is_wrong_quotient(test: Recorded) -> bool:
    """Whether a recorded IDIV of two byte registers contradicts arithmetic."""
    byte = modrm(test)
    if test.form != "F6.7" or byte < 0xC0 or test.exception >= 0:
        return False
    register = int(test.before[byte & 3]) >> (8 if byte & 4 else 0)
    quotient, remainder = signed(int(test.after[0]), 8), signed(int(test.after[0]) >> 8, 8)
    return quotient * signed(register, 8) + remainder != signed(int(test.before[0]), 16)


def signed(value: int, bits: int) -> int:
    """The low bits of a value as a signed number."""
    top = 1 << bits - 1
    return (value & 2 * top - 1 ^ top) - top


def left_out(test: Recorded) -> str | None:
    """Name of the rule by which a test is left out, or None."""
    form = form_of(test.form)
    if is_wrong_quotient(test):
        return "wrong quotient"
    if whole_length(test) > LONGEST_286:
        return "length"
    if LOCK in prefixes(test) and (form is None or not form.lockable or modrm(test) >= 0xC0):
        return "lock"
    if form is not None and kinds.K_SREG in form.kinds and form.encoding.has_modrm:
        if modrm(test) >> 3 & 7 in (FIRST_386_SEGMENT, FIRST_386_SEGMENT + 1):
            return "segments"
    return None


def adapted(test: Recorded) -> tuple[Recorded, int, str | None]:
    """A test as a P6 should pass it, flags that are not compared, and the rule that was used."""
    undefined = undefined_flags(test)
    form = form_of(test.form)
    operation = form.operation if form is not None else ""
    if test.exception == DE and operation == "AAM":
        return test, EFLAGS_STATUS, "flags of #DE"
    if test.exception != GP or operation == "INT":
        return test, undefined, None
    if operation in STRINGS:
        return _string_not_started(test, operation), undefined, "not restartable"
    if operation == "POP" and modrm(test) >= 0:
        return _pop_not_started(test), undefined, "not restartable"
    if operand_segment(test) == SS:
        return _through_vector_12(test), undefined, "stack fault"
    return test, undefined, None


def _through_vector_12(test: Recorded) -> Recorded:
    in_entry = test.places >> 2 == GP
    return replace(
        test, places=np.where(in_entry, test.places - 4 * (GP - STACK_FAULT), test.places)
    )


def _string_not_started(test: Recorded, operation: str) -> Recorded:
    """With SI, DI and CX as before the element that faulted, the first one at FFFF."""
    before, after = test.before, test.after.copy()
    step = -2 if before[FLAGS] & EFLAGS_DF else 2
    reads, uses_di = operation in READ_BY_SI, operation in USE_DI
    repeated = any(byte in REPEAT for byte in prefixes(test))
    for done in range(int(before[ECX]) if repeated else 1):
        after[ECX] = before[ECX] - done
        after[ESI] = before[ESI] + step * done * reads & 0xFFFF
        after[EDI] = before[EDI] + step * done * uses_di & 0xFFFF
        if (reads and after[ESI] == 0xFFFF) or (uses_di and after[EDI] == 0xFFFF):
            break
    changed = replace(test, after=after)
    on_stack = reads and operand_segment(test) == SS and after[ESI] == 0xFFFF
    return _through_vector_12(changed) if on_stack else changed


def _pop_not_started(test: Recorded) -> Recorded:
    """With SP, and what was pushed, as if the POP that faulted had left SP alone."""
    after = test.after.copy()
    after[ESP] = after[ESP] - 2 & 0xFFFF
    moved = replace(test, after=after, changed_places=test.changed_places - 2)
    return _through_vector_12(moved) if operand_segment(test) == SS else moved
