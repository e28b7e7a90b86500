"""The documents tell the truth: commands parse, links lead somewhere, make targets exist."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import CycloptsError

from tools import readme_session
from tools.cli import VERBS, build_app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
DOCUMENTS = (
    "reading-guide",
    "architecture",
    "glossary",
    "adding-an-instruction",
    "adding-a-device",
    "adding-a-monitor",
    "quirks",
    "README",
)


def commands() -> Iterator[tuple[str, str]]:
    """Every trapgate or make command that documents and help texts show, with its origin."""
    for page in PAGES:
        for _, block in FENCE.findall(page.read_text()):
            for line in block.splitlines():
                command = line.strip().removeprefix("$ ")
                if command.startswith(("trapgate ", "make ")):
                    yield page.name, command.split("  #")[0].strip()
    for verb, _ in VERBS:
        epilogue = importlib.import_module(f"tools.{verb}").app.help_epilogue
        for line in epilogue.splitlines():
            if line.startswith("  trapgate "):
                yield f"{verb} --help", line.strip()


COMMANDS = list(commands())


def identify(value: str) -> str:
    return value.replace(" ", "_")


@pytest.mark.parametrize(("origin", "command"), COMMANDS, ids=identify)
def test_a_shown_command_parses(origin, command):
    words = shlex.split(command, comments=True)
    words = words[: words.index("|")] if "|" in words else words
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(words[1:]) <= set(targets)
        return
    try:
        build_app().parse_args(words[1:], exit_on_error=False, print_error=False)
    except CycloptsError as error:
        pytest.fail(f"{origin}: {command}: {error}")


@pytest.mark.parametrize("verb", [verb for verb, _ in VERBS])
def test_every_verb_shows_an_example(verb):
    assert any(
        origin == f"{verb} --help" and command.startswith(f"trapgate {verb}")
        for origin, command in COMMANDS
    )


@pytest.mark.parametrize("verb", [verb for verb, _ in VERBS])
def test_the_readme_mentions_every_verb(verb):
    assert f"`{verb}`" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    broken = [
        target
        for target in LINK.findall(page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_named_in_documents_exist(page):
    """A path in backquotes that looks like one of ours must be one."""
    named = re.findall(
        r"`((?:isa|hypervisor|guests|tools|tests|benchmarks|docs)/[\w./-]+)`", page.read_text()
    )
    assert not [path for path in named if not (ROOT / path).exists()]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_promised_documents_exist(name):
    assert len((ROOT / "docs" / f"{name}.md").read_text().split()) > 100


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text()
    missing = [path.name for path in (ROOT / "docs").glob("*.md") if f"({path.name})" not in index]
    assert missing in ([], ["README.md"])


@pytest.mark.compiled
@pytest.mark.usefixtures("compiled_machine")
def test_the_session_in_the_readme_is_what_happens(monkeypatch):
    """If this fails after a change of costs or of the monitor: make readme."""
    monkeypatch.chdir(ROOT)
    readme = readme_session.README.read_text(encoding="utf-8")
    expected = readme_session.without_seconds(readme_session.session())
    assert readme_session.without_seconds(readme_session.shown(readme)) == expected
