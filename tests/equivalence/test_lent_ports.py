"""Registers that devices lend to the processor: a guest must not be able to tell.

Random programs of port accesses run twice on the bare machine, once with lending and once with
every access carried out by the devices. What they read, what they printed, the devices' state and
the clock have to agree; and lending must have spared exits, or this tests nothing.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor.bare import Bare
from hypervisor.technique import StopReason
from isa import state
from isa.boot import BootImage
from isa.devices.bus import Bus
from isa.exits import Exit

LOG = 0x40000
CODE = 0x10000
PIC, PIC_MASK, SLAVE, SLAVE_MASK = 0x20, 0x21, 0xA0, 0xA1
PIT, UART, KEYBOARD, PORT_B, CONSOLE = 0x40, 0x3F8, 0x60, 0x61, 0xE9
PORTS = (
    *(PIC, PIC_MASK, SLAVE, SLAVE_MASK, PIT, PIT + 2, PIT + 3, PORT_B, KEYBOARD, KEYBOARD + 4),
    *(UART + offset for offset in range(8)),
    *(CONSOLE, 0x80, 0x300, 0xFFFE, 0xFFFF, 0x4D0, 0x70, 0x92),
)


class Unlent(Bare):
    """The bare machine whose devices keep their registers to themselves."""

    def __init__(self, ram_bytes: int) -> None:
        lend = Bus.lend_ports
        Bus.lend_ports = lambda _bus, _table: None  # type: ignore[method-assign]
        try:
            super().__init__(ram_bytes)
        finally:
            Bus.lend_ports = lend  # type: ignore[method-assign]


def port_value(port: int) -> st.SearchStrategy[int]:
    """A byte to write that does not reset the machine."""
    if port == 0x92:
        return st.sampled_from((0, 2))
    if port == KEYBOARD + 4:
        return st.sampled_from((0x20, 0x60, 0xAA, 0xAD, 0xAE, 0xD0))
    return st.integers(0, 255)


@st.composite
def accesses(draw: st.DrawFn) -> bytes:
    """Machine code of one step: an access, or a wait in which timers run on."""
    port = draw(st.sampled_from(PORTS))
    pick_port = b"\x66\xba" + port.to_bytes(2, "little")  # mov dx, port
    match draw(st.sampled_from(("in", "in", "out", "out", "wide", "wait"))):
        case "in":
            return pick_port + b"\xec\xaa" * draw(st.integers(1, 3))  # in al, dx; stosb
        case "out":
            value = draw(port_value(port))
            return pick_port + bytes((0xB0, value)) + b"\xee" * draw(st.integers(1, 3))
        case "wide":
            code = draw(st.sampled_from((b"\xed\xab", b"\x66\xed\xab", b"\x66\xef")))
            writes_reset = code == b"\x66\xef" and port in (0x92, KEYBOARD + 4, 0x60, PORT_B)
            return pick_port + (b"\x31\xc0" + code if not writes_reset else b"\x90")
        case _:
            count = draw(st.sampled_from((10, 700, 2000)))
            return b"\xb9" + count.to_bytes(4, "little") + b"\xe2\xfe"  # mov ecx, n; loop $


def outcome(kind: type[Bare], code: bytes) -> tuple[Bare, int]:
    """A program run to its HLT, and how many port exits that took."""
    machine = kind(1 << 20)
    head = b"\xfa\xfc\xbf" + LOG.to_bytes(4, "little")  # cli; cld; mov edi, LOG
    image = BootImage(
        name="ports",
        segments=((CODE, head + code + b"\xf4"),),
        entry=CODE,
        eax=0,
        ebx=0,
        esp=0x8000,
        protected=True,
        symbols={},
        source="ports",
    )
    machine.boot(image)
    exits = 0
    carry_out = machine._handle

    def counted(reason: Exit) -> None:
        nonlocal exits
        exits += reason in (Exit.PORT_IN, Exit.PORT_OUT)
        carry_out(reason)

    machine._handle = counted  # type: ignore[method-assign]
    stop = machine.run(200_000)
    assert stop.reason is StopReason.HALT, stop
    machine.platform.clock.advance_to(machine.guest_instructions)
    machine.platform.pit.output(0)  # devices catch up when they are looked at
    return machine, exits


def assert_same(lent: Bare, unlent: Bare) -> None:
    """Everything a guest, a user or a save could see."""
    assert lent.read_memory(LOG, 0x1000) == unlent.read_memory(LOG, 0x1000)
    assert lent.platform.console_output == unlent.platform.console_output
    assert lent.platform.save() == unlent.platform.save()
    assert list(lent.processor.cpu) == list(unlent.processor.cpu)
    assert lent.ledger == unlent.ledger


@settings(deadline=None, max_examples=150)
@given(st.lists(accesses(), min_size=1, max_size=40).map(b"".join))
def test_lending_is_invisible(code: bytes) -> None:
    lent, _ = outcome(Bare, code)
    unlent, _ = outcome(Unlent, code)
    assert_same(lent, unlent)


def access_loop(port: int, access: bytes, count: int) -> bytes:
    """`count` times the same access."""
    return (
        b"\x66\xba"
        + port.to_bytes(2, "little")
        + b"\xb9"
        + count.to_bytes(4, "little")
        + (access + bytes((0xE2, 0x100 - len(access) - 2)))
    )


@pytest.mark.parametrize(
    ("port", "access", "most"),
    [
        (0x80, b"\xee", 0),  # nobody there
        (0x80, b"\xed", 0),
        (UART + 5, b"\xec", 0),
        (UART, b"\xee", 0),
        (UART + 7, b"\xee", 0),
        (CONSOLE, b"\xee", 0),
        (KEYBOARD + 4, b"\xec", 0),
        (PIC_MASK, b"\xec", 0),
        (PIC_MASK, b"\xee", 0),
        (PORT_B, b"\xec", 5),  # 2,000 instructions: the refresh bit changes every 1,509
        (UART + 2, b"\xec", 1000),  # reading it has an effect
    ],
)
def test_what_is_lent_needs_no_exit(port: int, access: bytes, most: int) -> None:
    code = access_loop(port, access, 1000)
    lent, exits = outcome(Bare, code)
    unlent, all_exits = outcome(Unlent, code)
    assert all_exits == 1000
    assert exits <= most
    if most == 1000:
        assert exits == 1000
    assert_same(lent, unlent)


def test_more_posted_bytes_than_the_list_holds() -> None:
    lent, exits = outcome(Bare, access_loop(CONSOLE, b"\xee", 10_000))
    assert exits == 2
    assert len(lent.platform.console_output) == 10_000


def test_a_mask_that_lets_a_waiting_request_through_is_not_kept() -> None:
    machine = Bare(1 << 20)
    pic = machine.platform.pic
    for port, value in ((0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0x21, 0xFF)):
        machine.platform.bus.write_port(port, 1, value)
    pic.set_irq(1, True)
    assert not pic.is_quiet
    machine.boot(
        BootImage(
            name="mask",
            segments=((CODE, b"\xb0\x00\xe6\x21\xf4"),),  # mov al, 0; out 0x21, al; hlt
            entry=CODE,
            eax=0,
            ebx=0,
            esp=0x8000,
            protected=True,
            symbols={},
            source="mask",
        )
    )
    machine.run(2)
    assert machine.platform.interrupt_pending()
    assert machine.processor.cpu[state.EIP] == CODE + 4
