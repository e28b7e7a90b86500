"""The platform: the devices of a PC at their addresses, on one bus and one event clock.

One object per bare machine or VM; nothing here is shared. The platform knows no processor: whoever
runs one advances `clock` to the instructions retired, calls `clock.run_due()`, passes port
accesses to `bus`, and asks `interrupt_pending` and `acknowledge_interrupt`. RAM is not here
either: `read_memory` lends a view of it, for the screen and for what devices fetch by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from isa.devices import acpi, ata, reset_control
from isa.devices.acpi import AcpiPower
from isa.devices.ata import AtaChannel
from isa.devices.bus import Bus
from isa.devices.clock import ClockState, EventClock
from isa.devices.cmos import Cmos
from isa.devices.configuration import DEFAULT, DISKS, Configuration
from isa.devices.debug_console import DebugConsole
from isa.devices.device import Device
from isa.devices.exit_port import ExitPort
from isa.devices.i8042 import KeyboardController
from isa.devices.interrupts import Interrupts
from isa.devices.keyboard import Keyboard
from isa.devices.mouse import Mouse
from isa.devices.pit import Pit
from isa.devices.reset_control import ResetControl
from isa.devices.system_control import SystemControlA, SystemControlB
from isa.devices.uart import Uart
from isa.devices.vga import Vga

CLOCK_IRQ = 8
TIMER_IRQ, KEYBOARD_IRQ, MOUSE_IRQ = 0, 1, 12
COM1_IRQ, COM2_IRQ = 4, 3
PRIMARY_IRQ, SECONDARY_IRQ = 14, 15
DISK_NAMES = ("hda", "hdb", "hdc", "hdd")


class PlatformState(msgspec.Struct):
    """A platform as it is saved: the clock, what was said, and each device's state by name."""

    clock: ClockState
    console_output: bytes
    reset_requested: bool
    devices: dict[str, bytes]
    """Device name → its state structure in MessagePack."""
    com2_output: bytes = b""
    power_off_requested: bool = False
    refused: str | None = None


class Platform:
    """Clock, bus and devices of one machine."""

    def __init__(
        self,
        read_memory: Callable[[int, int], bytes],
        ram_bytes: int,
        console: Callable[[bytes], None] | None = None,
        *,
        configuration: Configuration = DEFAULT,
        has_apic: bool = True,
    ) -> None:
        """Build the machine's devices.

        Args:
            read_memory: gpa, size → bytes of RAM.
            ram_bytes: size of RAM, for CMOS.
            console: called with every byte for COM1 and port 0xE9 as it is written.
            configuration: disks and what else a machine may have or not.
            has_apic: whether the processor has a local APIC, and the board an I/O APIC.
        """
        self._console = console
        self._set_a20: Callable[[bool], None] | None = None
        self._devices: dict[str, Device[Any]] = {}
        self.console_output = bytearray()
        self.com2_output = bytearray()
        """What the guest wrote to COM2, which is no console."""
        self.reset_requested = False
        self.power_off_requested = False
        self.refused: str | None = None
        """What the processor was sent and does not take, in words; the run cannot go on."""
        self.clock = EventClock()
        self.bus = Bus()
        self.interrupts = Interrupts(self.bus, self.clock, has_apic, self._refuse)
        self.pic = self.interrupts.pic
        self.pit = Pit(self.clock, self.irq_line(TIMER_IRQ))
        self.uart = Uart(self.clock, self.irq_line(COM1_IRQ), self._write_console)
        self.uart2 = Uart(self.clock, self.irq_line(COM2_IRQ), self._write_com2)
        self.vga = Vga(read_memory)
        self.exit = ExitPort()
        self.keyboard = Keyboard()
        self.mouse = Mouse()
        self.keyboard_controller = KeyboardController(
            self.keyboard,
            self.mouse,
            self.irq_line(KEYBOARD_IRQ),
            self.irq_line(MOUSE_IRQ),
            self._request_reset,
            self._a20_changed,
        )
        self.cmos = Cmos(self.clock, self.irq_line(CLOCK_IRQ), ram_bytes, configuration.start)
        self.cmos.describe(configuration.settings())
        self.debug_console = DebugConsole(self._write_console)
        self.system_control_a = SystemControlA(self._request_reset, self._a20_changed)
        self.system_control_b = SystemControlB(self.clock, self.pit)
        self.reset_control = ResetControl(self._request_reset)
        self.acpi = AcpiPower(self.clock, self.irq_line(acpi.SCI_IRQ), self._request_power_off)
        disks = configuration.disk
        self.media = tuple(
            disk.medium() if (disk := disks(index)) else None for index in range(DISKS)
        )
        """What the machine's disks hold: primary master and slave, secondary master and slave."""
        primary, secondary = self.irq_line(PRIMARY_IRQ), self.irq_line(SECONDARY_IRQ)
        self.primary_ata = AtaChannel(self.clock, primary, *self.media[:2])
        self.secondary_ata = AtaChannel(self.clock, secondary, *self.media[2:])
        self._map()
        for name, medium in zip(DISK_NAMES, self.media, strict=True):
            if medium is not None:
                self.attach(name, medium)

    def _map(self) -> None:
        """Put everything where a PC has it."""
        claim = self.bus.claim_ports
        claim(0x20, 0x21, self.pic.master)
        claim(0xA0, 0xA1, self.pic.slave)
        claim(0x4D0, 0x4D1, self.pic.edge_level)
        if self.interrupts.has_apic:
            claim(0x22, 0x23, self.interrupts.mode)
        claim(0x40, 0x43, self.pit)
        claim(0x60, 0x60, self.keyboard_controller)
        claim(0x64, 0x64, self.keyboard_controller, offset=4)
        claim(0x61, 0x61, self.system_control_b)
        claim(0x70, 0x71, self.cmos)
        claim(0x92, 0x92, self.system_control_a)
        claim(0xE9, 0xE9, self.debug_console)
        claim(acpi.BASE_PORT, acpi.BASE_PORT + acpi.REGISTER_BYTES - 1, self.acpi)
        claim(reset_control.FIRST_PORT, reset_control.LAST_PORT, self.reset_control)
        claim(0xF4, 0xF7, self.exit)
        for base, control, channel in (
            (0x1F0, 0x3F6, self.primary_ata),
            (0x170, 0x376, self.secondary_ata),
        ):
            claim(base, base + 7, channel)
            claim(control, control, channel, offset=ata.CONTROL)
        claim(0x3C0, 0x3DF, self.vga)
        claim(0x3F8, 0x3FF, self.uart)
        claim(0x2F8, 0x2FF, self.uart2)
        self.attach("pic", self.pic)
        if self.interrupts.has_apic:
            self.attach("interrupt_mode", self.interrupts.mode)
            self.attach("io_apic", self.interrupts.io_apic)
            self.attach("local_apic", self.interrupts.local_apic)
        self.attach("pit", self.pit)
        self.attach("uart", self.uart)
        self.attach("uart2", self.uart2)
        self.attach("vga", self.vga)
        self.attach("exit", self.exit)
        self.attach("keyboard", self.keyboard)
        self.attach("mouse", self.mouse)
        self.attach("keyboard_controller", self.keyboard_controller)
        self.attach("cmos", self.cmos)
        self.attach("debug_console", self.debug_console)
        self.attach("system_control_a", self.system_control_a)
        self.attach("system_control_b", self.system_control_b)
        self.attach("reset_control", self.reset_control)
        self.attach("acpi", self.acpi)
        self.attach("primary_ata", self.primary_ata)
        self.attach("secondary_ata", self.secondary_ata)

    def attach(self, name: str, device: Device[Any]) -> None:
        """Let `reset`, `save` and `restore` include a device. Its addresses are claimed apart."""
        if name in self._devices:
            raise ValueError(f"the platform has a device {name!r} already")
        self._devices[name] = device

    def keep_disks(self) -> None:
        """Save what the guest's disks are to keep beyond the machine: the end of a run.

        Raises:
            DiskImageError: some of it could not be saved.
        """
        for medium in self.media:
            if medium is not None:
                medium.keep()

    def irq_line(self, irq: int) -> Callable[[bool], None]:
        """Return the wire by which a device drives one interrupt request."""
        return self.interrupts.line(irq)

    @property
    def exit_code(self) -> int | None:
        """What the guest wrote to the exit port, as a process status; None while it runs."""
        return self.exit.exit_code

    @property
    def a20_is_open(self) -> bool:
        """Whether address line 20 is let through: one of its two switches suffices."""
        return self.keyboard_controller.opens_a20 or self.system_control_a.opens_a20

    def on_a20(self, set_a20: Callable[[bool], None]) -> None:
        """Connect address line 20: `set_a20` is told whenever the line may have changed."""
        self._set_a20 = set_a20

    def _a20_changed(self) -> None:
        if self._set_a20 is not None:
            self._set_a20(self.a20_is_open)

    def interrupt_pending(self) -> bool:
        """Whether the processor is asked to take an interrupt."""
        return self.interrupts.pending

    def acknowledge_interrupt(self) -> int:
        """Let the processor take an interrupt; return the vector."""
        return self.interrupts.acknowledge()

    def reset(self) -> None:
        """Pulse the reset line of every device. Time and the console's record go on."""
        self.reset_requested = False
        for device in self._devices.values():
            device.reset()
        self.interrupts.start_as_firmware_does()
        self.power_off_requested = False
        self.refused = None
        self._a20_changed()

    def save(self) -> PlatformState:
        """Return the whole state; the platform may go on."""
        return PlatformState(
            clock=self.clock.save(),
            console_output=bytes(self.console_output),
            com2_output=bytes(self.com2_output),
            reset_requested=self.reset_requested,
            power_off_requested=self.power_off_requested,
            refused=self.refused,
            devices={
                name: msgspec.msgpack.encode(device.save())
                for name, device in self._devices.items()
            },
        )

    def restore(self, state: PlatformState) -> None:
        """Take over a saved state; refuse it whole, with ValueError, if it does not fit.

        The console callback hears nothing of what was said before.
        """
        if state.devices.keys() != self._devices.keys():
            odd = sorted(state.devices.keys() ^ self._devices.keys())
            raise ValueError(f"saved state and platform differ in devices: {', '.join(odd)}")
        states: dict[str, msgspec.Struct] = {}
        for name, device in self._devices.items():
            try:
                states[name] = msgspec.msgpack.decode(state.devices[name], type=device.state_type)
                device.check(states[name])
            except ValueError as error:  # the base of msgspec's errors too
                raise ValueError(f"saved state of device {name!r}: {error}") from error
        self.clock.restore(state.clock)
        self.console_output = bytearray(state.console_output)
        self.com2_output = bytearray(state.com2_output)
        self.reset_requested = state.reset_requested
        for name, device in self._devices.items():
            device.restore(states[name])
        self.power_off_requested = state.power_off_requested
        self.refused = state.refused
        self._a20_changed()

    def _write_console(self, written: bytes) -> None:
        self.console_output += written
        if self._console is not None:
            self._console(written)

    def _write_com2(self, written: bytes) -> None:
        self.com2_output += written

    def _request_reset(self) -> None:
        self.reset_requested = True

    def _request_power_off(self) -> None:
        self.power_off_requested = True

    def _refuse(self, what: str) -> None:
        self.refused = what
