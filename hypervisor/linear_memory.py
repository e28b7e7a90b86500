"""Memory as an instruction of the guest sees it: segments, then the guest's page tables.

Every access can fault as it would on the guest's own machine, before anything is changed. Used by
the emulator and by reflection; the guest's own instructions do not pass here.

Source: SDM vol. 3A, "Limit Checking", "Type Checking"; vol. 1, "Stacks".
"""

from __future__ import annotations

from hypervisor.addresses import M32, PAGE_MASK, Gpa, Gva
from hypervisor.faults import GuestFault
from hypervisor.guest_memory import GuestMemory
from hypervisor.guest_paging import peek, walk
from hypervisor.vcpu import VirtualCpu
from isa import vectors
from isa.registers import CR0_AM, CS, EFLAGS_AC, ESP, SS


class LinearMemory:
    """Guest-linear memory of one virtual processor."""

    def __init__(self, vcpu: VirtualCpu, memory: GuestMemory) -> None:
        self._vcpu = vcpu
        self.memory = memory
        self._translations: dict[int, int] = {}
        self._paging = vcpu.paging

    def forget_translations(self) -> None:
        """The guest has run, or its paging has changed: translations must be made anew.

        Within one exit they are kept, as a processor keeps them in its TLB.
        """
        self._translations.clear()
        self._paging = self._vcpu.paging

    def translate(self, gva: int, *, write: bool, user: bool) -> Gpa:
        """Guest-physical address of one access; raises #PF."""
        if not self._vcpu.cr0 & 0x80000000:
            return Gpa(gva & M32)
        key = gva & PAGE_MASK | write << 1 | user
        page = self._translations.get(key)
        if page is None:
            found = walk(self.memory, self._paging, Gva(gva & M32), write=write, user=user)
            page = self._translations[key] = found.gpa & PAGE_MASK
        return Gpa(page | gva & 0xFFF)

    @property
    def _is_aligned(self) -> bool:
        """Whether user accesses have to be aligned."""
        vcpu = self._vcpu
        return bool(vcpu.cr0 & CR0_AM and vcpu.eflags & EFLAGS_AC)

    def _check_alignment(self, gva: int, size: int, *, user: bool) -> None:
        """Raise #AC(0) for an access of 1, 2, 4 or 8 bytes whose pages are known to be there."""
        if user and gva & (size - 1) and self._is_aligned:
            raise GuestFault(vectors.AC, 0)

    def read(self, gva: int, size: int, *, user: bool) -> int:
        """Some bytes, little-endian."""
        gva &= M32
        first = self.translate(gva, write=False, user=user)
        in_first = 4096 - (gva & 0xFFF)
        if in_first < size:
            self.translate((gva + in_first) & M32, write=False, user=user)
        self._check_alignment(gva, size, user=user)
        if in_first >= size:
            return self.memory.read(first, size)
        second = self.translate((gva + in_first) & M32, write=False, user=user)
        value = 0
        for index in range(size):
            at = first + index if index < in_first else second + index - in_first
            value |= self.memory.read(Gpa(at), 1) << 8 * index
        return value

    def write(self, gva: int, size: int, value: int, *, user: bool) -> None:
        """1, 2 or 4 bytes, little-endian; both pages are checked before a byte is stored."""
        gva &= M32
        first = self.translate(gva, write=True, user=user)
        in_first = 4096 - (gva & 0xFFF)
        if in_first < size:
            self.translate((gva + in_first) & M32, write=True, user=user)
        self._check_alignment(gva, size, user=user)
        if in_first >= size:
            self.memory.write(first, size, value)
            return
        second = self.translate((gva + in_first) & M32, write=True, user=user)
        for index in range(size):
            at = first + index if index < in_first else second + index - in_first
            self.memory.write(Gpa(at), 1, value >> 8 * index & 0xFF)

    def write_block(self, gva: int, data: bytes, *, user: bool) -> None:
        """Any bytes within one page."""
        gpa = self.translate(gva & M32, write=True, user=user)
        if self.memory.has_ram(gpa, len(data)):
            self.memory.write_bytes(gpa, data)
            return
        for index, byte in enumerate(data):
            self.memory.write(Gpa(gpa + index), 1, byte)

    def probe_write(self, gva: int, size: int, *, user: bool, alignment: int = 0) -> None:
        """Raise #PF or #AC unless `size` bytes (at most a page) can be written.

        They must be aligned as a whole, or as `alignment` says.
        """
        gva &= M32
        self.translate(gva, write=True, user=user)
        last = (gva + size - 1) & M32
        if (last ^ gva) & PAGE_MASK:
            self.translate(last & PAGE_MASK, write=True, user=user)
        self._check_alignment(gva, alignment or size, user=user)

    def address(self, segment: int, offset: int, size: int, *, write: bool) -> int:
        """Linear address of an access through a segment register; raises #GP(0) or #SS(0)."""
        cache = self._vcpu.segments[segment]
        type_allows = cache.is_usable and (cache.is_writable if write else cache.is_readable)
        if not (type_allows and cache.allows(offset, size)):
            raise GuestFault(vectors.SS if segment == SS else vectors.GP, 0)
        return (cache.base + offset) & M32

    def load(self, segment: int, offset: int, size: int) -> int:
        """Read through a segment register at the current privilege level."""
        gva = self.address(segment, offset, size, write=False)
        return self.read(gva, size, user=self._vcpu.is_user)

    def store(self, segment: int, offset: int, size: int, value: int) -> None:
        """Write through a segment register at the current privilege level."""
        gva = self.address(segment, offset, size, write=True)
        self.write(gva, size, value, user=self._vcpu.is_user)

    def read_system(self, gva: int, size: int) -> int:
        """Read a system table, as supervisor whatever the privilege level."""
        return self.read(gva, size, user=False)

    def read_pair(self, gva: int) -> tuple[int, int]:
        """Read a descriptor: two doublewords of a system table."""
        value = self.read(gva, 8, user=False)
        return value & M32, value >> 32

    def peek_stack(self, position: int, size: int) -> int:
        """The word `position` bytes above the top of the stack; the stack pointer stays."""
        mask = self._vcpu.segments[SS].offset_mask
        return self.load(SS, (self._vcpu.gpr[ESP] + position) & mask, size)

    def peek_frame(self, count: int, size: int) -> list[int]:
        """The `count` words on top of the stack; the stack pointer stays."""
        stack = self._vcpu.segments[SS]
        top = self._vcpu.stack_pointer
        if top + count * size - 1 > stack.offset_mask or self._is_aligned:
            return [self.peek_stack(index * size, size) for index in range(count)]
        gva = self.address(SS, top, count * size, write=False)
        value = self.read(gva, count * size, user=self._vcpu.is_user)
        mask = (1 << 8 * size) - 1
        return [value >> 8 * size * index & mask for index in range(count)]

    def push(self, value: int, size: int) -> None:
        """Push 2 or 4 bytes; nothing is changed if that faults."""
        offset = (self._vcpu.stack_pointer - size) & self._vcpu.segments[SS].offset_mask
        self.store(SS, offset, size, value)
        self._vcpu.set_stack_pointer(offset)

    def fetch(self, position: int, size: int) -> bytes:
        """Code from EIP + `position` on: up to `size` bytes, not past the page; faults if none.

        An instruction that needs more fetches again from there, so that no page is touched that
        the instruction does not reach.
        """
        code = self._vcpu.segments[CS]
        offset = (self._vcpu.eip + position) & M32
        if not code.allows(offset, 1):
            raise GuestFault(vectors.GP, 0)
        gva = (code.base + offset) & M32
        size = min(size, 4096 - (gva & 0xFFF))
        while not code.allows(offset, size):
            size -= 1
        gpa = self.translate(gva, write=False, user=self._vcpu.is_user)
        if self.memory.has_ram(gpa, size):
            return self.memory.read_bytes(gpa, size)
        return bytes(self.memory.read(Gpa(gpa + index), 1) for index in range(size))

    def peek_code(self, size: int) -> bytes:
        """Like `fetch` for people: no fault, no accessed bits, nothing from devices."""
        code = bytearray()
        for index in range(size):
            gva = (self._vcpu.segments[CS].base + self._vcpu.eip + index) & M32
            found = peek(self.memory, self._vcpu.paging, Gva(gva))
            if found is None or not self.memory.has_ram(found.gpa, 1):
                break
            code.append(self.memory.read(found.gpa, 1))
        return bytes(code)
