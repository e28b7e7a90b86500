"""What every technique promises: exact counts, slices without effect, endings, interruption."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor.bare import Bare
from hypervisor.comparison import same_state
from hypervisor.ring_compression.technique import RingCompression
from hypervisor.technique import (
    StopReason,
    Technique,
    VmStopped,
    available_techniques,
    create,
    technique_class,
)
from isa.boot import BootImage
from isa.errors import TrapgateError
from tests.hypervisor.small_guests import RAM_BYTES, boot, guest

KINDS = [Bare, RingCompression]

BUSY = """
    call paging_on
    mov ecx, 70
    call timer_on
    sti
    mov ecx, 40
.again:
    in al, 0x61
    mov eax, cr0
    mov [SCRATCH], ecx
    xor dword [TABLE + 0x1E0 * 4], 1
    int 0x21
.next:
    hlt
    dec ecx
    jnz .again
    cli
"""
BUSY = "    resume_at .after\n" + BUSY.replace(
    "int 0x21\n.next:",
    "push ecx\n    resume_at .after\n    int 0x21\n.after:\n    pop ecx\n    sti",
)
ENDLESS = ".l: jmp .l"


@pytest.mark.compiled
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15)
@given(slices=st.lists(st.integers(1, 900), min_size=1, max_size=30))
def test_how_a_run_is_sliced_makes_no_difference(kind, slices):
    whole, sliced = boot(kind, BUSY), boot(kind, BUSY)
    count = 0
    for size in slices:
        count += size
        stop = sliced.run(count)
        assert stop.reason is StopReason.EXIT or sliced.guest_instructions == count
    whole.run(count)
    assert same_state(whole.snapshot(), sliced.snapshot())
    assert whole.console == sliced.console


@pytest.mark.compiled
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_stops_at_exactly_the_count_asked_for(kind):
    technique = boot(kind, BUSY)
    for count in range(500, 800):
        stop = technique.run(count)
        assert stop.reason is StopReason.BUDGET
        assert stop.guest_instructions == technique.guest_instructions == count


@pytest.mark.compiled
def test_techniques_agree_after_every_instruction():
    bare, ring = boot(Bare, BUSY), boot(RingCompression, BUSY)
    for count in range(4600, 5200):
        bare.run(count)
        ring.run(count)
        assert same_state(bare.snapshot(), ring.snapshot()), count


@pytest.mark.parametrize("kind", KINDS)
def test_a_guest_that_has_ended_stays_ended(kind):
    technique = boot(kind, "nop")
    first = technique.run()
    assert first.reason is StopReason.EXIT
    assert technique.run() is first
    assert technique.exit_code == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_stop_says_where_the_guest_is(kind):
    technique = boot(kind, "mov dx, 0x1234\nhlt")
    stop = technique.run()
    assert stop.reason is StopReason.HALT
    assert technique.read_code(2)
    assert stop.instruction == technique.instruction_text()
    assert stop.eip == technique.snapshot().eip
    assert technique.read_u32(0x100000) == int.from_bytes(
        technique.read_memory(0x100000, 4), "little"
    )
    assert technique.code_bits == 32


@pytest.mark.compiled
@pytest.mark.parametrize("kind", KINDS)
def test_a_requested_stop_can_be_followed_by_more(kind):
    technique = boot(kind, ENDLESS)
    technique.request_stop()
    assert technique.run(50_000_000).reason is StopReason.INTERRUPTED
    count = technique.guest_instructions
    assert technique.run(count + 1000).reason is StopReason.BUDGET
    assert technique.guest_instructions == count + 1000


@pytest.mark.compiled
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", [ENDLESS, "sti\nmov ecx, 60000\ncall timer_on\n.l: hlt\njmp .l"])
def test_control_c_ends_a_run_and_leaves_the_guest_whole(kind, body):
    technique = boot(kind, body)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    stop = technique.run()
    timer.join()
    assert stop.reason is StopReason.INTERRUPTED
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert technique.run(technique.guest_instructions + 10).reason is StopReason.BUDGET


@pytest.mark.compiled
@pytest.mark.parametrize("kind", KINDS)
def test_progress_is_told(kind):
    heard: list[int] = []
    technique: Technique = kind(RAM_BYTES, progress=heard.append)
    technique.boot(guest(ENDLESS))
    technique.run(20_000_000)
    assert heard == sorted(heard)
    assert len(heard) >= 3


@pytest.mark.compiled
@pytest.mark.parametrize("kind", KINDS)
def test_a_guest_that_only_faults_ends_with_an_error(kind):
    # Its handler is no instruction either; the stack wraps around in addresses without memory.
    body = """
        mov word [IDT + 6 * 8], 0
        mov word [IDT + 6 * 8 + 6], 0xA000
        mov esp, 0xB0000000
        ud2
    """
    technique = boot(kind, body)
    stop = technique.run()
    assert stop.reason is StopReason.ERROR
    assert "no instruction completes" in stop.detail


@pytest.mark.parametrize("kind", KINDS)
def test_the_trapdoor_is_not_for_guests(kind):
    stop = boot(kind, "db 0x0F, 0x0A, 3").run()
    assert stop.reason is StopReason.ERROR
    assert "kept for monitors" in stop.detail


@pytest.mark.compiled
def test_a_halt_that_nothing_can_end_is_noticed():
    for kind in KINDS:
        stop = boot(kind, "mov al, 0xFF\nout 0x21, al\nmov al, 0x34\nout 0x43, al\nsti\nhlt").run()
        assert stop.reason is StopReason.HALT


def real_mode_guest() -> BootImage:
    """mov ax, 0x1234; mov [0x500], ax; mov al, 0; out 0xF4, al."""
    code = b"\xb8\x34\x12\xa3\x00\x05\xb0\x00\xe6\xf4"
    return replace(guest("nop"), segments=((0x7C00, code),), entry=0x7C00, protected=False)


def test_a_real_mode_guest_runs_bare_and_is_refused_by_ring_compression():
    bare, ring = Bare(RAM_BYTES), RingCompression(RAM_BYTES)
    for technique in (bare, ring):
        technique.boot(real_mode_guest())
    assert bare.code_bits == 16
    assert bare.run().reason is StopReason.EXIT
    assert bare.read_memory(0x500, 2) == b"\x34\x12"
    stop = ring.run()
    assert stop.reason is StopReason.ERROR
    assert "real-mode" in stop.detail


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("mov eax, cr0\nand eax, ~1\nmov cr0, eax", "protected mode"),
        (
            "mov byte [gdt_free + 5], 0x92\nmov byte [gdt_free + 7], 0xFF\n"
            "mov byte [gdt_free + 4], 0xD0\nmov eax, FREE_SEL\nmov fs, ax",
            "the monitor's addresses",
        ),
        ("mov eax, [0xFFD00000 + eax]\nror dword [0xFFD00000], 1", "cannot emulate 'ror"),
        ("times 6 push dword 0\npush dword 0x20002\ntimes 2 push dword 0\niret", "8086"),
        ("mov eax, 0x401\nmov dr7, eax", "a breakpoint in DR7"),
    ],
)
def test_what_cannot_be_deprivileged_ends_the_vm_with_a_reason(body, words):
    stop = boot(RingCompression, body).run(100_000)
    assert stop.reason is StopReason.ERROR
    assert words in stop.detail


# After this CS and SS are hidden: no table describes them, the monitor's own selectors do.
HIDE = """
    mov dword [gdt + KERNEL_CODE + 4], 0
    mov dword [gdt + KERNEL_DATA + 4], 0
    mov eax, cr0
"""


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            "mov eax, 0xFFA1\nmov fs, ax\npush dword [fs:0x100000]\nmov gs, [zero]\nzero: dw 0",
            "exit",
        ),
        ("mov eax, 0xFFA9\nmov es, ax\nmov edi, SCRATCH\nmov dx, 0x61\ninsb", "exit"),
        ("jmp 0xFFA1:.l\n.l: mov eax, cr0", "exit"),
        (
            "mov dword [gdt + KERNEL_CODE + 4], 0x00CF9A00\njmp KERNEL_CODE:.k\n.k: mov eax, cr0\n"
            "jmp 0xFFA1:.l\n.l: mov eax, cr0",
            "error",
        ),
        ("mov eax, 0xFF89\nmov fs, ax", "shutdown"),
    ],
)
def test_a_guest_that_finds_the_monitors_selectors_gains_nothing(body, reason):
    technique = boot(RingCompression, HIDE + body + "\njmp leave")
    stop = technique.run(100_000)
    assert stop.reason == reason, stop
    technique.snapshot()


def test_techniques_are_found_by_name():
    found = available_techniques()
    assert list(found)[:2] == ["bare", "ring"]
    assert all(found[name].name == name and found[name].summary for name in found)
    assert isinstance(create("bare", RAM_BYTES), Bare)
    with pytest.raises(TrapgateError, match="unknown technique 'warp': one of bare, ring"):
        technique_class("warp")


def test_an_ending_carries_its_reason():
    ending = VmStopped(StopReason.HALT, "because")
    assert (ending.reason, ending.detail, str(ending)) == (StopReason.HALT, "because", "because")
