"""What a run or a comparison says, as data for `--json` and as tables for people.

The tables are made from the same records that `--json` prints, so the two cannot disagree. Numbers
of the model (instructions, cycles, exits) repeat exactly; host seconds do not and stand apart.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from isa.cpu_models import DEFAULT
from tools.driver import Ending, Running, console_digest
from tools.symbols import locate

if TYPE_CHECKING:
    from hypervisor.comparison import Comparison, Run
    from isa.boot import BootImage
    from isa.stale_translations import StaleTranslation

Record = dict[str, Any]

CODE_LINES: Final = 4  # of the code that comes after a divergence

# A table keeps its columns whole wherever it is shown; most fit 80 characters anyway.
_LEAST_WIDTH: Final = 120


def output_console() -> Console:
    """Standard output, for tables."""
    console = Console(highlight=False)
    console.width = max(console.width, _LEAST_WIDTH)
    return console


def technique_record(name: str, machine: Running, ending: Ending, image: BootImage) -> Record:
    """What is known of one technique's run; the keys are a promise to scripts."""
    return {
        "name": name,
        "exit_code": machine.exit_code,
        "console_sha256": console_digest(machine.console),
        "guest_instructions": machine.guest_instructions,
        "cycles": machine.cycles,
        "cycles_by_cause": dict(machine.ledger),
        "exits": dict(machine.exits),
        "host_seconds": round(ending.host_seconds, 6),
        "stop": {
            "reason": ending.reason,
            "detail": ending.detail,
            "eip": ending.eip,
            "symbol": locate(ending.eip, image.symbols),
            "instruction": ending.instruction,
        },
    }


def run_record(
    image: BootImage, name: str, machine: Running, ending: Ending, cpu: str = DEFAULT
) -> Record:
    """The report of `run --json`."""
    return {
        "guest": image.name,
        "source": image.source,
        "cpu": cpu,
        **technique_record(name, machine, ending, image),
        "console": machine.console.decode("utf-8", "replace"),
    }


def comparison_record(image: BootImage, outcome: Comparison, cpu: str = DEFAULT) -> Record:
    """The report of `compare --json`."""
    divergence: Record | None = None
    if outcome.divergence is not None:
        from tools.divergence_report import Names, divergence_record

        names = Names.of(image)
        divergence = divergence_record(outcome.divergence, (names, names), CODE_LINES)
    return {
        "guest": outcome.guest,
        "source": image.source,
        "cpu": cpu,
        "equivalent": outcome.equivalent,
        "differences": list(outcome.differences),
        "divergence": divergence,
        "techniques": [
            technique_record(run.name, run.technique, _ending(run), image) for run in outcome.runs
        ],
    }


def _ending(run: Run) -> Ending:
    stop = run.stop
    return Ending(stop.reason.value, stop.detail, stop.eip, stop.instruction, run.host_seconds)


def ending_line(record: Record) -> str:
    """Reason, place and counts of a stop in one line."""
    stop = record["stop"]
    detail = f" ({stop['detail']})" if stop["detail"] else ""
    return (
        f"{stop['reason']}{detail} at {_place(stop)}"
        f" after {record['guest_instructions']:,} instructions,"
        f" {record['cycles']:,} cycles, {record['host_seconds']:.2f} s"
    )


def _place(record: Record) -> str:
    """Address, symbol and instruction of a record that has them."""
    symbol = f" <{record['symbol']}>" if record["symbol"] else ""
    instruction = f": {record['instruction']}" if record["instruction"] else ""
    return f"{record['eip']:#010x}{symbol}{instruction}"


def show_ending(image: BootImage, name: str, machine: Running, ending: Ending) -> None:
    """Say on standard error why the run ended."""
    record = technique_record(name, machine, ending, image)
    print(f"trapgate: {ending_line(record)}", file=sys.stderr)


def stale_records(found: Sequence[StaleTranslation], image: BootImage) -> list[Record]:
    """The stale translations that a TLB that checks has noticed; one a page, by first use."""
    return [
        {
            "address": stale.gva,
            "access": stale.access,
            "user": stale.is_user,
            "eip": stale.eip,
            "symbol": locate(stale.eip, image.symbols),
            "guest_instructions": stale.instructions,
            "tlb": stale.cached,
            "tables": stale.tables,
            "uses": stale.uses,
        }
        for stale in found
    ]


def show_stale_translations(found: Sequence[StaleTranslation], image: BootImage) -> None:
    """Say on standard error which pages were used by stale translations, or that none was."""
    if not found:
        print("trapgate: no stale translation was used", file=sys.stderr)
    for record in stale_records(found, image):
        symbol = f" <{record['symbol']}>" if record["symbol"] else ""
        print(
            f"trapgate: stale translation: {record['access']} of {record['address']:#010x}"
            f" at {record['eip']:#010x}{symbol} after {record['guest_instructions']:,}"
            f" instructions: the TLB says {record['tlb']}, the tables {record['tables']}"
            f" ({record['uses']:,} uses)",
            file=sys.stderr,
        )


def comparison_tables(record: Record, console: Console) -> None:
    """The report of `compare`: verdict, runs, exits by reason, cycles by cause."""
    runs = record["techniques"]
    console.print(_verdict(record), soft_wrap=True)
    if record["divergence"] is not None:
        from tools.divergence_report import show_divergence

        show_divergence(record["divergence"], console)
    tables = [_runs_table(runs)]
    if any(run["exits"] for run in runs):
        tables.append(_counts_table("exits by reason", "exits", runs))
    tables.append(_counts_table("cycles by cause", "cycles_by_cause", runs, total="cycles"))
    for table in tables:
        console.print()
        console.print(table)


def _verdict(record: Record) -> Text:
    names = " = ".join(run["name"] for run in record["techniques"])
    if record["equivalent"]:
        text = Text("equal", "bold green")
        return text.append(
            f": {record['guest']} under {names}: console, exit code and result memory agree", "none"
        )
    text = Text("NOT EQUAL", "bold red")
    lines = "".join(f"\n  {line}" for line in record["differences"])
    return text.append(f": {record['guest']}{lines}", "none")


def _runs_table(runs: Sequence[Record]) -> Table:
    """One row per technique. Overhead is also shown without the cycles spent in devices, because
    waiting for a real serial port can outweigh all that a monitor does."""
    table = _table(
        "technique",
        "stop",
        "exit",
        "instructions",
        "cycles",
        "overhead",
        "w/o devices",
        "host s",
    )
    for run in runs:
        table.add_row(
            run["name"],
            run["stop"]["reason"],
            "-" if run["exit_code"] is None else str(run["exit_code"]),
            f"{run['guest_instructions']:,}",
            f"{run['cycles']:,}",
            _ratio(run["cycles"], runs[0]["cycles"]),
            _ratio(_without_devices(run), _without_devices(runs[0])),
            f"{run['host_seconds']:.2f}",
        )
    return table


def _without_devices(run: Record) -> int:
    return int(run["cycles"] - run["cycles_by_cause"].get("device", 0))


def _ratio(cycles: int, base: int) -> str:
    if not base:
        return "-"
    ratio = cycles / base
    return f"{ratio:.2f} x" if ratio < 100 else f"{ratio:,.0f} x"


def _counts_table(title: str, key: str, runs: Sequence[Record], total: str | None = None) -> Table:
    """One row per name, one column per run; names in order of their greatest count."""
    table = _table(title, *(run["name"] for run in runs))
    names = {name for run in runs for name in run[key]}
    for name in sorted(names, key=lambda name: (-max(run[key].get(name, 0) for run in runs), name)):
        counts = [run[key].get(name, 0) for run in runs]
        if any(counts):
            table.add_row(
                name, *(_share(count, run, total) for count, run in zip(counts, runs, strict=True))
            )
    sums = [sum(run[key].values()) for run in runs]
    table.add_section()
    table.add_row(
        "total", *(_share(count, run, total) for count, run in zip(sums, runs, strict=True))
    )
    return table


def _share(count: int, run: Mapping[str, Any], total: str | None) -> str:
    if not count:
        return "-" if total is None else "-" + " " * 8
    if total is None:
        return f"{count:,}"
    return f"{count:,} {100 * count / run[total]:6.1f} %"


def _table(first: str, *others: str) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        header_style="bold",
    )
    table.add_column(first, no_wrap=True)
    for header in others:
        table.add_column(header, justify="right", no_wrap=True)
    return table
