"""What was promised and what was measured, side by side, from the saved results."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import interpreter, startup, system_loops, traps
from benchmarks.interpreter import geometric_mean
from benchmarks.report import load, table

Row = tuple[str, str, str, str]


def tables() -> dict[str, str]:
    """The page's table of targets."""
    rows = [*_waiting(), *_speed(), *_c_speed(), *_system_speed(), *_round_trips()]
    return {"targets": table(("what", "target", "wall clock", "processor time"), rows)}


def _waiting() -> Iterator[Row]:
    for waited in load("startup", startup.Results).results.cases:
        if waited.case.target_s is not None:
            yield (
                waited.case.what,
                f"{waited.case.target_s:g} s",
                f"{waited.seconds.wall.median:.2f} s",
                f"{waited.seconds.cpu.median:.2f} s",
            )


def _speed() -> Iterator[Row]:
    results = load("interpreter", interpreter.Results).results
    headline = [loop for loop in results.loops if loop.headline]
    wall = geometric_mean([loop.trapgate.wall.median for loop in headline])
    cpu = geometric_mean([loop.trapgate.cpu.median for loop in headline])
    what = f"million instructions/s, mean of {', '.join(loop.name for loop in headline)}"
    yield what, f"{results.target_mips:g}", f"{wall:.0f}", f"{cpu:.0f}"


def _c_speed() -> Iterator[Row]:
    results = load("c_loops", interpreter.Results).results
    wall = geometric_mean([loop.trapgate.wall.median for loop in results.loops])
    cpu = geometric_mean([loop.trapgate.cpu.median for loop in results.loops])
    what = f"million instructions/s, mean of {len(results.loops)} C programs, gcc -O2 for i386"
    yield what, f"{results.target_mips:g}", f"{wall:.0f}", f"{cpu:.0f}"


def _system_speed() -> Iterator[Row]:
    """The slowest, since the target is for each."""
    results = load("system_loops", system_loops.Results).results
    speeds = {loop.name: loop.speeds["trapgate"] for loop in results.loops}
    slowest = min(speeds, key=lambda name: speeds[name].cpu.median)
    speed = speeds[slowest]
    what = f"million instructions/s, slowest system loop: {system_loops.LOOPS[slowest]}"
    yield (
        what,
        f"{results.target_mips:g}",
        f"{speed.wall.median:.1f}",
        f"{speed.cpu.median:.1f}",
    )


def _round_trips() -> Iterator[Row]:
    """The plainest kind is the price of the trap itself; the dearest, what a trap can cost."""
    results = load("traps", traps.Results).results
    trips = {kind.name: kind.costs[traps.MONITORS[0]].round_trip_us for kind in results.kinds}
    known = {name: trip for name, trip in trips.items() if trip is not None}
    dearest = max(known, key=lambda name: known[name].cpu.median)
    target = f"{results.target_us:g} µs"
    for name, rank in ((traps.PLAINEST, "plainest"), (dearest, "dearest")):
        trip = known[name]
        yield (
            f"one trap round trip, {rank} kind: {traps.KINDS[name]}",
            target,
            f"{trip.wall.median:.1f} µs",
            f"{trip.cpu.median:.1f} µs",
        )
