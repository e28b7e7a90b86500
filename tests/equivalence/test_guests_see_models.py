"""Every model of a processor shows itself to a guest in the same way bare and under a monitor.

The guest does what software does to find out where it is: it tries to change flags and control
registers, executes instructions of every generation, asks CPUID and reads model-specific
registers. What it found is in memory, and compared with everything else.
"""

from __future__ import annotations

import pytest

from hypervisor.bare import Bare
from hypervisor.comparison import compare_techniques, same_state
from hypervisor.ring_compression.technique import RingCompression
from hypervisor.technique import Technique
from isa.cpu_models import load_model
from tests.hypervisor.small_guests import BUDGET, RAM_BYTES, guest, log_of

pytestmark = pytest.mark.compiled

SCRATCH = 0x1D0000

# One line of code each; which generation brought it.
INSTRUCTIONS = {
    "setc al": "386",
    "bswap edx": "486",
    "xadd [SCRATCH + 0x800], eax": "486",
    "cmpxchg [SCRATCH + 0x800], ebx": "486",
    "invlpg [0x1000]": "486",
    "wbinvd": "486",
    "invd": "486",
    "mov ebx, cr4": "pentium",
    "rdtsc": "pentium",
    "cmpxchg8b [SCRATCH + 0x800]": "pentium",
    "cmovc eax, ebx": "p6",
    "nop dword [0x1000]": "p6",
    "db 0x0F, 0x18, 0xC0": "p6",
    "rdpmc": "p6",
    "ud2": "never",
}
MSRS = (0x00, 0x01, 0x10, 0x1B, 0x174, 0x175, 0x176, 0x199)
CR0_BITS = (5, 16, 18)
CR4_BITS = range(2, 12)  # VME and PVI end a VM in rings 1 and 3
GENERATIONS = ("386", "486", "pentium", "p6")


def tried(number: int, code: str) -> str:
    """Code that may fault: execution goes on behind it."""
    return f"resume_at .tried{number}\n{code}\n.tried{number}:\n"


def probe() -> str:
    """The guest's `test:`."""
    body = ""
    for place, flag in enumerate((18, 21)):
        body += f"""
            pushfd
            pop eax
            mov ebx, eax
            xor eax, 1 << {flag}
            push eax
            popfd
            pushfd
            pop eax
            push ebx
            popfd
            xor eax, ebx
            mov [SCRATCH + {4 * place}], eax
        """
    body += f"""
        mov eax, cr0
        mov ebx, eax
        or eax, {sum(1 << bit for bit in CR0_BITS)}
        mov cr0, eax
        mov eax, cr0
        mov [SCRATCH + 8], eax
        mov cr0, ebx
    """
    number = 0
    for leaf in (0, 1, 2, 3, 0x80000000):
        body += tried(
            number := number + 1,
            f"""
            mov eax, {leaf}
            cpuid
            mov [SCRATCH + {0x100 + 16 * number}], eax
            mov [SCRATCH + {0x104 + 16 * number}], ebx
            mov [SCRATCH + {0x108 + 16 * number}], ecx
            mov [SCRATCH + {0x10C + 16 * number}], edx
        """,
        )
    for bit in CR4_BITS:
        body += tried(
            number := number + 1,
            f"""
            mov eax, {1 << bit}
            mov cr4, eax
            inc dword [SCRATCH + {0x200 + 4 * bit}]
            xor eax, eax
            mov cr4, eax
        """,
        )
    for place, msr in enumerate(MSRS):
        body += tried(
            number := number + 1,
            f"""
            mov ecx, {msr}
            rdmsr
            inc dword [SCRATCH + {0x300 + 4 * place}]
        """,
        )
    for place, code in enumerate(INSTRUCTIONS):
        body += tried(
            number := number + 1,
            f"""
            xor ecx, ecx
            {code}
            inc dword [SCRATCH + {0x400 + 4 * place}]
        """,
        )
    return body


def run_both(name: str) -> tuple[Technique, Technique]:
    model = load_model(name)
    outcome = compare_techniques(
        guest(probe()),
        {
            "bare": lambda: Bare(RAM_BYTES, model=model),
            "ring": lambda: RingCompression(RAM_BYTES, model=model),
        },
        budget=BUDGET,
    )
    assert outcome.equivalent, f"{outcome.differences} {outcome.divergence}"
    bare, ring = (run.technique for run in outcome.runs)
    assert outcome.runs[0].stop.reason == "exit"
    assert log_of(bare) == log_of(ring)
    assert same_state(bare.snapshot(), ring.snapshot())
    return bare, ring


@pytest.mark.parametrize("name", [*GENERATIONS, "486+cpuid", "p6-cmov-pge", "p6+umip-sep-tsc"])
def test_a_guest_finds_the_model(name: str) -> None:
    bare, _ = run_both(name)
    base, _, removed = name.partition("-")
    generation = GENERATIONS.index(base.partition("+")[0])
    has_cpuid = generation >= 2 or "+cpuid" in name

    assert bool(bare.read_u32(SCRATCH)) == (generation >= 1), "EFLAGS.AC"
    assert bool(bare.read_u32(SCRATCH + 4)) == has_cpuid, "EFLAGS.ID"
    wanted = sum(1 << bit for bit in CR0_BITS) if generation else 0
    assert bare.read_u32(SCRATCH + 8) & 0x50020 == wanted

    for place, (code, since) in enumerate(INSTRUCTIONS.items()):
        known = since in GENERATIONS[: generation + 1]
        known = known and not ("cmov" in code and "cmov" in removed)
        known = known and not (code == "rdtsc" and "tsc" in removed)
        assert bare.read_u32(SCRATCH + 0x400 + 4 * place) == known, code
    vectors = {entry[0] for entry in log_of(bare)}
    assert vectors <= {6, 13}

    leaf1 = [bare.read_u32(SCRATCH + 0x120 + 4 * word) for word in range(4)]
    if not has_cpuid:
        assert leaf1 == [0] * 4
        return
    assert leaf1[0] >> 8 & 15 == (4, 5, 6)[generation - 1]
    last = bare.read_u32(SCRATCH + 0x110)
    assert last == (2 if generation == 3 else 1)
    vendor = b"".join(bare.read_memory(SCRATCH + 0x110 + 4 * word, 4) for word in (1, 3, 2))
    assert vendor == b"TrapgateCPU "
    # An extended leaf is one beyond the last: the last one's answer.
    beyond = [bare.read_memory(SCRATCH + 0x100 + 16 * number, 16) for number in (4, 5)]
    assert beyond == [bare.read_memory(SCRATCH + 0x110 + 16 * last, 16)] * 2


def test_pae_is_an_option_that_ends_a_vm() -> None:
    body = "mov eax, 1 << 5\nmov cr4, eax\nmov eax, 1\ncpuid\nmov [SCRATCH], edx"
    model = load_model("p6+pae")
    bare = Bare(RAM_BYTES, model=model)
    bare.boot(guest(body))
    assert bare.run(BUDGET).reason == "exit"
    assert not log_of(bare)
    assert bare.read_u32(SCRATCH) & 1 << 6
    ring = RingCompression(RAM_BYTES, model=model)
    ring.boot(guest(body))
    stop = ring.run(BUDGET)
    assert stop.reason == "error"
    assert "PAE" in stop.detail


def test_model_specific_registers_and_cr4_follow_the_model() -> None:
    known = {}
    for name in (*GENERATIONS, "p6+umip"):
        bare, _ = run_both(name)
        msrs = [msr for place, msr in enumerate(MSRS) if bare.read_u32(SCRATCH + 0x300 + 4 * place)]
        cr4 = [bit for bit in CR4_BITS if bare.read_u32(SCRATCH + 0x200 + 4 * bit)]
        known[name] = (msrs, cr4)
    assert known["386"] == known["486"] == ([], [])
    assert known["pentium"][0] == [0x00, 0x01, 0x10]
    assert {2, 3, 4, 6} <= set(known["pentium"][1]) <= {2, 3, 4, 6}
    assert known["p6"][0] == [0x00, 0x01, 0x10, 0x1B, 0x174, 0x175, 0x176]
    assert known["p6"][1] == [2, 3, 4, 6, 7, 8]
    assert known["p6+umip"] == (known["p6"][0], [*known["p6"][1], 11])
