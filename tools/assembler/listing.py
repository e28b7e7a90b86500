"""The listing: line number, address, bytes and text of every line, as nasm -l writes it.

Lines of macro expansions and of included files carry their nesting, `<1>`. Unlike nasm's, the
addresses are final ones, and numbers in the bytes are resolved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from tools.assembler.lexer import spelling
from tools.assembler.place import Record
from tools.assembler.preprocessor import TraceLine
from tools.assembler.sources import Source

BYTES_PER_LINE: Final = 9
TEXT_COLUMN: Final = 40


def listing(trace: Sequence[TraceLine], records: Sequence[Record]) -> str:
    """The whole listing."""
    by_line: dict[int, list[Record]] = defaultdict(list)
    for record in records:
        by_line[record.trace_index].append(record)
    lines: list[str] = []
    for index, entry in enumerate(trace):
        lines.extend(_line(entry, by_line.get(index, [])))
    return "".join(line.rstrip() + "\n" for line in lines)


def _line(entry: TraceLine, records: Sequence[Record]) -> Iterator[str]:
    nesting = _nesting(entry.source)
    mark = f" <{nesting}>" if nesting else ""
    text = _text(entry)
    first = True
    for address, shown in _bytes(records):
        prefix = f"{entry.number:6d} {address:08X} {shown}"
        if first:
            yield (
                f"{prefix:<{TEXT_COLUMN - len(mark)}}{mark}{text}"
                if mark
                else (f"{prefix:<{TEXT_COLUMN}}{text}")
            )
        else:
            yield prefix
        first = False
    if first:
        prefix = f"{entry.number:6d}"
        yield f"{prefix:<{TEXT_COLUMN - len(mark)}}{mark}{text}"


def _nesting(source: Source) -> int:
    """How deep in includes and macros the line stands."""
    depth = 0
    outer = source.outer
    while outer is not None:
        depth += 1
        outer = outer.outer
    return depth


def _text(entry: TraceLine) -> str:
    if entry.tokens is not None:
        text = spelling(entry.tokens)
    elif entry.source.texts:
        text = entry.source.texts[entry.number - 1]
    else:
        text = ""
    return text.encode("latin-1", "replace").decode("utf-8", "replace")


def _bytes(records: Sequence[Record]) -> Iterator[tuple[int, str]]:
    """Address and hexadecimal bytes of every line that a source line takes in the listing."""
    pending, start = "", 0
    for record in records:
        section = record.section
        if section is None:
            continue
        address = section.address + record.offset
        if section.nobits:
            yield address, f"<res {record.size:X}h>"
            continue
        content = section.content[record.offset : record.offset + record.size].hex().upper()
        if not pending:
            start = address
        pending += content
    while pending:
        chunk, pending = pending[: 2 * BYTES_PER_LINE], pending[2 * BYTES_PER_LINE :]
        yield start, chunk + ("-" if pending else "")
        start += BYTES_PER_LINE
