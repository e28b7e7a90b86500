"""The verb `disasm`: bytes become instructions, addresses become names.

Sweeps linearly from every symbol: data is shown as whatever it decodes to, or as `db`. Reads the
instruction table only; needs no compiler.
"""

from __future__ import annotations

import json as json_text
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from cyclopts import App, Parameter

from isa.disassembly import sweep
from isa.errors import TrapgateError
from tools import catalogue, elf_reader
from tools.arguments import Address, Flag
from tools.state_view import code_lines

EPILOGUE: Final = """\
Examples:
  trapgate disasm kernel.elf
  trapgate disasm boot.bin --bits 16 --origin 0x7C00
  trapgate disasm "0f 01 10 0f 22 d8"
  trapgate disasm guests/hello --json"""

_HEX: Final = re.compile(r"(?:0x)?((?:[0-9a-f]{2}[\s,]*(?:0x|\\x)?)+)", re.IGNORECASE)

app = App(name="disasm", help_epilogue=EPILOGUE)


@dataclass(frozen=True)
class Part:
    """Consecutive bytes at an address."""

    address: int
    data: bytes


@app.default
def disasm(
    code: Annotated[
        str, Parameter(help="ELF or flat file, guest, assembly source, or bytes in hexadecimal.")
    ],
    /,
    *,
    bits: Annotated[Literal[16, 32], Parameter(help="Default operand and address size.")] = 32,
    origin: Annotated[
        Address | None, Parameter(help="Address of the first byte of a flat file.")
    ] = None,
    json: Annotated[Flag, Parameter(help="Print a JSON list.")] = False,
) -> None:
    """Disassemble."""
    parts, symbols = _read(code, origin)
    if json:
        records = [record for part in parts for record in _records(part, bits)]
        print(json_text.dumps(records, indent=2))
        return
    for part in parts:
        print("\n".join(code_lines(part.data, part.address, bits, symbols)))


def _records(part: Part, bits: int) -> list[dict[str, object]]:
    return [
        {"address": address, "bytes": data.hex(), "text": text}
        for address, data, text in sweep(part.data, bits, part.address)
    ]


def _read(code: str, origin: int | None) -> tuple[list[Part], Mapping[str, int] | None]:
    """What to disassemble, and the names in it."""
    literal = _HEX.fullmatch(code.strip())
    if literal is not None and not Path(code).exists():
        data = bytes.fromhex(re.sub(r"0x|\\x|[\s,]", "", literal[0], flags=re.IGNORECASE))
        return [Part(origin or 0, data)], None
    if not Path(code).exists() and catalogue.find(code) is None:
        raise TrapgateError(f"{code}: no such file, and not bytes in hexadecimal")
    from tools.program import read_content

    content = read_content(code)
    if elf_reader.is_elf(content.data):
        executable = elf_reader.read_elf(content.data, content.where)
        parts = [Part(part.linear, part.data) for part in executable.segments if part.executable]
        return parts, executable.symbols
    address = (content.address or 0) if origin is None else origin
    return [Part(address, content.data)], content.symbols
