"""What lies where: the machine's memory, a program's address space, and the descriptor table.

    machine memory                          the program's linear address space

    ┌──────────────────────────┐            FFFFFFFF ┌───────────────────────────────┐
    │ pool: the program's pages│                     │ the monitor's 64 KiB,         │
    │ and its page tables      │                     │ for the supervisor only       │
    ├──────────────────────────┤ 00010000   FFC00000 ├───────────────────────────────┤
    │ page directory, page     │                     │ nothing                       │
    │ table of this area       │            C0000000 ├───────────────────────────────┤
    │ TSS, stack of ring 0     │                     │ stack, 8 MiB, grows down      │
    │ stubs, IDT, GDT          │            BF800000 ├ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ┤
    └──────────────────────────┘ 00000000            │ mappings, from the top down   │
                                                     │            ...                │
                                                     │ heap (brk), grows up          │
                                                     │ the program                   │
                                            00000000 └───────────────────────────────┘

Selectors are the ones that Linux has on i386: programs have been seen to compare them.

Source: System V ABI, Intel386 Architecture Processor Supplement, "Process Stack and Registers",
"Virtual Address Space".
"""

from __future__ import annotations

from typing import Final

from hypervisor.addresses import PAGE_BYTES

GDT_HPA: Final = 0x0000
IDT_HPA: Final = 0x1000
STUBS_HPA: Final = 0x2000  # one page: 256 stubs of 16 bytes
STACK_HPA: Final = 0x3000  # one page, grows down
STACK_TOP_HPA: Final = STACK_HPA + PAGE_BYTES
TSS_HPA: Final = 0x4000
DIRECTORY_HPA: Final = 0x5000
MONITOR_TABLE_HPA: Final = 0x6000
POOL_HPA: Final = 0x10000

MONITOR_BASE: Final = 0xFFC00000  # linear
MONITOR_PAGES: Final = 7

USER_END: Final = 0xC0000000
LOWEST_MAPPING: Final = 0x10000  # page zero and what follows stay unmapped, to catch null pointers
STACK_BYTES: Final = 8 << 20
STACK_BASE: Final = USER_END - STACK_BYTES
MAPPINGS_END: Final = 0xB7800000  # where mmap begins to look, downwards
RELOCATED_BASE: Final = 0x56555000  # where a position-independent program is put

TLS_FIRST_INDEX: Final = 6
TLS_ENTRIES: Final = 3
CODE_SELECTOR: Final = 0x60
DATA_SELECTOR: Final = 0x68
USER_CODE_SELECTOR: Final = 0x73
USER_DATA_SELECTOR: Final = 0x7B
TSS_SELECTOR: Final = 0x80
GDT_ENTRIES: Final = 32

SYSTEM_CALL_VECTOR: Final = 0x80
COUNTER_VECTOR: Final = 0xF0  # the performance counter's interrupt


def linear(hpa: int) -> int:
    """Where the monitor's own memory is in the address space."""
    return MONITOR_BASE + hpa
