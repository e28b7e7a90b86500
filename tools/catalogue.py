"""The guests that come with the project, as `guests/catalogue.toml` describes them.

Finds a guest by its name or its folder and says what is promised about it: how it boots, what it
prints, how it ends, how long it may take. Does not assemble or load anything.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final, Literal

import msgspec

from isa.errors import TrapgateError

Protocol = Literal["auto", "multiboot", "elf", "flat", "disk"]

CATALOGUE: Final = "catalogue.toml"
_FOLDER: Final = "guests"


class Guest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry of the catalogue.

    Attributes:
        name: what the guest is called; also the name of its folder, unless `source` says otherwise.
        source: the assembly source, or an image where a compiler made it, relative to the `guests`
            folder.
        summary: one line on what it shows.
        protocol: how it expects to be started (`tools.loader`).
        ram_mib: memory it needs.
        budget: instructions after which something is wrong.
        exit_code: exit status it ends with, None where it does not use the exit port.
        stop: the reason of its stop.
        console: the expected console, or None where `console_file` holds it.
        console_file: file with the expected console, relative to the `guests` folder.
        time_dependent: True where the order of its output depends on the clock's speed.
        result_memory: (first address, bytes) whose contents are the guest's result.
        refused_by: techniques that end it with an error, because they lack what it needs.
    """

    name: str
    source: str
    summary: str = ""
    protocol: Protocol = "auto"
    ram_mib: int = 16
    budget: int = 100_000_000
    exit_code: int | None = None
    stop: str = "exit"
    console: str | None = None
    console_file: str | None = None
    time_dependent: bool = False
    result_memory: tuple[tuple[int, int], ...] = ()
    refused_by: tuple[str, ...] = ()

    @property
    def source_path(self) -> Path:
        """Where the source is."""
        return folder() / self.source

    @property
    def display_path(self) -> str:
        """The source as it is called in messages, whatever the current folder."""
        return f"{_FOLDER}/{self.source}"

    @property
    def expected_console(self) -> bytes | None:
        """What the guest prints, byte for byte, or None where that is not promised."""
        if self.console_file is not None:
            return (folder() / self.console_file).read_bytes()
        return None if self.console is None else self.console.encode()


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    guest: tuple[Guest, ...] = ()


def folder() -> Path:
    """The folder the guests live in: in the repository, or as installed."""
    return Path(str(resources.files(_FOLDER)))


@cache
def guests() -> dict[str, Guest]:
    """All guests by name."""
    path = folder() / CATALOGUE
    try:
        entries = msgspec.toml.decode(path.read_bytes(), type=_File).guest
    except OSError as error:
        raise TrapgateError(f"{_FOLDER}/{CATALOGUE}: cannot be read: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise TrapgateError(f"{_FOLDER}/{CATALOGUE}: {error}") from None
    return {guest.name: guest for guest in entries}


def find(path: str | Path) -> Guest | None:
    """The guest that a name, a folder or a source file of the catalogue stands for.

    A file or folder that exists where the user says is meant first; `minikernel`,
    `guests/minikernel` and `loops/sieve` mean the catalogue's guests from wherever the command is
    started, and so does the last part of a name where only one guest has it (`sieve`).
    """
    given = Path(path)
    if given.exists():
        return _guest_at(given.resolve())
    name = given.as_posix().removeprefix(f"{_FOLDER}/")
    if name in guests():
        return guests()[name]
    having = [
        guest
        for guest in guests().values()
        if name in (guest.name.rpartition("/")[2], guest.source)
    ]
    return having[0] if len(having) == 1 else None


def _guest_at(place: Path) -> Guest | None:
    home = folder().resolve()
    if not place.is_relative_to(home):
        return None
    for guest in guests().values():
        if place in (guest.source_path.resolve(), home / guest.name):
            return guest
    return None


def hint(path: str | Path) -> str:
    """What to add to "no such guest": near misses, or where to look."""
    wanted = Path(path).as_posix().removeprefix(f"{_FOLDER}/")
    short = {guest.name.rpartition("/")[2]: guest.name for guest in guests().values()}
    inside = [name for name in guests() if name.startswith(f"{wanted}/")]
    near = inside or [
        short.get(name, name)
        for name in difflib.get_close_matches(wanted, [*short, *guests()], n=3)
    ]
    if near:
        return f" (did you mean {' or '.join(dict.fromkeys(near[:3]))}?)"
    return f" (guests are listed in {_FOLDER}/{CATALOGUE})"
