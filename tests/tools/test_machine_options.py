"""What hardware a guest finds, by the options of the command."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from isa.devices.cmos import POWER_ON
from tools.cli import main
from tools.loader import load
from tools.machine_options import MachineOptions, parse_date


def test_dates() -> None:
    assert parse_date("2026-01-31") == datetime.datetime(2026, 1, 31)
    assert parse_date(" 2026-01-31T12:30:15") == datetime.datetime(2026, 1, 31, 12, 30, 15)
    for text in ("", "yesterday", "2026-02-30", "2026-01-31T12:00:00+01:00"):
        with pytest.raises(ValueError, match="is not a date"):
            parse_date(text)


def test_the_clock_starts_where_it_is_told() -> None:
    image = load("hello")
    assert MachineOptions().equip(image).devices.start == POWER_ON
    date = datetime.datetime(2026, 1, 31, 12, 30, 15)
    configuration = MachineOptions(date=date).equip(image, real_time=True).devices
    assert configuration.start == (2026, 1, 31, 12, 30, 15)
    assert configuration.real_time
    shown = MachineOptions().equip(image, real_time=True).devices.start
    lag = datetime.datetime.now(datetime.UTC) - datetime.datetime(*shown, tzinfo=datetime.UTC)
    assert abs(lag) < datetime.timedelta(minutes=1)


@pytest.mark.parametrize(
    ("cpu", "name"), [("p6", "p6-apic"), ("p6-apic", "p6-apic"), ("486", "486")]
)
def test_no_apic(cpu: str, name: str) -> None:
    assert MachineOptions().model(cpu).name == cpu
    assert MachineOptions(no_apic=True).model(cpu).name == name


# Writes the year of the clock and whether CPUID names a local APIC to the debug console.
GUEST = """
    bits 32
    org 0x100000
    mov al, 9
    out 0x70, al
    in al, 0x71
    out 0xE9, al
    mov eax, 1
    cpuid
    shr edx, 9
    and edx, 1
    lea eax, [edx + '0']
    out 0xE9, al
    out 0xF4, al
"""


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("options", "console"),
    [([], b"\x001"), (["--date", "2041-05-06", "--no-apic"], b"A0"), (["--realtime"], None)],
)
def test_a_guest_finds_what_the_options_say(
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
    options: list[str],
    console: bytes | None,
) -> None:
    source = tmp_path / "guest.asm"
    source.write_text(GUEST)
    main(["run", str(source), "-q", *options])
    shown = capfdbinary.readouterr().out
    assert len(shown) == 2
    if console is not None:
        assert shown == console


def test_a_wrong_date_is_a_clear_error(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "guests/hello", "--date", "tomorrow"]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert "2026-01-31T12:00:00" in error
