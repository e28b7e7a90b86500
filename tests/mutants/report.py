"""What the trials of the catalogue have shown: verdicts, the forms reached, table and page."""

from __future__ import annotations

from dataclasses import dataclass

from tests.mutants.catalogue import ROOT, PlantedError
from tests.mutants.trial import Outcome

PAGE = ROOT / "docs" / "mutants.md"

CAUGHT, SURVIVED, INVALID = "caught", "SURVIVED", "INVALID"

# Forms with a privilege or sensitivity in the table that no planted error has to reach, and why.
EXCUSED: dict[str, str] = {}

_HEAD = """# Planted errors

Would the tests notice if the processor broke a rule of the manual? Each row is an error of meaning
planted in a privileged or sensitive instruction, or in what such instructions rest on: the rule of
the manual that no longer holds, and the properties that must fail then. `make test-mutants` plants
them one by one, in memory and never in the tree, runs the named properties in plain Python with the
same examples every time, and counts an error as caught only if an assertion of a property says so:
an import error, a crash or a time limit makes the trial invalid. Before that the same properties
must pass without any error. `make test` does this with those marked *q*.

The errors are in `tests/mutants/planted/`, with the text they replace and the section of the
manual; a text that is not found exactly once is an error itself, so that the catalogue follows
the code. `python -m tests.mutants NAME …` tries some; `make test-mutants` tries all and writes this
page.
"""


@dataclass(frozen=True)
class Verdict:
    """What became of one planted error."""

    error: PlantedError
    outcome: Outcome

    @property
    def catchers(self) -> list[str]:
        """The tests that caught it."""
        return [test for tests in self.error.caught_by for test in self.outcome.catchers(tests)]

    @property
    def word(self) -> str:
        if self.outcome.trouble:
            return INVALID
        if all(self.outcome.catchers(tests) for tests in self.error.caught_by):
            return CAUGHT
        broken = any(not failure.by_assertion for failure in self.outcome.failures)
        return INVALID if broken else SURVIVED

    @property
    def explanation(self) -> str:
        """In a few words: who caught it, or what went wrong."""
        if self.word == CAUGHT:
            first = self.catchers[0].partition("::")[2]
            more = len(self.catchers) - 1
            return f"{first} and {more} more" if more else first
        if self.outcome.trouble:
            return self.outcome.trouble
        for failure in self.outcome.failures:
            if not failure.by_assertion:
                return f"{failure.test.rpartition('::')[2]}: {failure.message}"
        quiet = [tests for tests in self.error.caught_by if not self.outcome.catchers(tests)]
        return f"not seen by {', '.join(quiet)}"


def touchy_forms() -> list[str]:
    """The forms whose privilege or sensitivity the instruction table names."""
    from isa.generated import columns, forms

    return [
        name
        for number, name in enumerate(forms.FORM_NAMES)
        if columns.PRIVILEGE[number] or columns.SENSITIVE[number] or columns.V86_IOPL[number]
    ]


def untouched_forms(verdicts: list[Verdict]) -> list[str]:
    """Those of them that reached no planted error in a test that caught it."""
    reached: set[str] = set()
    for verdict in verdicts:
        reached |= verdict.outcome.forms
    return [name for name in touchy_forms() if name not in reached]


def property_link(tests: str) -> str:
    """A property by file and function, the way the page shows it."""
    file, _, function = tests.partition("::")
    return f"[{function or file.rpartition('/')[2]}](../{file})"


def page_row(error: PlantedError) -> str:
    """The row of an error, which the catalogue alone decides."""
    mark = " *q*" if error.quick else ""
    links = ", ".join(property_link(tests) for tests in error.caught_by)
    return f"| `{error.name}`{mark} | {error.rule} {error.source} | {links} |"


def page(errors: list[PlantedError], touched: int) -> str:
    """The page of the catalogue, after a run that caught everything."""
    quick = sum(error.quick for error in errors)
    lines = [_HEAD, f"{len(errors)} errors, {quick} of them in `make test`; all are caught."]
    lines.append(
        f"The instruction table names a privilege or a sensitivity for {touched} forms. Each of"
        "\nthem reaches a planted error in a test that catches it"
        + ("" if not EXCUSED else ", but for the forms at the end of this page")
        + "."
    )
    subject = ""
    for error in errors:
        if error.subject != subject:
            subject = error.subject
            lines.append(f"\n## {subject.replace('_', ' ').capitalize()}\n")
            lines.append(
                "| Planted error | The rule it breaks, and where the rule stands | Caught by |"
            )
            lines.append("| --- | --- | --- |")
        lines.append(page_row(error))
    if EXCUSED:
        lines.append("\n## Forms that reach none\n")
        lines += [f"- `{name}`: {reason}" for name, reason in EXCUSED.items()]
    return "\n".join(lines) + "\n"
