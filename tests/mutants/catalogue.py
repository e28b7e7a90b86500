"""The catalogue of planted errors: what each of them breaks, where, and which properties see it.

One entry of `planted/*.toml` is one error of meaning that a processor could have:

    [[error]]
    name = "popf-changes-if-for-everybody"
    rule = "POPF leaves IF alone where CPL is greater than IOPL."
    source = 'SDM vol. 2, "POPF/POPFD/POPFQ"'
    module = "isa.interrupt_flag"
    old = "the exact text, which must occur once in the module"
    new = "the text in its place"
    caught_by = ["tests/isa/test_flag_properties.py"]
    quick = true        # also tried by `make test`

`caught_by` names files of properties, or single tests in them as pytest does; each of them must
fail when the error is in place.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).resolve().parent / "planted"

_REQUIRED = {"name", "rule", "source", "module", "old", "new", "caught_by"}
_ALLOWED = _REQUIRED | {"quick"}


class CatalogueError(ValueError):
    """An entry that cannot be planted, in one line."""


@dataclass(frozen=True)
class PlantedError:
    """One planted error."""

    name: str
    rule: str
    source: str
    module: str
    old: str
    new: str
    caught_by: tuple[str, ...]
    subject: str  # the file it is written in
    quick: bool = field(default=False)

    @property
    def path(self) -> Path:
        return ROOT / (self.module.replace(".", "/") + ".py")

    def place(self) -> int:
        """Where the old text stands in the module; CatalogueError unless exactly once."""
        if not self.path.is_file():
            raise CatalogueError(f"{self.name}: there is no module {self.module}")
        text = self.path.read_text()
        count = text.count(self.old)
        if count != 1:
            raise CatalogueError(f"{self.name}: its text occurs {count} times in {self.module}")
        return text.index(self.old)

    def planted_source(self) -> str:
        """The module's source with the error in place."""
        at = self.place()
        text = self.path.read_text()
        return text[:at] + self.new + text[at + len(self.old) :]


def read_entry(entry: dict[str, Any], subject: str) -> PlantedError:
    """An entry as it stands in the file, checked for its form."""
    name = entry.get("name", "without a name")
    if missing := _REQUIRED - entry.keys():
        raise CatalogueError(f"{subject}: {name}: {', '.join(sorted(missing))} is missing")
    if unknown := entry.keys() - _ALLOWED:
        raise CatalogueError(f"{subject}: {name}: unknown word {', '.join(sorted(unknown))}")
    if entry["old"] == entry["new"]:
        raise CatalogueError(f"{subject}: {name}: nothing would change")
    if not entry["caught_by"]:
        raise CatalogueError(f"{subject}: {name}: no property is named")
    caught_by = tuple(entry["caught_by"])
    for tests in caught_by:
        file = tests.partition("::")[0]
        if not (ROOT / file).is_file():
            raise CatalogueError(f"{subject}: {name}: there is no file {file}")
    fields = {word: entry[word] for word in _REQUIRED - {"caught_by"}}
    quick = bool(entry.get("quick", False))
    return PlantedError(**fields, caught_by=caught_by, subject=subject, quick=quick)


def read_catalogue(folder: Path = FOLDER) -> list[PlantedError]:
    """All planted errors, by file and in the order of each file."""
    found = []
    for path in sorted(folder.glob("*.toml")):
        document = tomllib.loads(path.read_text())
        found += [read_entry(entry, path.stem) for entry in document.pop("error", [])]
        if document:
            raise CatalogueError(f"{path.stem}: unknown word {', '.join(sorted(document))}")
    names = [error.name for error in found]
    for name in names:
        if names.count(name) > 1:
            raise CatalogueError(f"{name}: two errors have this name")
    return found
