"""All benchmarks one after the other; saves their results and rewrites docs/performance.md.

python -m benchmarks                  measure everything (about twenty minutes), then write tables
python -m benchmarks --tables         only write the tables again, from the saved results
"""

from __future__ import annotations

import argparse

from benchmarks import c_loops, interpreter, startup, strings, system_loops, targets, traps
from benchmarks.report import PAGE, with_tables

BENCHMARKS = (startup, interpreter, c_loops, strings, system_loops, traps)


def page_tables() -> dict[str, str]:
    """Every table of the page, from the saved results."""
    return {name: text for each in (*BENCHMARKS, targets) for name, text in each.tables().items()}


def main() -> None:
    """Measure, unless only the tables are asked for, and write them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="all benchmarks")
    parser.add_argument("--tables", action="store_true", help="do not measure")
    if not parser.parse_args().tables:
        for each in BENCHMARKS:
            each.main(["--save"])
    PAGE.write_text(with_tables(PAGE.read_text(), page_tables()))
    print(f"benchmarks: wrote {PAGE.relative_to(PAGE.parent.parent)}")


if __name__ == "__main__":
    main()
