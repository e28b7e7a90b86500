"""Finding guests by the names people use."""

from __future__ import annotations

from pathlib import Path

import pytest

from isa.errors import TrapgateError
from tools import catalogue

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "name",
    ["minikernel", "guests/minikernel", "guests/minikernel/minikernel.asm", "guests/minikernel/"],
)
@pytest.mark.parametrize("place", ["repository", "elsewhere"])
def test_a_guest_is_found_by_name_folder_and_source(name, place, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT if place == "repository" else tmp_path)
    found = catalogue.find(name)
    assert found is not None
    assert found.name == "minikernel"


@pytest.mark.parametrize("name", ["loops/sieve", "guests/loops/sieve", "sieve"])
def test_a_guest_in_a_group_is_found_by_any_part_of_its_name(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = catalogue.find(name)
    assert found is not None
    assert found.name == "loops/sieve"


def test_a_file_of_the_users_own_comes_first(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "minikernel").write_bytes(b"\xf4")
    assert catalogue.find("minikernel") is None


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("minikernal", "did you mean minikernel"),
        ("seive", "did you mean loops/sieve"),
        ("guests/hostile", "did you mean hostile/"),
        ("zzzzzz", "guests/catalogue.toml"),
    ],
)
def test_a_near_miss_gets_a_hint(wanted, hint):
    assert hint in catalogue.hint(wanted)


def test_every_entry_has_its_source_and_is_found_under_its_name():
    for name, guest in catalogue.guests().items():
        assert guest.source_path.is_file(), name
        assert catalogue.find(name) == guest
        assert guest.summary


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[guest]]\nname = 'a'\nsource = 'a.asm'\ncolour = 'red'\n", "colour"),
        ("[[guest]]\nname = 'a'\n", "source"),
        ("[[guest]]\nname = 'a'\nsource = 'a.asm'\nbudget = 'much'\n", "budget"),
        ("[[guest]\n", "catalogue.toml"),
    ],
)
def test_a_mistake_in_the_catalogue_is_named(monkeypatch, tmp_path, text, problem):
    (tmp_path / catalogue.CATALOGUE).write_text(text)
    monkeypatch.setattr(catalogue, "folder", lambda: tmp_path)
    with pytest.raises(TrapgateError, match=problem):
        catalogue.guests.__wrapped__()
