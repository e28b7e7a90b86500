"""Where two runs part, for people and for scripts: the view that `diff` and `compare` share.

first divergence: instruction 12,345 at 0x00100492 <main+0x12>: popf      main.asm:31

  the last instructions                       what both executed up to there
  the state after it                          side by side; what differs is marked
  the code that comes next                    of each side
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text

from isa.registers import GPR_NAMES, SEGMENT_NAMES
from tools.state_view import code_lines
from tools.symbols import locate

if TYPE_CHECKING:
    from hypervisor.divergence import Divergence, Outcome, SideView, Step
    from isa.boot import BootImage
    from tools.source_map import SourceMap

Record = dict[str, Any]

_CONSOLE_LINES: Final = 6
_SET_ASIDE_SHOWN: Final = 12
_WIDTH: Final = 44


class Names:
    """What addresses of one side are called."""

    def __init__(self, symbols: Mapping[str, int] | None, lines: SourceMap | None = None) -> None:
        self.symbols = symbols
        self._lines = lines

    @classmethod
    def of(cls, image: BootImage) -> Names:
        """The names that a guest brings with it."""
        return cls(image.symbols)

    def symbol(self, address: int) -> str | None:
        """`name` or `name+0x12`."""
        return locate(address, self.symbols)

    def line(self, address: int) -> str | None:
        """`file:line`, where the source is known."""
        found = self._lines.line_of(address) if self._lines is not None else None
        if found is None:
            return None
        path = Path(found.file)
        if path.is_absolute() and path.is_relative_to(Path.cwd()):
            path = path.relative_to(Path.cwd())
        return f"{path}:{found.line}"


def divergence_record(divergence: Divergence, names: tuple[Names, Names], context: int) -> Record:
    """What `--json` says of a divergence; the keys are a promise to scripts."""
    step = divergence.instruction_step
    address = divergence.sides[0].address if step is None else step.address
    return {
        "techniques": [divergence.first, divergence.second],
        "guest_instructions": divergence.guest_instructions,
        "exact": divergence.is_exact,
        "span": divergence.span,
        "eip": divergence.eip,
        "address": address,
        "symbol": names[0].symbol(address),
        "line": names[0].line(address),
        "instruction": divergence.instruction,
        "differences": [
            {"what": part.what, divergence.first: part.first, divergence.second: part.second}
            for part in divergence.differences
        ],
        "sides": [
            _side_record(side, known, context)
            for side, known in zip(divergence.sides, names, strict=True)
        ],
    }


def _side_record(side: SideView, names: Names, context: int) -> Record:
    from hypervisor.state_parts import processor_parts

    return {
        "name": side.name,
        "executed": [_step_record(step, names) for step in side.executed],
        "eip": side.eip,
        "address": side.address,
        "symbol": names.symbol(side.address),
        "line": names.line(side.address),
        "guest_instructions": side.completed,
        "next": code_lines(side.code, side.address, side.code_bits, names.symbols)[:context],
        "state": {k: int(v) for k, v in processor_parts(side.state, side.completed).items()},
        "console": side.console.decode("utf-8", "replace"),
        "stop": {"reason": side.stop.reason.value, "detail": side.stop.detail},
    }


def _step_record(step: Step, names: Names) -> Record:
    return {
        "guest_instructions": step.completed,
        "eip": step.eip,
        "address": step.address,
        "symbol": names.symbol(step.address),
        "line": names.line(step.address),
        "instruction": step.instruction,
    }


def outcome_record(
    outcome: Outcome, names: tuple[Names, Names], labels: tuple[str, str], start: int, context: int
) -> Record:
    """What `diff --json` says of a search."""
    divergence = outcome.divergence
    return {
        "equal": divergence is None,
        "divergence": None if divergence is None else divergence_record(divergence, names, context),
        "set_aside": [
            {"what": part.what, labels[0]: part.first, labels[1]: part.second}
            for part in outcome.set_aside
        ],
        "from": start,
        "runs": [
            {
                "guest_instructions": guest.guest_instructions,
                "stop": {"reason": stop.reason.value, "detail": stop.detail},
            }
            for guest, stop in zip(outcome.guests, outcome.stops, strict=True)
        ],
        "states_compared": outcome.looks,
        "runs_remade": outcome.remade,
    }


# --- for people ---------------------------------------------------------------------------------


def show_outcome(record: Record, console: Console) -> None:
    """The report of `diff`."""
    labels = [side["name"] for side in record["sides"]]
    run = record["runs"][0]
    if record["equal"]:
        ending = "both go on" if run["stop"]["reason"] == "budget" else run["stop"]["reason"]
        text = Text("equal", "bold green")
        text.append(
            f": {labels[0]} and {labels[1]} agree from instruction {record['from']:,} to"
            f" {run['guest_instructions']:,} ({ending}; {record['states_compared']:,} states"
            " compared)",
            "none",
        )
    else:
        text = Text("NOT EQUAL", "bold red").append(f": {labels[0]} and {labels[1]}", "none")
    console.print(text, soft_wrap=True)
    if record["set_aside"]:
        _show_set_aside(record["set_aside"], labels, console)
    if record["divergence"] is not None:
        show_divergence(record["divergence"], console)


def _show_set_aside(parts: Sequence[Record], labels: Sequence[str], console: Console) -> None:
    _say(console, "")
    _say(console, "left out, because it differs before the first instruction", "bold")
    for part in parts[:_SET_ASIDE_SHOWN]:
        ours, theirs = (part[label] for label in labels)
        _row(console, part["what"], ours, theirs, is_different=False)
    if len(parts) > _SET_ASIDE_SHOWN:
        _say(console, f"  … and {len(parts) - _SET_ASIDE_SHOWN:,} more (--json has them)")


def show_divergence(record: Record, console: Console) -> None:
    """The whole view."""
    _say(console, "")
    _say(console, _headline(record))
    if record["sides"][0]["executed"]:
        _show_executed(record, console)
    _show_states(record, console)
    _show_next(record, console)
    _show_console(record, console)


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style), soft_wrap=True)


def _headline(record: Record) -> str:
    if not record["span"]:
        return f"they differ already after {record['guest_instructions']:,} instructions"
    symbol = f" <{record['symbol']}>" if record["symbol"] else ""
    line = f"  ({record['line']})" if record["line"] else ""
    place = f"{record['eip']:#010x}{symbol}: {record['instruction']}{line}"
    first = record["guest_instructions"] + 1
    if not record["exact"]:
        last = record["guest_instructions"] + record["span"]
        return (
            f"first divergence: among instructions {first:,} to {last:,}, from {place} on;"
            " it does not show when the runs are stopped more often"
        )
    return f"first divergence: instruction {first:,}, at {place}"


def _show_executed(record: Record, console: Console) -> None:
    """The last executed instructions; once, if both sides executed the same."""
    ours, theirs = (side["executed"] for side in record["sides"])
    is_shared = [(s["eip"], s["instruction"]) for s in ours] == [
        (s["eip"], s["instruction"]) for s in theirs
    ]
    sides = (
        [("executed by both", ours)]
        if is_shared
        else [
            (f"executed by {name}", steps)
            for name, steps in zip(record["techniques"], (ours, theirs), strict=True)
        ]
    )
    for title, steps in sides:
        _say(console, "")
        _say(console, title, "bold")
        for step in steps:
            is_last = step is steps[-1]
            symbol = f" <{step['symbol']}>" if step["symbol"] else ""
            line = f"  ({step['line']})" if step["line"] else ""
            mark = "→" if is_last else " "
            text = (
                f"{mark} {step['guest_instructions'] + 1:>12,}  {step['eip']:08x}{symbol}"
                f"  {step['instruction']}{line}"
            )
            _say(console, text, "bold red" if is_last else "")


# Rows of the state as they are shown: parts that stand together.
_ROWS: Final = (
    *((name,) for name in GPR_NAMES),
    ("eip",),
    ("eflags",),
    *((name, f"{name}.base", f"{name}.limit", f"{name}.attributes") for name in SEGMENT_NAMES),
    ("cpl",),
    *((name,) for name in ("cr0", "cr2", "cr3", "cr4")),
    ("gdtr.base", "gdtr.limit"),
    ("idtr.base", "idtr.limit"),
)


def _show_states(record: Record, console: Console) -> None:
    """Both states side by side; rows with a difference are marked."""
    first, second = record["techniques"]
    found = {part["what"]: (part[first], part[second]) for part in record["differences"]}
    states = [side["state"] for side in record["sides"]]
    _say(console, "")
    after = "" if not record["span"] else " after it"
    _say(console, f"  {'state' + after:<22}{first:<{_WIDTH}}{second}", "bold")
    shown: set[str] = set()
    for row in _ROWS:
        is_different = any(
            name in found or any(what.startswith(f"{name}.") for what in found) for name in row
        )
        texts = [_row_text(row, state) for state in states]
        _row(console, row[0].removesuffix(".base"), texts[0], texts[1], is_different)
        shown |= set(row)
    for what, (ours, theirs) in found.items():
        if what not in shown:
            _row(console, what, ours, theirs, is_different=True)


def _row(console: Console, name: str, ours: str, theirs: str, is_different: bool) -> None:
    mark = "≠" if is_different else " "
    style = "bold red" if is_different else ""
    _say(console, f"{mark} {name:<22}{ours:<{_WIDTH}}{theirs}".rstrip(), style)


def _row_text(row: tuple[str, ...], state: Mapping[str, int]) -> str:
    from hypervisor.state_parts import BITS, number

    name = row[0]
    value = state[name]
    if name in BITS:
        return f"{value:08x} {_bit_names(BITS[name], value)}".rstrip()
    if len(row) == 2:
        return f"{value:08x}+{state[row[1]]:04x}"
    if len(row) == 4:
        base, limit, attributes = (state[part] for part in row[1:])
        if attributes >> 16:
            return f"{value:04x} (unusable)"
        return f"{value:04x} {base:08x}+{limit:08x} {attributes:04x}"
    return number(name, value).removeprefix("0x")


def _bit_names(bits: Mapping[str, int], value: int) -> str:
    words = []
    for name, mask in bits.items():
        field = (value & mask) // (mask & -mask)
        if field:
            words.append(name.upper() if mask & (mask - 1) == 0 else f"{name.upper()}={field}")
    return " ".join(words)


def _show_next(record: Record, console: Console) -> None:
    """The code that comes next; once if it is the same on both sides."""
    ours, theirs = record["sides"]
    sides = (
        [("next on both", ours)]
        if ours["next"] == theirs["next"]
        else [(f"next on {side['name']}", side) for side in (ours, theirs)]
    )
    for title, side in sides:
        _say(console, "")
        line = f"  ({side['line']})" if side["line"] else ""
        _say(console, f"{title}{line}", "bold")
        reason = side["stop"]["reason"]
        if reason != "budget":
            _say(console, f"  it has ended: {reason} ({side['stop']['detail']})")
        for text in side["next"]:
            _say(console, f"  {text}")


def _show_console(record: Record, console: Console) -> None:
    """The last lines of what the guest has said so far."""
    ours, theirs = (side["console"] for side in record["sides"])
    sides = (
        [("console so far", ours)]
        if ours == theirs
        else list(
            zip(
                (f"console of {name}" for name in record["techniques"]), (ours, theirs), strict=True
            )
        )
    )
    for title, text in sides:
        lines = text.splitlines()
        if not lines:
            continue
        _say(console, "")
        _say(console, title, "bold")
        if len(lines) > _CONSOLE_LINES:
            _say(console, f"  … {len(lines) - _CONSOLE_LINES:,} lines before")
        for line in lines[-_CONSOLE_LINES:]:
            _say(console, f"  {line}")
