"""Every modelled cycle has one cause, the causes add up to the clock, and both are recomputed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor.technique import Technique, available_techniques
from isa.costs import Costs
from isa.ledger import CAUSES
from isa.processor import Processor
from isa.workspace import EVENT_NAMES
from tools.loader import load

pytestmark = pytest.mark.compiled

RAM_BYTES = 16 << 20


def machine_of(technique: Technique) -> Processor:
    """The processor whose clock the technique reports."""
    found = getattr(technique, "processor", None)
    if found is None:
        found = technique.monitor.machine.processor  # type: ignore[attr-defined]
    assert isinstance(found, Processor)
    return found


def price(costs: Costs, processor: Processor) -> int:
    """What the machine's own events cost, counted again from the event counters."""
    return sum(
        int(processor.counts[level, event]) * costs.machine[name]
        for level in range(4)
        for event, name in enumerate(EVENT_NAMES)
    )


amounts = st.integers(0, 5_000)
profiles = st.builds(
    lambda machine, monitor: Costs(
        "generated",
        dict(zip(EVENT_NAMES, machine, strict=True)),
        dict(zip(Costs.load().monitor, monitor, strict=True)),
    ),
    st.lists(amounts, min_size=len(EVENT_NAMES), max_size=len(EVENT_NAMES)),
    st.lists(amounts, min_size=len(Costs.load().monitor), max_size=len(Costs.load().monitor)),
)


@pytest.mark.parametrize("name", list(available_techniques()))
@settings(max_examples=12)
@given(costs=profiles, stops=st.lists(st.integers(1, 300_000), min_size=1, max_size=4))
def test_the_causes_add_up_to_the_clock_at_any_moment(
    name: str, costs: Costs, stops: list[int]
) -> None:
    technique = available_techniques()[name](RAM_BYTES, costs=costs)
    technique.boot(load("minikernel", ram_bytes=RAM_BYTES))
    before = 0
    for until in sorted(stops):
        technique.run(until)
        ledger = technique.ledger
        assert tuple(ledger) == CAUSES
        assert min(ledger.values()) >= 0
        assert sum(ledger.values()) == technique.cycles
        assert technique.cycles >= before
        before = technique.cycles
    processor = machine_of(technique)
    software = {"decode", "emulation", "shadow"}
    if name == "bare":
        assert technique.cycles == price(costs, processor)
        assert not any(technique.ledger[cause] for cause in (*software, "world_switch"))
    else:
        assert technique.cycles >= price(costs, processor)


@pytest.mark.parametrize("name", list(available_techniques()))
def test_guest_work_is_the_guests_instructions_when_nothing_else_costs(name: str) -> None:
    free = Costs(
        "instructions only",
        {event: int(event == "instruction") for event in EVENT_NAMES},
        dict.fromkeys(Costs.load().monitor, 0),
    )
    technique = available_techniques()[name](RAM_BYTES, costs=free)
    technique.boot(load("loops/sieve", ram_bytes=RAM_BYTES))
    technique.run(1_000_000)
    guest = technique.ledger["guest"]
    assert guest <= technique.guest_instructions == 1_000_000
    assert guest > 990_000  # the rest was emulated
    assert sum(technique.ledger.values()) == technique.cycles
