"""The verb exec: output and status are the program's, options are ours, errors are one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools import status
from tools.cli import main
from tools.exec_arguments import divided

pytestmark = [pytest.mark.compiled, pytest.mark.usefixtures("compiled_machine")]

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "guests" / "programs" / "images"
COMMAND = [sys.executable, "-c", "import sys; from tools.cli import main; sys.exit(main())"]


def test_output_and_status_are_the_programs(capfd):
    assert main(["exec", str(IMAGES / "hello"), "one", "--two", "-3"]) == 7
    captured = capfd.readouterr()
    assert captured.out == "Hello from ring 3\nHello, one\nHello, --two\nHello, -3\n"
    assert captured.err == ""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["p", "-x"], ["--", "p", "-x"]),
        (["--stat", "p", "--json"], ["--stat", "--", "p", "--json"]),
        (["-m", "64M", "p"], ["-m", "64M", "--", "p"]),
        (["--root=x", "p"], ["--root=x", "--", "p"]),
        (["--stat", "--", "p"], ["--stat", "--", "p"]),
        (["--help"], ["--help"]),
        (["p", "--help"], ["--", "p", "--help"]),
        ([], []),
    ],
)
def test_what_follows_the_program_belongs_to_it(arguments, expected):
    assert divided(arguments) == expected


def test_json_holds_the_output(capfd, tmp_path):
    (tmp_path / "lines").write_text("b\na\n")
    arguments = ["exec", "--json", "--root", str(tmp_path), str(IMAGES / "sort"), "/lines"]
    assert main(arguments) == 0
    record = json.loads(capfd.readouterr().out)
    assert record["stdout"] == "a\nb\n"
    assert record["ending"] == {
        "reason": "exit",
        "status": 0,
        "detail": "",
        "eip": record["ending"]["eip"],
    }
    assert record["system_calls"]["read"] == 2
    assert record["page_faults"] > 0


def test_a_read_only_root_stays_as_it_is(capfd, tmp_path):
    assert main(["exec", "--root", str(tmp_path), str(IMAGES / "files")]) == 1
    assert "mkdir: -30" in capfd.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_counts_and_calls_are_shown(capfd, tmp_path):
    main(["exec", "--trace", "--stat", "--env", "GREETING=hi", str(IMAGES / "hello")])
    captured = capfd.readouterr()
    assert captured.out == "Hello from ring 3\nhi\n"
    assert 'write(1, "Hello from ring 3\\nhi\\n", 21) = 21\n' in captured.err
    assert "exit_group(0) = ?\n" in captured.err
    assert "page faults" in captured.err


def test_a_signal_is_one_line_and_a_status_as_of_a_shell(capfd):
    assert main(["exec", str(IMAGES / "faults"), "11"]) == 128 + 11
    error = capfd.readouterr().err
    assert error.startswith("trapgate: faults: killed by SIGSEGV (reading 0x00000000) at 0x08")
    assert error.count("\n") == 1


def test_limits(capfd):
    interpreter = str(IMAGES / "interpreter")
    assert main(["exec", "--budget", "1000", interpreter, "/none"]) == 2
    assert main(["exec", "--budget", "100", interpreter, "/none"]) == status.BUDGET
    assert "budget of 100 instructions" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "requires an argument"),
        (["missing"], "No such file"),
        (["."], "not a file"),
        (["README.md"], "not an ELF file"),
        (["/dev/zero"], "not a file"),
        (["--root", "missing", "guests/programs/images/hello"], "--root missing"),
        (["--cpu", "8086", "guests/programs/images/hello"], "no CPU model"),
        (["-m", "1M", "guests/programs/images/hello"], "-m must be whole pages"),
        (["--env", "word", "guests/programs/images/hello"], "NAME=VALUE"),
        (["--timeout", "0", "guests/programs/images/hello"], "--timeout"),
    ],
)
def test_a_careless_command_gets_one_line(capfd, monkeypatch, arguments, text):
    monkeypatch.chdir(ROOT)
    assert main(["exec", *arguments]) == status.USAGE
    error = capfd.readouterr().err
    assert error.startswith("trapgate: error: ")
    assert text in error
    assert error.count("\n") == 1


def test_ctrl_c_ends_a_program_that_waits_for_input():
    process = subprocess.Popen(
        [*COMMAND, "exec", str(IMAGES / "crc")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == status.INTERRUPTED
    assert error.count(b"\n") == 1


def test_output_that_nobody_reads_is_a_signal():
    script = b'while 1 { say "again and again" }'
    process = subprocess.Popen(
        [*COMMAND, "exec", str(IMAGES / "interpreter")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(script)
    process.stdin.close()
    process.stdout.read(100)
    process.stdout.close()
    assert process.wait(60) == 128 + 13
    assert process.stderr is not None
    assert b"SIGPIPE" in process.stderr.read()
    process.stderr.close()
