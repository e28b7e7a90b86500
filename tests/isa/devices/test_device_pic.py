"""The 8259A pair, statement by statement of the datasheet."""

from __future__ import annotations

import pytest

from isa.devices.bus import Bus
from isa.devices.pic import InterruptController

MASTER, SLAVE = 0x20, 0xA0
EOI = 0x20


class Pair:
    """The controllers behind their ports, and short words for what a driver does."""

    def __init__(self) -> None:
        self.pic = InterruptController()
        self.bus = Bus()
        self.bus.claim_ports(0x20, 0x21, self.pic.master)
        self.bus.claim_ports(0xA0, 0xA1, self.pic.slave)
        self.bus.claim_ports(0x4D0, 0x4D1, self.pic.edge_level)

    def out(self, port: int, *values: int) -> None:
        for value in values:
            self.bus.write_port(port, 1, value)

    def read(self, port: int) -> int:
        return self.bus.read_port(port, 1)

    def initialise(self, icw1: int = 0x11, master4: int = 0x01, slave4: int = 0x01) -> None:
        self.out(MASTER, icw1)
        self.out(MASTER + 1, 0x20, 0x04, master4)
        self.out(SLAVE, icw1)
        self.out(SLAVE + 1, 0x28, 0x02, slave4)

    def irr(self, chip: int) -> int:
        self.out(chip, 0x0A)
        return self.read(chip)

    def isr(self, chip: int) -> int:
        self.out(chip, 0x0B)
        return self.read(chip)

    def pulse(self, *irqs: int) -> None:
        """A request that stays high."""
        for irq in irqs:
            self.pic.set_irq(irq, False)
            self.pic.set_irq(irq, True)


@pytest.fixture
def pair() -> Pair:
    pair = Pair()
    pair.initialise()
    return pair


def test_before_initialisation_nothing_is_pending() -> None:
    pair = Pair()
    pair.out(MASTER + 1, 0x00)
    pair.pulse(0, 1, 8)
    assert not pair.pic.pending


def test_the_sequence_is_complete_only_with_its_last_word() -> None:
    pair = Pair()
    pair.out(MASTER, 0x11)
    for word in (0x20, 0x04, 0x01):
        pair.pulse(1)
        assert not pair.pic.pending
        pair.out(MASTER + 1, word)
    assert pair.pic.pending
    assert pair.pic.acknowledge() == 0x21


def test_without_ic4_and_with_sngl_the_sequence_is_short() -> None:
    pair = Pair()
    pair.out(MASTER, 0x16)  # ADI, SNGL, no ICW4: MCS-80 mode
    pair.out(MASTER + 1, 0x40)
    pair.out(MASTER + 1, 0xFD)  # already OCW1
    assert pair.read(MASTER + 1) == 0xFD
    pair.pulse(1)
    assert pair.pic.acknowledge() == 0x04  # low byte of the CALL address, interval 4


def test_mcs_80_vectors_have_interval_8_without_adi() -> None:
    pair = Pair()
    pair.out(MASTER, 0xD2)
    pair.out(MASTER + 1, 0x40)
    pair.pulse(3)
    assert pair.pic.acknowledge() == 0xC0 | 3 << 3


def test_icw1_clears_masks_modes_and_edges(pair: Pair) -> None:
    pair.out(MASTER + 1, 0xFF)
    pair.out(MASTER, 0x0B, 0xC3, 0x68)  # read ISR, lowest is 3, special mask
    pair.pulse(1)
    pair.out(MASTER, 0x11)
    assert pair.read(MASTER + 1) == 0
    pair.out(MASTER + 1, 0x20, 0x04, 0x01)
    assert pair.read(MASTER) == 0  # the old edge is forgotten
    assert not pair.pic.pending
    pair.pulse(0, 7)
    assert pair.read(MASTER) == 0x81  # IRR is selected
    assert pair.pic.acknowledge() == 0x20  # IR0 has the highest priority again


@pytest.mark.parametrize("irq", [0, 1, 3, 4, 5, 6, 7])
def test_master_vectors(pair: Pair, irq: int) -> None:
    pair.pulse(irq)
    assert pair.irr(MASTER) == 1 << irq
    assert pair.pic.pending
    assert pair.pic.acknowledge() == 0x20 + irq
    assert not pair.pic.pending
    assert pair.isr(MASTER) == 1 << irq
    assert pair.irr(MASTER) == 0


@pytest.mark.parametrize("irq", range(8, 16))
def test_slave_vectors_come_through_ir2(pair: Pair, irq: int) -> None:
    pair.pulse(irq)
    assert pair.irr(MASTER) == 0x04
    assert pair.pic.acknowledge() == 0x28 + irq - 8
    assert pair.isr(MASTER) == 0x04
    assert pair.isr(SLAVE) == 1 << irq - 8
    pair.out(SLAVE, EOI)
    pair.out(MASTER, EOI)
    assert (pair.isr(MASTER), pair.isr(SLAVE)) == (0, 0)


def test_a_higher_request_interrupts_a_lower_service(pair: Pair) -> None:
    pair.pulse(4)
    pair.pic.acknowledge()
    pair.pulse(5)
    assert not pair.pic.pending
    pair.pulse(1)
    assert pair.pic.acknowledge() == 0x21
    assert pair.isr(MASTER) == 0x12
    pair.out(MASTER, EOI)  # the highest in service: IR1
    assert pair.isr(MASTER) == 0x10
    pair.out(MASTER, EOI)
    assert pair.pic.acknowledge() == 0x25


def test_cascade_has_the_priority_of_ir2(pair: Pair) -> None:
    pair.pulse(1, 3, 15, 8)
    order = []
    while pair.pic.pending:
        order.append(pair.pic.acknowledge())
        pair.out(SLAVE, EOI)
        pair.out(MASTER, EOI)
    assert order == [0x21, 0x28, 0x2F, 0x23]


def test_an_edge_asks_once(pair: Pair) -> None:
    pair.pic.set_irq(3, True)
    pair.pic.acknowledge()
    pair.out(MASTER, EOI)
    pair.pic.set_irq(3, True)
    assert not pair.pic.pending
    pair.pic.set_irq(3, False)
    pair.pic.set_irq(3, True)
    assert pair.pic.pending


def test_elcr_makes_an_input_level_triggered(pair: Pair) -> None:
    pair.out(0x4D0, 0xFF)
    pair.out(0x4D1, 0xFF)
    assert pair.read(0x4D0) == 0xF8
    assert pair.read(0x4D1) == 0xDE
    pair.pic.set_irq(5, True)
    assert pair.pic.acknowledge() == 0x25
    assert not pair.pic.pending  # in service
    pair.out(MASTER, EOI)
    assert pair.pic.acknowledge() == 0x25  # still high
    pair.pic.set_irq(5, False)
    pair.out(MASTER, EOI)
    assert not pair.pic.pending


def test_ltim_makes_every_input_level_triggered() -> None:
    pair = Pair()
    pair.initialise(icw1=0x19)
    pair.pic.set_irq(1, True)
    pair.pic.acknowledge()
    pair.out(MASTER, EOI)
    assert pair.pic.pending


def test_the_mask_hides_requests_but_does_not_lose_them(pair: Pair) -> None:
    pair.out(MASTER + 1, 0x08)
    pair.pulse(3)
    assert pair.irr(MASTER) == 0x08
    assert not pair.pic.pending
    pair.out(MASTER + 1, 0x00)
    assert pair.pic.acknowledge() == 0x23


def test_a_request_withdrawn_before_acknowledgement_gives_default_ir7(pair: Pair) -> None:
    pair.pic.set_irq(4, True)
    assert pair.pic.pending
    pair.pic.set_irq(4, False)
    assert not pair.pic.pending
    assert pair.pic.acknowledge() == 0x27
    assert pair.isr(MASTER) == 0  # which tells it from a real IR7
    pair.pulse(7)
    assert pair.pic.acknowledge() == 0x27
    assert pair.isr(MASTER) == 0x80


def test_a_slave_without_request_gives_default_ir15(pair: Pair) -> None:
    # The master has latched the slave's INT (level triggering would need LTIM); the slave's
    # request goes while the master's line is still high: only inside one INTA sequence.
    pair.pic.set_irq(12, True)
    pair.pic.state.slave.lines = 0
    pair.pic.state.slave.edges = 0
    assert pair.pic.acknowledge() == 0x2F
    assert pair.isr(SLAVE) == 0
    assert pair.isr(MASTER) == 0x04  # the master does not know: it wants its EOI


def test_specific_eoi(pair: Pair) -> None:
    pair.pulse(4)
    pair.pic.acknowledge()
    pair.pulse(1)
    pair.pic.acknowledge()
    pair.out(MASTER, 0x64)
    assert pair.isr(MASTER) == 0x02
    pair.out(MASTER, 0x40)  # no operation
    assert pair.isr(MASTER) == 0x02


def test_rotate_on_non_specific_eoi(pair: Pair) -> None:
    pair.pulse(4)
    pair.pic.acknowledge()
    pair.out(MASTER, 0xA0)  # IR4 becomes the lowest, IR5 the highest
    pair.pulse(4, 0, 5, 3)
    order = []
    while pair.pic.pending:
        order.append(pair.pic.acknowledge() - 0x20)
        pair.out(MASTER, EOI)
    assert order == [5, 0, 3, 4]


def test_rotate_on_specific_eoi_and_set_priority(pair: Pair) -> None:
    pair.pulse(6)
    pair.pic.acknowledge()
    pair.out(MASTER, 0xE6)
    assert pair.isr(MASTER) == 0
    pair.pulse(7, 0)
    assert pair.pic.acknowledge() == 0x27
    pair.out(MASTER, EOI)
    pair.out(MASTER, 0xC7)  # bottom is IR7: fully nested again
    pair.pulse(7)
    assert pair.pic.acknowledge() == 0x20


def test_automatic_eoi_leaves_nothing_in_service() -> None:
    pair = Pair()
    pair.initialise(master4=0x03, slave4=0x03)
    pair.pulse(3, 9)
    assert pair.pic.acknowledge() == 0x29
    assert (pair.isr(MASTER), pair.isr(SLAVE)) == (0, 0)
    assert pair.pic.acknowledge() == 0x23
    assert not pair.pic.pending


def test_two_slave_requests_under_automatic_eoi_are_two_edges_at_the_master() -> None:
    pair = Pair()
    pair.initialise(master4=0x03, slave4=0x03)
    pair.pulse(9, 10)
    assert [pair.pic.acknowledge(), pair.pic.acknowledge()] == [0x29, 0x2A]
    assert not pair.pic.pending


def test_rotation_in_automatic_eoi_mode() -> None:
    pair = Pair()
    pair.initialise(master4=0x03)
    pair.out(MASTER, 0x80)
    pair.pulse(3)
    assert pair.pic.acknowledge() == 0x23
    pair.pulse(3, 4)
    assert pair.pic.acknowledge() == 0x24
    pair.out(MASTER, 0x00)  # rotation off: IR4 stays lowest
    assert pair.pic.acknowledge() == 0x23
    pair.pulse(5, 3)
    assert pair.pic.acknowledge() == 0x25


def test_special_mask_mode_lets_lower_levels_in(pair: Pair) -> None:
    pair.pulse(1)
    pair.pic.acknowledge()
    pair.pulse(6)
    pair.out(MASTER + 1, 0x02)
    assert not pair.pic.pending
    pair.out(MASTER, 0x68)
    assert pair.pic.acknowledge() == 0x26
    pair.pulse(1)
    assert not pair.pic.pending
    pair.out(MASTER, EOI)  # not the masked IS bit
    assert pair.isr(MASTER) == 0x02
    pair.out(MASTER, 0x61)
    assert pair.isr(MASTER) == 0x00
    pair.out(MASTER, 0x08)  # ESMM clear: no action
    pair.out(MASTER, 0x48)
    assert pair.pic.state.master.special_mask is False


def test_special_fully_nested_mode() -> None:
    pair = Pair()
    pair.initialise(master4=0x11)
    pair.pulse(12)
    assert pair.pic.acknowledge() == 0x2C
    pair.pulse(13)
    assert not pair.pic.pending  # lower in the same slave
    pair.pulse(9)
    assert pair.pic.acknowledge() == 0x29  # higher in the same slave
    assert pair.isr(SLAVE) == 0x12
    pair.pulse(3)
    assert not pair.pic.pending  # lower at the master


def test_without_it_a_slave_in_service_is_locked_out(pair: Pair) -> None:
    pair.pulse(12)
    pair.pic.acknowledge()
    pair.pulse(9)
    assert not pair.pic.pending
    pair.out(MASTER, EOI)
    assert pair.pic.acknowledge() == 0x29


def test_poll_acknowledges(pair: Pair) -> None:
    pair.out(MASTER, 0x0C)
    assert pair.read(MASTER) == 0x00
    pair.pulse(5)
    pair.out(MASTER, 0x0C)
    assert pair.read(MASTER + 1) == 0x85  # any read
    assert pair.isr(MASTER) == 0x20
    assert pair.irr(MASTER) == 0
    assert not pair.pic.pending


def test_poll_of_master_and_slave(pair: Pair) -> None:
    pair.pulse(11)
    pair.out(MASTER, 0x0C)
    assert pair.read(MASTER) == 0x82
    pair.out(SLAVE, 0x0C)
    assert pair.read(SLAVE) == 0x83
    assert pair.isr(SLAVE) == 0x08


def test_a_poll_command_holds_for_one_read_and_overrides_read_register(pair: Pair) -> None:
    pair.out(MASTER, 0x0F)
    assert pair.read(MASTER) == 0
    pair.pulse(5)
    assert pair.read(MASTER) == 0  # ISR, as RR and RIS said
    assert pair.irr(MASTER) == 0x20


def test_a_slave_answers_to_its_own_number_only() -> None:
    pair = Pair()
    pair.initialise()
    pair.out(SLAVE, 0x11)
    pair.out(SLAVE + 1, 0x28, 0x05, 0x01)
    pair.pulse(8)
    assert pair.pic.acknowledge() == 0xFF  # nobody drives the bus
    assert pair.isr(MASTER) == 0x04


def test_a_single_master_gives_the_vector_of_ir2_itself() -> None:
    pair = Pair()
    pair.initialise()
    pair.out(MASTER, 0x13)
    pair.out(MASTER + 1, 0x20, 0x01)
    pair.pulse(8)
    assert pair.pic.acknowledge() == 0x22


def test_ir2_belongs_to_the_cascade(pair: Pair) -> None:
    for irq in (2, 16, -1):
        with pytest.raises(ValueError, match="no device can drive"):
            pair.pic.set_irq(irq, True)


def test_reset_silences_the_pair_and_keeps_the_lines(pair: Pair) -> None:
    pair.pulse(1, 9)
    pair.pic.reset()
    assert not pair.pic.pending
    assert pair.read(MASTER + 1) == 0xFF
    pair.initialise(icw1=0x19)
    assert pair.pic.acknowledge() == 0x21  # LTIM sees the line that was high all the time


def test_save_and_restore(pair: Pair) -> None:
    pair.pulse(1, 9)
    state = pair.pic.save()
    assert pair.pic.acknowledge() == 0x21
    other = Pair()
    other.pic.restore(state)
    assert other.pic.pending
    assert other.pic.acknowledge() == 0x21
    pair.pic.restore(state)
    assert pair.pic.acknowledge() == 0x21
