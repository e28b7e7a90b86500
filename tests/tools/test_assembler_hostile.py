"""Sources that try to hang the assembler, fill the memory, or make it show a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from isa.errors import TrapgateError
from tests.tools.golden import PROGRAMS
from tools.assembler import assemble_text

ROOT = Path(__file__).resolve().parents[2]


def numbered(count: int, pattern: str) -> str:
    """Lines in which {0} counts up and {1} is one more."""
    return "".join(pattern.format(number, number + 1) for number in range(count))


DEMANDS = [
    ("times 1000000000 nop", "larger than 64 MiB"),
    ("times 100000 db 100000 dup (1)", "larger than 64 MiB"),
    ("db 100000 dup (100000 dup (1))", "larger than 64 MiB"),
    ("x: dd 30000 dup (30000 dup (x))", "larger than 64 MiB"),
    ("resb 0x7fffffff", "larger than 64 MiB"),
    ("section .bss\nresq 0xffffffffffff", "larger than 4 GiB"),
    ("nop\nalign 0x40000000", "larger than 64 MiB"),
    ("section .x start=0xf0000000\nnop", "spans more than 64 MiB"),
    ("section .x vstart=0xffffffff0\nnop", "outside of the 4 GiB"),
    ("org 0xfffffff0\ntimes 100 nop", "outside of the 4 GiB"),
    ("%rep 100000\n%rep 100000\nnop\n%endrep\n%endrep", "more than 100000 lines"),
    (
        numbered(40, "%macro m{0} 0\nm{1}\nm{1}\n%endmacro\n") + "%macro m40 0\n%endmacro\nm0",
        "more than 100000 lines",
    ),
    ("%define a0 1\n" + numbered(40, "%define a{1} a{0}+a{0}\n") + "dd a40", "words"),
    ("%define a0 1\n" + numbered(200, "%define a{1} a{0}\n") + "dd a200", "64 deep"),
    ("%define s 1\n%rep 5000\n%xdefine s s, s\n%endrep", "words"),
    ("%define s 'x'\n%rep 100\n%strcat s s, s\n%endrep", "longer than"),
    ("%macro a 1+\n" + "db %1\n" * 1000 + "%endmacro\na " + "1," * 9000 + "1", "words"),
    ("%rep 20000\n%macro a 0\n%endmacro\n%endrep", "more than 10000 macros"),
    ("%push x\n" * 2000, "more than 1000 deep"),
    ("dd " + "(" * 1000 + "1" + ")" * 1000, "more than 40 deep"),
    ("x: dd " + "-" * 1000 + "x", "more than 200 deep"),
    ("x: dd " + "+".join(["x-x"] * 500), "more than 200 deep"),
    ("dd " + "9" * 2000, "is not a number"),
    ("db " + "1," * 100000 + "1", "longer than 65536 characters"),
    (numbered(3000, "e{0} equ e{1}\n") + "e3000 equ 1\ndd e0", "too many passes"),
        ("a: resb 10-(b-a)\nb:", "do not settle"),
    ("a: resb (b-a)*2+1\nb:", "larger than 64 MiB"),
    ("section .a follows=.b\nnop\nsection .b follows=.a\nnop", "which is not placed"),
]  # fmt: skip

# Runs in a process of its own, which may have only so much memory.
WITH_LITTLE_MEMORY = """
import resource, sys
limit = 600 << 20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
from isa.errors import TrapgateError
from tests.tools.test_assembler_hostile import DEMANDS
from tools.assembler import assemble_text
for text, rule in DEMANDS[::3]:
    try:
        assemble_text(text)
    except TrapgateError:
        pass
"""


@pytest.mark.parametrize(("text", "rule"), DEMANDS, ids=range(len(DEMANDS)))
def test_demands_are_bounded(text, rule):
    with pytest.raises(TrapgateError, match=rule):
        assemble_text(text)


def test_demands_do_not_fill_the_memory():
    run = subprocess.run(
        [sys.executable, "-c", WITH_LITTLE_MEMORY],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_a_file_that_includes_itself_ends(tmp_path):
    source = tmp_path / "self.inc"
    source.write_text(f"%include '{source}'\n")
    with pytest.raises(TrapgateError, match="include one another more than 32 deep"):
        assemble_text(source.read_text())


def test_a_line_may_expand_to_nothing():
    assert assemble_text("%define gone\n%macro a 0\n%endmacro\ngone\nnop\n").bytes == b"\x90"


def test_a_macro_that_calls_itself_means_the_instruction():
    assert assemble_text("%macro nop 0\nnop\nnop\n%endmacro\nnop\n").bytes == b"\x90\x90"


@pytest.mark.parametrize("word", ["%include", "incbin"])
@pytest.mark.parametrize("name", ["/dev/zero", "/", "`a\\0b`", "x" * 5000, "''", "`\\xff`"])
def test_only_files_are_read(word, name):
    quoted = name if name[0] in "`'" else f"'{name}'"
    with pytest.raises(TrapgateError, match=r"<text>:1: error: .*(file|UTF-8)"):
        assemble_text(f"{word} {quoted}\n")


def test_many_of_everything_is_fine():
    assert len(assemble_text(numbered(20000, "l{0}: nop\n")).symbols) == 20000
    assert len(assemble_text(numbered(1000, "section s{0}\ndb 1\n"), format="elf32").bytes) > 1000
    assert len(assemble_text("x: times 90000 dd $-x\n").bytes) == 360000
    chain = "bits 32\n" + numbered(2000, "l{0}: jmp l{1}\ntimes 124 nop\n") + "l2000:"
    assert len(assemble_text(chain).bytes) == 2000 * 126


WORDS = sorted({word for path in PROGRAMS for word in path.read_text().split()})
PUNCTUATION = (
    *"[](){},:;'\"`%$\\+-*/~!?@=<>&|^.",
    *("%%", "$$", "<<", "..", "..@", "%1", "%0", "%{1}", "%$x", "%%x", "%[", "%+", "\0", "\xff"),
    *("0x", "5", "-1", "99999999999999999999", "1.5", "eax", "times", "strict", "near", "short"),
    *("%rep", "%endrep", "%macro", "%endmacro", "%if", "%else", "%endif", "%define", "%assign"),
    *("section", "org", "bits", "db", "dd", "resb", "align", "struc", "endstruc", "istruc", "at"),
    *("iend", "absolute", "equ", "dup", "incbin", "%include", "far"),
)
LINE = st.lists(st.sampled_from([*WORDS, *PUNCTUATION * 8]), max_size=7).map(" ".join)


def outcome(text: str, format: str = "bin") -> str:
    """The listing, or the message of an error; any other exception ends the test."""
    try:
        return assemble_text(text, format=format).listing()
    except TrapgateError as error:
        return str(error)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(LINE, max_size=12).map("\n".join), st.sampled_from(["bin", "elf32"]))
def test_any_words_give_an_assembly_or_an_error(text, format):
    found = outcome(text, format)
    assert all(line.startswith(("<text>", " ")) for line in found.splitlines())


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(PROGRAMS), st.data())
def test_damaged_programs_give_an_assembly_or_an_error(path, data):
    lines = path.read_text().splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        number = data.draw(st.integers(0, len(lines) - 1))
        at = data.draw(st.integers(0, len(lines[number])))
        gone = data.draw(st.integers(0, 4))
        word = data.draw(st.sampled_from(["", *PUNCTUATION]))
        lines[number] = lines[number][:at] + word + lines[number][at + gone :]
    assert outcome("\n".join(lines))


@given(st.binary(max_size=200))
@example(b"\\")
@example(b"\\\n\\\n")
def test_any_bytes_give_an_assembly_or_an_error(content):
    found = outcome(content.decode("latin-1"))
    assert found or not content
