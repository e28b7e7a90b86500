"""ATA channels and disks: who answers, transfers, resets and interrupts."""

from __future__ import annotations

import pytest

from isa.devices.disk_image import MediumError
from tests.isa.devices.ata_cable import (
    BSY,
    DF,
    DRQ,
    IMAGE,
    READY,
    SECTOR_BYTES,
    SECTORS,
    Cable,
    sector,
)


@pytest.fixture
def cable() -> Cable:
    return Cable()


# --- who answers ---------------------------------------------------------------------------------


def test_a_drive_after_power_on(cable: Cable) -> None:
    assert cable.alternate == cable.get(7) == READY
    assert [cable.get(offset) for offset in range(1, 7)] == [1, 1, 1, 0, 0, 0xA0]
    assert not cable.line


def test_device_0_answers_for_an_absent_device_1(cable: Cable) -> None:
    cable.put(6, 0xB0)
    assert cable.alternate == cable.get(7) == 0
    cable.put(3, 0x5A)
    assert cable.get(3) == 0x5A
    cable.put(7, 0xEC)
    cable.settle()
    assert not cable.line
    cable.put(6, 0xA0)
    assert cable.get(7) == READY


def test_nobody_answers_on_an_empty_channel() -> None:
    cable = Cable(master=False)
    cable.task(0xEC)
    assert [cable.get(offset) for offset in range(8)] == [0] * 8
    assert cable.alternate == 0
    assert cable.get(0, 4) == 0
    assert cable.clock.next_deadline() is None


def test_device_1_alone_answers_when_it_is_selected() -> None:
    cable = Cable(master=False, slave=True)
    assert cable.get(7) == cable.alternate == READY
    cable.put(7, 0xEC)
    assert cable.get(7) == cable.alternate == READY | 0x01
    assert (cable.get(1), cable.get(3), cable.line) == (0x04, 0, False)
    cable.put(6, 0xA0)
    assert cable.get(7) == READY
    cable.put(6, 0xB0)
    assert cable.get(7) == READY
    cable.task(0x20, lba=7, slave=True)
    cable.settle()
    assert cable.take() == sector(7)


def test_both_drives_hear_the_task_file() -> None:
    cable = Cable(slave=True)
    cable.put(3, 0x12)
    cable.put(6, 0xB0)
    assert cable.get(3) == 0x12


def test_only_the_selected_drive_interrupts() -> None:
    cable = Cable(slave=True)
    cable.task(0x40, slave=True)
    cable.settle()
    assert cable.line
    cable.put(6, 0xA0)
    assert not cable.line
    cable.put(6, 0xB0)
    assert cable.line
    cable.get(7)
    assert not cable.line


# --- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [0x20, 0x21])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_read_one_sector(cable: Cable, command: int, size: int) -> None:
    cable.task(command, lba=1234)
    assert cable.alternate == BSY
    assert not cable.line
    cable.settle()
    assert cable.line
    assert cable.alternate == READY | DRQ
    assert cable.line  # the alternate status leaves the interrupt alone
    assert cable.get(7) == READY | DRQ
    assert not cable.line
    assert cable.take(size) == sector(1234)
    assert cable.get(7) == READY
    assert not cable.line  # a read ends without an interrupt
    assert cable.clock.next_deadline() is None


def test_every_sector_of_a_read_has_its_interrupt(cable: Cable) -> None:
    cable.task(0x20, lba=10, count=3)
    for number in (10, 11, 12):
        cable.settle()
        assert cable.line
        cable.get(7)
        assert cable.take() == sector(number)
        assert cable.alternate == (BSY if number < 12 else READY)
    assert cable.rises == 3
    assert cable.lba() == 12
    assert cable.get(2) == 0


def test_a_count_of_zero_is_256(cable: Cable) -> None:
    cable.task(0x20, lba=100, count=0)
    for number in range(256):
        cable.settle()
        assert cable.take() == sector(100 + number)
    assert cable.alternate == READY


def test_read_by_cylinder_head_and_sector(cable: Cable) -> None:
    cable.task_chs(0x20, 2, 3, 5)
    cable.settle()
    assert cable.take() == sector((2 * 16 + 3) * 63 + 4)
    cable.task_chs(0x20, 0, 0, 0)  # sectors count from 1
    assert cable.fails(0x10)
    cable.task_chs(0x20, 0, 1, 64)
    assert cable.fails(0x10)


def test_read_with_48_bit_addresses(cable: Cable) -> None:
    cable.task_ext(0x24, lba=300, count=2)
    for number in (300, 301):
        cable.settle()
        assert cable.take() == sector(number)
    cable.task_ext(0x24, lba=1 << 40, count=1)
    assert cable.fails(0x10)
    assert [cable.get(offset) for offset in (3, 4, 5)] == [0, 0, 0]
    cable.control(0x80)  # HOB
    assert [cable.get(offset) for offset in (3, 4, 5)] == [0, 0, 1]
    cable.put(3, 0)  # a write to the command block clears HOB
    assert cable.get(5) == 0


@pytest.mark.parametrize(("command", "block"), [(0xC4, 4), (0xC4, 16), (0xC4, 1)])
def test_read_multiple(cable: Cable, command: int, block: int) -> None:
    cable.task(0xC6, count=block)
    cable.settle()
    assert cable.get(7) == READY
    cable.rises = 0
    cable.task(command, lba=50, count=10)
    read = bytearray()
    while len(read) < 10 * SECTOR_BYTES:
        cable.settle()
        cable.get(7)
        read += cable.take()
    assert read == b"".join(sector(50 + index) for index in range(10))
    assert cable.rises == -(-10 // block)


def test_read_multiple_is_refused_when_it_is_disabled(cable: Cable) -> None:
    cable.task(0xC6, count=0)
    cable.settle()
    assert cable.get(7) == READY
    cable.task(0xC4, count=1)
    assert cable.fails(0x04)
    cable.task(0xC6, count=3)  # not a power of two
    assert cable.fails(0x04)
    assert cable.identity()[59] == 0


def test_a_read_stops_at_the_end_of_the_disk(cable: Cable) -> None:
    cable.task(0x20, lba=SECTORS - 1, count=2)
    cable.settle()
    assert cable.take() == sector(SECTORS - 1)
    assert cable.fails(0x10)
    assert cable.lba() == SECTORS
    cable.task(0xC4, lba=SECTORS - 1, count=2)
    assert cable.fails(0x10)
    assert cable.lba() == SECTORS


def test_a_sector_that_cannot_be_read_is_named(
    cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    medium = cable.medium()
    read = medium.read

    def reading(lba: int, count: int) -> bytes:
        if lba <= 102 < lba + count:
            raise MediumError("gone")
        return read(lba, count)

    monkeypatch.setattr(medium, "read", reading)
    cable.task(0xC4, lba=100, count=8)
    assert cable.fails(0x40)
    assert cable.lba() == 102
    cable.task(0x40, lba=96, count=16)
    assert cable.fails(0x40)
    assert cable.lba() == 102


# --- writing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 4])
def test_write_one_sector(cable: Cable, size: int) -> None:
    cable.task(0x30, lba=5)
    assert not cable.line  # the first block is asked for without an interrupt
    cable.give(sector(77), size)
    assert cable.alternate == BSY
    assert cable.medium().read(5, 1) == sector(5)
    cable.settle()
    assert cable.line
    assert cable.get(7) == READY
    assert cable.medium().read(4, 3) == sector(4) + sector(77) + sector(6)
    assert IMAGE.read(5, 1) == sector(5)


def test_write_several_sectors(cable: Cable) -> None:
    cable.task(0x30, lba=20, count=3)
    for number in range(3):
        cable.give(sector(number))
        cable.settle()
        assert cable.line
        cable.get(7)
    assert cable.rises == 3
    assert cable.medium().read(20, 3) == sector(0) + sector(1) + sector(2)


def test_write_multiple_and_48_bit(cable: Cable) -> None:
    cable.task_ext(0x39, lba=30, count=20)
    cable.give(b"".join(map(sector, range(16))))
    cable.settle()
    cable.get(7)
    cable.give(b"".join(map(sector, range(16, 20))))
    cable.settle()
    assert cable.get(7) == READY
    assert cable.rises == 2
    assert cable.medium().read(30, 20) == b"".join(map(sector, range(20)))


def test_a_write_beyond_the_end(cable: Cable) -> None:
    cable.task(0xC5, lba=SECTORS - 1, count=2)
    cable.give(sector(1) + sector(2))
    assert cable.fails(0x10)
    assert cable.medium().read(SECTORS - 1, 1) == sector(1)
    cable.task(0x30, lba=SECTORS)
    assert cable.fails(0x10)


def test_a_write_that_fails_is_a_device_fault(
    cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise MediumError("full")

    monkeypatch.setattr(cable.medium(), "write", failing)
    cable.task(0x30, lba=9)
    cable.give(sector(1))
    assert cable.fails(0x04, DF)
    monkeypatch.setattr(cable.medium(), "flush", failing)
    for command in (0xE7, 0xEA):
        cable.task(command)
        assert cable.fails(0x04, DF)


# --- resets, the interrupt, time -----------------------------------------------------------------


def test_software_reset(cable: Cable) -> None:
    cable.task(0x20, lba=9, count=4)
    cable.settle()
    cable.control(0x04)
    assert not cable.line
    assert cable.alternate == BSY
    cable.settle()
    assert cable.alternate == BSY  # as long as SRST is set
    cable.control(0x00)
    assert cable.alternate == BSY
    cable.settle()
    assert cable.alternate == READY
    assert [cable.get(offset) for offset in range(1, 7)] == [1, 1, 1, 0, 0, 0xA0]
    assert not cable.line
    assert cable.get(0, 2) == 0


def test_interrupts_can_be_held_back(cable: Cable) -> None:
    cable.control(0x02)  # nIEN
    cable.task(0x40)
    cable.settle()
    assert not cable.line
    cable.control(0x00)  # still pending
    assert cable.line
    cable.task(0x40)  # a command takes it back
    assert not cable.line
    cable.control(0x02)
    cable.settle()
    assert cable.get(7) == READY
    cable.control(0x00)
    assert not cable.line


def test_a_busy_drive_takes_nothing(cable: Cable) -> None:
    cable.task(0x20, lba=9)
    cable.put(3, 99)
    cable.put(7, 0xEC)
    cable.settle()
    assert cable.take() == sector(9)
    assert cable.get(3) == 9


def test_a_new_command_ends_a_transfer(cable: Cable) -> None:
    cable.task(0x20, lba=9)
    cable.settle()
    cable.get(0, 2)
    cable.task(0x20, lba=8)
    cable.settle()
    assert cable.take() == sector(8)


def test_reset_line(cable: Cable) -> None:
    cable.task(0x30, lba=5)
    cable.give(sector(77))
    cable.settle()
    cable.task(0x20, lba=9)
    cable.channel.reset()
    assert cable.clock.next_deadline() is None
    assert cable.alternate == READY
    assert not cable.line
    assert cable.medium().read(5, 1) == sector(77)  # the disk keeps what it has


def test_several_registers_at_once(cable: Cable) -> None:
    cable.put(2, 0x04030201, 4)
    assert cable.get(2, 4) == 0x04030201
    assert cable.get(4, 2) == 0x0403
    assert cable.get(6, 2) == READY << 8 | 0xA0


class Borrower:
    """Keeps what is lent."""

    def __init__(self) -> None:
        self.lent: dict[int, int | None] = {}

    def lend(self, offset: int, value: int | None, **_: object) -> None:
        self.lent[offset] = value


def test_status_is_lent_where_reading_it_has_no_effect(cable: Cable) -> None:
    borrower = cable.channel.lender = Borrower()
    cable.task(0x20, lba=9)
    assert borrower.lent == {7: BSY, 8: BSY}
    cable.settle()
    assert borrower.lent == {7: None, 8: READY | DRQ}
    cable.get(7)
    assert borrower.lent == {7: READY | DRQ, 8: READY | DRQ}
    cable.take()
    assert borrower.lent == {7: READY, 8: READY}
