"""The bus: which device answers at a port or a memory address.

Devices never know where they are mapped: they get offsets. An access wider than a device can take
is split into consecutive smaller ones, lowest address first, as an ISA bus does. Where nothing
answers, reads give all ones and writes are lost. The bus does not know about RAM, about privilege
or about time.

Source: ISA bus conversion cycles as in the Intel 82371SB (PIIX3) datasheet, "ISA Interface".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection
from typing import NamedTuple, Protocol

from isa.devices.lending import Lending, Posting
from isa.port_table import DeviceLender, PortTable

PORT_COUNT = 0x10000


class RegisterBlock(Protocol):
    """Registers at consecutive addresses, as the bus sees them."""

    @property
    def widths(self) -> Collection[int]:
        """Access sizes in bytes that are passed on undivided. Without 1, bytes do not answer."""

    def read(self, offset: int, size: int) -> int:
        """Return `size` bytes, little-endian. `size` is one of `widths`; the block is not left."""

    def write(self, offset: int, size: int, value: int) -> None:
        """Write `size` bytes, 0 <= value < 256**size, under the same conditions."""


class Claim(NamedTuple):
    """A range of addresses, both ends included, and who answers there."""

    first: int
    last: int
    block: RegisterBlock
    offset: int

    def overlaps(self, other: Claim) -> bool:
        """Whether some address is in both ranges."""
        return self.first <= other.last and other.first <= self.last


class AddressSpace:
    """One space of addresses with its claims; accesses of any size and any address are legal."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._claims: list[Claim] = []
        self._firsts: list[int] = []

    @property
    def claims(self) -> tuple[Claim, ...]:
        """Every claim, by ascending address."""
        return tuple(self._claims)

    def claim(self, claim: Claim) -> None:
        """Add a claim; refuse an empty or overlapping one."""
        if not 0 <= claim.first <= claim.last:
            raise ValueError(f"{self._name} {claim.first:#x}..{claim.last:#x}: not a range")
        for other in self._claims:
            if claim.overlaps(other):
                raise ValueError(
                    f"{self._name} {claim.first:#x}..{claim.last:#x}: "
                    f"{type(claim.block).__name__} collides with {type(other.block).__name__} "
                    f"at {other.first:#x}..{other.last:#x}"
                )
        index = bisect_right(self._firsts, claim.first)
        self._claims.insert(index, claim)
        self._firsts.insert(index, claim.first)

    def release(self, claim: Claim) -> None:
        """Take a claim back."""
        index = self._claims.index(claim)
        del self._claims[index]
        del self._firsts[index]

    def overlaps(self, claim: Claim) -> bool:
        """Whether some address of a claim is taken."""
        return any(claim.overlaps(other) for other in self._claims)

    def find(self, address: int) -> Claim | None:
        """Return the claim that holds `address`."""
        index = bisect_right(self._firsts, address) - 1
        if index >= 0 and address <= self._claims[index].last:
            return self._claims[index]
        return None

    def read(self, address: int, size: int) -> int:
        """Read `size` bytes, little-endian."""
        claim = self.find(address)
        if claim is not None and size in claim.block.widths and address + size - 1 <= claim.last:
            offset = address - claim.first + claim.offset
            return claim.block.read(offset, size) & ((1 << 8 * size) - 1)
        if size == 1:
            return 0xFF
        low = size // 2
        value = self.read(address, low)
        return value | self.read(address + low, size - low) << 8 * low

    def write(self, address: int, size: int, value: int) -> None:
        """Write the low `size` bytes of `value`, little-endian."""
        claim = self.find(address)
        value &= (1 << 8 * size) - 1
        if claim is not None and size in claim.block.widths and address + size - 1 <= claim.last:
            claim.block.write(address - claim.first + claim.offset, size, value)
        elif size > 1:
            low = size // 2
            self.write(address, low, value)
            self.write(address + low, size - low, value >> 8 * low)


class Bus:
    """The port space and the memory-mapped space of one machine."""

    def __init__(self) -> None:
        self.ports = AddressSpace("ports")
        self.memory = AddressSpace("memory")
        self._table: PortTable | None = None
        self._lenders: dict[int, DeviceLender] = {}  # by id of the block, which has a claim

    def claim_ports(self, first: int, last: int, block: RegisterBlock, *, offset: int = 0) -> None:
        """Let `block` answer at ports first..last, seen by it as offset, offset + 1, ….

        A device with a hole in its range claims each part with the offset at which it begins.
        """
        if last >= PORT_COUNT:
            raise ValueError(f"ports {first:#x}..{last:#x}: the last port is 0xffff")
        claim = Claim(first, last, block, offset)
        self.ports.claim(claim)
        if self._table is not None:
            self._occupy(self._table, claim)

    def lend_ports(self, table: PortTable) -> None:
        """Let the devices lend registers to a processor, now and whenever they change."""
        self._table = table
        self._lenders = {}
        table.vacate(0, PORT_COUNT - 1)
        for claim in self.ports.claims:
            self._occupy(table, claim)

    def post_writes(self) -> None:
        """Bring the devices what was written to lent registers. Asked after every run()."""
        if self._table is None or not self._table.has_writes:
            return
        for port, data in self._table.collect():
            claim = self.ports.find(port)
            if claim is not None and isinstance(claim.block, Posting):
                claim.block.post(port - claim.first + claim.offset, data)

    def _occupy(self, table: PortTable, claim: Claim) -> None:
        table.occupy(claim.first, claim.last)
        if isinstance(claim.block, Lending):
            lender = self._lenders.setdefault(id(claim.block), DeviceLender(table))
            offsets = range(claim.offset, claim.offset + claim.last - claim.first + 1)
            lender.add(offsets, claim.first - claim.offset)
            claim.block.lender = lender
            claim.block.lend()

    def claim_memory(self, first: int, last: int, block: RegisterBlock, *, offset: int = 0) -> None:
        """Let `block` answer at guest-physical addresses first..last instead of RAM."""
        self.memory.claim(Claim(first, last, block, offset))

    def read_port(self, port: int, size: int) -> int:
        """IN: read 1, 2 or 4 bytes. Ports beyond 0xFFFF do not answer."""
        return self.ports.read(port, size)

    def write_port(self, port: int, size: int, value: int) -> None:
        """OUT: write 1, 2 or 4 bytes. Ports beyond 0xFFFF do not answer."""
        self.ports.write(port, size, value)

    def read_memory(self, gpa: int, size: int) -> int:
        """Load `size` bytes from memory-mapped registers."""
        return self.memory.read(gpa, size)

    def write_memory(self, gpa: int, size: int, value: int) -> None:
        """Store `size` bytes to memory-mapped registers."""
        self.memory.write(gpa, size, value)
