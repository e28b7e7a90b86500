"""Which test has encoded, decoded and executed each form of the instruction table.

    python -m tests.oracles.table_coverage [--json] [--all] [FOLDER]

Encoding and decoding are asked of the other assemblers and of capstone here and now. Execution is
what tests/oracles/form_recorder.py has recorded: in FOLDER, by `make test`, or in a run of a chosen
part of the tests that is started here. The status is 1 if a form has not been executed by any test.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from isa.notation import Form, load_table
from tests.isa.instruction_samples import all_samples, samples_of
from tests.oracles import test_decoding_capstone, test_encodings_llvm, test_encodings_nasm

# Test files by form, by "completed" and "faulted".
Recording = Mapping[str, Mapping[str, Sequence[str]]]

ROOT = Path(__file__).resolve().parents[2]
SIZES = (16, 32)

# Tests that together execute every form, in a plain-Python run of half a minute.
CHOSEN = (
    "tests/oracles/test_unicorn_32bit.py",
    "tests/oracles/test_unicorn_16bit.py",
    "tests/oracles/test_host_processor.py",
    "tests/oracles/test_recorded_vectors.py::test_every_recorded_instruction_ends_as_recorded",
    "tests/isa/test_privilege_properties.py",
    "tests/isa/test_segment_moves.py",
    "tests/isa/test_transfers.py",
    "tests/isa/test_far_returns.py",
    "tests/isa/test_v86_mode.py",
    "tests/isa/test_system.py",
    "tests/isa/test_execute.py",
    "tests/isa/test_coprocessor.py",
    "tests/isa/test_model_specific.py",
)
# Who executed a form, by the beginning of the test file's name.
EXECUTORS = {
    "tests/oracles/test_unicorn": "Unicorn",
    "tests/oracles/test_privilege_unicorn": "Unicorn",
    "tests/oracles/test_undefined_opcodes": "Unicorn",
    "tests/oracles/test_host": "the host's processor",
    "tests/oracles/test_recorded": "recordings of an 80286",
    "tests/isa/": "unit tests",
}
ALWAYS_FAULT = frozenset({"UD0", "UD1", "UD2"})


@dataclass
class Coverage:
    """What is known of one form."""

    form: Form
    encoded: set[str] = field(default_factory=set)
    decoded: set[str] = field(default_factory=set)
    executed: set[str] = field(default_factory=set)

    @property
    def is_executed(self) -> bool:
        return bool(self.executed)


@cache
def encoded_by() -> Mapping[str, frozenset[str]]:
    """Forms whose bytes another assembler is asked for."""
    llvm, nasm = set(), set()
    for bits in SIZES:
        for sample in all_samples(bits):
            if test_encodings_llvm.is_expressible(sample):
                llvm.add(sample.form.name)
            if test_encodings_nasm.is_compared(sample):
                nasm.add(sample.form.name)
    return {"LLVM": frozenset(llvm), "NASM": frozenset(nasm)}


@cache
def decoded_by() -> Mapping[str, frozenset[str]]:
    """Forms that capstone reads as we do."""
    agreed = set()
    for bits in SIZES:
        comparison = test_decoding_capstone.Comparison(bits)
        for form in load_table():
            if any(not comparison.compare(sample.data).kind for sample in samples_of(form, bits)):
                agreed.add(form.name)
    return {"capstone": frozenset(agreed)}


def executor_of(test_file: str) -> str:
    """Which oracle a test file asks."""
    return next(
        (name for start, name in EXECUTORS.items() if test_file.startswith(start)), "unit tests"
    )


def executed_by(
    recordings: Iterable[Recording],
) -> dict[str, set[str]]:
    """Who executed each form to its end, from the files of the recorder.

    For what does nothing but raise #UD, raising it is the end.
    """
    found: dict[str, set[str]] = {}
    operations = {form.name: form.operation for form in load_table()}
    for recording in recordings:
        for kind in ("completed", "faulted"):
            for name, test_files in recording[kind].items():
                if kind == "completed" or operations[name] in ALWAYS_FAULT:
                    found.setdefault(name, set()).update(map(executor_of, test_files))
    return found


def read(folder: Path) -> list[Recording]:
    """The recorder's files in a folder."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("forms-*.json"))]


def record(tests: Sequence[str] = CHOSEN) -> list[Recording]:
    """Run tests in plain Python and record them."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += ["-p", "tests.oracles.form_recorder", "--forms", folder]
        run = subprocess.run(
            [*command, "-m", "not compiled and not slow", *tests],
            cwd=ROOT,
            env={**os.environ, "NUMBA_DISABLE_JIT": "1", "NUMBA_BOUNDSCHECK": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            raise RuntimeError(f"the tests do not pass:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
        return read(Path(folder))


def coverage(recordings: Iterable[Recording]) -> list[Coverage]:
    """Every form, in the table's order."""
    executed = executed_by(recordings)
    return [
        Coverage(
            form,
            {name for name, forms in encoded_by().items() if form.name in forms},
            {name for name, forms in decoded_by().items() if form.name in forms},
            executed.get(form.name, set()),
        )
        for form in load_table()
    ]


def counts(forms: Sequence[Coverage]) -> dict[str, int]:
    """How many forms there are, and how many of them by each oracle."""
    found = {"forms": len(forms), "decoded, never encoded": sum(c.form.decode_only for c in forms)}
    for name in encoded_by():
        found[f"encoded by {name}"] = sum(name in c.encoded for c in forms)
    for name in decoded_by():
        found[f"decoded by {name}"] = sum(name in c.decoded for c in forms)
    for name in dict.fromkeys(EXECUTORS.values()):
        found[f"executed by {name}"] = sum(name in c.executed for c in forms)
    found["executed by an oracle"] = sum(bool(c.executed - {"unit tests"}) for c in forms)
    found["executed"] = sum(c.is_executed for c in forms)
    return found


def measure() -> dict[str, int]:
    """The counts of a run of the chosen tests, for the summary of all oracles."""
    return counts(coverage(record()))


def summary(found: Mapping[str, int]) -> str:
    """One line for people."""
    parts = [f"{number} {name}" for name, number in found.items() if name != "forms"]
    return f"table coverage: {found['forms']} forms: {', '.join(parts)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the coverage; 1 if a form is not executed."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracles.table_coverage")
    parser.add_argument("folder", nargs="?", type=Path, help="what `make test` has recorded")
    parser.add_argument("--all", action="store_true", help="show every form")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    forms = coverage(record() if options.folder is None else read(options.folder))
    found = counts(forms)
    if options.json:
        rows = {
            c.form.name: {
                "encoded": sorted(c.encoded),
                "decoded": sorted(c.decoded),
                "executed": sorted(c.executed),
            }
            for c in forms
        }
        print(json.dumps({"counts": found, "forms": rows}, indent=2))
    else:
        for c in forms:
            if options.all:
                words = [", ".join(sorted(s)) or "-" for s in (c.encoded, c.decoded, c.executed)]
                print(f"{c.form.name:<28} | {' | '.join(words)}")
        print(summary(found))
    missing = [c.form.name for c in forms if not c.is_executed]
    for name in missing:
        print(f"no test executes {name}", file=sys.stderr)
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
