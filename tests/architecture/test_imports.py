"""Imports point downwards, the compiler stays in its place, and quick verbs stay quick."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

QUICK_VERBS = (
    ["--help"],
    ["--version"],
    ["run", "--help"],
    ["compare", "--help"],
    ["asm", "--help"],
    ["disasm", "--help"],
    ["asm", "guests/hello/hello.asm", "-o", os.devnull],
    ["disasm", "0f 01 10", "--bits", "32"],
    ["version"],
    ["cpus"],
)


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the import contracts of a source tree, as `make lint` does."""
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def copy_of_sources(folder: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in ("isa", "hypervisor", "guests", "tools"):
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "*.asm")
        )
    return folder


def test_the_contracts_hold(tmp_path):
    outcome = lint_imports(copy_of_sources(tmp_path))
    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("isa/planted.py", "import hypervisor"),
        ("isa/planted.py", "import tools.loader"),
        ("hypervisor/planted.py", "import tools.loader"),
        ("hypervisor/planted.py", "import numba"),
        ("tools/planted.py", "import numba"),
        ("isa/encoder.py", "import isa.jit"),
    ],
)
def test_the_contracts_catch_a_planted_import(tmp_path, module, line):
    folder = copy_of_sources(tmp_path)
    with (folder / module).open("a") as file:
        file.write(f"\n{line}\n")
    outcome = lint_imports(folder)
    assert outcome.returncode != 0, outcome.stdout
    assert "BROKEN" in outcome.stdout


@pytest.mark.parametrize("arguments", QUICK_VERBS, ids=" ".join)
def test_quick_verbs_do_not_load_the_compiler(arguments):
    code = (
        "import sys\n"
        "from tools.cli import main\n"
        f"status = main({arguments!r})\n"
        "assert status == 0, status\n"
        "heavy = {'numba', 'llvmlite'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr


def test_help_shows_at_once():
    """Processor time, not elapsed time: a busy machine must not make this fail."""
    code = "import sys; from tools.cli import main; sys.exit(main(['--help']))"
    costs = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(costs) < 0.3
