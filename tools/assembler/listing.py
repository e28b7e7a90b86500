"""The listing: line number, address, bytes and text of every line, as nasm -l writes it.

Lines of macro expansions and of included files carry their nesting, `<1>`. Unlike nasm's, the
addresses are final ones, and numbers in the bytes are resolved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from tools.assembler.errors import readable
from tools.assembler.lexer import spelling
from tools.assembler.place import Record
from tools.assembler.preprocessor import TraceLine
from tools.assembler.sources import Source

BYTES_PER_LINE: Final = 9
MARK_COLUMN: Final = 36
MOST_BYTES: Final = 4096  # of one record; more are only counted


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
    """A source line: one line of the listing, or more if its bytes do not fit."""
    nesting = _nesting(entry.source)
    mark = f"<{nesting}>" if nesting else ""
    text = _text(entry)
    shown = list(_bytes(records)) or [""]
    for index, field in enumerate(shown):
        prefix = f"{entry.number:6d} {field}"
        yield f"{prefix:<{MARK_COLUMN}}{mark:<4}{text if index == 0 else ''}"


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
    return readable(text)


def _bytes(records: Sequence[Record]) -> Iterator[str]:
    """Address and hexadecimal bytes of every line that a source line takes in the listing."""
    start, pending = 0, ""
    for record in records:
        address = record.section.address + record.offset
        content, abridged = _content(record)
        if abridged:
            yield from _chunks(start, pending)
            yield f"{address:08X} {content}"
            pending = ""
            continue
        start = start if pending else address
        pending += content
    yield from _chunks(start, pending)


def _content(record: Record) -> tuple[str, bool]:
    """The bytes of a record, and whether they are written in a shorter way."""
    if record.section.nobits:
        return f"<res {record.size:X}h>", True
    unit = record.size // record.repeats
    content = record.section.content[record.offset : record.offset + min(unit, MOST_BYTES)]
    if unit > MOST_BYTES:
        return f"<bin {record.size:X}h>", True
    if record.repeats > 1 and unit <= BYTES_PER_LINE:
        return f"{content.hex().upper()}<rep {record.repeats:X}h>", True
    return (content * record.repeats).hex().upper(), False


def _chunks(start: int, digits: str) -> Iterator[str]:
    width = 2 * BYTES_PER_LINE
    for at in range(0, len(digits), width):
        more = "-" if at + width < len(digits) else ""
        yield f"{start + at // 2:08X} {digits[at : at + width]}{more}"
