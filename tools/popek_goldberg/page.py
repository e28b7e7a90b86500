"""A survey as Markdown."""

from collections.abc import Iterable

from tools.popek_goldberg.report import RULE_WORDS, short_classes
from tools.popek_goldberg.survey import Result, Survey


def survey_section(survey: Survey) -> str:
    """Verdicts, critical forms with their witnesses, and counts, for one processor."""
    lines = [f"## {survey.cpu}", ""]
    lines += ["| Theorem | Condition | Holds | Forms against it |", "| --- | --- | --- | ---: |"]
    for theorem in survey.theorems:
        verdict = "yes" if theorem.holds else "**no**"
        name = theorem.name.replace("_", " ")
        cells = (f"{theorem.number}: {name}", theorem.statement, verdict, len(theorem.against))
        lines.append(row(cells))
    lines += ["", *critical_table(survey.critical), "", *count_table(survey), ""]
    return "\n".join(lines)


def row(cells: Iterable[object]) -> str:
    """One row of a table."""
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def critical_table(results: Iterable[Result]) -> list[str]:
    """Sensitive forms that are not privileged."""
    lines = ["| Form | Sensitive | Traps in user mode if | Witness |", "| --- | --- | --- | --- |"]
    for result in results:
        sentence = "" if result.witness is None else result.witness.sentence
        rule = RULE_WORDS[result.rule]
        lines.append(row((f"`{result.syntax}`", short_classes(result.classes), rule, sentence)))
    return lines if len(lines) > 2 else ["Every sensitive form is privileged."]


def count_table(survey: Survey) -> list[str]:
    """How many forms are in each class."""
    lines = ["| Class | Forms |", "| --- | ---: |"]
    lines += [row((name, count)) for name, count in survey.counts.items()]
    return [*lines, row(("all", len(survey.results)))]
