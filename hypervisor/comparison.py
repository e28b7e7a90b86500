"""The same guest under several techniques: do they give the same results?

Equal means: the same console, the same reason of the stop, the same exit code, the same contents of
the result memory and the same number of guest instructions. Where two runs differ, the first
instruction whose effect differs is searched for (hypervisor.divergence). There everything counts
that the guest could notice: the processor with what is hidden behind its selectors, all of RAM, the
devices. Nothing is masked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hypervisor.divergence import Divergence, Progress, Side, find_divergence
from hypervisor.technique import (
    RAM_BYTES,
    Snapshot,
    Stop,
    StopReason,
    Technique,
    technique_class,
)
from isa.boot import BootImage

if TYPE_CHECKING:
    from isa.cpu_models import CpuModel
    from isa.devices.configuration import Configuration

Factory = Callable[[], Technique]

_REMEMBERED: Final = 4  # instructions before the divergence that a report shows


@dataclass(frozen=True)
class Run:
    """One technique's run to the end."""

    name: str
    technique: Technique
    stop: Stop
    host_seconds: float


@dataclass(frozen=True)
class Comparison:
    """All runs of one guest, and what they say about each other."""

    guest: str
    runs: tuple[Run, ...]
    differences: tuple[str, ...]
    divergence: Divergence | None

    @property
    def equivalent(self) -> bool:
        """Whether every technique gave the same results."""
        return not self.differences


def compare(
    image: BootImage,
    names: Sequence[str],
    *,
    ram_bytes: int = RAM_BYTES,
    budget: int | None = None,
    result_memory: Sequence[tuple[int, int]] = (),
    progress: Progress | None = None,
    model: CpuModel | None = None,
) -> Comparison:
    """Run a guest under the named techniques, the first of which is the reference.

    Args:
        image: the guest.
        names: of techniques.
        ram_bytes: memory of the machine or VM.
        budget: guest instructions after which a run is stopped.
        result_memory: (guest-physical address, bytes) of what the guest leaves behind.
        progress: called with what is being done and how many instructions that took so far.
        model: the processor that the guest sees under all of them.
    """
    factories: dict[str, Factory] = {}
    for name in names:
        factories[name] = _factory(name, ram_bytes, progress, model, image.devices)
    return compare_techniques(
        image, factories, budget=budget, result_memory=result_memory, progress=progress
    )


def _factory(
    name: str,
    ram_bytes: int,
    progress: Progress | None,
    model: CpuModel | None,
    devices: Configuration,
) -> Factory:
    technique = technique_class(name)

    def make() -> Technique:
        if progress is None:
            return technique(ram_bytes, model=model, devices=devices)
        return technique(
            ram_bytes, progress=lambda count: progress(name, count), model=model, devices=devices
        )

    return make


def compare_techniques(
    image: BootImage,
    factories: dict[str, Factory],
    *,
    budget: int | None = None,
    result_memory: Sequence[tuple[int, int]] = (),
    progress: Progress | None = None,
) -> Comparison:
    """As `compare`, with techniques made by the caller. Raises KeyboardInterrupt on Ctrl-C."""
    runs = [_run(name, make, image, budget) for name, make in factories.items()]
    differences: list[str] = []
    divergence: Divergence | None = None
    for other in runs[1:]:
        found = _differences(runs[0], other, result_memory)
        differences += found
        if found and divergence is None:
            if progress is not None:
                progress(f"searching where {runs[0].name} and {other.name} part", 0)
            divergence = _first_divergence(image, factories, runs[0], other, progress)
    return Comparison(image.name, tuple(runs), tuple(differences), divergence)


def _first_divergence(
    image: BootImage,
    factories: dict[str, Factory],
    first: Run,
    second: Run,
    progress: Progress | None = None,
) -> Divergence | None:
    """Where two runs with different results part; None if only their results tell them apart."""
    counts = [run.technique.guest_instructions for run in (first, second)]
    outcome = find_divergence(
        side_of(first.name, factories[first.name], image),
        side_of(second.name, factories[second.name], image),
        until=min(counts) + 1,
        context=_REMEMBERED,
        progress=progress,
    )
    return outcome.divergence


def side_of(name: str, make: Factory, image: BootImage) -> Side:
    """A guest under a technique, to be compared instruction by instruction."""

    def booted() -> Technique:
        technique = make()
        technique.boot(image)
        return technique

    return Side(name, booted)


def same_state(first: Snapshot, second: Snapshot) -> bool:
    """Whether two states are the same to the guest."""
    return first == second


def _run(name: str, make: Factory, image: BootImage, budget: int | None) -> Run:
    technique = make()
    technique.boot(image)
    started = time.perf_counter()
    stop = _run_until(technique, budget)
    return Run(name, technique, stop, time.perf_counter() - started)


def _run_until(technique: Technique, until: int | None) -> Stop:
    stop = technique.run(until)
    if stop.reason is StopReason.INTERRUPTED:
        raise KeyboardInterrupt
    return stop


# --- results ----------------------------------------------------------------------------------


def _differences(first: Run, second: Run, result_memory: Sequence[tuple[int, int]]) -> list[str]:
    """What differs in the results of two runs, in words."""
    found = []
    pairs = (
        ("stop", first.stop.reason.value, second.stop.reason.value),
        ("exit code", first.technique.exit_code, second.technique.exit_code),
        (
            "guest instructions",
            first.technique.guest_instructions,
            second.technique.guest_instructions,
        ),
    )
    for what, one, other in pairs:
        if one != other:
            found.append(f"{what}: {first.name} {one}, {second.name} {other}")
    if first.technique.console != second.technique.console:
        found.append(_console_difference(first, second))
    for gpa, size in result_memory:
        if first.technique.read_memory(gpa, size) != second.technique.read_memory(gpa, size):
            found.append(f"result memory at {gpa:#x}: {first.name} and {second.name} differ")
    return found


def _console_difference(first: Run, second: Run) -> str:
    ours = first.technique.console.split(b"\n")
    theirs = second.technique.console.split(b"\n")
    line = 0
    while line < min(len(ours), len(theirs)) and ours[line] == theirs[line]:
        line += 1
    shown = [
        lines[line].decode("utf-8", "replace") if line < len(lines) else "(nothing)"
        for lines in (ours, theirs)
    ]
    return f"console line {line + 1}: {first.name} {shown[0]!r}, {second.name} {shown[1]!r}"
