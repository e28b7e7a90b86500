"""Near jumps. They run natively in a guest, unless they lead to addresses the monitor keeps.

Source: SDM vol. 2, "JMP", "Jcc", "LOOP/LOOPcc", "JCXZ/JECXZ"; vol. 1, "EFLAGS Condition Codes".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypervisor.emulation.operands import size_mask, write_low
from hypervisor.emulation.stack import go_near, near_target
from isa.instruction import Instruction
from isa.registers import ECX, EFLAGS_CF, EFLAGS_OF, EFLAGS_PF, EFLAGS_SF, EFLAGS_ZF

if TYPE_CHECKING:
    from hypervisor.emulation.emulator import Emulator, Routine


def is_met(condition: int, eflags: int) -> bool:
    """Whether a condition (0 = O … 15 = G) holds. The odd ones negate the even ones."""
    is_less = bool(eflags & EFLAGS_SF) != bool(eflags & EFLAGS_OF)
    is_zero = bool(eflags & EFLAGS_ZF)
    values = (
        bool(eflags & EFLAGS_OF),
        bool(eflags & EFLAGS_CF),
        is_zero,
        bool(eflags & EFLAGS_CF) or is_zero,
        bool(eflags & EFLAGS_SF),
        bool(eflags & EFLAGS_PF),
        is_less,
        is_less or is_zero,
    )
    return values[condition >> 1] != bool(condition & 1)


def _jump(emulator: Emulator, instruction: Instruction) -> None:
    go_near(emulator, near_target(emulator, instruction))


def _conditional(emulator: Emulator, instruction: Instruction) -> None:
    if is_met(instruction.form.condition, emulator.vcpu.eflags):
        _jump(emulator, instruction)


def _count(emulator: Emulator, instruction: Instruction) -> int:
    return emulator.vcpu.gpr[ECX] & size_mask(instruction.prefixes.address_bits)


def _jcxz(emulator: Emulator, instruction: Instruction) -> None:
    if not _count(emulator, instruction):
        _jump(emulator, instruction)


def _loop(emulator: Emulator, instruction: Instruction) -> None:
    """LOOP, LOOPE, LOOPNE: count down, and jump while the count and ZF allow."""
    left = _count(emulator, instruction) - 1
    is_zero = bool(emulator.vcpu.eflags & EFLAGS_ZF)
    wanted = {"LOOP": is_zero, "LOOPE": True, "LOOPNE": False}[instruction.form.operation]
    if left and is_zero == wanted:
        _jump(emulator, instruction)
    write_low(emulator.vcpu, ECX, instruction.prefixes.address_bits, left)


ROUTINES: Final[dict[str, Routine]] = {
    "JMP": _jump,
    "JMP_INDIRECT": _jump,
    "JCC": _conditional,
    "JCXZ": _jcxz,
    "LOOP": _loop,
    "LOOPE": _loop,
    "LOOPNE": _loop,
}
