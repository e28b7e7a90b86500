"""A survey for people and programs: tables on the terminal, a record for JSON.

Markdown is in tools/popek_goldberg/page.py.
"""

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tools.popek_goldberg.classes import INNOCUOUS, PRIVILEGED
from tools.popek_goldberg.survey import Result, Survey
from tools.popek_goldberg.theorems import Theorem

RULE_WORDS = {
    "": "never, or by its operands",
    "cpl0": "always",
    "iopl": "CPL > IOPL",
    "iomap": "CPL > IOPL and the port is closed",
    "tsd": "CR4.TSD is set",
    "pce": "CR4.PCE is clear",
    "other": "it depends",
}


def survey_record(survey: Survey) -> dict[str, object]:
    """What `--json` prints."""
    theorems = survey.theorems
    return {
        "cpu": survey.cpu,
        "seed": survey.seed,
        **{theorem.name: theorem.holds for theorem in theorems},
        "theorems": [
            {
                "name": theorem.name,
                "number": theorem.number,
                "condition": theorem.statement,
                "holds": theorem.holds,
                "against": list(theorem.against),
            }
            for theorem in theorems
        ],
        "counts": survey.counts,
        "executed": survey.executed,
        "forms": [_form_record(result) for result in survey.results],
    }


def _form_record(result: Result) -> dict[str, object]:
    return {
        "form": result.form,
        "syntax": result.syntax,
        "mnemonic": result.mnemonic,
        "classes": list(result.classes),
        "critical": result.critical,
        "traps_in_user_mode": RULE_WORDS[result.rule],
        "witness": None if result.witness is None else result.witness.record(),
    }


def print_survey(survey: Survey, console: Console, everything: bool = False) -> None:
    """Verdicts, then the critical forms with their witnesses, then how many there are of each."""
    for theorem in survey.theorems:
        console.print(_verdict(survey, theorem))
    console.print()
    shown = survey.results if everything else survey.critical
    if shown:
        console.print(_form_table(shown, "forms" if everything else "sensitive, not privileged"))
        console.print()
    console.print(_count_table(survey))


def _verdict(survey: Survey, theorem: Theorem) -> Text:
    name = theorem.name.replace("_", " ").replace("hybrid virtualizable", "hybrid-virtualizable")
    text = Text(f"{survey.cpu} {name}: ")
    text.append("yes" if theorem.holds else "no", style="bold")
    text.append(f" (theorem {theorem.number}: {theorem.statement}")
    if theorem.against:
        text.append(f"; {len(theorem.against)} forms are against it")
    text.append(")")
    return text


def short_classes(classes: tuple[str, ...]) -> str:
    """Without the ending that nearly all of them have."""
    return ", ".join(name.removesuffix("-sensitive") for name in classes)


def _form_table(results: tuple[Result, ...], title: str) -> Table:
    table = Table(title=title, box=None, title_justify="left", pad_edge=False)
    table.add_column("form", no_wrap=True)
    table.add_column("sensitive" if title != "forms" else "classes")
    table.add_column("traps in user mode if")
    table.add_column("witness", ratio=1)
    for result in results:
        witness = result.witness
        table.add_row(
            escape(result.syntax),
            short_classes(result.classes),
            RULE_WORDS[result.rule],
            "" if witness is None else Text(witness.sentence.replace("`", "")),
        )
    return table


def _count_table(survey: Survey) -> Table:
    table = Table(title="forms by class", box=None, title_justify="left", pad_edge=False)
    table.add_column("class")
    table.add_column("forms", justify="right")
    for name, count in survey.counts.items():
        if name in (PRIVILEGED, INNOCUOUS) or count:
            table.add_row(name, f"{count:,}")
    table.add_row("all", f"{len(survey.results):,}")
    table.add_row("instructions executed", f"{survey.executed:,}")
    return table
