"""The same state in a machine and in a virtual processor, for what silicon and software do with it.

Memory: GDT at 0x1000, IDT at 0x2000, TSS at 0x5000, code at 0x4000, handlers at 0x7000, data from
0x10000 on. Every vector has a gate, so that a fault of the machine ends in a handler that stays
where it is, and the same fault of the emulator can be reflected there.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from hypervisor.descriptors import Segment, TableRegister
from hypervisor.emulation.emulator import Decoder, Emulator
from hypervisor.faults import GuestFault
from hypervisor.guest_memory import GuestMemory
from hypervisor.linear_memory import LinearMemory
from hypervisor.reflection import Event, Kind, reflect
from hypervisor.technique import StopReason, VmStopped
from hypervisor.vcpu import VirtualCpu
from isa import state, workspace
from isa.devices.bus import Bus
from isa.exits import Exit
from isa.processor import Processor
from isa.registers import CR0_ET, CR0_PE, CS, ESP, LDTR, SS, TR

RAM_BYTES = 1 << 20
GDT, IDT, TSS, CODE, HANDLER = 0x1000, 0x2000, 0x5000, 0x4000, 0x7000
KERNEL_STACK, STACK = 0x9000, 0x20000
GDT_ENTRIES = (
    (0, 0),
    (0x0000FFFF, 0x00CF9A00),  # 08: code, DPL 0
    (0x0000FFFF, 0x00CF9200),  # 10: data, DPL 0
    (0x0000FFFF, 0x00CFFA00),  # 18: code, DPL 3
    (0x0000FFFF, 0x00CFF200),  # 20: data, DPL 3
    (0x5000_0067, 0x00008900),  # 28: TSS
    (0x3000_003F, 0x00008200),  # 30: LDT
    (0x0000FFFF, 0x000F9B00),  # 38: code, DPL 0, 16-bit, up to 1 MiB
    (0x0000FFFF, 0x00CF1200),  # 40: data, not present
    (0x0000FFFF, 0x00CF9E00),  # 48: conforming code
    (0x0008_0000, 0x0000EC02),  # 50: call gate to 08, two parameters
    (0x0000FFFF, 0x00CF9000),  # 58: read-only data
    (0x2000_0FFF, 0x00409301),  # 60: 4 KiB at 0x12000
    (0x0000FFFF, 0x000FFB00),  # 68: code, DPL 3, 16-bit, up to 1 MiB
)
SELECTORS = (0, 3, 0x08, 0x0B, 0x10, 0x13, 0x18, 0x1B, 0x20, 0x23, 0x28, 0x2B, 0x30, 0x38, 0x40)
SELECTORS += (0x48, 0x4B, 0x50, 0x53, 0x58, 0x60, 0x6B, 0x70, 0x80, 0x04, 0x0C)
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x12345678)
PORT_ANSWER = 0xA5C3E187
MEMORIES = 4  # different contents of memory


def answer(port: int, size: int) -> int:
    """What every port answers."""
    return (PORT_ANSWER + port) & ((1 << 8 * size) - 1)


@dataclass
class Recorder:
    """A host for the emulator that records what it is asked for."""

    completed: int = 0
    written: list[tuple[int, int, int]] = field(default_factory=list)

    def read_port(self, port: int, size: int) -> int:
        """Ports answer by their number."""
        return answer(port, size)

    def write_port(self, port: int, size: int, value: int) -> None:
        """Remember what was written."""
        self.written.append((port, size, value))

    def must_yield(self) -> bool:
        """Never pause a repeated instruction."""
        return False

    def paging_changed(self) -> None:
        """Nothing follows for a host without a machine."""

    def page_invalidated(self, gva: int) -> None:
        """Nothing follows for a host without a machine."""

    def descriptor_tables_changed(self) -> None:
        """Nothing follows for a host without a machine."""

    def apic_moved(self) -> None:
        """IA32_APIC_BASE was written."""

    def breakpoints_changed(self) -> None:
        """Nothing follows for a host without a machine."""


@cache
def _memory(seed: int) -> np.ndarray:
    """Tables and handlers, and data of all sorts; the same for the same seed."""
    chosen = random.Random(seed)
    memory = np.zeros(RAM_BYTES, np.uint8)
    words = memory.view(np.uint32)
    for index, (low, high) in enumerate(GDT_ENTRIES):
        words[GDT // 4 + 2 * index] = low
        words[GDT // 4 + 2 * index + 1] = high
    for vector in range(256):
        dpl = 3 if vector % 2 else 0
        words[IDT // 4 + 2 * vector] = 0x08 << 16 | HANDLER
        words[IDT // 4 + 2 * vector + 1] = 0x8E00 | dpl << 13 | (0x100 if vector % 3 else 0)
    words[0x3000 // 4 + 2] = 0x0000FFFF
    words[0x3000 // 4 + 3] = 0x00CFF200
    words[TSS // 4 + 1] = KERNEL_STACK
    words[TSS // 4 + 2] = 0x10
    words[TSS // 4 + 25] = 0x68 << 16
    memory[HANDLER : HANDLER + 2] = (0xEB, 0xFE)
    for at in range(0x10000, 0x24000, 4):
        words[at // 4] = _word(chosen)
    return memory


def _word(chosen: random.Random) -> int:
    """Something an instruction may find: a selector, a place in the code, a number."""
    kind = chosen.randrange(4)
    if kind == 0:
        return chosen.choice(SELECTORS)
    if kind == 1:
        return CODE + chosen.randrange(0x100)
    return chosen.choice(NUMBERS) if kind == 2 else chosen.getrandbits(32)


class Scene:
    """A starting point for one instruction, drawn at random from a seed."""

    def __init__(self, code: bytes, bits: int, seed: int) -> None:
        chosen = random.Random(seed)
        self.cpl = chosen.choice([0, 0, 3])
        self.code = code
        self.memory = _memory(seed % MEMORIES)  # without the code
        self.gpr = [self._value(chosen) for _ in range(8)]
        self.gpr[ESP] = chosen.choice([STACK, STACK - 2, 0x1FFF0, 2, RAM_BYTES, 0xFFFFFFFE])
        if chosen.random() < 0.5:
            self.gpr[1] = chosen.randrange(6)  # ECX: a short repetition
        iopl = chosen.choice([0, 3])
        self.eflags = 2 | chosen.choice([0, 0x8D5]) | chosen.choice([0, 0x200])
        self.eflags |= iopl << 12 | chosen.choice([0, 0, 0, 0x4000]) | chosen.choice([0, 0x400])
        self.cr0 = CR0_PE | CR0_ET | chosen.choice([0, 8])
        self.cr4 = chosen.choice([0, 4, 8, 0x800, 0x100])
        data = self._segment(chosen.choice([0x20, 0x20, 0x60, 0x58]) | self.cpl)
        if self.cpl == 0 and chosen.random() < 0.1:
            data = Segment(0, 0, 0xFFFFFFFF, 0x1C0F3)
        code_selector = {(32, 0): 0x08, (32, 3): 0x1B, (16, 0): 0x38, (16, 3): 0x6B}[bits, self.cpl]
        stack_selector = 0x23 if self.cpl else 0x10
        self.segments = [data] * 6
        self.segments[CS] = self._segment(code_selector)
        self.segments[SS] = self._segment(stack_selector)
        self.segments.append(self._segment(0x30))
        self.segments.append(Segment(0x28, TSS, 0x67, 0x8B))
        self.sysenter_cs = chosen.choice([0, 0x08])

    @staticmethod
    def _value(chosen: random.Random) -> int:
        kind = chosen.randrange(5)
        if kind == 0:
            return chosen.choice(NUMBERS)
        if kind == 1:
            return chosen.choice(SELECTORS)
        if kind == 2:
            return chosen.choice([0x60, 0x10, 0x174, 0x175, 0x176, 0x1B, 0xFFFFF000])
        return chosen.randrange(0x10000, 0x22000)

    @staticmethod
    def _segment(selector: int) -> Segment:
        from hypervisor.descriptors import parse

        found = parse(selector, *GDT_ENTRIES[selector >> 3])
        return found._replace(attributes=found.attributes | 1) if selector != 0x30 else found


@cache
def _processor() -> Processor:
    return Processor(RAM_BYTES)


def make_processor(scene: Scene) -> Processor:
    """The machine in the state of a scene; there is only one, because making one takes long."""
    processor = _processor()
    processor.core[workspace.REPLAY_COUNT] = 0
    cpu = processor.cpu
    cpu[:] = state.new_state()
    processor.memory[:] = scene.memory
    # Both pages with code are stored as a device would, so that the machine decodes them anew.
    processor.write_physical(HANDLER, scene.memory[HANDLER : HANDLER + 4096].tobytes())
    processor.write_physical(CODE, scene.code.ljust(4096, b"\0"))
    processor.gpr[:] = scene.gpr
    processor.eip = CODE
    processor.eflags = scene.eflags
    for number, segment in enumerate(scene.segments):
        cpu[state.SELECTOR + number] = segment.selector
        cpu[state.BASE + number] = segment.base
        cpu[state.LIMIT + number] = segment.limit
        cpu[state.ATTRIBUTES + number] = segment.attributes
    cpu[state.CPL] = scene.cpl
    cpu[state.CR0], cpu[state.CR4] = scene.cr0, scene.cr4
    cpu[state.GDTR_BASE], cpu[state.GDTR_LIMIT] = GDT, len(GDT_ENTRIES) * 8 - 1
    cpu[state.IDTR_BASE], cpu[state.IDTR_LIMIT] = IDT, 0x7FF
    cpu[state.SYSENTER_CS] = scene.sysenter_cs
    cpu[state.SYSENTER_EIP], cpu[state.SYSENTER_ESP] = HANDLER, KERNEL_STACK
    return processor


def task_switches(processor: Processor) -> int:
    """How often the machine has switched tasks in hardware, which no monitor does for a guest."""
    return int(processor.counts[:, workspace.EVENT_TASK_SWITCH].sum())


def run_processor(processor: Processor) -> tuple[list[tuple[int, int, int]], bool]:
    """One instruction on the machine, devices answered; what was written to ports, and shutdown."""
    written = []
    reason = Exit.BUDGET
    for _ in range(200):
        done = processor.retired_total
        reason = processor.run(1)
        address, size, value = processor.detail
        if reason is Exit.PORT_IN:
            processor.complete_port_read(size, answer(address, size))
            break
        if reason is Exit.PORT_OUT:
            written.append((address, size, value))
        elif reason is Exit.PORT_STRING:
            processor.answer_read(answer(address, size))
        elif reason is Exit.MEMORY_READ:
            processor.answer_read(0xFFFFFFFF)
        elif reason is Exit.MEMORY_WRITE:
            processor.posted_writes()
        elif reason is not Exit.BUDGET:
            break
        if processor.retired_total > done:
            break
    return written, reason is Exit.SHUTDOWN


@cache
def _virtual_ram() -> np.ndarray:
    return np.zeros(RAM_BYTES, np.uint8)


def make_virtual(scene: Scene) -> tuple[VirtualCpu, LinearMemory, Recorder]:
    """A virtual processor in the state of a scene, with its memory."""
    ram = _virtual_ram()
    ram[:] = scene.memory
    ram[CODE : CODE + 4096] = np.frombuffer(scene.code.ljust(4096, b"\0"), np.uint8)
    view = memoryview(ram.data)

    def store(hpa: int, data: bytes) -> None:
        view[hpa : hpa + len(data)] = data

    vcpu = VirtualCpu(
        gpr=list(scene.gpr),
        eip=CODE,
        eflags=scene.eflags,
        cpl=scene.cpl,
        segments=list(scene.segments),
        cr0=scene.cr0,
        cr4=scene.cr4,
        gdtr=TableRegister(GDT, len(GDT_ENTRIES) * 8 - 1),
        idtr=TableRegister(IDT, 0x7FF),
        sysenter_cs=scene.sysenter_cs,
        sysenter_eip=HANDLER,
        sysenter_esp=KERNEL_STACK,
    )
    memory = GuestMemory(view, store, range(RAM_BYTES // 4096), Bus())
    return vcpu, LinearMemory(vcpu, memory), Recorder()


def run_virtual(vcpu: VirtualCpu, linear: LinearMemory, recorder: Recorder) -> StopReason | None:
    """One instruction by the emulator; its faults are reflected. Why it ended, if it did."""
    emulator = Emulator(vcpu, linear, recorder)
    try:
        instruction = Decoder(vcpu, linear).next_instruction()
        while not emulator.execute(instruction):
            pass
    except GuestFault as fault:
        if fault.address is not None:
            vcpu.cr2 = fault.address
        event = Event(fault.vector, fault.error, Kind.HARDWARE, vcpu.eip)
        try:
            reflect(vcpu, linear, event)
        except VmStopped as ending:
            return ending.reason
    except VmStopped as ending:
        return ending.reason
    return None


def changed_memory(processor: Processor) -> list[int]:
    """Where the memory of the machine and that of the virtual processor differ."""
    if np.array_equal(_virtual_ram(), processor.memory):
        return []
    return [int(place) for place in np.flatnonzero(_virtual_ram() != processor.memory)]


def state_of_processor(processor: Processor) -> dict[str, object]:
    """Everything the guest could see, by name."""
    cpu = [int(word) for word in processor.cpu]
    segments = [Segment(*(cpu[at + number] for at in _CACHE_FIELDS)) for number in range(LDTR + 2)]
    return _named(
        cpu[state.GPR : state.GPR + 8],
        cpu[state.EIP],
        cpu[state.EFLAGS],
        cpu[state.CPL],
        segments,
        [cpu[state.CR0], cpu[state.CR2], cpu[state.CR3], cpu[state.CR4]],
        cpu[state.DR : state.DR + 8],
        [cpu[at] for at in _TABLE_FIELDS],
        [cpu[state.SYSENTER_CS], cpu[state.SYSENTER_ESP], cpu[state.SYSENTER_EIP]],
        bool(cpu[state.HALTED]),
    )


def state_of_virtual(vcpu: VirtualCpu) -> dict[str, object]:
    """The same of a virtual processor."""
    return _named(
        vcpu.gpr,
        vcpu.eip,
        vcpu.eflags,
        vcpu.cpl,
        vcpu.segments,
        [vcpu.cr0, vcpu.cr2, vcpu.cr3, vcpu.cr4],
        vcpu.dr,
        [*vcpu.gdtr, *vcpu.idtr],
        [vcpu.sysenter_cs, vcpu.sysenter_esp, vcpu.sysenter_eip],
        vcpu.halted,
    )


_CACHE_FIELDS = (state.SELECTOR, state.BASE, state.LIMIT, state.ATTRIBUTES)
_TABLE_FIELDS = (state.GDTR_BASE, state.GDTR_LIMIT, state.IDTR_BASE, state.IDTR_LIMIT)


def _named(
    gpr: list[int],
    eip: int,
    eflags: int,
    cpl: int,
    segments: list[Segment],
    control: list[int],
    debug: list[int],
    tables: list[int],
    sysenter: list[int],
    halted: bool,
) -> dict[str, object]:
    assert segments[TR] is not None
    return {
        "gpr": [hex(value) for value in gpr],
        "eip": hex(eip),
        "eflags": hex(eflags),
        "cpl": cpl,
        "segments": [tuple(map(hex, segment)) for segment in segments],
        "control": control,
        "debug": debug,
        "tables": tables,
        "sysenter": sysenter,
        "halted": halted,
    }
