"""The monitor: what is done about each exit of a guest that runs deprivileged.

An exit comes with a vector of the machine's real IDT. A fault of an instruction is first looked at
as the guest's processor would: the instruction is emulated at the guest's believed privilege level,
by the guest's own tables. If it completes, it was one that only the lower ring made fault; if it
faults, the fault is the guest's and is reflected. So no list of "privileged instructions" decides.

What this technique cannot see, because it does not fault in ring 1 (the classic holes): POPF that
changes IF or IOPL, PUSHF, SGDT, SIDT, SLDT, STR, SMSW, reads of CS and SS by MOV and PUSH, LAR,
LSL, VERR, VERW, ARPL, and IRET within ring 1. Guests that use them at ring 0 see the machine's
values, and their changes of IF are lost. Likewise a null selector loaded with RPL 1 to 3 reads as
zero after an exit, and debug registers hold values but break nothing.

Source: Robin & Irvine, "Analysis of the Intel Pentium's Ability to Support a Secure Virtual Machine
Monitor" (USENIX Security 2000); Bugnion et al., "Bringing Virtualization to the x86 Architecture
with the Original VMware Workstation" (ACM TOCS 2012).
"""

from __future__ import annotations

from typing import Final

from hypervisor.accounting import Accounts
from hypervisor.addresses import M32, Gva
from hypervisor.emulation.emulator import (
    Decoder,
    Emulator,
    can_emulate,
    touches_data_segments,
)
from hypervisor.emulation.operands import offset_of
from hypervisor.exit_names import exit_name
from hypervisor.faults import GuestFault
from hypervisor.guest_memory import GuestMemory
from hypervisor.linear_memory import LinearMemory
from hypervisor.livelock import Livelock
from hypervisor.reflection import Event, Kind, reflect
from hypervisor.ring_compression import layout
from hypervisor.ring_compression.crossing import Crossing
from hypervisor.ring_compression.page_faults import Answer, PageFaults
from hypervisor.ring_compression.shadow_descriptors import ShadowDescriptors
from hypervisor.ring_compression.world import World
from hypervisor.shadow_paging import ShadowPaging
from hypervisor.technique import StopReason, VmStopped
from hypervisor.vcpu import VirtualCpu
from isa import vectors
from isa.devices.platform import Platform
from isa.instruction import Instruction, Memory
from isa.machine import Machine
from isa.operand_kinds import KIND_BITS
from isa.registers import (
    APIC_BASE_MESSAGE,
    CR0_AM,
    CR0_EM,
    CR0_MP,
    CR0_NE,
    CR0_PE,
    CR0_TS,
    CR4_PAE,
    CR4_PVI,
    CR4_UMIP,
    DR6_BS,
    DR6_HITS,
    DR7_ENABLED,
    ECX,
    EFLAGS_TF,
    LDTR,
)

# Faults by which ring 1 or 3 stops an instruction that the guest's own machine might carry out.
_INSTRUCTION_FAULTS: Final = frozenset({vectors.GP, vectors.NP, vectors.SS, vectors.TS})

# Bits of the guest's CR0 and CR4 that the machine can simply have too. A guest that sets UMIP
# closes five of the holes for itself: SGDT, SIDT, SLDT, STR and SMSW then fault in ring 1 as well.
_SHARED_CR0: Final = CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_AM
_SHARED_CR4: Final = CR4_UMIP

_SEGMENT_LOADS: Final = frozenset({"MOV_TO_SREG", "POP_SREG"})
_EVENTS: Final = frozenset({"INT", "INT3", "INTO"})
_STRING_ITERATIONS: Final = 4096  # a repeated instruction is taken up again after that many


class RingMonitor:
    """Runs one virtual processor in rings 1 and 3 of a machine. The emulator's host."""

    def __init__(self, machine: Machine, platform: Platform, ram_bytes: int) -> None:
        self.machine = machine
        self.platform = platform
        self.vcpu = VirtualCpu()
        self.accounts = Accounts(machine.processor)
        self.completed = 0
        """Guest instructions completed: by the machine outside ring 0, and by emulation."""
        self._emulated = 0
        self.idle = 0
        self.has_accessed_device = False
        self._iterations = 0
        self._livelock = Livelock()
        self._mappings_changed = False
        world = self.world = World(machine)
        world.build()
        frames = range(layout.GUEST_FIRST_FRAME, layout.GUEST_FIRST_FRAME + ram_bytes // 4096)
        self.memory = GuestMemory(
            memoryview(machine.processor.memory.data),
            world.write_memory,
            frames,
            platform.bus,
        )
        self.memory.before_device_access(self._access_device)
        self.linear = LinearMemory(self.vcpu, self.memory)
        self.paging = ShadowPaging(
            world.words,
            self.memory,
            world.pool,
            world.monitor_entry,
            layout.OPEN_BUS_HPA >> 12,
            world.flush,
        )
        self.descriptors = ShadowDescriptors(world, self.vcpu, self.memory, self.paging)
        self.crossing = Crossing(world, self.vcpu, self.descriptors)
        self.decoder = Decoder(self.vcpu, self.linear)
        self.emulator = Emulator(self.vcpu, self.linear, self)
        self.page_faults = PageFaults(
            world,
            self.vcpu,
            self.memory,
            self.paging,
            self.descriptors,
            self.decoder,
            self.accounts,
        )

    def start(self) -> None:
        """Take the machine over; the guest's first instruction comes next."""
        self.world.start(self.paging.activate(self.vcpu.paging))
        self.crossing.load_boot_segments()

    # --- the emulator's host -------------------------------------------------------------------

    def read_port(self, port: int, size: int) -> int:
        """IN, from the VM's own devices."""
        self._access_device()
        return self.platform.bus.read_port(port, size)

    def write_port(self, port: int, size: int, value: int) -> None:
        """OUT, to the VM's own devices."""
        self._access_device()
        self.platform.bus.write_port(port, size, value)

    def _access_device(self) -> None:
        self.accounts.charge("device")
        self.set_device_time()
        self.has_accessed_device = True

    def must_yield(self) -> bool:
        """Pause a repeated instruction for an interrupt, and now and then for the owner."""
        self._iterations += 1
        if self._iterations >= _STRING_ITERATIONS:
            return True
        return self.platform.interrupt_pending() and self.vcpu.interrupts_enabled

    def paging_changed(self) -> None:
        """The guest wrote CR0, CR3 or CR4."""
        if not self.vcpu.cr0 & CR0_PE:
            raise VmStopped(StopReason.ERROR, "the guest left protected mode")
        if self.vcpu.cr4 & CR4_PVI:
            raise VmStopped(StopReason.ERROR, "the guest uses protected-mode virtual interrupts")
        if self.vcpu.cr4 & CR4_PAE:
            raise VmStopped(StopReason.ERROR, "the guest uses PAE, which is not shadowed")
        self.world.set_root(self.paging.activate(self.vcpu.paging))
        self.world.set_guest_bits(self.vcpu.cr0 & _SHARED_CR0, self.vcpu.cr4 & _SHARED_CR4)
        self._mappings_changed = True

    def page_invalidated(self, gva: int) -> None:
        """INVLPG."""
        self.paging.invalidate(Gva(gva))
        self._mappings_changed = True

    def descriptor_tables_changed(self) -> None:
        """GDTR or LDTR was loaded."""
        self.descriptors.drop_tables()
        self.world.load_local_table(is_present=self.vcpu.segments[LDTR].is_usable)

    def breakpoints_changed(self) -> None:
        """A debug register was written: the machine's own are not lent to the guest."""
        if self.vcpu.dr[7] & DR7_ENABLED:
            raise VmStopped(StopReason.ERROR, "the guest enables a breakpoint in DR7")

    def apic_moved(self) -> None:
        """IA32_APIC_BASE was written: pages that nobody answered in may be devices', or not."""
        self.set_device_time()
        self.platform.bus.write_memory(APIC_BASE_MESSAGE, 8, self.vcpu.apic_base)
        self.world.set_apic_base(self.vcpu.apic_base)
        self.paging.forget_open_bus()
        self._mappings_changed = True

    # --- running -------------------------------------------------------------------------------

    def run_to_exit(self, until: int) -> None:
        """Enter the guest, for at most `until` instructions in all, and handle what ends it."""
        if not self.crossing.is_within_reach():
            self._execute_out_of_reach()
            return
        if self._mappings_changed:
            self._mappings_changed = False
            self.descriptors.verify()
        self.crossing.enter(stepping=self.page_faults.is_window_open)
        world = self.world
        self.machine.arm_counter(until - self._emulated, layout.COUNTER_VECTOR)
        while (vector := world.run()) is None:
            pass
        before = self.completed
        self.completed = world.outer_retired + self._emulated
        self.linear.forget_translations()
        frame = world.frame()
        is_fault = vector not in (layout.COUNTER_VECTOR, vectors.DB)
        self.crossing.leave(frame, is_fault=is_fault, progressed=self.completed != before)
        self.accounts.charge("dispatch")
        self._livelock.note(self.completed, self.vcpu.gpr[ECX])
        try:
            self._handle(vector, frame.error)
        except GuestFault as fault:
            self._reflect_fault(fault)
        self.crossing.check_level()

    def _handle(self, vector: int, error: int) -> None:
        """Handle an exit; raises GuestFault if it was the guest's own fault."""
        if vector == vectors.PF:
            self._page_fault(error)
            return
        stepped = self.page_faults.is_window_open
        self._close_window()
        if vector == layout.COUNTER_VECTOR:
            self.accounts.exits["timer"] += 1
        elif vector == vectors.DB:
            self._debug(stepped)
        elif vector in _INSTRUCTION_FAULTS:
            self._instruction_fault(vector, error)
        else:
            has_error = vector < 32 and vectors.PUSHES_ERROR_CODE >> vector & 1
            raise GuestFault(vector, error if has_error else None)

    def _page_fault(self, error: int) -> None:
        try:
            answer = self.page_faults.handle(self.world.page_fault_address, error)
        except GuestFault:
            self._close_window()
            raise
        if answer is Answer.EMULATE:
            self._close_window()
            instruction = self._decode()
            if not can_emulate(instruction):
                raise VmStopped(
                    StopReason.ERROR, f"cannot emulate {instruction.text!r} on memory of a device"
                )
            self._emulate(instruction)

    def _close_window(self) -> None:
        if self.page_faults.is_window_open:
            self.page_faults.close_window()
            self._mappings_changed = True

    def _debug(self, stepped: bool) -> None:
        """#DB: the end of a window, or the guest's own single-stepping, or both; or INT1."""
        if stepped:
            self.accounts.exits["single_step"] += 1
        if not self.world.take_single_step():
            self._reflect_debug()
        elif not stepped or self.vcpu.eflags & EFLAGS_TF:
            self._trap_single_step()

    def _trap_single_step(self) -> None:
        self.vcpu.dr[6] = self.vcpu.dr[6] & ~DR6_HITS | DR6_BS
        self._reflect_debug()

    def _reflect_debug(self) -> None:
        self._reflect(Event(vectors.DB, None, Kind.HARDWARE, self.vcpu.eip), "exception")

    def _instruction_fault(self, vector: int, error: int) -> None:
        """An instruction was stopped: by the guest's own rules, or by its ring only?"""
        instruction = self._decode()
        operation = instruction.form.operation
        if operation == "TRAPDOOR" and self.vcpu.cpl == 0:
            raise VmStopped(StopReason.ERROR, "the guest executed an instruction kept for monitors")
        if can_emulate(instruction):
            self._emulate(instruction)
        elif self._reaches_monitor(instruction):
            raise VmStopped(
                StopReason.ERROR, f"cannot emulate {instruction.text!r} on the monitor's addresses"
            )
        else:
            raise GuestFault(vector, error)

    def _reaches_monitor(self, instruction: Instruction) -> bool:
        """Whether the guest's own segments would have allowed the memory operand."""
        self.crossing.read_data_segments()
        for operand, kind in zip(instruction.operands, instruction.form.kinds, strict=False):
            if isinstance(operand, Memory):
                offset = offset_of(self.vcpu, operand, instruction.prefixes.address_bits)
                segment = self.vcpu.segments[operand.effective_segment]
                size = max(KIND_BITS[kind] // 8, 1)
                last = (segment.base + offset + size - 1) & M32
                if segment.is_usable and segment.allows(offset, size):
                    return last >= layout.MONITOR_BASE
        return False

    def _execute_out_of_reach(self) -> None:
        """The guest's next instruction lies among the monitor's addresses: it cannot run there."""
        self._livelock.note(self.completed, self.vcpu.gpr[ECX])
        try:
            instruction = self._decode()
            if not can_emulate(instruction):
                raise VmStopped(
                    StopReason.ERROR, f"cannot run {instruction.text!r} at the monitor's addresses"
                )
            self._emulate(instruction)
        except GuestFault as fault:
            self._reflect_fault(fault)

    # --- emulation -----------------------------------------------------------------------------

    def _decode(self) -> Instruction:
        self.accounts.charge("decode")
        return self.decoder.next_instruction()

    def _emulate(self, instruction: Instruction) -> None:
        """Carry an instruction out on the virtual processor."""
        vcpu = self.vcpu
        self.accounts.charge("emulate")
        stepped = vcpu.eflags & EFLAGS_TF
        self._iterations = 0
        if touches_data_segments(instruction):
            self.crossing.read_data_segments()
            before = list(vcpu.segments)
            try:
                is_complete = self.emulator.execute(instruction)
            finally:
                self.crossing.load_data_segments(before)
        else:
            is_complete = self.emulator.execute(instruction)
        self.accounts.exits[exit_name(instruction)] += 1
        if is_complete:
            self._emulated += 1
            self.completed += 1
        if stepped and not (is_complete and self._is_never_stepped(instruction)):
            self._trap_single_step()

    def _is_never_stepped(self, instruction: Instruction) -> bool:
        """Whether no single-step trap follows an instruction: it entered a handler or loaded SS."""
        operation = instruction.form.operation
        if operation in _SEGMENT_LOADS:
            return self.vcpu.shadow_at == self.completed
        return operation in _EVENTS

    def set_device_time(self) -> None:
        """A device sees how many instructions were completed before the one that accesses it."""
        clock = self.platform.clock
        clock.advance_to(max(clock.now, self.completed + self.idle))

    # --- reflection ----------------------------------------------------------------------------

    def _reflect_fault(self, fault: GuestFault) -> None:
        name = "page_fault_true" if fault.vector == vectors.PF else "exception"
        if fault.address is not None:
            self.vcpu.cr2 = fault.address
        self._reflect(Event(fault.vector, fault.error, Kind.HARDWARE, self.vcpu.eip), name)

    def _reflect(self, event: Event, name: str) -> None:
        """Give an event to the guest."""
        self.accounts.exits[name] += 1
        self.accounts.charge("reflect")
        reflect(self.vcpu, self.linear, event)

    def inject_interrupt(self) -> bool:
        """Deliver a virtual interrupt if one is pending and the guest takes it now."""
        vcpu = self.vcpu
        if not self.can_be_interrupted or not self.platform.interrupt_pending():
            return False
        vector = self.platform.acknowledge_interrupt()
        self._reflect(Event(vector, None, Kind.EXTERNAL, vcpu.eip), "virtual_interrupt")
        self.crossing.check_level()
        return True

    @property
    def can_be_interrupted(self) -> bool:
        """The virtual interrupt flag, and no shadow of STI or MOV SS."""
        return self.vcpu.interrupts_enabled and self.vcpu.shadow_at != self.completed
