"""Recorded bytes: what NASM made of the sources in tests/tools/assembly.

A program NAME.asm has its image in NAME.hex. The files lines16.txt and lines32.txt hold single
lines: bytes, then source. `python -m tests.oracles.record_nasm` records all of them again.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).with_name("assembly")
PROGRAMS = sorted(FOLDER.glob("*.asm"))
LINES = {bits: FOLDER / f"lines{bits}.txt" for bits in (16, 32)}
DIGITS_PER_LINE = 96


def read_program(source: Path) -> bytes:
    """The recorded image of a program."""
    return bytes.fromhex(source.with_suffix(".hex").read_text())


def write_program(source: Path, image: bytes) -> None:
    """Record the image of a program."""
    digits = image.hex()
    rows = [digits[at : at + DIGITS_PER_LINE] for at in range(0, len(digits), DIGITS_PER_LINE)]
    source.with_suffix(".hex").write_text("\n".join(rows) + "\n")


def read_lines(path: Path) -> dict[str, bytes]:
    """The recorded lines and their bytes."""
    pairs = (row.split(" ", 1) for row in path.read_text().splitlines())
    return {line: bytes.fromhex(digits) for digits, line in pairs}


def write_lines(path: Path, lines: dict[str, bytes]) -> None:
    """Record lines and their bytes."""
    path.write_text("".join(f"{data.hex()} {line}\n" for line, data in lines.items()))
