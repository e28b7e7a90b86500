"""Record what NASM makes of the sources in tests/tools/assembly.

Run as `python -m tests.oracles.record_nasm` after adding a source there. The recorded bytes keep
the assembler's tests meaningful where NASM is not installed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.oracles.assembler_corpus import address_lines, form_lines
from tests.oracles.nasm_program import accepted_lines, flat_image
from tests.tools.golden import LINES, PROGRAMS, write_lines, write_program
from tools.assembler import AssemblyError, assemble_text

# Every so many lines of the corpus are recorded.
FORM_STEP = 5
ADDRESS_STEP = 7


def is_taken(line: str, bits: int) -> bool:
    """Whether our assembler takes the line."""
    try:
        assemble_text(line, bits=bits)
    except AssemblyError:
        return False
    return True


def main() -> None:
    """Record everything."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for source in PROGRAMS:
            image = flat_image(source, folder)
            if image is None:
                raise SystemExit(f"{source.name}: NASM refuses it")
            write_program(source, image)
        for bits, path in LINES.items():
            lines = form_lines()[::FORM_STEP] + address_lines()[::ADDRESS_STEP]
            taken = [line for line in lines if is_taken(line, bits)]
            write_lines(path, accepted_lines(taken, bits, folder))


if __name__ == "__main__":
    main()
