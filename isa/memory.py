"""Loads and stores at linear addresses, the slow and complete way.

Handles page crossings, device memory, pages with decoded code and faults. The interpreter has its
own inlined fast path for plain RAM; everything else comes here.

Device memory is everything physical outside RAM. A device read ends run() and the instruction is
executed again with the answer in the replay log; device writes are queued and carried out by the
owner after the instruction. So an instruction never half happens.
"""

from isa import workspace as w
from isa.accounts import charge, raise_fault
from isa.breakpoints import watch_data
from isa.codemap import store_checked
from isa.exits import Exit
from isa.jit import jit, load16, load32
from isa.paging import tlb_entry
from isa.state import State
from isa.vectors import AC
from isa.workspace import Bytes, Workspace

M32 = 0xFFFFFFFF
_MEMORY_READ = int(Exit.MEMORY_READ)


@jit
def replayed(core: Workspace, address: int, size: int) -> int:
    """The owner's answer to the next device read of this instruction, or -1 if there is none.

    An answer to another question was meant for an instruction that its owner has abandoned.
    """
    at = core[w.REPLAY_NEXT]
    if at >= core[w.REPLAY_COUNT] or at >= w.REPLAY_ENTRIES:
        return -1
    place = w.REPLAY + (at & w.REPLAY_MASK) * 3
    if core[place] != address or core[place + 1] != size:
        core[w.REPLAY_COUNT] = at
        return -1
    core[w.REPLAY_NEXT] = at + 1
    return core[place + 2]  # type: ignore[no-any-return]


@jit
def read_device(core: Workspace, address: int, size: int) -> int:
    """Device memory: the answer from the replay log, or -1 and an exit that asks for it."""
    answer = replayed(core, address, size)
    if answer >= 0:
        return answer
    core[w.TROUBLE] = w.EXIT
    core[w.EXIT_REASON] = _MEMORY_READ
    core[w.EXIT_A] = address
    core[w.EXIT_B] = size
    core[w.EXIT_D] = 0
    return -1


@jit
def write_device(cpu: State, core: Workspace, address: int, size: int, value: int) -> None:
    """Queue a device write. When the queue is full further writes of one instruction are lost."""
    at = core[w.POSTED_COUNT]
    core[w.RESYNC] = 1
    if at < w.POSTED_ENTRIES:
        place = w.POSTED + (at & w.POSTED_MASK) * 3
        core[place] = address
        core[place + 1] = size
        core[place + 2] = value
        core[w.POSTED_COUNT] = at + 1
        charge(cpu, core, w.EVENT_MEMORY_IO, 1)


@jit
def read_physical(core: Workspace, ram: Bytes, address: int, size: int) -> int:
    """1, 2 or 4 bytes of RAM or device memory; -1 if an exit is needed."""
    if address + size > core[w.RAM_BYTES]:
        return read_device(core, address, size)
    if size == 4:
        return load32(ram, address)
    if size == 2:
        return load16(ram, address)
    return int(ram[address])


@jit
def write_physical(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, address: int, size: int, value: int
) -> None:
    if address + size > core[w.RAM_BYTES]:
        write_device(cpu, core, address, size, value)
    else:
        store_checked(core, ram, marks, address, size, value)


@jit
def check_alignment(core: Workspace, gva: int, size: int, user: int) -> int:
    """Alignment of an explicit access whose pages are known to be there: 0, or -1 after #AC(0)."""
    if user and core[w.ALIGNED] and gva & (size - 1):
        return raise_fault(core, AC, 0)
    return 0


@jit
def translate(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, gva: int, write: int, user: int
) -> int:
    """Physical address of a linear address for one access; -1 after recording a fault."""
    page = gva >> 12 & 0xFFFFF
    near = w.TLB + ((page & w.TLB_MASK) | (w.TLB_ENTRIES if user else 0)) * w.TLB_WORDS
    if not write and core[near + w.TLB_TAG] == core[w.TLB_BASE] + page:
        return core[near + w.TLB_FRAME] | gva & 0xFFF  # type: ignore[no-any-return]
    entry = tlb_entry(cpu, core, ram, marks, gva, write, user)
    if entry < 0:
        return -1
    return core[entry + w.TLB_FRAME] | gva & 0xFFF  # type: ignore[no-any-return]


@jit
def read_linear(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, gva: int, size: int, user: int
) -> int:
    """Load 1, 2 or 4 bytes. Returns the value, or -1 after recording a fault or an exit."""
    if core[w.BREAK_DATA]:
        watch_data(cpu, core, gva, size, 0)
    first = translate(cpu, core, ram, marks, gva, 0, user)
    if first < 0:
        return -1
    if (gva & 0xFFF) + size <= 4096:
        if check_alignment(core, gva, size, user) < 0:
            return -1
        return read_physical(core, ram, first, size)
    second = translate(cpu, core, ram, marks, (gva + size - 1) & M32 & ~0xFFF, 0, user)
    if second < 0 or check_alignment(core, gva, size, user) < 0:
        return -1
    value = 0
    in_first = 4096 - (gva & 0xFFF)
    for index in range(size):
        address = first + index if index < in_first else second + index - in_first
        byte = read_physical(core, ram, address, 1)
        if byte < 0:
            return -1
        value |= byte << 8 * index
    return value


@jit
def probe_write(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, gva: int, size: int, user: int
) -> int:
    """Check that 1, 2, 4 or 8 bytes can be written: 0, or -1 after recording a fault."""
    if probe_pages(cpu, core, ram, marks, gva, size, user) < 0:
        return -1
    return check_alignment(core, gva, size, user)


@jit
def probe_pages(
    cpu: State, core: Workspace, ram: Bytes, marks: Bytes, gva: int, size: int, user: int
) -> int:
    """Check that the pages of `size` bytes, not more than one, can be written: 0 or -1."""
    if translate(cpu, core, ram, marks, gva, 1, user) < 0:
        return -1
    last = (gva + size - 1) & M32
    if (last ^ gva) & ~0xFFF and translate(cpu, core, ram, marks, last & ~0xFFF, 1, user) < 0:
        return -1
    return 0


@jit
def write_linear(
    cpu: State,
    core: Workspace,
    ram: Bytes,
    marks: Bytes,
    gva: int,
    size: int,
    value: int,
    user: int,
) -> int:
    """Store 1, 2 or 4 bytes. Returns 0, or -1 after recording a fault (nothing is written then)."""
    if core[w.BREAK_DATA]:
        watch_data(cpu, core, gva, size, 1)
    first = translate(cpu, core, ram, marks, gva, 1, user)
    if first < 0:
        return -1
    if (gva & 0xFFF) + size <= 4096:
        if check_alignment(core, gva, size, user) < 0:
            return -1
        write_physical(cpu, core, ram, marks, first, size, value)
        return 0
    second = translate(cpu, core, ram, marks, (gva + size - 1) & M32 & ~0xFFF, 1, user)
    if second < 0 or check_alignment(core, gva, size, user) < 0:
        return -1
    in_first = 4096 - (gva & 0xFFF)
    for index in range(size):
        address = first + index if index < in_first else second + index - in_first
        write_physical(cpu, core, ram, marks, address, 1, value >> 8 * index & 0xFF)
    return 0
