"""What does one trap cost, on the host and in the model, bare and under a monitor?

The loops of guests/traps do one thing that a monitor has to take part in over and over. The cost of
that thing is the difference between a long and a short run, divided by the difference of their
counts, less the same for a loop that does nothing. Under a monitor it contains everything from the
fault in the guest over the monitor's work to the guest's next instruction.

    python -m benchmarks.traps [--repeats N] [--kinds read_cr0,syscall] [--save]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks.guest_images import (
    GOOD_EXIT_CODE,
    RAM_BYTES,
    empty_loop,
    loop_image,
    with_repeats,
)
from benchmarks.measure import Sample, Timing, interleave, stopwatch
from benchmarks.report import described, load, report, save, table

if TYPE_CHECKING:
    from hypervisor.technique import Technique
    from isa.boot import BootImage

KINDS: Final[Mapping[str, str]] = {
    "read_cr0": "MOV from CR0",
    "cli_sti": "CLI and STI",
    "cpuid": "CPUID",
    "in_port": "IN, serial port",
    "out_port": "OUT, no device",
    "invalid_opcode": "UD2 and its handler",
    "syscall": "INT 80h and back",
    "invlpg": "INVLPG and a touch",
    "cr3_switch": "CR3 load, four touches",
    "pte_write": "live PTE write, INVLPG",
    "page_fault": "page fault and unmapping",
}
PLAINEST: Final = "read_cr0"  # nothing but the trap and one register
EMPTY: Final = "empty"
BASELINE: Final = "bare"
MONITORS: Final = ("ring",)
TARGET_US: Final = 20.0

# A short run and a long one, in operations; the long one takes at least so much processor time.
Lengths = Mapping[str, tuple[int, int]]
TECHNIQUES: Final = (BASELINE, *MONITORS)
SHORT: Final = 500
LONG_RUN_S: Final = 0.25
_MOST_OPERATIONS: Final = 20_000_000


class Cost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One operation under one technique, the loop around it removed.

    Attributes:
        microseconds: on the host.
        cycles: of the model.
        exits: how often control left the guest for the technique, by reason.
        round_trip_us: microseconds per exit, or None where nothing exits.
    """

    microseconds: Timing
    cycles: float
    exits: dict[str, float]
    round_trip_us: Timing | None


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of operation, by technique."""

    name: str
    costs: dict[str, Cost]


class Results(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All kinds. `loop` is what was subtracted: microseconds of one empty round, by technique."""

    target_us: float
    loop: dict[str, float]
    kinds: list[Kind]


@dataclass
class Difference:
    """Per operation, between a long and a short run."""

    samples: list[Sample]
    cycles: float
    exits: dict[str, float]


def measure_kinds(
    names: Sequence[str],
    *,
    repeats: int,
    lengths: Lengths | None = None,
    announce: Callable[[str], None] = lambda _name: None,
) -> Results:
    """Measure the kinds named, each under all techniques in turns.

    Args:
        names: keys of KINDS.
        repeats: turns.
        lengths: by technique, instead of what `chosen_lengths` finds.
        announce: called with the name of each kind before it is measured.
    """
    announce(EMPTY)
    empty = measure_image(empty_loop(), repeats=repeats, lengths=lengths)
    kinds = []
    for name in names:
        announce(name)
        found = measure_image(loop_image(f"traps/{name}"), repeats=repeats, lengths=lengths)
        kinds.append(Kind(name, {by: _cost(found[by], empty[by]) for by in found}))
    loop = {by: round(_middle(each.samples).cpu_s * 1e6, 4) for by, each in empty.items()}
    return Results(TARGET_US, loop, kinds)


def measure_image(
    image: BootImage, *, repeats: int, lengths: Lengths | None = None
) -> dict[str, Difference]:
    """One loop under every technique."""
    lengths = lengths or {name: chosen_lengths(name, image) for name in TECHNIQUES}
    last: dict[tuple[str, int], Technique] = {}

    def timed(name: str, count: int) -> Sample:
        sample, last[name, count] = time_run(name, image, count)
        return sample

    def turn(name: str, short: int, long: int) -> Sample:
        return (timed(name, long) - timed(name, short)) / (long - short)

    cases = {name: partial(turn, name, *pair) for name, pair in lengths.items()}
    samples = interleave(cases, repeats=repeats)
    return {
        name: _difference(samples[name], last[name, short], last[name, long], long - short)
        for name, (short, long) in lengths.items()
    }


def chosen_lengths(name: str, image: BootImage) -> tuple[int, int]:
    """A short length, and one that is long enough for the clock."""
    long = 4 * SHORT
    while long < _MOST_OPERATIONS and time_run(name, image, long)[0].cpu_s < LONG_RUN_S:
        long *= 4
    return SHORT, long


def time_run(name: str, image: BootImage, count: int) -> tuple[Sample, Technique]:
    """Time one run of so many operations, which must end well."""
    machine = ready_machine(name, with_repeats(image, count))
    with stopwatch() as sample:
        machine.run()
    if machine.exit_code != GOOD_EXIT_CODE:
        raise RuntimeError(f"{image.name} under {name} ended with {machine.exit_code}")
    return sample, machine


def ready_machine(name: str, image: BootImage) -> Technique:
    """A machine of a technique, at the guest's first instruction."""
    from hypervisor.technique import create

    machine = create(name, RAM_BYTES)
    machine.boot(image)
    return machine


def _difference(samples: list[Sample], short: Technique, long: Technique, count: int) -> Difference:
    before = short.exits
    exits = {
        reason: round((after - before.get(reason, 0)) / count, 4)
        for reason, after in long.exits.items()
        if after != before.get(reason, 0)
    }
    return Difference(samples, (long.cycles - short.cycles) / count, exits)


def _cost(found: Difference, empty: Difference) -> Cost:
    loop = _middle(empty.samples)
    samples = [sample - loop for sample in found.samples]
    exits = sum(found.exits.values())
    trips = [sample / exits for sample in samples] if exits else []
    return Cost(
        microseconds=Timing.of(samples, _to_microseconds, 3),
        cycles=round(found.cycles - empty.cycles, 1),
        exits=found.exits,
        round_trip_us=Timing.of(trips, _to_microseconds, 3) if trips else None,
    )


def _middle(samples: list[Sample]) -> Sample:
    summary = Timing.of(samples, digits=12)
    return Sample(summary.wall.median, summary.cpu.median)


def _to_microseconds(seconds: float) -> float:
    return seconds * 1e6


def render(results: Results) -> str:
    """The table of the page."""
    monitor = MONITORS[0]
    header = (
        *("operation", "bare µs", f"{monitor} µs", "exits", "µs per exit", "by wall clock"),
        *("exits/s", "bare cycles", f"{monitor} cycles"),
    )
    rows = [
        _row(KINDS[kind.name], kind.costs[BASELINE], kind.costs[monitor]) for kind in results.kinds
    ]
    return table(header, rows)


def _row(operation: str, bare: Cost, monitored: Cost) -> list[str]:
    return [
        operation,
        f"{bare.microseconds.cpu.median:.2f}",
        f"{monitored.microseconds.cpu.median:.1f}",
        f"{sum(monitored.exits.values()):.2f}",
        *_trip(monitored.round_trip_us),
        f"{bare.cycles:,.0f}",
        f"{monitored.cycles:,.0f}",
    ]


def _trip(trip: Timing | None) -> Iterator[str]:
    if trip is None:
        yield from ("–", "–", "–")
        return
    yield f"{trip.cpu.median:.1f}"
    yield f"{trip.wall.median:.1f}"
    yield f"{1e6 / trip.cpu.median:,.0f}"


def tables() -> dict[str, str]:
    """The page's tables, from the saved results."""
    saved = load("traps", Results)
    return {"traps": f"{render(saved.results)}\n\n{described(saved.circumstances)}"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and save if asked to."""
    parser = argparse.ArgumentParser(description="cost of one trap")
    parser.add_argument("--repeats", type=int, default=7, help="turns (default: 7)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="comma-separated")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results")
    chosen = parser.parse_args(arguments)
    results = measure_kinds(
        chosen.kinds.split(","),
        repeats=chosen.repeats,
        announce=lambda name: print(f"traps: {name}", flush=True),
    )
    finished = report("traps", results)
    print(render(finished.results), described(finished.circumstances), sep="\n\n")
    if chosen.save:
        save(finished)


if __name__ == "__main__":
    main()
