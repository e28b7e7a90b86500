"""Every guest of the catalogue under every technique: the promised end, and the same state."""

from __future__ import annotations

import pytest

from hypervisor.comparison import same_state
from hypervisor.technique import StopReason, Technique, available_techniques
from tools.catalogue import Guest, guests
from tools.loader import load

pytestmark = pytest.mark.compiled

RAM_BYTES = 16 << 20
SHORT = 20_000  # instructions for guests that only trap, or never end

ENTRIES = guests()
# These erase the tables they run on and never invalidate anything: how far they get on stale
# translations is the TLB's business (SDM vol. 3A, "Caching Translation Information"), and shadow
# tables forget sooner than the machine's TLB does.
RUNS_ON_STALE_TRANSLATIONS = {"hostile/recursive_tables", "hostile/own_tables"}
TRAPPING = [
    name
    for name in ENTRIES
    if name.startswith("traps/") or ENTRIES[name].stop == "budget" or name == "hostile/port_flood"
]
ENDING = [name for name in ENTRIES if name not in TRAPPING]


def booted(technique: str, guest: Guest) -> Technique:
    """A guest of the catalogue at its first instruction."""
    image = load(guest.name, ram_bytes=RAM_BYTES)
    made = available_techniques()[technique](RAM_BYTES, devices=image.devices)
    made.boot(image)
    return made


def assert_same_state(techniques: list[Technique]) -> None:
    """All techniques show the guest the same registers and memory."""
    reference = techniques[0].snapshot()
    for other in techniques[1:]:
        assert same_state(reference, other.snapshot()), other.name


@pytest.mark.parametrize("name", ENDING)
def test_a_guest_ends_as_promised_under_every_technique(name: str) -> None:
    guest = ENTRIES[name]
    techniques = []
    for technique in available_techniques():
        made = booted(technique, guest)
        stop = made.run(guest.budget)
        if technique in guest.refused_by:
            assert stop.reason is StopReason.ERROR, technique
            continue
        assert stop.reason.value == guest.stop, technique
        assert made.exit_code == guest.exit_code, technique
        if guest.expected_console is not None:
            assert made.console == guest.expected_console, technique
        assert sum(made.ledger.values()) == made.cycles, technique
        techniques.append(made)
    if name not in RUNS_ON_STALE_TRANSLATIONS:
        assert len({made.guest_instructions for made in techniques}) == 1
    if guest.stop == "exit":
        assert_same_state(techniques)


@pytest.mark.parametrize("name", TRAPPING)
def test_a_guest_that_traps_all_the_time_stays_in_step(name: str) -> None:
    guest = ENTRIES[name]
    techniques = [booted(technique, guest) for technique in available_techniques()]
    for count in (SHORT // 3, SHORT):
        for made in techniques:
            stop = made.run(count)
            assert stop.reason.value == "budget", made.name
            assert made.guest_instructions == count, made.name
        assert_same_state(techniques)
