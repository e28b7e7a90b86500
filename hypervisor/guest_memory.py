"""The memory of a VM: frames of the machine that the guest sees as RAM, and its devices' memory.

The guest's RAM is a set of whole frames of the machine, named by a map from guest frame numbers to
host frame numbers; nothing requires them to be contiguous. What lies outside RAM belongs to the
devices of the VM, or to nobody: then it reads as all ones and writes are lost.

Whoever derives something from the guest's memory (shadow tables) registers with `on_write`, so
that writes made on the guest's behalf are seen like the guest's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from hypervisor.addresses import PAGE_BYTES, PAGE_SHIFT, Gpa, Hpa
from isa.devices.bus import Bus

OPEN_BUS: Final = 0xFFFFFFFF

WriteListener = Callable[[Gpa, int], None]


class GuestMemory:
    """Guest-physical memory of one VM."""

    def __init__(
        self,
        machine_ram: memoryview,
        write_machine: Callable[[int, bytes], None],
        frames: Sequence[int],
        bus: Bus,
    ) -> None:
        """Describe the VM's memory.

        Args:
            machine_ram: the machine's memory, read directly.
            write_machine: hpa, bytes → stores them so that the machine notices changed code.
            frames: host frame number of every guest frame.
            bus: who answers outside RAM.
        """
        self._machine_ram = machine_ram
        self._write_machine = write_machine
        self._frames = list(frames)
        self._guest_frame = {hfn: gfn for gfn, hfn in enumerate(self._frames)}
        self._bus = bus
        self._listeners: list[WriteListener] = []
        self.ram_bytes = len(self._frames) * PAGE_BYTES
        self._before_device: Callable[[], None] = lambda: None

    def on_write(self, listener: WriteListener) -> None:
        """Call `listener(gpa, size)` after every write made here."""
        self._listeners.append(listener)

    def before_device_access(self, listener: Callable[[], None]) -> None:
        """Call `listener` before every access outside RAM."""
        self._before_device = listener

    def frame_of(self, gfn: int) -> int | None:
        """Host frame number of a guest frame, or None outside RAM."""
        return self._frames[gfn] if gfn < len(self._frames) else None

    def guest_frame_of(self, hfn: int) -> int | None:
        """Guest frame number of a host frame, or None if the VM does not own it."""
        return self._guest_frame.get(hfn)

    def has_ram(self, gpa: Gpa, size: int) -> bool:
        """Whether all of `size` bytes are RAM."""
        return gpa + size <= self.ram_bytes

    def has_device(self, gpa: Gpa) -> bool:
        """Whether a device answers somewhere in the page of an address outside RAM."""
        first = gpa & ~(PAGE_BYTES - 1)
        last = first + PAGE_BYTES - 1
        return any(claim.first <= last and first <= claim.last for claim in self._bus.memory.claims)

    def read(self, gpa: Gpa, size: int) -> int:
        """Some bytes, little-endian, within one page."""
        if gpa + size <= self.ram_bytes:
            at = self._frames[gpa >> PAGE_SHIFT] << PAGE_SHIFT | gpa & 0xFFF
            return int.from_bytes(self._machine_ram[at : at + size], "little")
        self._before_device()
        return self._bus.read_memory(gpa, size)

    def write(self, gpa: Gpa, size: int, value: int) -> None:
        """1, 2 or 4 bytes, little-endian, within one page."""
        if gpa + size <= self.ram_bytes:
            self.write_bytes(gpa, (value & ((1 << 8 * size) - 1)).to_bytes(size, "little"))
        else:
            self._before_device()
            self._bus.write_memory(gpa, size, value)

    def write_bytes(self, gpa: Gpa, data: bytes) -> None:
        """Bytes of RAM within one page."""
        self._write_machine(self._hpa(gpa), data)
        for listener in self._listeners:
            listener(gpa, len(data))

    def read_entry(self, gpa: Gpa) -> int:
        """A paging-structure entry; outside RAM there is none to be had: all ones."""
        return self.read(gpa, 4) if gpa + 4 <= self.ram_bytes else OPEN_BUS

    def write_entry(self, gpa: Gpa, value: int) -> None:
        """Store a paging-structure entry; lost outside RAM."""
        if gpa + 4 <= self.ram_bytes:
            self.write(gpa, 4, value)

    def read_page(self, gfn: int) -> bytes:
        """A whole page of RAM."""
        at = self._frames[gfn] << PAGE_SHIFT
        return bytes(self._machine_ram[at : at + PAGE_BYTES])

    def pieces(self) -> Iterator[memoryview]:
        """All of RAM in order, in pieces that are contiguous in the machine."""
        first = 0
        for gfn in range(1, len(self._frames) + 1):
            if gfn == len(self._frames) or self._frames[gfn] != self._frames[gfn - 1] + 1:
                start = self._frames[first] << PAGE_SHIFT
                yield self._machine_ram[start : start + (gfn - first << PAGE_SHIFT)]
                first = gfn

    def read_bytes(self, gpa: int, size: int) -> bytes:
        """Any range of RAM. IndexError if it is not all RAM."""
        if gpa < 0 or size < 0 or gpa + size > self.ram_bytes:
            raise IndexError(f"{size} bytes at {gpa:#x} are outside the guest's memory")
        pieces = []
        while size:
            part = min(size, PAGE_BYTES - (gpa & 0xFFF))
            at = self._hpa(Gpa(gpa))
            pieces.append(bytes(self._machine_ram[at : at + part]))
            gpa += part
            size -= part
        return b"".join(pieces)

    def load(self, gpa: int, data: bytes) -> None:
        """Place bytes of a boot image in RAM."""
        if gpa < 0 or gpa + len(data) > self.ram_bytes:
            raise IndexError(f"{len(data)} bytes at {gpa:#x} are outside the guest's memory")
        for start in range(0, len(data), PAGE_BYTES):
            piece = data[start : start + PAGE_BYTES]
            head = PAGE_BYTES - (gpa + start & 0xFFF)
            self._write_machine(self._hpa(Gpa(gpa + start)), piece[:head])
            if piece[head:]:
                self._write_machine(self._hpa(Gpa(gpa + start + head)), piece[head:])

    def _hpa(self, gpa: int) -> Hpa:
        return Hpa(self._frames[gpa >> PAGE_SHIFT] << PAGE_SHIFT | gpa & 0xFFF)
