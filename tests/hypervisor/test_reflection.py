"""Reflection against the machine's own delivery: gates, targets and stacks of all sorts.

One instruction faults, or is an INT, in a scene whose IDT entry, code segment, TSS and stack are
drawn at random. What the machine makes of it (handler, other fault, double fault, shutdown) is what
reflection has to make of it.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hypervisor.descriptors import Segment, TableRegister
from hypervisor.faults import GuestFault
from hypervisor.reflection import Event, Kind, deliver, reflect
from hypervisor.technique import StopReason, VmStopped
from isa import state, vectors
from isa.registers import CS, ESP, SS
from tests.hypervisor.emulated_machines import (
    CODE,
    GDT,
    HANDLER,
    IDT,
    SELECTORS,
    TSS,
    Scene,
    changed_memory,
    make_processor,
    make_virtual,
    run_processor,
    run_virtual,
    state_of_processor,
    state_of_virtual,
    task_switches,
)

UNDEFINED = b"\x0f\x04"
SOFTWARE = {vector: bytes((0xCD, vector)) for vector in (0x30, 0x31, 0xFF)}
HANDLERS = (HANDLER, 0x7800)
GATE_KINDS = (0xE, 0xF, 0x6, 0x7, 0x5, 0xC, 0x0, 0x2)


class Drawn:
    """The random part of a scene: one gate, and now and then something else that is odd."""

    def __init__(self, seed: int, vector: int) -> None:
        chosen = random.Random(seed)
        self.words: dict[int, int] = {HANDLERS[1]: 0xFEEB}  # jmp $
        selector = chosen.choice([8, 8, 8, 8, 0x48, 0x28, *SELECTORS])
        offset = chosen.choice([*HANDLERS, HANDLER, HANDLER, 0x110000])
        present = 0x8000 if chosen.random() < 0.9 else 0
        kind = chosen.choice([0xE, 0xF, 0x6, *GATE_KINDS])
        dpl = chosen.choice([0, 3, 3])
        self._entry(IDT + 8 * vector, selector << 16 | offset & 0xFFFF)
        self._entry(IDT + 8 * vector + 4, offset & 0xFFFF0000 | present | dpl << 13 | kind << 8)
        if chosen.random() < 0.3:
            self._entry(TSS + 4, chosen.choice([0, 4, 0xFFFFFFF0, 0x9002]))
        if chosen.random() < 0.3:
            self._entry(TSS + 8, chosen.choice([0, *SELECTORS]))
        if chosen.random() < 0.2:
            self._entry(IDT + 8 * chosen.choice([8, 10, 11, 12, 13]) + 4, 0)
        if chosen.random() < 0.1:
            self._entry(GDT + 8 * 2 + 4, chosen.choice([0, 0x00CF9000, 0x00409200]))
        self.idt_limit = chosen.choice([0x7FF, 0x7FF, 0x7FF, 0x10F, 0x3F, 0])
        self.esp = chosen.choice([0x20000, 0x20000, 0x20002, 4, 0, 0x13000])
        self.small_stack = chosen.random() < 0.2

    def _entry(self, at: int, value: int) -> None:
        self.words[at] = value


def prepare(code: bytes, seed: int, vector: int) -> tuple[Scene, Drawn]:
    """A scene with the drawn gate in place."""
    scene, drawn = Scene(code, 32, seed), Drawn(seed, vector)
    scene.memory = scene.memory.copy()
    words = scene.memory.view(np.uint32)
    for at, value in drawn.words.items():
        words[at // 4] = value
    scene.gpr[ESP] = drawn.esp
    if drawn.small_stack:
        old = scene.segments[SS]
        scene.segments[SS] = Segment(old.selector, 0x12000, 0x1003, old.attributes & ~0xC000)
    return scene, drawn


@settings(max_examples=400)
@given(seed=st.integers(0, 2**32), vector=st.sampled_from([vectors.UD, *SOFTWARE]))
def test_reflection_leads_where_delivery_leads(seed, vector):
    scene, drawn = prepare(SOFTWARE.get(vector, UNDEFINED), seed, vector)
    processor = make_processor(scene)
    processor.cpu[state.IDTR_LIMIT] = drawn.idt_limit
    switches = task_switches(processor)
    _written, is_shutdown = run_processor(processor)
    switches = task_switches(processor) - switches
    vcpu, linear, recorder = make_virtual(scene)
    vcpu.idtr = TableRegister(IDT, drawn.idt_limit)
    ending = run_virtual(vcpu, linear, recorder)
    assert (ending is StopReason.ERROR) == bool(switches)
    if switches:
        return
    # At other places than these the machine has executed something by now.
    assume(ending is not None or vcpu.eip in HANDLERS)
    assert (ending is StopReason.SHUTDOWN) == is_shutdown
    if not is_shutdown:
        assert state_of_virtual(vcpu) == state_of_processor(processor)
        assert not changed_memory(processor)


def usual_scene() -> Scene:
    """Ring 0, and a stack with room."""
    scene = next(scene for seed in range(99) if (scene := Scene(UNDEFINED, 32, seed)).cpl == 0)
    scene.gpr[ESP] = 0x20000
    return scene


def test_an_external_interrupt_ignores_the_gates_privilege():
    vcpu, linear, _recorder = make_virtual(usual_scene())
    reflect(vcpu, linear, Event(0x30, None, Kind.EXTERNAL, CODE))
    assert vcpu.eip == HANDLER


def test_what_is_interrupted_wakes():
    vcpu, linear, _recorder = make_virtual(usual_scene())
    vcpu.halted = True
    reflect(vcpu, linear, Event(0x20, None, Kind.EXTERNAL, CODE))
    assert not vcpu.halted


def test_a_fault_while_a_double_fault_is_delivered_ends_the_vm():
    vcpu, linear, _recorder = make_virtual(usual_scene())
    vcpu.idtr = TableRegister(IDT, 0)
    with pytest.raises(VmStopped) as ending:
        reflect(vcpu, linear, Event(vectors.UD, None, Kind.HARDWARE, CODE))
    assert ending.value.reason is StopReason.SHUTDOWN


def test_a_failed_software_interrupt_changes_nothing():
    vcpu, linear, _recorder = make_virtual(usual_scene())
    vcpu.idtr = TableRegister(IDT, 7)
    before = state_of_virtual(vcpu)
    with pytest.raises(GuestFault) as fault:
        deliver(vcpu, linear, Event(0x30, None, Kind.SOFTWARE, CODE + 2))
    assert (fault.value.vector, fault.value.error) == (vectors.GP, 0x30 * 8 | 2)
    assert state_of_virtual(vcpu) == before
    assert vcpu.segments[CS].selector & ~3 in (8, 0x18)
