"""The technique `ring`: a VM whose guest runs deprivileged under a monitor at ring 0.

The guest has a machine of its own in everything it can notice: RAM, devices, clock, interrupts.
Its time is counted in its own instructions, so that an interrupt comes at the same instruction as
on the bare machine; the machine's performance counter brings control back for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar

from hypervisor.endings import end_if_asked
from hypervisor.guest_state import ProcessorState, SegmentState, TableState
from hypervisor.idle import wait_for_interrupt
from hypervisor.ring_compression import layout
from hypervisor.ring_compression.monitor import RingMonitor
from hypervisor.technique import (
    RAM_BYTES,
    SLICE_INSTRUCTIONS,
    StopReason,
    Technique,
    VmStopped,
)
from isa.cpu_models import load_model
from isa.devices.configuration import DEFAULT, Configuration
from isa.devices.platform import Platform, PlatformState
from isa.firmware.board_tables import board_tables
from isa.machine import Machine
from isa.registers import EBX, ESP, FEATURE_APIC

if TYPE_CHECKING:
    from isa.boot import BootImage
    from isa.costs import Costs
    from isa.cpu_models import CpuModel


class RingCompression(Technique):
    """One guest in rings 1 and 3."""

    name: ClassVar[str] = "ring"
    summary: ClassVar[str] = "trap-and-emulate, the guest's kernel in ring 1"
    monitor_type: ClassVar[type[RingMonitor]] = RingMonitor

    def __init__(
        self,
        ram_bytes: int = RAM_BYTES,
        *,
        costs: Costs | None = None,
        progress: Callable[[int], None] | None = None,
        model: CpuModel | None = None,
        devices: Configuration = DEFAULT,
    ) -> None:
        super().__init__(ram_bytes, costs=costs, progress=progress, model=model, devices=devices)
        guest_model = self._model = model or load_model()
        # What the guest executes by itself it executes on this machine, so the models are the same;
        # but the monitor's shadow tables need write protection, which the 386 does not have.
        machine_model = guest_model.with_write_protection()
        machine = Machine(layout.MONITOR_BYTES + ram_bytes, costs, machine_model)
        self.platform = Platform(
            self.read_memory,
            ram_bytes,
            configuration=devices,
            has_apic=bool(guest_model.features & FEATURE_APIC),
        )
        self.monitor = self.monitor_type(machine, self.platform, ram_bytes)
        self.monitor.vcpu.become(guest_model)
        self._has_protected_mode = True

    # --- boot ----------------------------------------------------------------------------------

    def boot(self, image: BootImage) -> None:
        """Put a guest into memory and make its first instruction the next one."""
        tables = board_tables(self._model.signature, self._model.features)
        for address, data in (*tables, *image.segments):
            self.monitor.memory.load(address, data)
        vcpu = self.monitor.vcpu
        vcpu.eip = image.entry
        vcpu.gpr[0] = image.eax
        vcpu.gpr[EBX] = image.ebx
        vcpu.gpr[ESP] = image.esp
        self._has_protected_mode = image.protected
        self.monitor.start()

    # --- running -------------------------------------------------------------------------------

    def _run(self, until: int | None) -> None:
        """Run from exit to exit; ends by VmStopped."""
        if not self._has_protected_mode:
            raise VmStopped(StopReason.ERROR, "a real-mode guest cannot be deprivileged")
        monitor = self.monitor
        next_pause = monitor.completed + SLICE_INSTRUCTIONS
        while True:
            now = monitor.completed
            deadline = self._run_events(now)
            if monitor.has_accessed_device or self.platform.refused is not None:
                self._check_ending()
            if until is not None and now >= until:
                raise VmStopped(StopReason.BUDGET, f"{now:,} guest instructions completed")
            if now >= next_pause or self._stop_requested:
                self._between_slices()
                next_pause = now + SLICE_INSTRUCTIONS
            limit = next_pause if until is None or until > next_pause else until
            if deadline is not None:
                limit = min(limit, deadline - monitor.idle)
            if self.platform.interrupt_pending() and monitor.vcpu.interrupts_enabled:
                if monitor.inject_interrupt():
                    continue
                limit = now + 1  # held off by the shadow of STI or MOV SS
            if monitor.vcpu.halted:
                self._wait()
            else:
                monitor.run_to_exit(limit)

    def _run_events(self, instructions: int) -> int | None:
        """Fire the devices' events that are due; the time of the next one."""
        clock, now = self.platform.clock, instructions + self.monitor.idle
        deadline = clock.next_deadline()
        if deadline is None or deadline > now:
            return deadline
        clock.advance_to(now)
        clock.run_due()
        return clock.next_deadline()

    def _check_ending(self) -> None:
        """End the run if a device was told to."""
        self.monitor.has_accessed_device = False
        end_if_asked(self.platform)
        if not self.platform.a20_is_open:
            raise VmStopped(StopReason.ERROR, "the guest pulled address line 20 low")

    def _wait(self) -> None:
        """HLT: let idle time pass until an interrupt comes."""
        monitor = self.monitor
        if not monitor.vcpu.interrupts_enabled:
            raise VmStopped(StopReason.HALT, "HLT with interrupts disabled")
        monitor.set_device_time()
        skipped = wait_for_interrupt(self.platform, lambda: self._stop_requested, self._pace)
        monitor.idle += skipped
        monitor.vcpu.tsc_offset += skipped
        if self._pace is not None and not self.platform.interrupt_pending():
            raise VmStopped(StopReason.WAITING, "the guest waits for time to pass")

    # --- what is known -------------------------------------------------------------------------

    @property
    def guest_instructions(self) -> int:
        """Instructions the guest has completed, emulated ones included."""
        return self.monitor.completed

    @property
    def cycles(self) -> int:
        """The modelled clock."""
        self.monitor.accounts.settle()
        return int(self.monitor.machine.processor.cycles)

    @property
    def ledger(self) -> Mapping[str, int]:
        """The modelled clock by cause."""
        self.monitor.accounts.settle()
        return self.monitor.accounts.ledger.by_cause()

    @property
    def exits(self) -> Mapping[str, int]:
        """How often the monitor got control, by reason."""
        return dict(self.monitor.accounts.exits)

    def processor_state(self) -> ProcessorState:
        """The virtual processor."""
        self.monitor.crossing.read_data_segments()
        vcpu = self.monitor.vcpu
        return ProcessorState(
            gpr=tuple(vcpu.gpr),
            eip=vcpu.eip,
            eflags=vcpu.eflags,
            cpl=vcpu.cpl,
            segments=tuple(SegmentState(*segment) for segment in vcpu.segments),
            cr0=vcpu.cr0,
            cr2=vcpu.cr2,
            cr3=vcpu.cr3,
            cr4=vcpu.cr4,
            dr=tuple(vcpu.dr),
            gdtr=TableState(*vcpu.gdtr),
            idtr=TableState(*vcpu.idtr),
            sysenter=(vcpu.sysenter_cs, vcpu.sysenter_esp, vcpu.sysenter_eip),
            apic_base=vcpu.apic_base,
            tsc_offset=vcpu.tsc_offset,
            features=vcpu.features,
            halted=vcpu.halted,
            interrupts_held=vcpu.shadow_at == self.guest_instructions,
        )

    def ram_pieces(self) -> Iterable[memoryview]:
        """All of the VM's RAM."""
        return self.monitor.memory.pieces()

    def device_state(self) -> PlatformState:
        """The VM's devices as of the last completed instruction."""
        self.monitor.set_device_time()
        return self.platform.save()

    def snapshot_eip(self) -> int:
        """EIP alone."""
        return self.monitor.vcpu.eip

    def read_memory(self, gpa: int, size: int) -> bytes:
        """Bytes of the guest's RAM."""
        return self.monitor.memory.read_bytes(gpa, size)

    def read_code(self, size: int) -> bytes:
        """Up to `size` bytes at CS:EIP, fewer where the guest's map ends."""
        return self.monitor.linear.peek_code(size)

    @property
    def code_bits(self) -> int:
        """Default size of the code at CS:EIP."""
        return self.monitor.vcpu.code_bits
