"""Hardware task switches compared with Unicorn, over random TSSs and descriptors.

JMP, CALL, both through task gates, and IRET with NT set: whole register files, the memory of both
TSSs, busy bits, and the vector of faults with the task they are raised in. Unicorn does not deliver
events, so task gates of the IDT are tested elsewhere. Where it departs from the SDM, `tolerated`
says so.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import pytest
import unicorn
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from unicorn import x86_const as x86

from isa import state, vectors
from isa import workspace as w
from isa.records import TROUBLED
from isa.registers import LDTR, TR
from tests.isa.protected_machine import (
    CODE,
    CODE_RX,
    CODE_RX_CONFORMING,
    CODE_X,
    CODES,
    DATA_RO,
    DATA_RW,
    DATAS,
    GDT,
    IDT,
    LDT,
    LDT_TYPE,
    RAM_BYTES,
    TASK,
    TSS,
    TSS_SELECTOR,
    descriptor,
    gate,
)
from tests.isa.task_machine import (
    AVAILABLE,
    BUSY,
    GATE,
    GENERAL,
    LAST,
    NT,
    OTHER,
    OTHER_CODE,
    OTHER_DATA,
    OTHER_LDT,
    OTHER_LDT_BASE,
    OTHER_STACK,
    OTHER_TSS,
    SELECTORS,
    TARGET,
    VM,
    TaskMachine,
)

pytestmark = pytest.mark.oracle

WAYS = ("JMP", "CALL", "JMP gate", "CALL gate", "IRET")
LEVEL = st.integers(0, 3)
WORD = st.integers(0, 0xFFFFFFFF)
PLAIN_FLAGS = 0x244ED5 & ~NT  # no TF, RF, VM, VIF, VIP
AT = CODE + 0x10  # the instruction that switches
ENTRY = 0x40000  # a stack for the way to the privilege level
REGISTERS = {name: getattr(x86, f"UC_X86_REG_{name.upper()}") for name in (*GENERAL, *SELECTORS)}


@dataclass
class Scene:
    """One switch, and what the tables say about it."""

    way: str
    cpl: int
    rpl: int
    registers: dict[str, int]
    fields: dict[str, int]  # of the new TSS
    segments: dict[int, tuple[int, int]]
    tss: tuple[int, int]
    gate: tuple[int, int]


def mostly(value: Any, *others: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from((value,) * 10 * len(others) + others)


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    way = draw(st.sampled_from(WAYS))
    cpl, level = draw(LEVEL), draw(LEVEL)

    def segment(*kinds: int) -> tuple[int, int]:
        dpl, present = draw(mostly(level, 0, 1, 2, 3)), draw(mostly(1, 0))
        return descriptor(0, 0xFFFFF, draw(mostly(*kinds)), dpl, present=present)

    def selector(slot: int) -> int:
        return int(draw(mostly(slot, 0, 0x1F8)) | draw(mostly(level, 0, 1, 2, 3)))

    code = draw(st.permutations((CODE_RX, CODE_X, CODE_RX_CONFORMING)))
    data = draw(st.permutations((DATA_RW, DATA_RO, CODE_RX, CODE_RX_CONFORMING, CODE_X)))
    fields = {name: draw(WORD) for name in GENERAL} | {"eip": TARGET & 0xFFFF, "trap": 0}
    fields["eflags"] = draw(WORD) & PLAIN_FLAGS | 2 | draw(mostly(0, NT))
    # One selector in all data registers: Unicorn checks them in another order.
    fields |= dict.fromkeys(SELECTORS, selector(OTHER_DATA)) | {"link": draw(WORD) & 0xFFFF}
    fields |= {"cs": selector(OTHER_CODE), "ss": selector(OTHER_STACK), "cr3": 0x55000}
    fields["ldt"] = draw(mostly(0, OTHER_LDT, OTHER_LDT, OTHER_LDT | 4, 0x1F8))
    if draw(mostly(False, True)):
        fields["eflags"] |= VM
    kind = (BUSY if way == "IRET" else AVAILABLE)[4]
    return Scene(
        way=way,
        cpl=cpl,
        rpl=draw(mostly(cpl, 0, 3)),
        registers={name: draw(WORD) for name in GENERAL}
        | {"eflags": draw(WORD) & PLAIN_FLAGS | 2 | (NT if way == "IRET" else 0)},
        fields=fields,
        segments={
            OTHER_CODE: segment(*code, DATA_RW),
            OTHER_STACK: segment(DATA_RW, DATA_RO, CODE_RX),
            OTHER_DATA: segment(*data),
            OTHER_LDT: descriptor(
                OTHER_LDT_BASE, 0xFF, draw(mostly(LDT_TYPE, DATA_RW)), big=0, pages=0,
                present=draw(mostly(1, 0)),
            ),
        },
        tss=descriptor(
            OTHER_TSS, LAST[4] - draw(mostly(0, 1)), draw(mostly(kind, kind ^ 2, LDT_TYPE)),
            draw(mostly(3, 0, 1, 2)), present=draw(mostly(1, 0)), big=0, pages=0, accessed=0,
        ),
        gate=gate(
            draw(mostly(OTHER, 0x1F8)), 0, TASK, draw(mostly(3, 0, 1, 2)),
            present=draw(mostly(1, 0)),
        ),
    )  # fmt: skip


def is_beyond_unicorn(scene: Scene) -> bool:
    """A task in conforming code: Unicorn wants its DPL equal to the RPL, as of other code."""
    high = scene.segments[OTHER_CODE][1]
    return high >> 8 & 0x1C == 0x1C and high >> 13 & 3 != scene.fields["cs"] & 3


def build(scene: Scene) -> TaskMachine:
    machine = TaskMachine(level=scene.cpl)
    machine.cpu[state.GDTR_LIMIT] = 0x1EF
    machine.describe(0, (0, 0))  # Unicorn looks at it
    for slot, words in scene.segments.items():
        machine.describe(slot, words)
    machine.describe(OTHER, scene.tss)
    machine.describe(GATE, scene.gate)
    machine.write_tss(OTHER_TSS, 4, scene.fields)
    if scene.way == "IRET":
        machine.poke(TSS, OTHER | 3, 2)
    machine.load(scene.registers | {"esp": machine.esp})
    machine.cpu[state.EIP] = AT
    machine.core[w.NEXT_EIP] = AT + len(code_of(scene))
    return machine


def code_of(scene: Scene) -> bytes:
    if scene.way == "IRET":
        return b"\xcf"
    opcode = 0xEA if scene.way.startswith("JMP") else 0x9A
    slot = GATE if scene.way.endswith("gate") else OTHER
    return bytes([opcode]) + struct.pack("<IH", 0xDEAD, slot | scene.rpl)


def ours(machine: TaskMachine, scene: Scene) -> tuple[int | None, dict[str, int]]:
    """Vector of the fault, if any, and the registers afterwards."""
    if scene.way == "IRET":
        status = machine.execute("IRETD")
    else:
        slot = GATE if scene.way.endswith("gate") else OTHER
        name = scene.way.split()[0]
        status = machine.execute(f"{name}_ptr16_32", immediate=0xDEAD, second=slot | scene.rpl)
    found = machine.registers() | {"tr": machine.selector(TR)}
    found["ts"] = int(machine.cpu[state.CR0]) >> 3 & 1
    if status == TROUBLED:
        assert machine.trouble is not None
        return machine.trouble[0], found
    return None, found


@pytest.fixture(scope="module")
def engine() -> Any:
    """One Unicorn for all scenes: making thousands of them is slow, and has crashed."""
    engine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
    engine.mem_map(0, RAM_BYTES)
    engine.context = engine.context_save()
    return engine


def theirs(
    engine: Any, machine: TaskMachine, scene: Scene
) -> tuple[int | None, dict[str, int], bytearray]:
    """The same from Unicorn, which gets to the privilege level by IRET; and its memory."""
    engine.context_restore(engine.context)
    engine.ctl_flush_tb()
    memory = bytearray(machine.ram[:RAM_BYTES].tobytes())
    level, code = scene.cpl, code_of(scene)
    image = [AT, CODES[level] | level, scene.registers["eflags"] & ~NT]
    image += [machine.esp, DATAS[level] | level] if level else []
    memory[ENTRY : ENTRY + 4 * len(image)] = struct.pack(f"<{len(image)}I", *image)
    memory[CODE : CODE + 4] = b"\x0f\x00\xd8\xcf"  # LTR AX; IRETD
    memory[GDT + TSS_SELECTOR + 5] &= ~2  # available until then
    memory[AT : AT + len(code)] = code
    engine.mem_write(0, bytes(memory))
    engine.reg_write(x86.UC_X86_REG_GDTR, (0, GDT, 0x1EF, 0))
    engine.reg_write(x86.UC_X86_REG_IDTR, (0, IDT, 0x7FF, 0))
    engine.reg_write(x86.UC_X86_REG_LDTR, (0, LDT, 0, 0))
    engine.reg_write(x86.UC_X86_REG_CS, CODES[0])
    engine.reg_write(x86.UC_X86_REG_SS, DATAS[0])
    for name in ("ds", "es", "fs", "gs"):
        engine.reg_write(REGISTERS[name], DATAS[level] | level)
    engine.reg_write(x86.UC_X86_REG_ESP, ENTRY)
    engine.reg_write(x86.UC_X86_REG_EAX, TSS_SELECTOR)
    engine.emu_start(CODE, 0, count=2)
    for name in GENERAL:
        value = machine.esp if name == "esp" else scene.registers[name]
        engine.reg_write(REGISTERS[name], value)
    if scene.way == "IRET":
        engine.reg_write(x86.UC_X86_REG_EFLAGS, scene.registers["eflags"])
    faults: list[int] = []

    def fault(engine: Any, vector: int, _data: object) -> None:
        faults.append(vector)
        engine.emu_stop()

    hook = engine.hook_add(unicorn.UC_HOOK_INTR, fault)
    engine.emu_start(AT, 0, count=1)
    engine.hook_del(hook)
    found = {name: engine.reg_read(register) for name, register in REGISTERS.items()}
    found["eip"] = engine.reg_read(x86.UC_X86_REG_EIP)
    found["eflags"] = engine.reg_read(x86.UC_X86_REG_EFLAGS)
    found["ldt"] = engine.reg_read(x86.UC_X86_REG_LDTR)[0]
    found["tr"] = engine.reg_read(x86.UC_X86_REG_TR)[0]
    found["ts"] = engine.reg_read(x86.UC_X86_REG_CR0) >> 3 & 1
    return (faults[0] if faults else None), found, engine.mem_read(0, RAM_BYTES)


@pytest.mark.compiled
@settings(max_examples=1000)
@given(scene=scenes())
def test_switches_agree_with_unicorn(engine: Any, scene: Scene) -> None:
    assume(not is_beyond_unicorn(scene))
    machine = build(scene)
    their_fault, their_registers, their_memory = theirs(engine, machine, scene)
    fault, registers = ours(machine, scene)
    memory = bytearray(machine.ram[:RAM_BYTES].tobytes())
    assert their_fault in (fault, vectors.NP if fault == vectors.SS else fault)  # absent stack
    if fault is not None:
        their_registers["eip"] = registers["eip"]  # it is set back to the instruction
        their_registers["ldt"] |= registers["ldt"] & 4  # a wrong bit is taken away
    assert registers == their_registers
    for start, end in ((GDT, GDT + 0x200), (TSS, TSS + 0x100), (OTHER_TSS, OTHER_TSS + 0x100)):
        assert memory[start:end] == their_memory[start:end]
    assert fault in (None, vectors.TS, vectors.NP, vectors.SS, vectors.GP)
    assert machine.selector(LDTR) == registers["ldt"]
