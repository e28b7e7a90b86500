"""The verb run with real guests: console, statuses, reasons, limits, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools import catalogue, status
from tools.cli import main

pytestmark = [pytest.mark.compiled, pytest.mark.usefixtures("compiled_machine")]

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-c", "import sys; from tools.cli import main; sys.exit(main())"]
HELLO = catalogue.guests()["hello"]


def test_the_console_is_standard_output_and_the_status_is_the_guests(capfdbinary):
    assert main(["run", "guests/hello"]) == HELLO.exit_code
    captured = capfdbinary.readouterr()
    assert captured.out == HELLO.expected_console
    assert captured.err.startswith(b"trapgate: exit (")
    assert b" instructions, " in captured.err
    assert captured.err.count(b"\n") == 1


def test_quiet_says_nothing_of_its_own(capfd):
    assert main(["run", "hello", "-q"]) == HELLO.exit_code
    assert capfd.readouterr().err == ""


def test_json_reports_everything_and_nothing_else(capfd):
    assert main(["run", "hello", "--json"]) == HELLO.exit_code
    captured = capfd.readouterr()
    record = json.loads(captured.out)
    assert captured.err == ""
    assert record["guest"] == "hello"
    assert record["console"].encode() == HELLO.expected_console
    assert record["stop"]["reason"] == "exit"
    assert record["exit_code"] == HELLO.exit_code
    assert sum(record["cycles_by_cause"].values()) == record["cycles"]


@pytest.mark.parametrize(("cpu", "reason"), [("386", "shutdown"), ("486", "exit"), ("p6", "exit")])
def test_the_cpu_decides_what_is_an_instruction(tmp_path, capfd, cpu, reason):
    guest = assemble(tmp_path, "bswap eax", "mov al, 3", "out 0xF4, al")
    main(["run", guest, "--cpu", cpu, "--json"])
    record = json.loads(capfd.readouterr().out)
    assert record["cpu"] == cpu
    assert record["stop"]["reason"] == reason


def assemble(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / "guest.asm"
    path.write_text("\n".join(["bits 32", "org 0x100000", *lines, ""]))
    return str(path)


@pytest.mark.parametrize(
    ("lines", "expected", "reason"),
    [
        (["mov al, 3", "out 0xF4, al"], 7, "exit"),
        (["mov al, 0xFF", "out 0xF4, al"], 0xFF, "exit"),
        (["cli", "hlt"], status.HALT, "halt"),
        (["lidt [none]", "int3", "none: dw 0, 0, 0"], status.SHUTDOWN, "shutdown"),
        (["jmp $"], status.BUDGET, "budget"),
    ],
)
def test_every_way_to_stop_has_its_status(capfd, tmp_path, lines, expected, reason):
    assert main(["run", assemble(tmp_path, *lines), "--budget", "10000"]) == expected
    assert capfd.readouterr().err.startswith(f"trapgate: {reason} (")


def test_the_budget_is_exact(capfd, tmp_path):
    guest = assemble(tmp_path, "again: inc eax", "jmp again")
    assert main(["run", guest, "--budget", "12345", "--json"]) == status.BUDGET
    assert json.loads(capfd.readouterr().out)["guest_instructions"] == 12345


def test_a_timeout_stops_an_endless_guest(capfd, tmp_path):
    started = time.monotonic()
    assert main(["run", assemble(tmp_path, "jmp $"), "--timeout", "0.3"]) == status.BUDGET
    assert time.monotonic() - started < 60
    assert "timeout of 0.3 s" in capfd.readouterr().err


def test_waiting_for_text_succeeds(capfd, tmp_path):
    guest = assemble(tmp_path, "mov al, 'k'", "again: out 0xE9, al", "jmp again")
    assert main(["run", guest, "--until", "kkk"]) == status.SUCCESS
    assert "kkk" in capfd.readouterr().out


def test_the_state_shows_registers_and_code(capfd, tmp_path):
    guest = assemble(tmp_path, "start: mov ebx, 0x12345678", "cli", "hlt")
    main(["run", guest, "--state"])
    error = capfd.readouterr().err
    assert "ebx 12345678" in error
    assert "CPL=0" in error


def test_a_command_line_reaches_a_multiboot_kernel(capfd, tmp_path):
    guest = assemble(
        tmp_path,
        "dd 0x1BADB002, 0x10000, -(0x1BADB002 + 0x10000)",
        "dd 0x100000, 0x100000, 0, 0, start",
        "start: mov esi, [ebx + 16]",
        "next: lodsb",
        "test al, al",
        "jz done",
        "out 0xE9, al",
        "jmp next",
        "done: mov al, 0",
        "out 0xF4, al",
    )
    assert main(["run", guest, "-append", "tasks=3 verbose"]) == 1
    assert capfd.readouterr().out == "tasks=3 verbose"


@pytest.mark.parametrize("name", ["garbage_jump", "zeroed_idt", "endless_loop", "halted_forever"])
def test_a_hostile_guest_ends_with_a_typed_reason(capfd, name):
    guest = catalogue.guests()[f"hostile/{name}"]
    code = main(["run", guest.name])
    captured = capfd.readouterr()
    assert captured.err.startswith(f"trapgate: {guest.stop} (")
    assert captured.err.count("\n") == 1
    assert code == status.of_stop(guest.stop, guest.exit_code)


def test_ctrl_c_ends_a_run_with_its_reason_and_status(tmp_path):
    guest = assemble(tmp_path, "mov al, 'x'", "out 0xE9, al", "jmp $")
    process = subprocess.Popen(
        [*COMMAND, "run", guest], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.read(1) == b"x"
    os.kill(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == status.INTERRUPTED
    assert error.startswith(b"trapgate: interrupted (")
    assert b"Traceback" not in error


STALE = [
    "mov edi, 0x200000",  # a directory, then a table that maps 4 MiB identically
    "mov dword [edi], 0x201003",
    "xor ecx, ecx",
    "fill: mov eax, ecx",
    "shl eax, 12",
    "or eax, 3",
    "mov [0x201000 + ecx * 4], eax",
    "inc ecx",
    "cmp ecx, 1024",
    "jne fill",
    "mov cr3, edi",
    "mov eax, cr0",
    "or eax, 0x80000000",
    "mov cr0, eax",
    "mov eax, [0x300000]",
    "mov dword [0x201000 + 0x300 * 4], 0x301003",
    "stale: mov eax, [0x300000]",
    "invlpg [0x300000]",
    "mov eax, [0x300000]",
    "mov al, 0",
    "out 0xF4, al",
]


@pytest.mark.parametrize("mode", ["check", "keep"])
def test_stale_translations_are_reported(capfd, tmp_path, mode):
    path = assemble(tmp_path, *STALE)
    assert main(["run", path, "--tlb", mode]) == 1
    _, line = capfd.readouterr().err.splitlines()
    assert line.startswith("trapgate: stale translation: read of 0x00300000 at 0x0010")
    assert "<stale>" in line
    assert line.endswith(
        "the TLB says page 0x300000 writable, the tables page 0x301000 writable (1 uses)"
    )
    main(["run", path, "--tlb", mode, "--json"])
    [found] = json.loads(capfd.readouterr().out)["stale_translations"]
    assert (found["address"], found["symbol"], found["uses"]) == (0x300000, "stale", 1)
    main(["run", path, "--json"])
    assert "stale_translations" not in json.loads(capfd.readouterr().out)


def test_a_checked_guest_runs_as_it_always_does(capfd):
    records = []
    for mode in ("normal", "keep"):
        main(["run", "minikernel", "--tlb", mode, "--json"])
        records.append(json.loads(capfd.readouterr().out))
    assert records[1]["stale_translations"] == []
    for key in ("console_sha256", "guest_instructions", "exit_code"):
        assert records[0][key] == records[1][key]


def test_a_technique_that_cannot_check_says_so(capfd):
    assert main(["run", "hello", "--tlb", "keep", "-t", "ring"]) == status.USAGE
    assert "'ring' cannot check" in capfd.readouterr().err
