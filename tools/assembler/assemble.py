"""The passes: measure until no symbol moves any more, place the sections, then make the bytes.

A source is preprocessed and parsed once. Only if a preprocessor expression asked for an address
(`%if $-$$ > 510`) is it read again in every pass, since the answer may change what the source is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from isa.errors import TrapgateError
from tools.assembler.assembly import Assembly, build
from tools.assembler.errors import (
    Diagnostics,
    FatalError,
    Position,
    SourceError,
    TooManyErrors,
)
from tools.assembler.expressions import ExpressionParser
from tools.assembler.lexer import Token, number_token
from tools.assembler.parser import Parser
from tools.assembler.place import CriticalScope, Place
from tools.assembler.preprocessor import Preprocessor, TraceLine
from tools.assembler.sections import place_executable, place_flat
from tools.assembler.sources import MAX_SOURCE_BYTES, decode, read_regular
from tools.assembler.statements import Statement

MAX_PASSES: Final = 1000
DEFAULT_BITS: Final = {"bin": 16, "elf32": 32}
EXECUTABLE_BASE: Final = 0x100000


@dataclass(frozen=True, slots=True)
class Step:
    """A statement with its line."""

    statement: Statement
    position: Position
    index: int


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be assembled, and how."""

    name: str
    text: str  # one character per byte
    folder: Path | None
    format: str
    bits: int
    defines: Mapping[str, str]
    include_paths: Sequence[Path]
    entry: str | None


def assemble_file(
    path: str | Path,
    *,
    format: str = "bin",
    defines: Mapping[str, str | int] | None = None,
    include_paths: Sequence[str | Path] = (),
    bits: int | None = None,
    entry: str | None = None,
) -> Assembly:
    """Assemble a file.

    Args:
        path: the source.
        format: "bin" for a flat image, "elf32" for an executable.
        defines: single-line macros defined before the first line, as nasm's -D.
        include_paths: folders searched by %include and incbin after the folder of the source.
        bits: 16 or 32 at the start; without it 16 in a flat image and 32 in an executable.
        entry: symbol of the entry point; without it ..start, _start or start in an executable,
            and the first byte of a flat image.
    """
    file = Path(path)
    try:
        text = decode(read_regular(file, MAX_SOURCE_BYTES))
    except SourceError as error:
        raise TrapgateError(str(error)) from None
    return _assemble(str(path), text, file.parent, format, defines, include_paths, bits, entry)


def assemble_text(
    text: str,
    name: str = "<text>",
    *,
    format: str = "bin",
    defines: Mapping[str, str | int] | None = None,
    include_paths: Sequence[str | Path] = (),
    bits: int | None = None,
    entry: str | None = None,
) -> Assembly:
    """Assemble a string; `name` stands for the file in errors. Else as assemble_file."""
    content = text.encode("utf-8", "surrogateescape")
    return _assemble(name, decode(content), None, format, defines, include_paths, bits, entry)


def _assemble(
    name: str,
    text: str,
    folder: Path | None,
    format: str,
    defines: Mapping[str, str | int] | None,
    include_paths: Sequence[str | Path],
    bits: int | None,
    entry: str | None,
) -> Assembly:
    if format not in DEFAULT_BITS:
        raise TrapgateError(f"unknown output format '{format}': bin or elf32")
    if bits not in {None, 16, 32}:
        raise TrapgateError(f"bits {bits}: 16 or 32")
    source = Source(
        name,
        text,
        folder,
        format,
        bits or DEFAULT_BITS[format],
        {key: str(value) for key, value in (defines or {}).items()},
        [Path(folder) for folder in include_paths],
        entry,
    )
    return _Assembler(source).run()


class _Assembler:
    """One assembly, from the source to the result."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.diagnostics = Diagnostics()
        self.place = Place(source.bits, self.diagnostics)
        self.steps: list[Step] = []
        self.trace: list[TraceLine] = []
        self.reads_places = False

    def run(self) -> Assembly:
        try:
            self._read()
            self._settle()
            self._lay_out()
            self._emit()
        except TooManyErrors:
            pass
        except FatalError as error:
            with suppress(TooManyErrors):
                self.diagnostics.error(self.place.position, str(error))
        self.diagnostics.raise_if_any()
        return build(self.source.name, self.source.format, self.place, self.trace, self.diagnostics)

    # -- passes ----------------------------------------------------------------------------------

    def _read(self) -> None:
        """Preprocess, parse and measure: one pass over the source's text."""
        scope = CriticalScope(self.place)
        parser = Parser(self._folder, self.source.include_paths, self._warn)

        def evaluate(tokens: list[Token]) -> int:
            reader = ExpressionParser(tokens, parser.qualify)
            expression = reader.parse()
            reader.expect_end()
            return scope.evaluate(expression)

        preprocessor = Preprocessor(evaluate, self.diagnostics, self.source.include_paths)
        self._preprocessor = preprocessor
        self._predefine(preprocessor)
        self.steps = []
        self.trace = preprocessor.trace
        for line in preprocessor.lines(self.source.name, self.source.text, self.source.folder):
            self.place.begin_line(line.position, line.trace_index)
            try:
                for statement in parser.parse(line.tokens):
                    self.place.begin_line(line.position, line.trace_index)
                    step = Step(statement, line.position, line.trace_index)
                    self.steps.append(step)
                    statement.run(self.place)
            except SourceError as error:
                self.diagnostics.error(line.position, str(error))
        self.reads_places = scope.asked

    def _predefine(self, preprocessor: Preprocessor) -> None:
        preprocessor.defines.compute("__BITS__", lambda: number_token(self.place.bits))
        preprocessor.defines.compute("__?BITS?__", lambda: number_token(self.place.bits))
        try:
            preprocessor.predefine(
                {
                    "__OUTPUT_FORMAT__": self.source.format,
                    "__?OUTPUT_FORMAT?__": self.source.format,
                    **self.source.defines,
                }
            )
        except SourceError as error:
            raise TrapgateError(str(error)) from None

    def _folder(self) -> Path | None:
        return self._preprocessor.folder

    def _warn(self, message: str) -> None:
        self.diagnostics.warning(self.place.position, message)

    def _settle(self) -> None:
        """Measure again until no symbol changes."""
        for _ in range(MAX_PASSES):
            if not self.place.changed and self.place.pass_number > 1:
                return
            if self.diagnostics.errors and self.place.pass_number > 1 and not self.reads_places:
                return
            self._again(emitting=False)
        name = self.place.changed
        raise TrapgateError(
            f"{self.source.name}: sizes do not settle in {MAX_PASSES} passes: symbol '{name}' moves"
            " in every one"
        )

    def _again(self, emitting: bool) -> None:
        """One more pass."""
        if self.reads_places:
            self.diagnostics.forget()
            self.place.begin_pass(emitting)
            self.place.spend(8 * len(self.trace))  # reading is slower than running
            self._read()
            self.reads_places = True
            return
        place = self.place
        place.begin_pass(emitting)
        place.spend(len(self.steps))
        for step in self.steps:
            place.begin_line(step.position, step.index)
            try:
                step.statement.run(place)
            except SourceError as error:
                self.diagnostics.error(step.position, str(error))

    def _lay_out(self) -> None:
        """Give the sections their addresses."""
        self.diagnostics.raise_if_any()
        place = self.place
        sections = place.used_sections()
        try:
            if self.source.format == "bin":
                place.image_order = place_flat(sections, place.origin or 0)
            else:
                base = EXECUTABLE_BASE if place.origin is None else place.origin
                place.segments = place_executable(sections, base)
        except SourceError as error:
            raise TrapgateError(f"{self.source.name}: {error}") from None
        place.entry_name = self.source.entry

    def _emit(self) -> None:
        """The last pass."""
        self._again(emitting=True)
        self.diagnostics.raise_if_any()
        if self.place.changed:
            raise TrapgateError(
                f"{self.source.name}: symbol '{self.place.changed}' changed in the last pass"
            )
