"""From addresses to names and source lines, and back: what a debugger and a report ask.

Made from an assembly, or from an ELF executable with symbols and a DWARF line table.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, NamedTuple

from tools import dwarf, elf_reader

if TYPE_CHECKING:
    from tools.assembler import Assembly


class SourceLine(NamedTuple):
    """A line of a source file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class NearestSymbol(NamedTuple):
    """The symbol at or below an address, and how far below."""

    name: str
    offset: int

    def __str__(self) -> str:
        return f"{self.name}+{self.offset:#x}" if self.offset else self.name


class SourceMap:
    """Symbols and lines of one program."""

    def __init__(self, symbols: Mapping[str, int], rows: Iterable[dwarf.LineRow] = ()) -> None:
        self._symbols = dict(symbols)
        self._names = sorted(
            (address, "." in name, name) for name, address in self._symbols.items()
        )
        self._rows = sorted(rows, key=lambda row: (row.address, not row.ends))
        self._addresses = [row.address for row in self._rows]
        self._places: dict[tuple[str, int], list[int]] = {}
        for row in self._rows:
            if not row.ends:
                key = (PurePath(row.file).name, row.line)
                self._places.setdefault(key, []).append(row.address)

    @classmethod
    def of_assembly(cls, assembly: Assembly) -> SourceMap:
        """The map of a source just assembled."""
        rows: list[dwarf.LineRow] = []
        end = -1
        for line in assembly.lines:
            if end not in {-1, line.address}:
                rows.append(dwarf.LineRow(end, "", 0, ends=True))
            rows.append(dwarf.LineRow(line.address, line.file, line.line))
            end = line.address + line.size
        if end >= 0:
            rows.append(dwarf.LineRow(end, "", 0, ends=True))
        return cls(assembly.symbols, rows)

    @classmethod
    def of_elf(cls, data: bytes, where: str) -> SourceMap:
        """The map of an executable; without debug information it has symbols only."""
        executable = elf_reader.read_elf(data, where)
        sections = elf_reader.read_sections(data, where)
        return cls(executable.symbols, dwarf.read_lines(sections, where))

    def address_of(self, name: str) -> int | None:
        """The value of a symbol."""
        return self._symbols.get(name)

    def nearest(self, address: int) -> NearestSymbol | None:
        """The symbol at or below an address; a label that is not local if there is a choice."""
        index = bisect_right(self._names, (address, True, "\U0010ffff")) - 1
        if index < 0:
            return None
        found = self._names[index][0]
        first = bisect_left(self._names, (found, False, ""))
        return NearestSymbol(self._names[first][2], address - found)

    def line_of(self, address: int) -> SourceLine | None:
        """The source line whose code or data is at an address."""
        index = bisect_right(self._addresses, address) - 1
        if index < 0 or self._rows[index].ends:
            return None
        row = self._rows[index]
        return SourceLine(row.file, row.line)

    def addresses_of(self, file: str, line: int) -> list[int]:
        """Where the code of a line begins; `file` may leave out its folders."""
        return self._places.get((PurePath(file).name, line), [])
