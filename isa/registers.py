"""Numbers of registers, bits of EFLAGS, control registers and CPUID: plain integers, SDM names.

Source: SDM vol. 1, "EFLAGS Register"; vol. 2, "CPUID"; vol. 3A, "Control Registers".
"""

from typing import Final

# General registers, in encoding order.
EAX: Final = 0
ECX: Final = 1
EDX: Final = 2
EBX: Final = 3
ESP: Final = 4
EBP: Final = 5
ESI: Final = 6
EDI: Final = 7

# Segment registers, in encoding order; then the two system segment registers.
ES: Final = 0
CS: Final = 1
SS: Final = 2
DS: Final = 3
FS: Final = 4
GS: Final = 5
LDTR: Final = 6
TR: Final = 7

GPR_NAMES: Final = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
SEGMENT_NAMES: Final = ("es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr")

EFLAGS_CF: Final = 1 << 0
EFLAGS_FIXED: Final = 1 << 1  # reads as one
EFLAGS_PF: Final = 1 << 2
EFLAGS_AF: Final = 1 << 4
EFLAGS_ZF: Final = 1 << 6
EFLAGS_SF: Final = 1 << 7
EFLAGS_TF: Final = 1 << 8
EFLAGS_IF: Final = 1 << 9
EFLAGS_DF: Final = 1 << 10
EFLAGS_OF: Final = 1 << 11
EFLAGS_IOPL: Final = 3 << 12
EFLAGS_NT: Final = 1 << 14
EFLAGS_RF: Final = 1 << 16
EFLAGS_VM: Final = 1 << 17
EFLAGS_AC: Final = 1 << 18
EFLAGS_VIF: Final = 1 << 19
EFLAGS_VIP: Final = 1 << 20
EFLAGS_ID: Final = 1 << 21

IOPL_SHIFT: Final = 12
EFLAGS_STATUS: Final = EFLAGS_CF | EFLAGS_PF | EFLAGS_AF | EFLAGS_ZF | EFLAGS_SF | EFLAGS_OF
EFLAGS_DEFINED: Final = (
    0x003F7FD7  # every flag of the P6; the other bits read as zero (bit 1 as one)
)

CR0_PE: Final = 1 << 0
CR0_MP: Final = 1 << 1
CR0_EM: Final = 1 << 2
CR0_TS: Final = 1 << 3
CR0_ET: Final = 1 << 4
CR0_NE: Final = 1 << 5
CR0_WP: Final = 1 << 16
CR0_AM: Final = 1 << 18
CR0_NW: Final = 1 << 29
CR0_CD: Final = 1 << 30
CR0_PG: Final = 1 << 31
CR0_DEFINED: Final = (
    CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG
)

CR4_VME: Final = 1 << 0
CR4_PVI: Final = 1 << 1
CR4_TSD: Final = 1 << 2
CR4_DE: Final = 1 << 3
CR4_PSE: Final = 1 << 4
CR4_PAE: Final = 1 << 5
CR4_MCE: Final = 1 << 6
CR4_PGE: Final = 1 << 7
CR4_PCE: Final = 1 << 8
CR4_UMIP: Final = 1 << 11
CR4_VMXE: Final = 1 << 13

DR6_HITS: Final = 0xF  # B0 to B3: which breakpoints
DR6_BD: Final = 1 << 13  # a debug register was about to be accessed while DR7.GD was set
DR6_BS: Final = 1 << 14  # the trap was a single step
DR6_BT: Final = 1 << 15  # a task switch to a task whose T flag is set
DR6_FIXED: Final = 0xFFFF0FF0
DR6_WRITABLE: Final = DR6_HITS | DR6_BD | DR6_BS | DR6_BT
DR7_ENABLED: Final = 0xFF  # L0 G0 … L3 G3
DR7_FIXED: Final = 0x400
DR7_GD: Final = 1 << 13
DR7_WRITABLE: Final = 0xFFFF23FF

# Page-table entries, 32-bit paging.
PTE_P: Final = 1 << 0
PTE_W: Final = 1 << 1
PTE_U: Final = 1 << 2
PTE_A: Final = 1 << 5
PTE_D: Final = 1 << 6
PTE_PS: Final = 1 << 7
PTE_G: Final = 1 << 8

# Segment attributes as kept in the segment caches. The layout is the VMX access-rights format:
#   16 | 15 14 13 12 | 11..8 | 7 6..5 4 3..0
#   unusable | G D/B L AVL | 0 | P DPL S TYPE
ATTR_TYPE: Final = 0xF
ATTR_ACCESSED: Final = 1 << 0
ATTR_WRITABLE: Final = 1 << 1  # data; for code: readable
ATTR_EXPAND_DOWN: Final = 1 << 2  # data; for code: conforming
ATTR_CODE: Final = 1 << 3
ATTR_S: Final = 1 << 4
ATTR_DPL_SHIFT: Final = 5
ATTR_P: Final = 1 << 7
ATTR_DB: Final = 1 << 14
ATTR_G: Final = 1 << 15
ATTR_UNUSABLE: Final = 1 << 16

# What a processor can do: the `features` word of its state. Bits 0 to 31 are CPUID leaf 1, EDX.
FEATURE_VME: Final = 1 << 1
FEATURE_DE: Final = 1 << 2
FEATURE_PSE: Final = 1 << 3
FEATURE_TSC: Final = 1 << 4
FEATURE_MSR: Final = 1 << 5
FEATURE_PAE: Final = 1 << 6
FEATURE_MCE: Final = 1 << 7
FEATURE_CX8: Final = 1 << 8
FEATURE_APIC: Final = 1 << 9  # a local APIC: its base register, and its board's I/O APIC
FEATURE_SEP: Final = 1 << 11
FEATURE_PGE: Final = 1 << 13
FEATURE_CMOV: Final = 1 << 15
# What that leaf does not name.
FEATURE_386: Final = 1 << 32  # every processor here: the condition of an instruction without one
FEATURE_486: Final = 1 << 33  # its instructions, EFLAGS.AC, CR0.NE, AM, NW, CD
FEATURE_P6: Final = 1 << 34  # the hint opcodes
FEATURE_WP: Final = 1 << 35  # CR0.WP
FEATURE_CPUID: Final = 1 << 36  # the instruction, and EFLAGS.ID by which software finds it
FEATURE_PMC: Final = 1 << 37  # RDPMC and CR4.PCE
FEATURE_UMIP: Final = 1 << 38  # CR4.UMIP
FEATURE_PVI: Final = 1 << 39  # CR4.PVI, which comes with VME too
FEATURE_TRAPS: Final = 1 << 40  # sensitive instructions are #GP(0) above CPL 0: no real processor
FEATURES_P6: Final = (
    FEATURE_VME
    | FEATURE_DE
    | FEATURE_PSE
    | FEATURE_TSC
    | FEATURE_MSR
    | FEATURE_MCE
    | FEATURE_CX8
    | FEATURE_APIC
    | FEATURE_SEP
    | FEATURE_PGE
    | FEATURE_CMOV
    | FEATURE_386
    | FEATURE_486
    | FEATURE_P6
    | FEATURE_WP
    | FEATURE_CPUID
    | FEATURE_PMC
)
FEATURES_IMPLEMENTED: Final = (  # what a model may have
    FEATURES_P6 | FEATURE_PAE | FEATURE_UMIP | FEATURE_PVI | FEATURE_TRAPS
)

# IA32_APIC_BASE. What is written to it goes to the local APIC as a device write to a place that is
# no address of memory.
APIC_BASE_ENABLE: Final = 1 << 11
APIC_BASE_MESSAGE: Final = 1 << 36
