"""Small guests for tests, assembled from a few lines on top of kit.inc, and run in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from hypervisor.bare import Bare
from hypervisor.comparison import Comparison, Factory, compare_techniques, same_state, side_of
from hypervisor.divergence import find_divergence
from hypervisor.ring_compression.technique import RingCompression
from hypervisor.technique import Stop, Technique
from isa.boot import BootImage
from isa.cpu_models import DEFAULT, load_model
from tools.assembler import assemble_text

RAM_BYTES = 2 << 20
BUDGET = 200_000


@cache
def guest(body: str) -> BootImage:
    """A guest whose `test:` is `body`."""
    source = f'%include "kit.inc"\ntest:\n{body}\n    ret\n'
    made = assemble_text(source, "small guest", include_paths=[Path(__file__).parent])
    return BootImage(
        name="small guest",
        segments=((made.origin, made.bytes),),
        entry=made.entry,
        eax=0,
        ebx=0,
        esp=0,
        protected=True,
        symbols=made.symbols,
        source="small guest",
    )


def boot(kind: type[Technique], body: str) -> Technique:
    """A machine with a small guest at its first instruction."""
    technique = kind(RAM_BYTES)
    technique.boot(guest(body))
    return technique


def run(kind: type[Technique], body: str) -> tuple[Technique, Stop]:
    """A small guest run to its end."""
    technique = boot(kind, body)
    return technique, technique.run(BUDGET)


def compare(
    body: str, result_memory: Sequence[tuple[int, int]] = (), cpu: str = DEFAULT
) -> Comparison:
    """A small guest, bare and under ring compression."""
    model = load_model(cpu)
    factories: dict[str, Factory] = {
        "bare": lambda: Bare(RAM_BYTES, model=model),
        "ring": lambda: RingCompression(RAM_BYTES, model=model),
    }
    return compare_techniques(guest(body), factories, budget=BUDGET, result_memory=result_memory)


def assert_equal(body: str, *, reason: str | None = "exit", cpu: str = DEFAULT) -> RingCompression:
    """The guest ends alike, in the same state, all of memory included; returns the VM.

    `reason` is what the stop must be, or None for any.
    """
    outcome = compare(body, cpu=cpu)
    assert outcome.equivalent, f"{outcome.differences} {outcome.divergence}"
    bare, ring = (run.technique for run in outcome.runs)
    assert reason in (None, outcome.runs[0].stop.reason), outcome.runs[0].stop
    if not same_state(bare.snapshot(), ring.snapshot()):
        raise AssertionError(_report(body))
    assert isinstance(ring, RingCompression)
    return ring


def _report(body: str) -> str:
    """Where two runs with equal results but different states part."""
    image = guest(body)
    bare = side_of("bare", lambda: Bare(RAM_BYTES), image)
    ring = side_of("ring", lambda: RingCompression(RAM_BYTES), image)
    return str(find_divergence(bare, ring, until=BUDGET).divergence)


def log_of(technique: Technique) -> list[tuple[int, ...]]:
    """The exceptions a guest has logged: vector, error, EIP, CS, EFLAGS, CR2."""
    entries = []
    for at in range(0x180000, 0x190000, 32):
        words = tuple(technique.read_u32(at + 4 * index) for index in range(6))
        if not any(words):
            break
        entries.append(words)
    return entries
