"""In what two stopped guests differ.

A `View` looks at a guest as a comparison wants it: some parts of the state may be left out. It
gives a *near look* (the processor: cheap) or a *whole look* (memory, devices and console too),
which are compared for equality, and says in words what differs. Memory is compared by digests;
bytes are looked at only where two digests differ.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from hypervisor.guest_state import ProcessorState
from hypervisor.state_parts import BITS, WHOLE, Ignored, flatten, number, processor_parts
from isa.devices.platform import PlatformState
from isa.workspace import RAM_MAX_BYTES

PAGE_BYTES: Final = 4096
_MEMORY_DIFFERENCES: Final = 16  # places in RAM that are shown
_BLOCK: Final = 1 << 16

Bytes = NDArray[np.uint8]
_ALL: Final[Bytes] = np.full(PAGE_BYTES, 0xFF, np.uint8)


class Visible(Protocol):
    """What can be looked at: a technique between two instructions, or a snapshot."""

    @property
    def guest_instructions(self) -> int: ...
    @property
    def ram_bytes(self) -> int: ...
    @property
    def console(self) -> bytes: ...
    @property
    def exit_code(self) -> int | None: ...
    @property
    def code_bits(self) -> int: ...
    def processor_state(self) -> ProcessorState: ...
    def ram_pieces(self) -> Iterable[memoryview]: ...  # of whole pages
    def device_state(self) -> PlatformState: ...
    def read_memory(self, gpa: int, size: int) -> bytes: ...
    def read_code(self, size: int) -> bytes: ...


@dataclass(frozen=True)
class Difference:
    """One part of the state that differs, in words."""

    what: str
    first: str
    second: str


class NearLook(NamedTuple):
    """The processor, and how far it is."""

    completed: int
    parts: dict[str, int]


class WholeLook(NamedTuple):
    """Everything."""

    near: NearLook
    memory: str
    devices: dict[str, Any]
    console: bytes
    exit_code: int | None


class View:
    """Looks at guests, with some parts left out."""

    def __init__(self, ignored: Ignored | None = None) -> None:
        self.ignored = ignored or Ignored()
        self._masks = {name: ~mask for name, mask in self.ignored.masks.items() if mask != WHOLE}
        self._left_out = [name for name, mask in self.ignored.masks.items() if mask == WHOLE]
        self._keep = _kept_bytes(self.ignored.memory)
        self._pages = list(self._keep)

    # --- comparing ---------------------------------------------------------------------------

    def same_processor(self, first: Visible, second: Visible) -> bool:
        """Whether the processors of two guests agree: the cheap look."""
        if first.guest_instructions != second.guest_instructions:
            return False
        if first.processor_state() == second.processor_state():
            return True
        return self.near(first) == self.near(second)

    def same(self, first: Visible, second: Visible) -> bool:
        """Whether two guests agree in everything. What is cheap is compared first."""
        if not self.same_processor(first, second):
            return False
        if not self.ignored.leaves_out_device("exit") and first.exit_code != second.exit_code:
            return False
        if not self.ignored.console and first.console != second.console:
            return False
        if not self.ignored.all_devices and self._devices(first) != self._devices(second):
            return False
        ram_bytes = min(first.ram_bytes, second.ram_bytes)
        return self.ignored.all_memory or (
            self._digest(first, ram_bytes) == self._digest(second, ram_bytes)
        )

    # --- looking -------------------------------------------------------------------------------

    def near(self, guest: Visible) -> NearLook:
        """A look at the processor alone."""
        completed = guest.guest_instructions
        parts = processor_parts(guest.processor_state(), completed)
        for name, mask in self._masks.items():
            parts[name] &= mask
        for name in self._left_out:
            del parts[name]
        return NearLook(completed, parts)

    def whole(self, guest: Visible, ram_bytes: int) -> WholeLook:
        """A look at everything, at the first `ram_bytes` of memory."""
        return WholeLook(
            self.near(guest),
            "" if self.ignored.all_memory else self._digest(guest, ram_bytes),
            {} if self.ignored.all_devices else self._devices(guest),
            b"" if self.ignored.console else guest.console,
            None if self.ignored.leaves_out_device("exit") else guest.exit_code,
        )

    def _devices(self, guest: Visible) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, data in guest.device_state().devices.items():
            found |= flatten(name, msgspec.msgpack.decode(data))
        if self.ignored.devices or self.ignored.all_devices:
            leaves_out = self.ignored.leaves_out_device
            return {path: value for path, value in found.items() if not leaves_out(path)}
        return found

    def _digest(self, guest: Visible, ram_bytes: int) -> str:
        digest = xxhash.xxh3_128()
        at = 0
        for piece in guest.ram_pieces():
            part = piece[: max(ram_bytes - at, 0)]
            start = 0
            for page in self._pages_within(at, at + len(part)):
                digest.update(part[start : page - at])
                kept = self._kept(page, part[page - at : page - at + PAGE_BYTES])
                digest.update(kept.data)
                start = page - at + PAGE_BYTES
            digest.update(part[start:])
            at += len(part)
        return digest.hexdigest()

    def _pages_within(self, first: int, end: int) -> list[int]:
        """Addresses of the pages in a range that have bytes to leave out."""
        return self._pages[bisect_left(self._pages, first) : bisect_left(self._pages, end)]

    def _kept(self, page: int, data: memoryview) -> Bytes:
        """A page with the bytes that are left out as zeros."""
        return np.frombuffer(data, np.uint8) & self._keep[page]

    # --- differences ---------------------------------------------------------------------------

    def differences(self, first: Visible, second: Visible) -> list[Difference]:
        """Everything in which two guests differ, in words."""
        ram_bytes = min(first.ram_bytes, second.ram_bytes)
        one, other = self.whole(first, ram_bytes), self.whole(second, ram_bytes)
        found = _number_differences(one.near.parts, other.near.parts)
        if one.near.completed != other.near.completed:
            counts = f"{one.near.completed:,}", f"{other.near.completed:,}"
            found.append(Difference("instructions", *counts))
        if one.memory != other.memory:
            found += self._memory_differences(first, second, ram_bytes)
        for path in sorted(one.devices.keys() | other.devices.keys()):
            ours, theirs = (_shown(look.devices.get(path)) for look in (one, other))
            if ours != theirs:
                found.append(Difference(f"devices.{path}", ours, theirs))
        if one.console != other.console:
            found.append(Difference("console", *_console_parts(one.console, other.console)))
        if one.exit_code != other.exit_code and not any("exit." in d.what for d in found):
            found.append(Difference("exit code", str(one.exit_code), str(other.exit_code)))
        return found

    def _memory_differences(
        self, first: Visible, second: Visible, ram_bytes: int
    ) -> list[Difference]:
        """The first words of RAM that differ, and how many bytes there are."""
        offsets = self.differing_bytes(first, second, ram_bytes)
        words = sorted({int(offset) & ~3 for offset in offsets[: 4 * _MEMORY_DIFFERENCES]})
        found = []
        for word in words[:_MEMORY_DIFFERENCES]:
            shown = (
                f"{int.from_bytes(guest.read_memory(word, 4), 'little'):#010x}"
                for guest in (first, second)
            )
            found.append(Difference(f"memory {word:#010x}", *shown))
        if len(np.unique(offsets & ~3)) > len(found):
            found.append(Difference("memory, all", f"{len(offsets):,} bytes", "differ"))
        return found

    def differing_bytes(self, first: Visible, second: Visible, ram_bytes: int) -> NDArray[np.int64]:
        """Addresses of the bytes of RAM that differ and are not left out, ascending."""
        found = [np.zeros(0, np.int64)]
        for at in range(0, ram_bytes, _BLOCK):
            size = min(_BLOCK, ram_bytes - at)
            ours, theirs = first.read_memory(at, size), second.read_memory(at, size)
            if ours != theirs:
                unequal = np.frombuffer(ours, np.uint8) != np.frombuffer(theirs, np.uint8)
                for page in self._pages_within(at, at + size):
                    unequal[page - at : page - at + PAGE_BYTES] &= self._keep[page] != 0
                found.append(np.flatnonzero(unequal) + at)
        return np.concatenate(found)

    # --- leaving out more ----------------------------------------------------------------------

    def without(self, first: Visible, second: Visible) -> View:
        """The view that leaves out also what two guests differ in now."""
        ram_bytes = min(first.ram_bytes, second.ram_bytes)
        one, other = self.whole(first, ram_bytes), self.whole(second, ram_bytes)
        masks = dict(self.ignored.masks)
        for name, ours in one.near.parts.items():
            if unequal := ours ^ other.near.parts[name]:
                masks[name] = masks.get(name, 0) | unequal if name in BITS else WHOLE
        paths = one.devices.keys() | other.devices.keys()
        devices = {path for path in paths if one.devices.get(path) != other.devices.get(path)}
        memory = self.ignored.memory
        if one.memory != other.memory:
            memory += _ranges(self.differing_bytes(first, second, ram_bytes))
        return View(
            replace(
                self.ignored,
                masks=masks,
                memory=memory,
                devices=self.ignored.devices | devices,
                console=self.ignored.console or one.console != other.console,
            )
        )


def _ranges(addresses: NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    """Ascending addresses as ranges, both ends included."""
    if not len(addresses):
        return ()
    breaks = np.flatnonzero(np.diff(addresses) > 1)
    firsts = addresses[np.concatenate(([0], breaks + 1))]
    lasts = addresses[np.concatenate((breaks, [len(addresses) - 1]))]
    return tuple(zip(firsts.tolist(), lasts.tolist(), strict=True))


def _kept_bytes(ranges: Iterable[tuple[int, int]]) -> dict[int, Bytes]:
    """Address of a page with something to leave out → 0xFF for each byte that stays."""
    keep: dict[int, Bytes] = {}
    nothing = np.zeros(PAGE_BYTES, np.uint8)
    for first, last in ranges:
        for page in range(first & ~(PAGE_BYTES - 1), min(last + 1, RAM_MAX_BYTES), PAGE_BYTES):
            if first <= page and page + PAGE_BYTES <= last + 1:
                keep[page] = nothing
                continue
            mask = keep.get(page, _ALL).copy()
            mask[max(first - page, 0) : last - page + 1] = 0
            keep[page] = mask
    return dict(sorted(keep.items()))


def _number_differences(one: Mapping[str, int], other: Mapping[str, int]) -> list[Difference]:
    found = []
    for name, ours in one.items():
        theirs = other[name]
        if ours == theirs:
            continue
        found.append(Difference(name, number(name, ours), number(name, theirs)))
        for bit, mask in BITS.get(name, {}).items():
            if ours & mask != theirs & mask:
                values = (str((value & mask) // (mask & -mask)) for value in (ours, theirs))
                found.append(Difference(f"{name}.{bit}", *values))
    return found


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex() or "(empty)"
    return "-" if value is None else str(value)


_CONSOLE_SHOWN: Final = 24


def _console_parts(ours: bytes, theirs: bytes) -> Iterator[str]:
    """What each console says from where they part."""
    at = first_difference(ours, theirs)
    for text in (ours, theirs):
        part = text[at : at + _CONSOLE_SHOWN].decode("utf-8", "replace")
        yield f"{part!r}" if part else "(nothing more)"


def first_difference(ours: bytes, theirs: bytes) -> int:
    """Where two byte strings part."""
    return next(
        (at for at, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other),
        min(len(ours), len(theirs)),
    )
