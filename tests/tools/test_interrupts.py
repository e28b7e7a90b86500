"""Ctrl-C held back and let go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tools import status
from tools.interrupts import deferred_interrupts

ROOT = Path(__file__).resolve().parents[2]


def test_an_interrupt_waits_for_the_end_of_the_block():
    done = []

    def block() -> None:
        with deferred_interrupts():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            done.append("all of it")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert done == ["all of it"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_an_interrupt_nothing_happens():
    with deferred_interrupts():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_in_the_block_passes():
    with pytest.raises(ValueError, match="other"), deferred_interrupts():
        raise ValueError("other")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_and_nested_blocks_change_nothing():
    with deferred_interrupts():
        handler = signal.getsignal(signal.SIGINT)
        with deferred_interrupts():
            assert signal.getsignal(signal.SIGINT) is handler
        thread = threading.Thread(target=lambda: deferred_interrupts().__enter__())
        thread.start()
        thread.join()
        assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize("seconds", [0.15, 0.4, 1.0])
def test_ctrl_c_while_starting_leaves_one_line(tmp_path, seconds):
    """Also while the machine is being compiled: the cache is empty here."""
    code = (
        "import sys\nprint('started', flush=True)\nfrom tools.cli import main\n"
        "sys.exit(main(['run', 'hostile/endless_loop', '--budget', '100G']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"TRAPGATE_CACHE": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == status.INTERRUPTED
    assert "Traceback" not in error
    # Where nothing has to be compiled, the guest may be running already.
    last = error.splitlines()[-1]
    assert last == "trapgate: error: interrupted" or last.startswith("trapgate: interrupted (")
