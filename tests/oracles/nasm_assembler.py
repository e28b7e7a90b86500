"""Many lines to NASM, the bytes of each line back."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from elftools.elf.elffile import ELFFile

from tests.case_count import count_case


def assemble(lines: Sequence[str], bits: int, folder: Path) -> list[bytes]:
    """Assemble all lines in one run; AssertionError with NASM's words if it refuses any."""
    source, target = folder / f"lines{bits}.asm", folder / f"lines{bits}.o"
    labelled = [f"i{number}: {line}" for number, line in enumerate(lines)]
    source.write_text("\n".join([f"bits {bits}", *labelled, f"i{len(lines)}:", ""]))
    run = subprocess.run(
        ["nasm", "-f", "elf32", "-o", str(target), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    count_case(len(lines))
    return split_at_labels(target.read_bytes(), len(lines))


def split_at_labels(image: bytes, count: int) -> list[bytes]:
    """The text section of an ELF object, cut at the labels i0, i1, ..."""
    elf = ELFFile(io.BytesIO(image))
    text = elf.get_section_by_name(".text").data()
    symbols = elf.get_section_by_name(".symtab").iter_symbols()
    addresses = {symbol.name: symbol["st_value"] for symbol in symbols}
    marks = [addresses[f"i{number}"] for number in range(count + 1)]
    return [text[start:end] for start, end in pairwise(marks)]
