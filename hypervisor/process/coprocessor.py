"""A floating-point unit that is not there: what can be said in its place.

The processor has none; CR0.EM makes every ESC instruction #NM. Start-up code and setjmp-like
functions only save and load the control word. Those instructions are answered here as a unit that
has just been initialised would; whatever computes is an illegal instruction.

Source: SDM vol. 2, "FINIT/FNINIT", "FLDCW", "FSTCW/FNSTCW", "FSTSW/FNSTSW", "FCLEX/FNCLEX",
"ModR/M and SIB Bytes"; vol. 1, "x87 FPU Control Word".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from hypervisor.process.errors import CallError
from isa import state
from isa.registers import EAX, EBP, ESP, FS, GS

if TYPE_CHECKING:
    from hypervisor.process.process import Process

_M32: Final = 0xFFFFFFFF
_LONGEST: Final = 15
INITIAL_CONTROL: Final = 0x037F
_SEGMENT_PREFIXES: Final = {0x26: 0, 0x2E: 1, 0x36: 2, 0x3E: 3, 0x64: FS, 0x65: GS}
_IGNORED_PREFIXES: Final = frozenset({0x66})
_SETS_NOTHING: Final = frozenset({(0xDB, 0xE2), (0xDB, 0xE3)})  # FNCLEX, FNINIT


class Escape(NamedTuple):
    """An ESC instruction: D8 to DF, its ModRM byte, where its operand is, how long it is."""

    opcode: int
    modrm: int
    address: int
    size: int


def _signed_byte(value: int) -> int:
    return value - 256 if value >= 128 else value


def decode_escape(process: Process) -> Escape | None:
    """The ESC instruction at EIP, if it is one with 32-bit addresses."""
    world = process.world
    code = _code_at(process, world.eip)
    base = at = 0
    while at < len(code) and (code[at] in _SEGMENT_PREFIXES or code[at] in _IGNORED_PREFIXES):
        if code[at] in _SEGMENT_PREFIXES:
            base = world.cpu[state.BASE + _SEGMENT_PREFIXES[code[at]]]
        at += 1
    if len(code) < at + 2 or not 0xD8 <= code[at] <= 0xDF:
        return None
    opcode, modrm = code[at], code[at + 1]
    if modrm >= 0xC0:
        return Escape(opcode, modrm, 0, at + 2)
    if len(code) < at + 7:  # enough for any ModRM, SIB and displacement
        code = code.ljust(at + 7, b"\0")
    address, size = _effective_address(process, code, at + 1)
    return Escape(opcode, modrm, base + address & _M32, size)


def _code_at(process: Process, eip: int) -> bytes:
    for size in range(_LONGEST, 1, -1):
        try:
            return process.space.read(eip, size)
        except CallError:
            continue
    return b""


def _register(process: Process, number: int) -> int:
    """A general register; ESP is in the frame."""
    return process.world.esp if number == ESP else process.world.cpu[state.GPR + number]


def _effective_address(process: Process, code: bytes, at: int) -> tuple[int, int]:
    """Offset of the memory operand whose ModRM byte is at `at`, and where the instruction ends."""
    mode, register = code[at] >> 6, code[at] & 7
    at += 1
    address = 0
    has_base = True
    if register == ESP:
        sib = code[at]
        at += 1
        register = sib & 7
        if sib >> 3 & 7 != ESP:
            address = _register(process, sib >> 3 & 7) << (sib >> 6)
    if mode == 0 and register == EBP:
        has_base = False
        mode = 2
    if has_base:
        address += _register(process, register)
    if mode == 1:
        return address + _signed_byte(code[at]) & _M32, at + 1
    if mode == 2:
        return address + int.from_bytes(code[at : at + 4], "little") & _M32, at + 4
    return address & _M32, at


def answer_for_coprocessor(process: Process) -> bool:
    """Carry out an instruction that only concerns the control or status word; whether it was one.

    A store to where the program may not write is left to fault as an illegal instruction.
    """
    escape = decode_escape(process)
    if escape is None:
        return False
    world = process.world
    operation = escape.modrm >> 3 & 7
    try:
        if escape.modrm >= 0xC0:
            if (escape.opcode, escape.modrm) == (0xDF, 0xE0):
                at = state.GPR + EAX
                world.cpu[at] = world.cpu[at] & 0xFFFF0000
            elif (escape.opcode, escape.modrm) not in _SETS_NOTHING:
                return False
        elif (escape.opcode, operation) == (0xD9, 7):
            process.space.write(escape.address, process.coprocessor_control.to_bytes(2, "little"))
        elif (escape.opcode, operation) == (0xDD, 7):
            process.space.write(escape.address, bytes(2))
        elif (escape.opcode, operation) == (0xD9, 5):
            word = process.space.read(escape.address, 2)
            process.coprocessor_control = int.from_bytes(word, "little")
        else:
            return False
    except CallError:
        return False
    if (escape.opcode, escape.modrm) == (0xDB, 0xE3):
        process.coprocessor_control = INITIAL_CONTROL
    world.eip = world.eip + escape.size & _M32
    return True
