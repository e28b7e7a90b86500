"""The small devices: debug console, exit port, system control ports, CMOS."""

from __future__ import annotations

import pytest

from isa.devices.bus import Bus
from isa.devices.debug_console import DebugConsole
from isa.devices.exit_port import ExitPort
from isa.devices.system_control import SystemControlA


def test_debug_console() -> None:
    sent = bytearray()
    bus = Bus()
    bus.claim_ports(0xE9, 0xE9, DebugConsole(sent.extend))
    assert bus.read_port(0xE9, 1) == 0xE9
    for byte in b"hi":
        bus.write_port(0xE9, 1, byte)
    bus.write_port(0xE9, 4, 0x44434221)
    assert sent == b"hi!"


@pytest.mark.parametrize(
    ("size", "value", "code"),
    [(1, 0, 1), (1, 0x10, 0x21), (4, 0x20, 0x41), (1, 0xFF, 0xFF), (2, 0x1234, 0x69)],
)
def test_exit_port(size: int, value: int, code: int) -> None:
    bus, port = Bus(), ExitPort()
    bus.claim_ports(0xF4, 0xF7, port)
    assert port.exit_code is None
    bus.write_port(0xF4, size, value)
    assert port.exit_code == code
    assert port.state.value == value
    bus.write_port(0xF4, size, value + 1)
    assert port.exit_code == code  # the first counts
    assert bus.read_port(0xF4, 1) == 0
    port.reset()
    assert port.exit_code is None


def test_port_92() -> None:
    resets: list[bool] = []
    port = SystemControlA(lambda: resets.append(True))
    assert not port.opens_a20
    port.write(0, 1, 0x02)
    assert port.opens_a20
    assert port.read(0, 1) == 0x02
    assert resets == []
    port.write(0, 1, 0x03)
    assert resets == [True]
    port.write(0, 1, 0x03)
    assert resets == [True]  # bit 0 must rise
