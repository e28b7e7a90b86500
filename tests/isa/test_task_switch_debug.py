"""Debug events around a task switch, as a debugger meets them: programs, run by the interpreter.

SDM vol. 3B, "Task-Switch Exception Condition", "Debug Registers", "Resume Flag".
"""

from __future__ import annotations

import struct

import pytest

from isa import state
from isa.registers import TR
from isa.vectors import DB
from tests.isa.assembly_machine import CODE0, DATA0, GDT, IDT, TSS, AssemblyMachine

THIS, OTHER = 0x30, 0x38
OTHER_TSS, OTHER_CODE, OTHER_STACK = 0x5000, 0x11000, 0x7000
TF, NT, RF = 1 << 8, 1 << 14, 1 << 16
BT, BS = 1 << 15, 1 << 14
WRITES = 0xD0000  # of DR7: breakpoint 0 is on writes of four bytes

WAYS = {"jmp": "jmp 0x38:0", "call": "call 0x38:0", "int": "int 0x80", "iret": "iret"}


def machine(way: str, *, trap: int = 0, eflags: int = 2) -> AssemblyMachine:
    """A program that switches by `way` to a task of one NOP."""
    made = AssemblyMachine()
    cpu, processor = made.processor.cpu, made.processor
    kinds = (0x8B, 0x8B if way == "iret" else 0x89)
    for selector, base, kind in zip((THIS, OTHER), (TSS, OTHER_TSS), kinds, strict=True):
        processor.write_physical(
            GDT + selector, struct.pack("<HHBBBB", 0x67, base & 0xFFFF, 0, kind, 0, 0)
        )
    cpu[state.GDTR_LIMIT] = OTHER + 7
    cpu[state.SELECTOR + TR] = THIS
    processor.write_physical(IDT + 8 * 0x80, struct.pack("<HHHH", 0, OTHER, 0xE500, 0))
    fields = {0x20: OTHER_CODE, 0x24: eflags, 0x38: OTHER_STACK, 0x64: trap}
    fields |= {0x48: DATA0, 0x4C: CODE0, 0x50: DATA0, 0x54: DATA0}
    for at, value in fields.items():
        made.poke(OTHER_TSS + at, value)
    made.poke(TSS, OTHER, 2)
    made.load("nop\ntrapdoor DONE", OTHER_CODE)
    made.load(f"nop\n{WAYS[way]}\nud2")
    if way == "iret":
        processor.eflags |= NT
    return made


def dr6(made: AssemblyMachine) -> int:
    return int(made.processor.cpu[state.DR + 6]) & 0xE00F


def set_breakpoint(made: AssemblyMachine, address: int, dr7: int) -> None:
    made.processor.cpu[state.DR] = address
    made.processor.cpu[state.DR + 7] = 0x400 | dr7


@pytest.mark.parametrize("way", WAYS)
def test_a_program_goes_on_in_another_task(way: str) -> None:
    made = machine(way)
    made.finish()
    assert made.processor.retired_total == 4


@pytest.mark.parametrize("way", WAYS)
def test_the_t_flag_stops_before_the_first_instruction(way: str) -> None:
    made = machine(way, trap=1)
    event = made.expect(DB)
    assert event.eip == OTHER_CODE
    assert not event.eflags & RF
    assert dr6(made) == BT
    assert made.processor.retired_total == 3  # the trapdoor of the handler included


@pytest.mark.parametrize("trap", [0, 1])
@pytest.mark.parametrize("way", ["jmp", "call"])
def test_a_single_step_ends_in_the_new_task(way: str, trap: int) -> None:
    made = machine(way, trap=trap)
    made.processor.eip += 1  # behind the NOP
    made.processor.eflags |= TF
    event = made.expect(DB)
    assert event.eip == OTHER_CODE
    assert dr6(made) == BS | BT * trap


@pytest.mark.parametrize("way", WAYS)
def test_a_task_with_tf_is_stepped(way: str) -> None:
    made = machine(way, eflags=2 | TF)
    assert made.expect(DB).eip == OTHER_CODE + 1
    assert dr6(made) == BS


@pytest.mark.parametrize("way", WAYS)
def test_local_breakpoints_end_with_the_task_and_global_ones_do_not(way: str) -> None:
    made = machine(way)
    set_breakpoint(made, OTHER_CODE, 1)
    made.finish()
    made = machine(way)
    set_breakpoint(made, OTHER_CODE, 2)
    assert made.expect(DB).eip == OTHER_CODE
    assert dr6(made) == 1


@pytest.mark.parametrize("way", WAYS)
def test_rf_of_a_task_mutes_a_breakpoint_on_its_first_instruction_alone(way: str) -> None:
    made = machine(way, eflags=2 | RF)
    set_breakpoint(made, OTHER_CODE, 2)
    made.finish()
    made = machine(way, eflags=2 | RF)
    set_breakpoint(made, OTHER_CODE + 1, 2)
    assert made.expect(DB).eip == OTHER_CODE + 1


@pytest.mark.parametrize("trap", [0, 1])
@pytest.mark.parametrize("way", WAYS)
def test_a_watched_tss_traps_in_the_new_task(way: str, trap: int) -> None:
    made = machine(way, trap=trap)
    set_breakpoint(made, TSS + 0x20, 2 | WRITES)
    assert made.expect(DB).eip == OTHER_CODE
    assert dr6(made) == 1 | BT * trap
