"""The architectural state of one processor, and nothing else: one flat int64 array.

The array is the save format: `DTYPE` views it by name, the integer constants index it from compiled
code. Every 32-bit quantity is kept in 0 .. 2**32 - 1. What can be derived (TLB, decoded code,
lazy flags) is in `isa.workspace` and is never saved.

Source: SDM vol. 3A, "System Architecture Overview".
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from isa.registers import (
    ATTR_DB,
    ATTR_G,
    ATTR_P,
    ATTR_S,
    ATTR_UNUSABLE,
    CR0_ET,
    CS,
    EFLAGS_FIXED,
    FEATURES_P6,
    LDTR,
    TR,
)

State = NDArray[np.int64]

# Field name and number of words, in order.
FIELDS: Final[tuple[tuple[str, int], ...]] = (
    ("gpr", 8),
    ("zero", 1),  # always 0: the base or index register of an address that has none
    ("eip", 1),
    ("eflags", 1),
    ("selector", 8),  # ES CS SS DS FS GS LDTR TR
    ("base", 8),  # the segment caches ("hidden part")
    ("limit", 8),  # in bytes, granularity applied
    ("attributes", 8),  # VMX access-rights format, see isa.registers
    ("cpl", 1),
    ("cr0", 1),
    ("cr2", 1),
    ("cr3", 1),
    ("cr4", 1),
    ("pdpte", 4),  # page-directory-pointer-table entries, loaded with CR3 in PAE paging
    ("a20_mask", 1),  # of every physical address: all ones, or bit 20 clear while A20 is low
    ("dr", 8),
    ("gdtr_base", 1),
    ("gdtr_limit", 1),
    ("idtr_base", 1),
    ("idtr_limit", 1),
    ("sysenter_cs", 1),
    ("sysenter_esp", 1),
    ("sysenter_eip", 1),
    ("apic_base", 1),
    ("features", 1),  # what this processor can do: FEATURE bits of isa.registers, never changed
    ("cpuid_signature", 1),  # CPUID leaf 1, EAX: family, model, stepping
    ("cpuid_last_leaf", 1),  # CPUID leaf 0, EAX
    ("cpuid_vendor", 3),  # CPUID leaf 0: the name in EBX, EDX, ECX
    ("tsc_offset", 1),  # time-stamp counter = retired instructions of all rings + this
    ("halted", 1),  # activity state: 1 after HLT until an interrupt
    ("shadow_at", 1),  # interrupts are inhibited while the retired total equals this (STI, MOV SS)
    ("pending_interrupt", 1),  # external interrupt accepted but not yet delivered: vector or -1
    ("pending_traps", 1),  # DR6 bits of traps that come before the next instruction
    ("pending_debug", 1),  # the last instruction began with EFLAGS.TF set: #DB comes next
    ("retired", 4),  # instructions retired at CPL 0 .. 3
    ("cycles", 1),  # modelled cycles: the clock of the ledger
)


def _offsets() -> dict[str, int]:
    offsets, at = {}, 0
    for name, words in FIELDS:
        offsets[name] = at
        at += words
    return offsets


_AT: Final = _offsets()
WORDS: Final[int] = sum(words for _, words in FIELDS)

GPR: Final[int] = _AT["gpr"]
ZERO: Final[int] = _AT["zero"]
EIP: Final[int] = _AT["eip"]
EFLAGS: Final[int] = _AT["eflags"]
SELECTOR: Final[int] = _AT["selector"]
BASE: Final[int] = _AT["base"]
LIMIT: Final[int] = _AT["limit"]
ATTRIBUTES: Final[int] = _AT["attributes"]
CPL: Final[int] = _AT["cpl"]
CR0: Final[int] = _AT["cr0"]
CR2: Final[int] = _AT["cr2"]
CR3: Final[int] = _AT["cr3"]
CR4: Final[int] = _AT["cr4"]
PDPTE: Final[int] = _AT["pdpte"]
A20_MASK: Final[int] = _AT["a20_mask"]
DR: Final[int] = _AT["dr"]
GDTR_BASE: Final[int] = _AT["gdtr_base"]
GDTR_LIMIT: Final[int] = _AT["gdtr_limit"]
IDTR_BASE: Final[int] = _AT["idtr_base"]
IDTR_LIMIT: Final[int] = _AT["idtr_limit"]
SYSENTER_CS: Final[int] = _AT["sysenter_cs"]
SYSENTER_ESP: Final[int] = _AT["sysenter_esp"]
SYSENTER_EIP: Final[int] = _AT["sysenter_eip"]
APIC_BASE: Final[int] = _AT["apic_base"]
FEATURES: Final[int] = _AT["features"]
CPUID_SIGNATURE: Final[int] = _AT["cpuid_signature"]
CPUID_LAST_LEAF: Final[int] = _AT["cpuid_last_leaf"]
CPUID_VENDOR: Final[int] = _AT["cpuid_vendor"]
TSC_OFFSET: Final[int] = _AT["tsc_offset"]
HALTED: Final[int] = _AT["halted"]
SHADOW_AT: Final[int] = _AT["shadow_at"]
PENDING_INTERRUPT: Final[int] = _AT["pending_interrupt"]
PENDING_TRAPS: Final[int] = _AT["pending_traps"]
PENDING_DEBUG: Final[int] = _AT["pending_debug"]
RETIRED: Final[int] = _AT["retired"]
CYCLES: Final[int] = _AT["cycles"]

DTYPE: Final = np.dtype(
    [(name, np.int64) if words == 1 else (name, np.int64, (words,)) for name, words in FIELDS]
)

A20_HIGH: Final = -1
A20_LOW: Final = ~(1 << 20)

VENDOR: Final = b"TrapgateCPU "
# Family 6, model 5, stepping 2. Steppings before model 3 have no working SYSENTER.
SIGNATURE_P6: Final = 0x652

_FLAT_DATA: Final = ATTR_P | ATTR_S | ATTR_DB | ATTR_G | 0x3
_FLAT_CODE: Final = ATTR_P | ATTR_S | ATTR_DB | ATTR_G | 0xB


def new_state() -> State:
    """A processor in flat 32-bit protected mode at ring 0, paging off, interrupts off.

    This is what the multiboot specification promises a kernel; selectors are 8 and 16, although no
    descriptor table exists yet.
    """
    cpu: State = np.zeros(WORDS, np.int64)
    cpu[EFLAGS] = EFLAGS_FIXED
    cpu[CR0] = CR0_ET | 1
    for segment in range(6):
        cpu[SELECTOR + segment] = 8 if segment == CS else 16
        cpu[LIMIT + segment] = 0xFFFFFFFF
        cpu[ATTRIBUTES + segment] = _FLAT_CODE if segment == CS else _FLAT_DATA
    cpu[ATTRIBUTES + LDTR] = ATTR_UNUSABLE | 0x82
    cpu[ATTRIBUTES + TR] = 0x8B
    cpu[LIMIT + TR] = 0xFFFF
    cpu[LIMIT + LDTR] = 0xFFFF
    cpu[IDTR_LIMIT] = 0x3FF
    cpu[GDTR_LIMIT] = 0xFFFF
    cpu[DR + 6] = 0xFFFF0FF0
    cpu[DR + 7] = 0x400
    cpu[APIC_BASE] = 0xFEE00900
    cpu[FEATURES] = FEATURES_P6
    cpu[CPUID_SIGNATURE] = SIGNATURE_P6
    cpu[CPUID_LAST_LEAF] = 2
    for word in range(3):
        cpu[CPUID_VENDOR + word] = int.from_bytes(VENDOR[4 * word : 4 * word + 4], "little")
    cpu[A20_MASK] = A20_HIGH
    cpu[SHADOW_AT] = -1
    cpu[PENDING_INTERRUPT] = -1
    return cpu


def by_name(cpu: State) -> Any:
    """The state as a numpy record: `by_name(cpu)["cr3"]`. Slow; for people, saving and tests."""
    return cpu.view(DTYPE)[0]
