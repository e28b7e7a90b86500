"""Kernels made with gcc and with nasm where they are installed, booted in every way.

The kernel in `tests/guests/kernel` is loaded by us as multiboot ELF, and by its own boot sector
from a disk; it prints the same either way, as it does under QEMU 7.2.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from hypervisor.technique import StopReason, Technique, available_techniques
from isa.boot import BootImage
from tools import catalogue
from tools.assembler import assemble_file
from tools.bios_image import SOURCE
from tools.drives import Drives
from tools.loader import load

SOURCES = Path(__file__).parent / "kernel"
ROOT = Path(__file__).parents[2]
GCC, OBJCOPY, NASM = shutil.which("gcc"), shutil.which("objcopy"), shutil.which("nasm")
FLAGS = [
    "-m32",
    "-march=i686",
    "-mgeneral-regs-only",
    "-ffreestanding",
    "-fno-pic",
    "-fno-pie",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    "-nostdlib",
    "-static",
    "-no-pie",
    "-Wl,--build-id=none",
]
RAM_BYTES = 16 << 20
BUDGET = 20_000_000
KEY_A = b"\x1e"
LINES = """\
timer: three ticks
lock: 01
page fault at C0100000
memory: B002
disk: read 00000003
disk: written 12345678
clock: 20000101
keyboard: press a key
keyboard: 1E
user: in ring 3
user: sum 0007A314
user: done
"""


@dataclass(frozen=True)
class Built:
    """A kernel, a disk that boots it, a disk for its data, and a module."""

    kernel: Path
    system: Path
    data: Path
    module: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    if GCC is None or OBJCOPY is None:
        pytest.skip("gcc and objcopy are not installed")
    folder = tmp_path_factory.mktemp("kernel")
    made = Built(*(folder / name for name in ("kernel.elf", "system.img", "data.img", "module")))
    boot, sector = folder / "boot.elf", folder / "boot.bin"
    _gcc("-O2", "-Wl,-T,kernel.ld", "entry.S", "traps.S", "kernel.c", output=made.kernel)
    _gcc("-Os", "-c", "boot.S", output=folder / "boot.o")
    _gcc("-Os", "-c", "bootmain.c", output=folder / "bootmain.o")
    _gcc("-Wl,-T,boot.ld", f"{folder}/boot.o", f"{folder}/bootmain.o", output=boot)
    subprocess.run([OBJCOPY, "-O", "binary", "-j", ".text", boot, sector], check=True)
    code = sector.read_bytes()
    assert len(code) <= 510
    image = code.ljust(510, b"\0") + b"\x55\xaa" + made.kernel.read_bytes()
    made.system.write_bytes(image.ljust(200 * 512, b"\0"))
    made.data.write_bytes(b"".join(number.to_bytes(4, "little") * 128 for number in range(64)))
    made.module.write_bytes(b"contents of the module")
    return made


def _gcc(*arguments: str, output: Path) -> None:
    command = [str(GCC), *FLAGS, *arguments, "-o", str(output)]
    done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, check=False)
    if "cannot find" in done.stderr or "unrecognized" in done.stderr:
        pytest.skip("this gcc cannot build for i386")
    assert done.returncode == 0, done.stderr


def booted(technique: str, image: BootImage) -> Technique:
    made = available_techniques()[technique](RAM_BYTES, devices=image.devices)
    made.boot(image)
    return made


def run_with_key(machine: Technique) -> None:
    """Run to the end; press a key when the kernel asks for one."""
    pressed = False
    while machine.guest_instructions < BUDGET:
        stop = machine.run(machine.guest_instructions + 50_000)
        if stop.reason is not StopReason.BUDGET:
            assert stop.reason is StopReason.EXIT, stop
            return
        if not pressed and b"press a key" in machine.console:
            machine.platform.keyboard.press(KEY_A)
            pressed = True
    pytest.fail(f"the kernel does not end:\n{machine.console.decode()}")


@pytest.mark.compiled
@pytest.mark.usefixtures("compiled_machine")
@pytest.mark.parametrize("technique", available_techniques())
def test_a_kernel_in_c_loaded_as_multiboot(built: Built, technique: str) -> None:
    drives = Drives((None, str(built.data)))
    image = load(
        built.kernel,
        command_line="root=hdb",
        modules=f"{built.module} argument",
        drives=drives,
        ram_bytes=RAM_BYTES,
    )
    machine = booted(technique, image)
    run_with_key(machine)
    assert machine.exit_code == 33
    # PUSHF shows the machine's interrupt flag to a kernel in ring 1: a hole of the architecture.
    flags = "000" if technique == "bare" else "200"
    assert machine.console.decode() == (
        "kernel: in the upper half\n"
        "multiboot: root=hdb, modules 1 contents of the module\n"
        f"kernel: interrupts are off {flags}\n{LINES}"
    )
    assert "user: done" in machine.screen
    medium = machine.platform.media[1]
    assert medium is not None
    assert medium.read(5, 1) == bytes.fromhex("78563412") * 128


@pytest.mark.compiled
@pytest.mark.usefixtures("compiled_machine")
def test_a_kernel_in_c_loaded_by_its_own_boot_sector(built: Built) -> None:
    image = load(built.system, drives=Drives((None, str(built.data))), ram_bytes=RAM_BYTES)
    assert not image.protected  # although the kernel on it has a multiboot header
    machine = booted("bare", image)
    run_with_key(machine)
    assert machine.exit_code == 33
    expected = f"kernel: in the upper half\nkernel: interrupts are off 000\n{LINES}"
    assert machine.console.decode() == expected


DISK_GUESTS = [guest for guest in catalogue.guests().values() if guest.protocol == "disk"]
ASSEMBLED = [guest.source_path for guest in DISK_GUESTS] + [ROOT / SOURCE]


@pytest.mark.oracle
@pytest.mark.skipif(NASM is None, reason="nasm is not installed")
@pytest.mark.parametrize("source", ASSEMBLED, ids=lambda path: path.stem)
def test_nasm_makes_the_same_disks_and_bios(source: Path, tmp_path: Path) -> None:
    made = tmp_path / "image"
    command = [str(NASM), "-f", "bin", "-I", f"{source.parent}/", str(source), "-o", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    assert assemble_file(source, format="bin").bytes == made.read_bytes()


@pytest.mark.compiled
@pytest.mark.usefixtures("compiled_machine")
@pytest.mark.skipif(NASM is None, reason="nasm is not installed")
@pytest.mark.parametrize("guest", DISK_GUESTS, ids=lambda guest: guest.name)
def test_disks_that_nasm_made_boot(guest: catalogue.Guest, tmp_path: Path) -> None:
    source, made = guest.source_path, tmp_path / "image"
    command = [str(NASM), "-f", "bin", "-I", f"{source.parent}/", str(source), "-o", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    machine = booted("bare", load(made, ram_bytes=RAM_BYTES))
    stop = machine.run(guest.budget)
    assert stop.reason is StopReason.EXIT
    assert machine.exit_code == guest.exit_code
    assert machine.console == guest.expected_console
