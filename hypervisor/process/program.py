"""A program as the process monitor takes it: segments, entry point, and where its headers are.

Made by a loader that knows the file format (tools.program_loader); this file puts it into an
address space and builds the stack that the System V ABI promises to the first instruction.

Source: System V ABI, Intel386 Architecture Processor Supplement, "Process Initialization",
"Auxiliary Vector".
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Final

from hypervisor.addresses import PAGE_BYTES, PAGE_MASK
from hypervisor.process import layout
from hypervisor.process.address_space import READ_WRITE, AddressSpace, rounded
from hypervisor.process.errors import CallError
from hypervisor.process.regions import Region
from isa.errors import TrapgateError

USER_ID: Final = 1000
MOST_ARGUMENT_BYTES: Final = 1 << 20

_AT_NULL, _AT_PHDR, _AT_PHENT, _AT_PHNUM, _AT_PAGESZ, _AT_BASE = 0, 3, 4, 5, 6, 7
_AT_FLAGS, _AT_ENTRY, _AT_UID, _AT_EUID, _AT_GID, _AT_EGID = 8, 9, 11, 12, 13, 14
_AT_PLATFORM, _AT_HWCAP, _AT_CLKTCK, _AT_SECURE, _AT_RANDOM, _AT_EXECFN = 15, 16, 17, 23, 25, 31
_PROGRAM_HEADER_BYTES: Final = 32
_CLOCK_TICKS: Final = 100


@dataclass(frozen=True)
class ProgramSegment:
    """`data` at `address`, followed by zeros up to `memory_bytes`; protection as PROT bits."""

    address: int
    data: bytes
    memory_bytes: int
    protection: int


@dataclass(frozen=True)
class Program:
    """An executable.

    Attributes:
        name: what to call it in reports.
        segments: what is loaded, in the order of the file.
        headers_at: address of the program headers in memory, 0 if they are not loaded.
        headers: how many there are.
        is_relocatable: addresses are relative to wherever it is put.
    """

    name: str
    segments: tuple[ProgramSegment, ...]
    entry: int
    headers_at: int
    headers: int
    is_relocatable: bool
    symbols: dict[str, int]


@dataclass(frozen=True)
class Placement:
    """Where a program has been put.

    Attributes:
        base: what is added to its addresses.
        entry: its first instruction.
        heap: the first address after it, where the heap begins.
    """

    base: int
    entry: int
    heap: int


def place(space: AddressSpace, program: Program) -> Placement:
    """Load a program into an empty address space. Raises TrapgateError if it does not fit."""
    base = layout.RELOCATED_BASE if program.is_relocatable else 0
    wanted: dict[int, int] = {}  # page address -> protection; segments may share a page
    total = sum(segment.memory_bytes for segment in program.segments)
    if total > space.limit * PAGE_BYTES:
        raise TrapgateError(
            f"{program.name}: needs {total >> 20} MiB of memory; -m gives {space.limit >> 8} MiB"
        )
    for segment in program.segments:
        first = base + segment.address
        end = first + segment.memory_bytes
        if first < layout.LOWEST_MAPPING or end > layout.STACK_BASE:
            raise TrapgateError(
                f"{program.name}: its segment at {first:#x} is outside a program's addresses"
                f" ({layout.LOWEST_MAPPING:#x} to {layout.STACK_BASE:#x})"
            )
        for page in range(first & PAGE_MASK, rounded(end), PAGE_BYTES):
            wanted[page] = wanted.get(page, 0) | segment.protection
    try:
        for page in sorted(wanted):
            space.map(Region(page, page + PAGE_BYTES, READ_WRITE))
        for segment in program.segments:
            space.write(base + segment.address, segment.data)
        for page, protection in wanted.items():
            if protection != READ_WRITE:
                space.protect(page, page + PAGE_BYTES, protection)
        space.map(Region(layout.STACK_BASE, layout.USER_END, READ_WRITE))
    except CallError:
        raise TrapgateError(f"{program.name}: does not fit the memory; -m gives more") from None
    heap = max(wanted, default=0) + PAGE_BYTES
    return Placement(base, base + program.entry & 0xFFFFFFFF, heap)


def build_stack(
    space: AddressSpace,
    program: Program,
    placement: Placement,
    arguments: list[bytes],
    environment: list[bytes],
    capabilities: int,
) -> int:
    """Arguments, environment and auxiliary vector on the stack; the stack pointer."""
    size = sum(len(text) + 5 for text in (*arguments, *environment))
    if size > MOST_ARGUMENT_BYTES:
        raise TrapgateError(f"arguments and environment take {size} bytes; there is room for 1 MiB")
    top = layout.USER_END - 4

    def push(data: bytes) -> int:
        nonlocal top
        top -= len(data)
        space.write(top, data)
        return top

    name_at = push((arguments[0] if arguments else b"") + b"\0")
    environment_at = [push(text + b"\0") for text in reversed(environment)][::-1]
    arguments_at = [push(text + b"\0") for text in reversed(arguments)][::-1]
    platform_at = push(b"i686\0")
    top &= ~15
    random_at = push(hashlib.sha256(program.name.encode("utf-8", "replace")).digest()[:16])
    headers_at = placement.base + program.headers_at if program.headers_at else 0
    vector = (
        *(_AT_HWCAP, capabilities, _AT_PAGESZ, PAGE_BYTES, _AT_CLKTCK, _CLOCK_TICKS),
        *(_AT_PHDR, headers_at, _AT_PHENT, _PROGRAM_HEADER_BYTES, _AT_PHNUM, program.headers),
        *(_AT_BASE, 0, _AT_FLAGS, 0, _AT_ENTRY, placement.entry),
        *(_AT_UID, USER_ID, _AT_EUID, USER_ID, _AT_GID, USER_ID, _AT_EGID, USER_ID),
        *(_AT_SECURE, 0, _AT_RANDOM, random_at, _AT_EXECFN, name_at),
        *(_AT_PLATFORM, platform_at, _AT_NULL, 0),
    )
    words = (len(arguments), *arguments_at, 0, *environment_at, 0, *vector)
    top = top - 4 * len(words) & ~15
    space.write(top, struct.pack(f"<{len(words)}I", *words))
    return top
