"""The host's own processor against the interpreter: silicon that nobody on the project wrote.

Skipped only where the host cannot do it: no x86-64 Linux, no tracing of children, no local
descriptor tables.
"""

from __future__ import annotations

import os
from functools import cache

import pytest

from isa import state, vectors
from isa.exits import Exit
from isa.jit import CHECKED, ENABLED
from isa.modes import refresh
from isa.registers import ATTR_DPL_SHIFT, TR
from tests.oracles.host_machine import HostUnavailableError
from tests.oracles.host_pair import HostPair
from tests.oracles.single_instructions import forms_of_family, run_forms

pytestmark = pytest.mark.oracle

SAMPLE = 3 if CHECKED else 12 if ENABLED else 1
CASES = int(os.environ.get("TRAPGATE_ORACLE_HOST_CASES", SAMPLE))
CODE = 0x11000

# Privileged, or sensitive to IOPL: CLI STI HLT IN OUT INS OUTS, system registers and tables, CLTS,
# caches, INVLPG, MSRs, and software interrupts whose gate is not for programs.
PRIVILEGED = (
    "FA", "FB", "F4", "E4 60", "E5 60", "EC", "ED", "E6 60", "E7 60", "EE", "EF", "6C", "6D", "6E",
    "6F", "0F 20 C0", "0F 20 D0", "0F 20 D8", "0F 20 E0", "0F 22 C0", "0F 22 D8", "0F 22 E0",
    "0F 21 C0", "0F 23 C0", "0F 21 F8", "0F 23 F8", "0F 06", "0F 08", "0F 09", "0F 01 3E",
    "0F 01 16", "0F 01 1E", "0F 01 F0", "0F 00 D0", "0F 00 D8", "0F 30", "0F 32", "CD 08", "CD 0D",
    "CD 0E", "CD 20",
)  # fmt: skip
# Undefined: UD0 UD1 UD2, LOCK where it may not be, LEA of a register, reserved encodings.
UNDEFINED = (
    "0F 0B", "0F B9 C0", "F0 01 D8", "F0 90", "F0 8B 06", "8D C0", "0F C7 C8", "FE D0", "FF F8",
    "8E C8", "C4 C0 00 00", "62 C0 00 00", "8F C8 00 00 00", "0F 22 C8", "0F 20 F8", "0F 04",
)  # fmt: skip


@cache
def pair(bits: int) -> HostPair:
    try:
        return HostPair(bits)
    except HostUnavailableError as reason:
        pytest.skip(f"no native execution: {reason}")


@pytest.mark.parametrize("bits", [32, 16])
@pytest.mark.parametrize("family", sorted(forms_of_family))
def test_instructions_do_what_the_hosts_processor_does(family, bits):
    problems = run_forms(pair(bits), forms_of_family[family], 3, CASES)
    assert not problems, "\n".join(problems)


def fault_of_ours(machines: HostPair, code: bytes) -> int:
    """Vector of a fault at privilege level 3, the instruction's state being untouched."""
    ours = machines.ours
    ours.cpu[:] = machines.setup
    ours.cpu[state.ATTRIBUTES : state.ATTRIBUTES + 6] |= 3 << ATTR_DPL_SHIFT
    ours.cpu[state.CPL] = 3
    ours.cpu[state.LIMIT + TR] = 0x10  # no I/O permission bit map
    ours.eip = CODE
    ours.write_physical(machines.code_base + CODE, code)
    refresh(ours.cpu, ours.core)
    assert ours.run(1) == Exit.SHUTDOWN
    refresh(ours.cpu, ours.core)
    return ours.detail[0]


@pytest.mark.parametrize("bits", [32, 16])
@pytest.mark.parametrize("code", [*PRIVILEGED, *UNDEFINED])
def test_programs_may_not(code, bits):
    machines, data = pair(bits), bytes.fromhex(code)
    expected = vectors.GP if code in PRIVILEGED else vectors.UD
    machines.other.write(machines.code_base + CODE, data + b"\xcc")
    machines.other.set_registers([0x1000 + 0x40 * n for n in range(8)], 2)
    assert machines.other.run(CODE, step=False) == expected
    assert fault_of_ours(machines, data) == expected


def test_a_difference_would_be_noticed():
    """A case whose result is falsified on our side differs."""
    machines = pair(32)
    original = machines.run_ours

    def falsified(case, hot):
        fault = original(case, hot)
        machines.ours.gpr[3] ^= 1
        return fault

    machines.run_ours = falsified  # type: ignore[method-assign]
    try:
        assert run_forms(machines, forms_of_family["flags"][:1], 3, 1)
    finally:
        del machines.run_ours
