"""The catalogue of planted errors: sound, up to date with the code, and described on its page."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.catalogue import (
    ROOT,
    CatalogueError,
    PlantedError,
    read_catalogue,
    read_entry,
)
from tests.mutants.planting import planted_code
from tests.mutants.report import EXCUSED, PAGE, page, touchy_forms

ERRORS = read_catalogue()
ENTRY = {
    "name": "an-error",
    "rule": "A rule.",
    "source": 'SDM vol. 2, "CLI"',
    "module": "isa.exits",
    "old": "HALT",
    "new": "HALTED",
    "caught_by": ["tests/isa/test_flag_properties.py"],
}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.name)
def test_every_error_can_be_planted(error: PlantedError) -> None:
    """Its text stands in the module exactly once, and the module still is one."""
    assert planted_code(error)
    assert ast.dump(ast.parse(error.path.read_text())) != ast.dump(
        ast.parse(error.planted_source())
    ), "the program would be the same"


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.name)
def test_every_error_names_its_rule(error: PlantedError) -> None:
    assert error.rule.endswith(".")
    assert error.source.startswith("SDM vol. ")
    assert '"' in error.source


def test_the_page_describes_the_catalogue() -> None:
    assert PAGE.read_text() == page(ERRORS, len(touchy_forms())), "run: make test-mutants"


def test_excuses_are_for_forms_of_the_table() -> None:
    assert set(EXCUSED) <= set(touchy_forms())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"new": "HALT"}, "nothing would change"),
        ({"caught_by": []}, "no property is named"),
        ({"caught_by": ["tests/isa/test_no.py"]}, "there is no file"),
        ({"colour": "red"}, "unknown word colour"),
    ],
)
def test_a_bad_entry_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        read_entry({**ENTRY, **change}, "levels")


def test_an_incomplete_entry_is_refused() -> None:
    with pytest.raises(CatalogueError, match="rule is missing"):
        read_entry({word: value for word, value in ENTRY.items() if word != "rule"}, "levels")


@pytest.mark.parametrize(
    ("old", "module", "message"),
    [
        ("there is no such text", "isa.exits", "occurs 0 times"),
        ("=", "isa.exits", "occurs"),
        ("HALT", "isa.nothing", "there is no module"),
    ],
)
def test_a_stale_error_is_an_error(old: str, module: str, message: str) -> None:
    error = read_entry({**ENTRY, "old": old, "module": module}, "levels")
    with pytest.raises(CatalogueError, match=message):
        error.place()


def test_two_errors_cannot_share_a_name(tmp_path: Path) -> None:
    entry = "\n".join(f"{word} = {value!r}" for word, value in ENTRY.items())
    (tmp_path / "one.toml").write_text(f"[[error]]\n{entry}\n[[error]]\n{entry}\n")
    with pytest.raises(CatalogueError, match="two errors have this name"):
        read_catalogue(tmp_path)


def test_an_unknown_name_is_told_in_one_line() -> None:
    command = [sys.executable, "-m", "tests.mutants", "no-such-error"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "mutants: error: no planted error has such a name\n"
