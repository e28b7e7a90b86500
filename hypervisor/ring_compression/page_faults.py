"""Page faults of the machine: the guest's own, the monitor's, and writes to traced pages.

    true      the guest's tables do not allow the access: the guest gets the fault
    hidden    they do, but there is no shadow entry yet: it is made, and the guest goes on
    trace     there is, but the page holds something shadowed: the guest writes under watch

For a traced write a *window* is opened: the one shadow entry becomes writable and the guest is
single-stepped over the storing instruction, whichever it is; then the entry is closed and the
shadows are made to agree with what was written. Addresses without memory are handled the same way:
they read as all ones from a frame of the monitor, and what is written there is lost.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple

from hypervisor.accounting import Accounts
from hypervisor.addresses import PAGE_SHIFT, Gpa, Gva
from hypervisor.emulation.emulator import Decoder
from hypervisor.guest_memory import GuestMemory
from hypervisor.guest_paging import Translation, walk
from hypervisor.ring_compression import layout
from hypervisor.ring_compression.shadow_descriptors import ShadowDescriptors
from hypervisor.ring_compression.world import World
from hypervisor.shadow_paging import Mapping, ShadowPaging
from hypervisor.vcpu import VirtualCpu
from isa.vectors import PF_WRITE


class Answer(Enum):
    """What is to happen after a page fault that is not the guest's own."""

    RESUME = auto()
    EMULATE = auto()  # the instruction cannot be let run natively


class _Opened(NamedTuple):
    """One shadow entry the guest may write through for an instruction. gfn -1: open bus."""

    mapping: Mapping
    gfn: int


# String instructions that, repeated, fill pages: what is filled is not a page table in use.
_FILLING: Final = frozenset({"STOS", "MOVS", "INS"})
# Instructions that would show the monitor's trap flag while the guest is stepped.
_REVEALING: Final = frozenset({"PUSHF"})

_OPEN_BUS: Final = -1


class PageFaults:
    """Handles page faults of one virtual processor."""

    def __init__(
        self,
        world: World,
        vcpu: VirtualCpu,
        memory: GuestMemory,
        paging: ShadowPaging,
        descriptors: ShadowDescriptors,
        decoder: Decoder,
        accounts: Accounts,
    ) -> None:
        self._world = world
        self._vcpu = vcpu
        self._memory = memory
        self._paging = paging
        self._descriptors = descriptors
        self._decoder = decoder
        self._accounts = accounts
        self._window: list[_Opened] = []

    @property
    def is_window_open(self) -> bool:
        """Whether the guest is to be stepped over one instruction."""
        return bool(self._window)

    def handle(self, gva: Gva, error: int) -> Answer:
        """Answer a page fault; raises GuestFault if it is the guest's own."""
        vcpu = self._vcpu
        write, user = bool(error & PF_WRITE), vcpu.is_user
        found = walk(self._memory, vcpu.paging, gva, write=write, user=user)
        if gva >= layout.MONITOR_BASE or self._is_device(found.gpa):
            return Answer.EMULATE
        self._accounts.charge("shadow_fill")
        gfn = found.gpa >> PAGE_SHIFT
        if write and not self._memory.has_ram(found.gpa, 1):
            self._accounts.exits["open_bus"] += 1
            return self._open(gva, found, _OPEN_BUS, user=user)
        if write and self._paging.is_traced(gfn):
            return self._trace(gva, found, gfn, user=user)
        self._accounts.exits["page_fault_hidden"] += 1
        self._paging.fill(vcpu.paging, gva, found, write=write, user=user)
        return Answer.RESUME

    def _is_device(self, gpa: Gpa) -> bool:
        return not self._memory.has_ram(gpa, 1) and self._memory.has_device(gpa)

    def _trace(self, gva: Gva, found: Translation, gfn: int, *, user: bool) -> Answer:
        """The guest writes a page that something is derived from."""
        self._accounts.exits["trace"] += 1
        self._accounts.charge("decode")
        instruction = self._decoder.next_instruction()
        operation = instruction.form.operation
        if operation in _REVEALING:
            return Answer.EMULATE
        if instruction.prefixes.repeat and operation in _FILLING:
            self._paging.forget_tables(gfn)
            self._paging.fill(self._vcpu.paging, gva, found, write=True, user=user)
            if not self._paging.is_traced(gfn):  # it is again if the page maps itself
                return Answer.RESUME
        return self._open(gva, found, gfn, user=user)

    def _open(self, gva: Gva, found: Translation, gfn: int, *, user: bool) -> Answer:
        mapping = self._paging.fill(self._vcpu.paging, gva, found, write=True, user=user)
        self._paging.open_window(mapping)
        self._window.append(_Opened(mapping, gfn))
        return Answer.RESUME

    def close_window(self) -> None:
        """End the watch: protect again, and make the shadows agree with what was written."""
        opened, self._window = self._window, []
        for entry in opened:
            self._paging.close_window(entry.mapping)
        for gfn in {entry.gfn for entry in opened}:
            if gfn == _OPEN_BUS:
                self._world.fill_open_bus()
            else:
                self._accounts.charge("trace")
                self._paging.written_by_guest(gfn)
                self._descriptors.written(Gpa(gfn << PAGE_SHIFT), 1 << PAGE_SHIFT)
