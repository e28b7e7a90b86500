"""The verb `asm`: NASM-dialect source to a flat binary or an ELF executable, with a listing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final, Literal

from cyclopts import App, Parameter

from isa.errors import TrapgateError
from tools.assembler import Assembly, assemble_file

EPILOGUE: Final = """\
Examples:
  trapgate asm kernel.asm
  trapgate asm kernel.asm -f elf32 -o kernel.elf
  trapgate asm boot.asm -o boot.bin -l boot.lst -D DEBUG=1 -I include
  trapgate asm guests/hello/hello.asm -o hello.bin --symbols hello.map

The dialect is NASM's as far as it goes. There is no linker: a source is
whole. Without -o the output is called like the source, with .bin or .elf.
Warnings go to standard error."""

_SUFFIXES: Final = {"bin": ".bin", "elf32": ".elf"}

app = App(name="asm", help_epilogue=EPILOGUE)


@app.default
def asm(
    source: Annotated[Path, Parameter(help="The source file.")],
    /,
    *,
    format: Annotated[
        Literal["bin", "elf32"], Parameter(name=["--format", "-f"], help="What to write.")
    ] = "bin",
    output: Annotated[
        Path | None,
        Parameter(
            name=["--output", "-o"],
            allow_leading_hyphen=True,
            help="Where to write it; - is standard output.",
        ),
    ] = None,
    listing: Annotated[
        Path | None,
        Parameter(
            name=["--listing", "-l"], allow_leading_hyphen=True, help="Also write a listing there."
        ),
    ] = None,
    symbols: Annotated[
        Path | None,
        Parameter(allow_leading_hyphen=True, help="Also write the symbols and their values there."),
    ] = None,
    define: Annotated[
        tuple[str, ...],
        Parameter(
            name=["--define", "-D"],
            negative="",
            show_default=False,
            help="NAME or NAME=VALUE, as %define.",
        ),
    ] = (),
    include: Annotated[
        tuple[Path, ...],
        Parameter(
            name=["--include", "-I"],
            negative="",
            show_default=False,
            help="A folder searched by %include.",
        ),
    ] = (),
    bits: Annotated[
        Literal[16, 32] | None,
        Parameter(help="Code size at the start (default: 16 for bin, 32 for elf32)."),
    ] = None,
    entry: Annotated[str | None, Parameter(help="Symbol of the entry point (elf32).")] = None,
) -> None:
    """Assemble a file."""
    assembly = assemble_file(
        source,
        format=format,
        defines=dict(_definition(text) for text in define),
        include_paths=include,
        bits=bits,
        entry=entry,
    )
    for warning in assembly.warnings:
        print(f"trapgate: {warning}", file=sys.stderr)
    _write(output or source.with_suffix(_SUFFIXES[format]), assembly.bytes, source)
    if listing is not None:
        _write(listing, assembly.listing().encode(), source)
    if symbols is not None:
        _write(symbols, _symbol_map(assembly).encode(), source)


def _definition(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name.isidentifier():
        raise TrapgateError(f"-D {text}: write NAME or NAME=VALUE")
    return name, value


def _symbol_map(assembly: Assembly) -> str:
    """One symbol per line: value, place or constant, name."""
    return "".join(
        f"{value & 0xFFFFFFFF:08x} {kind:<8} {name}\n"
        for kind, symbols in (("place", assembly.symbols), ("constant", assembly.constants))
        for name, value in symbols.items()
    )


def _write(path: Path, content: bytes, source: Path) -> None:
    """Write a result, whole or not at all as far as the file system lets us."""
    if str(path) == "-":
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    if str(path).startswith("-"):
        raise TrapgateError(f"{path}: an option where the name of a file was expected")
    if path.exists() and path.samefile(source):
        raise TrapgateError(f"{path}: would overwrite the source; name another output with -o")
    try:
        path.write_bytes(content)
    except OSError as error:
        raise TrapgateError(f"{path}: cannot be written: {error.strerror}") from None
