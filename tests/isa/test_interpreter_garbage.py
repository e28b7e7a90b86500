"""Random bytes as code, in ring 0 and ring 3: nothing breaks, and every way of running agrees.

Handlers of exceptions are random code too, so that a run goes on through hundreds of faults. The
host answers ports and device memory by address alone. With bounds checks in the compiled code this
shows that no guest can reach outside the machine's arrays.
"""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from isa import state
from isa.exits import Exit
from isa.jit import ENABLED
from isa.registers import CR0_PG, ESP
from tests.isa.assembly_machine import CODE, HANDLERS, IDT, RAM_BYTES, AssemblyMachine
from tests.isa.random_programs import FORMS

pytestmark = pytest.mark.bounds

SEEDS = range(80 if ENABLED else 6)
GARBAGE, GARBAGE_BYTES = 0x10000, 0x30000
DIRECTORY, TABLE = 0xA000, 0xB000
INSTRUCTIONS = 2000
COMMON = [form.encoding.opcode for form in FORMS.values() if not form.encoding.two_byte]


@pytest.fixture(scope="module")
def machine():
    return AssemblyMachine()


def garbage(rng: Random) -> bytes:
    """Random bytes, with opcodes more often than chance has them."""
    data = bytearray(rng.randbytes(GARBAGE_BYTES))
    for _ in range(GARBAGE_BYTES // 4):
        data[rng.randrange(GARBAGE_BYTES)] = rng.choice(COMMON)
    return bytes(data)


def load(machine: AssemblyMachine, seed: int) -> None:
    rng = Random(seed)
    machine.reset()
    processor = machine.processor
    processor.memory[GARBAGE : GARBAGE + GARBAGE_BYTES] = np.frombuffer(garbage(rng), np.uint8)
    for vector in range(256):
        handler = CODE + rng.randrange(0x8000)
        machine.poke(IDT + 8 * vector, handler & 0xFFFF, 2)
        machine.poke(IDT + 8 * vector + 6, handler >> 16, 2)
    machine.poke(HANDLERS, 0)
    for number in range(8):
        processor.gpr[number] = rng.choice((rng.getrandbits(32), rng.randrange(0x8000, 0x50000)))
    processor.gpr[ESP] = 0x50000 + 4 * rng.randrange(0x1000)
    processor.eflags = rng.choice((2, 0x202, 0x102, 0x3202))
    processor.eip = CODE + rng.randrange(0x8000)
    if seed & 2:
        use_paging(machine)
    if seed & 1:
        machine.enter_ring_3()


def use_paging(machine: AssemblyMachine) -> None:
    """Identity map: tables and stacks of ring 0 for itself, the page tables for nobody."""
    for page in range(RAM_BYTES >> 12):
        machine.poke(TABLE + 4 * page, page << 12 | (7 if page >= 0x10 else 3))
    for page in (DIRECTORY >> 12, TABLE >> 12):
        machine.poke(TABLE + 4 * page, 0)
    machine.poke(DIRECTORY, TABLE | 7)
    machine.processor.load_cr3(DIRECTORY)
    machine.processor.load_cr0(machine.processor.cr0 | CR0_PG)


def carry_out(machine: AssemblyMachine, reason: Exit) -> bool:
    """What an owner does after an exit; False when the machine has stopped for good."""
    processor = machine.processor
    if reason == Exit.PORT_IN:
        processor.complete_port_read(processor.detail[1], processor.detail[0] * 0x01010101)
    elif reason == Exit.MEMORY_READ or reason == Exit.PORT_STRING:
        processor.answer_read(processor.detail[0] * 0x9E3779B1)
    elif reason == Exit.MEMORY_WRITE:
        processor.posted_writes()
    elif reason == Exit.HALT:
        processor.cpu[state.HALTED] = 0
    return reason != Exit.SHUTDOWN


def play(machine: AssemblyMachine, seed: int, slices: int, forget: bool) -> tuple[bytes, bytes]:
    """State and memory after INSTRUCTIONS instructions, or at the end."""
    load(machine, seed)
    processor = machine.processor
    going, exits = True, 0
    while going and processor.retired_total < INSTRUCTIONS and exits < 5000:
        reason = machine.run(min(slices, INSTRUCTIONS - processor.retired_total))
        if reason != Exit.BUDGET:
            exits += 1
            going = carry_out(machine, reason)
        elif forget:
            processor.drop_derived()
    if processor.cr0 & CR0_PG:
        processor.cpu[state.CYCLES] = 0  # page walks cost cycles, and are made again
    return processor.cpu.tobytes(), processor.memory.tobytes()


@pytest.mark.parametrize("seed", SEEDS)
def test_garbage_runs_alike_in_every_way(machine, seed):
    expected = play(machine, seed, INSTRUCTIONS, False)
    cpu = machine.processor.cpu.copy()
    if machine.processor.cr0 & CR0_PG and machine.processor.cr3 != DIRECTORY:
        return  # the guest may have changed its tables, and then the TLB may show
    for slices, forget in ((1, False), (70, True), (1, True) if ENABLED else (3, True)):
        found = play(machine, seed, slices, forget)
        names = [name for name, words in state.FIELDS for _ in range(words)]
        differing = [
            f"{names[at]} {int(cpu[at]):#x} {int(value):#x}"
            for at, value in enumerate(machine.processor.cpu)
            if cpu[at] != value
        ]
        assert not differing, (slices, forget)
        assert found == expected, (slices, forget)
