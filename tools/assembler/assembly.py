"""The result of an assembly: bytes, segments, symbols, lines, listing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from isa.errors import TrapgateError
from tools.assembler import listing
from tools.assembler.errors import Diagnostic, Diagnostics, SourceError, readable
from tools.assembler.place import Place, Record
from tools.assembler.preprocessor import TraceLine
from tools.assembler.sections import Section
from tools.assembler.values import Linear


class Segment(NamedTuple):
    """Bytes at an address, followed by zeros up to `memory_bytes`."""

    address: int
    content: bytes
    memory_bytes: int
    executable: bool
    writable: bool


class Line(NamedTuple):
    """The source line of the code or data at an address; `size` bytes belong to it."""

    address: int
    file: str
    line: int
    size: int
    is_code: bool


@dataclass(frozen=True)
class Assembly:
    """What was made of a source.

    Attributes:
        format: "bin" or "elf32".
        bytes: the file: the flat image, or the executable.
        origin: address of the first byte of the image.
        entry: address of the first instruction to execute.
        symbols: names of places and their addresses, in address order.
        constants: the other symbols: equ, members of structures, labels in an absolute section.
        homes: the section of every symbol in `symbols`.
        globals: the names that the source declares global.
        segments: what to load where, by address.
        warnings: what the source may not have meant.
    """

    format: str
    bytes: bytes = field(repr=False)
    origin: int
    entry: int
    symbols: Mapping[str, int]
    constants: Mapping[str, int]
    homes: Mapping[str, str]
    globals: frozenset[str]
    segments: Sequence[Segment]
    warnings: Sequence[Diagnostic]
    sections: Sequence[Section] = field(repr=False, default=())
    _records: Sequence[Record] = field(repr=False, default=())
    _trace: Sequence[TraceLine] = field(repr=False, default=())

    @cached_property
    def lines(self) -> Sequence[Line]:
        """The source line of every address that has content, by address.

        What a macro makes belongs to the line that calls the macro.
        """
        lines = [
            Line(
                record.section.address + record.offset,
                position.file,
                position.line,
                record.size,
                record.is_code,
            )
            for record in self._records
            for position in [record.position.source_line()]
        ]
        return sorted(lines)

    def listing(self) -> str:
        """The source with addresses and bytes in front, as nasm -l writes it."""
        return listing.listing(self._trace, self._records)


def build(
    name: str, format: str, place: Place, trace: Sequence[TraceLine], diagnostics: Diagnostics
) -> Assembly:
    """The result, from the place at the end of the last pass."""
    values = _values(place)
    homes = {
        readable(label): home.name
        for label, home in place.labels.items()
        if home is not None and label in place.defined
    }
    symbols = {symbol: value for symbol, value in values.items() if symbol in homes}
    sections = place.used_sections()
    origin = place.origin or 0
    if format == "bin":
        segments = _flat_segments(place)
        content = _image(place, origin)
    else:
        from tools.elf_writer import write_executable

        for symbol in sorted(place.globals - place.defined.keys()):
            raise TrapgateError(f"{name}: global symbol '{symbol}' is not defined")
        segments = _executable_segments(place)
        origin = min((segment.address for segment in segments), default=0)
        content = b""
    entry = _entry(name, format, place, values, segments, origin)
    assembly = Assembly(
        format,
        content,
        origin,
        entry,
        symbols,
        {symbol: value for symbol, value in values.items() if symbol not in homes},
        homes,
        frozenset(readable(symbol) for symbol in place.globals),
        segments,
        tuple(diagnostics.warnings),
        sections,
        place.records,
        trace,
    )
    if format == "bin":
        return assembly
    return _with_bytes(assembly, write_executable(assembly, name))


def _with_bytes(assembly: Assembly, content: bytes) -> Assembly:
    object.__setattr__(assembly, "bytes", content)
    return assembly


def _values(place: Place) -> dict[str, int]:
    """Symbols with final values; those of the assembler's own making are left out."""
    found: dict[str, int] = {}
    for name, value in place.symbols.items():
        if name not in place.defined or name.startswith("..@"):
            continue
        try:
            number = place.resolve(value)
        except SourceError:
            if isinstance(value, Linear):
                continue
            raise
        found[readable(name)] = number & 0xFFFFFFFF
    return dict(sorted(found.items(), key=lambda pair: pair[1]))


def _flat_segments(place: Place) -> list[Segment]:
    sections = sorted(place.used_sections(), key=lambda section: section.address)
    return [
        Segment(
            section.address,
            bytes(section.content),
            section.size,
            section.executable,
            section.writable,
        )
        for section in sections
        if section.size
    ]


def _image(place: Place, origin: int) -> bytes:
    """The sections one behind the other, gaps filled with zeros."""
    image = bytearray()
    for section in place.image_order:
        if section.content:
            image += bytes(section.offset - origin - len(image))
            image += section.content
    return bytes(image)


def _executable_segments(place: Place) -> list[Segment]:
    segments = []
    for members in place.segments:
        start = members[0].address
        content = bytearray()
        for section in members:
            if section.content:
                content += bytes(section.address - start - len(content))
                content += section.content
        end = members[-1].address + members[-1].size
        if end > start:
            segments.append(
                Segment(
                    start,
                    bytes(content),
                    end - start,
                    any(section.executable for section in members),
                    any(section.writable for section in members),
                )
            )
    return segments


def _entry(
    name: str,
    format: str,
    place: Place,
    symbols: Mapping[str, int],
    segments: Sequence[Segment],
    origin: int,
) -> int:
    """The entry point: as asked for, by its customary name, or where the code begins."""
    wanted = place.entry_name
    if wanted is not None:
        if wanted not in symbols:
            raise TrapgateError(f"{name}: entry point '{wanted}' is not a symbol of this source")
        return symbols[wanted]
    customary = ("..start",) if format == "bin" else ("..start", "_start", "start")
    for candidate in customary:
        if candidate in symbols:
            return symbols[candidate]
    code = [segment.address for segment in segments if segment.executable]
    return origin if format == "bin" else min(code, default=origin)
