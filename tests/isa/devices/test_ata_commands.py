"""ATA commands besides reads and writes, as the standard describes them one by one."""

from __future__ import annotations

import struct

import pytest

from tests.isa.devices.ata_cable import (
    BSY,
    ERR,
    READY,
    SECTORS,
    Cable,
    sector,
)


@pytest.fixture
def cable() -> Cable:
    return Cable()


def words_text(words: list[int]) -> str:
    return b"".join(word.to_bytes(2, "big") for word in words).decode()


def test_identify(cable: Cable) -> None:
    words = cable.identity()
    assert words[0] & 0x8000 == 0  # an ATA device
    assert (words[1], words[3], words[6]) == (2, 16, 63)
    assert words_text(words[27:47]).rstrip() == "TRAPGATE HARDDISK"
    assert words_text(words[10:20]).startswith("TG00000")
    assert words[49] & 0x0300 == 0x0200  # LBA, no DMA
    assert words[54:59] == [2, 16, 63, 2016, 0]
    assert words[60] | words[61] << 16 == SECTORS
    assert words[83] & 0xC400 == 0x4400  # 48-bit addresses
    assert words[100:104] == [SECTORS, 0, 0, 0]
    data = struct.pack("<256H", *words)
    assert data[510] == 0xA5
    assert sum(data) & 0xFF == 0
    assert cable.alternate == READY


def test_initialize_device_parameters(cable: Cable) -> None:
    cable.put(6, 0xA3)  # 4 heads
    cable.put(2, 17)
    cable.put(7, 0x91)
    cable.settle()
    assert cable.get(7) == READY
    words = cable.identity()
    assert words[54:57] == [SECTORS // 68, 4, 17]
    assert (words[1], words[3], words[6]) == (2, 16, 63)
    cable.task_chs(0x20, 3, 2, 1)
    cable.settle()
    assert cable.take() == sector((3 * 4 + 2) * 17)
    cable.put(2, 0)
    cable.put(7, 0x91)
    assert cable.fails(0x04)


def test_set_features(cable: Cable) -> None:
    for feature, word_85 in ((0x82, 0x4048), (0x55, 0x4008), (0x02, 0x4028), (0xAA, 0x4068)):
        cable.put(1, feature)
        cable.put(7, 0xEF)
        cable.settle()
        assert cable.get(7) == READY
        assert cable.identity()[85] == word_85
    for feature, mode, legal in ((0x03, 0x0C, True), (0x03, 0x40, False), (0x99, 0, False)):
        cable.put(1, feature)
        cable.put(2, mode)
        cable.put(7, 0xEF)
        cable.settle()
        assert cable.get(7) == (READY if legal else READY | ERR)


@pytest.mark.parametrize("command", [0x10, 0x1F, 0x70, 0x7F, 0x40, 0x41, 0xE7, 0xEA])
def test_commands_without_data(cable: Cable, command: int) -> None:
    cable.task(command, lba=3)
    assert cable.alternate == BSY
    cable.settle()
    assert cable.line
    assert cable.get(7) == READY
    assert cable.get(1) == 0


@pytest.mark.parametrize("command", [0x70, 0x40])
def test_seek_and_verify_beyond_the_end(cable: Cable, command: int) -> None:
    cable.task(command, lba=SECTORS)
    assert cable.fails(0x10)


@pytest.mark.parametrize("command", [0x00, 0x08, 0xB0, 0xC8, 0xCA, 0x25, 0xF5, 0xFF, 0xA0, 0xA1])
def test_what_is_not_there_is_aborted(cable: Cable, command: int) -> None:
    cable.task(command, lba=3)
    assert cable.fails(0x04)
    assert cable.line


def test_packet_commands_leave_the_signature_of_a_disk(cable: Cable) -> None:
    cable.task(0xA1, lba=0x123456, count=9)
    cable.settle()
    assert [cable.get(offset) for offset in (2, 3, 4, 5)] == [1, 1, 0, 0]


def test_power_modes(cable: Cable) -> None:
    def mode() -> int:
        cable.task(0xE5)
        cable.settle()
        return cable.get(2)

    assert mode() == 0xFF
    for command, expected in ((0xE0, 0x00), (0xE1, 0x80), (0x96, 0x00), (0xE3, 0x80)):
        cable.task(command)
        cable.settle()
        assert mode() == expected
    cable.task(0x20, lba=1)
    cable.settle()
    cable.take()
    assert mode() == 0xFF
    cable.task(0xE6)
    cable.settle()
    cable.task(0x20, lba=1)
    assert cable.clock.next_deadline() is None  # asleep until it is reset
    cable.control(0x04)
    cable.control(0x00)
    cable.settle()
    assert mode() == 0xFF


def test_read_native_max(cable: Cable) -> None:
    cable.task(0xF8)
    cable.settle()
    assert cable.lba() == SECTORS - 1
    cable.task_ext(0x27, lba=0, count=0)
    cable.settle()
    assert [cable.get(offset) for offset in (3, 4, 5)] == [(SECTORS - 1) & 0xFF, 11, 0]


def test_diagnostics_are_for_both_drives() -> None:
    cable = Cable(slave=True)
    cable.task(0x90, lba=0x1234, count=7, slave=True)
    cable.settle()
    assert cable.rises == 1
    for device in (0xA0, 0xB0):
        cable.put(6, device)
        assert [cable.get(offset) for offset in range(1, 6)] == [1, 1, 1, 0, 0]
    assert cable.get(7) == READY
