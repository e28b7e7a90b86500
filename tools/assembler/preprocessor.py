"""The preprocessor: lines with % directives in, plain lines out.

Works line by line and lazily, because a condition may ask for the place the assembly has reached
(`%if $-$$ > 510`): the assembler consumes a line before the next one is made. Everything that can
repeat or nest is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tools.assembler import strings
from tools.assembler.contexts import Contexts
from tools.assembler.defines import Define, Defines
from tools.assembler.errors import Diagnostics, FatalError, Position, SourceError, TooManyErrors
from tools.assembler.lexer import (
    DIRECTIVE,
    IDENTIFIER,
    NUMBER,
    STRING,
    Token,
    is_operator,
    number_token,
    refuse_invalid,
    spelling,
    split_at_commas,
    string_token,
    tokenize,
)
from tools.assembler.macros import Expansion, Macros, RawLine, parse_definition
from tools.assembler.sources import (
    MAX_SOURCE_BYTES,
    Source,
    decode,
    find_file,
    read_regular,
    split_lines,
)

MAX_LINES: Final = 100_000
MAX_WORDS: Final = 1_000_000  # of all lines together
MAX_SOURCES: Final = 200
MAX_INCLUDES: Final = 32


class Line(NamedTuple):
    """A line for the assembler; `trace_index` is its place in the trace."""

    position: Position
    tokens: list[Token]
    trace_index: int


class TraceLine(NamedTuple):
    """A line as it was read: for the listing. `tokens` is None where the file's text counts."""

    source: Source
    number: int
    tokens: list[Token] | None


class Preprocessor:
    """Reads a source; `evaluate` gives the value of an expression at this point."""

    def __init__(
        self,
        evaluate: Callable[[list[Token]], int],
        diagnostics: Diagnostics,
        include_paths: Sequence[Path],
    ) -> None:
        self.defines = Defines()
        self.macros = Macros()
        self.contexts = Contexts()
        self.trace: list[TraceLine] = []
        self._evaluate = evaluate
        self._diagnostics = diagnostics
        self._include_paths = include_paths
        self._sources: list[Source] = []
        self._expansions = 0
        self._words = 0
        self.position = Position("", 0)
        self.defines.compute("__LINE__", self._line_number)
        self.defines.compute("__?LINE?__", self._line_number)
        self.defines.compute("__FILE__", self._file_name)
        self.defines.compute("__?FILE?__", self._file_name)

    @property
    def folder(self) -> Path | None:
        """The folder of the file that is being read."""
        return self._sources[-1].folder if self._sources else None

    def _line_number(self) -> Token:
        return number_token(self.position.source_line().line)

    def _file_name(self) -> Token:
        return string_token(self.position.source_line().file)

    def predefine(self, defines: Mapping[str, str]) -> None:
        """Define names from outside the source, as -D does."""
        for name, value in defines.items():
            words = tokenize(name)
            if len(words) != 1 or words[0].kind is not IDENTIFIER:
                raise SourceError(f"'{name}' cannot be defined: it is not a name")
            self.defines.define(Define(name, None, tuple(tokenize(value))))

    def lines(self, name: str, text: str, folder: Path | None) -> Iterator[Line]:
        """The lines of a source, preprocessed."""
        self._push_file(name, text, folder, None)
        while self._sources:
            source = self._sources[-1]
            if source.index >= len(source.lines):
                self._finish(source)
                continue
            raw = source.lines[source.index]
            source.index += 1
            self.position = source.position(raw.number)
            try:
                if len(self.trace) >= MAX_LINES:
                    raise FatalError(f"the source expands to more than {MAX_LINES} lines")
                line = self._process(source, raw)
            except FatalError as error:
                self._diagnostics.error(self.position, str(error))
                raise TooManyErrors from None
            except SourceError as error:
                self._diagnostics.error(self.position, str(error))
                continue
            if line is not None:
                yield line

    def _process(self, source: Source, raw: RawLine) -> Line | None:
        """One line: obey its directive, or expand it; None when nothing is left to assemble."""
        tokens = raw.tokens
        first = tokens[0] if tokens else None
        if not source.conditionals.active:
            self.trace.append(TraceLine(source, raw.number, None))
            if first is not None and first.kind is DIRECTIVE:
                word = str(first.value)
                if raw.has_parameters and word.startswith("%elif"):
                    tokens = self._filled_in(source, tokens)
                self._conditional(source, word, tokens[1:])
            return None
        if raw.has_parameters:
            tokens = self._filled_in(source, tokens)
        self._count(tokens)
        self.trace.append(TraceLine(source, raw.number, None if source.texts else tokens))
        if not tokens:
            return None
        first = tokens[0]
        if first.kind is DIRECTIVE:
            self._directive(source, str(first.value), tokens[1:])
            return None
        index = len(self.trace) - 1
        expanded = self.defines.expand(tokens)
        if expanded is not tokens:
            self._count(expanded)
        if expanded and self.macros:
            label = self._call(expanded)
            if label is not None:
                return Line(self.position, label, index) if label else None
        return Line(self.position, expanded, index) if expanded else None

    def _count(self, tokens: list[Token]) -> None:
        self._words += len(tokens)
        if self._words > MAX_WORDS:
            raise FatalError(f"the source expands to more than {MAX_WORDS} words")

    def _filled_in(self, source: Source, tokens: list[Token]) -> list[Token]:
        """Macro parameters and context-local names replaced."""
        if source.expansion is not None:
            tokens = source.expansion.fill_in(tokens)
        return self.resolve(tokens)

    def resolve(self, tokens: list[Token]) -> list[Token]:
        """The tokens with context-local names made full."""
        return self.contexts.resolve(tokens)

    # -- sources ---------------------------------------------------------------------------------

    def _push(self, source: Source) -> None:
        if len(self._sources) >= MAX_SOURCES:
            raise FatalError(f"macros and repetitions are nested more than {MAX_SOURCES} deep")
        self._sources.append(source)

    def _push_file(self, name: str, text: str, folder: Path | None, outer: Position | None) -> None:
        texts, lines = split_lines(text)
        self._push(Source(name, lines, texts, outer, folder=folder))

    def _finish(self, source: Source) -> None:
        """A source has ended: start its next round, or leave it."""
        for branch in source.conditionals.branches:
            self._diagnostics.error(branch.position, "%if without %endif")
        source.conditionals.branches.clear()
        if source.rounds > 0:
            source.rounds -= 1
            source.index = 0
            return
        self._leave(source)

    def _leave(self, source: Source) -> None:
        self._sources.pop()
        if source.expansion is not None and not source.is_repetition:
            source.expansion.macro.expansions -= 1
            self.defines.forget_local(source.expansion.local_prefix())

    def _body(self, source: Source, opening: Sequence[str], closing: str) -> list[RawLine]:
        """The lines up to the one that closes what was just opened; reading goes on behind it."""
        depth = 1
        start = source.index
        for index in range(start, len(source.lines)):
            tokens = source.lines[index].tokens
            shown = None if source.texts else tokens
            self.trace.append(TraceLine(source, source.lines[index].number, shown))
            if tokens and tokens[0].kind is DIRECTIVE:
                word = tokens[0].value
                if word in opening:
                    depth += 1
                elif word == closing:
                    depth -= 1
                    if depth == 0:
                        source.index = index + 1
                        return list(source.lines[start:index])
        source.index = len(source.lines)
        raise SourceError(f"{opening[0]} without {closing}")

    # -- directives ------------------------------------------------------------------------------

    def _conditional(self, source: Source, word: str, tokens: list[Token]) -> bool:
        if not source.conditionals.handles(word):
            return False
        source.conditionals.step(word, tokens, self, self.position)
        return True

    def _directive(self, source: Source, word: str, tokens: list[Token]) -> None:
        if self._conditional(source, word, tokens):
            return
        handler = _HANDLERS.get(word)
        if handler is None:
            raise SourceError(f"unknown preprocessor directive '{word}'")
        handler(self, source, word, tokens)

    def _define(self, source: Source, word: str, tokens: list[Token]) -> None:
        name, rest = self._name(word, tokens)
        parameters: tuple[str, ...] | None = None
        if rest and is_operator(rest[0], "(") and not rest[0].spaced:
            close = next((i for i, t in enumerate(rest) if is_operator(t, ")")), None)
            if close is None:
                raise SourceError(f"{word} {name}: '(' without ')'")
            groups = split_at_commas(rest[1:close]) if close > 1 else []
            if any(len(group) != 1 or group[0].kind is not IDENTIFIER for group in groups):
                raise SourceError(f"{word} {name}: parameters have to be names")
            parameters = tuple(group[0].text for group in groups)
            rest = rest[close + 1 :]
        if word.endswith("xdefine"):
            rest = self.defines.expand(rest)
            self._count(rest)
        self._set(word, name, rest, parameters)

    def _set(
        self, word: str, name: str, body: list[Token], parameters: tuple[str, ...] | None = None
    ) -> None:
        ignore_case = word.startswith("%i")
        self.defines.define(Define(name, parameters, tuple(body)), ignore_case)

    def _name(self, word: str, tokens: list[Token]) -> tuple[str, list[Token]]:
        if not tokens or tokens[0].kind is not IDENTIFIER:
            raise SourceError(f"{word} needs a name")
        return tokens[0].text, tokens[1:]

    def _undef(self, source: Source, word: str, tokens: list[Token]) -> None:
        name, _ = self._name(word, tokens)
        self.defines.undefine(name)

    def _assign(self, source: Source, word: str, tokens: list[Token]) -> None:
        name, rest = self._name(word, tokens)
        self._set(word, name, [number_token(self.evaluate(self.defines.expand(rest)))])

    def _string_directive(self, source: Source, word: str, tokens: list[Token]) -> None:
        name, rest = self._name(word, tokens)
        self._set(word, name, strings.evaluate(word, self.defines.expand(rest), self.evaluate))

    def _macro(self, source: Source, word: str, tokens: list[Token]) -> None:
        body = self._body(source, ("%macro", "%imacro"), "%endmacro")
        position = Position(source.file, self.position.line)
        self.macros.add(parse_definition(tokens, body, position, word == "%imacro"))

    def _unmacro(self, source: Source, word: str, tokens: list[Token]) -> None:
        name, _ = self._name(word, tokens)
        self.macros.remove(name)

    def _rep(self, source: Source, word: str, tokens: list[Token]) -> None:
        body = self._body(source, ("%rep",), "%endrep")
        tokens = [token for token in tokens if token.value != ".nolist"]
        count = self.evaluate(self.defines.expand(tokens))
        if count > MAX_LINES:
            raise SourceError(f"%rep {count} is more than {MAX_LINES} times")
        if count > 0 and body:
            self._push(
                Source(
                    source.file,
                    body,
                    outer=source.outer,
                    expansion=source.expansion,
                    folder=source.folder,
                    is_repetition=True,
                    rounds=count - 1,
                )
            )

    def _exitrep(self, source: Source, word: str, tokens: list[Token]) -> None:
        if not source.is_repetition:
            raise SourceError("%exitrep outside of %rep")
        source.conditionals.branches.clear()
        self._leave(source)

    def _exitmacro(self, source: Source, word: str, tokens: list[Token]) -> None:
        if source.expansion is None:
            raise SourceError("%exitmacro outside of a macro")
        while self._sources[-1].is_repetition:
            self._leave(self._sources[-1])
        self._leave(self._sources[-1])

    def _rotate(self, source: Source, word: str, tokens: list[Token]) -> None:
        if source.expansion is None:
            raise SourceError("%rotate outside of a macro")
        count = len(source.expansion.arguments)
        amount = self.evaluate(self.defines.expand(tokens))
        if count:
            source.expansion.rotation = (source.expansion.rotation + amount) % count

    def _include(self, source: Source, word: str, tokens: list[Token]) -> None:
        tokens = self.defines.expand(tokens)
        if len(tokens) != 1 or tokens[0].kind is not STRING:
            raise SourceError("%include needs a file name in quotes")
        if sum(not s.is_repetition and s.expansion is None for s in self._sources) > MAX_INCLUDES:
            raise FatalError(f"files include one another more than {MAX_INCLUDES} deep")
        path = find_file(str(tokens[0].value), source.folder, self._include_paths)
        text = decode(read_regular(path, MAX_SOURCE_BYTES))
        self._push_file(str(path), text, path.parent, self.position)

    def _message(self, source: Source, word: str, tokens: list[Token]) -> None:
        expanded = self.defines.expand(tokens)
        is_string = len(expanded) == 1 and expanded[0].kind is STRING
        text = str(expanded[0].value) if is_string else spelling(expanded)
        text = " ".join(text.split()) or f"{word} without a message"
        if word == "%warning":
            self._diagnostics.warning(self.position, text)
        elif word == "%error":
            self._diagnostics.error(self.position, text)
        else:
            raise FatalError(text)

    def _context(self, source: Source, word: str, tokens: list[Token]) -> None:
        if word == "%push":
            self.contexts.push(tokens)
        elif word == "%repl":
            self.contexts.rename(tokens)
        else:
            self.defines.forget_local(self.contexts.pop(tokens))

    def _comment(self, source: Source, word: str, tokens: list[Token]) -> None:
        self._body(source, ("%comment",), "%endcomment")

    def _ignore(self, source: Source, word: str, tokens: list[Token]) -> None:
        """A directive that changes nothing here: %line, %pragma."""

    # -- multi-line macros -----------------------------------------------------------------------

    def _call(self, tokens: list[Token]) -> list[Token] | None:
        """Start a macro's expansion if the line calls one; the label before it, or None."""
        start = self.macros.locate(tokens)
        if start is None:
            return None
        name = tokens[start].text
        arguments = tokens[start + 1 :]
        macro = self.macros.choose(name, arguments)
        if macro is None:
            return None
        refuse_invalid(arguments)
        label = tokens[:start]
        self._expansions += 1
        expansion = Expansion(
            macro, macro.arguments(arguments), self._expansions, self.position, name, label[:1]
        )
        macro.expansions += 1
        source = self._sources[-1]
        self._push(
            Source(
                macro.position.file,
                macro.lines,
                outer=self.position,
                expansion=expansion,
                folder=source.folder,
            )
        )
        return [] if macro.takes_label else label

    # -- what conditionals ask -------------------------------------------------------------------

    def evaluate(self, tokens: list[Token]) -> int:
        """The value of an expression that has to be known now."""
        refuse_invalid(tokens)
        return self._evaluate(tokens)

    def has_macro(self, name: str, tokens: list[Token]) -> bool:
        """Whether a macro of that name is defined, with so many parameters if a number follows."""
        found = self.macros.named(name)
        if tokens and tokens[0].kind is NUMBER:
            return any(macro.accepts(int(tokens[0].value)) for macro in found)
        return bool(found)

    def context_name(self) -> str:
        """The name of the innermost context."""
        return self.contexts.name


_Handler = Callable[[Preprocessor, Source, str, list[Token]], None]

_HANDLERS: Final[dict[str, _Handler]] = {
    "%define": Preprocessor._define,
    "%idefine": Preprocessor._define,
    "%xdefine": Preprocessor._define,
    "%ixdefine": Preprocessor._define,
    "%undef": Preprocessor._undef,
    "%assign": Preprocessor._assign,
    "%iassign": Preprocessor._assign,
    "%strlen": Preprocessor._string_directive,
    "%substr": Preprocessor._string_directive,
    "%strcat": Preprocessor._string_directive,
    "%defstr": Preprocessor._string_directive,
    "%deftok": Preprocessor._string_directive,
    "%macro": Preprocessor._macro,
    "%imacro": Preprocessor._macro,
    "%unmacro": Preprocessor._unmacro,
    "%rep": Preprocessor._rep,
    "%exitrep": Preprocessor._exitrep,
    "%exitmacro": Preprocessor._exitmacro,
    "%rotate": Preprocessor._rotate,
    "%include": Preprocessor._include,
    "%error": Preprocessor._message,
    "%warning": Preprocessor._message,
    "%fatal": Preprocessor._message,
    "%push": Preprocessor._context,
    "%pop": Preprocessor._context,
    "%repl": Preprocessor._context,
    "%comment": Preprocessor._comment,
    "%line": Preprocessor._ignore,
    "%pragma": Preprocessor._ignore,
}
