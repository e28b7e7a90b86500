"""The 16550: registers, FIFOs, interrupt priority and edges, loopback."""

from __future__ import annotations

import pytest

from isa.devices.bus import Bus
from isa.devices.clock import EventClock
from isa.devices.uart import Uart

DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR = range(0x3F8, 0x400)
FCR = IIR


class Port:
    """COM1, a recorder of its interrupt line and of what it sends."""

    def __init__(self) -> None:
        self.clock = EventClock()
        self.sent = bytearray()
        self.line = False
        self.rises = 0
        self.uart = Uart(self.clock, self._drive, self.sent.extend)
        self.bus = Bus()
        self.bus.claim_ports(0x3F8, 0x3FF, self.uart)

    def _drive(self, level: bool) -> None:
        self.rises += level and not self.line
        self.line = level

    def out(self, port: int, *values: int) -> None:
        for value in values:
            self.bus.write_port(port, 1, value)

    def read(self, port: int) -> int:
        return self.bus.read_port(port, 1)

    def wait(self, ticks: int) -> None:
        self.clock.advance(ticks)
        self.clock.run_due()

    def read_all(self) -> bytes:
        """What is in the receiver."""
        read = bytearray()
        while self.read(LSR) & 1:
            read.append(self.read(DATA))
        return bytes(read)

    def read_on(self) -> bytes:
        """What comes as long as somebody reads."""
        read = bytearray()
        while more := self.read_all():
            read += more
            self.wait(10**6)
        return bytes(read)


@pytest.fixture
def port() -> Port:
    return Port()


@pytest.fixture
def driven(port: Port) -> Port:
    """As a driver leaves it: 115200 8N1, FIFOs, OUT2."""
    port.out(LCR, 0x80)
    port.out(DATA, 1)
    port.out(IER, 0)
    port.out(LCR, 0x03)
    port.out(FCR, 0x01)
    port.out(MCR, 0x0B)
    return port


def test_reset_values(port: Port) -> None:
    assert [port.read(register) for register in (IER, IIR, LCR, MCR, LSR)] == [0, 1, 0, 0, 0x60]
    assert port.read(MSR) == 0xB0
    assert port.read(DATA) == 0


def test_bytes_leave_at_once_and_thre_stays_set(port: Port) -> None:
    for byte in b"hello\xff\x00":
        assert port.read(LSR) & 0x60 == 0x60
        port.out(DATA, byte)
    assert port.sent == b"hello\xff\x00"


def test_dlab_shows_the_divisor(port: Port) -> None:
    port.out(LCR, 0x83)
    port.out(DATA, 0x34)
    port.out(IER, 0x12)
    assert (port.read(DATA), port.read(IER)) == (0x34, 0x12)
    port.out(LCR, 0x03)
    assert port.read(IER) == 0
    assert port.sent == b""
    port.out(LCR, 0x80)
    assert (port.read(DATA), port.read(IER)) == (0x34, 0x12)


def test_scratch_and_fixed_bits(port: Port) -> None:
    port.out(SCR, 0xA5)
    port.out(IER, 0xFF)
    port.out(MCR, 0xFF)
    port.out(LSR, 0x00)
    port.out(MSR, 0xFF)
    assert port.read(SCR) == 0xA5
    assert port.read(IER) == 0x0F
    assert port.read(MCR) == 0x1F
    assert port.read(LSR) == 0x60
    port.uart.reset()
    assert port.read(SCR) == 0xA5  # "reset has no effect"


def test_reading_without_fifos_takes_one_byte_after_the_other(port: Port) -> None:
    port.uart.receive(b"abc")
    assert port.uart.save().received == b"a"
    assert port.read_on() == b"abc"
    assert port.read(LSR) == 0x60


def test_each_byte_is_an_edge_of_its_own_without_fifos(port: Port) -> None:
    port.out(MCR, 0x08)
    port.out(IER, 0x01)
    port.uart.receive(b"abc")
    for count, byte in enumerate(b"abc", 1):
        assert port.line
        assert port.rises == count
        assert port.read(IIR) == 0x04
        assert port.read(DATA) == byte
        assert not port.line
        port.wait(10 * 16 * 12 * 100_000_000 // 1_843_200 + 1)  # a character at 9600 baud
    assert not port.line
    assert port.read(IIR) == 0x01


@pytest.mark.parametrize(("code", "trigger"), [(0, 1), (1, 4), (2, 8), (3, 14)])
def test_fifo_trigger_levels(driven: Port, code: int, trigger: int) -> None:
    driven.out(FCR, 0x01 | code << 6)
    driven.out(IER, 0x01)
    driven.uart.receive(bytes(trigger - 1))
    assert not driven.line
    driven.uart.receive(b"x")
    assert driven.line
    assert driven.read(IIR) == 0xC4
    driven.read(DATA)
    assert not driven.line  # "cleared when the FIFO drops below its trigger level"
    assert driven.read(IIR) == 0xC1


def test_the_time_out_comes_after_four_characters(driven: Port) -> None:
    driven.out(FCR, 0x81)
    driven.out(IER, 0x01)
    driven.uart.receive(b"abc")
    character = 10 * 100_000_000 / 115_200
    driven.wait(int(4 * character) - 1)
    assert not driven.line
    driven.wait(2)
    assert driven.line
    assert driven.read(IIR) == 0xCC
    assert driven.read(DATA) == ord("a")
    assert not driven.line
    driven.wait(int(3.9 * character))
    assert not driven.line
    driven.wait(int(character))
    assert driven.line
    assert driven.read_all() == b"bc"
    driven.wait(10**9)
    assert not driven.line
    assert driven.clock.next_deadline() is None


def test_no_time_out_without_fifos(port: Port) -> None:
    port.uart.receive(b"abc")
    assert port.clock.next_deadline() is None


def test_the_character_time_follows_divisor_and_format(driven: Port) -> None:
    def deadline() -> int:
        driven.out(FCR, 0x03)
        driven.uart.receive(b"a")
        at = driven.clock.next_deadline()
        assert at is not None
        return at - driven.clock.now

    plain = deadline()
    driven.out(LCR, 0x0F)  # 8 bits, parity, two stop bits: 12 instead of 10
    assert abs(deadline() - plain * 12 / 10) <= 4
    driven.out(LCR, 0x8F)
    driven.out(DATA, 12)
    assert abs(deadline() - plain * 12 * 12 / 10) <= 48
    driven.out(DATA, 0)
    assert abs(deadline() - plain * 12 / 10) <= 4


def test_input_waits_outside_until_there_is_room(driven: Port) -> None:
    text = bytes(range(100))
    driven.uart.receive(text)
    assert len(driven.uart.save().received) == 16
    assert driven.read_on() == text
    assert not driven.read(LSR) & 2


def test_fifo_control_clears_the_receiver(driven: Port) -> None:
    driven.uart.receive(b"abc")
    driven.out(FCR, 0x03)
    assert driven.read(LSR) == 0x60
    driven.uart.receive(b"abc")
    driven.out(FCR, 0x00)  # leaving FIFO mode clears too
    assert driven.read(LSR) == 0x60
    assert driven.read(IIR) == 0x01
    driven.out(FCR, 0xC0)  # ignored without bit 0
    driven.out(FCR, 0x01)
    driven.out(IER, 1)
    driven.uart.receive(b"a")
    assert driven.line


def test_transmitter_interrupt(driven: Port) -> None:
    driven.out(IER, 0x02)
    assert driven.line  # enabling it while THRE is set
    assert driven.read(IIR) == 0xC2
    assert not driven.line  # identified
    assert driven.read(IIR) == 0xC1
    driven.out(IER, 0x03)
    assert not driven.line  # it was enabled already
    driven.out(DATA, ord("a"))
    assert driven.line  # empty again at once
    rises = driven.rises
    driven.out(DATA, ord("b"))  # a write takes the interrupt back: a new edge
    assert driven.rises == rises + 1
    driven.out(IER, 0x00)
    assert not driven.line
    assert driven.sent == b"ab"


def test_interrupt_priority(driven: Port) -> None:
    driven.out(MCR, 0x1B)  # loopback, to make everything happen
    for number in range(17):
        driven.out(DATA, number)
    driven.out(MCR, 0x08 | 0x10)
    driven.out(IER, 0x0F)
    assert driven.read(IIR) == 0xC6
    assert driven.read(LSR) == 0x63
    assert driven.read(IIR) == 0xC4
    assert driven.read_all() == bytes(range(16))
    assert driven.read(IIR) == 0xC2
    assert driven.read(IIR) == 0xC0
    assert driven.read(MSR) & 0x0F == 0x03
    assert driven.read(IIR) == 0xC1


@pytest.mark.parametrize("control", [0x00, 0x08, 0x10, 0x18])
def test_interrupts_need_no_out2(port: Port, control: int) -> None:
    port.out(MCR, control)
    port.out(IER, 0x02)
    assert port.line


def test_a_receiver_read_empty_gets_the_next_byte_later(port: Port) -> None:
    """A kernel that reads what is left over and then opens its line misses no edge."""
    port.out(LCR, 0x03)
    port.uart.receive(b"ab")
    port.out(IER, 0x01)
    port.read(DATA)
    assert not port.line
    saved = port.clock.save(), port.uart.save()
    other = Port()
    other.clock.restore(saved[0])
    other.uart.restore(saved[1])
    for some in (port, other):
        some.wait(10 * 16 * 12 * 100_000_000 // 1_843_200)
        assert not some.line
        some.uart.receive(b"c")
        assert not some.line
        some.wait(1)
        assert some.line
        assert some.read_on() == b"bc"


def test_loopback_data(port: Port) -> None:
    port.out(MCR, 0x1E)
    port.out(DATA, 0xAE)
    assert port.read(LSR) & 1
    assert port.read(DATA) == 0xAE
    assert port.sent == b""
    port.uart.receive(b"x")
    assert not port.read(LSR) & 1  # the line is disconnected
    port.out(MCR, 0x0F)
    assert port.read_all() == b"x"


def test_loopback_overrun(port: Port) -> None:
    port.out(MCR, 0x10)
    port.out(DATA, 1, 2)
    assert port.read(LSR) == 0x63
    assert port.read(LSR) == 0x61  # reading clears the error
    assert port.read(DATA) == 2  # the newer byte destroyed the older
    port.out(FCR, 0x01)
    port.out(DATA, *range(17))
    assert port.read(LSR) & 2
    assert port.read_all() == bytes(range(16))  # in FIFO mode the newest is lost


@pytest.mark.parametrize(
    ("control", "status"), [(0x11, 0x20), (0x12, 0x10), (0x14, 0x40), (0x18, 0x80), (0x1F, 0xF0)]
)
def test_loopback_modem_lines(port: Port, control: int, status: int) -> None:
    port.out(MCR, control)
    assert port.read(MSR) & 0xF0 == status


def test_modem_changes(port: Port) -> None:
    port.out(MCR, 0x1B)  # DTR, RTS, OUT2: what the terminal gives too
    assert port.read(MSR) == 0xB0
    port.out(MCR, 0x1F)
    assert port.read(MSR) == 0xF0  # RI rises: no event
    port.out(MCR, 0x1B)
    assert port.read(MSR) == 0xB4  # its trailing edge is one
    assert port.read(MSR) == 0xB0
    port.out(MCR, 0x10)
    assert port.read(MSR) == 0x0B


def test_reset_leaves_the_other_end_alone(driven: Port) -> None:
    driven.out(IER, 0x01)
    driven.uart.receive(bytes(20))
    assert driven.line
    driven.uart.reset()
    assert not driven.line
    driven.wait(10**6)
    assert driven.read_on() == bytes(4)


def test_save_and_restore_with_a_time_out_under_way(driven: Port) -> None:
    driven.out(FCR, 0x81)
    driven.out(IER, 0x01)
    driven.uart.receive(b"abc")
    driven.wait(1000)
    clock, state = driven.clock.save(), driven.uart.save()
    other = Port()
    other.clock.restore(clock)
    other.uart.restore(state)
    assert other.clock.next_deadline() == driven.clock.next_deadline()
    other.wait(10**6)
    assert other.line
    assert other.read_all() == b"abc"
    assert state.received == b"abc"
