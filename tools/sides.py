"""The two sides of `trapgate diff`: a guest each, with the options of its run.

An option is written once for both sides, or as NAME=VALUE for one of them, several with commas
between; the names are those of `trapgate run`. A comma only separates where a name and an equals
sign follow, so a command line may contain commas.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

from isa.boot import BootImage
from isa.cpu_models import DEFAULT, load_model
from isa.errors import TrapgateError
from tools import catalogue, elf_reader
from tools.arguments import parse_address, parse_size
from tools.catalogue import Protocol
from tools.interrupts import deferred_interrupts
from tools.loader import load, ram_of
from tools.program import SOURCE_SUFFIXES, read_content
from tools.source_map import SourceMap

if TYPE_CHECKING:
    from hypervisor.divergence import Progress, Side

# Name of an option → its other spellings.
OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "technique": ("t",),
    "cpu": (),
    "memory": ("m",),
    "append": (),
    "protocol": (),
    "address": (),
}
_DEFAULTS: Final = {"technique": "bare", "cpu": DEFAULT, "protocol": "auto"}
_NAMES: Final = {alias: name for name in OPTIONS for alias in (name, *OPTIONS[name])}
_SEPARATOR: Final = re.compile(rf",(?=(?:{'|'.join(_NAMES)})=)")

Options = dict[str, str]


def parse_options(texts: Iterable[str]) -> Options:
    """Options of one side from `NAME=VALUE,NAME=VALUE`; later ones win."""
    found: Options = {}
    for text in texts:
        for part in _SEPARATOR.split(text):
            name, equals, value = part.partition("=")
            if not equals or name not in _NAMES:
                raise TrapgateError(
                    f"{part!r} is not an option of a side: write NAME=VALUE with one of"
                    f" {', '.join(OPTIONS)}"
                )
            found[_NAMES[name]] = value
    return found


@dataclass(frozen=True)
class Guest:
    """A guest and how to run it; nothing is loaded yet."""

    path: str
    options: Mapping[str, str]

    @property
    def technique(self) -> str:
        """What runs it."""
        return self.options.get("technique", "bare")

    @property
    def ram_bytes(self) -> int:
        """Its memory."""
        memory = self.options.get("memory")
        return ram_of(self.path) if memory is None else _value("memory", memory)

    def load(self) -> BootImage:
        """Read the guest."""
        protocol = self.options.get("protocol", "auto")
        if protocol not in get_args(Protocol):
            known = ", ".join(get_args(Protocol))
            raise TrapgateError(f"unknown boot protocol {protocol!r}: one of {known}")
        address = self.options.get("address")
        return load(
            self.path,
            protocol=protocol,  # type: ignore[arg-type]  # looked up above
            address=None if address is None else _value("address", address),
            command_line=self.options.get("append", ""),
            ram_bytes=self.ram_bytes,
        )

    @property
    def budget(self) -> int | None:
        """After how many instructions the catalogue gives up on it."""
        entry = catalogue.find(self.path)
        return None if entry is None else entry.budget

    def lines(self) -> SourceMap | None:
        """Where its code stands in its sources, if they are known."""
        entry = catalogue.find(self.path)
        file = entry.source_path if entry is not None else Path(self.path)
        if file.suffix.lower() in SOURCE_SUFFIXES:
            from tools.assembler import assemble_file

            return SourceMap.of_assembly(assemble_file(file, format="bin"))
        content = read_content(self.path)
        return (
            SourceMap.of_elf(content.data, content.where)
            if elf_reader.is_elf(content.data)
            else None
        )


def _value(name: str, text: str) -> int:
    try:
        return parse_size(text) if name == "memory" else parse_address(text)
    except ValueError as error:
        raise TrapgateError(f"{name}: {error}") from None


def labels(first: Guest, second: Guest) -> tuple[str, str]:
    """What to call the sides: by what tells them apart."""
    names = [
        name
        for name in OPTIONS
        if first.options.get(name, _DEFAULTS.get(name))
        != second.options.get(name, _DEFAULTS.get(name))
    ]
    found = []
    for side in (first, second):
        words = [Path(side.path).name] if first.path != second.path else []
        if "technique" in names:
            words.append(side.technique)
        words += [
            f"{name}={value}"
            if (value := side.options.get(name, _DEFAULTS.get(name)))
            else f"no {name}"
            for name in names
            if name != "technique"
        ]
        found.append(" ".join(words))
    return (found[0], found[1]) if found[0] != found[1] else ("A", "B")


def side_of(guest: Guest, label: str, image: BootImage, progress: Progress) -> Side:
    """A side that can be run again and again."""
    model = load_model(guest.options.get("cpu", DEFAULT))
    with deferred_interrupts():
        from hypervisor.comparison import side_of as side
        from hypervisor.technique import create, technique_class

        technique_class(guest.technique)
    return side(
        label,
        lambda: create(
            guest.technique,
            guest.ram_bytes,
            model=model,
            progress=lambda count: progress(label, count),
            devices=image.devices,
        ),
        image,
    )
