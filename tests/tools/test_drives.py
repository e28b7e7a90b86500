"""Disk images on the command line: what boots, what is refused, what is kept."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from isa.devices.configuration import BootDevice
from isa.errors import TrapgateError
from tools import status
from tools.assembler import assemble_text
from tools.boot_options import GuestOptions
from tools.cli import main
from tools.drives import Drives
from tools.loader import load

SIGNATURE = b"\x55\xaa"
NO_CODE = bytes(510) + SIGNATURE


def sector(source: str) -> bytes:
    text = f"bits 16\norg 0x7C00\n{source}\ntimes 510 - ($ - $$) db 0\ndw 0xAA55\n"
    return assemble_text(text).bytes


@pytest.fixture
def image(tmp_path: Path):
    """Write a file."""

    def write(name: str, data: bytes) -> str:
        path = tmp_path / name
        path.write_bytes(data)
        return str(path)

    return write


def test_a_boot_sector_is_recognised(image):
    booted = load(image("boot.img", NO_CODE))
    assert not booted.protected
    assert (booted.code_selector, booted.entry) == (0xF000, 0xFFF0)
    disk = booted.devices.disk(0)
    assert disk is not None
    assert disk.image.read(0, 1) == NO_CODE


def test_a_source_that_makes_a_boot_sector_is_a_disk(tmp_path):
    path = tmp_path / "boot.asm"
    path.write_text("org 0x7C00\nstart: hlt\ntimes 510 - ($ - $$) db 0\ndw 0xAA55\n")
    booted = load(path)
    assert not booted.protected
    assert booted.symbols == {"start": 0x7C00}
    path.write_text("bits 32\norg 0x100000\nhlt\ntimes 510 - ($ - $$) db 0\ndw 0xAA55\n")
    assert load(path).protected


def test_a_flat_program_may_end_like_a_boot_sector(image):
    path = image("flat.bin", NO_CODE)
    assert load(path, protocol="flat").protected
    with pytest.raises(TrapgateError, match="only flat programs move"):
        load(path, address=0x5000)


def test_a_kernel_on_a_disk_does_not_make_it_a_kernel(image):
    header = struct.pack("<3I", 0x1BADB002, 0, -0x1BADB002 & 0xFFFFFFFF)
    on_disk = NO_CODE + b"\x7fELF" + bytes(1020) + header + bytes(512)
    assert not load(image("system.img", on_disk)).protected
    wants_graphics = struct.pack("<3I", 0x1BADB002, 4, -0x1BADB006 & 0xFFFFFFFF) + bytes(64)
    assert not load(image("graphics.img", NO_CODE + wants_graphics)).protected


def test_large_images_are_not_read_whole(tmp_path):
    path = tmp_path / "large.img"
    with path.open("wb") as file:
        file.write(NO_CODE)
        file.truncate(8 << 30)
    booted = load(path)
    disk = booted.devices.disk(0)
    assert disk is not None
    assert disk.image.sectors == 16 << 20


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (bytes(512), "no boot sector"),
        (bytes(100), "no boot sector"),
        (b"", "is empty|empty file"),
    ],
)
def test_disks_that_do_not_boot_are_refused(image, data, rule):
    path = image("disk.img", data)
    with pytest.raises(TrapgateError, match=rule):
        load(path, protocol="disk")
    with pytest.raises(TrapgateError, match=rule):
        load(None, drives=Drives((path,)))


def test_any_of_the_disks_may_boot(image):
    data, system = image("data.img", bytes(512)), image("system.img", NO_CODE)
    booted = load(None, drives=Drives((data, None, system)))
    present = [booted.devices.disk(index) is not None for index in range(4)]
    assert present == [True, False, True, False]
    assert booted.name == "data"


def test_a_guest_that_is_a_disk_is_the_first(image):
    system, data = image("system.img", NO_CODE), image("data.img", bytes(512))
    booted = load(system, drives=Drives((None, data)))
    disks = [booted.devices.disk(index) for index in range(2)]
    assert [disk.image.name for disk in disks if disk is not None] == [system, data]
    with pytest.raises(TrapgateError, match="-hda names another"):
        load(system, drives=Drives((data,)))


def test_a_kernel_may_have_disks(image):
    data = image("data.img", bytes(1024))
    booted = load("hello", drives=Drives((data,)))
    assert booted.protected
    assert booted.devices.disk(0) is not None


def test_the_boot_order(image):
    system = image("system.img", NO_CODE)
    assert load(system).devices.boot_order[0] is BootDevice.DISKETTE
    booted = load(None, drives=Drives((system,), boot="c"))
    assert booted.devices.boot_order[0] is BootDevice.DISK
    assert booted.devices.settings() == {0x3D: 0x12}


def test_a_guest_or_a_disk_must_be_named(image):
    with pytest.raises(TrapgateError, match="name one guest"):
        GuestOptions().path(None)
    with pytest.raises(TrapgateError, match="not two"):
        GuestOptions(kernel="hello").path("hello")
    assert GuestOptions(hdb=image("x.img", NO_CODE)).path(None) is None


@pytest.mark.parametrize("name", ["missing.img", ".", "/dev/null"])
def test_images_that_cannot_be_opened_give_one_line(capsys, name):
    assert main(["run", "-hda", name]) == status.USAGE
    error = capsys.readouterr().err
    assert error.startswith(f"trapgate: error: {name}: ")
    assert error.count("\n") == 1


@pytest.mark.compiled
@pytest.mark.usefixtures("compiled_machine")
class TestRuns:
    """With a machine."""

    def test_the_screen_is_shown_if_the_console_is_empty(self, capfd, image):
        path = image("boot.img", sector("mov ax, 0x0E21\nint 0x10\nmov al, 0x10\nout 0xF4, al"))
        assert main(["run", path]) == 33
        assert capfd.readouterr().out == "!\n"

    def test_the_console_alone_is_shown_otherwise(self, capfd, image):
        code = "mov ax, 0x0E21\nint 0x10\nout 0xE9, al\nmov al, 0x10\nout 0xF4, al"
        assert main(["run", "-hda", image("boot.img", sector(code))]) == 33
        assert capfd.readouterr().out == "!"

    def test_a_disk_that_only_looks_bootable_ends_with_a_reason(self, capfd, image):
        path = image("boot.img", sector("int 0x18"))
        assert main(["run", path]) == status.HALT
        assert capfd.readouterr().out == "No bootable disk.\n"

    def test_ring_refuses_real_mode_with_a_reason(self, capfd, image):
        path = image("boot.img", sector("jmp $"))
        assert main(["run", path, "--technique", "ring"]) == status.of_stop("error", None)
        error = capfd.readouterr().err
        assert "a real-mode guest cannot be deprivileged" in error
        assert error.count("\n") == 1

    def test_compare_says_that_ring_cannot(self, capfd, image):
        path = image("boot.img", sector("mov al, 0x10\nout 0xF4, al"))
        assert main(["compare", path, "--json"]) == status.NOT_EQUAL
        record = json.loads(capfd.readouterr().out)
        assert [run["stop"]["reason"] for run in record["techniques"]] == ["exit", "error"]

    WRITER = """
        mov ax, 0x0301
        mov bx, 0x7C00
        mov cx, 2
        mov dx, 0x80
        int 0x13
        mov al, 0x10
        out 0xF4, al
    """

    @pytest.mark.parametrize("writes", ["discard", "overlay", "image"])
    def test_what_becomes_of_writes(self, capfd, image, writes):
        boot = sector(self.WRITER)
        path = image("disk.img", boot + bytes(512))
        assert main(["run", path, "--disk-writes", writes, "-q"]) == 33
        content = Path(path).read_bytes()
        assert content == boot + (boot if writes == "image" else bytes(512))
        assert Path(f"{path}.overlay").exists() == (writes == "overlay")
