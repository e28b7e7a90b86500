"""Segment loads, limits, types, far transfers and queries against the host's own processor."""

from __future__ import annotations

import os
from collections import Counter
from functools import cache
from random import Random

import pytest

from isa import state
from isa.jit import CHECKED, ENABLED
from isa.vectors import GP, NP, SS
from tests.case_count import count_case
from tests.oracles.host_machine import HostUnavailableError
from tests.oracles.host_segments import HostSegmentPair

pytestmark = pytest.mark.oracle

SAMPLE = 3 if CHECKED else 30 if ENABLED else 2
SCENES = 100 * int(os.environ.get("TRAPGATE_ORACLE_HOST_CASES", SAMPLE))
SHOWN = 5


@cache
def pair(seed: int) -> HostSegmentPair:
    try:
        return HostSegmentPair(seed)
    except HostUnavailableError as reason:
        pytest.skip(f"no native execution: {reason}")


@pytest.mark.parametrize("seed", range(4))
def test_segments_behave_as_on_the_hosts_processor(seed):
    """Each seed has its own descriptor table."""
    machines, rng = pair(seed), Random(seed)
    problems = []
    outcomes: Counter[int | None] = Counter()
    for _ in range(SCENES):
        count_case()
        problems += machines.scene_differences(machines.scene(rng))
        outcomes[machines.other.fault] += 1
    assert not problems, f"{len(problems)} differ:\n" + "\n".join(problems[:SHOWN])
    if SCENES >= 1000:
        assert all(outcomes[fault] > SCENES // 200 for fault in (None, NP, SS, GP)), outcomes


def test_a_wrong_limit_would_be_noticed():
    machines, rng = pair(0), Random(1)
    place = state.LIMIT  # of every segment that is loaded later: there are no limits but these
    limits = machines.setup[place : place + 6].copy()
    machines.setup[place : place + 6] = 0xFFF
    try:
        found = [machines.scene_differences(machines.scene(rng)) for _ in range(100)]
    finally:
        machines.setup[place : place + 6] = limits
    assert any(found)
