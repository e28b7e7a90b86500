"""Turn a file into a boot image: multiboot-1 kernels, ELF32 executables, disks, flat binaries.

The file is what `tools.program` makes of a name. A file that does not fit gives one clear line;
nothing in it is trusted.

Source: the protocols are described in `tools.multiboot_kernel` and `tools.elf_reader`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, get_args

from isa.boot import BootImage
from isa.devices.configuration import Disk
from isa.devices.disk_image import MemoryImage
from isa.errors import TrapgateError
from tools import catalogue
from tools.boot_modules import read_modules
from tools.catalogue import Protocol
from tools.drives import NO_DRIVES, Drives, boot_image, with_first_disk
from tools.multiboot_kernel import load_elf, load_multiboot
from tools.placement import PAGE_BYTES, checked, find_room, range_of
from tools.program import STACK_BYTES, Content, protected_image, read_beginning
from tools.recognition import recognise

Mode = Literal[16, 32]

FLAT_ADDRESS: Final = 0x100000
RAM_BYTES: Final = 16 << 20
MOST_RAM_BYTES: Final = 512 << 20
_REAL_MODE_END: Final = 0x100000
# In the first 64 KiB: below the program if it fills them, else where there is room.
_REAL_MODE_ROOM: Final = (0x1000, 0x10000)
_REAL_MODE_LEAST_STACK: Final = 0x1000


def load(
    path: str | Path | None,
    *,
    protocol: Protocol = "auto",
    address: int | None = None,
    mode: Mode | None = None,
    command_line: str = "",
    modules: str = "",
    drives: Drives = NO_DRIVES,
    ram_bytes: int = RAM_BYTES,
) -> BootImage:
    """Make a boot image of what `path` names, for a machine with `ram_bytes` of memory.

    Args:
        path: a guest (`minikernel`, `guests/minikernel`), an assembly source or a binary; None
            boots from the drives.
        protocol: how the program expects to be started; "auto" looks at the program.
        address: where a flat program is loaded; 1 MiB, or the source's `org`, if not given.
        mode: 16 starts a flat program in real mode, 32 in protected mode (the default).
        command_line: what a multiboot kernel finds as its command line.
        modules: files for a multiboot kernel, as `tools.boot_modules` reads them.
        drives: disk images that the machine has besides.
        ram_bytes: memory of the machine, a multiple of the page size.
    """
    if protocol not in get_args(Protocol):
        raise TrapgateError(
            f"unknown boot protocol {protocol!r}: one of {', '.join(get_args(Protocol))}"
        )
    check_ram(ram_bytes)
    if path is None:
        return _boot_from_drives(drives)
    content = read_beginning(path)
    if not content.data:
        raise TrapgateError(f"{content.where}: empty file")
    moves = address is not None or mode is not None
    protocol = _chosen(path, content, protocol, moves)
    if moves and protocol != "flat":
        raise TrapgateError(
            f"{content.where}: says itself where it belongs; only flat programs move"
        )
    if modules and protocol != "multiboot":
        raise TrapgateError(f"{content.where}: -initrd needs a multiboot kernel")
    if protocol == "disk":
        return _load_disk(content, drives)
    content = content.whole()
    if protocol == "multiboot":
        image = load_multiboot(content, command_line, read_modules(modules), ram_bytes)
    elif protocol == "elf":
        image = load_elf(content, ram_bytes)
    else:
        if address is not None:
            content = replace(content, address=address, entry=None)
        image = _load_flat(content, mode or 32, ram_bytes)
    return replace(image, devices=drives.devices())


def _boot_from_drives(drives: Drives) -> BootImage:
    where = drives.first
    if where is None:
        raise TrapgateError("name one guest, such as guests/hello, or a disk image with -hda")
    return boot_image(Path(where).stem, where, None, drives.devices())


def _load_disk(content: Content, drives: Drives) -> BootImage:
    """The guest is a disk image: a file, or what the assembler has made of a source."""
    if content.is_source:
        disk = Disk(MemoryImage(content.data, content.where))
    else:
        disk = drives.disk(content.where)
    devices = with_first_disk(drives.devices(), disk, content.where)
    return boot_image(content.name, content.where, content.symbols, devices)


def _chosen(path: str | Path, content: Content, protocol: Protocol, moves: bool) -> Protocol:
    """The protocol the user says, else that of the catalogue, else what the bytes look like."""
    guest = catalogue.find(path)
    if guest is not None and protocol == "auto":
        protocol = guest.protocol
    if protocol != "auto":
        return protocol
    is_flat = content.is_source or moves
    return recognise(content.data, content.where, content.address, is_flat=is_flat)


def ram_of(path: str | Path) -> int:
    """The memory a guest of the catalogue asks for, or what is usual for anything else."""
    guest = catalogue.find(path)
    return RAM_BYTES if guest is None else guest.ram_mib << 20


def check_ram(ram_bytes: int) -> None:
    """Refuse memory sizes the machine cannot have."""
    if ram_bytes % PAGE_BYTES or not 1 << 20 <= ram_bytes <= MOST_RAM_BYTES:
        raise TrapgateError(
            f"memory of {ram_bytes} bytes: must be whole pages, from 1 MiB to"
            f" {MOST_RAM_BYTES >> 20} MiB"
        )


def _load_flat(content: Content, mode: Mode, ram_bytes: int) -> BootImage:
    address = FLAT_ADDRESS if content.address is None else content.address
    segments = checked([(address, content.data, len(content.data))], content.where, ram_bytes)
    entry = address if content.entry is None else content.entry
    image = protected_image(content, segments, entry, content.symbols, ram_bytes)
    return image if mode == 32 else _in_real_mode(image, content.where)


def _in_real_mode(image: BootImage, where: str) -> BootImage:
    """The same program entered in real mode; its stack lies in the first 64 KiB."""
    if image.entry >= _REAL_MODE_END:
        raise TrapgateError(
            f"{where}: entry point {image.entry:#x} is out of reach of real mode;"
            " --address puts the program below 1 MiB"
        )
    taken = [range_of(segment) for segment in image.segments]
    stack = find_room(taken, STACK_BYTES, _REAL_MODE_ROOM, top=True)
    base = image.entry & ~0xFFFF
    return replace(
        image,
        entry=image.entry - base,
        esp=_REAL_MODE_LEAST_STACK if stack is None else (stack + STACK_BYTES - 2) & 0xFFFF,
        protected=False,
        code_selector=base >> 4,
    )
