"""How fast is what a kernel does all day: system calls, faults, page tables, ports?

The loops of guests/system_loops on the bare machine: instructions a second, and rounds a second,
since a round has more or fewer instructions of its own around the one operation. Beside them, from
the same run, QEMU and Bochs where they are installed, and Unicorn for the loops it can run: it
delivers no interrupts, so what goes through an IDT is beyond it.

Speeds are the difference between a long run and a short one, so that neither the boot nor the start
of a process shows.

    python -m benchmarks.system_loops [--repeats N] [--loops system_call,page_fault] [--save]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks import bochs_process, qemu_process
from benchmarks.guest_images import GOOD_EXIT_CODE, loop_image, with_repeats
from benchmarks.interpreter import geometric_mean, ready_machine
from benchmarks.measure import Sample, Timing, interleave, stopwatch
from benchmarks.report import described, load, report, save, table

if TYPE_CHECKING:
    from isa.boot import BootImage

LOOPS: Final[Mapping[str, str]] = {
    "system_call": "system call: INT 80h, IRET",
    "fast_call": "system call: SYSENTER, SYSEXIT",
    "divide_error": "divide error",
    "page_fault": "page fault",
    "cr3_switch": "CR3 switch",
    "pte_write": "PTE write, INVLPG",
    "system_port": "IN, system control port",
    "post_port": "OUT, port 80h",
    "uart_status": "IN, serial port's status",
    "interrupt_mask": "IN and OUT, interrupt mask",
    "debug_output": "OUT, debug console",
}
TARGET_MIPS: Final = 20.0
SHORT: Final = 100
LONG_RUN_S: Final = 0.5
_MOST_ROUNDS: Final = 5_000_000
_MOST_OUTPUT: Final = 500_000  # rounds that each leave a byte on the console
_WITHOUT_IDT: Final = (
    "cr3_switch",
    "pte_write",
    "system_port",
    "post_port",
    "uart_status",
    "interrupt_mask",
)


class Loop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One loop.

    Attributes:
        instructions: of one round.
        speeds: million instructions a second, by who ran it; "trapgate" is always there.
    """

    name: str
    instructions: float
    speeds: dict[str, Timing]


class Results(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All loops, in the order of the table."""

    target_mips: float
    loops: list[Loop]


Run = Callable[["BootImage"], Sample]


def measure_loop(
    name: str, *, repeats: int, others: Mapping[str, Run], long_run_s: float = LONG_RUN_S
) -> Loop:
    """Measure one loop under all who can run it, in turns."""
    image = loop_image(f"system_loops/{name}")
    per_round = (count_instructions(image, 3 * SHORT) - count_instructions(image, SHORT)) / (
        2 * SHORT
    )
    able = {who: run for who, run in others.items() if who != "unicorn" or name in _WITHOUT_IDT}
    runs: dict[str, Run] = {"trapgate": time_trapgate, **able}
    most = _MOST_OUTPUT if name == "debug_output" else _MOST_ROUNDS
    cases = {}
    for who, run in runs.items():
        long = chosen_length(run, image, most, long_run_s)
        cases[who] = partial(_turn, run, image, long)
    samples = interleave(cases, repeats=repeats, warm_ups=0)
    speeds = {
        who: Timing.of(taken, lambda seconds: per_round / seconds / 1e6, 2)
        for who, taken in samples.items()
    }
    return Loop(name, round(per_round, 2), speeds)


def _turn(run: Run, image: BootImage, long: int) -> Sample:
    """The time of one round."""
    later, earlier = run(with_repeats(image, long)), run(with_repeats(image, SHORT))
    return (later - earlier) / (long - SHORT)


def chosen_length(run: Run, image: BootImage, most: int, long_run_s: float) -> int:
    """Rounds that take long enough for the clock, beyond what the shortest run takes."""
    least = run(with_repeats(image, SHORT)).cpu_s
    long = 20 * SHORT
    while long < most and run(with_repeats(image, long)).cpu_s - least < long_run_s:
        long *= 4
    return min(long, most)


def count_instructions(image: BootImage, rounds: int) -> int:
    """Instructions of a run that must end well."""
    machine = ready_machine(with_repeats(image, rounds))
    machine.run()
    if machine.exit_code != GOOD_EXIT_CODE:
        raise RuntimeError(f"{image.name} ended with {machine.exit_code}")
    return machine.guest_instructions


def time_trapgate(image: BootImage) -> Sample:
    """Time one run here."""
    machine = ready_machine(image)
    with stopwatch() as sample:
        machine.run()
    if machine.exit_code != GOOD_EXIT_CODE:
        raise RuntimeError(f"{image.name} ended with {machine.exit_code}")
    return sample


def time_unicorn(image: BootImage) -> Sample:
    """Time one run in Unicorn."""
    from benchmarks.unicorn_machine import UnicornMachine

    machine = UnicornMachine(image, answers_ports=True)
    with stopwatch() as sample:
        machine.run()
    if machine.exit_code != GOOD_EXIT_CODE:
        raise RuntimeError(f"{image.name} ended in Unicorn with {machine.exit_code}")
    return sample


def installed_others() -> dict[str, Run]:
    """Whom to compare with on this machine."""
    others: dict[str, Run] = {"unicorn": time_unicorn}
    if qemu_process.is_installed():
        others["qemu"] = qemu_process.time_run
    if bochs_process.is_installed():
        others["bochs"] = bochs_process.time_run
    return others


def render(results: Results) -> str:
    """The table of the page."""
    names = {"trapgate": "Trapgate", "unicorn": "Unicorn", "qemu": "QEMU", "bochs": "Bochs"}
    others = [
        name
        for name in names
        if name != "trapgate" and any(name in loop.speeds for loop in results.loops)
    ]
    rows = [
        [
            LOOPS[loop.name],
            f"{loop.instructions:.0f}",
            *(_speed(loop, who) for who in ("trapgate", *others)),
            f"{loop.speeds['trapgate'].wall.median:.1f}",
            f"{loop.speeds['trapgate'].cpu.median / loop.instructions:.2f}",
        ]
        for loop in results.loops
    ]
    mean = geometric_mean([loop.speeds["trapgate"].cpu.median for loop in results.loops])
    rows.append(["geometric mean", "", f"{mean:.1f}", *("" for _ in others), "", ""])
    header = (
        *("loop", "instructions", "Trapgate", *(names[name] for name in others)),
        *("by wall clock", "million rounds/s"),
    )
    return table(header, rows)


def _speed(loop: Loop, who: str) -> str:
    return f"{loop.speeds[who].cpu.median:.1f}" if who in loop.speeds else "–"


def tables() -> dict[str, str]:
    """The page's tables, from the saved results."""
    saved = load("system_loops", Results)
    return {"system_loops": f"{render(saved.results)}\n\n{described(saved.circumstances)}"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and save if asked to."""
    parser = argparse.ArgumentParser(description="speed on what a kernel does all day")
    parser.add_argument("--repeats", type=int, default=5, help="turns (default: 5)")
    parser.add_argument("--loops", default=",".join(LOOPS), help="comma-separated")
    parser.add_argument("--without-others", action="store_true", help="Trapgate alone")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results")
    chosen = parser.parse_args(arguments)
    others = {} if chosen.without_others else installed_others()
    loops = []
    for name in chosen.loops.split(","):
        print(f"system_loops: {name}", flush=True)
        loops.append(measure_loop(name, repeats=chosen.repeats, others=others))
    finished = report("system_loops", Results(TARGET_MIPS, loops))
    print(render(finished.results), described(finished.circumstances), sep="\n\n")
    if chosen.save:
        save(finished)


if __name__ == "__main__":
    main()
