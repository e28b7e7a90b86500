"""The bare machine: the guest owns the processor. What every other technique is measured against.

Nothing is intercepted. This file is what a mainboard is: it carries port and device-memory
accesses to the devices, lets time pass for them, and passes interrupts on. A device sees, as the
time of an access, the number of instructions completed before the accessing one. Registers that
devices have lent are read and written in compiled code; what was written reaches its device
before anything else does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from hypervisor.addresses import Gva
from hypervisor.endings import end_if_asked
from hypervisor.guest_memory import GuestMemory
from hypervisor.guest_paging import PagingState, peek
from hypervisor.guest_state import ProcessorState, SegmentState, TableState
from hypervisor.idle import wait_for_interrupt
from hypervisor.livelock import Livelock
from hypervisor.technique import (
    RAM_BYTES,
    SLICE_INSTRUCTIONS,
    StopReason,
    Technique,
    VmStopped,
)
from isa import entry, state, workspace
from isa.devices.configuration import DEFAULT, Configuration
from isa.devices.platform import Platform, PlatformState
from isa.exits import Exit
from isa.firmware.board_tables import board_tables
from isa.ledger import Ledger
from isa.port_table import PortTable
from isa.processor import Processor
from isa.registers import (
    ATTR_DB,
    ATTR_P,
    ATTR_S,
    CR0_PE,
    CS,
    EBX,
    ECX,
    EFLAGS_IF,
    ESP,
    FEATURE_APIC,
)
from isa.stale_translations import StaleTranslation, TlbMode

if TYPE_CHECKING:
    from isa.boot import BootImage
    from isa.costs import Costs
    from isa.cpu_models import CpuModel

_FAULT_LOOP: Final = 1  # detail of a YIELD exit: faults are delivered, nothing completes


class Bare(Technique):
    """One guest on one machine."""

    name: ClassVar[str] = "bare"
    summary: ClassVar[str] = "the guest owns the machine"
    checks_tlb: ClassVar[bool] = True

    def __init__(
        self,
        ram_bytes: int = RAM_BYTES,
        *,
        costs: Costs | None = None,
        progress: Callable[[int], None] | None = None,
        model: CpuModel | None = None,
        devices: Configuration = DEFAULT,
        tlb: TlbMode = TlbMode.NORMAL,
    ) -> None:
        super().__init__(ram_bytes, costs=costs, progress=progress, model=model, devices=devices)
        self.processor = Processor(ram_bytes, costs, model, tlb)
        self.platform = Platform(
            self.processor.read_physical,
            ram_bytes,
            configuration=devices,
            has_apic=bool(self.processor.model.features & FEATURE_APIC),
        )
        self.platform.bus.lend_ports(PortTable(self.processor.core))
        self.platform.on_a20(self.processor.set_a20)
        self._ledger = Ledger(self.processor, monitored=False)
        self._memory = GuestMemory(
            memoryview(self.processor.memory.data),
            self.processor.write_physical,
            range(ram_bytes // 4096),
            self.platform.bus,
        )
        self._idle = 0
        self._window_is_open = False
        self._livelock = Livelock()

    # --- boot ----------------------------------------------------------------------------------

    def boot(self, image: BootImage) -> None:
        """Put a guest into memory and make its first instruction the next one."""
        processor = self.processor
        model = processor.model
        tables = board_tables(model.signature, model.features)
        for address, data in (*tables, *image.segments):
            processor.write_physical(address, data)
        if not image.protected:
            self._enter_real_mode(image.code_selector)
        processor.eip = image.entry
        processor.gpr[0] = image.eax
        processor.gpr[EBX] = image.ebx
        processor.gpr[ESP] = image.esp

    def _enter_real_mode(self, code_selector: int) -> None:
        cpu = self.processor.cpu
        cpu[state.CR0] &= ~CR0_PE
        for segment in range(6):
            selector = code_selector if segment == CS else 0
            cpu[state.SELECTOR + segment] = selector
            cpu[state.BASE + segment] = selector << 4
            cpu[state.LIMIT + segment] = 0xFFFF
            kind = 0xB if segment == CS else 0x3
            cpu[state.ATTRIBUTES + segment] = ATTR_P | ATTR_S | kind

    # --- running -------------------------------------------------------------------------------

    def _run(self, until: int | None) -> None:
        """Run slice after slice; ends by VmStopped."""
        next_pause = self.guest_instructions + SLICE_INSTRUCTIONS
        while True:
            now = self.guest_instructions
            self._let_time_pass(now)
            if until is not None and now >= until:
                raise VmStopped(StopReason.BUDGET, f"{now:,} guest instructions completed")
            if now >= next_pause or self._stop_requested:
                self._between_slices()
                next_pause = now + SLICE_INSTRUCTIONS
            if self._window_is_open and self.platform.interrupt_pending():
                self.processor.pending_interrupt = self.platform.acknowledge_interrupt()
            self._window_is_open = False
            self.processor.want_interrupt_window(self.platform.interrupt_pending())
            limit = next_pause if until is None else min(until, next_pause)
            deadline = self.platform.clock.next_deadline()
            if deadline is not None:
                limit = min(limit, deadline - self._idle)
            reason = self.processor.run(limit - now)
            self.platform.bus.post_writes()
            self._handle(reason)

    def _let_time_pass(self, instructions: int) -> None:
        """Bring the devices' clock up to an instruction count, and end the run if they ask to."""
        clock = self.platform.clock
        clock.advance_to(instructions + self._idle)
        clock.run_due()
        end_if_asked(self.platform)

    def _handle(self, reason: Exit) -> None:
        processor, bus = self.processor, self.platform.bus
        if reason is Exit.BUDGET:
            return
        address, size, value = processor.detail
        if reason is Exit.INTERRUPT_WINDOW:
            self._window_is_open = True  # acknowledged after the events of this moment
        elif reason is Exit.PORT_IN:
            self._set_access_time()
            processor.complete_port_read(size, bus.read_port(address, size))
        elif reason is Exit.PORT_OUT:
            self._set_access_time()
            bus.write_port(address, size, value)
        elif reason is Exit.PORT_STRING:
            self._set_access_time()
            processor.answer_read(bus.read_port(address, size))
        elif reason is Exit.MEMORY_READ:
            self._note_faults(1)
            self._set_access_time()
            processor.answer_read(bus.read_memory(address, size))
        elif reason is Exit.MEMORY_WRITE:
            self._note_faults(1)
            self._set_access_time()
            for gpa, bytes_written, stored in processor.posted_writes():
                bus.write_memory(gpa, bytes_written, stored)
        elif reason is Exit.HALT:
            self._wait()
        elif reason is Exit.YIELD:
            self._note_yield(address)
        elif reason is Exit.SHUTDOWN:
            raise VmStopped(StopReason.SHUTDOWN, "triple fault")
        else:
            raise VmStopped(StopReason.ERROR, "the guest executed an instruction kept for monitors")

    def _set_access_time(self) -> None:
        """A device sees how many instructions were completed before the one that accesses it."""
        retired = self.guest_instructions - int(self.processor.core[workspace.EXIT_D])
        clock = self.platform.clock
        clock.advance_to(max(clock.now, retired + self._idle))

    def _wait(self) -> None:
        """HLT: let idle time pass until an interrupt comes."""
        if not self.processor.eflags & EFLAGS_IF:
            raise VmStopped(StopReason.HALT, "HLT with interrupts disabled")
        self.platform.clock.advance_to(self.guest_instructions + self._idle)
        skipped = wait_for_interrupt(self.platform, lambda: self._stop_requested, self._pace)
        self._idle += skipped
        self.processor.core[workspace.IDLE_TICKS] = self._idle
        self.processor.cpu[state.TSC_OFFSET] += skipped
        if self._pace is not None and not self.platform.interrupt_pending():
            raise VmStopped(StopReason.WAITING, "the guest waits for time to pass")

    def _note_yield(self, kind: int) -> None:
        """Stop a guest that takes fault after fault; let a long string instruction go on."""
        if self._stop_requested:
            self._between_slices()
        if kind != _FAULT_LOOP:
            return
        self._note_faults(entry.FAULTS_WITHOUT_PROGRESS)

    def _note_faults(self, most: int) -> None:
        self._livelock.note(self.guest_instructions, int(self.processor.gpr[ECX]), most)

    # --- what is known -------------------------------------------------------------------------

    @property
    def guest_instructions(self) -> int:
        """Instructions the guest has completed."""
        return int(self.processor.retired_total)

    @property
    def cycles(self) -> int:
        """The modelled clock."""
        return int(self.processor.cycles)

    @property
    def ledger(self) -> Mapping[str, int]:
        """The modelled clock by cause."""
        return self._ledger.by_cause()

    @property
    def exits(self) -> Mapping[str, int]:
        """None: nothing is intercepted."""
        return {}

    @property
    def stale_translations(self) -> Sequence[StaleTranslation]:
        """What a TLB that checks has noticed, in order of first use."""
        return self.processor.stale_translations

    def processor_state(self) -> ProcessorState:
        """The processor, which is the guest's."""
        cpu = self.processor.cpu.tolist()
        shadow_at, step = cpu[state.SHADOW_AT], cpu[state.PENDING_DEBUG]
        return ProcessorState(
            gpr=tuple(cpu[state.GPR : state.GPR + 8]),
            eip=cpu[state.EIP],
            eflags=cpu[state.EFLAGS],
            cpl=cpu[state.CPL],
            segments=tuple(
                SegmentState(
                    cpu[state.SELECTOR + register],
                    cpu[state.BASE + register],
                    cpu[state.LIMIT + register],
                    cpu[state.ATTRIBUTES + register],
                )
                for register in range(8)
            ),
            cr0=cpu[state.CR0],
            cr2=cpu[state.CR2],
            cr3=cpu[state.CR3],
            cr4=cpu[state.CR4],
            pdpte=tuple(cpu[state.PDPTE : state.PDPTE + 4]),
            dr=tuple(cpu[state.DR : state.DR + 8]),
            gdtr=TableState(cpu[state.GDTR_BASE], cpu[state.GDTR_LIMIT]),
            idtr=TableState(cpu[state.IDTR_BASE], cpu[state.IDTR_LIMIT]),
            sysenter=(cpu[state.SYSENTER_CS], cpu[state.SYSENTER_ESP], cpu[state.SYSENTER_EIP]),
            apic_base=cpu[state.APIC_BASE],
            tsc_offset=cpu[state.TSC_OFFSET],
            features=cpu[state.FEATURES],
            halted=bool(cpu[state.HALTED]),
            interrupts_held=shadow_at == self.guest_instructions,
            pending_interrupt=cpu[state.PENDING_INTERRUPT],
            pending_traps=cpu[state.PENDING_TRAPS],
            pending_step=bool(step),
        )

    def ram_pieces(self) -> Iterable[memoryview]:
        """All of RAM."""
        return (memoryview(self.processor.memory.data),)

    def device_state(self) -> PlatformState:
        """The devices as of the last completed instruction."""
        clock = self.platform.clock
        clock.advance_to(max(clock.now, self.guest_instructions + self._idle))
        return self.platform.save()

    def snapshot_eip(self) -> int:
        """EIP alone."""
        return int(self.processor.eip)

    def read_memory(self, gpa: int, size: int) -> bytes:
        """Bytes of the guest's RAM."""
        return self._memory.read_bytes(gpa, size)

    def read_code(self, size: int) -> bytes:
        """Up to `size` bytes at CS:EIP, fewer where the guest's map ends."""
        processor = self.processor
        paging = PagingState(
            processor.cr0, processor.cr3, processor.cr4, processor.pdptes, processor.a20_mask
        )
        first = processor.segment(CS).base + processor.eip
        code = bytearray()
        for gva in range(first, first + size):
            found = peek(self._memory, paging, Gva(gva & 0xFFFFFFFF))
            if found is None or not self._memory.has_ram(found.gpa, 1):
                break
            code.append(self._memory.read(found.gpa, 1))
        return bytes(code)

    @property
    def code_bits(self) -> int:
        """Default size of the code at CS:EIP."""
        return 32 if self.processor.segment(CS).attributes & ATTR_DB else 16
