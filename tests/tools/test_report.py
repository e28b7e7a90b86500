"""Reports: the record that --json prints, the tables made from it, the view of a stopped guest."""

from __future__ import annotations

import io
import json
from typing import Any, ClassVar

import pytest
from rich.console import Console

from hypervisor.technique import Snapshot
from isa.boot import BootImage
from tools import report, state_view
from tools.driver import Ending

IMAGE = BootImage(
    name="toy",
    segments=((0x100000, b"\x90\xf4"),),
    entry=0x100000,
    eax=0,
    ebx=0,
    esp=0x9000,
    protected=True,
    symbols={"start": 0x100000},
    source="toy.asm",
)


class FinishedMachine:
    """A machine after its run."""

    exit_code = 33
    console = b"hello\n"
    guest_instructions = 1234
    cycles = 5000
    ledger: ClassVar = {"guest": 1234, "device": 3766, "shadow": 0}
    exits: ClassVar = {"CR_ACCESS": 7, "EXCEPTION_NMI": 40}

    def run(self, until: int | None = None) -> Any:
        raise AssertionError("a report runs nothing")


ENDING = Ending("exit", "the guest wrote to the exit port", 0x100001, "hlt", 0.25)


def test_the_record_has_the_promised_keys():
    record = report.technique_record("ring", FinishedMachine(), ENDING, IMAGE)
    assert record["name"] == "ring"
    assert record["exit_code"] == 33
    assert len(record["console_sha256"]) == 64
    assert record["guest_instructions"] == 1234
    assert sum(record["cycles_by_cause"].values()) == record["cycles"]
    assert record["exits"] == {"CR_ACCESS": 7, "EXCEPTION_NMI": 40}
    assert record["host_seconds"] == 0.25
    assert record["stop"]["symbol"] == "start+0x1"
    assert json.loads(json.dumps(record)) == record


def test_a_stop_is_told_in_one_line():
    record = report.technique_record("ring", FinishedMachine(), ENDING, IMAGE)
    line = report.ending_line(record)
    for part in (
        "exit",
        "exit port",
        "0x00100001 <start+0x1>",
        "hlt",
        "1,234 instructions",
        "0.25 s",
    ):
        assert part in line
    assert "\n" not in line


def comparison(**changes: Any) -> report.Record:
    bare = report.technique_record("bare", FinishedMachine(), ENDING, IMAGE)
    bare = bare | {"cycles": 2500, "cycles_by_cause": {"guest": 2500}, "exits": {}}
    ring = report.technique_record("ring", FinishedMachine(), ENDING, IMAGE)
    return {
        "guest": "toy",
        "equivalent": True,
        "differences": [],
        "divergence": None,
        "techniques": [bare, ring],
        **changes,
    }


def tables_of(record: report.Record) -> str:
    text = io.StringIO()
    report.comparison_tables(record, Console(file=text, width=100))
    return text.getvalue()


def test_the_tables_show_verdict_overhead_exits_and_causes():
    text = tables_of(comparison())
    assert "equal" in text.splitlines()[0]
    ring = next(line for line in text.splitlines() if line.startswith("ring "))
    assert ring.split()[-5:] == ["2.00", "x", "0.49", "x", "0.25"]
    assert [line.split() for line in text.splitlines() if "EXCEPTION_NMI" in line] == [
        ["EXCEPTION_NMI", "-", "40"]
    ]
    guest = next(line.split() for line in text.splitlines() if line.strip().startswith("guest "))
    assert guest == ["guest", "2,500", "100.0", "%", "1,234", "24.7", "%"]
    assert "shadow" not in text


def test_a_difference_is_the_first_thing_said():
    text = tables_of(comparison(equivalent=False, differences=["the console differs at byte 3"]))
    assert text.startswith("NOT EQUAL: toy\n  the console differs at byte 3\n")


SNAPSHOT = Snapshot(
    guest_instructions=10,
    gpr=(1, 2, 3, 4, 5, 6, 7, 0xDEADBEEF),
    eip=0x100000,
    eflags=0x3246,
    cpl=1,
    selectors=(0x10, 8, 0x10, 0x10, 0, 0, 0, 0x28),
    cr0=0x80000011,
    cr2=0,
    cr3=0x112000,
    cr4=0,
    gdtr=(0x1000, 0x2F),
    idtr=(0x2000, 0x7FF),
    halted=False,
    ram_digest="",
)


def test_registers_are_shown_by_name():
    text = "\n".join(state_view.register_lines(SNAPSHOT))
    for part in ("edi deadbeef", "eip 00100000", "PF ZF IF IOPL=3", "CPL=1", "cr3 00112000"):
        assert part in text


def test_every_symbol_heads_its_own_instructions():
    lines = state_view.code_lines(
        bytes.fromhex("00 90 eb fd"), 0x100000, 32, {"data": 0x100000, "loop": 0x100001}
    )
    assert [line.strip() for line in lines] == [
        "data:",
        "00100000  00                        db 0x00",
        "loop:",
        "00100001  90                        nop",
        "00100002  eb fd                     jmp 0x100001  ; loop",
    ]


@pytest.mark.parametrize("code", [b"", b"\x0f", b"\xff\xff"])
def test_code_that_cannot_be_read_is_no_trouble(code):
    lines = state_view.code_lines(code, 0xFFFFFFFE, 32, None)
    assert all("db 0x" in line for line in lines)
