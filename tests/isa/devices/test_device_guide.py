"""The device that docs/adding-a-device.md builds works, exactly as it is printed there."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from isa.devices.platform import Platform

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "adding-a-device.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The guide's code as a module: the device, then its test."""
    path = tmp_path_factory.mktemp("guide") / "alarm_of_the_guide.py"
    blocks = BLOCK.findall(GUIDE.read_text(encoding="utf-8"))
    assert len(blocks) == 2
    path.write_text("\n\n".join(blocks), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where msgspec looks up the types of state fields
    spec.loader.exec_module(module)
    yield module
    del sys.modules[path.stem]


def test_the_guides_own_test_passes(guide: ModuleType) -> None:
    guide.test_the_alarm_rings_after_the_delay()


def test_the_alarm_owes_what_every_device_owes(guide: ModuleType) -> None:
    platform = Platform(lambda gpa, size: bytes(size), 1 << 20)
    alarm = guide.attach(platform)
    for port in range(0x5DF, 0x5E9):
        for size in (1, 2, 4):
            platform.bus.write_port(port, size, 0xFFFFFFFF)
            platform.bus.read_port(port, size)
    platform.bus.write_port(0x5E0, 4, 5)
    platform.bus.write_port(0x5E0, 4, 0)
    assert platform.clock.next_deadline() is None
    assert platform.bus.read_port(0x5E0, 4) == 0
    assert alarm.save() == guide.AlarmState()
    assert "alarm" in platform.save().devices
