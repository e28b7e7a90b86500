"""Generated machine states: modes, resources, and the states that differ in one of them only.

Popek and Goldberg's state is S = (E, M, P, R). Here
  M, the mode, is CPL 0 (supervisor), CPL 1, 2, 3 and virtual-8086 mode (user), with what encodes
     it: RPL and DPL of CS and SS;
  R, what the owner of the machine allots, is every other system register: GDTR, IDTR, LDTR, TR, the
     segment registers, CR0 to CR4, debug and model-specific registers, the system flags (IF, IOPL,
     VM, VIF, VIP, RF), the I/O permission bit map, time, and the devices behind ports;
  E and P are the rest: general registers, status flags, memory, EIP.
A state is made from a mode, a *setting* (what decides about traps of user mode) and a set of
*moved* resources. Moving a resource moves the memory it stands for along, as a monitor would.

Source: as above; SDM vol. 3A, "System Registers", "Memory-Management Registers".
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isa import registers as r
from isa import state
from isa.cpu_models import CpuModel
from isa.features import defined_cr0, defined_cr4, defined_eflags
from tools.popek_goldberg import world
from tools.popek_goldberg.world import Image

Words = NDArray[np.int64]


@dataclass(frozen=True)
class Mode:
    """A value of M. `bits`: size of code; `paragraphs`: segments are based as in 8086 mode."""

    name: str
    level: int
    bits: int = 32
    paragraphs: bool = False
    virtual: bool = False


RINGS: Final = tuple(Mode(f"CPL {level}", level) for level in range(4))
SUPERVISOR_16: Final = Mode("CPL 0 (16-bit)", 0, 16, paragraphs=True)
VIRTUAL_8086: Final = Mode("virtual-8086", 3, 16, paragraphs=True, virtual=True)
SUPERVISORS: Final = (RINGS[0], SUPERVISOR_16)
USERS: Final = (RINGS[3], RINGS[1], RINGS[2], VIRTUAL_8086)


def supervisor_of(mode: Mode) -> Mode:
    """The supervisor mode that differs from a user mode in nothing else."""
    return SUPERVISOR_16 if mode.paragraphs else RINGS[0]


@dataclass(frozen=True)
class Setting:
    """What the supervisor has decided about traps of user mode."""

    iopl: int
    ports_open: bool
    tsd: bool
    pce: bool

    @property
    def permits(self) -> tuple[str, ...]:
        """What is not as strict as can be, in words."""
        said = (
            ("IOPL 3", self.iopl),
            ("ports open", self.ports_open),
            ("CR4.TSD clear", not self.tsd),
            ("CR4.PCE set", self.pce),
        )
        return tuple(words for words, applies in said if applies)

    def stricter(self) -> "list[Setting]":
        """Settings that permit one thing less."""
        found = [
            replace(self, iopl=0),
            replace(self, ports_open=False),
            replace(self, tsd=True),
            replace(self, pce=False),
        ]
        return [setting for setting in found if setting != self]


CLOSED: Final = Setting(0, ports_open=False, tsd=True, pce=False)
OPEN: Final = Setting(3, ports_open=True, tsd=False, pce=True)
# Each condition of these differs from every other one in some setting.
SETTINGS: Final = (
    CLOSED,
    OPEN,
    Setting(0, ports_open=True, tsd=False, pce=False),
    Setting(0, ports_open=False, tsd=False, pce=True),
    Setting(3, ports_open=False, tsd=True, pce=False),
)


@dataclass(frozen=True)
class Resource:
    """Something allotted that can be elsewhere (or otherwise) without the program's doing.

    Attributes:
        toggles: (word of the state, bits that change).
        regions: (first, end, distance): memory at first + distance … stands for that at first ….
        paragraphs: whether it can be moved where selectors say where segments begin.
        place: True for where things are, False for how control bits are set.
    """

    name: str
    toggles: tuple[tuple[int, int], ...] = ()
    regions: tuple[tuple[int, int, int], ...] = ()
    paragraphs: bool = True
    place: bool = True


_MOVE = world.SEGMENT_DISTANCE
_FIRST, _END = world.SEGMENT_PAGES
_PROGRAM: Final = (r.CS, r.SS, r.DS, r.ES, r.FS, r.GS)


def _table(name: str, word: int, places: tuple[int, int], size: int) -> Resource:
    toggle = (word, places[0] ^ places[1])
    region = (places[0], places[0] + size, places[1] - places[0])
    return Resource(name, (toggle,), (region,))


def _system_segment(
    name: str, segment: int, selectors: tuple[int, int], places: tuple[int, int], size: int
) -> Resource:
    moved = _table(name, state.BASE + segment, places, size)
    toggle = (state.SELECTOR + segment, selectors[0] ^ selectors[1])
    return Resource(name, (toggle, *moved.toggles), moved.regions)


SEGMENT_BASES: Final = Resource(
    "segment bases",
    tuple((state.BASE + segment, _MOVE) for segment in _PROGRAM),
    ((_FIRST, _END, _MOVE),),
    paragraphs=False,
)
SEGMENT_LIMITS: Final = Resource(
    "segment limits",
    tuple((state.LIMIT + segment, world.FULL_LIMIT ^ world.SHORT_LIMIT) for segment in _PROGRAM),
    paragraphs=False,
)
TIME: Final = "the time-stamp counter"
PAGING: Final = Resource("CR3", ((state.CR3, world.FRAMES_AWAY),))
DEVICES: Final = Resource("the device")

PLACES: Final = (
    _table("GDTR", state.GDTR_BASE, world.GDT, world.GDT_BYTES),
    _table("IDTR", state.IDTR_BASE, world.IDT, world.IDT_BYTES),
    _system_segment("LDTR", r.LDTR, world.TABLES, world.LDT, world.LDT_BYTES),
    _system_segment("TR", r.TR, world.TASKS, world.TSS, world.TSS_BYTES),
    Resource(
        "selectors of the same segments",
        tuple((state.SELECTOR + segment, world.ALIAS) for segment in _PROGRAM),
        paragraphs=False,
    ),
    SEGMENT_LIMITS,
    SEGMENT_BASES,
    PAGING,
    DEVICES,
    Resource(TIME, ((state.TSC_OFFSET, 0x123456000),)),
    Resource("CR2", ((state.CR2, 0x1000),)),
    Resource("IA32_SYSENTER_CS", ((state.SYSENTER_CS, 0x20),)),
    Resource("IA32_SYSENTER_ESP", ((state.SYSENTER_ESP, 0x100),)),
    Resource("IA32_SYSENTER_EIP", ((state.SYSENTER_EIP, 0x40),)),
    Resource("IA32_APIC_BASE", ((state.APIC_BASE, 0x1800),)),
    Resource("DR0-DR3", tuple((state.DR + number, 0x40) for number in range(4))),
    Resource("DR6", ((state.DR + 6, r.DR6_BS),)),
    Resource("DR7", ((state.DR + 7, 0x30000),)),
)


def _bit(name: str, word: int, mask: int) -> Resource:
    return Resource(name, ((word, mask),), place=False)


SWITCHES: Final = (
    _bit("IF", state.EFLAGS, r.EFLAGS_IF),
    _bit("IOPL", state.EFLAGS, 1 << r.IOPL_SHIFT),
    _bit("VIF", state.EFLAGS, r.EFLAGS_VIF),
    _bit("VIP", state.EFLAGS, r.EFLAGS_VIP),
    _bit("CR0.TS", state.CR0, r.CR0_TS),
    _bit("CR0.EM", state.CR0, r.CR0_EM),
    _bit("CR0.MP", state.CR0, r.CR0_MP),
    _bit("CR0.NE", state.CR0, r.CR0_NE),
    _bit("CR0.WP", state.CR0, r.CR0_WP),
    _bit("CR0.AM", state.CR0, r.CR0_AM),
    _bit("CR0.CD", state.CR0, r.CR0_CD),
    _bit("CR4.DE", state.CR4, r.CR4_DE),
    _bit("CR4.PSE", state.CR4, r.CR4_PSE),
    _bit("CR4.MCE", state.CR4, r.CR4_MCE),
    _bit("CR4.PGE", state.CR4, r.CR4_PGE),
)
RESOURCES: Final = (*PLACES, *SWITCHES)


def applicable(resource: Resource, mode: Mode, model: CpuModel) -> bool:
    """Whether a machine of this model has the resource, and this mode lets it be moved."""
    if mode.paragraphs and not resource.paragraphs:
        return False
    defined = {
        state.EFLAGS: defined_eflags(model.features),
        state.CR0: defined_cr0(model.features),
        state.CR4: defined_cr4(model.features),
    }
    return all(mask & defined.get(word, mask) for word, mask in resource.toggles)


def held_bits(model: CpuModel) -> int:
    """Bits of CR4 that a variant of the processor is named after, and that are always set."""
    held = r.CR4_UMIP if model.features & r.FEATURE_UMIP else 0
    return held | (r.CR4_PVI if model.features & r.FEATURE_PVI else 0)


# What is moved; in order, so that two equal sets are one key.
Moved = tuple[Resource, ...]


@dataclass(frozen=True, eq=False)
class Template:
    """A machine state that waits for an instruction and the values it works on.

    Attributes:
        words: the state array; general registers are still zero.
        image: linear memory.
        frames_at: physical address of the frames.
        shift: distance of code, data and stack from home.
        device_moved: whether ports answer otherwise.
    """

    mode: Mode
    setting: Setting
    moved: Moved
    words: Words
    image: Image
    frames_at: int
    shift: int
    device_moved: bool


def make_template(model: CpuModel, mode: Mode, setting: Setting, moved: Moved) -> Template:
    """Build the state of a mode, a setting and a set of moved resources."""
    words = state.new_state()
    model.install(words)
    _set_system_registers(words, model, setting)
    if mode.paragraphs:
        _set_paragraph_segments(words, mode)
    else:
        _set_ring_segments(words, mode)
    for resource in moved:
        for word, mask in resource.toggles:
            words[word] ^= mask
    image = world.new_image()
    base = world.SEGMENT_DISTANCE if SEGMENT_BASES in moved else 0
    limit = world.SHORT_LIMIT if SEGMENT_LIMITS in moved else world.FULL_LIMIT
    world.put_descriptors(image, world.program_segments(base, limit), alias=True)
    frames_at = world.FRAMES_AWAY if PAGING in moved else 0
    world.put_page_tables(image, frames_at)
    if setting.ports_open:
        for place in world.TSS:
            world.put(image, place + world.PORT_MAP, bytes(0x20))
    return Template(mode, setting, moved, words, image, frames_at, base, DEVICES in moved)


def _set_system_registers(words: Words, model: CpuModel, setting: Setting) -> None:
    words[state.CR0] = r.CR0_PE | r.CR0_PG | r.CR0_ET
    words[state.CR3] = world.DIRECTORY
    words[state.CR4] = held_bits(model)
    defined = defined_cr4(model.features)
    words[state.CR4] |= (r.CR4_TSD if setting.tsd else 0) & defined
    words[state.CR4] |= (r.CR4_PCE if setting.pce else 0) & defined
    words[state.EFLAGS] = r.EFLAGS_FIXED | r.EFLAGS_IF | setting.iopl << r.IOPL_SHIFT
    words[state.GDTR_BASE], words[state.GDTR_LIMIT] = world.GDT[0], world.GDT_BYTES - 1
    words[state.IDTR_BASE], words[state.IDTR_LIMIT] = world.IDT[0], world.IDT_BYTES - 1
    words[state.SYSENTER_CS] = world.SYSTEM_CALLS[0]
    words[state.SYSENTER_ESP] = world.INNER_STACKS[0]
    words[state.SYSENTER_EIP] = world.TARGET
    words[state.CR2] = 0x2000
    tables = (
        (r.LDTR, world.TABLES, world.LDT, world.LDT_BYTES, world.TYPE_LDT),
        (r.TR, world.TASKS, world.TSS, world.TSS_BYTES, world.TYPE_TSS_BUSY),
    )
    for segment, selectors, places, size, kind in tables:
        words[state.SELECTOR + segment] = selectors[0]
        words[state.BASE + segment] = places[0]
        words[state.LIMIT + segment] = size - 1
        words[state.ATTRIBUTES + segment] = kind | r.ATTR_P


def _set_segment(words: Words, segment: int, selector: int, base: int, attribute: int) -> None:
    words[state.SELECTOR + segment] = selector
    words[state.BASE + segment] = base
    words[state.LIMIT + segment] = world.FULL_LIMIT if attribute & r.ATTR_G else 0xFFFF
    words[state.ATTRIBUTES + segment] = attribute


def _set_ring_segments(words: Words, mode: Mode) -> None:
    level = mode.level
    words[state.CPL] = level
    words[state.EIP] = world.CODE
    code = world.attributes(world.ACCESS_CODE, level)
    _set_segment(words, r.CS, world.CODES[level] | level, 0, code)
    stack = world.attributes(world.ACCESS_DATA, level)
    _set_segment(words, r.SS, world.STACKS[level] | level, 0, stack)
    for segment in (r.DS, r.ES, r.FS, r.GS):
        data = world.attributes(world.ACCESS_DATA, 3)
        _set_segment(words, segment, world.DATA3 | 3, 0, data)


def _set_paragraph_segments(words: Words, mode: Mode) -> None:
    """16-bit segments whose selector says where they begin, in the mode where that is the rule.

    And in the one where descriptors happen to say the same.
    """
    words[state.CPL] = mode.level
    words[state.EIP] = world.CODE - (world.PARAGRAPHS[0] << 4)
    if mode.virtual:
        words[state.EFLAGS] |= r.EFLAGS_VM
    for place, segment in enumerate((r.CS, r.DS, r.SS, r.ES, r.FS, r.GS)):
        selector = world.PARAGRAPHS[0] + 8 * place
        access = world.ACCESS_CODE if segment == r.CS and not mode.virtual else world.ACCESS_DATA
        attribute = world.attributes(access, mode.level, wide=False)
        _set_segment(words, segment, selector, selector << 4, attribute)
