"""What lies where: the machine's memory, the linear address space, and the real GDT.

    machine memory                       every linear address space

    ┌───────────────────────┐           FFFFFFFF ┌──────────────────────────┐
    │ guest RAM             │                    │ the monitor, supervisor  │
    ├───────────────────────┤ 00400000  FFC00000 ├──────────────────────────┤ ◄ end of the guest's
    │ pool: shadow tables   │                    │                          │   segments
    ├───────────────────────┤                    │ the guest, by its shadow │
    │ open bus: all ones    │                    │ page tables              │
    │ stack, TSS            │                    │                          │
    │ real IDT, stubs       │                    │                          │
    │ shadow LDT, shadow GDT│                    │                          │
    └───────────────────────┘ 00000000  00000000 └──────────────────────────┘

The monitor's 4 MiB of machine memory are mapped as they are at the top of every address space.
Ring 1 cannot reach them because its segments end below; ring 3 could not either, by the U/S bit.
"""

from __future__ import annotations

from typing import Final

from hypervisor.addresses import PAGE_BYTES, PAGE_SHIFT

MONITOR_BYTES: Final = 4 << 20
MONITOR_BASE: Final = 0xFFC00000  # linear
MONITOR_DIRECTORY_INDEX: Final = MONITOR_BASE >> 22
GUEST_FIRST_FRAME: Final = MONITOR_BYTES >> PAGE_SHIFT

TABLE_BYTES: Final = 0x10000  # a whole descriptor table: 8192 descriptors
GDT_HPA: Final = 0x00000
LDT_HPA: Final = 0x10000
IDT_HPA: Final = 0x20000
STUBS_HPA: Final = 0x21000  # one page
STACK_HPA: Final = 0x22000  # one page, grows down
STACK_TOP_HPA: Final = STACK_HPA + PAGE_BYTES
TSS_HPA: Final = 0x23000  # three pages: 104 bytes, the I/O bit map, its terminating byte
OPEN_BUS_HPA: Final = 0x26000
MONITOR_TABLE_HPA: Final = 0x27000  # the page table that maps all this
POOL_HPA: Final = 0x28000

# Descriptors of the real GDT that are not the guest's, at the end of the table.
RESERVED_INDEX: Final = 8176
CODE_SELECTOR: Final = 8 * RESERVED_INDEX
DATA_SELECTOR: Final = CODE_SELECTOR + 8
TSS_SELECTOR: Final = CODE_SELECTOR + 16
LDT_SELECTOR: Final = CODE_SELECTOR + 24
# What the guest has in CS and SS when no entry of its tables describes it any more.
HIDDEN_CODE_SELECTOR: Final = CODE_SELECTOR + 32
HIDDEN_STACK_SELECTOR: Final = CODE_SELECTOR + 40

COUNTER_VECTOR: Final = 0xF0  # the performance counter's interrupt


def linear(hpa: int) -> int:
    """Where the monitor's memory is in every linear address space."""
    return MONITOR_BASE + hpa
