"""The bus: claims, offsets, and wide accesses to narrow devices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa.devices.bus import Bus
from isa.devices.lending import Lender
from isa.port_table import PortTable
from isa.workspace import LENT, LENT_VALUE, LENT_WORDS, PORTS, new_workspace


class Recorder:
    """Registers that remember how they were accessed and hold what was written."""

    def __init__(self, *widths: int) -> None:
        self.widths = widths
        self.log: list[tuple[str, int, int, int]] = []
        self.bytes = bytearray(16)

    def read(self, offset: int, size: int) -> int:
        value = int.from_bytes(self.bytes[offset : offset + size], "little")
        self.log.append(("read", offset, size, value))
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        self.log.append(("write", offset, size, value))
        self.bytes[offset : offset + size] = value.to_bytes(size, "little")


def test_unclaimed_reads_are_all_ones_and_writes_are_lost() -> None:
    bus = Bus()
    assert [bus.read_port(0x80, size) for size in (1, 2, 4)] == [0xFF, 0xFFFF, 0xFFFFFFFF]
    assert bus.read_memory(0xFEC00000, 4) == 0xFFFFFFFF
    bus.write_port(0x80, 4, 1)
    bus.write_memory(0xFEC00000, 4, 1)


def test_devices_see_offsets() -> None:
    bus, device = Bus(), Recorder(1)
    bus.claim_ports(0x300, 0x307, device)
    bus.write_port(0x305, 1, 0x1AB)
    assert bus.read_port(0x305, 1) == 0xAB
    assert device.log == [("write", 5, 1, 0xAB), ("read", 5, 1, 0xAB)]


def test_a_wide_access_to_a_byte_device_becomes_consecutive_bytes() -> None:
    bus, device = Bus(), Recorder(1)
    bus.claim_ports(0x300, 0x307, device)
    bus.write_port(0x302, 4, 0x44332211)
    assert [(offset, value) for _, offset, _, value in device.log] == [
        (2, 0x11),
        (3, 0x22),
        (4, 0x33),
        (5, 0x44),
    ]
    assert bus.read_port(0x303, 2) == 0x3322


def test_a_declared_width_is_passed_undivided() -> None:
    bus, device = Bus(), Recorder(1, 4)
    bus.claim_memory(0xD0000, 0xD0007, device)
    bus.write_memory(0xD0000, 4, 0x44332211)
    bus.write_memory(0xD0004, 2, 0x6655)
    assert device.log == [
        ("write", 0, 4, 0x44332211),
        ("write", 4, 1, 0x55),
        ("write", 5, 1, 0x66),
    ]


def test_an_access_across_the_end_of_a_claim_is_divided() -> None:
    bus, low, high = Bus(), Recorder(1, 2, 4), Recorder(1, 2, 4)
    bus.claim_ports(0x300, 0x302, low)
    bus.claim_ports(0x304, 0x307, high)
    bus.write_port(0x302, 4, 0x44332211)
    assert low.log == [("write", 2, 1, 0x11)]
    assert high.log == [("write", 0, 2, 0x4433)]
    assert bus.read_port(0x302, 4) == 0x4433FF11


def test_a_device_without_bytes_does_not_answer_bytes() -> None:
    bus, device = Bus(), Recorder(4)
    bus.claim_ports(0x300, 0x303, device)
    bus.write_port(0x300, 2, 0x1234)
    assert bus.read_port(0x300, 1) == 0xFF
    assert device.log == []


def test_the_last_port_is_the_last() -> None:
    bus, device = Bus(), Recorder(1)
    bus.claim_ports(0xFFFF, 0xFFFF, device)
    bus.write_port(0xFFFF, 4, 0x44332211)
    assert device.log == [("write", 0, 1, 0x11)]
    assert bus.read_port(0xFFFF, 4) == 0xFFFFFF11
    with pytest.raises(ValueError, match="last port"):
        bus.claim_ports(0xFFFF, 0x10000, Recorder(1))


@pytest.mark.parametrize(("first", "last"), [(0x2F0, 0x300), (0x302, 0x302), (0x307, 0x310)])
def test_conflicting_claims_are_refused(first: int, last: int) -> None:
    bus = Bus()
    bus.claim_ports(0x300, 0x307, Recorder(1))
    with pytest.raises(ValueError, match=r"Recorder collides with Recorder at 0x300\.\.0x307"):
        bus.claim_ports(first, last, Recorder(1))
    bus.claim_memory(first, last, Recorder(1))  # another space
    with pytest.raises(ValueError, match="not a range"):
        bus.claim_ports(5, 4, Recorder(1))


def test_a_device_with_a_hole_claims_its_parts() -> None:
    bus, device = Bus(), Recorder(1)
    bus.claim_ports(0x60, 0x60, device)
    bus.claim_ports(0x64, 0x64, device, offset=4)
    bus.write_port(0x64, 1, 9)
    assert device.log == [("write", 4, 1, 9)]
    assert [(claim.first, claim.offset) for claim in bus.ports.claims] == [(0x60, 0), (0x64, 4)]


@given(
    widths=st.sets(st.sampled_from((1, 2, 4))).map(lambda widths: {1, *widths}),
    at=st.integers(0, 20),
    size=st.integers(1, 8),
    value=st.integers(0, 2**64 - 1),
)
def test_any_access_equals_its_bytes(widths: set[int], at: int, size: int, value: int) -> None:
    bus, device = Bus(), Recorder(*widths)
    bus.claim_memory(4, 19, device)
    bus.write_memory(at, size, value)
    expected = bytearray(b"\xff" * 32)
    expected[4:20] = bytes(16)
    for index, byte in enumerate((value & ((1 << 8 * size) - 1)).to_bytes(size, "little")):
        if 4 <= at + index < 20:
            expected[at + index] = byte
    assert bus.read_memory(at, size) == int.from_bytes(expected[at : at + size], "little")
    assert all(size in widths for _, _, size, _ in device.log)


class Lending:
    """Lends its three registers, of which two are at one place and one at another."""

    widths = (1,)
    lender: Lender | None = None

    def lend(self) -> None:
        assert self.lender is not None
        for offset in range(3):
            self.lender.lend(offset, 0x40 + offset)

    def read(self, offset: int, size: int) -> int:
        return 0x40 + offset

    def write(self, offset: int, size: int, value: int) -> None:
        pass


def test_a_block_at_two_places_lends_at_both() -> None:
    bus, core = Bus(), new_workspace(1 << 20)
    bus.claim_ports(0x100, 0x101, block := Lending())
    bus.lend_ports(PortTable(core))
    bus.claim_ports(0x300, 0x300, block, offset=2)
    block.lend()
    lent = [int(core[PORTS + port]) for port in (0x100, 0x101, 0x102, 0x2FE, 0x300)]
    assert len({number for number in lent if number > 1}) == 3
    assert [int(core[LENT + number * LENT_WORDS + LENT_VALUE]) for number in lent] == [
        *(0x40, 0x41, 0xFF, 0xFF, 0x42)
    ]
