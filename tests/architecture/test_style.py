"""House style that linters do not know: documentation, sizes, names and forbidden words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("isa", "hypervisor", "guests", "tools", "tests", "benchmarks")
TEXT_SUFFIXES = {".py", ".asm", ".inc", ".toml", ".txt", ".md", ".yml", ""}
SIZE_LIMIT = 500
# The interpreter is one loop: every cut would cost a call per instruction.
LONGER = {"isa/interpreter.py": 1200}
SELF_EVIDENT_LINES = 4

# Put together from parts, so that this file does not contain what it forbids.
UNFINISHED = re.compile(
    r"\b(?:"
    + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error"))
    + r")\b"
)
ABSOLUTE = re.compile(r"(?<![\w.~*-])/(?:wo" + r"rk|t" + r"mp|ro" + r"ot|ho" + r"me|o" + r"pt)/")
VAGUE_FILES = {"utils.py", "util.py", "common.py", "core.py", "helpers.py", "misc.py"}


def texts() -> Iterator[Path]:
    """Every text file a person writes, and the generated ones."""
    yield from (
        path
        for path in ROOT.iterdir()
        if path.is_file() and not path.name.startswith((".cov", ".git"))
    )
    for folder in (*PACKAGES, "docs", ".ci"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in TEXT_SUFFIXES:
                yield path


def modules(*folders: str) -> list[Path]:
    """Python sources written by hand."""
    return [
        path
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "generated" not in path.parts
    ]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_there_is_something_to_check():
    assert len(modules("isa", "tools")) > 20
    assert ROOT / "pyproject.toml" in texts()


def test_nothing_is_left_unfinished():
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in texts()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert not found


def test_no_path_of_somebodys_machine_is_named():
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in texts()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if ABSOLUTE.search(line)
    ]
    assert not found


def test_no_test_is_switched_off():
    """A test may be skipped only where something is missing that pip cannot install.

    A program, looked for with shutil.which, or a processor that runs x86 natively.
    """
    reasons = ("shutil.which", "HostUnavailableError")
    switched_off = re.compile(
        r"mark\.skip\b|\bpytest\.skip\(|mark\.xfail|pytest\.xfail|importorskip"
    )
    found = [
        f"{name_of(path)}: {match[0]}"
        for path in modules("tests")
        if path != Path(__file__)
        for match in switched_off.finditer(path.read_text())
        if not any(reason in path.read_text() for reason in reasons)
    ]
    assert not found


@pytest.mark.parametrize("path", modules(*PACKAGES), ids=name_of)
def test_a_module_says_what_it_is(path):
    if path.name == "__init__.py" and not path.read_text().strip():
        return
    assert ast.get_docstring(ast.parse(path.read_text())), "has no docstring"


@pytest.mark.parametrize("path", modules("isa", "hypervisor", "tools"), ids=name_of)
def test_public_functions_and_classes_are_documented(path):
    missing = []
    for node in ast.parse(path.read_text()).body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        if ast.get_docstring(node) is None and not is_self_evident(node):
            missing.append(node.name)
        if isinstance(node, ast.ClassDef) and not node.bases:
            missing += [
                f"{node.name}.{method.name}"
                for method in node.body
                if isinstance(method, ast.FunctionDef)
                and not method.name.startswith("_")
                and ast.get_docstring(method) is None
                and not is_self_evident(method)
            ]
    assert not missing


def is_self_evident(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """A function of a few lines, whose name and body say it all."""
    return isinstance(node, ast.FunctionDef) and (
        (node.end_lineno or 0) - node.body[0].lineno < SELF_EVIDENT_LINES
    )


@pytest.mark.parametrize("path", modules(*PACKAGES), ids=name_of)
def test_a_file_is_short_enough_to_read(path):
    limit = LONGER.get(name_of(path), SIZE_LIMIT)
    assert len(path.read_text().splitlines()) <= limit


def test_a_file_is_named_after_what_it_holds():
    assert not [name_of(path) for path in modules(*PACKAGES) if path.name in VAGUE_FILES]


def test_test_files_have_names_of_their_own():
    names = [path.name for path in modules("tests") if path.name != "conftest.py"]
    assert len(names) == len(set(names))
