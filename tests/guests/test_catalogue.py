"""The catalogue of guests: complete, consistent, and true to the files beside it.

Static only: that the guests do what it promises is tested where they run.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hypervisor.technique import available_techniques
from tools import catalogue
from tools.catalogue import Guest

GUESTS = list(catalogue.guests().values())
ENDS = {"exit", "shutdown", "halt", "budget"}
# Included files end in .inc: every .asm is a guest of its own.
SOURCES = sorted(catalogue.folder().rglob("*.asm"))
# What a compiler made is kept as an image: tests/guests/test_c_programs.py.
IMAGES = sorted(catalogue.folder().glob("c/images/*.elf"))
ASSEMBLED = [guest for guest in GUESTS if guest.source_path.suffix == ".asm"]


def _named(guest: Guest) -> str:
    return guest.name


def _console(guest: Guest) -> str:
    if guest.console is not None:
        return guest.console
    assert guest.console_file is not None
    return (catalogue.folder() / guest.console_file).read_text("ascii")


def test_there_is_an_entry_for_every_source() -> None:
    assert sorted(guest.source_path for guest in GUESTS) == sorted([*SOURCES, *IMAGES])


def test_names_are_unique() -> None:
    text = (catalogue.folder() / catalogue.CATALOGUE).read_text("utf-8")
    assert text.count("[[guest]]") == len(GUESTS)


@pytest.mark.parametrize("guest", GUESTS, ids=_named)
def test_an_entry_says_how_the_guest_ends(guest: Guest) -> None:
    assert guest.stop in ENDS
    assert guest.budget > 0
    # The exit port makes odd codes that fit into the exit status of a process.
    if guest.stop == "exit":
        assert guest.exit_code is not None
        assert guest.exit_code % 2 == 1
        assert 0 < guest.exit_code < 256
    else:
        assert guest.exit_code is None


@pytest.mark.parametrize("guest", GUESTS, ids=_named)
def test_an_entry_has_one_text_for_the_console(guest: Guest) -> None:
    assert (guest.console is None) != (guest.console_file is None)
    text = _console(guest)
    assert text.isascii()
    assert text == "" or text.endswith("\n")


@pytest.mark.parametrize("guest", ASSEMBLED, ids=_named)
def test_every_line_of_the_console_comes_from_the_source(guest: Guest) -> None:
    folder = guest.source_path.parent
    source = "".join(
        path.read_text("utf-8") for path in [guest.source_path, *folder.rglob("*.inc")]
    )
    for line in _console(guest).splitlines():
        # Numbers are computed, and the parts of a line lie apart.
        parts = re.split(r"\.{9,}|\b[0-9A-F]{8}\b|\b\d+\b| at |: |, |; ", line)
        for part in parts:
            assert part.strip() in source, f"{line!r} is not printed by {guest.source}"


@pytest.mark.parametrize("guest", GUESTS, ids=_named)
def test_a_guest_is_refused_by_known_techniques_but_runs_on_the_bare_machine(guest: Guest) -> None:
    assert set(guest.refused_by) < set(available_techniques())
    assert "bare" not in guest.refused_by


@pytest.mark.parametrize("guest", GUESTS, ids=_named)
def test_results_lie_in_memory(guest: Guest) -> None:
    end_before = 0
    for address, length in guest.result_memory:
        assert address >= end_before
        assert length > 0
        end_before = address + length
    assert end_before <= guest.ram_mib << 20


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_source_begins_by_saying_what_it_is(source: Path) -> None:
    lines = source.read_text("utf-8").splitlines()
    assert lines[0].startswith(f"; {source.name} — ")
