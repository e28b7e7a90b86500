"""The MP and ACPI tables, found and read as systems do, by the layouts of the specifications."""

from __future__ import annotations

import struct

import pytest

from isa.cpu_models import load_model
from isa.devices.platform import Platform
from isa.firmware.board_tables import TABLES_END, board_tables

MODEL = load_model("p6")


def memory(features: int = MODEL.features) -> bytes:
    """The first MiB with the tables in it."""
    made = bytearray(1 << 20)
    end = 0
    *pieces, (rom_gpa, image) = board_tables(MODEL.signature, features)
    for gpa, data in pieces:
        assert gpa >= end  # ascending, without overlaps
        end = gpa + len(data)
        made[gpa:end] = data
    assert end <= TABLES_END == rom_gpa
    made[rom_gpa:] = image
    assert len(made) == 1 << 20
    return bytes(made)


def find(where: bytes, name: bytes, first: int, end: int) -> int | None:
    """A structure at a multiple of 16 in a range."""
    return next((at for at in range(first, end, 16) if where.startswith(name, at)), None)


def table(where: bytes, gpa: int, name: bytes) -> bytes:
    """An ACPI table, its checksum proved."""
    size = struct.unpack_from("<I", where, gpa + 4)[0]
    found = where[gpa : gpa + size]
    assert found[:4] == name
    assert sum(found) & 0xFF == 0
    return found


def acpi(where: bytes) -> dict[bytes, bytes]:
    """The tables of the RSDT by name."""
    at = find(where, b"RSD PTR ", 0xE0000, 0x100000)
    assert at is not None
    assert sum(where[at : at + 20]) & 0xFF == 0
    rsdt = table(where, struct.unpack_from("<I", where, at + 16)[0], b"RSDT")
    places = struct.unpack(f"<{(len(rsdt) - 36) // 4}I", rsdt[36:])
    return {
        where[place : place + 4]: table(where, place, where[place : place + 4]) for place in places
    }


def test_the_data_areas_say_where_to_look() -> None:
    where = memory()
    assert struct.unpack_from("<H", where, 0x40E)[0] << 4 == 0x9FC00
    assert struct.unpack_from("<H", where, 0x413)[0] == 639


def test_the_mp_configuration() -> None:
    where = memory()
    at = find(where, b"_MP_", 0xF0000, 0x100000)
    assert at is not None
    pointer = where[at : at + 16]
    assert sum(pointer) & 0xFF == 0
    gpa, paragraphs, revision = struct.unpack_from("<IBB", pointer, 4)
    assert (paragraphs, revision, pointer[11:]) == (1, 4, bytes(5))
    size, count = struct.unpack_from("<H", where, gpa + 4)[0], where[gpa + 34]
    assert where[gpa : gpa + 4] == b"PCMP"
    assert sum(where[gpa : gpa + size]) & 0xFF == 0
    assert struct.unpack_from("<I", where, gpa + 36)[0] == 0xFEE00000

    entries = []
    place = gpa + 44
    for _ in range(count):
        length = 20 if where[place] == 0 else 8
        entries.append(where[place : place + length])
        place += length
    assert place == gpa + size
    kinds = [entry[0] for entry in entries]
    assert kinds == sorted(kinds)
    assert [entry[2:] for entry in entries if entry[0] == 1] == [b"PCI   ", b"ISA   "]

    processor = entries[0]
    assert processor[1:4] == bytes((0, 0x11, 3))
    signature, features = struct.unpack_from("<II", processor, 4)
    assert signature == MODEL.signature
    assert features & 1 << 9

    board = Platform(lambda gpa, size: bytes(size), 4 << 20)
    board.bus.write_memory(0xFEC00000, 4, 0)
    identity = board.bus.read_memory(0xFEC00010, 4) >> 24
    io_apic = next(entry for entry in entries if entry[0] == 2)
    assert io_apic[1:4] == bytes((identity, 0x11, 1))
    assert struct.unpack_from("<I", io_apic, 4)[0] == 0xFEC00000

    isa_bus = next(entry[1] for entry in entries if entry[2:5] == b"ISA")
    wired = {}
    for kind, flags, bus, irq, to, pin in (
        struct.unpack_from("<xBHBBBB", entry) for entry in entries if entry[0] == 3
    ):
        assert (bus, to) == (isa_bus, identity)
        wired[kind, irq] = pin
        assert flags == (0xD if irq == 9 else 0)
    assert wired == {(3, 0): 0, (0, 0): 2} | {(0, irq): irq for irq in range(1, 16) if irq != 2}
    local = [struct.unpack_from("<xBHBBBB", entry) for entry in entries if entry[0] == 4]
    assert [(kind, pin) for kind, _, _, _, _, pin in local] == [(3, 0), (1, 1)]


def test_the_acpi_tables() -> None:
    where = memory()
    tables = acpi(where)
    assert set(tables) == {b"FACP", b"APIC"}
    fadt = tables[b"FACP"]
    assert len(fadt) == 116
    facs, dsdt = struct.unpack_from("<II", fadt, 36)
    assert struct.unpack_from("<H", fadt, 46)[0] == 9
    assert struct.unpack_from("<I", fadt, 48)[0] == 0  # no SMI
    event, _, control, _, _, timer = struct.unpack_from("<6I", fadt, 56)
    assert (event, control, timer) == (0x600, 0x604, 0x608)
    assert fadt[88:92] == bytes((4, 2, 0, 4))
    assert not struct.unpack_from("<I", fadt, 112)[0] & 1 << 8  # a timer of 24 bits
    assert facs % 64 == 0
    assert where[facs : facs + 8] == b"FACS" + struct.pack("<I", 64)
    assert fadt[108] == 0x32
    aml = table(where, dsdt, b"DSDT")
    # As small kernels look for it: NameOp, the name, PackageOp, its length, four elements.
    at = aml.index(b"_S5_")
    assert aml[at - 1] == 0x08
    assert aml[at + 4] == 0x12
    assert aml[at + 5] == 6
    assert aml[at + 6 : at + 11] == bytes((4, 0, 0, 0, 0))


def test_the_madt() -> None:
    madt = acpi(memory())[b"APIC"]
    assert struct.unpack_from("<II", madt, 36) == (0xFEE00000, 1)
    entries = []
    at = 44
    while at < len(madt):
        entries.append(madt[at : at + madt[at + 1]])
        at += madt[at + 1]
    assert at == len(madt)
    assert entries == [
        bytes((0, 8, 0, 0, 1, 0, 0, 0)),
        bytes((1, 12, 1, 0)) + struct.pack("<II", 0xFEC00000, 0),
        bytes((2, 10, 0, 0)) + struct.pack("<IH", 2, 0),
        bytes((2, 10, 0, 9)) + struct.pack("<IH", 9, 0xD),
        bytes((4, 6, 0xFF, 0, 0, 1)),
    ]


@pytest.mark.parametrize("name", ["p6-apic", "486", "386"])
def test_without_apics_nothing_tells_of_them(name: str) -> None:
    where = memory(load_model(name).features)
    assert find(where, b"_MP_", 0, 1 << 20) is None
    assert set(acpi(where)) == {b"FACP"}
