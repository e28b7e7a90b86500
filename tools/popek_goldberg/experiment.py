"""One instruction executed once in one state, and two executions compared.

**Trap.** Popek and Goldberg's trap gives control to the supervisor before the instruction has done
anything. On x86 that is a fault: an exception that arrives at its handler with the instruction not
retired. INT n, INT3, INTO and INT1 reach a handler too, but they have retired by then; they are
transfers of control that complete. So is a far call through a gate.

**Memory trap.** Their memory trap, an address outside the bounds, is #PF, #AC, and #SS(0). (The
states are made such that no operand lies beyond a segment limit, so #GP is never about that.)
States with a memory trap say nothing and are left out, as in the paper.

**What is compared.** The whole state array but for the counts of instructions and cycles, all of
memory, and what the instruction asked the outside world for. Before the comparison relocation is
undone: memory that stands for other memory is renamed to it, and a register that keeps its initial
value counts as unchanged whatever that value is.

Source: Popek and Goldberg, "Formal Requirements"; SDM vol. 3A, "Exception Classifications".
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isa import registers as r
from isa import state, vectors, workspace
from isa.cpu_models import CpuModel
from isa.exits import Exit
from isa.host_calls import flush_tlb, refresh
from isa.processor import Processor
from tools.popek_goldberg import world
from tools.popek_goldberg.instances import DATA_OFFSETS, Instance
from tools.popek_goldberg.operands import MEMORY_BYTES, STACK_BYTES, Context
from tools.popek_goldberg.states import (
    RESOURCES,
    Mode,
    Moved,
    Setting,
    Template,
    Words,
    applicable,
    make_template,
)
from tools.popek_goldberg.world import Image

COMPLETES: Final = "completes"
TRAPS: Final = "traps"
MEMORY_TRAP: Final = "memory trap"
STOPS: Final = "stops the processor"

RAM_BYTES: Final = 1 << 20
DEVICE_VALUES: Final = (0x12345678, 0x87654321)  # what ports answer, at home and moved
SCALARS: Final = 128  # words of the workspace before its tables
# Generations only grow: what was made in an earlier one is forgotten.
GENERATIONS: Final = np.array(
    [workspace.EPOCH, workspace.TLB_BASE, workspace.TLB_GLOBAL_BASE, workspace.JUMP_BASE]
)
_ONE_MORE: Final = np.array([1, 0, 0, 0])  # flush_tlb() sees to the others
# The code of the probe: mov al, [operand's page + 0x800], in 32- and 16-bit code.
PROBE_OFFSET: Final = 0x800
PROBE_PAGE: Final = 0x7000
PROBE_VALUES: Final = (0x11, 0x22)  # in the frame that the tables meant first, and mean now

_MEMORY_VECTORS: Final = (vectors.PF, vectors.AC)
_HANDLERS_END: Final = world.HANDLERS + 256 * world.HANDLER_BYTES

# EFLAGS bits that belong to R; the others are the program's own.
SYSTEM_FLAGS: Final = (
    r.EFLAGS_IF | r.EFLAGS_IOPL | r.EFLAGS_VM | r.EFLAGS_VIF | r.EFLAGS_VIP | r.EFLAGS_RF
)


def _resource_mask() -> Words:
    """Bits of the state that belong to M and R."""
    mask = np.zeros(state.WORDS, np.int64)
    mask[state.SELECTOR : state.FEATURES] = -1
    mask[state.EFLAGS] = SYSTEM_FLAGS
    mask[state.TSC_OFFSET] = -1
    mask[state.HALTED] = -1
    mask[state.SHADOW_AT] = -1
    return mask


def _addresses() -> NDArray[np.bool_]:
    """Words that are a value, and not a set of bits that each mean something."""
    values = np.ones(state.WORDS, np.bool_)
    for word in (state.EFLAGS, state.CR0, state.CR4, state.DR + 6, state.DR + 7):
        values[word] = False
    return values


RESOURCE_MASK: Final = _resource_mask()
_ADDRESSES: Final = _addresses()


@dataclass(frozen=True, eq=False)
class Outcome:
    """What an instruction did.

    Attributes:
        kind: COMPLETES, TRAPS, MEMORY_TRAP or STOPS.
        vector: of a trap.
        before, after: the state array; SHADOW_AT is 1 while interrupts are held off.
        stored: (linear address at home, new value, old value) of all quadwords that changed.
        asked: (exit, details) of what the outside world had to do, or ().
    """

    template: Template
    kind: str
    before: Words
    after: Words
    vector: int = -1
    stored: tuple[tuple[int, int, int], ...] = ()
    asked: tuple[int, ...] = ()

    @property
    def completes(self) -> bool:
        return self.kind == COMPLETES

    @property
    def changes_resources(self) -> bool:
        """Whether M or R changed, or a device was used."""
        changed = (self.before ^ self.after) & RESOURCE_MASK
        return bool(self.asked) or bool(changed.any())


def differing_bits(one: Outcome, other: Outcome) -> Words:
    """Bits of the state array in which two completed instructions differ in effect.

    An address or selector that is kept counts as what it is at home; so does every bit that both
    executions leave alone.
    """
    kept = (other.after == other.before) & (other.before != one.before) & _ADDRESSES
    final = np.where(kept, one.before, other.after)
    changed = (one.after ^ one.before) | (other.after ^ other.before)
    result: Words = (one.after ^ final) & changed
    result[one.after == other.after] = 0  # both ended at the same place, wherever they began
    return result


def differ(one: Outcome, other: Outcome) -> bool:
    """Whether two completed instructions had different effects, relocation undone."""
    if one.stored != other.stored or one.asked != other.asked:
        return True
    return bool(differing_bits(one, other).any())


Runner = Callable[[Processor], Exit]


def run_one(processor: Processor) -> Exit:
    """Execute one instruction. Tests put other processors in this one's place."""
    return processor.run(1)


@dataclass
class Laboratory:
    """A machine that is put into a state, executes one instruction, and is looked at."""

    model: CpuModel
    run: Runner = run_one
    processor: Processor = field(init=False)
    executed: int = 0

    def __post_init__(self) -> None:
        self.processor = Processor(RAM_BYTES, model=self.model)
        self.processor.drop_derived()
        self._scalars = self.processor.core[:SCALARS].copy()
        self._templates: dict[tuple[Mode, Setting, Moved], Template] = {}
        self._resources: dict[Mode, Moved] = {}
        self._image: Image = np.zeros(world.SPACE, np.uint8)
        self._view = self._image.data

    def resources(self, mode: Mode) -> Moved:
        """The resources that this model has and this mode lets move."""
        if mode not in self._resources:
            found = tuple(part for part in RESOURCES if applicable(part, mode, self.model))
            self._resources[mode] = found
        return self._resources[mode]

    def template(self, mode: Mode, setting: Setting, moved: Moved = ()) -> Template:
        """The state of a mode, a setting and moved resources, made once."""
        key = (mode, setting, moved)
        if key not in self._templates:
            self._templates[key] = make_template(self.model, *key)
        return self._templates[key]

    def execute(self, template: Template, instance: Instance, context: Context) -> Outcome:
        """Execute an instruction in a state and say what it did."""
        self._load(template, instance.code[template.mode.bits], context)
        before = self.processor.cpu.copy()
        kind, vector, asked = self._step(template)
        self.executed += 1
        if kind != COMPLETES:
            return Outcome(template, kind, before, before, vector)
        after = self.processor.cpu.copy()
        after[state.SHADOW_AT] = int(after[state.SHADOW_AT] == self.processor.retired_total)
        after[state.RETIRED : state.WORDS] = before[state.RETIRED : state.WORDS]
        before[state.SHADOW_AT] = 0
        return Outcome(template, kind, before, after, -1, self._stored(template), asked)

    def _load(self, template: Template, code: bytes, context: Context) -> None:
        """Put the machine into a state; nothing derived is left of the one before."""
        bits, shift = template.mode.bits, template.shift
        image, view = self._image, self._view
        image[:] = template.image
        view[world.CODE : world.CODE + len(code)] = code
        view[world.DATA : world.DATA + MEMORY_BYTES] = context.memory
        view[world.STACK : world.STACK + STACK_BYTES] = context.stack[bits]
        if shift:
            world.copy_segments(image)
        at = template.frames_at
        self.processor.ram[at : at + world.SPACE] = image
        self._forget(at)
        cpu = self.processor.cpu
        cpu[:] = template.words
        cpu[state.GPR : state.GPR + 8] = context.register_array(bits)
        cpu[state.EFLAGS] |= context.flags
        refresh(cpu, self.processor.core)

    def _forget(self, frames_at: int) -> None:
        """Drop what was derived from the last state, without touching the large tables."""
        core, marks = self.processor.core, self.processor.marks
        kept = core[GENERATIONS]
        core[:SCALARS] = self._scalars
        core[GENERATIONS] = kept + _ONE_MORE
        flush_tlb(core)
        marks[frames_at : frames_at + world.SPACE] = 0
        pages = RAM_BYTES + (frames_at >> 12)
        marks[pages : pages + (world.SPACE >> 12)] = 0

    def _step(self, template: Template) -> tuple[str, int, tuple[int, ...]]:
        """Run until one instruction is done: the kind, the vector of a trap, what it asked for."""
        processor = self.processor
        asked: tuple[int, ...] = ()
        reason = self.run(processor)
        if reason in (Exit.PORT_IN, Exit.PORT_OUT, Exit.PORT_STRING):
            asked = (int(reason), *processor.detail)
            value = DEVICE_VALUES[template.device_moved]
            if reason is Exit.PORT_IN:
                processor.complete_port_read(processor.detail[1], value)
                asked = asked[:-1]
            elif reason is Exit.PORT_STRING:
                processor.answer_read(value)
                asked = asked[:-1]
                self.run(processor)
        elif reason is Exit.TRAPDOOR:
            asked = (int(reason), processor.detail[0])
        elif reason is not Exit.BUDGET and reason is not Exit.HALT:
            return STOPS, -1, (int(reason),)
        return (*self._arrival(), asked)

    def _arrival(self) -> tuple[str, int]:
        """COMPLETES, or the trap whose handler has executed its first instruction.

        A handler that has not executed anything was reached by an instruction that retired.
        """
        cpu = self.processor.cpu
        offset = int(cpu[state.EIP]) - world.HANDLERS
        inside = cpu[state.SELECTOR + r.CS] == world.HANDLER_CODE and cpu[state.CPL] == 0
        if not inside or not 0 <= offset < 256 * world.HANDLER_BYTES:
            return COMPLETES, -1
        vector, steps = divmod(offset, world.HANDLER_BYTES)
        if steps == 0:
            return COMPLETES, -1
        error = self.processor.core[workspace.FAULT_ERROR]
        is_memory = vector in _MEMORY_VECTORS or (vector == vectors.SS and error == 0)
        return MEMORY_TRAP if is_memory else TRAPS, vector

    def _stored(self, template: Template) -> tuple[tuple[int, int, int], ...]:
        """All memory that changed: quadwords at their address at home, with the old value."""
        at = template.frames_at
        memory = self.processor.ram[at : at + world.SPACE].view(np.int64)
        image = self._image.view(np.int64)
        changed = (memory != image).nonzero()[0]
        if not changed.size:
            return ()
        places = [_home(place * 8, template.moved) for place in changed.tolist()]
        new, old = memory[changed].tolist(), image[changed].tolist()
        return tuple(sorted(zip(places, new, old, strict=True)))

    def keeps_translations(
        self, template: Template, instance: Instance, context: Context
    ) -> bool | None:
        """Whether a translation that is stale outlives the instruction; None if it traps.

        The page of the memory operand is used, then mapped elsewhere behind the back of the
        processor, then the instruction is executed, then the page is looked at.
        """
        bits = template.mode.bits
        probe = b"\xa0" + (DATA_OFFSETS[bits] + PROBE_OFFSET).to_bytes(bits // 8, "little")
        self._load(template, probe, context)
        ram, cpu = self.processor.ram, self.processor.cpu
        cpu_before = cpu.copy()
        ram[PROBE_PAGE : PROBE_PAGE + 0x1000] = ram[world.DATA : world.DATA + 0x1000]
        ram[world.DATA + PROBE_OFFSET] = PROBE_VALUES[0]
        ram[PROBE_PAGE + PROBE_OFFSET] = PROBE_VALUES[1]
        self.run(self.processor)
        entry = world.TABLE + 4 * (world.DATA >> 12)
        _put(ram, entry, (PROBE_PAGE | 0x67).to_bytes(4, "little"))
        self._replace_code(cpu_before, instance.code[bits])
        if self._step(template)[0] != COMPLETES:
            return None
        self._replace_code(cpu_before, probe)
        self.run(self.processor)
        return bool(cpu[state.GPR + r.EAX] & 0xFF == PROBE_VALUES[0])

    def _replace_code(self, words: Words, code: bytes) -> None:
        """Go back to the initial registers with another instruction; the TLB stays."""
        self.processor.cpu[:] = words
        self.processor.write_physical(world.CODE, code)
        self.processor.core[workspace.EPOCH] += 1
        refresh(self.processor.cpu, self.processor.core)


def _put(image: Image, address: int, data: bytes) -> None:
    image[address : address + len(data)] = np.frombuffer(data, np.uint8)


def _home(address: int, moved: Moved) -> int:
    """The address at home of what memory at an address stands for."""
    for resource in moved:
        for first, end, distance in resource.regions:
            if first + distance <= address < end + distance:
                return address - distance
    return address
