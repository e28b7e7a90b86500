"""The emulator against the machine: every form it knows, at ring 0 and ring 3, faults included.

The machine executes an instruction; the emulator carries out the same bytes on a virtual processor
in the same state. Afterwards registers, segments, flags, ports and all of memory must agree.
"""

from __future__ import annotations

import pytest

from hypervisor.emulation.emulator import can_emulate, routines
from hypervisor.technique import StopReason
from isa.disassembly import decode
from isa.notation import Form, load_table
from isa.registers import ECX, EFLAGS_VM
from tests.hypervisor.emulated_machines import (
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
from tests.isa.instruction_samples import samples_of

SCENES = 3  # states per sample

FORMS = [form for form in load_table() if form.operation in routines() and not form.decode_only]


def identify(form: Form) -> str:
    return form.name


@pytest.mark.parametrize("bits", [32, 16])
@pytest.mark.parametrize("form", FORMS, ids=identify)
def test_the_emulator_does_what_the_machine_does(form, bits):
    for sample in samples_of(form, bits):
        for turn in range(SCENES):
            compare(sample.data, bits, seed=form.number * 1000 + turn)


def compare(code: bytes, bits: int, seed: int) -> None:
    """Run the bytes both ways and compare everything."""
    scene = Scene(code, bits, seed)
    if decode(code, 0, bits).form.repeat:
        scene.gpr[ECX] %= 7  # the machine leaves for a device at every iteration
    processor = make_processor(scene)
    switches = task_switches(processor)
    written, is_shutdown = run_processor(processor)
    vcpu, linear, recorder = make_virtual(scene)
    ending = run_virtual(vcpu, linear, recorder)
    switches = task_switches(processor) - switches
    if ending is StopReason.ERROR:  # the two things that monitors cannot do
        assert switches or processor.eflags & EFLAGS_VM
        return
    assert not switches
    assert (ending is StopReason.SHUTDOWN) == is_shutdown
    if is_shutdown:
        return
    label = f"{decode(code, 0, bits, 0x4000).text!r} cpl {scene.cpl} seed {seed}"
    assert state_of_virtual(vcpu) == state_of_processor(processor), label
    assert recorder.written == written, label
    assert not changed_memory(processor), label


def test_privileged_and_sensitive_instructions_can_all_be_emulated():
    """Whatever faults by its privilege level has a routine, and so has whatever is sensitive.

    The trapdoor is no guest's.
    """
    missing = {
        form.operation
        for form in load_table()
        if (form.privilege or form.sensitive) and form.operation not in routines()
    }
    assert missing == {"TRAPDOOR"}


def test_what_has_no_routine_is_said_to_have_none():
    assert can_emulate(decode(b"\xfa"))
    assert not can_emulate(decode(b"\xd1\xc8"))
