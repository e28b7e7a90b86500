"""The guest whose tasks the processor switches: the same however its run is cut into pieces."""

from __future__ import annotations

import pytest

from hypervisor.bare import Bare
from hypervisor.comparison import same_state
from hypervisor.technique import StopReason
from tools.catalogue import guests
from tools.loader import load

pytestmark = pytest.mark.compiled

RAM_BYTES = 16 << 20
GUEST = guests()["tasks"]


def booted() -> Bare:
    made = Bare(RAM_BYTES)
    made.boot(load(GUEST.name, ram_bytes=RAM_BYTES))
    return made


@pytest.mark.parametrize("piece", [1, 2, 7, 1000])
def test_pieces_add_up(piece: int) -> None:
    whole, pieces = booted(), booted()
    assert whole.run(GUEST.budget).reason is StopReason.EXIT
    count = 0
    while pieces.run(count).reason is StopReason.BUDGET:
        assert pieces.guest_instructions == count
        count += piece
        if count % (100 * piece) == 0:
            pieces.processor.drop_derived()
    assert same_state(whole.snapshot(), pieces.snapshot())
    assert pieces.console == whole.console == GUEST.expected_console
    assert sum(pieces.ledger.values()) == pieces.cycles
