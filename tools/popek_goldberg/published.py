"""What has been published about sensitive x86 instructions, and why an experiment finds others.

Names of operations are those of the instruction table (`Form.operation`).
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Entry:
    """One entry of a published list. `operations`: ours that it stands for."""

    name: str
    operations: tuple[str, ...]
    reason: str


# J. S. Robin and C. E. Irvine, "Analysis of the Intel Pentium's Ability to Support a Secure Virtual
# Machine Monitor", USENIX Security 2000. Its abstract says seventeen; the list has eighteen names.
ROBIN_IRVINE: Final = (
    Entry("SGDT", ("SGDT",), "shows where the GDT is"),
    Entry("SIDT", ("SIDT",), "shows where the IDT is"),
    Entry("SLDT", ("SLDT",), "shows the selector of the LDT"),
    Entry("SMSW", ("SMSW",), "shows the low half of CR0"),
    Entry("PUSHF", ("PUSHF",), "shows IF and IOPL"),
    Entry("POPF", ("POPF",), "changes IF and IOPL, or silently does not"),
    Entry("LAR", ("LAR",), "compares DPL with CPL"),
    Entry("LSL", ("LSL",), "compares DPL with CPL, and shows limits"),
    Entry("VERR", ("VERR",), "compares DPL with CPL"),
    Entry("VERW", ("VERW",), "compares DPL with CPL"),
    Entry("POP segment", ("POP_SREG",), "loads a segment register"),
    Entry("PUSH segment", ("PUSH_SREG",), "shows a selector, for CS and SS with CPL in it"),
    Entry("CALL far", ("CALL_FAR",), "loads CS, and shows the old one"),
    Entry("JMP far", ("JMP_FAR",), "loads CS"),
    Entry("INT n", ("INT",), "changes CPL, and shows flags and selectors"),
    Entry("RET far", ("RET_FAR",), "loads CS and SS, changes CPL"),
    Entry("STR", ("STR",), "shows the selector of the task"),
    Entry("MOV segment", ("MOV_TO_SREG", "MOV_FROM_SREG"), "loads or shows a segment register"),
)
# E. Bugnion, J. Nieh, D. Tsafrir, "Hardware and Software Support for Virtualization", Table 2.2.
ALSO_PUBLISHED: Final = (Entry("IRET", ("IRET",), "loads CS, SS and flags, changes CPL"),)


@dataclass(frozen=True)
class Difference:
    """Why the experiment finds operations critical that no list has, or the other way round.

    Attributes:
        source: where the manual says so.
    """

    operations: tuple[str, ...]
    reason: str
    source: str


BEYOND: Final = (
    Difference(
        ("INT1", "INT3", "INTO"),
        "INT n with a fixed vector. Whether the list means them with INT n is not said.",
        "vol. 2, INT n/INTO/INT3/INT1",
    ),
    Difference(
        ("LOAD_FAR",),
        "LDS, LES, LSS, LFS and LGS load a segment register just as POP and MOV do, by the same "
        "rules.",
        "vol. 2, LDS/LES/LFS/LGS/LSS",
    ),
    Difference(
        ("SYSENTER",),
        "Enters ring 0 through model-specific registers, without a gate and without a trap, and "
        "clears IF. It came with the Pentium II, after the processors that were analysed.",
        "vol. 2, SYSENTER",
    ),
    Difference(
        ("CLI", "STI"),
        "They trap only where CPL > IOPL. Lists leave them out because monitors keep IOPL at 0; "
        "Popek and Goldberg's definition is about all states, and in one with IOPL 3 a user "
        "program changes IF. A monitor is free to avoid that state.",
        "vol. 2, CLI, STI",
    ),
    Difference(
        ("IN", "OUT", "INS", "OUTS"),
        "They trap only where CPL > IOPL and the task's I/O permission bit map does not open the "
        "port. As with CLI, a monitor can see to it that they do.",
        'vol. 1, "I/O Privilege Level", "I/O Permission Bit Map"',
    ),
    Difference(
        ("RDTSC",),
        "Shows the time-stamp counter, which the supervisor can write, unless CR4.TSD is set. The "
        "paper leaves time out of its model.",
        "vol. 2, RDTSC",
    ),
    Difference(
        ("CPUID",),
        "One bit (APIC) follows IA32_APIC_BASE, which the supervisor can write; the rest is fixed "
        "with the model of the processor. It does not trap, so that a monitor cannot present "
        "another processor.",
        'vol. 2, CPUID; vol. 3A, "Enabling or Disabling the Local APIC"',
    ),
)

# Sensitive by the manual, and not by this experiment: what they show or change does not exist here.
UNSEEN: Final = (
    Difference(
        ("RDPMC",),
        "The performance counters of this machine exist and count nothing, so they show nothing. "
        "It is privileged while CR4.PCE is clear.",
        "vol. 2, RDPMC",
    ),
    Difference(
        ("INVD", "WBINVD"),
        "This machine has no caches. Both are privileged, so nothing depends on it.",
        "vol. 2, INVD, WBINVD",
    ),
)


def published_operations() -> set[str]:
    """Everything on the published lists."""
    return {name for entry in (*ROBIN_IRVINE, *ALSO_PUBLISHED) for name in entry.operations}


def explained_operations() -> set[str]:
    """Everything beyond them that has an explanation."""
    return {name for difference in BEYOND for name in difference.operations}


def unseen_operations() -> set[str]:
    """What the machine lacks the means to show."""
    return {name for difference in UNSEEN for name in difference.operations}
