"""The words of the instruction table and the numbers they stand for in the generated columns.

Everything a row may say besides its encoding: flags, conditions, privilege rules, sensitivity
classes, control flow, VM-exit reasons, processor generations, implicit operands. A word that is
not here is refused by isa/notation.py.

Source: SDM vol. 1, "EFLAGS Register"; vol. 2, "Condition Codes"; vol. 3C, appendix "VMX Basic Exit
Reasons".
"""

from typing import Final

from isa import registers

# Letters of the flags column and their EFLAGS bits.
FLAG_BITS: Final = {
    "c": registers.EFLAGS_CF,
    "p": registers.EFLAGS_PF,
    "a": registers.EFLAGS_AF,
    "z": registers.EFLAGS_ZF,
    "s": registers.EFLAGS_SF,
    "t": registers.EFLAGS_TF,
    "i": registers.EFLAGS_IF,
    "d": registers.EFLAGS_DF,
    "o": registers.EFLAGS_OF,
    "l": registers.EFLAGS_IOPL,
    "n": registers.EFLAGS_NT,
    "y": registers.EFLAGS_RF,
    "v": registers.EFLAGS_VM,
    "x": registers.EFLAGS_AC,
    "q": registers.EFLAGS_VIF,
    "k": registers.EFLAGS_VIP,
    "j": registers.EFLAGS_ID,
}

# Conditions by number, and the flags that each reads. A condition's odd partner is its negation.
CONDITIONS: Final = (
    ("O", "o"),
    ("NO", "o"),
    ("B", "c"),
    ("AE", "c"),
    ("E", "z"),
    ("NE", "z"),
    ("BE", "cz"),
    ("A", "cz"),
    ("S", "s"),
    ("NS", "s"),
    ("P", "p"),
    ("NP", "p"),
    ("L", "so"),
    ("GE", "so"),
    ("LE", "zso"),
    ("G", "zso"),
)

# Other spellings of the conditions.
CONDITION_ALIASES: Final = {
    "C": "B",
    "NAE": "B",
    "NB": "AE",
    "NC": "AE",
    "Z": "E",
    "NZ": "NE",
    "NA": "BE",
    "NBE": "A",
    "PE": "P",
    "PO": "NP",
    "NGE": "L",
    "NL": "GE",
    "NG": "LE",
    "NLE": "G",
}

ACCESS: Final = {"-": 0, "r": 1, "w": 2, "rw": 3}
ACCESS_READ: Final = 1
ACCESS_WRITE: Final = 2

PRIVILEGES: Final = {"": 0, "cpl0": 1, "iopl": 2, "iomap": 3, "tsd": 4, "pce": 5, "umip": 6}
SENSITIVITIES: Final = {"": 0, "control": 1, "behavior": 2, "control behavior": 3}
FLOWS: Final = {
    "": 0,
    "jump": 1,
    "branch": 2,
    "call": 3,
    "ret": 4,
    "int": 5,
    "iret": 6,
    "halt": 7,
}
REPEATS: Final = {"": 0, "rep": 1, "repcc": 2}

# Processor generations in order; VMX and TRAPGATE stand apart, after them.
PROCESSORS: Final = ("8086", "186", "286", "386", "486", "P5", "P6", "VMX", "TRAPGATE")

# Features that a model of a processor may have or lack, by the names of CPUID's bits. PMC, UMIP,
# PVI and TRAPS have no bit in leaf 1; VME and the others of paging and debugging decide about bits
# of CR4 only. VME brings CR4.PVI along; PVI is that bit alone. With TRAPS every form of the table
# that is sensitive is #GP(0) above CPL 0: Popek and Goldberg's condition, met by no real processor.
FEATURES: Final = {
    "VME": registers.FEATURE_VME,
    "DE": registers.FEATURE_DE,
    "PSE": registers.FEATURE_PSE,
    "TSC": registers.FEATURE_TSC,
    "MSR": registers.FEATURE_MSR,
    "PAE": registers.FEATURE_PAE,
    "MCE": registers.FEATURE_MCE,
    "CX8": registers.FEATURE_CX8,
    "APIC": registers.FEATURE_APIC,
    "SEP": registers.FEATURE_SEP,
    "PGE": registers.FEATURE_PGE,
    "CMOV": registers.FEATURE_CMOV,
    "CPUID": registers.FEATURE_CPUID,
    "WP": registers.FEATURE_WP,
    "PMC": registers.FEATURE_PMC,
    "UMIP": registers.FEATURE_UMIP,
    "PVI": registers.FEATURE_PVI,
    "TRAPS": registers.FEATURE_TRAPS,
}
# What stands for the generations: every model has the ones up to its own.
GENERATION_FEATURES: Final = {
    "486": registers.FEATURE_486,
    "P6": registers.FEATURE_P6,
}

FAULTS: Final = frozenset(
    {"DE", "DB", "BP", "OF", "BR", "UD", "NM", "TS", "NP", "SS", "GP", "PF", "MF", "AC"}
)

# What an instruction touches without naming it as an operand. `si`, `di`, `bx`, `cx`, `sp`, `bp`
# are as wide as the address size (`sp` and `bp`: as the stack); `source` and `destination` are the
# memory at them; `stack` is memory on the stack.
IMPLICIT: Final = frozenset(
    {"al", "ah", "ax", "eax", "dx", "edx", "ecx", "ebx"}
    | {"bx", "cx", "sp", "bp", "si", "di", "gprs"}
    | {"cs", "ss", "ds", "es", "fs", "gs", "eip"}
    | {"stack", "source", "destination", "memory"}
    | {"cr0", "gdtr", "idtr", "ldtr", "tr", "msr", "tsc", "pmc", "tlb", "cache", "port"}
)

EXIT_REASONS: Final = {
    "EXCEPTION_NMI": 0,
    "EXTERNAL_INTERRUPT": 1,
    "TRIPLE_FAULT": 2,
    "INIT": 3,
    "SIPI": 4,
    "IO_SMI": 5,
    "OTHER_SMI": 6,
    "INTERRUPT_WINDOW": 7,
    "NMI_WINDOW": 8,
    "TASK_SWITCH": 9,
    "CPUID": 10,
    "GETSEC": 11,
    "HLT": 12,
    "INVD": 13,
    "INVLPG": 14,
    "RDPMC": 15,
    "RDTSC": 16,
    "RSM": 17,
    "VMCALL": 18,
    "VMCLEAR": 19,
    "VMLAUNCH": 20,
    "VMPTRLD": 21,
    "VMPTRST": 22,
    "VMREAD": 23,
    "VMRESUME": 24,
    "VMWRITE": 25,
    "VMXOFF": 26,
    "VMXON": 27,
    "CR_ACCESS": 28,
    "MOV_DR": 29,
    "IO_INSTRUCTION": 30,
    "RDMSR": 31,
    "WRMSR": 32,
    "ENTRY_FAILURE_GUEST_STATE": 33,
    "ENTRY_FAILURE_MSR_LOADING": 34,
    "MWAIT": 36,
    "MONITOR_TRAP_FLAG": 37,
    "MONITOR": 39,
    "PAUSE": 40,
    "ENTRY_FAILURE_MACHINE_CHECK": 41,
    "TPR_BELOW_THRESHOLD": 43,
    "APIC_ACCESS": 44,
    "VIRTUALIZED_EOI": 45,
    "GDTR_IDTR": 46,
    "LDTR_TR": 47,
    "EPT_VIOLATION": 48,
    "EPT_MISCONFIGURATION": 49,
    "INVEPT": 50,
    "RDTSCP": 51,
    "PREEMPTION_TIMER": 52,
    "INVVPID": 53,
    "WBINVD": 54,
    "XSETBV": 55,
}
