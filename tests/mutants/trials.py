"""Many trials, a few at a time, each in a fork of this process."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from tests.mutants.catalogue import PlantedError
from tests.mutants.trial import Outcome, run_trial

CONTEXT = multiprocessing.get_context("fork")
WALL_SECONDS = 1800  # should a trial sleep for ever


@dataclass(frozen=True)
class Trial:
    """Tests to run with an error in place, or without one."""

    error: PlantedError | None
    tests: tuple[str, ...]
    stop_early: bool = False


@dataclass
class Running:
    """A trial under way."""

    trial: Trial
    process: BaseProcess
    result: Connection


def start(trial: Trial) -> Running:
    ours, theirs = CONTEXT.Pipe(duplex=False)
    arguments = (trial.error, trial.tests, trial.stop_early, theirs)
    process = CONTEXT.Process(target=run_trial, args=arguments)
    process.start()
    theirs.close()
    return Running(trial, process, ours)


def finish(running: Running) -> Outcome:
    """The outcome of a trial that has said something or ended."""
    try:
        outcome: Outcome = running.result.recv()
    except EOFError:
        outcome = Outcome(trouble="out of time, or crashed")
    running.result.close()
    running.process.join()
    return outcome


def run_trials(trials: Sequence[Trial], workers: int) -> Iterator[tuple[Trial, Outcome]]:
    """Run them all; each with its outcome, in the order in which they end."""
    waiting = list(reversed(trials))
    running: list[Running] = []
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                running.append(start(waiting.pop()))
            ready = wait([each.result for each in running], timeout=WALL_SECONDS)
            if not ready:
                for each in running:
                    each.process.kill()
            for each in [each for each in running if each.result in ready]:
                running.remove(each)
                yield each.trial, finish(each)
    finally:
        for each in running:
            each.process.kill()
            each.process.join()
