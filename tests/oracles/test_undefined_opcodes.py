"""What is an undefined opcode, asked of two processors nobody on the project wrote.

Every opcode with every ModRM.reg, memory and register operands. Unicorn, which can be a Pentium II,
executes them without prefixes; the host's own processor, where it can be asked, executes them with
LOCK, whose rules Unicorn does not check. Our decoder and our processor must both raise #UD where
the other does. Differences are listed here by opcode and in docs/quirks.md with the manual's
sections; each listed one must occur.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from unicorn import UcError
from unicorn import x86_const as names

from isa import decoder
from isa.disassembly import UNDEFINED, DecodeError, decode
from isa.exits import Exit
from isa.modes import MODE_CODE32, refresh
from isa.records import HANDLER_MASK
from isa.specialise import H_INVALID
from isa.vectors import UD
from tests.case_count import count_case
from tests.oracles.host_machine import HostUnavailableError
from tests.oracles.host_pair import HostPair
from tests.oracles.opcode_space import ESCAPE, FLOATING_POINT, vectors
from tests.oracles.paired_machines import Pair

pytestmark = pytest.mark.oracle

LOCK = b"\xf0"
FIRST, LAST, STEP = 0x2000, 0x3F00, 32  # where the code is put, in turn

# Opcodes that are defined for Unicorn's Pentium II and not for ours, and the reverse.
_MMX = {f"0f{opcode:02x}" for opcode in (*range(0x60, 0x80), *range(0xD1, 0xFF))}
ONLY_IN_UNICORN = dict.fromkeys(_MMX, "MMX and its extensions: our processor has none") | {
    "0f05": "SYSCALL, which is AMD's",
    "0f0d": "PREFETCHW, which is AMD's",
    "0fae": "FXSAVE and the like belong to the floating-point unit",
    "0fc4": "PINSRW", "0fc5": "PEXTRW",
    "c6": "C6 /7 with a register is XABORT of later processors",
    "c7": "C7 /7 with a register is XBEGIN of later processors",
    "8f": "Unicorn does not look at ModRM.reg: only 8F /0 exists",
}  # fmt: skip
ONLY_OURS = {
    "0f0a": "TRAPDOOR is the project's own",
    "0f18": "a hint with a register operand is a no-operation",
    "0f33": "Unicorn has no RDPMC",
    "f1": "Unicorn has no INT1",
    "f6": "F6 /1 is TEST again",
    "f7": "F7 /1 is TEST again",
}
# On AMD's processors LOCK MOV to and from CR0 means CR8.
ONLY_ON_A_HOST = {"0f20", "0f22"}


def name_of(data: bytes) -> str:
    """The opcode in hexadecimal, with its escape byte."""
    rest = data.removeprefix(LOCK)
    return rest[: 2 if rest[0] == ESCAPE else 1].hex()


def decoders_refuse(data: bytes, bits: int) -> bool:
    """Whether our decoders, which must agree, find an undefined opcode."""
    core, ram = np.zeros(64, np.int64), np.frombuffer(data.ljust(16, b"\0"), np.uint8)
    at = 56
    decoder.decode(core, ram, at, 0, len(data), 0, MODE_CODE32 if bits == 32 else 0)
    invalid = bool(core[at] & HANDLER_MASK == H_INVALID)
    try:
        decode(data, 0, bits)
    except DecodeError as error:
        plain = error.reason == UNDEFINED
    else:
        plain = False
    assert plain == invalid, data.hex()
    return invalid


def ours_refuses(machines: Pair, data: bytes, at: int, register: int) -> bool:
    """Whether our processor raises #UD for one instruction."""
    ours = machines.ours
    ours.write_physical(machines.code_base + at, data)
    ours.cpu[:] = machines.setup
    ours.gpr[:] = register
    ours.eip = at
    refresh(ours.cpu, ours.core)
    reason = ours.run(1)
    return reason == Exit.SHUTDOWN and ours.detail[0] == UD


class PentiumII(Pair):
    """Our processor, and Unicorn as a Pentium II."""

    unicorn_model = names.UC_CPU_X86_PENTIUM2

    def refuses(self, data: bytes, at: int, register: int) -> bool:
        other = self.other
        other.write(self.code_base + at, data)
        other.forget_code(self.code_base + at)
        other.set_registers([register] * 8, 2)
        try:
            fault = other.run(at, 0xFFFFFFFF, 1)
        except UcError:  # an access to memory it does not have
            return False
        return bool(fault == UD)


def places() -> Iterator[int]:
    while True:
        yield from range(FIRST, LAST, STEP)


@pytest.mark.parametrize("bits", [16, 32])
def test_unicorn_and_our_processor_refuse_the_same(bits: int) -> None:
    machines = PentiumII(bits)
    register = 0x5011  # as an address: in RAM; as CR0: protection stays on, paging off
    unexplained, reasons = [], set()
    for data, at in zip(vectors((b"",)), places(), strict=False):
        if data[0] in FLOATING_POINT:
            continue
        ours = ours_refuses(machines, data, at, register)
        decoded = decoders_refuse(data, bits)
        # UD0, UD1 and UD2 are decoded, and then raise #UD.
        assert ours or not decoded, data.hex()
        theirs = machines.refuses(data, at, register)
        count_case()
        if ours == theirs:
            continue
        name = name_of(data)
        reason = (ONLY_IN_UNICORN if ours else ONLY_OURS).get(name)
        if reason is None:
            unexplained.append(f"{data.hex(' ')}: {'ours' if ours else 'Unicorn'} raises #UD")
        reasons.add((ours, reason))
    assert not unexplained
    documented = {(True, reason) for reason in ONLY_IN_UNICORN.values()}
    documented |= {(False, reason) for reason in ONLY_OURS.values()}
    assert reasons == documented


@cache
def host(bits: int) -> HostPair:
    try:
        return HostPair(bits)
    except HostUnavailableError as reason:
        pytest.skip(f"no native execution: {reason}")


@pytest.mark.parametrize("bits", [16, 32])
def test_the_host_and_our_processor_refuse_the_same_locks(bits: int) -> None:
    """LOCK is legal before some instructions with a memory destination, and nowhere else."""
    machines = host(bits)
    register = 0x5010  # aligned, so that a locked access stays within a cache line
    different, accepted = [], 0
    for data, at in zip(vectors((LOCK,)), places(), strict=False):
        ours = ours_refuses(machines, data, at, register)
        assert ours == decoders_refuse(data, bits), data.hex()
        machines.other.write(machines.code_base + at, data)
        machines.other.set_registers([register] * 8, 2)
        theirs = machines.other.run(at, step=True) == UD
        accepted += not ours
        count_case()
        if ours != theirs and not (ours and name_of(data) in ONLY_ON_A_HOST):
            different.append(f"{data.hex(' ')}: {'ours' if ours else 'the host'} raises #UD")
    assert not different
    # ADD to XOR; XCHG XADD CMPXCHG; BTS BTR BTC; 0F BA; NOT NEG; INC DEC; CMPXCHG8B.
    assert accepted == 7 * 20 + 3 * 16 + 3 * 8 + 3 + 4 + 4 + 1
