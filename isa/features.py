"""What follows from a processor's features: which bits of EFLAGS, CR0 and CR4 it has.

Software tells the generations of the family apart by bits that cannot be set.

Source: SDM vol. 3B, "Architecture Compatibility": "New Flags in the EFLAGS Register", "Control
Register Extensions", and vol. 3A, "Control Registers".
"""

from isa.jit import jit
from isa.registers import (
    CR0_AM,
    CR0_CD,
    CR0_DEFINED,
    CR0_NE,
    CR0_NW,
    CR0_WP,
    CR4_DE,
    CR4_MCE,
    CR4_PAE,
    CR4_PCE,
    CR4_PGE,
    CR4_PSE,
    CR4_PVI,
    CR4_TSD,
    CR4_UMIP,
    CR4_VME,
    EFLAGS_AC,
    EFLAGS_DEFINED,
    EFLAGS_ID,
    EFLAGS_VIF,
    EFLAGS_VIP,
    FEATURE_486,
    FEATURE_CPUID,
    FEATURE_DE,
    FEATURE_MCE,
    FEATURE_PAE,
    FEATURE_PGE,
    FEATURE_PMC,
    FEATURE_PSE,
    FEATURE_PVI,
    FEATURE_TSC,
    FEATURE_UMIP,
    FEATURE_VME,
    FEATURE_WP,
)

_CR0_386 = CR0_DEFINED & ~(CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD)
_EFLAGS_386 = EFLAGS_DEFINED & ~(EFLAGS_AC | EFLAGS_VIF | EFLAGS_VIP | EFLAGS_ID)


@jit
def defined_eflags(features: int) -> int:
    """The flags that exist; the other bits cannot be set."""
    defined = _EFLAGS_386
    if features & FEATURE_486:
        defined |= EFLAGS_AC
    if features & FEATURE_VME:
        defined |= EFLAGS_VIF | EFLAGS_VIP
    if features & FEATURE_CPUID:
        defined |= EFLAGS_ID
    return defined


@jit
def defined_cr0(features: int) -> int:
    """The bits of CR0 that exist; writes to the others are ignored."""
    defined = _CR0_386
    if features & FEATURE_486:
        defined |= CR0_NE | CR0_AM | CR0_NW | CR0_CD
    if features & FEATURE_WP:
        defined |= CR0_WP
    return defined


@jit
def defined_cr4(features: int) -> int:
    """The bits of CR4 that exist: setting another one is #GP(0). Without any there is no CR4."""
    defined = 0
    if features & FEATURE_VME:
        defined |= CR4_VME | CR4_PVI
    if features & FEATURE_PVI:
        defined |= CR4_PVI
    if features & FEATURE_TSC:
        defined |= CR4_TSD
    if features & FEATURE_DE:
        defined |= CR4_DE
    if features & FEATURE_PSE:
        defined |= CR4_PSE
    if features & FEATURE_PAE:
        defined |= CR4_PAE
    if features & FEATURE_MCE:
        defined |= CR4_MCE
    if features & FEATURE_PGE:
        defined |= CR4_PGE
    if features & FEATURE_PMC:
        defined |= CR4_PCE
    if features & FEATURE_UMIP:
        defined |= CR4_UMIP
    return defined
