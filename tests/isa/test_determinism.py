"""Compiled code and plain Python compute the same, down to every count; and so do two runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.isa.lane_digest import digest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.compiled
def test_compiled_code_and_plain_python_agree():
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)}
    plain = subprocess.run(
        [sys.executable, "-m", "tests.isa.lane_digest"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert plain.stdout.strip() == digest()


def test_two_machines_agree():
    assert digest() == digest()
