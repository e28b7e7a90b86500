"""The assembler against NASM: the same bytes for every source that both take."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from isa.errors import TrapgateError
from tests.oracles.assembler_corpus import address_lines, form_lines, random_program
from tests.oracles.nasm_program import accepted_lines, flat_image
from tests.tools.golden import LINES, PROGRAMS, read_lines, read_program
from tools.assembler import assemble_file, assemble_text

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(shutil.which("nasm") is None, reason="nasm is not installed"),
]

ROOT = Path(__file__).resolve().parents[2]
GUESTS = sorted((ROOT / "guests").rglob("*.asm"))

# NASM cuts numbers that do not fit, with a warning; it also knows registers that no processor has,
# lets MOV load CS, which none can, and encodes UD0 and UD1 without their operands.
STRICTER = ("does not fit", "cannot be loaded", "there is no")


def ours(line: str, bits: int) -> bytes | str:
    """The bytes of a line, or the message if it is refused."""
    try:
        return assemble_text(line, bits=bits).bytes
    except TrapgateError as error:
        return str(error)


def differences(lines: list[str], bits: int, folder: Path) -> tuple[int, list[str]]:
    """How many lines were compared, and those where NASM's bytes are not ours."""
    compared = 0
    found: list[str] = []
    for line, data in accepted_lines(lines, bits, folder).items():
        own = ours(line, bits)
        if isinstance(own, str) and any(reason in own for reason in STRICTER):
            continue
        compared += 1
        if own != data:
            shown = own if isinstance(own, str) else own.hex()
            found.append(f"{line}: ours {shown}, NASM {data.hex()}")
    return compared, found


@pytest.mark.parametrize("bits", [16, 32])
def test_every_form_is_chosen_as_nasm_chooses_it(bits, tmp_path):
    compared, found = differences(form_lines(), bits, tmp_path)
    assert not found
    assert compared > 4000


@pytest.mark.parametrize("bits", [16, 32])
def test_every_address_is_encoded_as_nasm_encodes_it(bits, tmp_path):
    compared, found = differences(address_lines(), bits, tmp_path)
    assert not found
    assert compared > 1000


@pytest.mark.parametrize("first", range(0, 80, 20))
def test_sizes_settle_as_nasm_settles_them(first, tmp_path):
    for seed in range(first, first + 20):
        text = random_program(seed)
        source = tmp_path / "program.asm"
        source.write_text(text)
        expected = flat_image(source, tmp_path)
        assert expected is not None, f"seed {seed}"
        assert assemble_text(text).bytes == expected, f"seed {seed}"


def random_expression(choice: random.Random, depth: int) -> str:
    """An expression that does not divide by zero.

    `<=>` is left out: NASM 2.16 gives 0 for "less", its manual says -1.
    """
    if depth == 0 or choice.random() < 0.2:
        return choice.choice(("0", "1", "7", "0x80000000", "-1", "0xFFFFFFFFFFFFFFFF", "'ab'"))
    left, right = random_expression(choice, depth - 1), random_expression(choice, depth - 1)
    operator = choice.choice(
        ("+", "-", "*", "&", "|", "^", "<", "<=", ">", ">=", "==", "!=", "&&", "||", "^^")
    )
    forms = (
        f"({left} {operator} {right})",
        f"{left} {operator} {right}",
        f"({left}) << {choice.randint(0, 63)}",
        f"({left}) {choice.choice(('>>', '>>>'))} {choice.randint(0, 63)}",
        f"({left}) {choice.choice(('/', '//', '%', '%%'))} ({choice.choice((3, 7, 1000))})",
        f"{choice.choice('-~!+')}({left})",
        f"({left}) ? ({right}) : {choice.randint(0, 9)}",
    )
    return choice.choice(forms)


def test_expressions_are_worth_what_nasm_says(tmp_path):
    choice = random.Random(5)
    text = "".join(f"dq {random_expression(choice, 4)}\n" for _ in range(2000))
    source = tmp_path / "expressions.asm"
    source.write_text(text)
    expected = flat_image(source, tmp_path)
    assert expected is not None
    own = assemble_text(text).bytes
    different = [
        f"{line}: ours {own[at : at + 8].hex()}, NASM {expected[at : at + 8].hex()}"
        for number, line in enumerate(text.splitlines())
        for at in [8 * number]
        if own[at : at + 8] != expected[at : at + 8]
    ]
    assert not different


@pytest.mark.parametrize("path", GUESTS, ids=lambda path: path.stem)
def test_guests_are_assembled_as_nasm_assembles_them(path, tmp_path):
    assert assemble_file(path).bytes == flat_image(path, tmp_path)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_recorded_programs_are_nasms(path, tmp_path):
    assert read_program(path) == flat_image(path, tmp_path)


@pytest.mark.parametrize("bits", [16, 32])
def test_recorded_lines_are_nasms(bits, tmp_path):
    recorded = read_lines(LINES[bits])
    assert accepted_lines(list(recorded), bits, tmp_path) == recorded
