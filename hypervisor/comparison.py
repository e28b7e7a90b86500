"""The same guest under several techniques: are they equal, and if not, since which instruction?

Equal means: the same console, the same reason of the stop, the same exit code, the same contents of
the result memory and the same number of guest instructions. Where two runs differ, both are run
again and compared at ever closer instruction counts, until the first instruction is found whose
effect on the guest's state differs. (A difference that disappears again is found too, unless it
comes and goes between two points of the search.)

States are compared as the guest sees them: registers, flags, selectors, control registers, table
registers and all of RAM. Nothing is masked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hypervisor.technique import (
    RAM_BYTES,
    Snapshot,
    Stop,
    StopReason,
    Technique,
    technique_class,
)
from isa.boot import BootImage
from isa.registers import GPR_NAMES, SEGMENT_NAMES

if TYPE_CHECKING:
    from isa.cpu_models import CpuModel

Progress = Callable[[str, int], None]
Factory = Callable[[], Technique]

_POINTS: Final = 64  # states compared in each pass of the search
_MEMORY_DIFFERENCES: Final = 8  # places in RAM that a report shows
_CHUNK: Final = 4096


@dataclass(frozen=True)
class Run:
    """One technique's run to the end."""

    name: str
    technique: Technique
    stop: Stop
    host_seconds: float


@dataclass(frozen=True)
class Difference:
    """One part of the state that differs, in words."""

    what: str
    first: str
    second: str


@dataclass(frozen=True)
class Divergence:
    """The first instruction after which two runs differ.

    Attributes:
        first, second: names of the techniques.
        guest_instructions: completed before this one; the states are equal up to here.
        eip: of the instruction; also what symbols are looked up by.
        instruction: in words.
        differences: what differs after it.
    """

    first: str
    second: str
    guest_instructions: int
    eip: int
    instruction: str
    differences: tuple[Difference, ...]


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
        factories[name] = _factory(name, ram_bytes, progress, model)
    return compare_techniques(
        image, factories, budget=budget, result_memory=result_memory, progress=progress
    )


def _factory(
    name: str, ram_bytes: int, progress: Progress | None, model: CpuModel | None
) -> Factory:
    technique = technique_class(name)

    def make() -> Technique:
        if progress is None:
            return technique(ram_bytes, model=model)
        return technique(ram_bytes, progress=lambda count: progress(name, count), model=model)

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
            makers = factories[runs[0].name], factories[other.name]
            divergence = find_divergence(image, runs[0], other, *makers)
    return Comparison(image.name, tuple(runs), tuple(differences), divergence)


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


# --- the search -------------------------------------------------------------------------------


def find_divergence(
    image: BootImage, first: Run, second: Run, make_first: Factory, make_second: Factory
) -> Divergence:
    """The first instruction whose effect differs between two techniques."""
    last = min(run.technique.guest_instructions for run in (first, second))
    equal, different = 0, last
    while different - equal > 1:
        equal, different = _narrow(image, make_first, make_second, equal, different)
    pair = [_at(image, make, equal) for make in (make_first, make_second)]
    place = pair[0].snapshot_eip()
    text = pair[0].instruction_text()
    if not _state_differences(pair[0], pair[1]):
        stops = [_run_until(technique, equal + 1) for technique in pair]
        found = _state_differences(pair[0], pair[1])
        found += _stop_differences(stops[0], stops[1])
    else:  # they differ from the beginning
        found = _state_differences(pair[0], pair[1])
    return Divergence(first.name, second.name, equal, place, text, tuple(found))


def _at(image: BootImage, make: Factory, count: int) -> Technique:
    """A new run, stopped after `count` instructions."""
    technique = make()
    technique.boot(image)
    _run_until(technique, count)
    return technique


def _narrow(
    image: BootImage, make_first: Factory, make_second: Factory, equal: int, different: int
) -> tuple[int, int]:
    """Compare states at points between two counts; the counts around the first difference."""
    pair = [_at(image, make, equal) for make in (make_first, make_second)]
    step = max((different - equal) // _POINTS, 1)
    for point in range(equal + step, different + step, step):
        count = min(point, different)
        for technique in pair:
            _run_until(technique, count)
        if not same_state(pair[0].snapshot(), pair[1].snapshot()):
            return equal, count
        if count == different:
            break
        equal = count
    # Equal at the last point too: what differs is how the runs end there.
    return different, different


def same_state(first: Snapshot, second: Snapshot) -> bool:
    """Whether two states are the same to the guest."""
    return first == second


def _state_differences(first: Technique, second: Technique) -> list[Difference]:
    """Everything in which two stopped techniques differ."""
    one, other = first.snapshot(), second.snapshot()
    found = []
    for index, name in enumerate(GPR_NAMES):
        found += _different(name, one.gpr[index], other.gpr[index])
    for index, name in enumerate(SEGMENT_NAMES):
        found += _different(name, one.selectors[index], other.selectors[index])
    for name in ("eip", "cpl", "cr0", "cr2", "cr3", "cr4"):
        found += _different(name, getattr(one, name), getattr(other, name))
    found += _different("eflags", one.eflags, other.eflags)
    for name in ("gdtr", "idtr"):
        for part, ours, theirs in zip(
            ("base", "limit"), getattr(one, name), getattr(other, name), strict=True
        ):
            found += _different(f"{name} {part}", ours, theirs)
    if one.halted != other.halted:
        found.append(Difference("halted", str(one.halted), str(other.halted)))
    if one.guest_instructions != other.guest_instructions:
        counts = str(one.guest_instructions), str(other.guest_instructions)
        found.append(Difference("guest instructions", *counts))
    if one.ram_digest != other.ram_digest:
        found += _memory_differences(first, second)
    return found


def _different(what: str, one: int, other: int) -> list[Difference]:
    return [] if one == other else [Difference(what, f"{one:#010x}", f"{other:#010x}")]


def _memory_differences(first: Technique, second: Technique) -> list[Difference]:
    """The first places in RAM that differ, as doublewords."""
    found: list[Difference] = []
    for start in range(0, first.ram_bytes, _CHUNK):
        ours, theirs = first.read_memory(start, _CHUNK), second.read_memory(start, _CHUNK)
        if ours == theirs:
            continue
        for offset in range(0, _CHUNK, 4):
            one, other = ours[offset : offset + 4], theirs[offset : offset + 4]
            if one != other:
                shown = [f"{int.from_bytes(word, 'little'):#010x}" for word in (one, other)]
                found.append(Difference(f"memory {start + offset:#010x}", *shown))
                if len(found) >= _MEMORY_DIFFERENCES:
                    return found
    return found


def _stop_differences(first: Stop, second: Stop) -> list[Difference]:
    if first.reason is second.reason:
        return []
    return [
        Difference("stop", *(f"{stop.reason.value} ({stop.detail})" for stop in (first, second)))
    ]
