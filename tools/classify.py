"""The verb `classify`: Popek and Goldberg's classes of every instruction form, by experiment."""

from __future__ import annotations

import json as json_text
import os
from typing import Annotated, Final

from cyclopts import App, Parameter

from isa.cpu_models import DEFAULT, load_model
from isa.errors import TrapgateError
from tools import status
from tools.arguments import Flag
from tools.interrupts import deferred_interrupts

EPILOGUE: Final = f"""\
Examples:
  trapgate classify
  trapgate classify --cpu p6+umip --json
  trapgate classify --cpu virtualizable --seed 7 --workers 2 --all

Every form of the instruction table is executed in supervisor and in user mode,
from states that differ in the mode only or in one resource only (a descriptor
table elsewhere, another IOPL, …). What it did decides; the table's own columns
of privilege and sensitivity are not read. docs/popek-goldberg.md explains the
words and what was found.

A processor named with +umip or +pvi has that bit of CR4 set.

Exit status:
  {status.SUCCESS}           classified, whatever the verdict
  {status.USAGE}           usage error
  {status.INTERRUPTED}         interrupted (Ctrl-C)"""

app = App(name="classify", help_epilogue=EPILOGUE)


def core_count() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@app.default
def classify(
    *,
    cpu: Annotated[
        str, Parameter(help="The processor: a model of `trapgate cpus`, as in p6+umip.")
    ] = DEFAULT,
    seed: Annotated[int, Parameter(help="Chooses the random part of the operands.")] = 1,
    workers: Annotated[
        int | None, Parameter(help="Processes (default: one per core). The result is the same.")
    ] = None,
    show_all: Annotated[
        Flag, Parameter(name="--all", help="List every form, not only the critical ones.")
    ] = False,
    json: Annotated[Flag, Parameter(help="Print a JSON report.")] = False,
    markdown: Annotated[Flag, Parameter(help="Print the report as Markdown.")] = False,
) -> int:
    """Classify every instruction form as Popek and Goldberg do, by executing it."""
    model = load_model(cpu)
    if json and markdown:
        raise TrapgateError("--json or --markdown, not both")
    if workers is not None and workers < 1:
        raise TrapgateError("--workers must be at least 1")
    with deferred_interrupts():
        from tools.popek_goldberg import page, report
        from tools.popek_goldberg.survey import survey
        from tools.progress import counting, prepare_machine
        from tools.report import output_console
    prepare_machine()
    with counting("executing every instruction form", "forms") as progress:
        result = survey(model, seed, workers=workers or core_count(), progress=progress)
    if json:
        print(json_text.dumps(report.survey_record(result), indent=2))
    elif markdown:
        print(page.survey_section(result), end="")
    else:
        report.print_survey(result, output_console(), show_all)
    return status.SUCCESS
