"""IN and OUT: the right to a port, and the access.

Devices are outside compiled code, but may have lent registers of theirs (isa.port_table): an access
to one of these completes here. Any other retires and ends run(): after PORT_OUT the owner gives the
value to the device, after PORT_IN it writes the device's answer to the accumulator.

Source: SDM vol. 1, "Input/Output", "I/O Permission Bit Map"; vol. 2, "IN", "OUT".
"""

from isa import vectors
from isa import workspace as w
from isa.accounts import charge, raise_fault
from isa.breakpoints import watch_port
from isa.exits import Exit
from isa.generated import forms as f
from isa.generated.columns import IMM, OPERATION, OPSIZE
from isa.jit import jit
from isa.privilege_rules import iopl_allows
from isa.records import DONE, TROUBLED, form_of
from isa.registers import ATTR_UNUSABLE, CR0_PE, EAX, EDX, EFLAGS_VM, TR
from isa.segmentation import TYPE_IS_32_BIT, read_table
from isa.state import ATTRIBUTES, BASE, CR0, EFLAGS, EIP, GPR, LIMIT, State
from isa.workspace import Bytes, Workspace

M32 = 0xFFFFFFFF

TSS_MAP_BASE = 0x66  # where a 32-bit TSS keeps the offset of its I/O permission bit map

_PORT_IN = int(Exit.PORT_IN)
_PORT_OUT = int(Exit.PORT_OUT)


@jit
def read_map_base(cpu: State, core: Workspace, ram: Bytes, marks: Bytes) -> int:
    """Offset of the I/O permission bit map in a 32-bit TSS; -1 after #GP(0) or #PF."""
    kind = cpu[ATTRIBUTES + TR] & (ATTR_UNUSABLE | TYPE_IS_32_BIT)
    if kind != TYPE_IS_32_BIT or cpu[LIMIT + TR] < TSS_MAP_BASE + 1:
        return raise_fault(core, vectors.GP, 0)
    return read_table(cpu, core, ram, marks, (cpu[BASE + TR] + TSS_MAP_BASE) & M32, 2)


@jit
def check_port(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, port: int, size: int) -> int:
    """Whether an access to `size` bytes at a port is allowed: 0, or -1 after #GP(0) or #PF."""
    if not cpu[CR0] & CR0_PE:
        return 0
    if not cpu[EFLAGS] & EFLAGS_VM and iopl_allows(cpu):
        return 0
    base = read_map_base(cpu, core, ram, marks)
    if base < 0:
        return -1
    place = base + (port >> 3)
    if place + 1 > cpu[LIMIT + TR]:
        return raise_fault(core, vectors.GP, 0)
    bits = read_table(cpu, core, ram, marks, (cpu[BASE + TR] + place) & M32, 2)
    if bits < 0:
        return -1
    if bits >> (port & 7) & ((1 << size) - 1):
        return raise_fault(core, vectors.GP, 0)
    return 0


@jit
def read_lent(core: Workspace, port: int, size: int) -> int:
    """What a read of lent registers gives; -1 if the devices have to be asked."""
    value = 0
    total = core[w.LIMIT_TOTAL] - core[w.BUDGET] - core[w.LEFT] + core[w.RETIRED_BEFORE]
    for index in range(size):
        number = core[w.PORTS + ((port + index) & 0xFFFF)] & w.LENT_MASK
        entry = w.LENT + number * w.LENT_WORDS
        wide = size > 1 and core[entry + w.LENT_WRITES] != w.WRITES_DROP
        if wide or core[entry + w.LENT_VALUE] < 0:
            return -1
        if total + core[w.IDLE_TICKS] >= core[entry + w.LENT_UNTIL]:
            return -1
        value |= core[entry + w.LENT_VALUE] << 8 * index
    return value


@jit
def write_lent(core: Workspace, port: int, size: int, value: int) -> int:
    """Write lent registers: 1, or 0 with nothing done if the devices have to be told."""
    for index in range(1, size):
        number = core[w.PORTS + ((port + index) & 0xFFFF)] & w.LENT_MASK
        if core[w.LENT + number * w.LENT_WORDS + w.LENT_WRITES] != w.WRITES_DROP:
            return 0
    entry = w.LENT + (core[w.PORTS + (port & 0xFFFF)] & w.LENT_MASK) * w.LENT_WORDS
    kind = core[entry + w.LENT_WRITES]
    if kind == w.WRITES_DROP:
        return 1
    if size > 1 or kind == w.WRITES_ASK:
        return 0
    if kind == w.WRITES_LATCH:
        core[entry + w.LENT_VALUE] = value & 0xFF
        core[entry + w.LENT_WRITTEN] = 1
    else:
        count = core[w.POSTED_BYTES]
        if count >= w.POSTED_BYTE_ENTRIES:
            return 0
        core[w.POSTED_BYTE + (count & w.POSTED_BYTE_MASK)] = port << 8 | value & 0xFF
        core[w.POSTED_BYTES] = count + 1
    core[w.PORT_WRITES] = 1
    return 1


@jit
def execute_port(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """IN and OUT by the record at `at`: DONE, or TROUBLED with a fault or with an exit after it."""
    form = form_of(core[at])
    size = OPSIZE[form] >> 3
    port = core[at + 2] & 0xFF if IMM[form, 0] else cpu[GPR + EDX] & 0xFFFF
    if check_port(cpu, core, ram, marks, port, size) < 0:
        return TROUBLED
    if core[w.BREAK_PORT]:
        watch_port(cpu, core, port, size)
    charge(cpu, core, w.EVENT_PORT, 1)
    mask = (1 << size * 8) - 1
    if OPERATION[form] == f.O_IN:
        value = read_lent(core, port, size)
        if value >= 0:
            cpu[GPR + EAX] = cpu[GPR + EAX] & (M32 ^ mask) | value
            return DONE
    elif write_lent(core, port, size, cpu[GPR + EAX] & mask):
        return DONE
    cpu[EIP] = core[w.NEXT_EIP]
    core[w.TROUBLE] = w.EXIT
    core[w.EXIT_REASON] = _PORT_IN if OPERATION[form] == f.O_IN else _PORT_OUT
    core[w.EXIT_A] = port
    core[w.EXIT_B] = size
    core[w.EXIT_C] = cpu[GPR + EAX] & mask
    core[w.EXIT_D] = 1
    return TROUBLED
