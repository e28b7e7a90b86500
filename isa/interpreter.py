"""The interpreter: one loop over operation records, and the slow entry around it.

The loop carries the number of the next record. Specialised operations finish themselves on plain
RAM and `continue`; whatever they cannot do (a TLB miss, device memory, a page with code, a fault)
falls through to the cold path, where the same record is interpreted generally. Control transfers
leave `eip` behind and meet at the bottom: a linked record, the jump cache, or the slow entry.

Counting: entering a block takes all its instructions from the budget at once; leaving it early
gives the rest back. A block that would cross the deadline is decoded again, shorter.

This is the one function that is longer than a screen on purpose: numba compiles one dispatch loop,
and every branch uses names of its own because shared ones make its compile time explode.

Source: SDM vol. 2 for every operation; DESIGN of the loop: docs/architecture.md.
"""

from isa import workspace as w
from isa.accounts import raise_fault
from isa.cold import cold
from isa.entry import after_trouble, enter, finish, software_interrupt, start
from isa.flags import carry, condition, overflow, parity, sign
from isa.hot import (
    adc32,
    address,
    entry_of,
    following,
    imul32,
    less,
    may_read,
    may_write,
    mul32,
    read8,
    relative,
    rol32,
    ror32,
    sar32,
    sbb32,
    set_add32,
    set_dec32,
    set_inc32,
    set_logic8,
    set_logic32,
    set_sub8,
    set_sub32,
    shl32,
    shr32,
    write8,
)
from isa.jit import jit, load8, load16, load32, pointer, store8, store16, store32
from isa.records import (
    DONE,
    HANDLER_MASK,
    LEFT_SHIFT,
    LENGTH_SHIFT,
    OFFSET_MASK,
    OFFSET_SHIFT,
    PAGE_SHIFT,
    TRANSFER,
)
from isa.registers import CS, EFLAGS_TF, ESP
from isa.specialise import FIRST_DIRECT, FIRST_HOT, H_END, HOT
from isa.state import EFLAGS, EIP, GPR, LIMIT, PENDING_DEBUG, PENDING_INTERRUPT, State
from isa.vectors import GP
from isa.workspace import LF_RESULT, OPS, OPS_MASK, SCRATCH_RECORDS, Bytes, Workspace

M32 = 0xFFFFFFFF

ADC32_RI = HOT["ADC32_RI"]
ADC32_RR = HOT["ADC32_RR"]
ADD32_MI = HOT["ADD32_MI"]
ADD32_MR = HOT["ADD32_MR"]
ADD32_RI = HOT["ADD32_RI"]
ADD32_RM = HOT["ADD32_RM"]
ADD32_RR = HOT["ADD32_RR"]
AND8_RI = HOT["AND8_RI"]
AND32_MI = HOT["AND32_MI"]
AND32_MR = HOT["AND32_MR"]
AND32_RI = HOT["AND32_RI"]
AND32_RM = HOT["AND32_RM"]
AND32_RR = HOT["AND32_RR"]
CALL = HOT["CALL"]
CALL_M = HOT["CALL_M"]
CALL_R = HOT["CALL_R"]
CDQ = HOT["CDQ"]
CMOVCC_RR = HOT["CMOVCC_RR"]
CMP32_MI = HOT["CMP32_MI"]
CMP32_MR = HOT["CMP32_MR"]
CMP32_RI = HOT["CMP32_RI"]
CMP32_RM = HOT["CMP32_RM"]
CMP32_RR = HOT["CMP32_RR"]
CMP8_MI = HOT["CMP8_MI"]
CMP8_RI = HOT["CMP8_RI"]
CMP8_RM = HOT["CMP8_RM"]
CMP8_RR = HOT["CMP8_RR"]
DEC32_M = HOT["DEC32_M"]
DEC32_R = HOT["DEC32_R"]
IMUL32_RM = HOT["IMUL32_RM"]
IMUL32_RR = HOT["IMUL32_RR"]
IMUL32_RRI = HOT["IMUL32_RRI"]
INC32_M = HOT["INC32_M"]
INC32_R = HOT["INC32_R"]
JA = HOT["JA"]
JAE = HOT["JAE"]
JB = HOT["JB"]
JBE = HOT["JBE"]
JE = HOT["JE"]
JG = HOT["JG"]
JGE = HOT["JGE"]
JL = HOT["JL"]
JLE = HOT["JLE"]
JMP = HOT["JMP"]
JMP_M = HOT["JMP_M"]
JMP_R = HOT["JMP_R"]
JNE = HOT["JNE"]
JNO = HOT["JNO"]
JNP = HOT["JNP"]
JNS = HOT["JNS"]
JO = HOT["JO"]
JP = HOT["JP"]
JS = HOT["JS"]
LEA = HOT["LEA"]
LEAVE = HOT["LEAVE"]
MOV16_MR = HOT["MOV16_MR"]
MOV16_RM = HOT["MOV16_RM"]
MOV32_MI = HOT["MOV32_MI"]
MOV32_MR = HOT["MOV32_MR"]
MOV32_RI = HOT["MOV32_RI"]
MOV32_RM = HOT["MOV32_RM"]
MOV32_RR = HOT["MOV32_RR"]
MOV8_MI = HOT["MOV8_MI"]
MOV8_MR = HOT["MOV8_MR"]
MOV8_RI = HOT["MOV8_RI"]
MOV8_RM = HOT["MOV8_RM"]
MOV8_RR = HOT["MOV8_RR"]
MOVSX16_RM = HOT["MOVSX16_RM"]
MOVSX16_RR = HOT["MOVSX16_RR"]
MOVSX8_RM = HOT["MOVSX8_RM"]
MOVSX8_RR = HOT["MOVSX8_RR"]
MOVZX16_RM = HOT["MOVZX16_RM"]
MOVZX16_RR = HOT["MOVZX16_RR"]
MOVZX8_RM = HOT["MOVZX8_RM"]
MOVZX8_RR = HOT["MOVZX8_RR"]
MUL32_R = HOT["MUL32_R"]
NEG32_R = HOT["NEG32_R"]
NOP = HOT["NOP"]
NOT32_R = HOT["NOT32_R"]
OR32_MI = HOT["OR32_MI"]
OR32_MR = HOT["OR32_MR"]
OR32_RI = HOT["OR32_RI"]
OR32_RM = HOT["OR32_RM"]
OR32_RR = HOT["OR32_RR"]
POP32_R = HOT["POP32_R"]
PUSH32_I = HOT["PUSH32_I"]
PUSH32_M = HOT["PUSH32_M"]
PUSH32_R = HOT["PUSH32_R"]
RET = HOT["RET"]
RET_I = HOT["RET_I"]
ROL32_RI = HOT["ROL32_RI"]
ROR32_RI = HOT["ROR32_RI"]
SAR32_RC = HOT["SAR32_RC"]
SAR32_RI = HOT["SAR32_RI"]
SBB32_RI = HOT["SBB32_RI"]
SBB32_RR = HOT["SBB32_RR"]
SETCC_R = HOT["SETCC_R"]
SHL32_RC = HOT["SHL32_RC"]
SHL32_RI = HOT["SHL32_RI"]
SHR32_RC = HOT["SHR32_RC"]
SHR32_RI = HOT["SHR32_RI"]
SUB32_MI = HOT["SUB32_MI"]
SUB32_MR = HOT["SUB32_MR"]
SUB32_RI = HOT["SUB32_RI"]
SUB32_RM = HOT["SUB32_RM"]
SUB32_RR = HOT["SUB32_RR"]
TEST32_MR = HOT["TEST32_MR"]
TEST32_RI = HOT["TEST32_RI"]
TEST32_RR = HOT["TEST32_RR"]
TEST8_MI = HOT["TEST8_MI"]
TEST8_RI = HOT["TEST8_RI"]
TEST8_RR = HOT["TEST8_RR"]
XCHG32_RR = HOT["XCHG32_RR"]
XOR8_RR = HOT["XOR8_RR"]
XOR32_MI = HOT["XOR32_MI"]
XOR32_MR = HOT["XOR32_MR"]
XOR32_RI = HOT["XOR32_RI"]
XOR32_RM = HOT["XOR32_RM"]
XOR32_RR = HOT["XOR32_RR"]

CODE_LIMIT = LIMIT + CS


@jit
def undo_transfer(cpu: State, core: Workspace, at: int) -> None:
    """#GP(0) for a specialised branch, jump or return beyond the limit of the code segment.

    Calls look at the limit before they push; the others do what can be taken back, so that the
    usual case, a target that the jump cache knows, costs nothing.
    """
    op = core[at] & HANDLER_MASK
    if op == RET or op == RET_I:
        cpu[GPR + ESP] = cpu[GPR + ESP] - 4 - core[at + 2] & M32
    raise_fault(core, GP, 0)


@jit
def interpret(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, budget: int) -> int:
    """The loop."""
    start(cpu, core, budget)
    while True:
        ip = enter(cpu, core, ram, marks)
        if ip < 0:
            return finish(cpu, core)
        at = OPS + (ip & OPS_MASK) * 4
        delta = cpu[EIP] - (core[at + 1] >> OFFSET_SHIFT & OFFSET_MASK)
        budget = core[w.BUDGET]
        while True:
            at = OPS + (ip & OPS_MASK) * 4
            head = core[at]
            op = head & 0x3FF
            eip = -1
            link = 0
            if op == MOV32_RM:
                g1 = address(cpu, core, at, head)
                e1 = entry_of(core, g1)
                if may_read(core, e1, g1 + 3):
                    cpu[head >> 10 & 7] = load32(ram, g1 + core[e1 + 3])
                    ip += 1
                    continue
            elif op == MOV32_MR:
                g2 = address(cpu, core, at, head)
                e2 = entry_of(core, g2)
                if may_write(core, e2, g2 + 3):
                    store32(ram, g2 + core[e2 + 3], cpu[head >> 10 & 7])
                    ip += 1
                    continue
            elif op == MOV32_RR:
                cpu[head >> 10 & 7] = cpu[head >> 14 & 7]
                ip += 1
                continue
            elif op == MOV32_RI:
                cpu[head >> 10 & 7] = core[at + 2]
                ip += 1
                continue
            elif op == MOV32_MI:
                g3 = address(cpu, core, at, head)
                e3 = entry_of(core, g3)
                if may_write(core, e3, g3 + 3):
                    store32(ram, g3 + core[e3 + 3], core[at + 2])
                    ip += 1
                    continue
            elif op == ADD32_RR:
                x4 = cpu[head >> 10 & 7]
                y4 = cpu[head >> 14 & 7]
                r4 = x4 + y4 & M32
                set_add32(core, x4, y4, r4)
                cpu[head >> 10 & 7] = r4
                ip += 1
                continue
            elif op == ADD32_RI:
                x5 = cpu[head >> 10 & 7]
                y5 = core[at + 2]
                r5 = x5 + y5 & M32
                set_add32(core, x5, y5, r5)
                cpu[head >> 10 & 7] = r5
                ip += 1
                continue
            elif op == ADD32_RM:
                g6 = address(cpu, core, at, head)
                e6 = entry_of(core, g6)
                if may_read(core, e6, g6 + 3):
                    x6 = cpu[head >> 10 & 7]
                    y6 = load32(ram, g6 + core[e6 + 3])
                    r6 = x6 + y6 & M32
                    set_add32(core, x6, y6, r6)
                    cpu[head >> 10 & 7] = r6
                    ip += 1
                    continue
            elif op == ADD32_MR:
                g7 = address(cpu, core, at, head)
                e7 = entry_of(core, g7)
                if may_write(core, e7, g7 + 3):
                    m7 = g7 + core[e7 + 3]
                    x7 = load32(ram, m7)
                    y7 = cpu[head >> 10 & 7]
                    r7 = x7 + y7 & M32
                    set_add32(core, x7, y7, r7)
                    store32(ram, m7, r7)
                    ip += 1
                    continue
            elif op == ADD32_MI:
                g8 = address(cpu, core, at, head)
                e8 = entry_of(core, g8)
                if may_write(core, e8, g8 + 3):
                    m8 = g8 + core[e8 + 3]
                    x8 = load32(ram, m8)
                    y8 = core[at + 2]
                    r8 = x8 + y8 & M32
                    set_add32(core, x8, y8, r8)
                    store32(ram, m8, r8)
                    ip += 1
                    continue
            elif op == SUB32_RR:
                x9 = cpu[head >> 10 & 7]
                y9 = cpu[head >> 14 & 7]
                r9 = x9 - y9 & M32
                set_sub32(core, x9, y9, r9)
                cpu[head >> 10 & 7] = r9
                ip += 1
                continue
            elif op == SUB32_RI:
                x10 = cpu[head >> 10 & 7]
                y10 = core[at + 2]
                r10 = x10 - y10 & M32
                set_sub32(core, x10, y10, r10)
                cpu[head >> 10 & 7] = r10
                ip += 1
                continue
            elif op == SUB32_RM:
                g11 = address(cpu, core, at, head)
                e11 = entry_of(core, g11)
                if may_read(core, e11, g11 + 3):
                    x11 = cpu[head >> 10 & 7]
                    y11 = load32(ram, g11 + core[e11 + 3])
                    r11 = x11 - y11 & M32
                    set_sub32(core, x11, y11, r11)
                    cpu[head >> 10 & 7] = r11
                    ip += 1
                    continue
            elif op == SUB32_MR:
                g12 = address(cpu, core, at, head)
                e12 = entry_of(core, g12)
                if may_write(core, e12, g12 + 3):
                    m12 = g12 + core[e12 + 3]
                    x12 = load32(ram, m12)
                    y12 = cpu[head >> 10 & 7]
                    r12 = x12 - y12 & M32
                    set_sub32(core, x12, y12, r12)
                    store32(ram, m12, r12)
                    ip += 1
                    continue
            elif op == SUB32_MI:
                g13 = address(cpu, core, at, head)
                e13 = entry_of(core, g13)
                if may_write(core, e13, g13 + 3):
                    m13 = g13 + core[e13 + 3]
                    x13 = load32(ram, m13)
                    y13 = core[at + 2]
                    r13 = x13 - y13 & M32
                    set_sub32(core, x13, y13, r13)
                    store32(ram, m13, r13)
                    ip += 1
                    continue
            elif op == CMP32_RR:
                x14 = cpu[head >> 10 & 7]
                y14 = cpu[head >> 14 & 7]
                r14 = x14 - y14 & M32
                set_sub32(core, x14, y14, r14)
                ip += 1
                continue
            elif op == CMP32_RI:
                x15 = cpu[head >> 10 & 7]
                y15 = core[at + 2]
                r15 = x15 - y15 & M32
                set_sub32(core, x15, y15, r15)
                ip += 1
                continue
            elif op == CMP32_RM:
                g16 = address(cpu, core, at, head)
                e16 = entry_of(core, g16)
                if may_read(core, e16, g16 + 3):
                    x16 = cpu[head >> 10 & 7]
                    y16 = load32(ram, g16 + core[e16 + 3])
                    r16 = x16 - y16 & M32
                    set_sub32(core, x16, y16, r16)
                    ip += 1
                    continue
            elif op == CMP32_MR:
                g17 = address(cpu, core, at, head)
                e17 = entry_of(core, g17)
                if may_read(core, e17, g17 + 3):
                    m17 = g17 + core[e17 + 3]
                    x17 = load32(ram, m17)
                    y17 = cpu[head >> 10 & 7]
                    r17 = x17 - y17 & M32
                    set_sub32(core, x17, y17, r17)
                    ip += 1
                    continue
            elif op == CMP32_MI:
                g18 = address(cpu, core, at, head)
                e18 = entry_of(core, g18)
                if may_read(core, e18, g18 + 3):
                    m18 = g18 + core[e18 + 3]
                    x18 = load32(ram, m18)
                    y18 = core[at + 2]
                    r18 = x18 - y18 & M32
                    set_sub32(core, x18, y18, r18)
                    ip += 1
                    continue
            elif op == AND32_RR:
                x19 = cpu[head >> 10 & 7]
                y19 = cpu[head >> 14 & 7]
                r19 = x19 & y19
                set_logic32(core, r19)
                cpu[head >> 10 & 7] = r19
                ip += 1
                continue
            elif op == AND32_RI:
                x20 = cpu[head >> 10 & 7]
                y20 = core[at + 2]
                r20 = x20 & y20
                set_logic32(core, r20)
                cpu[head >> 10 & 7] = r20
                ip += 1
                continue
            elif op == AND32_RM:
                g21 = address(cpu, core, at, head)
                e21 = entry_of(core, g21)
                if may_read(core, e21, g21 + 3):
                    x21 = cpu[head >> 10 & 7]
                    y21 = load32(ram, g21 + core[e21 + 3])
                    r21 = x21 & y21
                    set_logic32(core, r21)
                    cpu[head >> 10 & 7] = r21
                    ip += 1
                    continue
            elif op == AND32_MR:
                g22 = address(cpu, core, at, head)
                e22 = entry_of(core, g22)
                if may_write(core, e22, g22 + 3):
                    m22 = g22 + core[e22 + 3]
                    x22 = load32(ram, m22)
                    y22 = cpu[head >> 10 & 7]
                    r22 = x22 & y22
                    set_logic32(core, r22)
                    store32(ram, m22, r22)
                    ip += 1
                    continue
            elif op == AND32_MI:
                g23 = address(cpu, core, at, head)
                e23 = entry_of(core, g23)
                if may_write(core, e23, g23 + 3):
                    m23 = g23 + core[e23 + 3]
                    x23 = load32(ram, m23)
                    y23 = core[at + 2]
                    r23 = x23 & y23
                    set_logic32(core, r23)
                    store32(ram, m23, r23)
                    ip += 1
                    continue
            elif op == OR32_RR:
                x24 = cpu[head >> 10 & 7]
                y24 = cpu[head >> 14 & 7]
                r24 = x24 | y24
                set_logic32(core, r24)
                cpu[head >> 10 & 7] = r24
                ip += 1
                continue
            elif op == OR32_RI:
                x25 = cpu[head >> 10 & 7]
                y25 = core[at + 2]
                r25 = x25 | y25
                set_logic32(core, r25)
                cpu[head >> 10 & 7] = r25
                ip += 1
                continue
            elif op == OR32_RM:
                g26 = address(cpu, core, at, head)
                e26 = entry_of(core, g26)
                if may_read(core, e26, g26 + 3):
                    x26 = cpu[head >> 10 & 7]
                    y26 = load32(ram, g26 + core[e26 + 3])
                    r26 = x26 | y26
                    set_logic32(core, r26)
                    cpu[head >> 10 & 7] = r26
                    ip += 1
                    continue
            elif op == OR32_MR:
                g27 = address(cpu, core, at, head)
                e27 = entry_of(core, g27)
                if may_write(core, e27, g27 + 3):
                    m27 = g27 + core[e27 + 3]
                    x27 = load32(ram, m27)
                    y27 = cpu[head >> 10 & 7]
                    r27 = x27 | y27
                    set_logic32(core, r27)
                    store32(ram, m27, r27)
                    ip += 1
                    continue
            elif op == OR32_MI:
                g28 = address(cpu, core, at, head)
                e28 = entry_of(core, g28)
                if may_write(core, e28, g28 + 3):
                    m28 = g28 + core[e28 + 3]
                    x28 = load32(ram, m28)
                    y28 = core[at + 2]
                    r28 = x28 | y28
                    set_logic32(core, r28)
                    store32(ram, m28, r28)
                    ip += 1
                    continue
            elif op == XOR32_RR:
                x29 = cpu[head >> 10 & 7]
                y29 = cpu[head >> 14 & 7]
                r29 = x29 ^ y29
                set_logic32(core, r29)
                cpu[head >> 10 & 7] = r29
                ip += 1
                continue
            elif op == XOR32_RI:
                x30 = cpu[head >> 10 & 7]
                y30 = core[at + 2]
                r30 = x30 ^ y30
                set_logic32(core, r30)
                cpu[head >> 10 & 7] = r30
                ip += 1
                continue
            elif op == XOR32_RM:
                g31 = address(cpu, core, at, head)
                e31 = entry_of(core, g31)
                if may_read(core, e31, g31 + 3):
                    x31 = cpu[head >> 10 & 7]
                    y31 = load32(ram, g31 + core[e31 + 3])
                    r31 = x31 ^ y31
                    set_logic32(core, r31)
                    cpu[head >> 10 & 7] = r31
                    ip += 1
                    continue
            elif op == XOR32_MR:
                g32 = address(cpu, core, at, head)
                e32 = entry_of(core, g32)
                if may_write(core, e32, g32 + 3):
                    m32 = g32 + core[e32 + 3]
                    x32 = load32(ram, m32)
                    y32 = cpu[head >> 10 & 7]
                    r32 = x32 ^ y32
                    set_logic32(core, r32)
                    store32(ram, m32, r32)
                    ip += 1
                    continue
            elif op == XOR32_MI:
                g33 = address(cpu, core, at, head)
                e33 = entry_of(core, g33)
                if may_write(core, e33, g33 + 3):
                    m33 = g33 + core[e33 + 3]
                    x33 = load32(ram, m33)
                    y33 = core[at + 2]
                    r33 = x33 ^ y33
                    set_logic32(core, r33)
                    store32(ram, m33, r33)
                    ip += 1
                    continue
            elif op == TEST32_RR:
                x34 = cpu[head >> 10 & 7]
                y34 = cpu[head >> 14 & 7]
                r34 = x34 & y34
                set_logic32(core, r34)
                ip += 1
                continue
            elif op == TEST32_RI:
                x35 = cpu[head >> 10 & 7]
                y35 = core[at + 2]
                r35 = x35 & y35
                set_logic32(core, r35)
                ip += 1
                continue
            elif op == TEST32_MR:
                g36 = address(cpu, core, at, head)
                e36 = entry_of(core, g36)
                if may_read(core, e36, g36 + 3):
                    m36 = g36 + core[e36 + 3]
                    x36 = load32(ram, m36)
                    y36 = cpu[head >> 10 & 7]
                    r36 = x36 & y36
                    set_logic32(core, r36)
                    ip += 1
                    continue
            elif op == LEA:
                cpu[head >> 10 & 7] = address(cpu, core, at, head)
                ip += 1
                continue
            elif op == INC32_R:
                v1 = cpu[head >> 10 & 7] + 1 & M32
                cpu[head >> 10 & 7] = v1
                set_inc32(core, v1)
                ip += 1
                continue
            elif op == DEC32_R:
                v2 = cpu[head >> 10 & 7] - 1 & M32
                cpu[head >> 10 & 7] = v2
                set_dec32(core, v2)
                ip += 1
                continue
            elif op == INC32_M:
                g37 = address(cpu, core, at, head)
                e37 = entry_of(core, g37)
                if may_write(core, e37, g37 + 3):
                    p37 = g37 + core[e37 + 3]
                    v37 = load32(ram, p37) + 1 & M32
                    store32(ram, p37, v37)
                    set_inc32(core, v37)
                    ip += 1
                    continue
            elif op == DEC32_M:
                g38 = address(cpu, core, at, head)
                e38 = entry_of(core, g38)
                if may_write(core, e38, g38 + 3):
                    p38 = g38 + core[e38 + 3]
                    v38 = load32(ram, p38) - 1 & M32
                    store32(ram, p38, v38)
                    set_dec32(core, v38)
                    ip += 1
                    continue
            elif op == JE:
                if core[LF_RESULT] == 0:
                    eip = relative(core, at, head, delta)
                    link = core[at + 3]
                else:
                    ip += 1
                    continue
            elif op == JNE:
                if core[LF_RESULT] != 0:
                    eip = relative(core, at, head, delta)
                    link = core[at + 3]
                else:
                    ip += 1
                    continue
            elif op == JB:
                if carry(core):
                    eip = relative(core, at, head, delta)
                    link = core[at + 3]
                else:
                    ip += 1
                    continue
            elif op == JAE:
                if not carry(core):
                    eip = relative(core, at, head, delta)
                    link = core[at + 3]
                else:
                    ip += 1
                    continue
            elif op == JBE:
                if core[LF_RESULT] == 0 or carry(core):
                    eip = relative(core, at, head, delta)
                    link = core[at + 3]
                else:
                    ip += 1
                    continue
            elif op == JA:
                if core[LF_RESULT] != 0 and not carry(core):
                    eip = relative(core, at, head, delta)
                    link = core[at + 3]
                else:
                    ip += 1
                    continue
            elif op == JL:
                if less(core):
                    eip = relative(core, at, head, delta)
                    link = core[at + 3]
                else:
                    ip += 1
                    continue
            elif op == JGE:
                if not less(core):
                    eip = relative(core, at, head, delta)
                    link = core[at + 3]
                else:
                    ip += 1
                    continue
            elif op == JLE:
                if core[LF_RESULT] == 0 or less(core):
                    eip = relative(core, at, head, delta)
                    link = core[at + 3]
                else:
                    ip += 1
                    continue
            elif op == JG:
                if core[LF_RESULT] != 0 and not less(core):
                    eip = relative(core, at, head, delta)
                    link = core[at + 3]
                else:
                    ip += 1
                    continue
            elif op == JS:
                if sign(core):
                    eip = relative(core, at, head, delta)
                    link = core[at + 3]
                else:
                    ip += 1
                    continue
            elif op == JNS:
                if not sign(core):
                    eip = relative(core, at, head, delta)
                    link = core[at + 3]
                else:
                    ip += 1
                    continue
            elif op == JO:
                if overflow(core):
                    eip = relative(core, at, head, delta)
                    link = core[at + 3]
                else:
                    ip += 1
                    continue
            elif op == JNO:
                if not overflow(core):
                    eip = relative(core, at, head, delta)
                    link = core[at + 3]
                else:
                    ip += 1
                    continue
            elif op == JP:
                if parity(core):
                    eip = relative(core, at, head, delta)
                    link = core[at + 3]
                else:
                    ip += 1
                    continue
            elif op == JNP:
                if not parity(core):
                    eip = relative(core, at, head, delta)
                    link = core[at + 3]
                else:
                    ip += 1
                    continue
            elif op == JMP:
                eip = relative(core, at, head, delta)
                link = core[at + 3]
            elif op == CALL:
                s501 = cpu[4] - 4 & M32
                t501 = entry_of(core, s501)
                c0 = relative(core, at, head, delta)
                if may_write(core, t501, s501 + 3) and c0 <= cpu[CODE_LIMIT]:
                    store32(ram, s501 + core[t501 + 3], following(core, at, head, delta))
                    cpu[4] = s501
                    eip = c0
                    link = core[at + 3]
            elif op == RET:
                s1 = cpu[4]
                t1 = entry_of(core, s1)
                if may_read(core, t1, s1 + 3):
                    eip = load32(ram, s1 + core[t1 + 3])
                    cpu[4] = s1 + 4 & M32
            elif op == RET_I:
                s2 = cpu[4]
                t2 = entry_of(core, s2)
                if may_read(core, t2, s2 + 3):
                    eip = load32(ram, s2 + core[t2 + 3])
                    cpu[4] = s2 + 4 + core[at + 2] & M32
            elif op == PUSH32_R:
                s502 = cpu[4] - 4 & M32
                t502 = entry_of(core, s502)
                if may_write(core, t502, s502 + 3):
                    store32(ram, s502 + core[t502 + 3], cpu[head >> 14 & 7])
                    cpu[4] = s502
                    ip += 1
                    continue
            elif op == PUSH32_I:
                s503 = cpu[4] - 4 & M32
                t503 = entry_of(core, s503)
                if may_write(core, t503, s503 + 3):
                    store32(ram, s503 + core[t503 + 3], core[at + 2])
                    cpu[4] = s503
                    ip += 1
                    continue
            elif op == PUSH32_M:
                g900 = address(cpu, core, at, head)
                e900 = entry_of(core, g900)
                s900 = cpu[4] - 4 & M32
                t900 = entry_of(core, s900)
                if may_read(core, e900, g900 + 3) and may_write(core, t900, s900 + 3):
                    store32(ram, s900 + core[t900 + 3], load32(ram, g900 + core[e900 + 3]))
                    cpu[4] = s900
                    ip += 1
                    continue
            elif op == POP32_R:
                s3 = cpu[4]
                t3 = entry_of(core, s3)
                if may_read(core, t3, s3 + 3):
                    cpu[4] = s3 + 4 & M32
                    cpu[head >> 14 & 7] = load32(ram, s3 + core[t3 + 3])
                    ip += 1
                    continue
            elif op == LEAVE:
                s4 = cpu[5]
                t4 = entry_of(core, s4)
                if may_read(core, t4, s4 + 3):
                    cpu[4] = s4 + 4 & M32
                    cpu[5] = load32(ram, s4 + core[t4 + 3])
                    ip += 1
                    continue
            elif op == JMP_R:
                eip = cpu[head >> 14 & 7]
            elif op == JMP_M:
                g901 = address(cpu, core, at, head)
                e901 = entry_of(core, g901)
                if may_read(core, e901, g901 + 3):
                    eip = load32(ram, g901 + core[e901 + 3])
            elif op == CALL_R:
                c1 = cpu[head >> 14 & 7]
                s504 = cpu[4] - 4 & M32
                t504 = entry_of(core, s504)
                if may_write(core, t504, s504 + 3) and c1 <= cpu[CODE_LIMIT]:
                    store32(ram, s504 + core[t504 + 3], following(core, at, head, delta))
                    cpu[4] = s504
                    eip = c1
            elif op == CALL_M:
                g902 = address(cpu, core, at, head)
                e902 = entry_of(core, g902)
                s902 = cpu[4] - 4 & M32
                t902 = entry_of(core, s902)
                if may_read(core, e902, g902 + 3) and may_write(core, t902, s902 + 3):
                    c2 = load32(ram, g902 + core[e902 + 3])
                    if c2 <= cpu[CODE_LIMIT]:
                        store32(ram, s902 + core[t902 + 3], following(core, at, head, delta))
                        cpu[4] = s902
                        eip = c2
            elif op == MOV8_RM:
                g39 = address(cpu, core, at, head)
                e39 = entry_of(core, g39)
                if may_read(core, e39, g39):
                    write8(cpu, head >> 10 & 7, load8(ram, g39 + core[e39 + 3]))
                    ip += 1
                    continue
            elif op == MOV8_MR:
                g40 = address(cpu, core, at, head)
                e40 = entry_of(core, g40)
                if may_write(core, e40, g40):
                    store8(ram, g40 + core[e40 + 3], read8(cpu, head >> 10 & 7))
                    ip += 1
                    continue
            elif op == MOV8_MI:
                g41 = address(cpu, core, at, head)
                e41 = entry_of(core, g41)
                if may_write(core, e41, g41):
                    store8(ram, g41 + core[e41 + 3], core[at + 2])
                    ip += 1
                    continue
            elif op == MOV8_RR:
                write8(cpu, head >> 10 & 7, read8(cpu, head >> 14 & 7))
                ip += 1
                continue
            elif op == MOV8_RI:
                write8(cpu, head >> 10 & 7, core[at + 2])
                ip += 1
                continue
            elif op == MOV16_RM:
                g42 = address(cpu, core, at, head)
                e42 = entry_of(core, g42)
                if may_read(core, e42, g42 + 1):
                    q42 = head >> 10 & 7
                    cpu[q42] = cpu[q42] & 0xFFFF0000 | load16(ram, g42 + core[e42 + 3])
                    ip += 1
                    continue
            elif op == MOV16_MR:
                g43 = address(cpu, core, at, head)
                e43 = entry_of(core, g43)
                if may_write(core, e43, g43 + 1):
                    store16(ram, g43 + core[e43 + 3], cpu[head >> 10 & 7])
                    ip += 1
                    continue
            elif op == MOVZX8_RM:
                g44 = address(cpu, core, at, head)
                e44 = entry_of(core, g44)
                if may_read(core, e44, g44):
                    cpu[head >> 10 & 7] = load8(ram, g44 + core[e44 + 3])
                    ip += 1
                    continue
            elif op == MOVZX16_RM:
                g45 = address(cpu, core, at, head)
                e45 = entry_of(core, g45)
                if may_read(core, e45, g45 + 1):
                    cpu[head >> 10 & 7] = load16(ram, g45 + core[e45 + 3])
                    ip += 1
                    continue
            elif op == MOVSX8_RM:
                g46 = address(cpu, core, at, head)
                e46 = entry_of(core, g46)
                if may_read(core, e46, g46):
                    cpu[head >> 10 & 7] = (load8(ram, g46 + core[e46 + 3]) ^ 0x80) - 0x80 & M32
                    ip += 1
                    continue
            elif op == MOVSX16_RM:
                g47 = address(cpu, core, at, head)
                e47 = entry_of(core, g47)
                if may_read(core, e47, g47 + 1):
                    cpu[head >> 10 & 7] = (load16(ram, g47 + core[e47 + 3]) ^ 0x8000) - 0x8000 & M32
                    ip += 1
                    continue
            elif op == MOVZX8_RR:
                cpu[head >> 10 & 7] = read8(cpu, head >> 14 & 7)
                ip += 1
                continue
            elif op == MOVZX16_RR:
                cpu[head >> 10 & 7] = cpu[head >> 14 & 7] & 0xFFFF
                ip += 1
                continue
            elif op == MOVSX8_RR:
                cpu[head >> 10 & 7] = (read8(cpu, head >> 14 & 7) ^ 0x80) - 0x80 & M32
                ip += 1
                continue
            elif op == MOVSX16_RR:
                cpu[head >> 10 & 7] = (cpu[head >> 14 & 7] & 0xFFFF ^ 0x8000) - 0x8000 & M32
                ip += 1
                continue
            elif op == CMP8_RR:
                set_sub8(core, read8(cpu, head >> 10 & 7), read8(cpu, head >> 14 & 7))
                ip += 1
                continue
            elif op == CMP8_RI:
                set_sub8(core, read8(cpu, head >> 10 & 7), core[at + 2])
                ip += 1
                continue
            elif op == CMP8_RM:
                g48 = address(cpu, core, at, head)
                e48 = entry_of(core, g48)
                if may_read(core, e48, g48):
                    set_sub8(core, read8(cpu, head >> 10 & 7), load8(ram, g48 + core[e48 + 3]))
                    ip += 1
                    continue
            elif op == CMP8_MI:
                g49 = address(cpu, core, at, head)
                e49 = entry_of(core, g49)
                if may_read(core, e49, g49):
                    set_sub8(core, load8(ram, g49 + core[e49 + 3]), core[at + 2])
                    ip += 1
                    continue
            elif op == TEST8_RR:
                set_logic8(core, read8(cpu, head >> 10 & 7) & read8(cpu, head >> 14 & 7))
                ip += 1
                continue
            elif op == TEST8_RI:
                set_logic8(core, read8(cpu, head >> 10 & 7) & core[at + 2])
                ip += 1
                continue
            elif op == TEST8_MI:
                g50 = address(cpu, core, at, head)
                e50 = entry_of(core, g50)
                if may_read(core, e50, g50):
                    set_logic8(core, load8(ram, g50 + core[e50 + 3]) & core[at + 2])
                    ip += 1
                    continue
            elif op == SHL32_RI:
                h1 = core[at + 2] & 31
                if h1:
                    cpu[head >> 10 & 7] = shl32(core, cpu[head >> 10 & 7], h1)
                ip += 1
                continue
            elif op == SHR32_RI:
                h2 = core[at + 2] & 31
                if h2:
                    cpu[head >> 10 & 7] = shr32(core, cpu[head >> 10 & 7], h2)
                ip += 1
                continue
            elif op == SAR32_RI:
                h3 = core[at + 2] & 31
                if h3:
                    cpu[head >> 10 & 7] = sar32(core, cpu[head >> 10 & 7], h3)
                ip += 1
                continue
            elif op == SHL32_RC:
                h4 = cpu[1] & 31
                if h4:
                    cpu[head >> 10 & 7] = shl32(core, cpu[head >> 10 & 7], h4)
                ip += 1
                continue
            elif op == SHR32_RC:
                h5 = cpu[1] & 31
                if h5:
                    cpu[head >> 10 & 7] = shr32(core, cpu[head >> 10 & 7], h5)
                ip += 1
                continue
            elif op == SAR32_RC:
                h6 = cpu[1] & 31
                if h6:
                    cpu[head >> 10 & 7] = sar32(core, cpu[head >> 10 & 7], h6)
                ip += 1
                continue
            elif op == ROL32_RI:
                h7 = core[at + 2] & 31
                if h7:
                    cpu[head >> 10 & 7] = rol32(core, cpu[head >> 10 & 7], h7)
                ip += 1
                continue
            elif op == ROR32_RI:
                h8 = core[at + 2] & 31
                if h8:
                    cpu[head >> 10 & 7] = ror32(core, cpu[head >> 10 & 7], h8)
                ip += 1
                continue
            elif op == NEG32_R:
                i1 = cpu[head >> 10 & 7]
                i2 = -i1 & M32
                set_sub32(core, 0, i1, i2)
                cpu[head >> 10 & 7] = i2
                ip += 1
                continue
            elif op == NOT32_R:
                cpu[head >> 10 & 7] = cpu[head >> 10 & 7] ^ M32
                ip += 1
                continue
            elif op == IMUL32_RR:
                cpu[head >> 10 & 7] = imul32(core, cpu[head >> 10 & 7], cpu[head >> 14 & 7])
                ip += 1
                continue
            elif op == IMUL32_RRI:
                cpu[head >> 10 & 7] = imul32(core, cpu[head >> 14 & 7], core[at + 2])
                ip += 1
                continue
            elif op == IMUL32_RM:
                g51 = address(cpu, core, at, head)
                e51 = entry_of(core, g51)
                if may_read(core, e51, g51 + 3):
                    cpu[head >> 10 & 7] = imul32(
                        core, cpu[head >> 10 & 7], load32(ram, g51 + core[e51 + 3])
                    )
                    ip += 1
                    continue
            elif op == MUL32_R:
                mul32(cpu, core, cpu[head >> 14 & 7])
                ip += 1
                continue
            elif op == CDQ:
                cpu[2] = M32 if cpu[0] >> 31 else 0
                ip += 1
                continue
            elif op == ADC32_RR:
                adc32(cpu, core, head >> 10 & 7, cpu[head >> 14 & 7])
                ip += 1
                continue
            elif op == ADC32_RI:
                adc32(cpu, core, head >> 10 & 7, core[at + 2])
                ip += 1
                continue
            elif op == SBB32_RI:
                sbb32(cpu, core, head >> 10 & 7, core[at + 2])
                ip += 1
                continue
            elif op == XOR8_RR:
                q1 = read8(cpu, head >> 10 & 7) ^ read8(cpu, head >> 14 & 7)
                set_logic8(core, q1)
                write8(cpu, head >> 10 & 7, q1)
                ip += 1
                continue
            elif op == AND8_RI:
                q2 = read8(cpu, head >> 10 & 7) & core[at + 2]
                set_logic8(core, q2)
                write8(cpu, head >> 10 & 7, q2)
                ip += 1
                continue
            elif op == SBB32_RR:
                sbb32(cpu, core, head >> 10 & 7, cpu[head >> 14 & 7])
                ip += 1
                continue
            elif op == SETCC_R:
                write8(cpu, head >> 14 & 7, condition(core, core[at + 2]))
                ip += 1
                continue
            elif op == CMOVCC_RR:
                if condition(core, core[at + 2]):
                    cpu[head >> 10 & 7] = cpu[head >> 14 & 7]
                ip += 1
                continue
            elif op == XCHG32_RR:
                k1 = cpu[head >> 10 & 7]
                cpu[head >> 10 & 7] = cpu[head >> 14 & 7]
                cpu[head >> 14 & 7] = k1
                ip += 1
                continue
            elif op == NOP:
                ip += 1
                continue
            elif op == H_END:
                eip = delta + (core[at + 1] >> OFFSET_SHIFT & OFFSET_MASK) & M32
                if ip < SCRATCH_RECORDS:
                    core[w.BUDGET] = budget
                    core[w.LEFT] = 0
                    cpu[EIP] = eip
                    break
                budget += 1  # no instruction here: the common path below takes one away
            left = head >> LEFT_SHIFT & 127
            if eip < 0:
                eip = delta + (core[at + 1] >> OFFSET_SHIFT & OFFSET_MASK) & M32
                cpu[EIP] = eip
                eip = eip + (head >> LENGTH_SHIFT & 15) & M32
                core[w.NEXT_EIP] = eip
                core[w.BUDGET] = budget
                core[w.LEFT] = left
                core[w.RECORD] = at
                core[w.TROUBLE] = 0
                status = cold(cpu, core, ram, marks, at)
                if status == DONE:
                    if not core[w.RESYNC]:
                        ip += 1
                        continue
                    cpu[EIP] = eip
                elif status != TRANSFER:
                    if after_trouble(cpu, core, ram, marks):
                        return finish(cpu, core)
                    break
                eip = cpu[EIP]
                if (
                    ip < SCRATCH_RECORDS
                    or core[w.RESYNC]
                    or core[w.WINDOW]
                    or cpu[PENDING_INTERRUPT] >= 0
                    or cpu[EFLAGS] & EFLAGS_TF
                ):
                    core[w.BUDGET] = budget + left - 1
                    core[w.LEFT] = 0
                    if software_interrupt(core):
                        cpu[PENDING_DEBUG] = 0
                    break
            budget += left - 1
            if link == 0:
                slot = w.JUMP + ((eip ^ eip >> 12) & w.JUMP_MASK) * 2
                if core[slot] != core[w.JUMP_BASE] + (core[w.MODE] << 32) + eip:
                    if eip > cpu[CODE_LIMIT] and op >= FIRST_HOT:
                        core[w.BUDGET] = budget - left + 1
                        core[w.LEFT] = left
                        cpu[EIP] = delta + (core[at + 1] >> OFFSET_SHIFT & OFFSET_MASK) & M32
                        undo_transfer(cpu, core, at)
                        if after_trouble(cpu, core, ram, marks):
                            return finish(cpu, core)
                        break
                    core[w.BUDGET] = budget
                    core[w.LEFT] = 0
                    cpu[EIP] = eip
                    break
                link = core[slot + 1]
                to = OPS + (link & OPS_MASK) * 4
                if (
                    op >= FIRST_DIRECT
                    and core[to + 1] >> PAGE_SHIFT == core[at + 1] >> PAGE_SHIFT
                    and eip - (core[to + 1] >> OFFSET_SHIFT & OFFSET_MASK) == delta
                ):  # same physical and same linear page: true as long as the page's code is
                    core[at + 3] = link
            ip = link
            at = OPS + (ip & OPS_MASK) * 4
            left = core[at] >> LEFT_SHIFT & 127
            if left > budget:
                core[w.BUDGET] = budget
                core[w.LEFT] = 0
                cpu[EIP] = eip
                break
            budget -= left
            delta = eip - (core[at + 1] >> OFFSET_SHIFT & OFFSET_MASK)


@jit
def run(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, budget: int) -> int:
    """Execute up to `budget` instructions. Returns the reason of the exit (isa.exits.Exit).

    Args:
        cpu: architectural state, int64[state.WORDS].
        core: workspace, int64[workspace.PAGE_GENERATION + pages].
        ram: uint8[RAM_BYTES + FETCH_BUFFER_BYTES].
        marks: uint8[RAM_BYTES + pages].
    """
    return interpret(pointer(cpu), pointer(core), pointer(ram), pointer(marks), budget)
