"""The command as a user meets it: help, errors in one line, statuses; verbs that run no guest."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tools import status
from tools.cli import VERBS, main
from tools.status import of_stop

ROOT = Path(__file__).resolve().parents[2]


def error_of(capsys, *arguments: str) -> str:
    """Run a command that must fail; return its one line."""
    assert main(arguments) == status.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("trapgate: error: ")
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize("verb", [verb for verb, _ in VERBS])
def test_help_has_examples_and_succeeds(capsys, verb):
    assert main([verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Usage: trapgate {verb}" in text
    assert f"trapgate {verb} " in text.split("Examples:")[1]


def test_help_lists_every_verb(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb, _ in VERBS)


def test_cpus_lists_models_and_any_variant(capsys):
    assert main(["cpus"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[::2]] == [
        "386",
        "486",
        "pentium",
        "p6",
        "virtualizable",
    ]
    assert main(["cpus", "p6-pge", "486+cpuid", "--json"]) == 0
    without, late = json.loads(capsys.readouterr().out)
    assert "pge" not in without["features"]
    assert without["last_leaf"] == 2
    assert late["features"] == ["cpuid", "wp"]
    assert late["signature"] == 0x435
    assert not late["default"]


@pytest.mark.parametrize("verb", ["run", "compare"])
def test_a_cpu_that_does_not_exist_is_one_line(capsys, verb):
    text = error_of(capsys, verb, "guests/hello", "--cpu", "8086")
    assert "no CPU model '8086'; there are: 386, 486, pentium, p6" in text


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("trapgate ")
    assert main(["version", "--json"]) == 0
    assert {"trapgate", "python", "numba"} <= set(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["rnu"], "run"),
        (["run"], "name one guest"),
        (["run", "hello", "--kernel", "hello"], "name one guest"),
        (["run", "nothing-of-that-name"], "no such file, and no guest of that name"),
        (["run", "minikernal"], "did you mean minikernel"),
        (["run", "guests/hostile"], "did you mean hostile/"),
        (["run", "hello", "--timeout", "0"], "--timeout must be more than 0"),
        (["run", "hello", "--timeout", "nan"], "--timeout must be more than 0"),
        (["run", "hello", "--until", ""], "--until needs a text"),
        (["run", "hello", "--address", "0x5000"], "only flat programs move"),
        (["run", "hello", "-m", "2G"], "must be whole pages"),
        (["run", "/dev/zero"], "say what it is"),
        (["run", "/dev/zero", "--protocol", "flat"], "too large for a program"),
        (["run", "hello", "-m", "12Q"], "is not a size"),
        (["run", "hello", "-m", "3K"], "must be whole pages"),
        (["run", "hello", "--budget", "many"], "is not a count"),
        (["run", "hello", "--protocol", "linux"], "auto"),
        (["run", "hello", "--budegt", "3"], "--budget"),
        (["compare"], "name one guest"),
        (["compare", "docs"], "a folder that is not a guest"),
        (["asm"], "requires an argument"),
        (["asm", "missing.asm"], "missing.asm"),
        (["disasm", "missing.bin"], "no such file, and not bytes in hexadecimal"),
        (["disasm", "90", "--bits", "64"], "16, 32"),
        (["disasm", "90", "--origin", "0x100000000"], "is not a 32-bit address"),
    ],
)
def test_a_careless_command_gets_one_line(capsys, monkeypatch, arguments, text):
    monkeypatch.chdir(ROOT)
    assert text in error_of(capsys, *arguments)


def test_an_unreadable_file_gets_one_line(capsys, tmp_path):
    assert "folder that is not a guest" in error_of(capsys, "run", str(tmp_path))
    truncated = tmp_path / "truncated.elf"
    truncated.write_bytes(b"\x7fELF\x01\x01\x01")
    assert "truncated ELF file" in error_of(capsys, "run", str(truncated))


def test_a_closed_pipe_is_not_an_error(tmp_path):
    (tmp_path / "long.bin").write_bytes(bytes(100_000))
    command = [sys.executable, "-c", "from tools.cli import main; import sys; sys.exit(main())"]
    shown = subprocess.Popen(
        [*command, "disasm", str(tmp_path / "long.bin")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert shown.stdout is not None
    assert shown.stderr is not None
    shown.stdout.readline()
    shown.stdout.close()
    assert shown.stderr.read() == b""
    shown.stderr.close()
    assert shown.wait(60) == status.BROKEN_PIPE


@given(st.integers(0, 255))
def test_a_guests_status_is_never_one_of_ours(value):
    own = {status.USAGE, status.HALT, status.SHUTDOWN, status.ERROR, status.BUDGET}
    own |= {status.INTERRUPTED, status.BROKEN_PIPE, status.SUCCESS}
    assert of_stop("exit", (value << 1) | 1) not in own
    assert of_stop("exit", (value << 1) | 1) == ((value << 1) | 1) & 0xFF


def test_every_stop_reason_has_a_status():
    from hypervisor.technique import StopReason

    codes = {reason: of_stop(reason, None) for reason in StopReason if reason != StopReason.EXIT}
    assert len(set(codes.values())) == len(codes)
    assert all(code % 2 == 0 and code > 0 for code in codes.values())


# --- disasm ------------------------------------------------------------------------------------


def test_disasm_shows_bytes_typed_in(capsys):
    assert main(["disasm", "0f 01 10 0f 22 d8 ff"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "00000000",
        "00000003",
        "00000006",
    ]


def test_disasm_knows_sixteen_bits_and_an_origin(capsys):
    assert main(["disasm", "b8 34 12", "--bits", "16", "--origin", "0x7c00", "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["address"] == 0x7C00
    assert record["bytes"] == "b83412"
    assert record["text"].startswith("mov ax")


@given(st.binary(min_size=1, max_size=64), st.sampled_from(["16", "32"]))
def test_disasm_shows_every_byte_once(tmp_path_factory, data, bits):
    assume(not data.startswith(b"\x7fELF"))
    path = tmp_path_factory.mktemp("bytes") / "code.bin"
    path.write_bytes(data)
    outcome = output_of(["disasm", os.fspath(path), "--bits", bits, "--json"])
    shown = b"".join(bytes.fromhex(record["bytes"]) for record in json.loads(outcome))
    assert shown == data


def output_of(arguments: list[str]) -> str:
    """What a command that succeeds prints."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        assert main(arguments) == 0
    return text.getvalue()
