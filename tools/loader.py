"""Turn a file into a boot image: multiboot-1 kernels, static ELF32 executables, flat binaries.

Also turns what a user types into a file: a guest of the catalogue by name or folder, an assembly
source (assembled on the spot), or a binary. A file that does not fit gives one clear line; nothing
in it is trusted.

Source: Multiboot Specification version 0.6.96, "Machine state"; the file formats are described in
`tools.elf_reader` and `tools.multiboot`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, get_args

from isa.boot import BootImage
from isa.errors import TrapgateError
from tools import catalogue, elf_reader, multiboot
from tools.catalogue import Protocol
from tools.interrupts import deferred_interrupts

Range = tuple[int, int]

FLAT_ADDRESS: Final = 0x100000
RAM_BYTES: Final = 16 << 20
MOST_RAM_BYTES: Final = 512 << 20
MOST_FILE_BYTES: Final = 128 << 20
SOURCE_SUFFIXES: Final = (".asm", ".s", ".nasm")

_PAGE_BYTES: Final = 4096
# Between the real-mode tables and the adapter memory: room for what the loader hands over.
_LOW_ROOM: Final[Range] = (0x1000, multiboot.LOW_MEMORY_END)
_VIDEO_MEMORY: Final[Range] = (multiboot.LOW_MEMORY_END, 0xC0000)
_STACK_BYTES: Final = 16 << 10


@dataclass(frozen=True)
class Content:
    """The bytes of a program before any protocol is applied."""

    name: str
    where: str
    data: bytes
    address: int | None
    entry: int | None
    symbols: Mapping[str, int] | None


def load(
    path: str | Path,
    *,
    protocol: Protocol = "auto",
    address: int | None = None,
    command_line: str = "",
    ram_bytes: int = RAM_BYTES,
) -> BootImage:
    """Make a boot image of what `path` names, for a machine with `ram_bytes` of memory.

    Args:
        path: a guest (`minikernel`, `guests/minikernel`), an assembly source or a binary.
        protocol: how the program expects to be started; "auto" looks for a multiboot header,
            then for an ELF header, and takes the rest as flat.
        address: where a flat program is loaded; 1 MiB, or the source's `org`, if not given.
        command_line: what a multiboot kernel finds as its command line.
        ram_bytes: memory of the machine, a multiple of the page size.
    """
    if protocol not in get_args(Protocol):
        raise TrapgateError(
            f"unknown boot protocol {protocol!r}: one of {', '.join(get_args(Protocol))}"
        )
    check_ram(ram_bytes)
    guest = catalogue.find(path)
    if guest is not None and protocol == "auto":
        protocol = guest.protocol
    content = read_content(path)
    if address is not None:
        content = replace(content, address=address, entry=None)
    if not content.data:
        raise TrapgateError(f"{content.where}: empty file")
    header = None
    if protocol in ("auto", "multiboot"):
        required = protocol == "multiboot"
        header = multiboot.find_header(content.data, content.where, required=required)
    is_elf = protocol == "elf" or (protocol == "auto" and elf_reader.is_elf(content.data))
    if address is not None and (header is not None or is_elf):
        raise TrapgateError(
            f"{content.where}: says itself where it belongs; only flat programs move"
        )
    if header is not None:
        return _load_multiboot(content, header, command_line, ram_bytes)
    return _load_elf(content, ram_bytes) if is_elf else _load_flat(content, ram_bytes)


def ram_of(path: str | Path) -> int:
    """The memory a guest of the catalogue asks for, or what is usual for anything else."""
    guest = catalogue.find(path)
    return RAM_BYTES if guest is None else guest.ram_mib << 20


def check_ram(ram_bytes: int) -> None:
    """Refuse memory sizes the machine cannot have."""
    if ram_bytes % _PAGE_BYTES or not 1 << 20 <= ram_bytes <= MOST_RAM_BYTES:
        raise TrapgateError(
            f"memory of {ram_bytes} bytes: must be whole pages, from 1 MiB to"
            f" {MOST_RAM_BYTES >> 20} MiB"
        )


def read_content(path: str | Path) -> Content:
    """The program `path` names, assembled if it is a source."""
    guest = catalogue.find(path)
    file = guest.source_path if guest is not None else Path(path)
    where = guest.display_path if guest is not None else str(path)
    name = guest.name if guest is not None else file.stem
    if guest is None and not file.exists():
        raise TrapgateError(
            f"{where}: no such file, and no guest of that name{catalogue.hint(path)}"
        )
    if file.is_dir():
        raise TrapgateError(f"{where}: a folder that is not a guest{catalogue.hint(path)}")
    if file.suffix.lower() in SOURCE_SUFFIXES:
        return _assembled(name, where, file)
    return Content(name, where, _read(file, where), None, None, None)


def _read(file: Path, where: str) -> bytes:
    """The bytes of a file, which may be a device that never ends."""
    try:
        with file.open("rb") as source:
            data = source.read(MOST_FILE_BYTES + 1)
    except OSError as error:
        raise TrapgateError(f"{where}: cannot be read: {error.strerror}") from None
    if len(data) > MOST_FILE_BYTES:
        raise TrapgateError(
            f"{where}: larger than {MOST_FILE_BYTES >> 20} MiB, too large for a program"
        )
    return data


def _assembled(name: str, where: str, file: Path) -> Content:
    with deferred_interrupts():
        from tools.assembler import assemble_file

    assembly = assemble_file(file, format="bin")
    return Content(name, where, assembly.bytes, assembly.origin, assembly.entry, assembly.symbols)


def _load_flat(content: Content, ram_bytes: int) -> BootImage:
    address = FLAT_ADDRESS if content.address is None else content.address
    segments = _checked([(address, content.data, len(content.data))], content.where, ram_bytes)
    entry = address if content.entry is None else content.entry
    return _image(content, segments, entry, content.symbols, ram_bytes)


def _load_elf(content: Content, ram_bytes: int) -> BootImage:
    executable = elf_reader.read_elf(content.data, content.where)
    segments = _elf_segments(executable, content.where, ram_bytes)
    return _image(content, segments, executable.physical_entry, executable.symbols, ram_bytes)


def _load_multiboot(
    content: Content, header: multiboot.Header, command_line: str, ram_bytes: int
) -> BootImage:
    symbols = content.symbols
    if header.addresses is not None:
        placement = multiboot.place(header, header.addresses, len(content.data), content.where)
        part = content.data[placement.first : placement.last]
        segments = _checked(
            [(placement.load, part, placement.memory_bytes)], content.where, ram_bytes
        )
        entry = placement.entry
    elif elf_reader.is_elf(content.data):
        executable = elf_reader.read_elf(content.data, content.where)
        segments = _elf_segments(executable, content.where, ram_bytes)
        entry, symbols = executable.physical_entry, executable.symbols
    else:
        raise TrapgateError(
            f"{content.where}: the multiboot header has no load addresses and the file is not ELF"
        )
    image = _image(content, segments, entry, symbols, ram_bytes)
    taken = [_range(segment) for segment in image.segments]
    taken.append((image.esp - _STACK_BYTES, image.esp))
    size = len(multiboot.boot_information(0, command_line, ram_bytes))
    at = _find_room(taken, size, _LOW_ROOM)
    if at is None:
        raise TrapgateError(f"{content.where}: leaves no room for boot information below 640 KiB")
    information = multiboot.boot_information(at, command_line, ram_bytes)
    return replace(
        image,
        segments=tuple(sorted((*image.segments, (at, information)))),
        eax=multiboot.BOOT_MAGIC,
        ebx=at,
    )


def _elf_segments(
    executable: elf_reader.Executable, where: str, ram_bytes: int
) -> tuple[tuple[int, bytes], ...]:
    parts = [(part.physical, part.data, part.memory_bytes) for part in executable.segments]
    return _checked(parts, where, ram_bytes)


def _checked(
    parts: Sequence[tuple[int, bytes, int]], where: str, ram_bytes: int
) -> tuple[tuple[int, bytes], ...]:
    """Sort parts (address, bytes, size in memory), refuse impossible ones, fill up with zeros."""
    segments: list[tuple[int, bytes]] = []
    end_before = 0
    for address, data, size in sorted(parts):
        if address < 0 or address + size > ram_bytes:
            raise TrapgateError(
                f"{where}: needs {address:#x}..{address + size:#x}, outside memory"
                f" ({ram_bytes >> 20} MiB end at {ram_bytes:#x}; -m gives more)"
            )
        if address < _VIDEO_MEMORY[1] and _VIDEO_MEMORY[0] < address + size:
            raise TrapgateError(
                f"{where}: {address:#x}..{address + size:#x} overlaps video memory at"
                f" {_VIDEO_MEMORY[0]:#x}"
            )
        if address < end_before:
            raise TrapgateError(f"{where}: segments overlap at {address:#x}")
        segments.append((address, data.ljust(size, b"\0")))
        end_before = address + size
    return tuple(segments)


def _image(
    content: Content,
    segments: tuple[tuple[int, bytes], ...],
    entry: int,
    symbols: Mapping[str, int] | None,
    ram_bytes: int,
) -> BootImage:
    if not any(first <= entry < last for first, last in map(_range, segments)):
        raise TrapgateError(f"{content.where}: entry point {entry:#x} lies outside what is loaded")
    stack = _find_room([_range(segment) for segment in segments], _STACK_BYTES, _LOW_ROOM, top=True)
    return BootImage(
        name=content.name,
        segments=segments,
        entry=entry,
        eax=0,
        ebx=0,
        esp=min(ram_bytes, _LOW_ROOM[1]) if stack is None else stack + _STACK_BYTES,
        protected=True,
        symbols=symbols,
        source=content.where,
    )


def _range(segment: tuple[int, bytes]) -> Range:
    return segment[0], segment[0] + len(segment[1])


def _find_room(taken: Sequence[Range], size: int, room: Range, *, top: bool = False) -> int | None:
    """The lowest (or highest) page-aligned place of `size` bytes in `room` that is not taken."""
    starts = range(room[0], room[1] - size + 1, _PAGE_BYTES)
    for start in reversed(starts) if top else starts:
        if all(start + size <= first or last <= start for first, last in taken):
            return start
    return None
