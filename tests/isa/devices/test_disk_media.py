"""Disk images, what machines write over them, overlay files and geometry."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa.devices.configuration import Configuration, Disk, DiskWrites
from isa.devices.disk_geometry import Geometry, ata_geometry, bios_geometry
from isa.devices.disk_image import (
    SECTOR_BYTES,
    DiskImageError,
    FileImage,
    MediumError,
    MemoryImage,
)
from isa.devices.disk_overlay import load_overlay, save_overlay
from isa.devices.medium import Medium, MediumState
from isa.devices.platform import Platform

CONTENT = bytes(range(256)) * 2 * 9 + b"tail"  # nine sectors and four bytes
ONES = b"\x11" * SECTOR_BYTES
TWOS = b"\x22" * SECTOR_BYTES


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(CONTENT)
    return path


# --- images --------------------------------------------------------------------------------------


def test_both_kinds_of_images_read_alike(path: Path) -> None:
    for image in (FileImage(path), MemoryImage(CONTENT)):
        assert image.sectors == 10
        assert image.read(0, 10) == CONTENT.ljust(10 * SECTOR_BYTES, b"\0")
        assert image.read(9, 1) == b"tail".ljust(SECTOR_BYTES, b"\0")
        assert image.read(3, 2) == CONTENT[3 * SECTOR_BYTES : 5 * SECTOR_BYTES]


def test_an_image_has_to_be_a_file_with_something_in_it(path: Path, tmp_path: Path) -> None:
    for bad in (tmp_path / "none.img", tmp_path, tmp_path / "nu\0ll"):
        with pytest.raises(DiskImageError):
            FileImage(bad)
    path.write_bytes(b"")
    with pytest.raises(DiskImageError, match="is empty"):
        FileImage(path)
    with pytest.raises(DiskImageError, match="is empty"):
        MemoryImage(b"")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DiskImageError, match="not a regular file"):  # and does not wait
        FileImage(tmp_path / "pipe")


def test_a_file_that_becomes_shorter_is_an_error_of_the_medium(path: Path) -> None:
    medium = Medium(FileImage(path))
    path.write_bytes(CONTENT[: 4 * SECTOR_BYTES])
    assert medium.read(0, 4) == CONTENT[: 4 * SECTOR_BYTES]
    with pytest.raises(MediumError, match="has become shorter"):
        medium.read(3, 2)
    medium.write(6, ONES)
    assert medium.read(6, 1) == ONES


def test_a_file_that_vanishes_stays_readable(path: Path) -> None:
    image = FileImage(path)
    path.unlink()
    assert image.read(0, 9) == CONTENT[: 9 * SECTOR_BYTES]


def test_a_sparse_image_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sparse.img"
    with path.open("wb") as file:
        file.truncate(3 << 40)
    image = FileImage(path)
    assert image.sectors == 3 << 31
    assert image.read(image.sectors - 2, 2) == bytes(2 * SECTOR_BYTES)


# --- what becomes of writes ----------------------------------------------------------------------


@pytest.mark.parametrize("in_file", [True, False])
def test_discarded_writes_are_seen_by_one_machine_only(path: Path, in_file: bool) -> None:
    image = FileImage(path) if in_file else MemoryImage(CONTENT)
    one, other = Medium(image), Medium(image)
    one.write(2, ONES + TWOS)
    assert one.read(1, 4) == image.read(1, 1) + ONES + TWOS + image.read(4, 1)
    assert one.read(2, 2) == ONES + TWOS
    assert other.read(1, 4) == image.read(1, 4)
    one.flush()
    one.keep()
    assert path.read_bytes() == CONTENT


def test_what_is_written_is_limited() -> None:
    medium = Medium(MemoryImage(CONTENT), limit_bytes=2 * SECTOR_BYTES)
    medium.write(0, ONES)
    with pytest.raises(MediumError, match="more is written"):
        medium.write(0, ONES + ONES + ONES)
    medium.write(0, TWOS + TWOS)
    assert medium.read(0, 3) == TWOS + TWOS + CONTENT[2 * SECTOR_BYTES : 3 * SECTOR_BYTES]


def test_writes_to_the_image(path: Path) -> None:
    medium = Disk.open(path, DiskWrites.IMAGE).medium()
    medium.write(2, ONES)
    medium.write(3, TWOS)
    medium.write(7, TWOS)
    assert path.read_bytes() == CONTENT
    medium.flush()
    expected = bytearray(CONTENT)
    expected[2 * SECTOR_BYTES : 4 * SECTOR_BYTES] = ONES + TWOS
    expected[7 * SECTOR_BYTES : 8 * SECTOR_BYTES] = TWOS
    assert path.read_bytes() == expected
    assert medium.read(0, 9) == expected[: 9 * SECTOR_BYTES]
    medium.write(9, ONES)  # the shortened sector becomes a whole one
    medium.keep()
    assert path.read_bytes() == expected[: 9 * SECTOR_BYTES] + ONES
    with pytest.raises(ValueError, match="cannot go back"):
        medium.check(medium.save())


def test_writes_to_the_image_come_there_without_a_flush(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isa.devices.medium.PENDING_SECTORS", 3)
    medium = Disk.open(path, DiskWrites.IMAGE).medium()
    medium.write(0, ONES)
    medium.write(1, ONES)
    assert path.read_bytes() == CONTENT
    medium.write(2, ONES)
    assert path.read_bytes()[: 3 * SECTOR_BYTES] == ONES * 3


def test_an_image_is_written_by_one_machine_only(path: Path) -> None:
    disk = Disk.open(path, DiskWrites.IMAGE)
    disk.medium()
    with pytest.raises(DiskImageError, match="another machine"):
        disk.medium()
    with pytest.raises(DiskImageError, match="another process"):
        Disk.open(path, DiskWrites.IMAGE).medium()
    with pytest.raises(DiskImageError, match="not a file"):
        Disk(MemoryImage(CONTENT), DiskWrites.IMAGE).medium()


def test_a_disk_of_the_host_that_fails(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    medium = Disk.open(path, DiskWrites.IMAGE).medium()

    def failing(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", failing)
    with pytest.raises(MediumError, match="No space left"):
        medium.flush()
    with pytest.raises(DiskImageError, match="No space left"):
        medium.keep()


def test_an_overlay_is_kept_beside_the_image(path: Path) -> None:
    medium = Disk.open(path, DiskWrites.OVERLAY).medium()
    medium.write(5, ONES)
    medium.keep()
    assert path.read_bytes() == CONTENT
    assert sorted(entry.name for entry in path.parent.iterdir()) == [
        "disk.img",
        "disk.img.overlay",
    ]
    again = Disk.open(path, DiskWrites.OVERLAY).medium()
    assert again.read(5, 1) == ONES
    assert Disk.open(path).medium().read(5, 1) == CONTENT[5 * SECTOR_BYTES : 6 * SECTOR_BYTES]


# --- overlay files -------------------------------------------------------------------------------


@given(st.dictionaries(st.integers(0, 99), st.binary(min_size=512, max_size=512), max_size=5))
def test_overlay_files_keep_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, written: dict[int, bytes]
) -> None:
    path = tmp_path_factory.mktemp("overlay") / "o"
    save_overlay(path, 100, written)
    assert load_overlay(path, 100) == written


def test_damaged_overlay_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "o"
    assert load_overlay(path, 10) == {}
    save_overlay(path, 10, {3: ONES, 5: TWOS})
    good = path.read_bytes()
    with pytest.raises(DiskImageError, match="of 10 sectors, not of 11"):
        load_overlay(path, 11)
    for bad, message in (
        (good[:-1], "damaged"),
        (good[:-200], "damaged"),
        (good[:40] + b"!" + good[41:], "damaged"),
        (b"", "not an overlay"),
        (CONTENT, "not an overlay"),
        (good[:8] + b"\x02" + good[9:], "version 2"),
    ):
        path.write_bytes(bad)
        with pytest.raises(DiskImageError, match=message):
            load_overlay(path, 10)
    save_overlay(path, 10, {10: ONES})
    with pytest.raises(DiskImageError, match="damaged"):
        load_overlay(path, 10)
    with pytest.raises(DiskImageError):
        load_overlay(tmp_path, 10)
    with pytest.raises(DiskImageError):
        save_overlay(tmp_path / "none" / "o", 10, {})


# --- saved machines ------------------------------------------------------------------------------


def test_a_saved_medium_has_what_was_written() -> None:
    medium = Medium(MemoryImage(CONTENT))
    medium.write(1, ONES)
    saved = medium.save()
    medium.write(1, TWOS)
    medium.restore(saved)
    assert medium.read(1, 1) == ONES
    medium.write(1, TWOS)
    assert saved.written == {1: ONES}
    medium.reset()
    assert medium.read(1, 1) == TWOS
    with pytest.raises(ValueError, match="10 sectors"):
        medium.check(MediumState(11))
    with pytest.raises(ValueError, match="10 sectors"):
        medium.check(MediumState(10, {10: ONES}))


def test_platforms_with_different_disks_refuse_each_others_states() -> None:
    def build(*sizes: int) -> Platform:
        disks = tuple(Disk(MemoryImage(bytes(size))) if size else None for size in sizes)
        configuration = Configuration(disks=disks)
        return Platform(lambda _, size: bytes(size), 1 << 20, configuration=configuration)

    platform = build(4096, 0, 512)
    assert [medium is not None for medium in platform.media] == [True, False, True, False]
    build(4096, 0, 512).restore(platform.save())
    with pytest.raises(ValueError, match="differ in devices: hdc"):
        build(4096).restore(platform.save())
    other = build(4096, 0, 1024)
    before = other.save()
    with pytest.raises(ValueError, match=r"saved state of device 'hdc': .* has 2 sectors"):
        other.restore(platform.save())
    assert other.save() == before


def test_a_machine_has_places_for_four_disks() -> None:
    disk = Disk(MemoryImage(CONTENT))
    with pytest.raises(ValueError, match="4 places"):
        Configuration(disks=(disk,) * 5)


def test_keep_disks_saves_all_of_them(tmp_path: Path, path: Path) -> None:
    second = tmp_path / "second.img"
    shutil.copy(path, second)
    configuration = Configuration(
        disks=(Disk.open(path, DiskWrites.IMAGE), None, Disk.open(second, DiskWrites.OVERLAY))
    )
    platform = Platform(lambda _, size: bytes(size), 1 << 20, configuration=configuration)
    for medium in platform.media:
        if medium is not None:
            medium.write(0, ONES)
    platform.keep_disks()
    assert path.read_bytes()[:SECTOR_BYTES] == ONES
    assert second.read_bytes() == CONTENT
    assert load_overlay(tmp_path / "second.img.overlay", 10) == {0: ONES}


# --- geometry ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sectors", "ata", "bios"),
    [
        (1, (1, 16, 63), (1, 16, 63)),
        (10_000, (9, 16, 63), (9, 16, 63)),
        (1024 * 16 * 63, (1024, 16, 63), (1024, 16, 63)),
        (1025 * 16 * 63, (1025, 16, 63), (512, 32, 63)),
        (20_000_000, (16383, 16, 63), (1024, 255, 63)),
    ],
)
def test_geometry_of_disks(
    sectors: int, ata: tuple[int, int, int], bios: tuple[int, int, int]
) -> None:
    assert ata_geometry(sectors) == ata
    assert bios_geometry(sectors) == bios


@given(st.integers(0, 1_000_000), st.integers(1, 255), st.integers(1, 63))
def test_addresses_are_numbers_in_another_form(lba: int, heads: int, track_sectors: int) -> None:
    geometry = Geometry(1024, heads, track_sectors)
    assert geometry.lba(*geometry.address(lba)) == lba
