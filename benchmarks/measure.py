"""How a time is taken: warm-up, repetition, interleaving, two clocks.

Every sample has the time that passed (wall clock) and the processor time used. On a machine that
others use too the first says how busy they were, the second what the work cost; neither is exact,
because shared caches and clock frequencies reach both. Therefore things to be compared are measured
in turns within one run, and the ratio is taken turn by turn. Knows nothing of what it measures.
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec


@dataclass
class Sample:
    """One measurement, in seconds; filled in when the stopwatch stops."""

    wall_s: float = 0.0
    cpu_s: float = 0.0

    def __sub__(self, other: Sample) -> Sample:
        return Sample(self.wall_s - other.wall_s, self.cpu_s - other.cpu_s)

    def __truediv__(self, count: float) -> Sample:
        return Sample(self.wall_s / count, self.cpu_s / count)


class Spread(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is reported of several values."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float], digits: int = 6) -> Spread:
        """The spread of at least one value, rounded."""
        ordered = sorted(values)
        middle = statistics.median(ordered)
        return cls(*(round(value, digits) for value in (middle, ordered[0], ordered[-1])))


class Timing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Spread of both clocks over a number of samples."""

    samples: int
    wall: Spread
    cpu: Spread

    @classmethod
    def of(
        cls,
        samples: Sequence[Sample],
        convert: Callable[[float], float] = lambda seconds: seconds,
        digits: int = 6,
    ) -> Timing:
        """Summarise samples, in seconds or in what `convert` makes of them."""
        return cls(
            len(samples),
            Spread.of((convert(sample.wall_s) for sample in samples), digits),
            Spread.of((convert(sample.cpu_s) for sample in samples), digits),
        )


@contextmanager
def stopwatch(*, children: bool = False) -> Iterator[Sample]:
    """Time the body of a `with`; the sample is complete behind it.

    Args:
        children: count the processor time of processes that the body starts and waits for, instead
            of this process's own.
    """
    sample = Sample()
    processor_time = _children_time if children else time.process_time
    cpu, wall = processor_time(), time.perf_counter()
    try:
        yield sample
    finally:
        sample.wall_s = time.perf_counter() - wall
        sample.cpu_s = processor_time() - cpu


def _children_time() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def interleave(
    cases: Mapping[str, Callable[[], Sample]], *, repeats: int, warm_ups: int = 1
) -> dict[str, list[Sample]]:
    """Measure cases in turns: all of them once, then all in reverse order, and so on.

    A slow drift of the machine then weighs on all alike. A case prepares itself and times only what
    is to be timed; the samples of the warm-up are thrown away.
    """
    for _ in range(warm_ups):
        for case in cases.values():
            case()
    samples: dict[str, list[Sample]] = {name: [] for name in cases}
    for turn in range(repeats):
        order = list(cases)
        for name in order if turn % 2 == 0 else reversed(order):
            samples[name].append(cases[name]())
    return samples


def ratio(above: Sequence[Sample], below: Sequence[Sample]) -> Spread:
    """Processor time of one case over that of another, turn by turn."""
    return Spread.of((a.cpu_s / b.cpu_s for a, b in zip(above, below, strict=True)), 3)
