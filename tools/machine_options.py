"""The options by which every verb that runs a guest is told what hardware the guest finds.

One set for all verbs: a verb takes `machine: MachineOptions` beside `--cpu` and gets the
processor's model and the configuration of the devices from it.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter, Token

from isa.cpu_models import CpuModel, load_model
from tools.arguments import Flag

if TYPE_CHECKING:
    from isa.boot import BootImage


def parse_date(text: str) -> datetime.datetime:
    """A moment as `2026-01-31` or `2026-01-31T12:00:00`, without a time zone."""
    try:
        moment = datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is not None:
        raise ValueError(f"{text!r} is not a date: write 2026-01-31 or 2026-01-31T12:00:00")
    return moment


def _date(_type: object, tokens: Sequence[Token]) -> datetime.datetime:
    return parse_date(tokens[0].value)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class MachineOptions:
    """What is on the mainboard."""

    no_apic: Annotated[
        Flag,
        Parameter(
            name="--no-apic", help="No local APIC, no I/O APIC, no tables that tell of them."
        ),
    ] = False
    date: Annotated[
        datetime.datetime | None,
        Parameter(
            converter=_date,
            help="What the real-time clock shows at the start: 2026-01-31T12:00:00"
            " (default: 2000-01-01).",
        ),
    ] = None

    def model(self, cpu: str) -> CpuModel:
        """The processor of a name, without a local APIC if there is to be none."""
        model = load_model(cpu)
        if self.no_apic and "APIC" in model.feature_names:
            return load_model(f"{cpu}-apic")
        return model

    def equip(self, image: BootImage, *, real_time: bool = False) -> BootImage:
        """The guest with these devices. In real time the clock is the host's (UTC) if not told."""
        from isa.devices.calendar import Moment

        date = self.date
        if date is None and real_time:
            date = datetime.datetime.now(datetime.UTC)
        devices = replace(image.devices, real_time=real_time)
        if date is not None:
            moment = Moment(date.year, date.month, date.day, date.hour, date.minute, date.second)
            devices = replace(devices, start=moment)
        return replace(image, devices=devices)


NO_OPTIONS: Final = MachineOptions()
