"""What gcc makes of C runs right, whatever it was told to make it for.

Every program of guests/c, compiled for 32-bit protected mode and for real mode, for three
processors, at three levels of optimisation, prints what the same source computes on the host's own
processor (tests/guests/test_c_programs.py checks that the catalogue says that). Where gcc is
installed, cells of the matrix are compiled again: what is kept must be what the sources give.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from hypervisor.bare import Bare
from tests.case_count import count_case
from tools import catalogue
from tools.loader import load

pytestmark = [pytest.mark.oracle, pytest.mark.compiled]

FOLDER = catalogue.folder() / "c"
ARCHIVE = FOLDER / "matrix.tar.xz"
CELLS = [
    (mode, processor, level)
    for mode in ("protected", "real")
    for processor in ("i386", "i486", "i686")
    for level in ("-O0", "-O2", "-Os")
]
# Every mode, processor and level is in the first four of this order; an environment variable asks
# for more of the cells to be compiled again.
REBUILT = sorted(CELLS, key=lambda cell: (CELLS.index(cell) * 7 + 1) % len(CELLS))
REBUILT_CELLS = int(os.environ.get("TRAPGATE_ORACLE_C_CELLS", "4"))
GCC = shutil.which("gcc")
BUDGET = 30_000_000
RAM_BYTES = 2 << 20


@cache
def committed() -> Mapping[str, Mapping[str, bytes]]:
    """Cell -> program -> image, as they are kept."""
    cells: dict[str, dict[str, bytes]] = {}
    with tarfile.open(ARCHIVE) as archive:
        for member in archive.getmembers():
            content = archive.extractfile(member)
            if content is not None:
                _, cell, file = member.name.split("/")
                cells.setdefault(cell, {})[file.removesuffix(".elf")] = content.read()
    return cells


def expected() -> dict[str, bytes | None]:
    """Program -> what it prints."""
    return {
        name.removeprefix("c/"): guest.expected_console
        for name, guest in catalogue.guests().items()
        if name.startswith("c/")
    }


def printed(images: Mapping[str, bytes], folder: Path) -> dict[str, bytes]:
    """What images print on the bare machine, which all must end well."""
    consoles = {}
    for name, content in images.items():
        path = folder / f"{name}.elf"
        path.write_bytes(content)
        machine = Bare(RAM_BYTES)
        machine.boot(load(path, protocol="elf", ram_bytes=RAM_BYTES))
        stop = machine.run(BUDGET)
        assert (stop.reason.value, machine.exit_code) == ("exit", 1), f"{name}: {stop}"
        consoles[name] = machine.console
        count_case()
    return consoles


def built(cell: tuple[str, str, str], folder: Path) -> dict[str, bytes]:
    """The programs of a cell, compiled now."""
    mode, processor, level = cell
    settings = [f"MODE={mode}", f"CPU={processor}", f"OPT={level}", f"OUT={folder}"]
    subprocess.run(["make", "-s", "-C", str(FOLDER), "programs", *settings], check=True)
    return {path.stem: path.read_bytes() for path in folder.glob("*.elf")}


def test_the_archive_is_complete():
    assert set(committed()) == {"".join((mode, "-", cpu, level)) for mode, cpu, level in CELLS}
    for images in committed().values():
        assert set(images) == set(expected())


@pytest.mark.parametrize("cell", CELLS, ids="".join)
def test_compiled_programs_compute_what_the_host_computes(cell, tmp_path):
    mode, processor, level = cell
    assert printed(committed()[f"{mode}-{processor}{level}"], tmp_path) == expected()


@pytest.mark.skipif(GCC is None, reason="gcc is not installed")
@pytest.mark.parametrize("cell", REBUILT[:REBUILT_CELLS], ids="".join)
def test_programs_compiled_now_are_those_that_are_kept_or_compute_the_same(cell, tmp_path):
    mode, processor, level = cell
    kept = committed()[f"{mode}-{processor}{level}"]
    now = built(cell, tmp_path / "now")
    assert set(now) == set(kept)
    different = {name: content for name, content in now.items() if content != kept[name]}
    assert printed(different, tmp_path) == {name: expected()[name] for name in different}


def test_a_wrong_program_would_be_noticed(tmp_path):
    """The bytes of a constant changed: another checksum."""
    content = committed()["protected-i386-O2"]["sha256"]
    first_constant = (0x428A2F98).to_bytes(4, "little")
    assert content.count(first_constant) == 1
    wrong = content.replace(first_constant, bytes(4))
    assert printed({"sha256": wrong}, tmp_path)["sha256"] != expected()["sha256"]
