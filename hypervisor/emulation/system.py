"""Privileged and sensitive instructions on the virtual processor's own registers.

Interrupt flag, HLT, control, debug and model-specific registers, descriptor tables, time. The
machine's real registers are not touched: the host is told, and decides what follows for them.

Source: SDM vol. 2, the instructions; vol. 3A, "System Instruction Summary", "Control Registers".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypervisor.addresses import M32
from hypervisor.descriptors import FLAT_CODE, FLAT_DATA, Segment, TableRegister
from hypervisor.emulation.operands import offset_of, read_operand, write_operand, write_register
from hypervisor.faults import GuestFault, general_protection, undefined_opcode
from hypervisor.segment_loading import load_local_table, load_task_register
from isa import vectors
from isa.features import defined_cr0, defined_cr4
from isa.instruction import Instruction, Memory, Register
from isa.model_specific import (
    APIC_BASE_FIXED,
    APIC_BASE_RESERVED,
    APIC_BASE_WRITABLE,
    MSR_APIC_BASE,
    MSR_SYSENTER_CS,
    MSR_SYSENTER_EIP,
    MSR_SYSENTER_ESP,
    MSR_TIME_STAMP_COUNTER,
    PERFORMANCE_COUNTERS,
    knows_msr,
)
from isa.registers import (
    ATTR_DPL_SHIFT,
    CR0_CD,
    CR0_EM,
    CR0_ET,
    CR0_MP,
    CR0_NW,
    CR0_PE,
    CR0_PG,
    CR0_TS,
    CR4_DE,
    CS,
    DR6_BD,
    DR6_FIXED,
    DR6_HITS,
    DR6_WRITABLE,
    DR7_FIXED,
    DR7_GD,
    DR7_WRITABLE,
    EAX,
    EBX,
    ECX,
    EDX,
    EFLAGS_IF,
    EFLAGS_RF,
    EFLAGS_VM,
    ESP,
    LDTR,
    SS,
    TR,
)

if TYPE_CHECKING:
    from hypervisor.emulation.emulator import Emulator, Routine

_LMSW_BITS: Final = CR0_PE | CR0_MP | CR0_EM | CR0_TS


def _number(instruction: Instruction, position: int) -> int:
    operand = instruction.operands[position]
    assert isinstance(operand, Register), operand
    return operand.number


# --- the interrupt flag -----------------------------------------------------------------------


def _cli(emulator: Emulator, _instruction: Instruction) -> None:
    emulator.vcpu.eflags &= ~EFLAGS_IF


def _sti(emulator: Emulator, _instruction: Instruction) -> None:
    vcpu = emulator.vcpu
    if not vcpu.interrupts_enabled:
        vcpu.shadow_at = emulator.host.completed + 1
        vcpu.eflags |= EFLAGS_IF


def _hlt(emulator: Emulator, _instruction: Instruction) -> None:
    emulator.vcpu.halted = True


def _nothing(_emulator: Emulator, _instruction: Instruction) -> None:
    """INVD, WBINVD: there is no cache to write back or to lose."""


# --- control registers ------------------------------------------------------------------------


def _paging_changed(emulator: Emulator) -> None:
    emulator.memory.forget_translations()
    emulator.host.paging_changed()


def _write_cr0(emulator: Emulator, value: int) -> None:
    value &= defined_cr0(emulator.vcpu.features)
    paging_alone = value & (CR0_PG | CR0_PE) == CR0_PG
    if paging_alone or value & (CR0_NW | CR0_CD) == CR0_NW:
        raise general_protection()
    emulator.vcpu.cr0 = value | CR0_ET
    _paging_changed(emulator)


def _mov_to_cr(emulator: Emulator, instruction: Instruction) -> None:
    vcpu = emulator.vcpu
    number, value = _number(instruction, 0), vcpu.gpr[_number(instruction, 1)]
    match number:
        case 0:
            _write_cr0(emulator, value)
        case 2:
            vcpu.cr2 = value
        case 3:
            vcpu.cr3 = value
            _paging_changed(emulator)
        case 4 if defined_cr4(vcpu.features):
            if value & ~defined_cr4(vcpu.features):
                raise general_protection()
            vcpu.cr4 = value
            _paging_changed(emulator)
        case _:
            raise undefined_opcode()


def _mov_from_cr(emulator: Emulator, instruction: Instruction) -> None:
    vcpu = emulator.vcpu
    values = {0: vcpu.cr0, 2: vcpu.cr2, 3: vcpu.cr3}
    if defined_cr4(vcpu.features):
        values[4] = vcpu.cr4
    number = _number(instruction, 1)
    if number not in values:
        raise undefined_opcode()
    vcpu.gpr[_number(instruction, 0)] = values[number]


def _lmsw(emulator: Emulator, instruction: Instruction) -> None:
    """LMSW: the low four bits of CR0, of which PE can only be set."""
    vcpu = emulator.vcpu
    value = read_operand(vcpu, emulator.memory, instruction, instruction.operands[0], 16)
    kept = vcpu.cr0 & ~_LMSW_BITS | vcpu.cr0 & CR0_PE
    _write_cr0(emulator, kept | value & _LMSW_BITS)


def _smsw(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, destination = emulator.vcpu, instruction.operands[0]
    if isinstance(destination, Register):
        write_register(vcpu, destination, vcpu.cr0)
    else:
        value = vcpu.cr0 & 0xFFFF
        write_operand(vcpu, emulator.memory, instruction, destination, 16, value)


def _clts(emulator: Emulator, _instruction: Instruction) -> None:
    emulator.vcpu.cr0 &= ~CR0_TS
    _paging_changed(emulator)


def _invlpg(emulator: Emulator, instruction: Instruction) -> None:
    operand = instruction.operands[0]
    assert isinstance(operand, Memory)
    vcpu = emulator.vcpu
    offset = offset_of(vcpu, operand, instruction.prefixes.address_bits)
    gva = (vcpu.segments[operand.effective_segment].base + offset) & M32
    emulator.memory.forget_translations()
    emulator.host.page_invalidated(gva)


# --- debug registers --------------------------------------------------------------------------


def _debug_number(emulator: Emulator, number: int) -> int:
    """The register an instruction may access: DR4 and DR5 are other names of DR6 and DR7."""
    vcpu = emulator.vcpu
    if number in (4, 5):
        if vcpu.cr4 & CR4_DE:
            raise undefined_opcode()
        number += 2
    if vcpu.dr[7] & DR7_GD:
        vcpu.dr[6] = vcpu.dr[6] & ~DR6_HITS | DR6_BD
        vcpu.eflags |= EFLAGS_RF
        raise GuestFault(vectors.DB)
    return number


def _mov_to_dr(emulator: Emulator, instruction: Instruction) -> None:
    vcpu = emulator.vcpu
    number = _debug_number(emulator, _number(instruction, 0))
    value = vcpu.gpr[_number(instruction, 1)]
    if number == 6:
        value = value & DR6_WRITABLE | DR6_FIXED
    elif number == 7:
        value = value & DR7_WRITABLE | DR7_FIXED
    vcpu.dr[number] = value
    emulator.host.breakpoints_changed()


def _mov_from_dr(emulator: Emulator, instruction: Instruction) -> None:
    number = _debug_number(emulator, _number(instruction, 1))
    emulator.vcpu.gpr[_number(instruction, 0)] = emulator.vcpu.dr[number]


# --- descriptor tables ------------------------------------------------------------------------


def _read_table_register(emulator: Emulator, instruction: Instruction) -> TableRegister:
    operand = instruction.operands[0]
    assert isinstance(operand, Memory)
    vcpu, memory = emulator.vcpu, emulator.memory
    offset = offset_of(vcpu, operand, instruction.prefixes.address_bits)
    gva = memory.address(operand.effective_segment, offset, 6, write=False)
    limit = memory.read_system(gva, 2)
    base = memory.read_system(gva + 2, 4)
    return TableRegister(
        base if instruction.prefixes.operand_bits == 32 else base & 0xFFFFFF, limit
    )


def _lgdt(emulator: Emulator, instruction: Instruction) -> None:
    emulator.vcpu.gdtr = _read_table_register(emulator, instruction)
    emulator.host.descriptor_tables_changed()


def _lidt(emulator: Emulator, instruction: Instruction) -> None:
    emulator.vcpu.idtr = _read_table_register(emulator, instruction)


def _store_table_register(
    emulator: Emulator, instruction: Instruction, register: TableRegister
) -> None:
    operand = instruction.operands[0]
    assert isinstance(operand, Memory)
    vcpu, memory = emulator.vcpu, emulator.memory
    offset = offset_of(vcpu, operand, instruction.prefixes.address_bits)
    gva = memory.address(operand.effective_segment, offset, 6, write=True)
    memory.probe_write(gva, 6, user=vcpu.is_user, alignment=4)
    memory.write(gva, 2, register.limit, user=False)
    memory.write(gva + 2, 4, register.base, user=False)


def _sgdt(emulator: Emulator, instruction: Instruction) -> None:
    _store_table_register(emulator, instruction, emulator.vcpu.gdtr)


def _sidt(emulator: Emulator, instruction: Instruction) -> None:
    _store_table_register(emulator, instruction, emulator.vcpu.idtr)


def _lldt(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, memory = emulator.vcpu, emulator.memory
    selector = read_operand(vcpu, memory, instruction, instruction.operands[0], 16)
    load_local_table(vcpu, memory, selector)
    emulator.host.descriptor_tables_changed()


def _ltr(emulator: Emulator, instruction: Instruction) -> None:
    vcpu, memory = emulator.vcpu, emulator.memory
    selector = read_operand(vcpu, memory, instruction, instruction.operands[0], 16)
    load_task_register(vcpu, memory, selector)


def _store_selector(emulator: Emulator, instruction: Instruction, selector: int) -> None:
    destination = instruction.operands[0]
    if isinstance(destination, Register):
        write_register(emulator.vcpu, destination, selector)
    else:
        write_operand(emulator.vcpu, emulator.memory, instruction, destination, 16, selector)


def _sldt(emulator: Emulator, instruction: Instruction) -> None:
    _store_selector(emulator, instruction, emulator.vcpu.segments[LDTR].selector)


def _str(emulator: Emulator, instruction: Instruction) -> None:
    _store_selector(emulator, instruction, emulator.vcpu.segments[TR].selector)


# --- time and model-specific registers --------------------------------------------------------


def _set_pair(emulator: Emulator, value: int) -> None:
    emulator.vcpu.gpr[EAX] = value & M32
    emulator.vcpu.gpr[EDX] = value >> 32 & M32


def _time_stamp(emulator: Emulator) -> int:
    return emulator.host.completed + emulator.vcpu.tsc_offset


def _rdtsc(emulator: Emulator, _instruction: Instruction) -> None:
    _set_pair(emulator, _time_stamp(emulator))


def _rdpmc(emulator: Emulator, _instruction: Instruction) -> None:
    if emulator.vcpu.gpr[ECX] >= PERFORMANCE_COUNTERS:
        raise general_protection()
    _set_pair(emulator, 0)


def _rdmsr(emulator: Emulator, _instruction: Instruction) -> None:
    vcpu = emulator.vcpu
    if not knows_msr(vcpu.features, vcpu.gpr[ECX]):
        raise general_protection()
    match vcpu.gpr[ECX]:
        case number if number == MSR_TIME_STAMP_COUNTER:
            value = _time_stamp(emulator)
        case number if number == MSR_APIC_BASE:
            value = vcpu.apic_base
        case number if number == MSR_SYSENTER_CS:
            value = vcpu.sysenter_cs
        case number if number == MSR_SYSENTER_ESP:
            value = vcpu.sysenter_esp
        case number if number == MSR_SYSENTER_EIP:
            value = vcpu.sysenter_eip
        case _:
            value = 0
    _set_pair(emulator, value)


def _wrmsr(emulator: Emulator, _instruction: Instruction) -> None:
    vcpu = emulator.vcpu
    value, high = vcpu.gpr[EAX], vcpu.gpr[EDX]
    number = vcpu.gpr[ECX]
    if not knows_msr(vcpu.features, number):
        raise general_protection()
    if number == MSR_TIME_STAMP_COUNTER:
        vcpu.tsc_offset = value - emulator.host.completed  # the P6 clears the high half
    elif number == MSR_SYSENTER_CS:
        vcpu.sysenter_cs = value
    elif number == MSR_SYSENTER_ESP:
        vcpu.sysenter_esp = value
    elif number == MSR_SYSENTER_EIP:
        vcpu.sysenter_eip = value
    elif number == MSR_APIC_BASE and not high and not value & APIC_BASE_RESERVED:
        vcpu.apic_base = value & APIC_BASE_WRITABLE | APIC_BASE_FIXED
        emulator.host.apic_moved()
    else:
        raise general_protection()


# --- fast system calls ------------------------------------------------------------------------


def _enter_level(emulator: Emulator, selector: int, level: int, eip: int, esp: int) -> None:
    """Continue at another privilege level on flat segments that no descriptor describes."""
    vcpu = emulator.vcpu
    dpl = level << ATTR_DPL_SHIFT
    code, stack = selector & 0xFFFC | level, selector + 8 & 0xFFFC | level
    vcpu.segments[CS] = Segment(code, 0, M32, FLAT_CODE | dpl)
    vcpu.segments[SS] = Segment(stack, 0, M32, FLAT_DATA | dpl)
    vcpu.cpl = level
    vcpu.gpr[ESP] = esp
    emulator.next_eip = eip


def _sysenter(emulator: Emulator, _instruction: Instruction) -> None:
    vcpu = emulator.vcpu
    if not vcpu.sysenter_cs & 0xFFFC:
        raise general_protection()
    vcpu.eflags &= ~(EFLAGS_VM | EFLAGS_IF | EFLAGS_RF)
    _enter_level(emulator, vcpu.sysenter_cs, 0, vcpu.sysenter_eip, vcpu.sysenter_esp)


def _sysexit(emulator: Emulator, _instruction: Instruction) -> None:
    vcpu = emulator.vcpu
    if not vcpu.sysenter_cs & 0xFFFC:
        raise general_protection()
    selector = vcpu.sysenter_cs + 16
    _enter_level(emulator, selector, 3, vcpu.gpr[EDX], vcpu.gpr[ECX])


# --- identification ---------------------------------------------------------------------------


def _cpuid(emulator: Emulator, _instruction: Instruction) -> None:
    gpr = emulator.vcpu.gpr
    gpr[EAX], gpr[EBX], gpr[ECX], gpr[EDX] = emulator.vcpu.model.identify(gpr[EAX])


ROUTINES: Final[dict[str, Routine]] = {
    "CPUID": _cpuid,
    "CLI": _cli,
    "STI": _sti,
    "HLT": _hlt,
    "INVD": _nothing,
    "WBINVD": _nothing,
    "MOV_TO_CR": _mov_to_cr,
    "MOV_FROM_CR": _mov_from_cr,
    "LMSW": _lmsw,
    "SMSW": _smsw,
    "CLTS": _clts,
    "INVLPG": _invlpg,
    "MOV_TO_DR": _mov_to_dr,
    "MOV_FROM_DR": _mov_from_dr,
    "LGDT": _lgdt,
    "LIDT": _lidt,
    "SGDT": _sgdt,
    "SIDT": _sidt,
    "LLDT": _lldt,
    "LTR": _ltr,
    "SLDT": _sldt,
    "STR": _str,
    "RDTSC": _rdtsc,
    "RDPMC": _rdpmc,
    "RDMSR": _rdmsr,
    "WRMSR": _wrmsr,
    "SYSENTER": _sysenter,
    "SYSEXIT": _sysexit,
}
