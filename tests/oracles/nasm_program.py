"""NASM on whole sources and on single lines: what it makes of them, and what it refuses."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.oracles.nasm_assembler import assemble

_REFUSED = re.compile(r":(\d+): (?:error|panic|fatal)")


def flat_image(source: Path, folder: Path) -> bytes | None:
    """The flat image NASM makes of a source, in the source's folder; None if it refuses it."""
    target = folder / "nasm.bin"
    target.unlink(missing_ok=True)
    subprocess.run(
        ["nasm", "-w-all", "-f", "bin", "-o", str(target), source.name],
        cwd=source.parent,
        capture_output=True,
        check=False,
    )
    return target.read_bytes() if target.exists() else None


def accepted_lines(lines: Sequence[str], bits: int, folder: Path) -> dict[str, bytes]:
    """The lines that NASM takes, with their bytes."""
    left = list(lines)
    while refused := _refused(left, bits, folder):
        left = [line for number, line in enumerate(left) if number not in refused]
    return dict(zip(left, assemble(left, bits, folder), strict=True))


def _refused(lines: Sequence[str], bits: int, folder: Path) -> set[int]:
    source = folder / f"all{bits}.asm"
    source.write_text("\n".join([f"bits {bits}", *lines, ""]))
    run = subprocess.run(
        ["nasm", "-w-all", "-f", "elf32", "-o", str(folder / "all.o"), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    return {int(number) - 2 for number in _REFUSED.findall(run.stderr)}
