"""What identifies and counts: CPUID, the time-stamp and performance counters, RDMSR and WRMSR.

The processor presents itself as its model says (`features` and `cpuid_…` of the state). Its
time-stamp counter counts retired instructions, so that time is the same in every run.

Source: SDM vol. 2, "CPUID", "RDTSC", "RDPMC", "RDMSR", "WRMSR"; vol. 4, "MSRs in the P6 Family
Processors".
"""

from isa import vectors
from isa.accounts import raise_fault, retired_total, settle
from isa.generated import forms as f
from isa.jit import jit
from isa.memory import write_device
from isa.records import DONE, TROUBLED
from isa.registers import (
    APIC_BASE_ENABLE,
    APIC_BASE_MESSAGE,
    EAX,
    EBX,
    ECX,
    EDX,
    FEATURE_APIC,
    FEATURE_MCE,
    FEATURE_P6,
    FEATURE_SEP,
    FEATURE_TSC,
)
from isa.state import (
    APIC_BASE,
    CPUID_LAST_LEAF,
    CPUID_SIGNATURE,
    CPUID_VENDOR,
    FEATURES,
    GPR,
    SYSENTER_CS,
    SYSENTER_EIP,
    SYSENTER_ESP,
    TSC_OFFSET,
    State,
)
from isa.workspace import Workspace

M32 = 0xFFFFFFFF

MSR_MACHINE_CHECK_ADDRESS = 0x0  # of the Pentium; reads as zero: nothing ever goes wrong
MSR_MACHINE_CHECK_TYPE = 0x1
MSR_TIME_STAMP_COUNTER = 0x10
MSR_APIC_BASE = 0x1B
MSR_SYSENTER_CS = 0x174
MSR_SYSENTER_ESP = 0x175
MSR_SYSENTER_EIP = 0x176

PERFORMANCE_COUNTERS = 2  # they exist, and count nothing: no event can be selected

APIC_BASE_WRITABLE = 0xFFFFF800  # enable bit and address
APIC_BASE_FIXED = 0x100  # this is the boot processor
APIC_BASE_RESERVED = 0x6FF


@jit
def identify(cpu: State) -> int:
    """CPUID. Leaves beyond the last, extended ones too, give the last one, as on the P6 family."""
    leaf = min(cpu[GPR + EAX], cpu[CPUID_LAST_LEAF])
    if leaf == 0:
        name = CPUID_VENDOR
        set_four(cpu, cpu[CPUID_LAST_LEAF], cpu[name], cpu[name + 2], cpu[name + 1])
    elif leaf == 1:
        features = cpu[FEATURES] & M32
        if not cpu[APIC_BASE] & APIC_BASE_ENABLE:
            features &= ~FEATURE_APIC
        set_four(cpu, cpu[CPUID_SIGNATURE], 0, 0, features)
    else:
        set_four(cpu, 1, 0, 0, 0)  # no descriptor of a cache or TLB
    return DONE


@jit
def set_four(cpu: State, eax: int, ebx: int, ecx: int, edx: int) -> None:
    cpu[GPR + EAX] = eax
    cpu[GPR + EBX] = ebx
    cpu[GPR + ECX] = ecx
    cpu[GPR + EDX] = edx


@jit
def set_pair(cpu: State, value: int) -> int:
    """Return a 64-bit value in EDX:EAX; DONE."""
    cpu[GPR + EAX] = value & M32
    cpu[GPR + EDX] = value >> 32 & M32
    return DONE


@jit
def time_stamp(cpu: State, core: Workspace) -> int:
    """The time-stamp counter: instructions retired before this one, plus an offset."""
    settle(cpu, core)
    return retired_total(cpu) + cpu[TSC_OFFSET]  # type: ignore[no-any-return]


@jit
def read_performance_counter(cpu: State, core: Workspace) -> int:
    if cpu[GPR + ECX] >= PERFORMANCE_COUNTERS:
        raise_fault(core, vectors.GP, 0)
        return TROUBLED
    return set_pair(cpu, 0)


@jit
def knows_msr(features: int, number: int) -> int:
    """1 if a processor with these features has the model-specific register."""
    if number <= MSR_MACHINE_CHECK_TYPE:
        return 1 if features & FEATURE_MCE else 0
    if number == MSR_TIME_STAMP_COUNTER:
        return 1 if features & FEATURE_TSC else 0
    if number == MSR_APIC_BASE:
        return 1 if features & FEATURE_P6 and features & FEATURE_APIC else 0
    if MSR_SYSENTER_CS <= number <= MSR_SYSENTER_EIP:
        return 1 if features & FEATURE_SEP else 0
    return 0


@jit
def read_msr(cpu: State, core: Workspace) -> int:
    """RDMSR: #GP(0) for registers that do not exist."""
    number = cpu[GPR + ECX]
    if not knows_msr(cpu[FEATURES], number):
        raise_fault(core, vectors.GP, 0)
        return TROUBLED
    if number == MSR_TIME_STAMP_COUNTER:
        return set_pair(cpu, time_stamp(cpu, core))
    if number == MSR_APIC_BASE:
        return set_pair(cpu, cpu[APIC_BASE])
    if number == MSR_SYSENTER_CS:
        return set_pair(cpu, cpu[SYSENTER_CS])
    if number == MSR_SYSENTER_ESP:
        return set_pair(cpu, cpu[SYSENTER_ESP])
    if number == MSR_SYSENTER_EIP:
        return set_pair(cpu, cpu[SYSENTER_EIP])
    return set_pair(cpu, 0)


@jit
def write_msr(cpu: State, core: Workspace) -> int:
    """WRMSR: #GP(0) for registers that do not exist or are read only, and for reserved bits."""
    number = cpu[GPR + ECX]
    value = cpu[GPR + EAX]
    if not knows_msr(cpu[FEATURES], number):
        raise_fault(core, vectors.GP, 0)
        return TROUBLED
    if number == MSR_TIME_STAMP_COUNTER:
        # The P6 family can write the low half only; the high half becomes zero.
        settle(cpu, core)
        cpu[TSC_OFFSET] = value - retired_total(cpu)
    elif number == MSR_SYSENTER_CS:
        cpu[SYSENTER_CS] = value
    elif number == MSR_SYSENTER_ESP:
        cpu[SYSENTER_ESP] = value
    elif number == MSR_SYSENTER_EIP:
        cpu[SYSENTER_EIP] = value
    elif number == MSR_APIC_BASE and not cpu[GPR + EDX] and not value & APIC_BASE_RESERVED:
        cpu[APIC_BASE] = value & APIC_BASE_WRITABLE | APIC_BASE_FIXED
        write_device(cpu, core, APIC_BASE_MESSAGE, 8, cpu[APIC_BASE])
    else:
        raise_fault(core, vectors.GP, 0)
        return TROUBLED
    return DONE


@jit
def execute_model_specific(cpu: State, core: Workspace, operation: int) -> int:
    """CPUID, RDTSC, RDPMC, RDMSR, WRMSR."""
    if operation == f.O_CPUID:
        return identify(cpu)
    if operation == f.O_RDTSC:
        return set_pair(cpu, time_stamp(cpu, core))
    if operation == f.O_RDPMC:
        return read_performance_counter(cpu, core)
    if operation == f.O_RDMSR:
        return read_msr(cpu, core)
    return write_msr(cpu, core)
