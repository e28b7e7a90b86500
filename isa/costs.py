"""Cost profiles: what one event costs in modelled cycles, from a small TOML file with its sources.

A profile has a section [machine] with one key per event of isa.workspace, and a section [monitor]
that belongs to the software monitors; this module only carries it.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from isa.errors import TrapgateError
from isa.workspace import EVENT_NAMES


@dataclass(frozen=True)
class Costs:
    """Cycles by event name; `monitor` holds the costs of software monitors' handlers."""

    name: str
    machine: Mapping[str, int]
    monitor: Mapping[str, int]

    @classmethod
    def load(cls, name: str = "default") -> "Costs":
        """Read a profile that ships with the project."""
        resource = files("isa") / "profiles" / f"{name}.toml"
        if not name.replace("-", "").isalnum() or not resource.is_file():
            known = sorted(p.name[:-5] for p in (files("isa") / "profiles").iterdir())
            raise TrapgateError(f"no cost profile {name!r}; there are: {', '.join(known)}")
        return cls.parse(name, resource.read_text())

    @classmethod
    def parse(cls, name: str, text: str) -> "Costs":
        """Check a profile: every machine event has a cost, nothing is unknown or negative."""
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise TrapgateError(f"cost profile {name}: {error}") from None
        machine, monitor = data.get("machine", {}), data.get("monitor", {})
        wrong = set(machine) ^ set(EVENT_NAMES)
        if wrong:
            raise TrapgateError(f"cost profile {name}: [machine] misses or invents {sorted(wrong)}")
        for key, value in [*machine.items(), *monitor.items()]:
            if not isinstance(value, int) or value < 0:
                raise TrapgateError(f"cost profile {name}: {key} must be a whole number of cycles")
        return cls(name, machine, monitor)
