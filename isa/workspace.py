"""Everything derived that compiled code needs beside the architectural state: one int64 array.

Scalars first, then the cost table and event counters, the software TLB, the jump cache, the block
table, the operation records and one generation number per physical page. All of it can be dropped
at any instruction boundary (`reset`) without changing what the guest does next.

Sizes are powers of two so that compiled code masks every index.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Workspace = NDArray[np.int64]
Bytes = NDArray[np.uint8]  # RAM, and the marks on it

# --- scalars ---------------------------------------------------------------------------------
LF_RESULT: Final = 0  # lazy flags: see isa.flags
LF_CARRIES: Final = 1
TROUBLE: Final = 2  # 0 none; FAULT or EXIT: set by whatever could not complete
FAULT_VECTOR: Final = 3
FAULT_ERROR: Final = 4  # error code, or -1
EXIT_REASON: Final = 5
EXIT_A: Final = 6
EXIT_B: Final = 7
EXIT_C: Final = 8
EXIT_D: Final = 9
NEXT_EIP: Final = 10  # EIP after the instruction being executed by a cold function
LIMIT_TOTAL: Final = 11  # run() was asked for this many instructions
BUDGET: Final = 12  # instructions left when the current block ends (spilled before cold calls)
COUNTED: Final = 13  # instructions of this run() already added to `retired`
MODE: Final = 14  # what decoding depends on, see isa.modes
TLB_BASE: Final = 15  # tag of the current TLB generation
TLB_HALF: Final = 16  # index of the TLB half in use: 0 supervisor, TLB_ENTRIES user
JUMP_BASE: Final = 17  # tag of the current jump-cache generation
FLAT_LAST_PAGE: Final = 18  # last linear page reachable through flat DS, ES and SS
OPS_NEXT: Final = 19  # first free operation record
EPOCH: Final = 20  # generation of the whole block table
RAM_BYTES: Final = 21
WINDOW: Final = 22  # 1: leave run() as soon as an interrupt can be delivered
RESYNC: Final = 23  # 1: decoded code changed under the running block
ALIGNED: Final = 24  # 1: explicit accesses must be aligned (CR0.AM, EFLAGS.AC, CPL 3)
REPLAY_COUNT: Final = 25  # device reads of this instruction already answered
REPLAY_NEXT: Final = 26
POSTED_COUNT: Final = 27  # device writes of this instruction, for the owner to carry out
DELIVERING: Final = 28  # vector being delivered, -1 outside delivery
LEFT: Final = 30  # instructions from the current one to the end of its block, itself included
RECORD: Final = 32  # core index of the record of the instruction being executed
LAST_TOTAL: Final = 33  # instructions retired at the last fault delivery
FAULTS_IN_ROW: Final = 34  # faults delivered since an instruction retired
LINEAR: Final = 35  # EIP to continue a repeated instruction at
CODE_SEGMENT_NEXT: Final = 36  # the one of the CODE_SEGMENTS to be replaced next
PORT_WRITES: Final = 37  # 1: writes to lent port registers wait for their devices
POSTED_BYTES: Final = 38  # how many of them are in the list of bytes
IDLE_TICKS: Final = 39  # device time less instructions retired
CODE_SEGMENTS: Final = 40  # CODE_SEGMENT_COUNT x (base, limit): code segments in use lately
CODE_SEGMENT_COUNT: Final = 4
RETIRED_BEFORE: Final = 48  # instructions retired when this run() began
WALK_DIRECTORY_AT: Final = 64  # the last page walk: addresses of entries, entries, frame
WALK_DIRECTORY: Final = 65
WALK_LEAF_AT: Final = 66
WALK_LEAF: Final = 67
WALK_FRAME: Final = 68
TLB_GLOBAL_BASE: Final = 69  # tag of the current generation of global pages
TLB_CHECK: Final = 70  # where the table of isa.tlb_check begins, 0 on a machine that does not check
LOGGED: Final = 51  # deliveries in all; the last ones are in the LOG
LACKS: Final = 49  # what follows from the processor's model: all bits but those of its features,
LACKS_EFLAGS: Final = 50  # and all flags but those that it has
# Enabled breakpoints, see isa.breakpoints.
BREAK_ENABLED: Final = 96  # what DR7 said when the following was derived; 0: nothing is enabled
BREAK_CODE: Final = 97  # set of breakpoint numbers: on instructions
BREAK_DATA: Final = 98  # on data
BREAK_PORT: Final = 99  # on ports
BREAKPOINTS: Final = 4
BREAK_CODE_PAGE: Final = 104  # 4 linear pages, -1: none
BREAK_DATA_PAGE: Final = 108
RESUME_AT: Final = 112  # instructions retired by this run() when RF, if set, was set
ITERATED: Final = 113  # 1: a repeated instruction leaves run() after an iteration, not before one


# --- events: what is counted and charged -----------------------------------------------------
EVENT_INSTRUCTION: Final = 0
EVENT_TLB_REFILL: Final = 1  # one page walk
EVENT_DELIVERY: Final = 2  # exception or software interrupt through the IDT
EVENT_INTERRUPT: Final = 3  # external interrupt through the IDT
EVENT_IRET: Final = 4
EVENT_PORT: Final = 5  # one port access carried out
EVENT_MEMORY_IO: Final = 6  # one device-memory access carried out
EVENT_CR_WRITE: Final = 7
EVENT_SEGMENT_LOAD: Final = 8
EVENT_FAR_TRANSFER: Final = 9
EVENT_INVLPG: Final = 10
EVENT_TABLE_LOAD: Final = 11  # LGDT LIDT LLDT LTR
EVENT_STRING_STEP: Final = 12  # one iteration of a repeated string instruction after the first
EVENT_TRAPDOOR: Final = 13
EVENT_TASK_SWITCH: Final = 14
EVENT_NAMES: Final = (
    "instruction",
    "tlb_refill",
    "delivery",
    "interrupt",
    "iret",
    "port",
    "memory_io",
    "cr_write",
    "segment_load",
    "far_transfer",
    "invlpg",
    "table_load",
    "string_step",
    "trapdoor",
    "task_switch",
)
EVENTS: Final = 16
COST: Final = 128  # EVENTS words: modelled cycles of one event
COUNT: Final = 144  # 4 x EVENTS words: events counted by privilege level, [cpl * EVENTS + event]

FRAME: Final = 224  # a stack frame being built or read, see isa.stack; a call gate needs 35 words
FRAME_WORDS: Final = 48

# Device accesses of one instruction. ENTER makes the most: 30 reads and 32 writes, and three more
# of each where it crosses a page, because such an access is made byte by byte.
REPLAY: Final = 272  # REPLAY_ENTRIES x (physical address or port, bytes, value)
REPLAY_ENTRIES: Final = 64
REPLAY_MASK: Final = REPLAY_ENTRIES - 1
POSTED: Final = 464  # POSTED_ENTRIES x (physical address, bytes, value)
POSTED_ENTRIES: Final = 64
POSTED_MASK: Final = POSTED_ENTRIES - 1

# Port registers that devices have lent to the processor, see isa.port_table.
LENT: Final = 656
LENT_ENTRIES: Final = 64
LENT_MASK: Final = LENT_ENTRIES - 1
LENT_WORDS: Final = 4
LENT_VALUE: Final = 0  # what a read gives, or -1: ask the device
LENT_UNTIL: Final = 1  # the device time at which that ends
LENT_WRITES: Final = 2  # WRITES_...
LENT_WRITTEN: Final = 3  # 1: the value was written since the device last saw it
WRITES_ASK: Final = 0  # a write goes to the device at once
WRITES_DROP: Final = 1  # nobody listens
WRITES_LATCH: Final = 2  # the register holds what was written last, and that is all it does
WRITES_POST: Final = 3  # every byte counts, but not when the device sees it

# The last deliveries through the IDT, see isa.event_log: an instrument, nothing acts on it.
LOG: Final = 1024
LOG_ENTRIES: Final = 128
LOG_MASK: Final = LOG_ENTRIES - 1
LOG_WORDS: Final = 8
# words of an entry
LOG_VECTOR: Final = 0
LOG_ERROR: Final = 1  # error code, or -1
LOG_KIND: Final = 2  # what was delivered: HARDWARE, EXTERNAL, SOFTWARE, PRIVILEGED of isa.events
LOG_CS: Final = 3  # where: CS, EIP, CPL and EFLAGS as they were
LOG_EIP: Final = 4
LOG_CPL: Final = 5
LOG_CR2: Final = 6
LOG_RETIRED: Final = 7  # instructions retired before

# --- tables ----------------------------------------------------------------------------------
TLB: Final = LOG + LOG_ENTRIES * LOG_WORDS
TLB_ENTRIES: Final = 512  # for each half: supervisor, user
TLB_MASK: Final = TLB_ENTRIES - 1
TLB_WORDS: Final = 8
# words of an entry
TLB_READ: Final = 0  # tag if plain loads may go straight to RAM, else -1
TLB_WRITE: Final = 1
TLB_EXEC: Final = 2  # tag if code may be fetched
TLB_ADDEND: Final = 3  # RAM index = linear address + addend
TLB_TAG: Final = 4  # tag if a translation is cached at all; negative for a global page
TLB_FRAME: Final = 5  # physical address of the page
TLB_RIGHTS: Final = 6  # RIGHT bits of isa.page_walk
TLB_GENERATION: Final = 1 << 24  # tag = generation * this + linear page number (21 bits used)

# One word for every 4 MBytes: TLB_GLOBAL_BASE if the TLB may hold pieces of a large page of there.
LARGE_REGIONS: Final = TLB + 2 * TLB_ENTRIES * TLB_WORDS

JUMP: Final = LARGE_REGIONS + 1024
JUMP_ENTRIES: Final = 4096
JUMP_MASK: Final = JUMP_ENTRIES - 1  # words: tag, record
JUMP_GENERATION: Final = 1 << 40  # tag = generation | mode << 32 | eip

BLOCK: Final = JUMP + 2 * JUMP_ENTRIES
BLOCK_ENTRIES: Final = 16384
BLOCK_MASK: Final = BLOCK_ENTRIES - 1
BLOCK_WORDS: Final = 4  # key (physical address | mode << 32), record, page generation, epoch

OPS: Final = BLOCK + BLOCK_ENTRIES * BLOCK_WORDS
OPS_RECORDS: Final = 65536
OPS_MASK: Final = OPS_RECORDS - 1
OPS_WORDS: Final = 4
SCRATCH_RECORDS: Final = 128  # records 0 .. 127: blocks that are executed once and not kept

PORTS: Final = OPS + OPS_RECORDS * OPS_WORDS  # one word per port: number of its LENT entry
PORT_COUNT: Final = 0x10000
POSTED_BYTE: Final = PORTS + PORT_COUNT  # POSTED_BYTE_ENTRIES x (port << 8 | byte), oldest first
POSTED_BYTE_ENTRIES: Final = 4096
POSTED_BYTE_MASK: Final = POSTED_BYTE_ENTRIES - 1

PAGE_GENERATION: Final = POSTED_BYTE + POSTED_BYTE_ENTRIES  # one word per physical page

# Behind the page generations of a machine that checks its TLB, see isa.tlb_check.
CHECK_PAGE_MASK: Final = 0  # TLB_MASK, or all ones to keep every page
CHECK_FINDINGS: Final = 1
CHECK_USES: Final = 2
CHECK_FIRST: Final = 8
CHECK_FINDING_WORDS: Final = 8
CHECK_FINDINGS_MOST: Final = 256
CHECK_TABLE: Final = CHECK_FIRST + CHECK_FINDINGS_MOST * CHECK_FINDING_WORDS
CHECK_WORDS: Final = CHECK_TABLE + 2 * 2 * (1 << 20)  # (tag, translation) by privilege and page

FAULT: Final = 1
EXIT: Final = 2

# `marks`: one byte per RAM byte (1 = decoded code), then one byte per page.
PAGE_HAS_CODE: Final = 1

# `ram` is longer than the guest's memory: the fetch buffer for instructions that cross a page.
FETCH_BUFFER_BYTES: Final = 64
RAM_MAX_BYTES: Final = 1 << 30


def new_workspace(ram_bytes: int, checked_page_mask: int = 0) -> Workspace:
    """A zeroed workspace for a machine with `ram_bytes` of memory (a multiple of 4096).

    With `checked_page_mask` the machine checks the uses of its TLB, whose places are found by those
    bits of the page number.
    """
    if ram_bytes % 4096 or not 0x100000 <= ram_bytes <= RAM_MAX_BYTES:
        raise ValueError("RAM must be a multiple of 4096 bytes, from 1 MiB to 1 GiB")
    words = PAGE_GENERATION + (ram_bytes >> 12)
    core: Workspace = np.zeros(words + (CHECK_WORDS if checked_page_mask else 0), np.int64)
    core[RAM_BYTES] = ram_bytes
    core[LENT + LENT_VALUE] = -1  # entry 0: every port that nobody has lent anything of
    if checked_page_mask:
        core[TLB_CHECK] = words
        core[words + CHECK_PAGE_MASK] = checked_page_mask
    reset(core)
    return core


def reset(core: Workspace) -> None:
    """Drop everything that can be derived again: TLB, jump cache, blocks, operation records."""
    core[TLB_BASE] = TLB_GENERATION
    core[TLB_GLOBAL_BASE] = TLB_GENERATION
    core[TLB:LARGE_REGIONS] = -1
    core[LARGE_REGIONS:JUMP] = 0
    if core[TLB_CHECK]:
        core[core[TLB_CHECK] + CHECK_TABLE :] = 0
    core[JUMP_BASE] = JUMP_GENERATION
    core[JUMP:BLOCK] = -1
    core[BLOCK:OPS] = -1
    core[OPS_NEXT] = SCRATCH_RECORDS
    core[CODE_SEGMENTS : CODE_SEGMENTS + 2 * CODE_SEGMENT_COUNT] = -1
    core[CODE_SEGMENT_NEXT] = 0
    core[BREAK_ENABLED:BREAK_CODE_PAGE] = 0
    core[BREAK_CODE_PAGE : BREAK_DATA_PAGE + BREAKPOINTS] = -1
    core[DELIVERING] = -1
    core[FAULT_VECTOR] = -1
