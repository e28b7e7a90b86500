"""How interrupt requests travel from devices to the processor on a PC with and without APICs.

    IRQ n ───┬──▶ 8259 pair ──INTR──┬── IMCR = 0 ─────────────────────────▶ processor
             │                      ├── IMCR = 1 ──▶ LINT0 ─▶ local APIC ─▶ processor
             │                      └────────────▶ input 0 ┐      ▲
             └──▶ input n (IRQ0: input 2) ────────▶ I/O APIC ─────┘

Where the processor has no local APIC, or has it switched off, INTR goes straight to it. Firmware
leaves the board in virtual wire mode (IMCR = 1, LINT0 in ExtINT mode), so that a system that knows
of no APIC has its 8259 pair, and one that masks LINT0 is rid of it.

Source: MultiProcessor Specification 1.4, "Interrupt Modes"; Intel 82093AA datasheet (290566),
"Interrupt Mapping".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from isa.devices.bus import Bus, Claim
from isa.devices.clock import EventClock
from isa.devices.interrupt_mode import InterruptMode
from isa.devices.io_apic import BASE_GPA, REGISTER_BYTES, IoApic
from isa.devices.local_apic import REGISTER_BYTES as LOCAL_REGISTER_BYTES
from isa.devices.local_apic import LocalApic
from isa.devices.pic import InterruptController
from isa.registers import APIC_BASE_MESSAGE

PIC_INPUT = 0
TIMER_IRQ, TIMER_INPUT = 0, 2
IO_APIC_ID = 1


def input_of(irq: int) -> int:
    """The input of the I/O APIC that an ISA interrupt request is wired to."""
    return TIMER_INPUT if irq == TIMER_IRQ else irq


class _BaseMessages:
    """Takes the processor's word on IA32_APIC_BASE."""

    widths = (8,)

    def __init__(self, take: Callable[[int], None]) -> None:
        self._take = take

    def read(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        self._take(value & 0xFFFFFFFF)


class Interrupts:
    """Both generations of interrupt controllers, wired."""

    def __init__(
        self, bus: Bus, clock: EventClock, has_apic: bool, refuse: Callable[[str], None]
    ) -> None:
        """Wire a board.

        Args:
            bus: where registers in memory are claimed.
            clock: the event clock.
            has_apic: whether the processor has a local APIC; a board with one has an I/O APIC.
            refuse: told in words what the processor was sent and does not take.
        """
        self._bus = bus
        self._claim: Claim | None = None
        self.has_apic = has_apic
        self.pic = InterruptController()
        self.mode = InterruptMode()
        self.local_apic = LocalApic(clock, refuse)
        self.io_apic = IoApic(self.local_apic.accept)
        if has_apic:
            self.pic.on_request(self._pic_requests)
            self.local_apic.on_end_of_interrupt(self.io_apic.end_of_interrupt)
            self.local_apic.on_move(self._place_local_apic)
            bus.claim_memory(BASE_GPA, BASE_GPA + REGISTER_BYTES - 1, self.io_apic)
            messages = _BaseMessages(self.local_apic.set_base)
            bus.claim_memory(APIC_BASE_MESSAGE, APIC_BASE_MESSAGE + 7, messages)
            self._place_local_apic()
            self.start_as_firmware_does()

    def line(self, irq: int) -> Callable[[bool], None]:
        """The wire by which a device drives IRQ0 to IRQ15."""
        return partial(self._set_irq, irq) if self.has_apic else partial(self.pic.set_irq, irq)

    @property
    def pending(self) -> bool:
        """Whether the processor is asked to take an interrupt."""
        if not self.has_apic or not self.local_apic.is_enabled:
            return self.pic.pending
        return self.local_apic.vector is not None or (self.pic.pending and self._passes_external)

    def acknowledge(self) -> int:
        """The processor takes an interrupt: its vector. What an APIC has goes first."""
        if self.has_apic and self.local_apic.is_enabled:
            is_external = self.pic.pending and self._passes_external
            if self.local_apic.vector is not None or not is_external:
                return self.local_apic.acknowledge()
        return self.pic.acknowledge()

    def start_as_firmware_does(self) -> None:
        """Virtual wire mode, and an identity of its own for the I/O APIC."""
        if self.has_apic:
            self.mode.enter_virtual_wire_mode()
            self.local_apic.enter_virtual_wire_mode()
            self.io_apic.state.identity = IO_APIC_ID

    @property
    def _passes_external(self) -> bool:
        return (
            self.mode.bypasses_apic
            or self.local_apic.passes_external
            or self.io_apic.passes_external
        )

    def _set_irq(self, irq: int, level: bool) -> None:
        self.pic.set_irq(irq, level)
        self.io_apic.set_input(input_of(irq), level)

    def _pic_requests(self, level: bool) -> None:
        self.local_apic.set_pin(level)
        self.io_apic.set_input(PIC_INPUT, level)

    def _place_local_apic(self) -> None:
        """Let the local APIC answer where IA32_APIC_BASE says, unless another device is there."""
        memory, apic = self._bus.memory, self.local_apic
        if self._claim is not None:
            memory.release(self._claim)
            self._claim = None
        claim = Claim(apic.gpa, apic.gpa + LOCAL_REGISTER_BYTES - 1, apic, 0)
        if apic.is_enabled and not memory.overlaps(claim):
            memory.claim(claim)
            self._claim = claim
