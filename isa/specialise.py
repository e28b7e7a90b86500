"""Handler numbers of the interpreter, and which forms get a specialised one.

A specialised operation is chosen when an instruction is decoded: common forms, 32-bit addresses,
flat segments. Everything else gets the number of a cold family, whose function interprets the
record through the table's columns. The tables below are derived from the form names, so a form
without a specialisation is always right, only slower.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from isa.generated import forms as f
from isa.generated.columns import OPERATION
from isa.vocabulary import CONDITIONS

# Pseudo operations: no instruction.
H_END: Final = 0  # the block ends here; continue at the EIP of this record
H_INVALID: Final = 1  # undefined opcode: #UD
H_TOO_LONG: Final = 3  # more than 15 bytes: #GP(0)

# Cold families.
H_ARITHMETIC: Final = 4
H_MULTIPLY: Final = 5
H_EXCHANGE: Final = 6
H_EXCHANGE8: Final = 7
H_BITS: Final = 8
H_SIMPLE: Final = 9
H_STACK: Final = 10
H_NEAR: Final = 11
H_STRING: Final = 12
H_FAR: Final = 13
H_SYSTEM: Final = 14
H_PORT: Final = 15
FIRST_HOT: Final = 16

_HOT: Final = (
    # dst = a (or b where the form says r/m first); RR register, RI immediate, RM load, MR store
    *(
        f"{name}32_{shape}"
        for name in ("ADD", "SUB", "AND", "OR", "XOR", "CMP")
        for shape in ("RR", "RI", "RM", "MR", "MI")
    ),
    *(f"TEST32_{shape}" for shape in ("RR", "RI", "MR")),
    "ADC32_RR", "SBB32_RR", "ADC32_RI", "SBB32_RI", "XOR8_RR", "AND8_RI",
    "MOV32_RR", "MOV32_RI", "MOV32_RM", "MOV32_MR", "MOV32_MI",
    "MOV8_RR", "MOV8_RI", "MOV8_RM", "MOV8_MR", "MOV8_MI",
    "MOV16_RM", "MOV16_MR",
    "MOVZX8_RR", "MOVZX8_RM", "MOVZX16_RR", "MOVZX16_RM",
    "MOVSX8_RR", "MOVSX8_RM", "MOVSX16_RR", "MOVSX16_RM",
    "CMP8_RR", "CMP8_RI", "CMP8_RM", "CMP8_MI", "TEST8_RR", "TEST8_RI", "TEST8_MI",
    "LEA", "INC32_R", "DEC32_R", "INC32_M", "DEC32_M", "NEG32_R", "NOT32_R",
    "SHL32_RI", "SHR32_RI", "SAR32_RI", "ROL32_RI", "ROR32_RI", "SHL32_RC", "SHR32_RC", "SAR32_RC",
    "IMUL32_RR", "IMUL32_RM", "IMUL32_RRI", "MUL32_R", "CDQ",
    "PUSH32_R", "PUSH32_I", "PUSH32_M", "POP32_R", "LEAVE",
    "SETCC_R", "CMOVCC_RR", "XCHG32_RR", "NOP",
    "CALL_R", "CALL_M", "RET", "RET_I", "JMP_R", "JMP_M",
    # direct branches last: these can be linked to where they lead
    "CALL", "JMP",
    *(f"J{suffix}" for suffix, _ in CONDITIONS),
)  # fmt: skip
HOT: Final[dict[str, int]] = {name: FIRST_HOT + index for index, name in enumerate(_HOT)}
HANDLER_COUNT: Final = FIRST_HOT + len(_HOT)
FIRST_DIRECT: Final = HOT["CALL"]


def _families() -> NDArray[np.int64]:
    """Cold handler of every form."""
    family = np.full(f.FORM_COUNT, H_SYSTEM, np.int64)
    groups = {
        H_ARITHMETIC: "ADD OR ADC SBB AND SUB XOR CMP TEST INC DEC NOT NEG ROL ROR RCL RCR SHL SHR "
        "SAR SHLD SHRD SETCC MOV MOVZX MOVSX CMOVCC LEA NOP PAUSE",
        H_MULTIPLY: "MUL IMUL1 DIV IDIV IMUL",
        H_EXCHANGE: "XCHG XADD CMPXCHG",
        H_EXCHANGE8: "CMPXCHG8B",
        H_BITS: "BT BTS BTR BTC BSF BSR BSWAP",
        H_SIMPLE: "DAA DAS AAA AAS AAM AAD CBW CWDE CWD CDQ CLC STC CMC CLD STD LAHF SAHF "
        "SALC XLATB",
        H_STACK: "PUSH POP PUSHA POPA ENTER LEAVE",
        H_NEAR: "JCC JCXZ LOOPNE LOOPE LOOP JMP JMP_INDIRECT CALL CALL_INDIRECT RET",
        H_STRING: "MOVS CMPS STOS LODS SCAS INS OUTS",
        H_FAR: "JMP_FAR CALL_FAR RET_FAR",
        H_PORT: "IN OUT",
    }
    for handler, names in groups.items():
        for name in names.split():
            family[f.OPERATION_NAMES.index(name) == OPERATION] = handler
    return family


# Form name -> (handler for a register operand, handler for a memory operand, swap a and b).
# "Swap" makes `a` the destination where the form has it in ModRM.rm.
def _hot_forms() -> dict[str, tuple[str, str, bool]]:
    table: dict[str, tuple[str, str, bool]] = {}
    for name in ("ADD", "SUB", "AND", "OR", "XOR", "CMP"):
        table[f"{name}_rm32_r32"] = (f"{name}32_RR", f"{name}32_MR", True)
        table[f"{name}_r32_rm32"] = (f"{name}32_RR", f"{name}32_RM", False)
        table[f"{name}_rm32_imm32"] = (f"{name}32_RI", f"{name}32_MI", True)
        table[f"{name}_rm32_imm8"] = (f"{name}32_RI", f"{name}32_MI", True)
        table[f"{name}_EAX_imm32"] = (f"{name}32_RI", "", True)
    table |= {
        "TEST_rm32_r32": ("TEST32_RR", "TEST32_MR", True),
        "TEST_rm32_imm32": ("TEST32_RI", "", True),
        "TEST_EAX_imm32": ("TEST32_RI", "", True),
        "ADC_rm32_r32": ("ADC32_RR", "", True),
        "ADC_r32_rm32": ("ADC32_RR", "", False),
        "SBB_rm32_r32": ("SBB32_RR", "", True),
        "SBB_r32_rm32": ("SBB32_RR", "", False),
        "MOV_rm32_r32": ("MOV32_RR", "MOV32_MR", True),
        "MOV_r32_rm32": ("MOV32_RR", "MOV32_RM", False),
        "MOV_r32_imm32": ("MOV32_RI", "", True),
        "MOV_rm32_imm32": ("MOV32_RI", "MOV32_MI", True),
        "MOV_EAX_moffs32": ("", "MOV32_RM", False),
        "MOV_moffs32_EAX": ("", "MOV32_MR", False),
        "MOV_rm8_r8": ("MOV8_RR", "MOV8_MR", True),
        "MOV_r8_rm8": ("MOV8_RR", "MOV8_RM", False),
        "MOV_r8_imm8": ("MOV8_RI", "", True),
        "MOV_rm8_imm8": ("MOV8_RI", "MOV8_MI", True),
        "MOV_AL_moffs8": ("", "MOV8_RM", False),
        "MOV_moffs8_AL": ("", "MOV8_MR", False),
        "MOV_r16_rm16": ("", "MOV16_RM", False),
        "MOV_rm16_r16": ("", "MOV16_MR", False),
        "MOVZX_r32_rm8": ("MOVZX8_RR", "MOVZX8_RM", False),
        "MOVZX_r32_rm16": ("MOVZX16_RR", "MOVZX16_RM", False),
        "MOVSX_r32_rm8": ("MOVSX8_RR", "MOVSX8_RM", False),
        "MOVSX_r32_rm16": ("MOVSX16_RR", "MOVSX16_RM", False),
        "CMP_rm8_r8": ("CMP8_RR", "", True),
        "CMP_r8_rm8": ("CMP8_RR", "CMP8_RM", False),
        "CMP_rm8_imm8": ("CMP8_RI", "CMP8_MI", True),
        "CMP_AL_imm8": ("CMP8_RI", "", True),
        "TEST_rm8_r8": ("TEST8_RR", "", True),
        "TEST_rm8_imm8": ("TEST8_RI", "TEST8_MI", True),
        "TEST_AL_imm8": ("TEST8_RI", "", True),
        "LEA_r32_m": ("", "LEA", False),
        "INC_r32": ("INC32_R", "", True),
        "INC_rm32": ("INC32_R", "INC32_M", True),
        "DEC_r32": ("DEC32_R", "", True),
        "DEC_rm32": ("DEC32_R", "DEC32_M", True),
        "NEG_rm32": ("NEG32_R", "", True),
        "NOT_rm32": ("NOT32_R", "", True),
        "SHL_rm32_imm8": ("SHL32_RI", "", True),
        "SHR_rm32_imm8": ("SHR32_RI", "", True),
        "SAR_rm32_imm8": ("SAR32_RI", "", True),
        "ROL_rm32_imm8": ("ROL32_RI", "", True),
        "ROR_rm32_imm8": ("ROR32_RI", "", True),
        "ROL_rm32_1": ("ROL32_RI", "", True),
        "ROR_rm32_1": ("ROR32_RI", "", True),
        "ADC_rm32_imm32": ("ADC32_RI", "", True),
        "ADC_rm32_imm8": ("ADC32_RI", "", True),
        "ADC_EAX_imm32": ("ADC32_RI", "", True),
        "SBB_rm32_imm32": ("SBB32_RI", "", True),
        "SBB_rm32_imm8": ("SBB32_RI", "", True),
        "SBB_EAX_imm32": ("SBB32_RI", "", True),
        "XOR_rm8_r8": ("XOR8_RR", "", True),
        "XOR_r8_rm8": ("XOR8_RR", "", False),
        "AND_rm8_imm8": ("AND8_RI", "", True),
        "AND_AL_imm8": ("AND8_RI", "", True),
        "SHL_rm32_1": ("SHL32_RI", "", True),
        "SHR_rm32_1": ("SHR32_RI", "", True),
        "SAR_rm32_1": ("SAR32_RI", "", True),
        "SHL_rm32_CL": ("SHL32_RC", "", True),
        "SHR_rm32_CL": ("SHR32_RC", "", True),
        "SAR_rm32_CL": ("SAR32_RC", "", True),
        "IMUL_r32_rm32": ("IMUL32_RR", "IMUL32_RM", False),
        "IMUL_r32_rm32_imm8": ("IMUL32_RRI", "", False),
        "IMUL_r32_rm32_imm32": ("IMUL32_RRI", "", False),
        "MUL_rm32": ("MUL32_R", "", False),
        "CDQ": ("CDQ", "", False),
        "PUSH_r32": ("PUSH32_R", "", False),
        "PUSH_rm32": ("PUSH32_R", "PUSH32_M", False),
        "PUSH_imm32": ("PUSH32_I", "", False),
        "PUSH_imm8_o32": ("PUSH32_I", "", False),
        "POP_r32": ("POP32_R", "", False),
        "LEAVE_o32": ("LEAVE", "", False),
        "CALL_rel32": ("CALL", "", False),
        "CALL_rm32": ("CALL_R", "CALL_M", False),
        "RET_o32": ("RET", "", False),
        "RET_imm16_o32": ("RET_I", "", False),
        "JMP_rel8_o32": ("JMP", "", False),
        "JMP_rel32": ("JMP", "", False),
        "JMP_rm32": ("JMP_R", "JMP_M", False),
        "XCHG_rm32_r32": ("XCHG32_RR", "", False),
        "XCHG_EAX_r32": ("XCHG32_RR", "", False),
        "NOP": ("NOP", "", False),
        "NOP_rm32": ("NOP", "NOP", False),
        "NOP_rm16": ("NOP", "NOP", False),
    }

    for cc in [suffix for suffix, _ in CONDITIONS]:
        table[f"J{cc}_rel8_o32"] = (f"J{cc}", "", False)
        table[f"J{cc}_rel32"] = (f"J{cc}", "", False)
        table[f"SET{cc}_rm8"] = ("SETCC_R", "", False)
        table[f"CMOV{cc}_r32_rm32"] = ("CMOVCC_RR", "", False)
    return table


def _tables() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    register = np.zeros(f.FORM_COUNT, np.int64)
    memory = np.zeros(f.FORM_COUNT, np.int64)
    swap = np.zeros(f.FORM_COUNT, np.int64)
    for name, (for_register, for_memory, swapped) in _hot_forms().items():
        form = f.FORM_NAMES.index(name)
        register[form] = HOT.get(for_register, 0)
        memory[form] = HOT.get(for_memory, 0)
        swap[form] = swapped
    return register, memory, swap


FAMILY: Final = _families()
HOT_REGISTER, HOT_MEMORY, HOT_SWAP = _tables()

# Specialised operations that use the stack: they also need a 32-bit stack segment.
STACK_HANDLERS: Final = np.array(
    [
        name.startswith(("PUSH", "POP", "CALL", "RET", "LEAVE"))
        for name in [""] * FIRST_HOT + list(_HOT)
    ],
    np.int64,
)


def _block_ends() -> NDArray[np.int64]:
    """Handlers after which nothing is decoded into the same block."""
    ends = np.zeros(HANDLER_COUNT, np.int64)
    ends[[H_END, H_INVALID, H_TOO_LONG, H_FAR, H_SYSTEM]] = 1
    for name in ("CALL", "CALL_R", "CALL_M", "RET", "RET_I", "JMP", "JMP_R", "JMP_M"):
        ends[HOT[name]] = 1
    return ends


ENDS_BLOCK: Final = _block_ends()
