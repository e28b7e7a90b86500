"""The programs in C: the catalogue says what the host computes, and the images fit their sources.

The oracle is the same source compiled for the host and run there. Running the images inside the
machine is tests/oracles/test_c_matrix.py and tests/equivalence/test_catalogue_guests.py.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tools import catalogue, multiboot
from tools.loader import load

FOLDER = catalogue.folder() / "c"
PROGRAMS = sorted(path.stem for path in (FOLDER / "programs").glob("*.c"))
MOST_IMAGE_BYTES = 20_000
HAS_GCC = all(shutil.which(program) for program in ("gcc", "make", "strip"))

needs_gcc = pytest.mark.skipif(not HAS_GCC, reason="gcc, make or binutils are not installed")


@cache
def expected(folder: Path) -> dict[str, str]:
    """What every program prints as a process of the host."""
    subprocess.run(["make", "-s", "-C", str(FOLDER), f"OUT={folder}", "expected"], check=True)
    return {name: (folder / f"{name}.expected").read_text() for name in PROGRAMS}


@pytest.fixture(scope="module")
def host_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("host")


def test_every_program_has_an_image_and_an_entry():
    assert len(PROGRAMS) >= 10
    assert sorted(path.stem for path in (FOLDER / "images").glob("*.elf")) == PROGRAMS
    for name in PROGRAMS:
        assert f"c/{name}" in catalogue.guests()


@needs_gcc
@pytest.mark.oracle
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_catalogue_says_what_the_host_computes(name, host_folder):
    assert catalogue.guests()[f"c/{name}"].console == expected(host_folder)[name]


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_image_boots_as_an_executable_and_by_multiboot(name):
    path = FOLDER / "images" / f"{name}.elf"
    content = path.read_bytes()
    assert len(content) < MOST_IMAGE_BYTES
    image = load(path, protocol="elf")
    assert image.symbols is not None
    assert image.symbols["repeats"] == 0x100028
    header = multiboot.find_header(content, name, required=True)
    assert header is not None
    assert header.addresses is not None
    placed = multiboot.place(header, header.addresses, len(content), name)
    (address, data) = image.segments[0]
    assert (placed.load, placed.memory_bytes, placed.entry) == (address, len(data), image.entry)
