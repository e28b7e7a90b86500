"""Writes docs/popek-goldberg.md: `python -m tools.popek_goldberg.document`.

The prose is template.md beside this file; the tables come from surveys of the processors in CPUS,
which takes most of a minute. `--check` says whether the page is current.
"""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from isa.cpu_models import load_model
from isa.notation import load_table
from tools.popek_goldberg.classes import INNOCUOUS, PRIVILEGED, USER
from tools.popek_goldberg.page import row
from tools.popek_goldberg.published import (
    ALSO_PUBLISHED,
    BEYOND,
    ROBIN_IRVINE,
    UNSEEN,
    Difference,
)
from tools.popek_goldberg.report import RULE_WORDS, short_classes
from tools.popek_goldberg.survey import Result, Survey, survey

TEMPLATE: Final = Path(__file__).with_name("template.md")
PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "popek-goldberg.md"
SEED: Final = 1
BASE: Final = "p6"
CPUS: Final = (BASE, "p6+umip", "p6+pvi", "virtualizable")
NAMES: Final = {
    "CALL_FAR": "far CALL",
    "JMP_FAR": "far JMP",
    "RET_FAR": "far RET",
    "LOAD_FAR": "LDS, LES, LSS, LFS, LGS",
    "MOV_FROM_CR": "MOV from CRn",
    "MOV_FROM_DR": "MOV from DRn",
    "MOV_FROM_SREG": "MOV from segment",
    "MOV_TO_CR": "MOV to CRn",
    "MOV_TO_DR": "MOV to DRn",
    "MOV_TO_SREG": "MOV to segment",
    "INT": "INT n",
    "POP_SREG": "POP segment",
    "PUSH_SREG": "PUSH segment",
}
# Why a variant of the processor gives another answer.
REASONS: Final = {
    "p6+umip": (
        "CR4.UMIP makes SGDT, SIDT, SLDT, SMSW and STR fault above CPL 0. It came in 2017, and "
        "closes what showed the supervisor's tables to everybody, but nothing of what loads and "
        "shows segment registers, flags and CPL."
    ),
    "p6+pvi": (
        "CR4.PVI gives ring 3 an interrupt flag of its own below IOPL 3: CLI and STI no longer "
        "trap there, and change VIF where they change IF at CPL 0. What a monitor could trap by "
        "keeping IOPL at 0 it now cannot."
    ),
    "virtualizable": (
        "A processor that was never made: whatever the table calls sensitive is #GP(0) above "
        "CPL 0. That the verdict is yes says that the table has forgotten nothing that the "
        "experiment can see. Forms that only compared DPL with CPL have become innocuous."
    ),
}
_OPERATIONS: Final = {form.name: form.operation for form in load_table()}


def operation_of(result: Result) -> str:
    """The operation of a form, by its name."""
    return _OPERATIONS[result.form]


def names_of(operations: Iterable[str]) -> str:
    """Operations as people call them, in alphabetical order."""
    return ", ".join(sorted(NAMES.get(name, name) for name in set(operations))) or "none"


def document(surveys: Mapping[str, Survey]) -> str:
    """The page. Of the processors other than BASE only what is not innocuous there is looked at."""
    base = surveys[BASE]
    parts = {
        "verdicts": "\n".join(_verdicts(surveys)),
        "variants": "\n".join(_variants(surveys)),
        "published": "\n".join(_published(base)),
        "beyond": "\n".join(_differences(base, BEYOND)),
        "unseen": "\n".join(_differences(base, UNSEEN)),
        "user": names_of(operation_of(r) for r in base.critical if USER in r.classes),
        "privileged": names_of(
            operation_of(r)
            for r in base.results
            if PRIVILEGED in r.classes and INNOCUOUS not in r.classes
        ),
        "innocuous": str(sum(INNOCUOUS in r.classes for r in base.results)),
        "total": str(len(base.results)),
        "witnesses": "\n".join(_witnesses(base)),
    }
    template = TEMPLATE.read_text(encoding="utf-8")
    return re.sub(r"<!-- (\w+) -->", lambda match: parts[match[1]], template)


def _verdicts(surveys: Mapping[str, Survey]) -> list[str]:
    head = ("Processor", "Virtualizable", "Recursively", "Hybrid", "Critical forms", "Operations")
    lines = [row(head), "| --- | --- | --- | --- | ---: | ---: |"]
    for cpu in CPUS:
        found = surveys[cpu]
        answers = ["yes" if theorem.holds else "**no**" for theorem in found.theorems]
        operations = {operation_of(result) for result in found.critical}
        lines.append(row((f"`{cpu}`", *answers, len(found.critical), len(operations))))
    return lines


def _variants(surveys: Mapping[str, Survey]) -> list[str]:
    """What differs from BASE, and why."""
    base = surveys[BASE].by_form()
    lines = [row(("Processor", "Not critical any more", "Other classes", "Why"))]
    lines.append("| --- | --- | --- | --- |")
    for cpu in CPUS[1:]:
        found = surveys[cpu]
        safe = [r for r in found.results if base[r.form].critical and not r.critical]
        changed = [r for r in found.results if r.critical and r.classes != base[r.form].classes]
        gone = {operation_of(r) for r in safe}
        told = "all" if not found.critical else names_of(gone)
        other = names_of(operation_of(r) for r in changed)
        lines.append(row((f"`{cpu}`", told, other, REASONS[cpu])))
    return lines


def _published(base: Survey) -> list[str]:
    lines = [row(("Published", "By", "Because it", "Found", "Sensitive on `p6`"))]
    lines.append("| --- | --- | --- | --- | --- |")
    lists = ((ROBIN_IRVINE, "Robin and Irvine"), (ALSO_PUBLISHED, "Bugnion and others"))
    for entries, author in lists:
        for entry in entries:
            results = [r for r in base.results if operation_of(r) in entry.operations]
            found = "yes" if all(r.critical for r in results) else "**no**"
            classes = _classes_of(results)
            lines.append(row((entry.name, author, entry.reason, found, classes)))
    return lines


def _classes_of(results: Sequence[Result]) -> str:
    """Classes of several forms, in the order of the first that has them."""
    return short_classes(tuple(dict.fromkeys(name for r in results for name in r.classes)))


def _differences(base: Survey, differences: Sequence[Difference]) -> list[str]:
    lines = [row(("Operation", "Classes on `p6`", "Traps in user mode if", "Why", "SDM"))]
    lines.append("| --- | --- | --- | --- | --- |")
    for difference in differences:
        results = [r for r in base.results if operation_of(r) in difference.operations]
        rules = ", ".join(dict.fromkeys(RULE_WORDS[r.rule] for r in results))
        names = names_of(difference.operations)
        cells = (names, _classes_of(results), rules, difference.reason, difference.source)
        lines.append(row(cells))
    return lines


def _witnesses(base: Survey) -> list[str]:
    """One form of every critical operation: the first whose witness needs least."""
    chosen: dict[str, Result] = {}
    for result in base.critical:
        operation = operation_of(result)
        known = chosen.get(operation)
        if known is None or _setup(result) < _setup(known):
            chosen[operation] = result
    lines = [row(("Form", "Sensitive", "Traps in user mode if", "Witness"))]
    lines.append("| --- | --- | --- | --- |")
    for result in chosen.values():
        witness = result.witness
        assert witness is not None
        state = "; ".join(f"{name} {value}" for name, value in witness.state.items())
        sentence = f"{witness.sentence}{f' (Initial state: {state}.)' if state else ''}"
        cells = (f"`{result.syntax}`", short_classes(result.classes), RULE_WORDS[result.rule])
        lines.append(row((*cells, sentence)))
    return lines


def _setup(result: Result) -> int:
    return 0 if result.witness is None else len(result.witness.state)


def main(arguments: Sequence[str]) -> int:
    """Write the page, or check it."""
    surveys = {cpu: survey(load_model(cpu), SEED, workers=2) for cpu in CPUS}
    text = document(surveys)
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    if "--check" in arguments:
        print(f"{PAGE.name} is out of date; run: make classification", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote docs/{PAGE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
