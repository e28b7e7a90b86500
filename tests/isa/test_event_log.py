"""The log of deliveries: what was delivered in the end, and from where."""

from __future__ import annotations

from isa import state, vectors
from isa import workspace as w
from isa.event_log import Delivery, deliveries
from isa.events import HARDWARE, SOFTWARE
from isa.records import TRANSFER, TROUBLED
from isa.registers import CS, SS
from tests.isa.protected_machine import (
    CODE,
    CODES,
    DATAS,
    INT32,
    STACKS,
    ProtectedMachine,
    gate,
)

HANDLER = 0x12000


def at_ring_3() -> ProtectedMachine:
    machine = ProtectedMachine()
    machine.gate(vectors.GP, gate(CODES[0], HANDLER, INT32))
    machine.gate(vectors.DF, gate(CODES[0], HANDLER + 8, INT32))
    machine.gate(0x80, gate(CODES[0], HANDLER + 16, INT32, 3))
    return restart(machine)


def restart(machine: ProtectedMachine) -> ProtectedMachine:
    machine.fill(CS, CODES[3] | 3)
    machine.fill(SS, DATAS[3] | 3)
    machine.cpu[state.CPL] = 3
    machine.cpu[state.EIP] = CODE
    machine.cpu[state.GPR + 4] = STACKS[3]
    machine.core[w.TROUBLE] = 0
    return machine


def test_an_entry_says_what_and_where() -> None:
    machine = at_ring_3()
    machine.cpu[state.CR2] = 0x1234
    assert machine.deliver(vectors.GP, 0x40) == TRANSFER
    assert list(deliveries(machine.core)) == [
        Delivery(0, vectors.GP, 0x40, HARDWARE, CODES[3] | 3, CODE, 3, 0x1234, 0)
    ]


def test_two_faults_are_logged_as_the_double_fault_they_are() -> None:
    machine = at_ring_3()
    assert machine.deliver(vectors.TS, 0x10) == TRANSFER  # there is no gate for it
    (entry,) = deliveries(machine.core)
    assert (entry.vector, entry.error) == (vectors.DF, 0)


def test_what_is_not_delivered_is_not_logged() -> None:
    machine = at_ring_3()
    assert machine.deliver(0x81, kind=SOFTWARE) == TROUBLED
    assert not list(deliveries(machine.core))


def test_the_last_ones_are_kept_and_counted_on() -> None:
    machine = at_ring_3()
    for _ in range(w.LOG_ENTRIES + 10):
        assert machine.deliver(0x80, kind=SOFTWARE) == TRANSFER
        restart(machine)
    kept = list(deliveries(machine.core))
    assert [entry.number for entry in kept] == list(range(10, w.LOG_ENTRIES + 10))
    assert {entry.error for entry in kept} == {None}
    newest = list(deliveries(machine.core, w.LOG_ENTRIES + 8))
    assert newest == kept[-2:]
