"""How fast do the repeated string instructions move, fill, search and compare memory?

The loops of guests/strings go over 4 MiB again and again, on the bare machine; beside them, in the
same process and in turns, what numpy takes for the same on as much memory, and Unicorn and QEMU.
Bytes are counted once, however many places they are read from or written to.

    python -m benchmarks.strings [--repeats N] [--kinds copy_words,scan_bytes] [--save]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from benchmarks import qemu_process
from benchmarks.guest_images import loop_image, with_repeats
from benchmarks.measure import Sample, Timing, interleave, stopwatch
from benchmarks.report import described, load, report, save, table
from benchmarks.system_loops import Run, time_trapgate, time_unicorn

if TYPE_CHECKING:
    from isa.boot import BootImage

KINDS: Final[Mapping[str, str]] = {
    "copy_words": "REP MOVSD",
    "copy_bytes": "REP MOVSB",
    "fill_words": "REP STOSD",
    "fill_bytes": "REP STOSB",
    "scan_bytes": "REPNE SCASB",
    "compare_bytes": "REPE CMPSB",
}
BLOCK_BYTES: Final = 4 << 20
PASSES: Final = 200
SLOW_PASSES: Final = 6  # for those who go element by element
QEMU_PASSES: Final = 60  # enough not to drown in the start of a process


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One instruction. `speeds` are gigabytes a second, by who ran it."""

    name: str
    speeds: dict[str, Timing]


class Results(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All kinds, in the order of the table."""

    block_bytes: int
    kinds: list[Kind]


def measure_kind(name: str, *, repeats: int, with_qemu: bool, passes: int = PASSES) -> Kind:
    """Measure one instruction under all there is, in turns."""
    image = loop_image(f"strings/{name}")
    slow = min(passes, SLOW_PASSES)
    cases: dict[str, Callable[[], Sample]] = {
        "trapgate": partial(_per_pass, time_trapgate, image, passes),
        "numpy": partial(time_numpy, name, passes),
        "unicorn": partial(_per_pass, time_unicorn, image, slow),
    }
    if with_qemu:
        most = min(passes, QEMU_PASSES)
        cases["qemu"] = partial(_per_pass, qemu_process.time_run, image, most)
    samples = interleave(cases, repeats=repeats)
    return Kind(
        name,
        {
            who: Timing.of(taken, lambda seconds: BLOCK_BYTES / seconds / 1e9, 3)
            for who, taken in samples.items()
        },
    )


def _per_pass(run: Run, image: BootImage, passes: int) -> Sample:
    """The time of one pass: the difference to a run of a single one."""
    return (run(with_repeats(image, passes + 1)) - run(with_repeats(image, 1))) / passes


def time_numpy(name: str, passes: int) -> Sample:
    """Time one pass of numpy over as much memory."""
    source = np.zeros(BLOCK_BYTES, np.uint8)
    target = np.zeros(BLOCK_BYTES, np.uint8)
    source[-1] = 0xA5
    work: dict[str, Callable[[], Any]] = {
        "copy": lambda: np.copyto(target, source),
        "fill": lambda: target.fill(0x5A),
        "scan": lambda: int(np.argmax(source == 0xA5)),
        "compare": lambda: np.array_equal(source, target),
    }
    step = work[name.partition("_")[0]]
    step()
    with stopwatch() as sample:
        for _ in range(passes):
            step()
    return sample / passes


def render(results: Results) -> str:
    """The table of the page."""
    others = [who for who in ("unicorn", "qemu") if who in results.kinds[0].speeds]
    names = {"unicorn": "Unicorn", "qemu": "QEMU"}
    rows = [
        [
            KINDS[kind.name],
            f"{kind.speeds['trapgate'].cpu.median:.1f}",
            f"{kind.speeds['trapgate'].wall.median:.1f}",
            f"{kind.speeds['numpy'].cpu.median:.1f}",
            *(_resolved(kind.speeds[who]) for who in others),
        ]
        for kind in results.kinds
    ]
    header = ("GB/s", "Trapgate", "by wall clock", "numpy", *(names[who] for who in others))
    return table(header, rows)


def _resolved(speed: Timing) -> str:
    """A speed, or a dash where the shorter run sometimes took longer: no result, only noise."""
    return f"{speed.cpu.median:.2f}" if speed.cpu.least > 0 else "–"


def tables() -> dict[str, str]:
    """The page's tables, from the saved results."""
    saved = load("strings", Results)
    return {"strings": f"{render(saved.results)}\n\n{described(saved.circumstances)}"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and save if asked to."""
    parser = argparse.ArgumentParser(description="speed of the repeated string instructions")
    parser.add_argument("--repeats", type=int, default=5, help="turns (default: 5)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="comma-separated")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results")
    chosen = parser.parse_args(arguments)
    kinds = []
    for name in chosen.kinds.split(","):
        print(f"strings: {name}", flush=True)
        kind = measure_kind(name, repeats=chosen.repeats, with_qemu=qemu_process.is_installed())
        kinds.append(kind)
    finished = report("strings", Results(BLOCK_BYTES, kinds))
    print(render(finished.results), described(finished.circumstances), sep="\n\n")
    if chosen.save:
        save(finished)


if __name__ == "__main__":
    main()
