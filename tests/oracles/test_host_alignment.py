"""The manual's table of alignment requirements against the host's own processor.

Linux sets CR0.AM, so that a process that sets EFLAGS.AC is checked, and tells #AC from #SS.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from isa import vectors
from isa.registers import CS, EFLAGS_AC
from tests.isa.alignment_table import ALIGNED_BY, CODE_SELECTOR, HIDDEN
from tests.oracles.host_machine import HostMachine, HostUnavailableError
from tools.assembler import assemble_text

pytestmark = pytest.mark.oracle

CODE, DATA = 0x11000, 0x30000
INT3 = b"\xcc"
MEASURED = [text for text in ALIGNED_BY if not text.startswith(HIDDEN)]


@pytest.fixture(scope="module")
def host() -> Iterator[HostMachine]:
    try:
        machine = HostMachine(1 << 20, [0] * 6, big=True)
    except HostUnavailableError as reason:
        pytest.skip(f"no native execution: {reason}")
    yield machine
    machine.close()


def is_refused(host: HostMachine, text: str, offset: int) -> bool:
    """Whether an instruction whose operand is `offset` bytes off its boundary raises #AC."""
    selector = str(host.selectors[CS])
    code = assemble_text(f"org {CODE:#x}\n{text.replace(CODE_SELECTOR, selector)}\n", bits=32)
    host.memory[DATA - 0x100 : DATA + 0x200] = 0
    host.write(CODE, code.bytes + INT3 * 8)
    at = DATA + offset
    host.set_registers([1, 2, 3, DATA, at, at, at, at], 2 | EFLAGS_AC)
    return host.run(CODE, step=True) == vectors.AC


@pytest.mark.parametrize("text", MEASURED)
def test_the_table_of_alignment_requirements_is_that_of_the_hosts_processor(
    host: HostMachine, text: str
) -> None:
    refused = [offset for offset in range(17) if is_refused(host, text, offset)]
    alignment = ALIGNED_BY[text]
    assert refused == [offset for offset in range(17) if alignment and offset % alignment]
