"""The verb `diff`: two runs, and the first instruction after which they differ."""

from __future__ import annotations

import json as json_text
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import App, Parameter

from isa.errors import TrapgateError
from tools import status
from tools.arguments import Count, Flag
from tools.interrupts import deferred_interrupts
from tools.sides import Guest, labels, parse_options, side_of

if TYPE_CHECKING:
    from tools.divergence_report import Names

EPILOGUE: Final = f"""\
Examples:
  trapgate diff guests/minikernel --b technique=ring
  trapgate diff guests/minikernel --a cpu=p6 --b cpu=486,m=32M
  trapgate diff old/kernel.elf new/kernel.elf -o technique=ring --until 20M
  trapgate diff a.asm b.asm --ignore eflags.af,cr0.wp,memory.0xb8000-0xb8fff

A and B are what `trapgate run` accepts; without B both sides run A. Options
of a run are written NAME=VALUE, several with commas between: with -o for both
sides, with --a or --b for one. The names are those of `trapgate run`:
technique (t), cpu, memory (m), append, protocol, address. They stand apart
from the guests so that any path can be written as it is.

Compared is everything a guest can notice: the processor with what is hidden
behind its selectors, memory, devices and console. What differs before the
first instruction (the places where two builds were made differently, say) is
named, and then left out; --strict does not leave it out.

The instruction that is shown is exact: before it the states are equal, after
it they differ. A difference that goes away again is found if it lies within
256 instructions before one that stays; --every 1 looks at the processor after
each instruction and finds them all, at some ten thousand a second.

--ignore takes names as they are shown (eax, eflags.cf, cs.base, cr0.wp, tsc,
memory.0x1000-0x1fff, devices.pit) and groups (hidden, memory, devices,
console).

Exit status:
  {status.SUCCESS}           no difference
  {status.NOT_EQUAL}           they differ
  {status.USAGE}           usage error: wrong option, missing or damaged file
  {status.INTERRUPTED}         interrupted (Ctrl-C)"""

# Guests outside the catalogue announce no budget; this many instructions take some seconds.
DEFAULT_BUDGET: Final = 200_000_000
_CONTEXT: Final = 5

app = App(name="diff", help_epilogue=EPILOGUE)


@app.default
def diff(
    a: Annotated[str, Parameter(name="A", help="Guest name or folder, source, or binary.")],
    b: Annotated[str | None, Parameter(name="B", help="The other one (default: A again).")] = None,
    /,
    *,
    options: Annotated[
        tuple[str, ...], Parameter(name=["--options", "-o"], help="Options of both runs.")
    ] = (),
    first: Annotated[tuple[str, ...], Parameter(name="--a", help="Options of A's run.")] = (),
    second: Annotated[tuple[str, ...], Parameter(name="--b", help="Options of B's run.")] = (),
    ignore: Annotated[
        tuple[str, ...], Parameter(help="Parts of the state to leave out, with commas between.")
    ] = (),
    start: Annotated[
        Count, Parameter(name="--from", help="Compare from after that many instructions on.")
    ] = 0,
    until: Annotated[
        Count | None,
        Parameter(
            help="Compare up to that many instructions"
            " (default: the budget of a guest of the catalogue, or 200M)."
        ),
    ] = None,
    every: Annotated[
        Count | None, Parameter(help="Look at the processor at least every so many instructions.")
    ] = None,
    context: Annotated[
        int, Parameter(help="Instructions shown before and after the divergence.")
    ] = _CONTEXT,
    strict: Annotated[
        Flag, Parameter(help="Do not leave out what differs before the first instruction.")
    ] = False,
    json: Annotated[Flag, Parameter(help="Print a JSON report.")] = False,
) -> int:
    """Find the first instruction after which two runs differ."""
    shared = parse_options(options)
    guests = (
        Guest(a, shared | parse_options(first)),
        Guest(b or a, shared | parse_options(second)),
    )
    if b is None and guests[0] == guests[1]:
        raise TrapgateError(
            "both sides are the same run: name a second guest, or give one side an option,"
            " such as --b technique=ring"
        )
    if every == 0:
        raise TrapgateError("--every must be 1 or more")
    if not 0 < context <= 1000:
        raise TrapgateError("--context must be from 1 to 1000")
    if until is None:
        known = [guest.budget for guest in guests]
        until = max((budget for budget in known if budget is not None), default=DEFAULT_BUDGET)
    if until <= start:
        raise TrapgateError(f"--from {start} leaves nothing to compare: the end is {until}")
    record = _compared(guests, ignore, start, until, every, context, strict)
    if json:
        print(json_text.dumps(record, indent=2))
    else:
        from tools.divergence_report import show_outcome
        from tools.report import output_console

        show_outcome(record, output_console())
    return status.SUCCESS if record["equal"] else status.NOT_EQUAL


def _compared(
    guests: tuple[Guest, Guest],
    ignore: tuple[str, ...],
    start: int,
    until: int,
    every: int | None,
    context: int,
    strict: bool,
) -> dict[str, Any]:
    """Run both sides as often as it takes; what `--json` prints."""
    images = guests[0].load(), guests[1].load()
    names = labels(*guests)
    with deferred_interrupts():
        from hypervisor.divergence import find_divergence
        from hypervisor.state_differences import View
        from hypervisor.state_parts import Ignored
        from tools.progress import prepare_machine, running

    view = View(Ignored.parse(word for words in ignore for word in words.split(",")))
    with running() as progress:
        sides = [
            side_of(guest, name, image, progress)
            for guest, name, image in zip(guests, names, images, strict=True)
        ]
        prepare_machine()
        outcome = find_divergence(
            sides[0],
            sides[1],
            view,
            start=start,
            until=until,
            every=every,
            context=context,
            sets_aside=not strict,
            progress=progress,
        )
    from tools.divergence_report import Names, outcome_record

    def named(index: int) -> Names:
        lines = guests[index].lines() if outcome.divergence is not None else None
        return Names(images[index].symbols, lines)

    return _described(guests, names) | outcome_record(
        outcome, (named(0), named(1)), names, start, context
    )


def _described(guests: tuple[Guest, Guest], names: tuple[str, str]) -> dict[str, Any]:
    return {
        "sides": [
            {"name": name, "guest": guest.path, "options": dict(guest.options)}
            for name, guest in zip(names, guests, strict=True)
        ]
    }
