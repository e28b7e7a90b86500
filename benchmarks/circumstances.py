"""Under what circumstances a figure was measured: processor, versions, commit, load.

Says what another person needs to judge the figure, and nothing that identifies a machine or its
user: no host name, no path.
"""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGES: Final = ("numba", "llvmlite", "numpy", "unicorn")
_SOURCES: Final = ("isa", "hypervisor", "guests", "tools", "benchmarks")
_NO_SOURCES: Final = ":(exclude)benchmarks/results"


class Circumstances(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The facts at the end of a measurement.

    Attributes:
        date: UTC, to the minute.
        commit: what was checked out; `modified` if a source differs from it.
        cores: processors this process may use.
        load: how many processes wanted to run, average of the last 1 and 5 minutes.
    """

    date: str
    commit: str
    modified: bool
    cpu: str
    cores: int
    system: str
    python: str
    packages: dict[str, str]
    load: tuple[float, float]


def circumstances() -> Circumstances:
    """The facts now."""
    minute, five_minutes, _ = os.getloadavg()
    return Circumstances(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        commit=_git("rev-parse", "--short=12", "HEAD") or "unknown",
        modified=bool(
            _git("status", "--porcelain", "--untracked-files=no", "--", *_SOURCES, _NO_SOURCES)
        ),
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        system=f"{platform.system()} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages={name: _version(name) for name in PACKAGES},
        load=(round(minute, 2), round(five_minutes, 2)),
    )


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else "unknown"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def _git(*arguments: str) -> str:
    try:
        outcome = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return outcome.stdout.strip() if outcome.returncode == 0 else ""
