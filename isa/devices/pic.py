"""The interrupt controller of a PC: two cascaded 8259As and their edge/level registers.

Complete as far as an x86 processor can tell: ICW1 to ICW4, OCW1 to OCW3, every priority,
rotation, mask and end-of-interrupt mode, poll, level triggering, default (spurious) IR7 and IR15.
An 8259A has no reset input: here a reset leaves it masked and silent until it is initialised.
MCS-80 mode answers with the low byte of the CALL address, which is what an x86 would take as the
vector; the third INTA pulse that an 8080 would send does not exist.

Source: Intel 8259A/8259A-2 Programmable Interrupt Controller datasheet (231468);
Intel 82371SB (PIIX3) datasheet, "Interrupt Control Registers" (ELCR).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from isa.devices.device import Bit3, Byte, Device
from isa.devices.lending import Lender, Writes

CASCADE_IRQ = 2

ICW1_IC4, ICW1_SNGL, ICW1_ADI, ICW1_LTIM, ICW1_SELECT = 0x01, 0x02, 0x04, 0x08, 0x10
ICW4_UPM, ICW4_AEOI, ICW4_SFNM = 0x01, 0x02, 0x10
OCW2_EOI, OCW2_SL, OCW2_R = 0x20, 0x40, 0x80
OCW3_SELECT, OCW3_RIS, OCW3_RR, OCW3_P, OCW3_SMM, OCW3_ESMM = 0x08, 0x01, 0x02, 0x04, 0x20, 0x40

DEFAULT_LEVEL = 7
"""The level an 8259A answers with when the request has gone before the acknowledgement."""
FLOATING_BUS = 0xFF


class ChipState(msgspec.Struct):
    """State of one 8259A."""

    lines: Byte = 0
    """Levels on IR0 to IR7."""
    edges: Byte = 0
    """Edge sense latches: IR rose, is still high, and was not acknowledged."""
    edge_level_control: Byte = 0
    in_service: Byte = 0
    mask: Byte = 0xFF
    icw1: Byte = 0
    icw2: Byte = 0
    icw3: Byte = 0
    icw4: Byte = 0
    expected_icw: Bit3 = 0
    """The initialization command word that A0 = 1 writes next: 2, 3, 4, or 0 for none."""
    is_initialised: bool = False
    lowest: Bit3 = 7
    """The level of lowest priority; the one above it, modulo 8, has the highest."""
    rotates_on_aeoi: bool = False
    special_mask: bool = False
    reads_in_service: bool = False
    polls: bool = False


class ControllerState(msgspec.Struct):
    """State of the pair."""

    master: ChipState = msgspec.field(default_factory=ChipState)
    slave: ChipState = msgspec.field(default_factory=ChipState)


class Pic8259:
    """One 8259A. Offset 0 is A0 = 0, offset 1 is A0 = 1."""

    widths = (1,)

    def __init__(self, controller: InterruptController, is_master: bool) -> None:
        self._controller = controller
        self._is_master = is_master
        self.lender: Lender | None = None

    def lend(self) -> None:
        """Lend both registers. A new mask cannot matter at once while nobody asks for anything."""
        if self.lender is None:
            return
        state = self.state
        status = state.in_service if state.reads_in_service else self.requests
        keeps = self._controller.is_quiet and not state.expected_icw
        writes = Writes.LATCH if keeps else Writes.ASK
        self.lender.lend(0, None if state.polls else status)
        self.lender.lend(1, None if state.polls else state.mask, writes=writes)

    @property
    def state(self) -> ChipState:
        """The chip's part of the controller's state."""
        pair = self._controller.state
        return pair.master if self._is_master else pair.slave

    @property
    def requests(self) -> int:
        """IRR: a level-triggered input asks while it is high, an edge asks once."""
        state = self.state
        levels = 0xFF if state.icw1 & ICW1_LTIM else state.edge_level_control
        return state.lines & (state.edges | levels)

    def set_line(self, level: int, is_high: bool) -> None:
        """Drive IR`level`. A request whose line falls before acknowledgement is withdrawn."""
        state = self.state
        bit = 1 << level
        if not is_high:
            state.lines &= ~bit
            state.edges &= ~bit
        elif not state.lines & bit:
            state.lines |= bit
            state.edges |= bit

    def post(self, offset: int, data: bytes) -> None:
        """Take over the mask that was written last."""
        self.write(offset, 1, data[-1])

    def winner(self) -> int | None:
        """The level for which INT is asserted, or None when INT is low."""
        state = self.state
        if not state.is_initialised:
            return None
        requests = self.requests & ~state.mask
        if not requests:
            return None
        # "When a mask bit is set in OCW1, it inhibits further interrupts at that level and enables
        # interrupts from all other levels": a masked in-service bit no longer blocks anybody.
        blockers = state.in_service & ~state.mask if state.special_mask else state.in_service
        for distance in range(1, 9):
            level = (state.lowest + distance) & 7
            bit = 1 << level
            if requests & bit and (not blockers & bit or self._nests(level)):
                return level
            if blockers & bit:
                break
        return None

    def has_slave_at(self, level: int) -> bool:
        """Whether this chip leaves the vector of `level` to a slave."""
        state = self.state
        return self._is_master and not state.icw1 & ICW1_SNGL and bool(state.icw3 >> level & 1)

    def acknowledge(self) -> int:
        """Take the INTA sequence: set the in-service bit, return the level."""
        level = self.winner()
        if level is None:
            return DEFAULT_LEVEL
        state = self.state
        state.edges &= ~(1 << level)
        if not state.icw4 & ICW4_AEOI:
            state.in_service |= 1 << level
        elif state.rotates_on_aeoi:
            state.lowest = level
        return level

    def vector(self, level: int) -> int:
        """The byte that the chip puts on the bus for `level`."""
        state = self.state
        if state.icw4 & ICW4_UPM:
            return state.icw2 & 0xF8 | level
        if state.icw1 & ICW1_ADI:
            return state.icw1 & 0xE0 | level << 2
        return state.icw1 & 0xC0 | level << 3

    def read(self, offset: int, size: int) -> int:
        """Read IRR or ISR (A0 = 0), the mask (A0 = 1), or, after a poll command, the poll word."""
        state = self.state
        if state.polls:
            state.polls = False
            word = self._controller.poll(self)
            self.lend()
            return word
        if offset:
            return state.mask
        return state.in_service if state.reads_in_service else self.requests

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a command word; which one depends on A0, on the value and on what came before."""
        if offset:
            self._write_data(value)
        elif value & ICW1_SELECT:
            self._begin_initialisation(value)
        elif value & OCW3_SELECT:
            self._write_ocw3(value)
        else:
            self._write_ocw2(value)
        self._controller.refresh()

    def _nests(self, level: int) -> bool:
        # Special fully nested mode: "when an interrupt request from a certain slave is in service
        # this slave is not locked out from the master's priority logic".
        return bool(self.state.icw4 & ICW4_SFNM) and self.has_slave_at(level)

    def _begin_initialisation(self, icw1: int) -> None:
        state = self.state
        state.edges = 0  # "the edge sense circuit is reset"
        state.mask = 0
        state.in_service = 0
        state.icw1 = icw1
        state.icw4 = 0  # "if IC4 = 0, then all functions selected in ICW4 are set to zero"
        state.lowest = 7
        state.rotates_on_aeoi = False
        state.special_mask = False
        state.reads_in_service = False
        state.polls = False
        state.is_initialised = False
        state.expected_icw = 2

    def _write_data(self, value: int) -> None:
        state = self.state
        has_icw4 = bool(state.icw1 & ICW1_IC4)
        match state.expected_icw:
            case 2:
                state.icw2 = value
                state.expected_icw = 4 if has_icw4 else 0
                if not state.icw1 & ICW1_SNGL:
                    state.expected_icw = 3
            case 3:
                state.icw3 = value
                state.expected_icw = 4 if has_icw4 else 0
            case 4:
                state.icw4 = value
                state.expected_icw = 0
            case _:
                state.mask = value
                return
        state.is_initialised = state.expected_icw == 0

    def _write_ocw2(self, value: int) -> None:
        state = self.state
        level = value & 7
        rotates = bool(value & OCW2_R)
        match value & (OCW2_SL | OCW2_EOI):
            case 0:
                state.rotates_on_aeoi = rotates
            case 0x20:
                ended = self._end_of_interrupt()
                if rotates and ended is not None:
                    state.lowest = ended
            case 0x60:
                state.in_service &= ~(1 << level)
                if rotates:
                    state.lowest = level
            case _:
                if rotates:
                    state.lowest = level

    def _end_of_interrupt(self) -> int | None:
        """Non-specific EOI: reset the in-service bit of highest priority, return its level."""
        state = self.state
        # "An IS bit that is masked by an IMR bit will not be cleared by a non-specific EOI if the
        # 8259A is in the Special Mask Mode."
        candidates = state.in_service & ~state.mask if state.special_mask else state.in_service
        for distance in range(1, 9):
            level = (state.lowest + distance) & 7
            if candidates >> level & 1:
                state.in_service &= ~(1 << level)
                return level
        return None

    def _write_ocw3(self, value: int) -> None:
        state = self.state
        if value & OCW3_ESMM:
            state.special_mask = bool(value & OCW3_SMM)
        if value & OCW3_RR:
            state.reads_in_service = bool(value & OCW3_RIS)
        state.polls = bool(value & OCW3_P)


class EdgeLevelControl:
    """ELCR: one bit per IRQ, 1 for level triggered. IRQ 0, 1, 2, 8 and 13 are always edges."""

    widths = (1,)
    WRITABLE = (0xF8, 0xDE)

    def __init__(self, controller: InterruptController) -> None:
        self._controller = controller

    def read(self, offset: int, size: int) -> int:
        """Read the register of the master (offset 0) or of the slave (1)."""
        pair = self._controller.state
        return (pair.slave if offset else pair.master).edge_level_control

    def write(self, offset: int, size: int, value: int) -> None:
        """Write the register of the master (offset 0) or of the slave (1)."""
        pair = self._controller.state
        chip = pair.slave if offset else pair.master
        chip.edge_level_control = value & self.WRITABLE[offset]
        self._controller.refresh()


class InterruptController(Device[ControllerState]):
    """The pair as a PC wires it: the slave's INT is the master's IR2; INTR goes to the CPU."""

    def __init__(self) -> None:
        super().__init__(ControllerState)
        self.master = Pic8259(self, is_master=True)
        self.slave = Pic8259(self, is_master=False)
        self.edge_level = EdgeLevelControl(self)
        self.pending = False
        """The INTR output. Follows from the state; kept because it is asked all the time."""
        self._listener: Callable[[bool], None] = lambda _level: None

    def on_request(self, listener: Callable[[bool], None]) -> None:
        """Connect INTR: `listener` is told its level whenever it may have changed."""
        self._listener = listener

    def set_irq(self, irq: int, level: bool) -> None:
        """Drive IRQ0 to IRQ15. IRQ2 is the cascade and belongs to nobody."""
        if not 0 <= irq <= 15 or irq == CASCADE_IRQ:
            raise ValueError(f"no device can drive IRQ{irq}")
        chip = self.slave if irq & 8 else self.master
        if bool(chip.state.lines >> (irq & 7) & 1) != level:
            chip.set_line(irq & 7, level)
            self.refresh()

    def acknowledge(self) -> int:
        """Run the processor's INTA sequence and return the vector, 0 to 255.

        Legal at any time: without a request the answer is the default IR7 (or IR15, when only the
        slave's request has gone), and no in-service bit is set in the chip that gives it.
        """
        level = self.master.acknowledge()
        vector = self.master.vector(level)
        if self.master.has_slave_at(level):
            vector = FLOATING_BUS
            if self.slave.state.icw3 & 7 == level:
                vector = self.slave.vector(self._acknowledge_slave())
        self.refresh()
        return vector

    def poll(self, chip: Pic8259) -> int:
        """Answer the read after a poll command: bit 7 and the level, or 0 without a request."""
        if chip.winner() is None:
            return 0
        level = chip.acknowledge() if chip is self.master else self._acknowledge_slave()
        self.refresh()
        return 0x80 | level

    @property
    def is_quiet(self) -> bool:
        """Whether no input asks for an interrupt, masked or not."""
        return not self.master.requests and not self.slave.requests

    def refresh(self) -> None:
        """Let the outputs follow the state: slave's INT, then INTR."""
        self.master.set_line(CASCADE_IRQ, self.slave.winner() is not None)
        self.pending = self.master.winner() is not None
        self._listener(self.pending)
        self.master.lend()
        self.slave.lend()

    def reset(self) -> None:
        """Silence both chips. The levels on their inputs are other devices' and stay."""
        lines = [chip.state.lines for chip in (self.master, self.slave)]
        super().reset()
        self.master.state.lines, self.slave.state.lines = lines
        self.refresh()

    def restore(self, state: ControllerState) -> None:
        """Take over a saved state."""
        super().restore(state)
        self.refresh()

    def _acknowledge_slave(self) -> int:
        level = self.slave.acknowledge()
        # INT falls with the acknowledgement, so that what the slave still has to say is a new
        # edge at the master.
        self.master.set_line(CASCADE_IRQ, False)
        return level
