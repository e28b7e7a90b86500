"""A few thousand mutated images over all loaders; `python -m tests.fuzz.images` does more."""

from __future__ import annotations

import random

import pytest

from tests.fuzz import images
from tests.fuzz.image_seeds import Seed, seeds
from tools.loader import load


@pytest.mark.parametrize("seed", seeds(), ids=lambda seed: seed.name)
def test_the_seeds_are_good(tmp_path, seed: Seed):
    path = tmp_path / "image"
    path.write_bytes(seed.data)
    for protocol in seed.protocols:
        if not (seed.name == "ELF" and protocol == "multiboot"):
            load(path, protocol=protocol, ram_bytes=images.RAM_BYTES)


def test_mutated_images_are_loaded_or_refused():
    results = images.run(4000, seed=1, executes=False)
    assert results.total() == 4000
    assert min(results["loaded"], results["refused"]) > 400


@pytest.mark.compiled
@pytest.mark.bounds
@pytest.mark.usefixtures("compiled_machine")
def test_mutated_images_that_load_can_be_run():
    results = images.run(1500, seed=2)
    assert results.total() > 1500


def test_mutations_repeat_exactly():
    kind = seeds()[0]
    assert images.mutated(kind, random.Random(5)) == images.mutated(kind, random.Random(5))


def test_a_loader_that_fails_is_noticed(monkeypatch):
    def broken(*_arguments: object, **_options: object) -> None:
        raise IndexError("planted")

    monkeypatch.setattr(images, "load", broken)
    monkeypatch.setattr(images, "_keep", lambda *_: "nowhere")
    with pytest.raises(images.Failure, match="IndexError: planted"):
        images.run(1, seed=0)
