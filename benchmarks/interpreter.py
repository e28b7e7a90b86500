"""How many million guest instructions a second does the interpreter execute?

The compute loops of guests/loops on the bare machine, side by side with Unicorn: the same image, in
the same process, in turns. Both must end with the same registers, memory and exit code. A run is
timed from the first guest instruction to the write to the exit port; making the machine and copying
the image are not. Instructions are those retired: a REP with all its repetitions is one, whoever
executes it, so `memcopy` looks slow everywhere.

    python -m benchmarks.interpreter [--repeats N] [--loops sieve,crc32] [--save]
"""

from __future__ import annotations

import argparse
import hashlib
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks import bochs_process, qemu_process
from benchmarks.guest_images import (
    GOOD_EXIT_CODE,
    RAM_BYTES,
    loop_image,
    repeats_of,
    with_repeats,
)
from benchmarks.measure import Sample, Spread, Timing, interleave, ratio, stopwatch
from benchmarks.report import described, load, report, save, table

if TYPE_CHECKING:
    from hypervisor.bare import Bare
    from isa.boot import BootImage

HEADLINE: Final = ("sieve", "crc32", "quicksort", "bytecode")
EXTRAS: Final = ("fib", "matmul", "list", "hashing", "factorial", "memcopy")
TARGET_MIPS: Final = 150.0
_LONGER: Final = 6  # times as many repetitions, for a process that starts slowly


class Loop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One loop.

    Attributes:
        instructions: retired in one run.
        trapgate, unicorn: million instructions a second.
        qemu, bochs: the same, where they are installed.
        times_unicorn: speed of Trapgate over that of Unicorn by processor time, turn by turn.
    """

    name: str
    headline: bool
    instructions: int
    trapgate: Timing
    unicorn: Timing
    times_unicorn: Spread
    qemu: Timing | None = None
    bochs: Timing | None = None


class Results(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All loops, in the order of the table."""

    target_mips: float
    loops: list[Loop]


def measure_loop(
    image: BootImage, *, repeats: int, with_qemu: bool = False, with_bochs: bool = False
) -> Loop:
    """Measure one loop under all there is."""
    instructions = compared_instructions(image)
    cases: dict[str, Callable[[], Sample]] = {
        "trapgate": lambda: time_trapgate(image),
        "unicorn": lambda: time_unicorn(image),
    }
    if with_qemu:
        cases["qemu"] = lambda: time_process(qemu_process.time_run, image)
    if with_bochs:
        cases["bochs"] = lambda: time_process(bochs_process.time_run, image)
    samples = interleave(cases, repeats=repeats)
    speeds = {
        case: Timing.of(taken, lambda seconds: instructions / seconds / 1e6, 2)
        for case, taken in samples.items()
    }
    name = image.name.rpartition("/")[2]
    return Loop(
        name=name,
        headline=name in HEADLINE,
        instructions=instructions,
        trapgate=speeds["trapgate"],
        unicorn=speeds["unicorn"],
        times_unicorn=ratio(samples["unicorn"], samples["trapgate"]),
        qemu=speeds.get("qemu"),
        bochs=speeds.get("bochs"),
    )


def compared_instructions(image: BootImage) -> int:
    """Instructions of one run, after checking that both machines end alike."""
    from benchmarks.unicorn_machine import UnicornMachine

    ours, theirs = ready_machine(image), UnicornMachine(image)
    ours.run()
    theirs.run()
    processor = ours.processor
    our_end = (
        ours.exit_code,
        tuple(int(word) for word in processor.gpr),
        hashlib.sha256(processor.memory.data).hexdigest(),
    )
    their_end = (theirs.exit_code, theirs.registers, theirs.memory_digest())
    if our_end != their_end or ours.exit_code != GOOD_EXIT_CODE:
        raise RuntimeError(f"{image.name}: different ends: {our_end} here, {their_end} in Unicorn")
    return ours.guest_instructions


def ready_machine(image: BootImage) -> Bare:
    """A bare machine at the guest's first instruction."""
    from hypervisor.bare import Bare

    machine = Bare(RAM_BYTES)
    machine.boot(image)
    return machine


def time_trapgate(image: BootImage) -> Sample:
    """Time one run here."""
    machine = ready_machine(image)
    with stopwatch() as sample:
        machine.run()
    return sample


def time_unicorn(image: BootImage) -> Sample:
    """Time one run in Unicorn."""
    from benchmarks.unicorn_machine import UnicornMachine

    machine = UnicornMachine(image)
    with stopwatch() as sample:
        machine.run()
    return sample


def time_process(time_run: Callable[[BootImage], Sample], image: BootImage) -> Sample:
    """Time the guest's part of a process that runs it, from the difference to a longer run."""
    longer = with_repeats(image, _LONGER * repeats_of(image))
    return (time_run(longer) - time_run(image)) / (_LONGER - 1)


def geometric_mean(values: Sequence[float]) -> float:
    """The mean that treats twice as fast and half as fast as equally far away."""
    return math.exp(sum(math.log(value) for value in values) / len(values))


def render(results: Results) -> str:
    """The table of the page."""
    others = _others(results.loops)
    rows = [_row(loop.name, [loop], others) for loop in results.loops]
    headline = [loop for loop in results.loops if loop.headline]
    if headline:
        rows.append(_row(f"**geometric mean of {len(headline)}**", headline, others))
    if len(results.loops) > len(headline):
        rows.append(_row(f"geometric mean of all {len(results.loops)}", results.loops, others))
    header = ("loop", "Trapgate", "by wall clock", "Unicorn", "by wall clock", "ratio", *others)
    return table(header, rows)


def _others(loops: Sequence[Loop]) -> list[str]:
    """The columns for what is compared with where it is installed; QEMU always has one."""
    return ["QEMU"] if all(loop.bochs is None for loop in loops) else ["QEMU", "Bochs"]


def _row(name: str, loops: Sequence[Loop], others: Sequence[str]) -> list[str]:
    def mean(pick: Callable[[Loop], float]) -> float:
        return geometric_mean([pick(loop) for loop in loops])

    timings = {"QEMU": [loop.qemu for loop in loops], "Bochs": [loop.bochs for loop in loops]}
    return [
        name,
        f"{mean(lambda loop: loop.trapgate.cpu.median):.0f}",
        f"{mean(lambda loop: loop.trapgate.wall.median):.0f}",
        f"{mean(lambda loop: loop.unicorn.cpu.median):.0f}",
        f"{mean(lambda loop: loop.unicorn.wall.median):.0f}",
        f"{mean(lambda loop: loop.times_unicorn.median):.2f}",
        *(_mean_or_dash(timings[other]) for other in others),
    ]


def _mean_or_dash(timings: Sequence[Timing | None]) -> str:
    known = [timing.cpu.median for timing in timings if timing is not None]
    return f"{geometric_mean(known):.0f}" if len(known) == len(timings) else "–"


def tables() -> dict[str, str]:
    """The page's tables, from the saved results."""
    saved = load("interpreter", Results)
    return {"interpreter": f"{render(saved.results)}\n\n{described(saved.circumstances)}"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and save if asked to."""
    parser = argparse.ArgumentParser(description="steady speed of the interpreter")
    parser.add_argument("--repeats", type=int, default=7, help="turns (default: 7)")
    parser.add_argument("--loops", default=",".join(HEADLINE + EXTRAS), help="comma-separated")
    parser.add_argument("--without-qemu", action="store_true", help="even if installed")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results")
    chosen = parser.parse_args(arguments)
    with_qemu = qemu_process.is_installed() and not chosen.without_qemu
    loops = []
    for name in chosen.loops.split(","):
        print(f"interpreter: {name}", flush=True)
        image = loop_image(f"loops/{name}")
        loops.append(measure_loop(image, repeats=chosen.repeats, with_qemu=with_qemu))
    finished = report("interpreter", Results(TARGET_MIPS, loops))
    print(render(finished.results), described(finished.circumstances), sep="\n\n")
    if chosen.save:
        save(finished)


if __name__ == "__main__":
    main()
