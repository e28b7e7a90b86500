"""All forms of the table, classified on one processor, in several processes if wanted.

The result does not depend on the number of processes: every form is examined by itself, with the
same contexts, and the results are put in the table's order.
"""

import signal
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from typing import Final

from isa.cpu_models import CpuModel
from isa.errors import TrapgateError
from isa.notation import Form, load_table
from tools.popek_goldberg.classes import (
    CLASSES,
    LOCATION,
    PRIVILEGED,
    Evidence,
    Findings,
    examine,
    trap_rule,
)
from tools.popek_goldberg.experiment import Laboratory, Runner, run_one
from tools.popek_goldberg.operands import Context, make_contexts
from tools.popek_goldberg.states import TIME
from tools.popek_goldberg.theorems import Classified, Theorem, decide
from tools.popek_goldberg.witness import Witness, shortest_witness

CHUNK: Final = 5  # forms a process takes at a time

Progress = Callable[[int, int], None]  # forms done, forms in all


def _silent(_done: int, _total: int) -> None:
    """Nobody is looking."""


@dataclass(frozen=True)
class Result:
    """One classified form, in plain data.

    Attributes:
        rule: the condition under which it completes in rings 1 to 3 (classes.RULES).
        tells_time: its result depends on the time-stamp counter.
    """

    form: str
    syntax: str
    mnemonic: str
    classes: tuple[str, ...]
    critical: bool
    rule: str
    tells_time: bool
    witness: Witness | None
    executed: int


@dataclass(frozen=True)
class Survey:
    """All forms of one processor."""

    cpu: str
    seed: int
    results: tuple[Result, ...]

    @property
    def theorems(self) -> list[Theorem]:
        return decide(Classified(r.form, r.classes, r.tells_time) for r in self.results)

    @property
    def critical(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.critical)

    @property
    def executed(self) -> int:
        """Instructions executed in all."""
        return sum(result.executed for result in self.results)

    @property
    def counts(self) -> dict[str, int]:
        """Forms in each class, and critical ones."""
        counted = Counter(name for result in self.results for name in result.classes)
        return {**{name: counted[name] for name in CLASSES}, "critical": len(self.critical)}

    def by_form(self) -> dict[str, Result]:
        return {result.form: result for result in self.results}


def classify_form(laboratory: Laboratory, form: Form, contexts: list[Context]) -> Result:
    """Examine one form and put down what came of it."""
    before = laboratory.executed
    findings = examine(laboratory, form, contexts)
    witness = shortest_witness(laboratory, findings)
    return Result(
        form.name,
        form.syntax,
        form.mnemonic,
        findings.classes,
        findings.critical,
        trap_rule(findings),
        _tells_time(findings),
        witness,
        laboratory.executed - before,
    )


def _tells_time(findings: Findings) -> bool:
    shown: Iterable[Evidence] = findings.evidence.values()
    return PRIVILEGED not in findings.classes and any(
        evidence.kind == LOCATION and any(part.name == TIME for part in evidence.moved)
        for evidence in shown
    )


def survey(
    model: CpuModel,
    seed: int,
    *,
    workers: int = 1,
    forms: Sequence[Form] | None = None,
    run: Runner = run_one,
    progress: Progress = _silent,
) -> Survey:
    """Classify forms (by default all that the processor knows) on a processor.

    `run` is what executes an instruction, for processors that differ from the model; it works in
    this process only.
    """
    chosen = known_forms(model) if forms is None else forms
    if workers > 1 and run is run_one:
        results = _in_processes(model, seed, chosen, workers)
    else:
        results = _here(model, seed, chosen, run)
    done = []
    progress(0, len(chosen))
    with closing(results):
        for result in results:
            done.append(result)
            progress(len(done), len(chosen))
    return Survey(model.name, seed, tuple(done))


def known_forms(model: CpuModel) -> list[Form]:
    """The forms that are not undefined opcodes on a processor."""
    return [form for form in load_table() if not form.needs & ~model.features]


def _here(
    model: CpuModel, seed: int, forms: Sequence[Form], run: Runner
) -> Generator[Result, None, None]:
    laboratory, contexts = Laboratory(model, run), make_contexts(seed)
    for form in forms:
        yield classify_form(laboratory, form, contexts)


def _in_processes(
    model: CpuModel, seed: int, forms: Sequence[Form], workers: int
) -> Generator[Result, None, None]:
    numbers = [form.number for form in forms]
    chunks = [numbers[at : at + CHUNK] for at in range(0, len(numbers), CHUNK)]
    others = set(active_children())
    executor = ProcessPoolExecutor(
        min(workers, len(chunks)), get_context("spawn"), _prepare, (model, seed)
    )
    try:
        with _blocked_interrupts():
            waiting = executor.map(_classify_chunk, chunks)
        for results in waiting:
            yield from results
    except BrokenProcessPool:
        raise TrapgateError("a worker process was ended from outside; try --workers 1") from None
    except BaseException:
        for process in set(active_children()) - others:
            process.terminate()  # nobody waits for what they are doing
        raise
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def _blocked_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back while processes are started, and for ever in those.

    It is for the one that the user started, which ends the others.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_PREPARED: dict[str, tuple[Laboratory, list[Context]]] = {}


def _prepare(model: CpuModel, seed: int) -> None:
    """In a new process."""
    _PREPARED["here"] = Laboratory(model), make_contexts(seed)


def _classify_chunk(numbers: list[int]) -> list[Result]:
    laboratory, contexts = _PREPARED["here"]
    table = load_table()
    return [classify_form(laboratory, table[number], contexts) for number in numbers]
