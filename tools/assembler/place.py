"""The place that an assembly has reached: section, offset, symbols; one for all passes.

In the passes that measure, symbols that are defined further down have the value of the pass
before; in the last pass the bytes are collected. Knows nothing of instructions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tools.assembler import values
from tools.assembler.errors import Diagnostics, FatalError, Position, SourceError
from tools.assembler.expressions import Constant, Expression, no_registers
from tools.assembler.sections import ADDRESS_LIMIT, MAX_IMAGE_BYTES, Section, new_section
from tools.assembler.values import UNKNOWN_VALUE, Base, Linear, Value

MAX_STEPS: Final = 1_000_000  # statements run in all passes together

Attributes = Mapping[str, Expression | str | bool]


class Record(NamedTuple):
    """Bytes that a line has made, `repeats` times over: for the listing and the line table."""

    trace_index: int
    position: Position
    section: Section
    offset: int
    size: int
    is_code: bool
    repeats: int = 1


@dataclass(frozen=True, slots=True)
class Definition:
    """Where a symbol was defined in this pass."""

    position: Position
    is_label: bool


class Place:
    """Where the next byte goes, and what is known about symbols."""

    def __init__(self, bits: int, diagnostics: Diagnostics) -> None:
        self.diagnostics = diagnostics
        self.default_bits = bits
        self.sections: dict[str, Section] = {}
        self.symbols: dict[str, Value] = {}
        self.globals: set[str] = set()
        self.labels: dict[str, Section | None] = {}
        self.emitting = False
        self.origin: int | None = None
        self.records: list[Record] = []
        self.position = Position("", 0)
        self.index = 0
        self.changed = ""
        self._budget = MAX_STEPS
        self._used_count = 0
        self.entry_name: str | None = None
        self.image_order: Sequence[Section] = ()
        self.segments: Sequence[Sequence[Section]] = ()
        self.pass_number = 0
        self.begin_pass()

    def spend(self, steps: int) -> None:
        """Account for work, so that no source can keep the assembler busy for long."""
        self._budget -= steps
        if self._budget < 0:
            raise FatalError("the source takes too many passes over too many lines")

    # -- passes ----------------------------------------------------------------------------------

    def begin_pass(self, emitting: bool = False) -> None:
        """Go back to the start of the source."""
        self.pass_number += 1
        self.emitting = emitting
        self.bits = self.default_bits
        self.defined: dict[str, Definition] = {}
        self.changed = ""
        self._total = 0
        self._origin_set = False
        self._absolute: Value | None = None
        self._absolute_offset = 0
        self._locked: set[str] = set()
        for section in self.sections.values():
            section.size = 0
        self.section = self._section(".text")
        self._line_offset = 0

    def begin_line(self, position: Position, index: int) -> None:
        """A new line, or a new statement of one; `index` is its place in the trace."""
        self.position = position
        self.index = index
        self._line_offset = self.section.size

    # -- sections --------------------------------------------------------------------------------

    def _section(self, name: str) -> Section:
        section = self.sections.get(name)
        if section is None:
            section = self.sections[name] = new_section(name)
        return section

    def _use(self) -> None:
        """Remember in which order the sections are used."""
        if not self.section.used:
            self._used_count += 1
            self.section.used = self._used_count

    def used_sections(self) -> list[Section]:
        """The sections that the source uses, in that order."""
        used = [section for section in self.sections.values() if section.used]
        return sorted(used, key=lambda section: section.used)

    def switch(self, name: str, attributes: Attributes) -> None:
        """Continue in a section, which may be new."""
        section = self._section(name)
        self._absolute = None
        self.section = section
        self._line_offset = section.size
        self._use()
        if attributes and name not in self._locked:
            self._locked.add(name)
            for key, value in attributes.items():
                self._set_attribute(section, key, value)

    def _set_attribute(self, section: Section, key: str, value: Expression | str | bool) -> None:
        if isinstance(value, Expression):
            number = no_registers(value.evaluate(self))
            if not isinstance(number, int):
                raise SourceError(f"{key}= of section {section.name} has to be a plain number")
            if key in {"align", "valign"}:
                _check_alignment(number)
                section.align = max(section.align, number) if key == "valign" else number
            elif key == "start":
                section.start = number
            else:
                section.vstart = number
        elif key == "follows":
            section.follows = str(value)
        elif key == "vfollows":
            section.vfollows = str(value)
        elif key in {"progbits", "nobits"}:
            section.nobits = key == "nobits"
        elif key in {"exec", "noexec"}:
            section.executable = key == "exec"
        elif key in {"write", "nowrite"}:
            section.writable = key == "write"

    def raise_alignment(self, boundary: int) -> None:
        """The section has to start at such a boundary for the offsets in it to mean anything."""
        if self._absolute is None:
            self.section.align = max(self.section.align, boundary)

    def go_absolute(self, start: Value) -> None:
        """Leave the sections: labels count from `start`, nothing can have content."""
        self._absolute = start
        self._absolute_offset = 0

    def leave_absolute(self) -> None:
        """Back to the section before."""
        self._absolute = None

    @property
    def is_absolute(self) -> bool:
        """Whether the place is outside of all sections."""
        return self._absolute is not None

    @property
    def is_nobits(self) -> bool:
        """Whether content is impossible here."""
        return self._absolute is not None or self.section.nobits

    def set_origin(self, origin: int) -> None:
        """Set the address at which the image begins."""
        if self._origin_set and origin != self.origin:
            raise SourceError("the origin is set twice")
        if not 0 <= origin < ADDRESS_LIMIT:
            raise SourceError(f"org {origin:#x} is outside of the 4 GiB address space")
        self._origin_set = True
        self.origin = origin

    # -- scope -----------------------------------------------------------------------------------

    def here(self) -> Value:
        """The value of $: where the line's content begins, also while it is repeated."""
        if self._absolute is not None:
            return values.add(self._absolute, self._absolute_offset)
        return Linear(self._line_offset, self.section.terms)

    def current(self) -> Linear:
        """Where the next byte goes."""
        return Linear(self.section.size, self.section.terms)

    def section_start(self) -> Value:
        """The value of $$."""
        return 0 if self._absolute is not None else Linear(0, self.section.terms)

    def offset_in_section(self) -> int:
        """The value of $-$$."""
        if self._absolute is None:
            return self.section.size
        start = self._absolute
        return self._absolute_offset + (start if isinstance(start, int) else 0)

    def absolute_size(self) -> int:
        """How far an absolute section is filled."""
        return self._absolute_offset

    def lookup(self, name: str) -> Value:
        """The value of a symbol; unknown in the first pass if it comes later."""
        value = self.symbols.get(name)
        if value is not None:
            return value
        if self.pass_number <= 1:
            return UNKNOWN_VALUE
        mark = self._boundary(name)
        if mark is not None:
            return mark
        raise SourceError(f"symbol '{name}' is not defined")

    def _boundary(self, name: str) -> Value | None:
        """`section.NAME.start` and its relatives."""
        if not name.startswith("section."):
            return None
        section_name, _, what = name[len("section.") :].rpartition(".")
        section = self.sections.get(section_name)
        mark = section.marks.get(what) if section is not None else None
        return Linear(0, {mark: 1}) if mark is not None else None

    def define(self, name: str, value: Value, is_label: bool = False) -> None:
        """Give a symbol its value in this pass."""
        before = self.defined.get(name)
        old = self.symbols.get(name)
        if before is not None:
            if not is_label and not before.is_label and old == value:
                return
            raise SourceError(f"symbol '{name}' is already defined at {before.position}")
        self.defined[name] = Definition(self.position, is_label)
        if is_label:
            self.labels[name] = None if self._absolute is not None else self.section
            if self._absolute is None:
                self._use()
        if old != value:
            self.changed = name
            self.symbols[name] = value

    def make_global(self, name: str) -> None:
        """Mark a symbol as visible from outside."""
        self.globals.add(name)

    # -- content ---------------------------------------------------------------------------------

    def check_room(self, size: int) -> None:
        """Refuse content where there can be none, or more of it than an image may have."""
        if self._absolute is not None:
            raise SourceError("an absolute section cannot have content, only reservations")
        if self.section.nobits:
            raise SourceError(f"section {self.section.name} cannot have content, only reservations")
        if self._total + size > MAX_IMAGE_BYTES:
            raise SourceError(f"the image is larger than {MAX_IMAGE_BYTES >> 20} MiB")

    def skip(self, size: int) -> None:
        """Leave room for content that will come in the last pass."""
        self.check_room(size)
        self._total += size
        self.section.size += size
        self._use()

    def put(self, content: bytes, is_code: bool = False, repeats: int = 1) -> None:
        """Add content."""
        size = len(content)
        if self.emitting:
            self._record(size, is_code, repeats)
            self.section.content += content
        self.skip(size)

    def repeat(self, content: bytes, count: int, is_code: bool = False) -> None:
        """Add the same content many times."""
        self.check_room(len(content) * count)
        if self.emitting:
            self.put(content * count, is_code, count)
        else:
            self.skip(len(content) * count)

    def reserve(self, size: int) -> None:
        """Leave room without content."""
        if self._absolute is not None:
            self._absolute_offset += size
            if self._absolute_offset > ADDRESS_LIMIT:
                raise SourceError("an absolute section is larger than 4 GiB")
            return
        if not self.section.nobits:
            self.check_room(size)
            self._total += size
        elif self.section.size + size > ADDRESS_LIMIT:
            raise SourceError(f"section {self.section.name} is larger than 4 GiB")
        if self.emitting:
            self._record(size, is_code=False)
            if not self.section.nobits:
                self.section.content += bytes(size)
        self.section.size += size
        self._use()

    def _record(self, size: int, is_code: bool, repeats: int = 1) -> None:
        if size:
            section = self.section
            self.records.append(
                Record(self.index, self.position, section, section.size, size, is_code, repeats)
            )

    # -- numbers in the last pass ----------------------------------------------------------------

    def resolve(self, value: Value) -> int:
        """The number behind a value, now that the sections have addresses."""
        if isinstance(value, int):
            return value
        total = value.constant
        addresses = 0
        for term, count in value.terms.items():
            if not isinstance(term, Base):
                raise SourceError("the value depends on itself")
            own = term is self.section and count == -1
            if count != 1 and not own:
                raise SourceError(
                    f"{values.describe(value)}: an address can be used only plus or minus a number"
                )
            addresses += 0 if own else 1
            total += count * term.address
        if addresses != 1:
            raise SourceError(f"{values.describe(value)} is not one address and a number")
        return total

    def field(self, value: Value, width: int) -> bytes:
        """The bytes of a data item."""
        return self.number(value, width * 8).to_bytes(width, "little")

    def number(self, value: Value, bits: int) -> int:
        """The value as an unsigned number of so many bits; refuses numbers that do not fit."""
        resolved = self.resolve(value)
        if not -(1 << bits) <= resolved < 1 << bits and bits < 64:
            if isinstance(value, int):
                raise SourceError(f"{values.describe(value)} does not fit in {bits} bits")
            self.diagnostics.warning(self.position, f"address {resolved:#x} is cut to {bits} bits")
        return resolved & ((1 << bits) - 1)


class CriticalScope:
    """The place as the preprocessor sees it: only what was defined above this line counts.

    `asked` tells whether anything was asked at all: whether the answer can change between passes.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.asked = False

    def here(self) -> Value:
        """The value of $: where the next line will begin."""
        self.asked = True
        return self.place.here() if self.place.is_absolute else self.place.current()

    def section_start(self) -> Value:
        """The value of $$."""
        self.asked = True
        return self.place.section_start()

    def lookup(self, name: str) -> Value:
        """The value of a symbol that was defined above."""
        self.asked = True
        if name not in self.place.defined:
            raise SourceError(f"symbol '{name}' is not defined above this line")
        return self.place.symbols[name]

    def evaluate(self, expression: Expression) -> int:
        """The number an expression is worth here."""
        if isinstance(expression, Constant) and isinstance(expression.value, int):
            return expression.value
        value = no_registers(expression.evaluate(self))
        if isinstance(value, int):
            return value
        if values.is_unknown(value):
            raise SourceError("the expression uses a symbol that is not defined yet")
        raise SourceError("the expression has to be a plain number, not an address")


def _check_alignment(number: int) -> None:
    if number <= 0 or number & (number - 1) or number > 1 << 31:
        raise SourceError(f"alignment {number} is not a power of two")
