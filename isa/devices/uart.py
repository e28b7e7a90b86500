"""A 16550 serial port, as COM1 and COM2 of a PC.

Registers, both FIFOs, interrupts, loopback and modem lines follow the datasheet. The line at the
other end is ideal, and that is where time is simplified: a byte written leaves at once, so THRE
and TEMT are set whenever they are read; bytes given to `receive` wait outside until the receiver
has room, so input is never overrun (in loopback it can be). Divisor, word length and parity change
the receive time-out only, never the bytes. Breaks, framing and parity errors do not happen; the
DMA pins do not exist. A terminal is always connected: CTS, DSR and DCD are on.

A receiver that has been read empty gets the next bytes one character time later, so that software
which is still starting up does not lose the edge that they make. The interrupt pin drives the
interrupt line as it is. On a PC it passes a gate that OUT2 opens; small kernels leave OUT2 alone
and expect interrupts all the same, as other emulators give them.

Source: National Semiconductor PC16550D datasheet (SNLS378); IBM PC/AT Technical Reference, "Serial/
Parallel Adapter".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec

from isa.devices.clock import TICKS_PER_SECOND, Event, EventClock, SavedEvent
from isa.devices.device import Byte, Device, Word
from isa.devices.lending import Lender, Writes

UART_HZ = 1_843_200
FIFO_BYTES = 16

DATA, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR = range(8)

IER_RECEIVED, IER_TRANSMITTER, IER_LINE, IER_MODEM, IER_MASK = 0x01, 0x02, 0x04, 0x08, 0x0F
IIR_NONE, IIR_MODEM, IIR_TRANSMITTER, IIR_RECEIVED, IIR_LINE, IIR_TIMEOUT = 1, 0, 2, 4, 6, 0x0C
IIR_FIFOS = 0xC0
FCR_ENABLE, FCR_CLEAR_RECEIVER = 0x01, 0x02
FCR_TRIGGERS: tuple[Literal[1, 4, 8, 14], ...] = (1, 4, 8, 14)
LCR_STOP, LCR_PARITY, LCR_DLAB = 0x04, 0x08, 0x80
MCR_DTR, MCR_RTS, MCR_OUT1, MCR_OUT2, MCR_LOOP, MCR_MASK = 0x01, 0x02, 0x04, 0x08, 0x10, 0x1F
LSR_DATA, LSR_OVERRUN, LSR_TRANSMITTER_EMPTY = 0x01, 0x02, 0x60
MSR_CTS, MSR_DSR, MSR_RI, MSR_DCD = 0x10, 0x20, 0x40, 0x80
MSR_TERMINAL = MSR_CTS | MSR_DSR | MSR_DCD


class UartState(msgspec.Struct):
    """State of the serial port."""

    interrupt_enable: Byte = 0
    line_control: Byte = 0
    modem_control: Byte = 0
    scratch: Byte = 0
    divisor: Word = 12
    has_fifos: bool = False
    trigger: Literal[1, 4, 8, 14] = 1
    received: Annotated[bytearray, msgspec.Meta(max_length=FIFO_BYTES)] = msgspec.field(
        default_factory=bytearray
    )
    """Receiver buffer or FIFO, oldest byte first."""
    waiting: bytearray = msgspec.field(default_factory=bytearray)
    """Bytes that the other end still holds back."""
    is_overrun: bool = False
    transmitter_pends: bool = False
    """The interrupt of the empty transmitter was neither identified nor answered by a write."""
    modem_lines: Byte = MSR_TERMINAL
    modem_changes: Byte = 0
    is_timed_out: bool = False
    timeout: SavedEvent | None = None
    arrival: SavedEvent | None = None
    """When the other end sends on."""


class Uart(Device[UartState]):
    """The port's eight registers."""

    widths = (1,)

    def __init__(
        self,
        clock: EventClock,
        set_irq: Callable[[bool], None],
        transmit: Callable[[bytes], None],
    ) -> None:
        super().__init__(UartState)
        self._clock = clock
        self._set_irq = set_irq
        self._transmit = transmit
        self._timeout: Event | None = None
        self._arrival: Event | None = None
        self.lender: Lender | None = None

    def lend(self) -> None:
        """Lend the registers that have no effect when read, and the transmitter if nobody waits."""
        if self.lender is None:
            return
        state, lend = self.state, self.lender.lend
        if state.line_control & LCR_DLAB:
            lend(DATA, state.divisor & 0xFF)
            lend(IER, state.divisor >> 8)
        else:
            waits = state.interrupt_enable & IER_TRANSMITTER or state.modem_control & MCR_LOOP
            empty = None if state.received else 0
            lend(DATA, empty, writes=Writes.ASK if waits else Writes.POST)
            lend(IER, state.interrupt_enable)
        lend(LCR, state.line_control)
        lend(MCR, state.modem_control)
        lend(LSR, None if state.is_overrun else self._line_status(), writes=Writes.DROP)
        lend(MSR, None if state.modem_changes else state.modem_lines, writes=Writes.DROP)
        lend(SCR, state.scratch, writes=Writes.LATCH)

    def post(self, offset: int, data: bytes) -> None:
        """Take the scratch register's last byte, or bytes for the transmitter."""
        if offset == SCR:
            self.state.scratch = data[-1]
            return
        self._transmit(data)
        self.state.transmitter_pends = True

    def receive(self, sent: bytes) -> None:
        """Let the other end send bytes. They arrive as the receiver has room."""
        self.state.waiting += sent
        self._fill_receiver()

    def read(self, offset: int, size: int) -> int:
        """Read a register."""
        state = self.state
        match offset:
            case 0:
                divides = state.line_control & LCR_DLAB
                return state.divisor & 0xFF if divides else self._read_data()
            case 1:
                divides = state.line_control & LCR_DLAB
                return state.divisor >> 8 if divides else state.interrupt_enable
            case 2:
                return self._read_identity()
            case 3:
                return state.line_control
            case 4:
                return state.modem_control
            case 5:
                return self._read_line_status()
            case 6:
                value = state.modem_lines | state.modem_changes
                state.modem_changes = 0
                self._drive_irq()
                self.lend()
                return value
            case _:
                return state.scratch

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register; LSR and MSR take no writes."""
        state = self.state
        match offset:
            case 0 if state.line_control & LCR_DLAB:
                state.divisor = state.divisor & 0xFF00 | value
            case 0:
                self._write_data(value)
            case 1 if state.line_control & LCR_DLAB:
                state.divisor = state.divisor & 0xFF | value << 8
            case 1:
                self._write_interrupt_enable(value)
            case 2:
                self._write_fifo_control(value)
            case 3:
                state.line_control = value
            case 4:
                self._write_modem_control(value)
            case 7:
                state.scratch = value
        self.lend()

    def reset(self) -> None:
        """Do what MR does: registers to their reset values, FIFOs off, received bytes lost.

        What the other end has not sent yet stays with it.
        """
        waiting, scratch = self.state.waiting, self.state.scratch
        super().reset()
        self.state.waiting, self.state.scratch = waiting, scratch
        self._restart_timeout()
        self._drive_irq()
        self._fill_receiver()
        self.lend()

    def save(self) -> UartState:
        """Return a copy of the state."""
        state = super().save()
        state.timeout = self._timeout.save() if self._timeout is not None else None
        state.arrival = self._arrival.save() if self._arrival is not None else None
        return state

    def restore(self, state: UartState) -> None:
        """Take over a saved state. The clock must have been restored before."""
        super().restore(state)
        self._timeout = self._clock.restore_event(state.timeout, self._on_timeout)
        self._arrival = self._clock.restore_event(state.arrival, self._fill_receiver)
        self.lend()

    # Interrupts

    def _identity(self) -> int:
        """The pending interrupt of highest priority, as IIR codes it."""
        state = self.state
        enabled = state.interrupt_enable
        if enabled & IER_LINE and state.is_overrun:
            return IIR_LINE
        if enabled & IER_RECEIVED:
            if len(state.received) >= (state.trigger if state.has_fifos else 1):
                return IIR_RECEIVED
            if state.is_timed_out:
                return IIR_TIMEOUT
        if enabled & IER_TRANSMITTER and state.transmitter_pends:
            return IIR_TRANSMITTER
        if enabled & IER_MODEM and state.modem_changes:
            return IIR_MODEM
        return IIR_NONE

    def _drive_irq(self) -> None:
        self._set_irq(self._identity() != IIR_NONE)

    def _read_identity(self) -> int:
        identity = self._identity()
        if identity == IIR_TRANSMITTER:
            self.state.transmitter_pends = False
            self._drive_irq()
        return identity | (IIR_FIFOS if self.state.has_fifos else 0)

    def _write_interrupt_enable(self, value: int) -> None:
        state = self.state
        rises = value & ~state.interrupt_enable
        state.interrupt_enable = value & IER_MASK
        if rises & IER_TRANSMITTER:
            state.transmitter_pends = True  # the transmitter is empty, as always
        self._drive_irq()

    # Receiver

    def _fill_receiver(self) -> None:
        """Let the other end send what the receiver can take now."""
        state = self.state
        if state.modem_control & MCR_LOOP or not state.waiting or self._is_arriving:
            return
        room = (FIFO_BYTES if state.has_fifos else 1) - len(state.received)
        if room <= 0:
            return
        state.received += state.waiting[:room]
        del state.waiting[:room]
        self._restart_timeout()
        self._drive_irq()
        self.lend()

    def _read_data(self) -> int:
        state = self.state
        if not state.received:
            return 0
        value = state.received.pop(0)
        self._restart_timeout()
        self._drive_irq()
        if not state.received and state.waiting and not self._is_arriving:
            at = self._clock.now + self._character_ticks(1)
            self._arrival = self._clock.schedule(at, self._fill_receiver)
        self.lend()
        return value

    def _read_line_status(self) -> int:
        state = self.state
        value = self._line_status()
        if state.is_overrun:
            state.is_overrun = False
            self._drive_irq()
            self.lend()
        return value

    def _line_status(self) -> int:
        state = self.state
        overrun = LSR_OVERRUN if state.is_overrun else 0
        return LSR_TRANSMITTER_EMPTY | (LSR_DATA if state.received else 0) | overrun

    def _restart_timeout(self) -> None:
        """Time out four character times from now if the FIFO is left alone with bytes in it."""
        state = self.state
        state.is_timed_out = False
        self._clock.cancel(self._timeout)
        self._timeout = None
        if state.has_fifos and state.received:
            at = self._clock.now + self._character_ticks(4)
            self._timeout = self._clock.schedule(at, self._on_timeout)

    @property
    def _is_arriving(self) -> bool:
        return self._arrival is not None and self._arrival.is_due

    def _character_ticks(self, count: int) -> int:
        """Characters of start, data, parity and stop bits, rounded up to a tick."""
        control = self.state.line_control
        bits = 1 + 5 + (control & 3) + bool(control & LCR_PARITY) + 1 + bool(control & LCR_STOP)
        # A divisor of 0 stops the baud generator of a real chip; 1 keeps time finite.
        return -(-count * bits * 16 * max(self.state.divisor, 1) * TICKS_PER_SECOND // UART_HZ)

    def _on_timeout(self) -> None:
        self.state.is_timed_out = True
        self._drive_irq()

    def _write_fifo_control(self, value: int) -> None:
        state = self.state
        has_fifos = bool(value & FCR_ENABLE)
        clears = has_fifos != state.has_fifos or (has_fifos and value & FCR_CLEAR_RECEIVER)
        state.has_fifos = has_fifos
        if has_fifos:  # "must be a 1 when other FCR bits are written to"
            state.trigger = FCR_TRIGGERS[value >> 6]
        if clears:
            state.received.clear()
            self._restart_timeout()
        self._drive_irq()
        self._fill_receiver()

    # Transmitter and modem

    def _write_data(self, value: int) -> None:
        state = self.state
        state.transmitter_pends = False
        self._drive_irq()
        if state.modem_control & MCR_LOOP:
            self._loop_back(value)
        else:
            self._transmit(bytes((value,)))
        state.transmitter_pends = True
        self._drive_irq()

    def _loop_back(self, value: int) -> None:
        state = self.state
        if state.has_fifos and len(state.received) >= FIFO_BYTES:
            state.is_overrun = True  # the new byte is lost, the FIFO's are not
            return
        if not state.has_fifos and state.received:
            state.is_overrun = True  # the new byte destroys the one in the buffer
            state.received.clear()
        state.received.append(value)
        self._restart_timeout()

    def _write_modem_control(self, value: int) -> None:
        state = self.state
        state.modem_control = value & MCR_MASK
        if value & MCR_LOOP:
            self._set_modem_lines(
                (MSR_DSR if value & MCR_DTR else 0)
                | (MSR_CTS if value & MCR_RTS else 0)
                | (MSR_RI if value & MCR_OUT1 else 0)
                | (MSR_DCD if value & MCR_OUT2 else 0)
            )
        else:
            self._set_modem_lines(MSR_TERMINAL)
        self._drive_irq()
        self._fill_receiver()

    def _set_modem_lines(self, lines: int) -> None:
        """Set the inputs; changes are remembered, of RI only the trailing edge."""
        state = self.state
        changes = state.modem_lines ^ lines
        if not state.modem_lines & MSR_RI:
            changes &= ~MSR_RI
        state.modem_changes |= changes >> 4
        state.modem_lines = lines
