"""What exits are called in reports: one name for each kind of instruction that was emulated."""

from __future__ import annotations

from typing import Final

from isa.instruction import Instruction

_NAMES: Final = {
    "IN": "port_in",
    "INS": "port_in",
    "OUT": "port_out",
    "OUTS": "port_out",
    "MOV_TO_CR": "mov_cr",
    "MOV_FROM_CR": "mov_cr",
    "LMSW": "mov_cr",
    "CLTS": "mov_cr",
    "MOV_TO_DR": "mov_dr",
    "MOV_FROM_DR": "mov_dr",
    "INT": "software_interrupt",
    "INT3": "software_interrupt",
    "INTO": "software_interrupt",
    "JMP_FAR": "far_transfer",
    "CALL_FAR": "far_transfer",
    "RET_FAR": "far_transfer",
    "MOV_TO_SREG": "segment_load",
    "POP_SREG": "segment_load",
    "LOAD_FAR": "segment_load",
    "RDMSR": "msr",
    "WRMSR": "msr",
    "SYSENTER": "fast_call",
    "SYSEXIT": "fast_call",
}
_OWN_NAMES: Final = frozenset(
    {"CLI", "STI", "HLT", "LGDT", "LIDT", "LLDT", "LTR", "INVLPG", "IRET", "RDTSC", "RDPMC"}
    | {"INVD", "WBINVD", "SGDT", "SIDT", "SLDT", "STR", "SMSW"}
)


def exit_name(instruction: Instruction) -> str:
    """The reason an emulated instruction is counted under."""
    operation = instruction.form.operation
    if operation in _OWN_NAMES:
        return operation.lower()
    return _NAMES.get(operation, "memory_access")
