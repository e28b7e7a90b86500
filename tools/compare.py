"""The verb `compare`: one guest under several techniques, results and costs side by side."""

from __future__ import annotations

import json as json_text
from typing import Annotated, Final

from cyclopts import App, Parameter

from isa.cpu_models import DEFAULT
from tools import catalogue, status
from tools.arguments import Count, Flag
from tools.boot_options import NO_OPTIONS, GuestOptions
from tools.interrupts import deferred_interrupts
from tools.machine_options import NO_OPTIONS as NO_MACHINE_OPTIONS
from tools.machine_options import MachineOptions

EPILOGUE: Final = f"""\
Examples:
  trapgate compare guests/minikernel
  trapgate compare guests/minikernel --techniques bare,ring --json
  trapgate compare kernel.elf -m 64M --budget 20M --cpu pentium

Equal means: the same console, exit code and result memory under every
technique. Where they differ, the first instruction that made a difference is
shown with both states.

Cycles are those of the model and repeat exactly; host seconds say how long
the simulation took.

Exit status:
  {status.SUCCESS}           equal
  {status.NOT_EQUAL}           not equal
  {status.USAGE}           usage error: wrong option, missing or damaged file
  {status.INTERRUPTED}         interrupted (Ctrl-C)"""

# Guests outside the catalogue announce no budget; this many instructions take a few seconds.
DEFAULT_BUDGET: Final = 200_000_000

app = App(name="compare", help_epilogue=EPILOGUE)


@app.default
def compare(
    guest: Annotated[
        str | None, Parameter(help="Guest name or folder, assembly source, or binary.")
    ] = None,
    /,
    *,
    techniques: Annotated[
        str | None,
        Parameter(name=["--techniques", "-t"], help="Comma-separated; all available by default."),
    ] = None,
    options: GuestOptions = NO_OPTIONS,
    machine: MachineOptions = NO_MACHINE_OPTIONS,
    cpu: Annotated[
        str, Parameter(help="The processor: a model of `trapgate cpus`, as in 486+cpuid, p6-pge.")
    ] = DEFAULT,
    budget: Annotated[
        Count | None,
        Parameter(help="Stop each run after that many guest instructions: 2000000, 2M."),
    ] = None,
    json: Annotated[Flag, Parameter(help="Print a JSON report.")] = False,
) -> int:
    """Run one guest under several techniques."""
    model = machine.model(cpu)
    path = options.path(guest)
    ram_bytes, image = options.ram_bytes(guest), machine.equip(options.load(guest))
    entry = None if path is None else catalogue.find(path)
    if budget is None:
        budget = DEFAULT_BUDGET if entry is None else entry.budget

    with deferred_interrupts():
        from tools import report
        from tools.progress import prepare_machine, running
        from tools.techniques import chosen

    wanted = chosen(techniques)
    prepare_machine()
    with deferred_interrupts():
        from hypervisor import comparison

    with running() as progress:
        outcome = comparison.compare(
            image,
            wanted,
            ram_bytes=ram_bytes,
            budget=budget,
            result_memory=() if entry is None else entry.result_memory,
            progress=progress,
            model=model,
        )
    record = report.comparison_record(image, outcome, model.name)
    if json:
        print(json_text.dumps(record, indent=2))
    else:
        report.comparison_tables(record, report.output_console())
    return status.SUCCESS if outcome.equivalent else status.NOT_EQUAL
