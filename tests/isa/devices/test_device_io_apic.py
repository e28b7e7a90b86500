"""The I/O APIC by its datasheet, and the board: both controllers, IMCR and virtual wire."""

from __future__ import annotations

import pytest

from isa.devices.io_apic import INPUTS, IoApic
from isa.devices.local_apic import BASE_AT_RESET
from isa.devices.platform import Platform

IO_APIC, LOCAL_APIC = 0xFEC00000, 0xFEE00000
MASK, LEVEL, LOW_ACTIVE, REMOTE_IRR = 0x10000, 0x8000, 0x2000, 0x4000
APIC_BASE_MESSAGE = 1 << 36


class Chip:
    """An I/O APIC whose messages are kept."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int, int, bool, bool]] = []
        self.is_taken = True
        self.chip = IoApic(self._send)

    def _send(self, mode: int, vector: int, to: int, logical: bool, level: bool) -> bool:
        self.sent.append((mode, vector, to, logical, level))
        return self.is_taken

    def write(self, index: int, value: int) -> None:
        self.chip.write(0, 4, index)
        self.chip.write(0x10, 4, value)

    def read(self, index: int) -> int:
        self.chip.write(0, 1, index)
        return self.chip.read(0x10, 4)


def test_registers_after_reset() -> None:
    chip = Chip()
    assert chip.read(0) == 0
    assert chip.read(1) == 0x00170011
    assert chip.read(2) == 0
    for number in range(INPUTS):
        assert chip.read(0x10 + 2 * number) == MASK
        assert chip.read(0x11 + 2 * number) == 0
    assert chip.read(0x40) == 0


def test_the_identity() -> None:
    chip = Chip()
    chip.write(0, 0xFFFFFFFF)
    assert chip.read(0) == chip.read(2) == 0x0F000000
    chip.write(1, 0)
    assert chip.read(1) == 0x00170011


def test_an_edge_is_sent_once() -> None:
    chip = Chip()
    chip.write(0x10 + 2 * 4, 0x944)
    chip.write(0x11 + 2 * 4, 0x03FFFFFF)
    assert chip.read(0x11 + 2 * 4) == 0x03000000
    chip.chip.set_input(4, True)
    chip.chip.set_input(4, True)
    assert chip.sent == [(1, 0x44, 3, True, False)]
    chip.chip.set_input(4, False)
    chip.chip.set_input(4, True)
    assert len(chip.sent) == 2


def test_an_edge_at_a_masked_input_is_lost() -> None:
    chip = Chip()
    chip.chip.set_input(5, True)
    chip.write(0x1A, 0x45)
    assert chip.sent == []


def test_a_level_is_sent_until_it_falls() -> None:
    chip = Chip()
    chip.chip.set_input(9, True)
    chip.write(0x10 + 18, LEVEL | 0x49)
    assert chip.sent == [(0, 0x49, 0, False, True)]
    assert chip.read(0x10 + 18) == LEVEL | REMOTE_IRR | 0x49
    chip.chip.end_of_interrupt(0x48)
    assert len(chip.sent) == 1
    chip.chip.end_of_interrupt(0x49)
    assert len(chip.sent) == 2
    chip.chip.set_input(9, False)
    chip.chip.end_of_interrupt(0x49)
    assert len(chip.sent) == 2
    assert chip.read(0x10 + 18) == LEVEL | 0x49


def test_a_level_that_nobody_took_asks_again_when_its_entry_is_written() -> None:
    chip = Chip()
    chip.is_taken = False
    chip.chip.set_input(9, True)
    chip.write(0x10 + 18, LEVEL | 0x49)
    assert chip.read(0x10 + 18) == LEVEL | 0x49
    chip.is_taken = True
    chip.write(0x10 + 18, LEVEL | 0x49)
    assert chip.read(0x10 + 18) == LEVEL | REMOTE_IRR | 0x49


def test_polarity() -> None:
    chip = Chip()
    chip.chip.set_input(9, True)
    chip.write(0x10 + 18, LOW_ACTIVE | 0x49)
    assert chip.sent == []
    chip.chip.set_input(9, False)
    assert chip.sent == [(0, 0x49, 0, False, False)]


def test_read_only_bits_stay() -> None:
    chip = Chip()
    chip.write(0x10, 0xFFFFFFFF)
    assert chip.read(0x10) == 0x1AFFF
    chip.write(0x11, 0xFFFFFFFF)
    assert chip.read(0x11) == 0xFF000000


def platform(**options: bool) -> Platform:
    made = Platform(lambda gpa, size: bytes(size), 4 << 20, **options)
    for port, value in (
        *((0x20, 0x11), (0x21, 0x20), (0x21, 0x04), (0x21, 0x01)),
        *((0xA0, 0x11), (0xA1, 0x28), (0xA1, 0x02), (0xA1, 0x01)),
    ):
        made.bus.write_port(port, 1, value)
    return made


def write_io_apic(made: Platform, index: int, value: int) -> None:
    made.bus.write_memory(IO_APIC, 4, index)
    made.bus.write_memory(IO_APIC + 0x10, 4, value)


def pulse(made: Platform, irq: int) -> None:
    made.irq_line(irq)(True)
    made.irq_line(irq)(False)


def test_a_system_without_apic_code_gets_its_8259() -> None:
    made = platform()
    made.irq_line(5)(True)
    assert made.interrupt_pending()
    assert made.acknowledge_interrupt() == 0x25


def test_masking_lint0_silences_the_8259() -> None:
    made = platform()
    made.bus.write_memory(LOCAL_APIC + 0x350, 4, MASK)
    made.irq_line(5)(True)
    assert not made.interrupt_pending()


def test_pic_mode_goes_past_the_apic() -> None:
    made = platform()
    made.bus.write_memory(LOCAL_APIC + 0x350, 4, MASK)
    made.irq_line(5)(True)
    made.bus.write_port(0x22, 1, 0x70)
    assert made.bus.read_port(0x23, 1) == 1
    made.bus.write_port(0x23, 1, 0)
    assert made.acknowledge_interrupt() == 0x25
    made.bus.write_port(0x22, 1, 0x71)
    assert made.bus.read_port(0x23, 1) == 0xFF


def test_input_0_passes_the_8259_too() -> None:
    made = platform()
    made.bus.write_memory(LOCAL_APIC + 0x350, 4, MASK)
    write_io_apic(made, 0x10, 0x700)
    made.irq_line(5)(True)
    assert made.acknowledge_interrupt() == 0x25


@pytest.mark.parametrize("irq", [0, 1, 3, 4, 9, 14, 15])
def test_isa_interrupts_reach_their_inputs(irq: int) -> None:
    made = platform()
    made.bus.write_port(0x21, 1, 0xFF)
    made.bus.write_port(0xA1, 1, 0xFF)
    made.irq_line(irq)(False)
    write_io_apic(made, 0x10 + 2 * (2 if irq == 0 else irq), 0x50 + irq)
    pulse(made, irq)
    assert made.acknowledge_interrupt() == 0x50 + irq
    assert not made.interrupt_pending()


def test_the_apics_interrupts_go_before_those_of_the_8259() -> None:
    made = platform()
    write_io_apic(made, 0x10 + 14, 0x57)
    made.irq_line(7)(True)
    assert made.acknowledge_interrupt() == 0x57
    assert made.acknowledge_interrupt() == 0x27


def test_a_level_travels_from_line_to_end_of_interrupt() -> None:
    made = platform()
    made.bus.write_port(0xA1, 1, 0xFF)
    write_io_apic(made, 0x10 + 22, LEVEL | 0x5B)
    made.irq_line(11)(True)
    assert made.acknowledge_interrupt() == 0x5B
    made.bus.write_memory(LOCAL_APIC + 0xB0, 4, 0)
    assert made.acknowledge_interrupt() == 0x5B
    made.irq_line(11)(False)
    made.bus.write_memory(LOCAL_APIC + 0xB0, 4, 0)
    assert not made.interrupt_pending()


def test_switched_off_by_its_base_register() -> None:
    made = platform()
    made.bus.write_memory(LOCAL_APIC + 0x350, 4, MASK)
    made.irq_line(5)(True)
    made.bus.write_memory(APIC_BASE_MESSAGE, 8, BASE_AT_RESET & ~0x800)
    assert made.bus.read_memory(LOCAL_APIC + 0x30, 4) == 0xFFFFFFFF
    assert made.acknowledge_interrupt() == 0x25


def test_moved_by_its_base_register() -> None:
    made = platform()
    made.bus.write_memory(APIC_BASE_MESSAGE, 8, 0xE0000900)
    assert made.bus.read_memory(0xE0000030, 4) == 0x00040011
    assert made.bus.read_memory(LOCAL_APIC + 0x30, 4) == 0xFFFFFFFF
    made.bus.write_memory(APIC_BASE_MESSAGE, 8, IO_APIC | 0x900)  # the other device stays
    write_io_apic(made, 1, 0)
    assert made.bus.read_memory(IO_APIC + 0x10, 4) == 0x00170011
    saved = made.save()
    made.reset()
    assert made.bus.read_memory(LOCAL_APIC + 0x30, 4) == 0x00040011
    made.restore(saved)
    assert made.bus.read_memory(LOCAL_APIC + 0x30, 4) == 0xFFFFFFFF


def test_a_board_without_apics() -> None:
    made = platform(has_apic=False)
    for gpa in (IO_APIC, LOCAL_APIC, LOCAL_APIC + 0x30):
        assert made.bus.read_memory(gpa, 4) == 0xFFFFFFFF
    assert made.bus.read_port(0x23, 1) == 0xFF
    made.irq_line(5)(True)
    assert made.acknowledge_interrupt() == 0x25
