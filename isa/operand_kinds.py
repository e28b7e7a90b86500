"""Kinds of operands: the words of the table's syntax column as plain integers.

A kind says where an operand is encoded and how wide it is; nothing more. Whether it is read or
written is the table's access column. The numbers are stable within one build only: they are never
saved.

Source: SDM vol. 2A, "Interpreting the Instruction Reference Pages", "Instruction Column in the
Opcode Summary Table".
"""

K_NONE = 0

# A general register in ModRM.reg.
K_R8 = 1
K_R16 = 2
K_R32 = 3

# A general register or memory, in ModRM.mod and ModRM.rm.
K_RM8 = 4
K_RM16 = 5
K_RM32 = 6
K_R32M16 = 7  # `r32/m16`: a whole 32-bit register, but only 16 bits of memory

# A general register in ModRM.rm whatever ModRM.mod says: MOV to and from CRn and DRn.
K_RMR32 = 8

# Memory only; ModRM.mod is 0, 1 or 2.
K_M = 9  # an address whose contents are not accessed: LEA, INVLPG
K_M8 = 10
K_M16 = 11
K_M32 = 12
K_M64 = 13
K_M16_16 = 14  # `m16:16`: far pointer, offset first
K_M16_32 = 15  # `m16:32`
K_M16A16 = 16  # `m16&16`: two words, BOUND
K_M32A32 = 17  # `m32&32`: two doublewords, BOUND
K_M16A32 = 18  # `m16&32`: limit and base of a descriptor table

# Immediates. K_IMM8S is one byte, sign-extended to the operand size.
K_IMM8 = 19
K_IMM8S = 20
K_IMM16 = 21
K_IMM32 = 22

# Branch displacements, relative to the next instruction.
K_REL8 = 23
K_REL16 = 24
K_REL32 = 25

# Far pointers in the instruction, offset first.
K_PTR16_16 = 26
K_PTR16_32 = 27

# Memory at an offset in the instruction that is as wide as the address size.
K_MOFFS8 = 28
K_MOFFS16 = 29
K_MOFFS32 = 30

# Numbered registers in ModRM.reg.
K_SREG = 31
K_CR = 32
K_DR = 33

# A general register in the low three bits of the opcode: `+rb`, `+rw`, `+rd`.
K_OPREG8 = 34
K_OPREG16 = 35
K_OPREG32 = 36

# Fixed operands: nothing is encoded.
K_AL = 37
K_CL = 38
K_AX = 39
K_DX = 40
K_EAX = 41
K_ES = 42
K_CS = 43
K_SS = 44
K_DS = 45
K_FS = 46
K_GS = 47
K_ONE = 48

KIND_COUNT = 49

IN_REG_FIELD = frozenset({K_R8, K_R16, K_R32, K_SREG, K_CR, K_DR})
IN_RM_FIELD = frozenset(range(K_RM8, K_M16A32 + 1))
MEMORY_ONLY = frozenset(range(K_M, K_M16A32 + 1))
REGISTER_OR_MEMORY = frozenset({K_RM8, K_RM16, K_RM32, K_R32M16})
IN_OPCODE = frozenset({K_OPREG8, K_OPREG16, K_OPREG32})
IMMEDIATE = frozenset({K_IMM8, K_IMM8S, K_IMM16, K_IMM32})
RELATIVE = frozenset({K_REL8, K_REL16, K_REL32})
FAR_POINTER = frozenset({K_PTR16_16, K_PTR16_32})
MEMORY_OFFSET = frozenset({K_MOFFS8, K_MOFFS16, K_MOFFS32})
FIXED = frozenset(range(K_AL, K_ONE + 1))

# Bits of data an operand stands for; 0 where the table's kind does not say.
KIND_BITS = {
    K_R8: 8,
    K_R16: 16,
    K_R32: 32,
    K_RM8: 8,
    K_RM16: 16,
    K_RM32: 32,
    K_R32M16: 16,
    K_RMR32: 32,
    K_M: 0,
    K_M8: 8,
    K_M16: 16,
    K_M32: 32,
    K_M64: 64,
    K_M16_16: 32,
    K_M16_32: 48,
    K_M16A16: 32,
    K_M32A32: 64,
    K_M16A32: 48,
    K_IMM8: 8,
    K_IMM8S: 8,
    K_IMM16: 16,
    K_IMM32: 32,
    K_REL8: 8,
    K_REL16: 16,
    K_REL32: 32,
    K_PTR16_16: 32,
    K_PTR16_32: 48,
    K_MOFFS8: 8,
    K_MOFFS16: 16,
    K_MOFFS32: 32,
    K_SREG: 16,
    K_CR: 32,
    K_DR: 32,
    K_OPREG8: 8,
    K_OPREG16: 16,
    K_OPREG32: 32,
    K_AL: 8,
    K_CL: 8,
    K_AX: 16,
    K_DX: 16,
    K_EAX: 32,
    K_ES: 16,
    K_CS: 16,
    K_SS: 16,
    K_DS: 16,
    K_FS: 16,
    K_GS: 16,
    K_ONE: 0,
}

# Number of the register a fixed operand names, within its own file of registers.
FIXED_NUMBER = {
    K_AL: 0,
    K_CL: 1,
    K_AX: 0,
    K_DX: 2,
    K_EAX: 0,
    K_ES: 0,
    K_CS: 1,
    K_SS: 2,
    K_DS: 3,
    K_FS: 4,
    K_GS: 5,
}
FIXED_SEGMENTS = frozenset({K_ES, K_CS, K_SS, K_DS, K_FS, K_GS})

# How the syntax column spells each kind. `r8`, `r16` and `r32` are listed for ModRM.reg; the
# reader makes them K_OPREG* after `+rb`, and K_RMR32 when CRn or DRn occupies ModRM.reg.
WORDS = {
    "r8": K_R8,
    "r16": K_R16,
    "r32": K_R32,
    "r/m8": K_RM8,
    "r/m16": K_RM16,
    "r/m32": K_RM32,
    "r32/m16": K_R32M16,
    "m": K_M,
    "m8": K_M8,
    "m16": K_M16,
    "m32": K_M32,
    "m64": K_M64,
    "m16:16": K_M16_16,
    "m16:32": K_M16_32,
    "m16&16": K_M16A16,
    "m32&32": K_M32A32,
    "m16&32": K_M16A32,
    "imm8": K_IMM8,
    "imm16": K_IMM16,
    "imm32": K_IMM32,
    "rel8": K_REL8,
    "rel16": K_REL16,
    "rel32": K_REL32,
    "ptr16:16": K_PTR16_16,
    "ptr16:32": K_PTR16_32,
    "moffs8": K_MOFFS8,
    "moffs16": K_MOFFS16,
    "moffs32": K_MOFFS32,
    "Sreg": K_SREG,
    "CR0-CR7": K_CR,
    "DR0-DR7": K_DR,
    "AL": K_AL,
    "CL": K_CL,
    "AX": K_AX,
    "DX": K_DX,
    "EAX": K_EAX,
    "ES": K_ES,
    "CS": K_CS,
    "SS": K_SS,
    "DS": K_DS,
    "FS": K_FS,
    "GS": K_GS,
    "1": K_ONE,
}
