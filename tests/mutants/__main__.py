"""Plant every error of the catalogue, one at a time, and see that the properties notice.

python -m tests.mutants                  all of them, as `make test-mutants` does
python -m tests.mutants --quick          those that `make test` tries
python -m tests.mutants popf iret        those with such a word in their name
python -m tests.mutants --page           all of them, and write docs/mutants.md
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from dataclasses import replace

from tests.mutants.catalogue import CatalogueError, PlantedError, read_catalogue
from tests.mutants.report import (
    CAUGHT,
    EXCUSED,
    PAGE,
    Verdict,
    page,
    touchy_forms,
    untouched_forms,
)
from tests.mutants.trials import Trial, run_trials

LEFT_OVER = (
    "PYTEST_ADDOPTS",
    "PYTEST_XDIST_WORKER",
    "PYTEST_CURRENT_TEST",
    "COVERAGE_PROCESS_START",
)


def warm_up() -> None:
    """What all forks share: the machine in plain Python, so that nothing has to be compiled."""
    os.environ["NUMBA_DISABLE_JIT"] = "1"
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # forks must not find threads
    for word in LEFT_OVER:
        os.environ.pop(word, None)
    for module in ("numpy", "numba", "hypothesis.strategies"):
        importlib.import_module(module)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("names", nargs="*", help="words of names; all errors if there are none")
    parser.add_argument(
        "--quick", action="store_true", help="only the errors that are quick to catch"
    )
    parser.add_argument("--workers", type=int, default=2, help="trials at a time")
    parser.add_argument("--page", action="store_true", help="write docs/mutants.md")
    return parser.parse_args()


def chosen(errors: list[PlantedError], names: list[str], quick: bool) -> list[PlantedError]:
    return [
        error
        for error in errors
        if (not names or any(name in error.name for name in names)) and (error.quick or not quick)
    ]


def check_sound(errors: list[PlantedError], workers: int) -> bool:
    """Whether all named properties pass while nothing is wrong."""
    files = sorted({tests for error in errors for tests in error.caught_by})
    halves = [tuple(files[start::workers]) for start in range(workers) if files[start::workers]]
    sound = True
    passed = 0
    for _, outcome in run_trials([Trial(None, half) for half in halves], workers):
        passed += outcome.passed
        for failure in outcome.failures:
            print(f"fails without any error: {failure.test}: {failure.message}")
        if outcome.trouble:
            print(f"without any error: {outcome.trouble}")
        sound = sound and not outcome.failures and not outcome.trouble
    print(
        f"mutants: without an error {passed} tests {'pass' if sound else 'do not all pass'}",
        flush=True,
    )
    return sound


def try_all(errors: list[PlantedError], workers: int, stop_early: bool) -> list[Verdict]:
    """The verdicts on the errors, in the order of the catalogue; progress on the way."""
    trials = [Trial(error, error.caught_by, stop_early) for error in errors]
    verdicts: dict[str, Verdict] = {}
    for trial, outcome in run_trials(trials, workers):
        assert trial.error is not None
        verdict = Verdict(trial.error, outcome)
        verdicts[trial.error.name] = verdict
        done = f"{len(verdicts)}/{len(errors)}"
        print(f"{done:>8}  {verdict.word:<9} {trial.error.name}: {verdict.explanation}", flush=True)
    return [verdicts[error.name] for error in errors]


def summary(verdicts: list[Verdict]) -> bool:
    """Print the verdicts by subject; whether every error was caught."""
    subjects = dict.fromkeys(verdict.error.subject for verdict in verdicts)
    print(f"\n{'subject':<14} {'errors':>7} {'caught':>7}")
    for subject in subjects:
        own = [verdict for verdict in verdicts if verdict.error.subject == subject]
        caught = sum(verdict.word == CAUGHT for verdict in own)
        print(f"{subject:<14} {len(own):>7} {caught:>7}")
    lost = [verdict for verdict in verdicts if verdict.word != CAUGHT]
    for verdict in lost:
        print(f"{verdict.word}: {verdict.error.name}: {verdict.explanation}")
    print(f"mutants: {len(verdicts) - len(lost)} of {len(verdicts)} caught")
    return not lost


def check_forms(verdicts: list[Verdict]) -> bool:
    """Whether every privileged or sensitive form reaches an error that is caught, or is excused."""
    untouched = untouched_forms(verdicts)
    for name in untouched:
        if name not in EXCUSED:
            print(f"no planted error is reached by {name}")
    for name in EXCUSED:
        if name not in untouched:
            print(f"{name} is excused, but reaches a planted error")
    print(
        f"mutants: {len(touchy_forms()) - len(untouched)} privileged or sensitive forms reach one"
    )
    return set(untouched) == set(EXCUSED)


def main() -> int:
    options = arguments()
    try:
        errors = read_catalogue()
        for error in errors:
            error.place()
    except CatalogueError as error:
        print(f"mutants: error: {error}", file=sys.stderr)
        return 2
    whole = not options.names and not options.quick
    errors = chosen(errors, options.names, options.quick)
    if not errors:
        print("mutants: error: no planted error has such a name", file=sys.stderr)
        return 2
    warm_up()
    workers = max(1, options.workers)
    if options.quick:
        errors = [replace(error, caught_by=error.caught_by[:1]) for error in errors]
    if not check_sound(errors, workers):
        return 1
    # To see that an error is caught, the first failure is enough; the forms that reach it are asked
    # of all tests.
    verdicts = try_all(errors, workers, stop_early=options.quick)
    good = summary(verdicts)
    if whole:
        good = check_forms(verdicts) and good
    if options.page and whole and good:
        PAGE.write_text(page(errors, len(touchy_forms())))
        print(f"mutants: wrote {PAGE.relative_to(PAGE.parents[1])}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
