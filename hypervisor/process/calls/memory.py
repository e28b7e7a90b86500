"""System calls on the address space: brk, mmap and its relatives.

Source: POSIX.1-2017, "mmap", "mprotect", "munmap", "msync"; the i386 Linux ABI for the rest.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from hypervisor.addresses import PAGE_BYTES, PAGE_SHIFT
from hypervisor.process import layout
from hypervisor.process.address_space import READ_WRITE, rounded
from hypervisor.process.errors import CallError, Errno
from hypervisor.process.open_files import MappedFile, RegularFile, ZeroDevice
from hypervisor.process.regions import PROT_EXEC, PROT_READ, PROT_WRITE, Region

if TYPE_CHECKING:
    from hypervisor.process.process import Process

MAP_SHARED: Final = 0x01
MAP_PRIVATE: Final = 0x02
MAP_TYPE: Final = 0x0F
MAP_FIXED: Final = 0x10
MAP_ANONYMOUS: Final = 0x20
MAP_FIXED_NOREPLACE: Final = 0x10_0000
_SHARED_VALIDATE: Final = 0x03

_MREMAP_MAYMOVE, _MREMAP_FIXED = 1, 2
_MADV_DONTNEED, _MADV_FREE = 4, 8
_HARMLESS_ADVICE: Final = frozenset({0, 1, 2, 3, _MADV_FREE, 12, 13, 14, 15, 16, 17, 18, 19})
_PROT_ALL: Final = PROT_READ | PROT_WRITE | PROT_EXEC
_IN_PAGE: Final = PAGE_BYTES - 1


def brk(process: Process, address: int) -> int:
    """brk(address): the end of the heap, moved if that is possible."""
    space, first = process.space, process.placement.heap
    old, new = rounded(process.heap_end), rounded(address)
    if not first <= address <= layout.STACK_BASE:
        return process.heap_end
    if new > old:
        if space.regions.within(old, new):
            return process.heap_end
        try:
            space.map(Region(old, new, READ_WRITE))
        except CallError:
            return process.heap_end
    elif new < old:
        space.unmap(new, old)
    process.heap_end = address
    return address


def mmap2(
    process: Process, address: int, size: int, protection: int, flags: int, fd: int, page: int
) -> int:
    """mmap2(address, size, protection, flags, fd, offset in pages)."""
    if size == 0 or protection & ~_PROT_ALL:
        raise CallError(Errno.EINVAL)
    size = rounded(size)
    kind = flags & MAP_TYPE
    if kind not in (MAP_SHARED, MAP_PRIVATE, _SHARED_VALIDATE):
        raise CallError(Errno.EINVAL)
    is_shared = kind != MAP_PRIVATE
    backing = None
    if not flags & MAP_ANONYMOUS:
        backing = _backing(process, fd, protection, is_shared=is_shared)
    first = _place(process, address, size, flags)
    shared_file = is_shared and backing is not None
    offset = page << PAGE_SHIFT if backing is not None else 0
    region = Region(first, first + size, protection, backing, offset, shared_file)
    process.space.map(region)
    return first


def _backing(process: Process, fd: int, protection: int, *, is_shared: bool) -> MappedFile | None:
    file = process.files.get(fd)
    if isinstance(file, ZeroDevice):
        return None
    if not isinstance(file, RegularFile):
        raise CallError(Errno.ENODEV)
    if not file.is_readable or (is_shared and protection & PROT_WRITE and not file.is_writable):
        raise CallError(Errno.EACCES)
    return MappedFile(file.file, is_writable=file.is_writable)


def _place(process: Process, address: int, size: int, flags: int) -> int:
    """Where a mapping goes: where it must, where it may, or from the top down."""
    regions = process.space.regions
    if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE):
        if address & _IN_PAGE:
            raise CallError(Errno.EINVAL)
        if address + size > layout.USER_END:
            raise CallError(Errno.ENOMEM)
        if address < layout.LOWEST_MAPPING:
            raise CallError(Errno.EPERM)
        if flags & MAP_FIXED_NOREPLACE and regions.within(address, address + size):
            raise CallError(Errno.EEXIST)
        return address
    hint = address & ~_IN_PAGE
    inside = hint >= layout.LOWEST_MAPPING and hint + size <= layout.STACK_BASE
    if inside and not regions.within(hint, hint + size):
        return hint
    found = regions.gap_below(size, layout.LOWEST_MAPPING, layout.MAPPINGS_END)
    if found is None:
        raise CallError(Errno.ENOMEM)
    return found


def mmap(process: Process, address: int) -> int:
    """mmap(&six words): the call as it was at first, with the offset in bytes."""
    words = struct.unpack("<6I", process.space.read(address, 24))
    at, size, protection, flags, fd, offset = words
    if offset & _IN_PAGE:
        raise CallError(Errno.EINVAL)
    return mmap2(process, at, size, protection, flags, fd, offset >> PAGE_SHIFT)


def _range(address: int, size: int) -> tuple[int, int]:
    """First and end of a range of pages that a call is about."""
    if address & _IN_PAGE:
        raise CallError(Errno.EINVAL)
    end = address + rounded(size)
    if end > layout.USER_END:
        raise CallError(Errno.ENOMEM)
    return address, end


def munmap(process: Process, address: int, size: int) -> int:
    """munmap(address, size)."""
    if size == 0 or address + size > layout.USER_END:
        raise CallError(Errno.EINVAL)
    process.space.unmap(*_range(address, size))
    return 0


def mprotect(process: Process, address: int, size: int, protection: int) -> int:
    """mprotect(address, size, protection)."""
    if protection & ~_PROT_ALL:
        raise CallError(Errno.EINVAL)
    first, end = _range(address, size)
    if end > first:
        for piece in process.space.regions.within(first, end):
            file = piece.backing
            if piece.is_shared and protection & PROT_WRITE and file and not file.is_writable:
                raise CallError(Errno.EACCES)
        process.space.protect(first, end, protection)
    return 0


def mremap(process: Process, old: int, old_size: int, size: int, flags: int, new: int) -> int:
    """mremap(old, old size, new size, flags, new)."""
    if flags & ~(_MREMAP_MAYMOVE | _MREMAP_FIXED) or size == 0 or old & _IN_PAGE:
        raise CallError(Errno.EINVAL)
    if flags & _MREMAP_FIXED and not flags & _MREMAP_MAYMOVE:
        raise CallError(Errno.EINVAL)
    old_size, size = rounded(old_size), rounded(size)
    space = process.space
    pieces = space.regions.within(old, old + old_size)
    if old_size == 0 or old + old_size > layout.USER_END or len(pieces) != 1:
        raise CallError(Errno.EFAULT if pieces or old_size else Errno.EINVAL)
    region = pieces[0]
    if region.end - region.first != old_size:
        raise CallError(Errno.EFAULT)
    if flags & _MREMAP_FIXED:
        return _move_to(process, region, size, new)
    if size <= old_size:
        if size < old_size:
            space.unmap(old + size, old + old_size)
        return old
    end = old + size
    if end <= layout.STACK_BASE and not space.regions.within(old + old_size, end):
        _extend(process, region, old + old_size, end)
        return old
    if not flags & _MREMAP_MAYMOVE:
        raise CallError(Errno.ENOMEM)
    target = space.regions.gap_below(size, layout.LOWEST_MAPPING, layout.MAPPINGS_END)
    if target is None:
        raise CallError(Errno.ENOMEM)
    return _move_to(process, region, size, target)


def _extend(process: Process, region: Region, first: int, end: int) -> None:
    """Map what continues a region."""
    offset = region.offset + first - region.first
    process.space.map(
        Region(first, end, region.protection, region.backing, offset, region.is_shared)
    )


def _move_to(process: Process, region: Region, size: int, target: int) -> int:
    space = process.space
    old, old_size = region.first, region.end - region.first
    if target & _IN_PAGE or target < layout.LOWEST_MAPPING or target + size > layout.USER_END:
        raise CallError(Errno.EINVAL)
    if target < region.end and old < target + size:
        raise CallError(Errno.EINVAL)
    space.unmap(target, target + size)
    if size < old_size:
        space.unmap(old + size, old + old_size)
        old_size = size
    if size > old_size:
        moved = region.part(old, old + old_size)
        shift = target - old
        _extend(process, _shifted(moved, shift), target + old_size, target + size)
    space.move(old, old + old_size, target)
    return target


def _shifted(region: Region, shift: int) -> Region:
    return Region(
        region.first + shift,
        region.end + shift,
        region.protection,
        region.backing,
        region.offset,
        region.is_shared,
    )


def madvise(process: Process, address: int, size: int, advice: int) -> int:
    """madvise(address, size, advice): MADV_DONTNEED forgets, the rest is only advice."""
    first, end = _range(address, size)
    if advice == _MADV_DONTNEED:
        if not process.space.regions.covers(first, end):
            raise CallError(Errno.ENOMEM)
        process.space.discard(first, end)
    elif advice not in _HARMLESS_ADVICE:
        raise CallError(Errno.EINVAL)
    return 0


def msync(process: Process, address: int, size: int, flags: int) -> int:
    """msync(address, size, flags)."""
    first, end = _range(address, size)
    if flags & ~7:
        raise CallError(Errno.EINVAL)
    if not process.space.regions.covers(first, end):
        raise CallError(Errno.ENOMEM)
    process.space.write_back(first, end)
    return 0


def mlock(process: Process, address: int, size: int) -> int:
    """mlock and munlock: nothing is ever paged out."""
    return 0
