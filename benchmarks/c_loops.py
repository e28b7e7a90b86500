"""How fast does the interpreter run what a compiler makes of C?

The ten loops of guests/c, compiled by gcc -O2 for i386, on the bare machine, side by side with
Unicorn and, where they are installed, with QEMU and Bochs; measured as `benchmarks.interpreter`
measures the assembled loops. Each is repeated so often that a run takes about 60 million
instructions.

    python -m benchmarks.c_loops [--repeats N] [--loops primes,crc] [--without-others] [--save]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

from benchmarks import bochs_process, qemu_process
from benchmarks.guest_images import loop_image, with_repeats
from benchmarks.interpreter import Results, compared_instructions, measure_loop, render
from benchmarks.report import described, load, report, save

if TYPE_CHECKING:
    from isa.boot import BootImage

LOOPS: Final = (
    *("primes", "crc", "matrix", "sorting", "sha256"),
    *("stack_machine", "pointer_chase", "string_moves", "recursion", "indirect_calls"),
)
TARGET_MIPS: Final = 185.0
RUN_INSTRUCTIONS: Final = 60_000_000


@cache
def long_image(name: str, instructions: int = RUN_INSTRUCTIONS) -> BootImage:
    """A program of guests/c, repeated so that a run takes about so many instructions."""
    image = loop_image(f"c/{name}")
    once, twice = (compared_instructions(with_repeats(image, count)) for count in (1, 2))
    return with_repeats(image, max(1, instructions // (twice - once)))


def tables() -> dict[str, str]:
    """The page's tables, from the saved results."""
    saved = load("c_loops", Results)
    return {"c_loops": f"{render(saved.results)}\n\n{described(saved.circumstances)}"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and save if asked to."""
    parser = argparse.ArgumentParser(description="speed on what gcc makes of C")
    parser.add_argument("--repeats", type=int, default=5, help="turns (default: 5)")
    parser.add_argument("--loops", default=",".join(LOOPS), help="comma-separated")
    parser.add_argument("--without-others", action="store_true", help="Unicorn only")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results")
    chosen = parser.parse_args(arguments)
    alone = chosen.without_others
    loops = []
    for name in chosen.loops.split(","):
        print(f"c_loops: {name}", flush=True)
        loop = measure_loop(
            long_image(name),
            repeats=chosen.repeats,
            with_qemu=qemu_process.is_installed() and not alone,
            with_bochs=bochs_process.is_installed() and not alone,
        )
        loops.append(loop)
    finished = report("c_loops", Results(TARGET_MIPS, loops))
    print(render(finished.results), described(finished.circumstances), sep="\n\n")
    if chosen.save:
        save(finished)


if __name__ == "__main__":
    main()
