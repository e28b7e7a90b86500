"""INT 13h of fixed disks: by cylinder, head and sector, and by sector number; errors.

Sources: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 13h—Fixed Disk"; Phoenix
Enhanced Disk Drive Specification 1.1.
"""

from __future__ import annotations

import pytest

from isa.devices.disk_geometry import bios_geometry
from isa.devices.disk_image import MemoryImage
from tests.isa.firmware.bios_machine import SECTOR, BiosMachine, disk

pytestmark = [pytest.mark.compiled, pytest.mark.usefixtures("compiled_machine")]

SECTORS = 2016  # two cylinders of 16 heads and 63 sectors
DATA = 0x9000


class Sparse(MemoryImage):
    """A large disk of which only the first sector is in memory; others begin with their number."""

    def __init__(self, sectors: int) -> None:
        super().__init__(disk(1))
        self.sectors = sectors

    def read(self, lba: int, count: int) -> bytes:
        numbers = b"".join(
            number.to_bytes(8, "little").ljust(SECTOR, b"\0") for number in range(lba, lba + count)
        )
        return super().read(0, 1) + numbers[SECTOR:] if lba == 0 else numbers


@pytest.fixture
def bios() -> BiosMachine:
    return BiosMachine([disk(SECTORS)])


def packet(lba: int, count: int, segment: int = 0x2000, offset: int = 0, size: int = 16) -> str:
    """A disk address packet at the label `packet`, behind the code."""
    return (
        f"jmp done\npacket: db {size}, 0\ndw {count}, {offset:#x}, {segment:#x}\ndq {lba}\ndone:\n"
    )


def transfer(function: int, count: int, chs: tuple[int, int, int], drive: int = 0x80) -> str:
    """Code for AH=02h to 04h with the buffer at 2000:0000."""
    cylinder, head, sector = chs
    cx = (cylinder & 0xFF) << 8 | cylinder >> 8 << 6 | sector
    return (
        f"mov ax, 0x2000\nmov es, ax\nxor bx, bx\nmov ax, {function << 8 | count:#x}\n"
        f"mov cx, {cx:#x}\nmov dx, {head << 8 | drive:#x}\nint 0x13\n"
    )


def test_power_on_counts_the_disks():
    bios = BiosMachine([disk(100), disk(50), disk(10)])
    assert bios.byte(0x475) == 3
    assert bios.dl == 0x80  # the boot drive


def test_without_disks_there_is_nothing_to_ask(bios):
    bios.call("mov ah, 8\nmov dl, 0x81\nint 0x13")
    assert bios.carry
    assert bios.ah == 1


@pytest.mark.parametrize(
    ("chs", "lba"), [((0, 0, 2), 1), ((0, 1, 1), 63), ((1, 0, 1), 1008), ((1, 15, 63), 2015)]
)
def test_reading_by_cylinder_head_sector(bios, chs, lba):
    bios.call(transfer(2, 1, chs))
    assert (bios.carry, bios.ah, bios.al) == (False, 0, 1)
    assert bios.machine.read_memory(0x20000, SECTOR) == lba.to_bytes(4, "little") * 128
    assert bios.byte(0x474) == 0


def test_reading_many_sectors_at_once(bios):
    bios.call(transfer(2, 127, (0, 0, 2)))
    assert (bios.carry, bios.al) == (False, 127)
    assert [bios.dword(0x20000 + SECTOR * index) for index in range(127)] == list(range(1, 128))


def test_a_buffer_may_cross_a_segment(bios):
    bios.call(
        "mov ax, 0x1FFF\nmov es, ax\nmov bx, 0xFF01\nmov ax, 0x0203\nmov cx, 2\n"
        "mov dx, 0x80\nint 0x13"
    )
    assert not bios.carry
    at = 0x1FFF0 + 0xFF01
    assert [bios.dword(at + SECTOR * index) for index in range(3)] == [1, 2, 3]


def test_what_is_written_is_read_back(bios):
    bios.write(0x20000, b"W" * SECTOR * 3)
    bios.call(transfer(3, 3, (0, 2, 5)))
    assert (bios.carry, bios.al) == (False, 3)
    bios.write(0x20000, bytes(5 * SECTOR))
    bios.call(transfer(2, 5, (0, 2, 4)))
    read = bios.machine.read_memory(0x20000, 5 * SECTOR)
    assert read[SECTOR : 4 * SECTOR] == b"W" * SECTOR * 3
    assert read[:4] == (63 * 2 + 3).to_bytes(4, "little")
    assert read[-4:] == (63 * 2 + 7).to_bytes(4, "little")


def test_verifying_touches_no_memory(bios):
    bios.write(0x20000, b"untouched")
    bios.call(transfer(4, 100, (0, 0, 1)))
    assert (bios.carry, bios.ah) == (False, 0)
    assert bios.machine.read_memory(0x20000, 9) == b"untouched"


@pytest.mark.parametrize(
    ("count", "chs"),
    [
        (1, (0, 0, 0)),
        (1, (0, 16, 1)),
        (1, (2, 0, 1)),
        (1, (1023, 0, 1)),
        (0, (0, 0, 1)),
        (129, (0, 0, 1)),
        (2, (1, 15, 63)),
    ],
)
@pytest.mark.parametrize("function", [2, 3, 4])
def test_impossible_addresses_are_refused(bios, function, count, chs):
    bios.write(0x20000, b"untouched")
    bios.call(transfer(function, count, chs) + "mov ah, 1\nmov dl, 0x80\nint 0x13\n")
    assert bios.carry
    assert bios.ah == 1
    assert bios.machine.read_memory(0x20000, 9) == b"untouched"


def test_the_last_status_is_kept(bios):
    bios.call(transfer(2, 1, (0, 0, 0)))
    assert bios.byte(0x474) == 1
    bios.call("mov ah, 0\nmov dl, 0x80\nint 0x13")
    assert (bios.carry, bios.ah, bios.byte(0x474)) == (False, 0, 0)


@pytest.mark.parametrize("sectors", [1, 63, 1008, 2016, 500_000, 3_000_000, 8_000_000, 30_000_000])
def test_the_geometry_is_that_of_assisted_translation(sectors):
    bios = BiosMachine(images=[Sparse(sectors)])
    bios.call("mov ah, 8\nmov dl, 0x80\nint 0x13")
    geometry = bios_geometry(sectors)
    cylinders = (bios.ch | (bios.cl & 0xC0) << 2) + 1
    assert (cylinders, bios.dh + 1, bios.cl & 0x3F) == geometry
    assert (bios.carry, bios.ah, bios.dl) == (False, 0, 1)
    bios.call("mov ah, 0x15\nmov dl, 0x80\nint 0x13")
    assert (bios.ah, bios.carry) == (3, False)
    assert bios.cx << 16 | bios.dx == geometry.sectors
    table = bios.word(4 * 0x41) + (bios.word(4 * 0x41 + 2) << 4)
    assert (bios.word(table), bios.byte(table + 2), bios.byte(table + 14)) == geometry


@pytest.mark.parametrize("function", [0x09, 0x0D, 0x10, 0x11, 0x14])
def test_functions_that_only_ask_for_a_disk(bios, function):
    bios.call(f"mov ah, {function}\nmov dl, 0x80\nint 0x13")
    assert (bios.carry, bios.ah) == (False, 0)
    bios.call(f"mov ah, {function}\nmov dl, 0x85\nint 0x13")
    assert bios.carry


@pytest.mark.parametrize("function", [0x05, 0x06, 0x0A, 0x18, 0x45, 0x46, 0x49, 0x4B, 0xFF])
def test_functions_that_there_are_not(bios, function):
    bios.call(f"mov ah, {function}\nmov dl, 0x80\nint 0x13")
    assert (bios.carry, bios.ah) == (True, 1)


def test_a_missing_disk_has_no_type(bios):
    bios.call("mov ah, 0x15\nmov dl, 0x81\nint 0x13")
    assert (bios.carry, bios.ah) == (False, 0)


# --- by sector number --------------------------------------------------------------------------


def test_the_extensions_are_there(bios):
    bios.call("mov ah, 0x41\nmov bx, 0x55AA\nmov dl, 0x80\nint 0x13")
    assert (bios.carry, bios.bx, bios.ah, bios.cx) == (False, 0xAA55, 0x21, 1)
    bios.call("mov ah, 0x41\nmov bx, 0x1234\nmov dl, 0x80\nint 0x13")
    assert bios.carry


def extended(function: int, text: str) -> str:
    return f"mov ah, {function:#x}\nmov dl, 0x80\nmov si, packet\nint 0x13\n{text}"


def test_reading_by_sector_number(bios):
    bios.call(extended(0x42, packet(1007, 200)))
    assert (bios.carry, bios.ah) == (False, 0)
    numbers = [bios.dword(0x20000 + SECTOR * index) for index in range(200)]
    assert numbers == list(range(1007, 1207))
    assert bios.word(bios.symbols["packet"] + 2) == 200


def test_writing_by_sector_number(bios):
    bios.write(0x20000, b"L" * SECTOR * 2)
    bios.call(extended(0x43, packet(2014, 2)))
    assert not bios.carry
    medium = bios.machine.platform.media[0]
    assert medium.read(2014, 2) == b"L" * SECTOR * 2
    assert medium.read(2013, 1)[:4] == (2013).to_bytes(4, "little")


def test_verifying_and_seeking_by_sector_number(bios):
    for function in (0x44, 0x47):
        bios.call(extended(function, packet(2000, 16)))
        assert (bios.carry, bios.ah) == (False, 0)


@pytest.mark.parametrize(
    ("lba", "count", "size"),
    [(2016, 1, 16), (2015, 2, 16), (1 << 63, 1, 16), ((1 << 64) - 1, 1, 16), (0, 1, 15)],
)
@pytest.mark.parametrize("function", [0x42, 0x43, 0x44])
def test_impossible_packets_are_refused(bios, function, lba, count, size):
    bios.write(0x20000, b"untouched")
    bios.call(extended(function, packet(lba, count, size=size)))
    assert (bios.carry, bios.ah) == (True, 1)
    assert bios.machine.read_memory(0x20000, 9) == b"untouched"


@pytest.mark.parametrize("lba", [(1 << 28) - 129, (1 << 28) - 1, 1 << 28, (1 << 32) + 5])
def test_sectors_beyond_28_bits(lba):
    bios = BiosMachine(images=[Sparse((1 << 33) + 1)])
    bios.call(extended(0x42, packet(lba, 3)))
    assert not bios.carry
    read = bios.machine.read_memory(0x20000, 3 * SECTOR)
    numbers = [int.from_bytes(read[at : at + 8], "little") for at in range(0, 3 * SECTOR, SECTOR)]
    assert numbers == [lba, lba + 1, lba + 2]


def test_the_size_of_a_disk(bios):
    bios.call("mov word [DATA], 26\nmov si, DATA\nmov ah, 0x48\nmov dl, 0x80\nint 0x13")
    assert (bios.carry, bios.ah, bios.word(DATA), bios.word(DATA + 2)) == (False, 0, 26, 2)
    assert (bios.dword(DATA + 4), bios.dword(DATA + 8), bios.dword(DATA + 12)) == (2, 16, 63)
    assert (bios.dword(DATA + 16), bios.dword(DATA + 20)) == (SECTORS, 0)
    assert bios.word(DATA + 24) == 512


def test_a_buffer_too_small_for_the_size(bios):
    bios.call("mov word [DATA], 25\nmov si, DATA\nmov ah, 0x48\nmov dl, 0x80\nint 0x13")
    assert (bios.carry, bios.ah) == (True, 1)


def test_a_sector_that_cannot_be_read(bios):
    class Damaged(Sparse):
        def read(self, lba: int, count: int) -> bytes:
            from isa.devices.disk_image import MediumError

            if lba <= 100 < lba + count:
                raise MediumError("a scratch")
            return super().read(lba, count)

    bios = BiosMachine(images=[Damaged(2000)])
    bios.call(extended(0x42, packet(98, 5)))
    assert (bios.carry, bios.ah) == (True, 0x10)
    assert bios.word(bios.symbols["packet"] + 2) == 2
    bios.call(transfer(2, 1, (0, 1, 38)))
    assert (bios.carry, bios.ah, bios.al) == (True, 0x10, 0)
    bios.call(transfer(2, 1, (0, 1, 39)))
    assert not bios.carry


def test_disks_interrupt_again_when_the_bios_is_done(bios):
    bios.call(transfer(2, 1, (0, 0, 1)))
    assert bios.machine.platform.primary_ata.state.control == 0
    assert not bios.machine.platform.interrupt_pending()


def test_the_second_channel():
    bios = BiosMachine(images=[MemoryImage(disk(10)), None, None, MemoryImage(disk(20))])
    assert bios.byte(0x475) == 2
    bios.call(transfer(2, 1, (0, 0, 20), drive=0x81))
    assert (bios.carry, bios.dword(0x20000)) == (False, 19)
