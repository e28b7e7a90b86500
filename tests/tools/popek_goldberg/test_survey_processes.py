"""Several processes: Ctrl-C ends them, and one that dies is an error in one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children
from pathlib import Path

import pytest

from isa.cpu_models import load_model
from isa.errors import TrapgateError
from isa.notation import load_table
from tools import status
from tools.popek_goldberg.survey import survey

pytestmark = [pytest.mark.compiled, pytest.mark.usefixtures("compiled_machine")]

ROOT = Path(__file__).resolve().parents[3]
COMMAND = "import sys; from tools.cli import main; sys.exit(main(['classify', '--workers', '2']))"


def test_ctrl_c_ends_all_of_it():
    started = subprocess.Popen(
        [sys.executable, "-c", COMMAND],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    time.sleep(2)
    os.killpg(started.pid, signal.SIGINT)
    out, err = started.communicate(timeout=60)
    assert started.returncode == status.INTERRUPTED
    assert (out, err) == ("", "trapgate: error: interrupted\n")


def test_a_process_that_dies_is_an_error():
    def kill(done: int, _total: int) -> None:
        if done == 1:
            for process in active_children():
                process.kill()

    forms = [form for form in load_table() if form.mnemonic in ("MOV", "PUSH", "POP")]
    with pytest.raises(TrapgateError, match="a worker process was ended from outside"):
        survey(load_model("p6"), 1, forms=forms, workers=2, progress=kill)
