"""The programs for the process monitor: what they print is what they print natively.

Three oracles: Python's own sort and CRC; the same sources as programs of the host; the very same
images run by the host's kernel, where it takes i386 programs. The last one also recorded what those
programs print that ask Linux itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zlib
from pathlib import Path
from typing import NamedTuple

import pytest

from hypervisor.process.host_streams import MemoryInput, MemoryOutput
from hypervisor.process.path_tree import PathTree
from hypervisor.process.process import Process
from tools import catalogue
from tools.program_loader import load_program

FOLDER = catalogue.folder() / "programs"
PROGRAMS = sorted(path.stem for path in (FOLDER / "sources").glob("*.c"))
NATIVE_ONLY = ("faults", "files", "startup")
HAS_GCC = all(shutil.which(program) for program in ("gcc", "make", "strip"))
MOST_IMAGE_BYTES = 20_000

needs_gcc = pytest.mark.skipif(not HAS_GCC, reason="gcc, make or binutils are not installed")
pytestmark = [pytest.mark.compiled, pytest.mark.usefixtures("compiled_machine")]

SCRIPT = b"""
def f { if a < 2 { r = r + 1 } else { a = a - 1; f; a = a - 1; f; a = a + 2 } }
a = 12; f; print r           # Fibonacci, by additions of one
n = 2
while n < 60 {
  if c[n] == 0 { m = n + n; while m < 60 { c[m] = 1; m = m + n }; print n }
  n = n + 1
}
if -7 / 2 == -3 { say "truncates" } else { say "floors" }
print 2147483647 + 1; print -7 % 3; print (1 + 2) * 3 - 4 / 2 > 6
"""
LINES = b"pear\napple\n\nfig\napple\n10\n9\n-3\nzebra\n" + b"".join(
    b"%d line\n" % (n * 7919 % 1000) for n in range(400)
)


class Case(NamedTuple):
    """One run of a program."""

    program: str
    arguments: tuple[str, ...] = ()
    stdin: bytes = b""


CASES = (
    Case("hello"),
    Case("hello", ("you", "there", "third")),
    Case("sort", (), LINES),
    Case("sort", ("-r", "-n"), LINES + b"no end of line"),
    Case("sort", ("-u", "lines.txt")),
    Case("sort", ("missing.txt",)),
    Case("crc", ("lines.txt", "script.txt")),
    Case("crc", (), bytes(range(256)) * 300),
    Case("crc", ("lines.txt", "missing")),
    Case("interpreter", ("script.txt",)),
    Case("interpreter", (), b"while 1 { print 1 / z }"),
    Case("interpreter", (), b"def f { f } f"),
    *(Case(name) for name in NATIVE_ONLY),
    Case("faults", ("11",)),
    Case("faults", ("6",)),
    Case("faults", ("17",)),
)
IDS = [" ".join((case.program, *case.arguments)) for case in CASES]


class Outcome(NamedTuple):
    """What a run left behind: output, error output, status as a parent sees it (-signal)."""

    out: bytes
    err: bytes
    status: int


def prepare(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "lines.txt").write_bytes(LINES)
    (folder / "script.txt").write_bytes(SCRIPT)
    return folder


def emulated(case: Case, folder: Path) -> Outcome:
    program = load_program(str(FOLDER / "images" / case.program))
    out, err = MemoryOutput(), MemoryOutput()
    process = Process(
        program,
        PathTree(str(prepare(folder)), is_writable=True),
        (MemoryInput(case.stdin), out, err),
        arguments=[os.fsencode(word) for word in (case.program, *case.arguments)],
        environment=[b"GREETING=hail"],
    )
    ending = process.run(budget=500_000_000)
    process.close()
    assert ending.reason in ("exit", "signal"), ending
    status = -ending.status if ending.reason == "signal" else ending.status
    return Outcome(bytes(out.data), bytes(err.data), status)


def native(command: list[str], case: Case, folder: Path) -> Outcome:
    done = subprocess.run(
        [*command, *case.arguments],
        cwd=prepare(folder),
        input=case.stdin,
        env={"GREETING": "hail"},
        capture_output=True,
        check=False,
        timeout=60,
    )
    return Outcome(done.stdout, done.stderr, done.returncode)


def executable(name: str, folder: Path) -> str:
    """A copy of an image that may be executed."""
    target = folder / name
    shutil.copy(FOLDER / "images" / name, target)
    target.chmod(0o755)
    return str(target)


def test_every_program_has_an_image():
    assert {"hello", "sort", "crc", "interpreter", *NATIVE_ONLY} <= set(PROGRAMS)
    images = {path.name: path for path in (FOLDER / "images").iterdir()}
    images.pop("compiler.txt")
    assert sorted(images) == PROGRAMS
    assert all(path.stat().st_size < MOST_IMAGE_BYTES for path in images.values())


@pytest.mark.parametrize("name", NATIVE_ONLY)
def test_a_program_that_asks_linux_prints_what_linux_recorded(name, tmp_path):
    outcome = emulated(Case(name), tmp_path / "root")
    assert outcome.out.decode() == (FOLDER / "expected" / f"{name}.txt").read_text()
    assert (outcome.err, outcome.status) == (b"", 0)


@pytest.mark.parametrize(("options", "key"), [((), None), (("-r",), None), (("-n",), "number")])
def test_sort_sorts_as_python_does(options, key, tmp_path):
    lines = [b"%d x" % (n * 7919 % 9973) for n in range(500)]
    by = (lambda line: (int(line.split()[0]), line)) if key else None
    expected = sorted(lines, key=by, reverse="-r" in options)
    outcome = emulated(Case("sort", options, b"\n".join(lines)), tmp_path / "root")
    assert outcome.out.splitlines() == expected


def test_crc_is_the_one_of_zlib(tmp_path):
    data = bytes(n * n >> 3 & 255 for n in range(50_000))
    outcome = emulated(Case("crc", (), data), tmp_path / "root")
    assert outcome.out == b"%08x %d -\n" % (zlib.crc32(data), len(data))


@pytest.mark.oracle
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_hosts_kernel_runs_the_image_alike(case, tmp_path):
    """The same image, natively; where the host takes none, there is nothing to compare."""
    try:
        by_host = native([executable(case.program, tmp_path)], case, tmp_path / "native")
    except OSError:
        return
    assert emulated(case, tmp_path / "emulated") == by_host


@pytest.fixture(scope="module")
def hosted_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hosted")
    command = ["make", "-s", "-C", str(FOLDER), f"OUT={folder}", "images", "hosted"]
    subprocess.run(command, check=True)
    return folder


@needs_gcc
@pytest.mark.oracle
@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.program not in NATIVE_ONLY],
    ids=[name for name in IDS if name.split()[0] not in NATIVE_ONLY],
)
def test_the_same_source_as_a_program_of_the_host_prints_the_same(case, tmp_path, hosted_folder):
    by_host = native([str(hosted_folder / f"{case.program}.host")], case, tmp_path / "native")
    assert emulated(case, tmp_path / "emulated") == by_host


@needs_gcc
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_images_are_built_from_the_sources(name, hosted_folder):
    """Byte for byte with the compiler that made them; another one may choose other instructions."""
    recorded = (FOLDER / "images" / "compiler.txt").read_text()
    version = subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=True)
    built = (hosted_folder / name).read_bytes()
    if version.stdout.splitlines()[0] == recorded.strip():
        assert built == (FOLDER / "images" / name).read_bytes()
    assert built[:4] == b"\x7fELF"
