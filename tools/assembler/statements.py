"""What the lines of a source do, pass after pass: a statement is made once and run in every pass.

In the passes that measure, a statement only moves the place on; in the last one it hands over its
bytes. Instructions have a file of their own (instruction.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tools.assembler.errors import SourceError
from tools.assembler.expressions import Expression, no_registers
from tools.assembler.place import Place
from tools.assembler.sections import MAX_IMAGE_BYTES
from tools.assembler.values import is_unknown

MAX_LOOP: Final = 250_000
_NOP: Final = b"\x90"


class Statement:
    """One effect of one line."""

    __slots__ = ()

    def run(self, place: Place) -> None:
        """Take effect at this place, in this pass."""
        raise AssertionError

    is_code = False

    def fixed_content(self, place: Place) -> bytes | None:
        """The bytes, if they are the same wherever the statement stands; else None."""
        return None


def known_number(expression: Expression, place: Place, what: str) -> int:
    """The value of an expression that has to be a number known in the first pass."""
    value = no_registers(expression.evaluate(place))
    if isinstance(value, int):
        return value
    if is_unknown(value):
        raise SourceError(f"{what} has to be known at this point, but uses a later symbol")
    raise SourceError(f"{what} has to be a plain number, not an address")


class Label(Statement):
    """name:"""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, place: Place) -> None:
        place.define(self.name, place.here(), is_label=True)


class Equ(Statement):
    """name equ expression"""

    __slots__ = ("expression", "name")

    def __init__(self, name: str, expression: Expression) -> None:
        self.name = name
        self.expression = expression

    def run(self, place: Place) -> None:
        place.define(self.name, no_registers(self.expression.evaluate(place)))


@dataclass(slots=True)
class Item:
    """A value in a data line: bytes as they are, a number, or items repeated (`dup`)."""

    content: bytes = b""
    expression: Expression | None = None
    count: Expression | None = None
    items: Sequence[Item] = ()


class Data(Statement):
    """db, dw, dd, dq: `width` bytes each."""

    __slots__ = ("content", "items", "width")

    def __init__(self, width: int, items: Sequence[Item]) -> None:
        self.width = width
        self.items = items
        self.content: bytes | None = None
        if all(item.expression is None and item.count is None for item in items):
            self.content = b"".join(item.content for item in items)

    def fixed_content(self, place: Place) -> bytes | None:
        return self.content

    def _size(self, items: Sequence[Item], place: Place) -> int:
        total = 0
        for item in items:
            if item.count is not None:
                total += self._count(item.count, place) * self._size(item.items, place)
            elif item.expression is not None:
                total += self.width
                if place.pass_number == 2:  # report what is undefined together with other errors
                    no_registers(item.expression.evaluate(place))
            else:
                total += len(item.content)
        return total

    def _count(self, expression: Expression, place: Place) -> int:
        count = known_number(expression, place, "the number of a dup")
        if count < 0:
            raise SourceError(f"dup {count} is negative")
        return count

    def run(self, place: Place) -> None:
        if self.content is not None:
            place.put(self.content)
        elif not place.emitting:
            place.skip(self._size(self.items, place))
        else:
            place.check_room(self._size(self.items, place))
            output = bytearray()
            self._emit(self.items, place, output)
            place.put(bytes(output))

    def _emit(self, items: Sequence[Item], place: Place, output: bytearray) -> None:
        for item in items:
            if item.count is not None:
                repeated = bytearray()  # $ is the same for all of them: one is like another
                self._emit(item.items, place, repeated)
                output += repeated * self._count(item.count, place)
            elif item.expression is not None:
                value = no_registers(item.expression.evaluate(place))
                output += place.field(value, self.width)
            else:
                output += item.content


class Reserve(Statement):
    """resb, resw, resd, resq: room without content."""

    __slots__ = ("count", "width")

    def __init__(self, width: int, count: Expression) -> None:
        self.width = width
        self.count = count

    def size(self, place: Place) -> int:
        value = no_registers(self.count.evaluate(place))
        if is_unknown(value):
            return 0  # the first pass: the next one knows
        if not isinstance(value, int):
            raise SourceError("the size of a reservation has to be a plain number")
        if value < 0:
            raise SourceError(f"cannot reserve {value} units")
        return value * self.width

    def run(self, place: Place) -> None:
        place.reserve(self.size(place))


class Times(Statement):
    """times count statement"""

    __slots__ = ("count", "inner")

    def __init__(self, count: Expression, inner: Statement) -> None:
        self.count = count
        self.inner = inner

    def run(self, place: Place) -> None:
        count = known_number(self.count, place, "the count of times")
        if count < 0:
            if place.emitting:
                raise SourceError(f"times {count}: the count is negative")
            count = 0
        repeat(self.inner, count, place)


def repeat(statement: Statement, count: int, place: Place) -> None:
    """Run a statement many times, quickly where nothing depends on the place."""
    if isinstance(statement, Reserve):
        place.reserve(statement.size(place) * count)
        return
    content = statement.fixed_content(place)
    if content is not None:
        place.repeat(content, count, statement.is_code)
        return
    if count > MAX_LOOP:
        raise SourceError(f"{count} times a line that depends on its place: at most {MAX_LOOP}")
    place.spend(count)
    for _ in range(count):
        statement.run(place)


class Align(Statement):
    """align, alignb: up to a multiple of `boundary`, with `filler` (one byte each) or nop."""

    __slots__ = ("boundary", "filler", "reserve")

    def __init__(self, boundary: Expression, filler: Statement | None, reserve: bool) -> None:
        self.boundary = boundary
        self.filler = filler
        self.reserve = reserve

    def run(self, place: Place) -> None:
        boundary = known_number(self.boundary, place, "an alignment")
        if boundary <= 0 or boundary & (boundary - 1) or boundary > 1 << 31:
            raise SourceError(f"alignment {boundary} is not a power of two")
        place.raise_alignment(boundary)
        gap = -place.offset_in_section() % boundary
        if self.filler is not None:
            repeat(self.filler, gap, place)
        elif self.reserve or place.is_nobits:
            place.reserve(gap)
        else:
            place.repeat(_NOP, gap, is_code=True)


class SectionSwitch(Statement):
    """section NAME attributes"""

    __slots__ = ("attributes", "name")

    def __init__(self, name: str, attributes: dict[str, Expression | str | bool]) -> None:
        self.name = name
        self.attributes = attributes

    def run(self, place: Place) -> None:
        place.switch(self.name, self.attributes)


class Absolute(Statement):
    """absolute expression: labels without content, until the next section."""

    __slots__ = ("expression",)

    def __init__(self, expression: Expression) -> None:
        self.expression = expression

    def run(self, place: Place) -> None:
        place.go_absolute(no_registers(self.expression.evaluate(place)))


class EndAbsolute(Statement):
    """endstruc: back to the section before the structure; its size becomes NAME_size."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, place: Place) -> None:
        place.define(f"{self.name}_size", place.absolute_size())
        place.leave_absolute()


class Origin(Statement):
    """org address"""

    __slots__ = ("expression",)

    def __init__(self, expression: Expression) -> None:
        self.expression = expression

    def run(self, place: Place) -> None:
        place.set_origin(known_number(self.expression, place, "org"))


class Bits(Statement):
    """bits 16, bits 32"""

    __slots__ = ("bits",)

    def __init__(self, bits: int) -> None:
        self.bits = bits

    def run(self, place: Place) -> None:
        place.bits = self.bits


class Global(Statement):
    """global name, …"""

    __slots__ = ("names",)

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def run(self, place: Place) -> None:
        for name in self.names:
            place.make_global(name)


class Content(Statement):
    """incbin, and prefixes on a line of their own: bytes that are what they are."""

    __slots__ = ("content",)

    def __init__(self, content: bytes) -> None:
        if len(content) > MAX_IMAGE_BYTES:
            raise SourceError(f"more than {MAX_IMAGE_BYTES >> 20} MiB of content")
        self.content = content

    def fixed_content(self, place: Place) -> bytes | None:
        return self.content

    def run(self, place: Place) -> None:
        place.put(self.content)
