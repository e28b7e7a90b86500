"""Shadow descriptor tables: the real GDT and LDT, as far as the guest may use them.

A descriptor of the guest gets its shadow, at the same index, when the guest first loads it with
success. The shadow differs in three ways: DPL 0 becomes 1, the segment ends where the monitor's
addresses begin, and code that users can return to is not present while the guest's kernel runs:
IRET and RETF to user level, which would not trap, do so then.

Guest frames with shadowed descriptors are traced. A shadow whose original changes is dropped; what
the guest has loaded before stays loaded, as on silicon ("hidden" state).

Source: SDM vol. 3A, "Segment Descriptors", "Segment Registers".
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final, NamedTuple

from hypervisor.addresses import M32, PAGE_MASK, PAGE_SHIFT, Gpa, Gva
from hypervisor.descriptors import SELECTOR_NOT_RPL, SELECTOR_TI, Segment, pack, parse
from hypervisor.guest_memory import GuestMemory
from hypervisor.guest_paging import peek
from hypervisor.ring_compression import layout
from hypervisor.ring_compression.world import World
from hypervisor.segment_loading import descriptor_address
from hypervisor.shadow_paging import ShadowPaging
from hypervisor.technique import StopReason, VmStopped
from hypervisor.vcpu import VirtualCpu
from isa.registers import (
    ATTR_ACCESSED,
    ATTR_CODE,
    ATTR_DPL_SHIFT,
    ATTR_EXPAND_DOWN,
    ATTR_G,
    ATTR_P,
    DS,
    ES,
    FS,
    GS,
)

_DPL: Final = 3 << ATTR_DPL_SHIFT
_USER_RING: Final = 3


# A guest may load any number of different descriptors; this many are remembered.
_MOST_MEANINGS: Final = 4096

DATA_REGISTERS: Final = (ES, DS, FS, GS)


def _content(segment: Segment) -> tuple[int, int, int]:
    """A segment without its selector, as the machine has it once it is loaded."""
    return segment.base, segment.limit, segment.attributes | ATTR_ACCESSED


class Shadow(NamedTuple):
    """One shadowed descriptor.

    Attributes:
        guest: what the guest loads, with selector 0.
        gva: linear address of the guest's descriptor.
        places: guest-physical addresses of its two halves.
        low, high: of the shadow.
        is_user_code: whether code at user level can be reached through it.
    """

    guest: Segment
    gva: int
    places: tuple[Gpa, Gpa]
    low: int
    high: int
    is_user_code: bool


def deprivileged(segment: Segment, ring: int | None = None) -> tuple[int, int]:
    """The shadow of a segment: as the guest's kernel may have it, or for one ring exactly.

    Raises VmStopped for a segment that cannot be kept out of the monitor's addresses.
    """
    base, limit, attributes = segment.base, segment.limit, segment.attributes
    if ring is not None:
        attributes = attributes & ~_DPL | ring << ATTR_DPL_SHIFT
        if attributes & ATTR_CODE:
            attributes &= ~ATTR_EXPAND_DOWN  # the level is known: no need to conform
    elif not attributes & _DPL:
        attributes |= 1 << ATTR_DPL_SHIFT
    expands_down = attributes & (ATTR_CODE | ATTR_EXPAND_DOWN) == ATTR_EXPAND_DOWN
    last = segment.offset_mask if expands_down else limit
    room = layout.MONITOR_BASE - base  # bytes before the monitor's addresses
    if room <= 0 or (expands_down and last >= room):
        raise VmStopped(
            StopReason.ERROR,
            f"a segment at {base:#x} with limit {limit:#x} needs the monitor's addresses",
        )
    if last >= room:
        limit = room - 1
        if attributes & ATTR_G:
            limit = (limit + 1 & ~0xFFF) - 1
            if limit < 0:
                return deprivileged(segment._replace(attributes=attributes & ~ATTR_G), ring)
    return pack(base, limit, attributes)


class ShadowDescriptors:
    """The guest's part of the real descriptor tables."""

    def __init__(
        self,
        world: World,
        vcpu: VirtualCpu,
        memory: GuestMemory,
        paging: ShadowPaging,
    ) -> None:
        self._world = world
        self._vcpu = vcpu
        self._memory = memory
        self._paging = paging
        self._shadows: dict[int, Shadow] = {}
        self._in_frame: defaultdict[int, set[int]] = defaultdict(set)
        self._user_code: set[int] = set()
        self._is_user_mode = False
        self.drops = 0  # how often a shadow was forgotten
        self._meanings: dict[tuple[int, int, int], Segment] = {}
        memory.on_write(self.written)

    # --- finding and filling -------------------------------------------------------------------

    def find(self, selector: int, guest: Segment) -> bool:
        """Whether the shadow at a selector stands for exactly this segment."""
        shadow = self._shadows.get(selector & SELECTOR_NOT_RPL)
        return shadow is not None and shadow.guest[1:] == guest[1:]

    def segment_at(self, selector: int) -> Segment:
        """What the guest has loaded into CS or SS by itself, through a shadowed descriptor."""
        shadow = self._shadows.get(selector & SELECTOR_NOT_RPL)
        if shadow is None:
            raise VmStopped(
                StopReason.ERROR,
                f"the guest loaded selector {selector:#06x}, which is the monitor's",
            )
        return shadow.guest._replace(selector=selector)

    def fill(self, selector: int, guest: Segment) -> bool:
        """Make the shadow of a descriptor that was just loaded; False if it says something else."""
        key = selector & SELECTOR_NOT_RPL
        if key & 0xFFF8 >= 8 * layout.RESERVED_INDEX and not key & SELECTOR_TI:
            raise VmStopped(
                StopReason.ERROR, f"selector {selector:#06x} lies where the monitor keeps its own"
            )
        if self.find(selector, guest):
            return True
        gva = descriptor_address(self._vcpu, selector)
        if gva is None:
            return False
        low_place, high_place = self._place(gva), self._place(gva + 4)
        if low_place is None or high_place is None:
            return False
        low, high = self._memory.read(low_place, 4), self._memory.read(high_place, 4)
        found = parse(0, low, high)
        if found[1:] != guest[1:] or not found.is_present:
            return False
        self.drop(key)
        self._enter(key, found, gva, (low_place, high_place))
        return True

    def _place(self, gva: int) -> Gpa | None:
        """Where four bytes of a descriptor are in the guest's RAM; None if nowhere or in two."""
        found = peek(self._memory, self._vcpu.paging, Gva(gva & M32))
        if found is None or not self._memory.has_ram(found.gpa, 4) or gva & 0xFFF > 0xFFC:
            return None
        return found.gpa

    def _enter(self, key: int, guest: Segment, gva: int, places: tuple[Gpa, Gpa]) -> None:
        low, high = deprivileged(guest)
        is_user_code = guest.is_code and (guest.dpl == _USER_RING or guest.is_conforming)
        shadow = Shadow(guest, gva, places, low, high, is_user_code)
        self._shadows[key] = shadow
        for gfn in {place >> PAGE_SHIFT for place in places}:
            self._in_frame[gfn].add(key)
            self._paging.trace(gfn)
        if is_user_code:
            self._user_code.add(key)
        self._write(key, shadow)
        self.remember(low, high, guest)

    def _write(self, key: int, shadow: Shadow) -> None:
        high = shadow.high
        if shadow.is_user_code and not self._is_user_mode:
            high &= ~(ATTR_P << 8)
        self._world.set_descriptor(key, shadow.low, high)

    # --- what loaded segments mean -------------------------------------------------------------

    def remember(self, low: int, high: int, guest: Segment) -> None:
        """Note what a descriptor that the machine may load stands for."""
        if len(self._meanings) >= _MOST_MEANINGS:
            self._forget_meanings()
        self._meanings[_content(parse(0, low, high))] = guest

    def meaning(self, loaded: Segment) -> Segment:
        """What the guest believes to have in a segment register that holds `loaded`.

        A guest that found the selectors by which the monitor shows hidden code and stacks, and
        loaded one as data, has what it loaded: a segment of its own.
        """
        known = self._meanings.get(_content(loaded), loaded)
        return Segment(loaded.selector, known.base, known.limit, known.attributes)

    def _forget_meanings(self) -> None:
        """Keep the meanings of what is in the tables or in a segment register."""
        kept = {_content(parse(0, shadow.low, shadow.high)) for shadow in self._shadows.values()}
        kept |= {_content(self._world.data_segment(register)) for register in DATA_REGISTERS}
        self._meanings = {key: self._meanings[key] for key in kept & self._meanings.keys()}

    # --- modes ---------------------------------------------------------------------------------

    def set_user_mode(self, is_user: bool) -> None:
        """Show user code while the guest's users run, hide it while its kernel does."""
        if is_user == self._is_user_mode:
            return
        self._is_user_mode = is_user
        for key in self._user_code:
            self._write(key, self._shadows[key])

    # --- coherence -----------------------------------------------------------------------------

    def written(self, gpa: Gpa, size: int) -> None:
        """Drop the shadows whose originals a write has changed."""
        keys = self._in_frame.get(gpa >> PAGE_SHIFT)
        if not keys:
            return
        for key in list(keys):
            shadow = self._shadows[key]
            if any(gpa < place + 4 and place < gpa + size for place in shadow.places):
                low, high = (self._memory.read(place, 4) for place in shadow.places)
                if parse(0, low, high) != shadow.guest:
                    self.drop(key)

    def verify(self) -> None:
        """Drop the shadows whose originals the guest's page tables now put elsewhere."""
        pages: dict[int, Gpa | None] = {}  # all descriptors of a table lie on a page or two
        for key, shadow in list(self._shadows.items()):
            for part, place in enumerate(shadow.places):
                gva = shadow.gva + 4 * part & M32
                page = gva & PAGE_MASK
                if page not in pages:
                    pages[page] = self._place(page)
                if pages[page] != place - (gva - page):
                    self.drop(key)
                    break

    def drop_tables(self) -> None:
        """The guest has loaded GDTR or LDTR: nothing is known any more."""
        for key in list(self._shadows):
            self.drop(key)

    def drop(self, key: int) -> None:
        """Forget one shadow."""
        shadow = self._shadows.get(key)
        if shadow is None:
            return
        del self._shadows[key]
        self.drops += 1
        self._user_code.discard(key)
        for gfn in {place >> PAGE_SHIFT for place in shadow.places}:
            self._in_frame[gfn].discard(key)
            self._paging.untrace(gfn)
        self._world.set_descriptor(key, 0, 0)
