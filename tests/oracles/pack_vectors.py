"""Packs recorded single-instruction tests for the repository.

    python -m tests.oracles.pack_vectors FOLDER

FOLDER holds tests of SingleStepTests/80286 as gzip files of JSON lines, one per opcode form
("F7.6.jsonl.gz"), with bus cycles removed, and their LICENSE. What is written to
tests/oracles/vectors is complete but for the disassembly.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.oracles.recorded_vectors import FOLDER, NO_EXCEPTION, REGISTERS, SUFFIX, Recorded, pack


def recorded(form: str, line: dict[str, Any]) -> Recorded:
    """A line of the original files as a record."""
    before = [line["init"][name] for name in REGISTERS]
    after = [line["final"].get(name, line["init"][name]) for name in REGISTERS]
    length = len(line["bytes"]) // 2 - 1
    changed = np.array(line["ram1"], np.int64).reshape(-1, 2)
    memory = np.array(line["ram0"], np.int64)
    return Recorded(
        form,
        line["i"],
        length,
        np.array(before, np.int64),
        np.array(after, np.int64),
        memory[:, 0],
        memory[:, 1],
        changed[:, 0],
        changed[:, 1],
        line.get("exception", NO_EXCEPTION),
        line.get("flags_at", 0),
    )


def main(folder: Path) -> None:
    """Pack every form found in a folder."""
    FOLDER.mkdir(exist_ok=True)
    total = 0
    for path in sorted(folder.glob("*.jsonl.gz")):
        form = path.name.removesuffix(".jsonl.gz")
        with gzip.open(path, "rt") as lines:
            tests = [recorded(form, json.loads(line)) for line in lines]
        (FOLDER / f"{form}{SUFFIX}").write_bytes(pack(tests))
        total += len(tests)
        print(f"{form}: {len(tests)} tests", end="\r", flush=True)
    (FOLDER / "LICENSE").write_bytes((folder / "LICENSE").read_bytes())
    print(f"{total} tests packed into {FOLDER}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
