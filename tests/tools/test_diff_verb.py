"""The verb diff with real guests: how sides are written, what is shown, statuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from isa.errors import TrapgateError
from tools import status
from tools.cli import main
from tools.sides import Guest, labels, parse_options

COUNTER = """
    bits 32
    org 0x100000
start:
    mov ecx, 5000
.next:
    inc eax
    loop .next
    mov ebx, {value}
    push ebx
    pop edx
    mov dword [0x200000], {stored}
    out 0xF4, al
"""


@pytest.fixture
def programs(tmp_path: Path) -> tuple[str, str]:
    """Two programs that are alike up to their 10,002nd instruction."""
    paths = []
    for name, value in (("one", 7), ("two", 9)):
        path = tmp_path / f"{name}.asm"
        path.write_text(COUNTER.format(value=value, stored=1))
        paths.append(str(path))
    return paths[0], paths[1]


def record_of(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main(["diff", *arguments, "--json"])
    return code, json.loads(capfd.readouterr().out)


# --- sides ---------------------------------------------------------------------------------------


def test_options_are_separated_by_commas_before_names_only() -> None:
    assert parse_options(["append=a,b,t=x,m=4M", "technique=ring"]) == {
        "append": "a,b",
        "technique": "ring",
        "memory": "4M",
    }


@pytest.mark.parametrize("text", ["ring", "colour=red", "=x", "technique"])
def test_an_option_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(TrapgateError, match="not an option of a side"):
        parse_options([text])


def test_sides_are_called_by_what_tells_them_apart() -> None:
    plain, ring = Guest("x/k.elf", {}), Guest("x/k.elf", {"technique": "ring"})
    assert labels(plain, ring) == ("bare", "ring")
    assert labels(plain, Guest("y/l.elf", {"cpu": "486"})) == ("k.elf cpu=p6", "l.elf cpu=486")
    assert labels(plain, Guest("x/k.elf", {"append": "a"})) == ("no append", "append=a")
    assert labels(plain, plain) == ("A", "B")
    assert labels(plain, Guest("x/k.elf", {"cpu": "p6"})) == ("A", "B")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["hello"], "both sides are the same run"),
        (["hello", "--a", "ring"], "not an option of a side"),
        (["hello", "nowhere.asm"], "nowhere.asm"),
        (["hello", "--b", "technique=xen"], "unknown technique"),
        (["hello", "--b", "cpu=z80"], "z80"),
        (["hello", "--b", "m=lots"], "not a size"),
        (["hello", "--b", "protocol=dos"], "unknown boot protocol"),
        (["hello", "hello", "--every", "0"], "--every"),
        (["hello", "hello", "--context", "0"], "--context"),
        (["hello", "hello", "--from", "5", "--until", "5"], "nothing to compare"),
        (["hello", "hello", "--ignore", "eax,rax"], "rax"),
        (["hello", "hello", "--ignore", "eflags.xf"], "eflags has: cf, pf"),
        (["hello", "hello", "--ignore", "memory.here"], "not a range"),
        (["hello", "hello", "--ignore", "memory.5-4"], "ends before it begins"),
    ],
)
def test_what_cannot_be_asked_gets_one_line(
    capfd: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(["diff", *arguments]) == status.USAGE
    error = capfd.readouterr().err
    assert error.startswith("trapgate: error: ")
    assert words in error
    assert error.count("\n") == 1


# --- runs ----------------------------------------------------------------------------------------


@pytest.mark.compiled
@pytest.mark.usefixtures("compiled_machine")
class TestRuns:
    def test_one_guest_under_two_techniques_is_equal(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["diff", "guests/hello", "--b", "technique=ring"]) == status.SUCCESS
        assert capfd.readouterr().out.startswith("equal: bare and ring agree from instruction 0 to")

    def test_two_builds_are_compared_apart_from_where_they_were_made_differently(
        self, capfd: pytest.CaptureFixture[str], programs: tuple[str, str]
    ) -> None:
        code, record = record_of(capfd, *programs)
        assert code == status.NOT_EQUAL
        assert [part["what"] for part in record["set_aside"]] == ["memory 0x00100008"]
        divergence = record["divergence"]
        assert divergence["guest_instructions"] == 10_001
        assert divergence["instruction"].startswith("mov ebx")
        assert divergence["symbol"].startswith("start.next")
        assert divergence["line"].endswith("one.asm:9")
        assert [part["what"] for part in divergence["differences"]] == ["ebx"]
        sides = divergence["sides"]
        assert [side["state"]["ebx"] for side in sides] == [7, 9]
        assert [step["guest_instructions"] for step in sides[0]["executed"]] == [
            *range(9_997, 10_002)
        ]
        assert [text.split()[-1] for text in sides[1]["next"][1:3]] == ["ebx", "edx"]

    def test_the_view_marks_what_differs(
        self, capfd: pytest.CaptureFixture[str], programs: tuple[str, str]
    ) -> None:
        assert main(["diff", *programs]) == status.NOT_EQUAL
        text = capfd.readouterr().out
        assert "first divergence: instruction 10,002, at 0x00100008" in text
        assert [line.split() for line in text.splitlines() if line.startswith("≠")] == [
            ["≠", "ebx", "00000007", "00000009"]
        ]
        for part in ("left out", "next on both", "one.asm:9", "→"):
            assert part in text

    def test_what_is_ignored_leads_to_the_next_difference(
        self, capfd: pytest.CaptureFixture[str], programs: tuple[str, str]
    ) -> None:
        _, record = record_of(capfd, *programs, "--ignore", "ebx")
        assert record["divergence"]["instruction"] == "push ebx"
        code, record = record_of(capfd, *programs, "--ignore", "ebx,edx,memory")
        assert code == status.SUCCESS
        assert record["equal"]
        assert record["runs"][0]["stop"]["reason"] == "exit"

    def test_a_strict_comparison_begins_before_the_first_instruction(
        self, capfd: pytest.CaptureFixture[str], programs: tuple[str, str]
    ) -> None:
        _, record = record_of(capfd, *programs, "--strict")
        assert record["divergence"]["span"] == 0
        assert main(["diff", *programs, "--strict"]) == status.NOT_EQUAL
        assert "they differ already after 0 instructions" in capfd.readouterr().out

    def test_a_range_is_compared_alone(
        self, capfd: pytest.CaptureFixture[str], programs: tuple[str, str]
    ) -> None:
        code, _ = record_of(capfd, *programs, "--until", "10_001")
        assert code == status.SUCCESS
        code, record = record_of(capfd, *programs, "--from", "10_002", "--every", "1")
        assert code == status.NOT_EQUAL
        assert [part["what"] for part in record["set_aside"]] == ["ebx", "memory 0x00100008"]
        assert record["divergence"]["instruction"] == "push ebx"

    @pytest.mark.parametrize("guest", ["hostile/halted_forever", "hostile/unhandled_interrupt"])
    def test_guests_that_go_nowhere_are_equal(
        self, capfd: pytest.CaptureFixture[str], guest: str
    ) -> None:
        code, record = record_of(capfd, guest, "--b", "technique=ring")
        assert code == status.SUCCESS, record["divergence"]

    def test_different_processors_are_told_apart(self, capfd: pytest.CaptureFixture[str]) -> None:
        code, record = record_of(capfd, "hello", "--a", "cpu=p6-apic,m=16M", "--b", "cpu=386,m=8M")
        assert code == status.SUCCESS
        assert "cpu" in [part["what"] for part in record["set_aside"]]
