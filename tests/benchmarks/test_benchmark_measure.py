"""Taking times: order of turns, what is inside the stopwatch, summaries. No time is asserted."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from benchmarks.measure import Sample, Spread, Timing, interleave, ratio, stopwatch


def test_cases_are_measured_in_turns_that_change_direction():
    order = []

    def case(name):
        def run():
            order.append(name)
            return Sample(float(len(order)), 1.0)

        return run

    samples = interleave({name: case(name) for name in "abc"}, repeats=3, warm_ups=1)
    assert "".join(order) == "abc" + "abc" + "cba" + "abc"
    assert [sample.wall_s for sample in samples["a"]] == [4.0, 9.0, 10.0]


def test_a_stopwatch_counts_both_clocks_of_its_body():
    with stopwatch() as sample:
        until = time.process_time() + 0.002
        while time.process_time() < until:
            pass
    assert sample.cpu_s >= 0.002
    assert sample.wall_s > 0


def test_a_stopwatch_counts_processes_only_if_asked_to():
    command = [sys.executable, "-c", "pass"]
    with stopwatch(children=True) as theirs:
        subprocess.run(command, check=True)
    assert theirs.cpu_s > 0
    with stopwatch(children=True) as nobodys:
        sum(range(10_000))
    assert nobodys.cpu_s == 0


def test_a_stopwatch_stops_when_its_body_fails():
    with pytest.raises(KeyError), stopwatch() as sample:
        raise KeyError
    assert sample.wall_s > 0


def test_a_spread_holds_median_and_ends():
    assert Spread.of([3.0, 1.0, 10.0, 2.0]) == Spread(2.5, 1.0, 10.0)
    assert Spread.of([1 / 3], digits=2) == Spread(0.33, 0.33, 0.33)


def test_a_timing_converts_each_sample_before_it_summarises():
    taken = [Sample(1.0, 0.5), Sample(4.0, 2.0), Sample(2.0, 1.0)]
    speed = Timing.of(taken, lambda seconds: 8 / seconds)
    assert speed == Timing(3, Spread(4.0, 2.0, 8.0), Spread(8.0, 4.0, 16.0))


def test_a_ratio_is_taken_turn_by_turn_by_processor_time():
    above = [Sample(9.0, 2.0), Sample(9.0, 30.0), Sample(9.0, 4.0)]
    below = [Sample(1.0, 1.0), Sample(1.0, 10.0), Sample(1.0, 4.0)]
    assert ratio(above, below) == Spread(2.0, 1.0, 3.0)
    with pytest.raises(ValueError, match="zip"):
        ratio(above, below[:2])


def test_samples_can_be_subtracted_and_divided():
    assert (Sample(5.0, 3.0) - Sample(1.0, 2.0)) / 2 == Sample(2.0, 0.5)
