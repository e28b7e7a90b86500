"""Lines to statements.

A parser lives for one pass over the source: it remembers the last label that is not local, and the
structure that is open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from isa.instruction import REGISTERS, SEGMENTS
from tools.assembler import directives
from tools.assembler.errors import SourceError
from tools.assembler.expressions import Constant, Expression, ExpressionParser
from tools.assembler.forms import mnemonics
from tools.assembler.instruction import Instruction, LonePrefixes, WrittenPrefixes
from tools.assembler.lexer import IDENTIFIER, INVALID, OPERATOR, STRING, Token, tokenize
from tools.assembler.operands import Operand, RegisterOperand, immediate, parse_operands
from tools.assembler.sources import find_file, read_regular
from tools.assembler.statements import (
    Content,
    Data,
    EndAbsolute,
    Equ,
    Item,
    Label,
    Reserve,
    Statement,
    Times,
)
from tools.assembler.values import wrap

DATA_WIDTHS: Final = {"db": 1, "dw": 2, "dd": 4, "dq": 8}
RESERVE_WIDTHS: Final = {"resb": 1, "resw": 2, "resd": 4, "resq": 8}
REPEAT_PREFIXES: Final = {
    "rep": 0xF3, "repe": 0xF3, "repz": 0xF3, "repne": 0xF2, "repnz": 0xF2,
}  # fmt: skip
SIZE_PREFIXES: Final = {"o16": 16, "o32": 32, "a16": 16, "a32": 32}
PREFIXES: Final = frozenset({"lock", *REPEAT_PREFIXES, *SIZE_PREFIXES, *SEGMENTS})
UNSUPPORTED: Final = frozenset(
    {"dt", "do", "dy", "dz", "rest", "reso", "resy", "resz", "bnd", "o64", "a64", "xacquire"}
)
_OTHERS: Final = frozenset({"equ", "times", "incbin", "struc", "endstruc", "istruc", "at", "iend"})
MAX_INCBIN_BYTES: Final = 64 << 20


class Parser:
    """Makes statements of lines; `find` looks up files for incbin."""

    def __init__(
        self,
        folder: Callable[[], Path | None],
        include_paths: Sequence[Path],
        warn: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._include_paths = include_paths
        self._warn = warn
        self.section = ".text"
        self._scope = ""  # the label that local labels belong to
        self._structure = ""  # the struc that is being defined
        self._instance: tuple[str, str] | None = None  # istruc: its struc, its start label
        self._instances = 0
        self._mnemonics = mnemonics()

    def qualify(self, name: str) -> str:
        """The full name of a symbol: `.loop` is `main.loop` behind `main:`."""
        if name.startswith(".") and not name.startswith(".."):
            return self._scope + name
        return name

    def parse(self, tokens: list[Token]) -> list[Statement]:
        """The statements of one line."""
        first = tokens[0]
        statements: list[Statement] = []
        if first.kind is OPERATOR and first.text == "[":
            return [*directives.parse_bracketed(tokens, self)]
        if first.kind is not IDENTIFIER:
            reason = first.value if first.kind is INVALID else f"unexpected '{first.text}'"
            raise SourceError(f"expected a label or an instruction: {reason}")
        start = self._label_length(tokens)
        if start:
            if len(tokens) > start and str(tokens[start].value) == "equ":
                return [self._equ(first.text, tokens[start + 1 :])]
            statements.append(Label(self._define_label(first.text, first.escaped)))
            tokens = tokens[start:]
        if tokens:
            statements.extend(self._body(tokens))
        return statements

    def _label_length(self, tokens: list[Token]) -> int:
        """How many tokens the label at the start takes."""
        first = tokens[0]
        if len(tokens) > 1 and tokens[1].kind is OPERATOR and tokens[1].text == ":":
            return 2
        if not first.escaped and self._is_reserved(str(first.value)):
            return 0
        if len(tokens) == 1:
            self._warn(f"label '{first.text}' alone on a line without a colon might be a mistake")
            return 1
        following = tokens[1]
        if following.kind is IDENTIFIER and self._is_reserved(str(following.value)):
            return 1
        raise SourceError(f"unknown instruction '{first.text}'")

    def _is_reserved(self, word: str) -> bool:
        return (
            word in self._mnemonics
            or word in DATA_WIDTHS
            or word in PREFIXES
            or word in RESERVE_WIDTHS
            or word in _OTHERS
            or word in directives.NAMES
            or word in UNSUPPORTED
        )

    def _define_label(self, name: str, escaped: bool = False) -> str:
        if not escaped and name.lower() in REGISTERS:
            raise SourceError(f"register {name} cannot be a label (write ${name} if it has to be)")
        full = self.qualify(name)
        if not name.startswith("."):
            self._scope = name
        return full

    def _equ(self, name: str, tokens: list[Token]) -> Statement:
        expression = self.expression(tokens)
        return Equ(self.qualify(name), expression)

    def expression(self, tokens: list[Token]) -> Expression:
        """One expression that takes the whole list."""
        parser = ExpressionParser(tokens, self.qualify)
        expression = parser.parse()
        parser.expect_end()
        return expression

    def _body(self, tokens: list[Token]) -> list[Statement]:
        """What follows a label, or a whole line without one."""
        word = str(tokens[0].value)
        if tokens[0].kind is IDENTIFIER and word in directives.NAMES:
            return [*directives.parse_directive(word, tokens[1:], self)]
        if tokens[0].kind is IDENTIFIER and word in _OTHERS - {"equ", "times", "incbin"}:
            return self._structure_line(word, tokens[1:])
        return [self.statement(tokens)]

    def statement(self, tokens: list[Token]) -> Statement:
        """One statement that has content: it can be repeated with times."""
        first = tokens[0]
        word = str(first.value) if first.kind is IDENTIFIER and not first.escaped else ""
        if word in self._mnemonics:
            return self._instruction(word, tokens[1:], WrittenPrefixes())
        if word in DATA_WIDTHS:
            return self._data(word, tokens[1:])
        if word in PREFIXES:
            return self._prefixed(tokens)
        if word in RESERVE_WIDTHS:
            return Reserve(RESERVE_WIDTHS[word], self.expression(tokens[1:]))
        if word == "times":
            return self._times(tokens[1:])
        if word == "incbin":
            return self._incbin(tokens[1:])
        if word == "equ":
            raise SourceError("equ needs a name in front of it")
        if word in UNSUPPORTED:
            raise SourceError(f"'{first.text}' is not supported")
        if first.kind is INVALID:
            raise SourceError(str(first.value))
        raise SourceError(f"unknown instruction '{first.text}'")

    # -- instructions ----------------------------------------------------------------------------

    def _prefixed(self, tokens: list[Token]) -> Statement:
        """An instruction with prefixes in front, or prefixes alone."""
        repeat = lock = b""
        segment, operand_bits, address_bits = None, 0, 0
        index = 0
        while index < len(tokens) and str(tokens[index].value) in PREFIXES:
            word = str(tokens[index].value)
            index += 1
            if word == "lock":
                lock = b"\xf0"
            elif word in REPEAT_PREFIXES:
                repeat = bytes([REPEAT_PREFIXES[word]])
            elif word in SEGMENTS:
                segment = SEGMENTS.index(word)
            elif word.startswith("o"):
                operand_bits = SIZE_PREFIXES[word]
            else:
                address_bits = SIZE_PREFIXES[word]
        prefixes = WrittenPrefixes(repeat + lock, segment, operand_bits, address_bits)
        if index < len(tokens):
            word = str(tokens[index].value)
            if tokens[index].kind is not IDENTIFIER or word not in self._mnemonics:
                raise SourceError(f"a prefix cannot stand before '{tokens[index].text}'")
            return self._instruction(word, tokens[index + 1 :], prefixes)
        return LonePrefixes(prefixes)

    def _instruction(self, word: str, tokens: list[Token], prefixes: WrittenPrefixes) -> Statement:
        operands = parse_operands(ExpressionParser(tokens, self.qualify))
        if word in {"aam", "aad"} and not operands:
            operands = [immediate(10)]
        elif word.startswith("loop") and len(operands) == 2:
            operands, prefixes = _counted_loop(word, operands, prefixes)
        elif word == "xchg" and _exchanges_nothing(operands):
            assert isinstance(operands[0], RegisterOperand)
            bits = operands[0].register.bits
            return Instruction("nop", [], WrittenPrefixes(prefixes.leading, prefixes.segment, bits))
        return Instruction(word, operands, prefixes)

    # -- data ------------------------------------------------------------------------------------

    def _data(self, word: str, tokens: list[Token]) -> Statement:
        parser = ExpressionParser(tokens, self.qualify)
        items = self._items(parser, DATA_WIDTHS[word], word)
        parser.expect_end()
        return Data(DATA_WIDTHS[word], items)

    def _items(self, parser: ExpressionParser, width: int, word: str, depth: int = 0) -> list[Item]:
        if depth > 8:
            raise SourceError("dup is nested more than 8 deep")
        items: list[Item] = []
        while True:
            items.append(self._item(parser, width, word, depth))
            if not parser.accept(","):
                return items

    def _item(self, parser: ExpressionParser, width: int, word: str, depth: int) -> Item:
        token = parser.peek()
        following = parser.tokens[parser.index + 1 : parser.index + 2]
        ends = not following or (following[0].kind is OPERATOR and following[0].text in {",", ")"})
        if token is None:
            raise SourceError(f"{word}: a value is missing at the end of the line")
        if token.kind is STRING and ends:
            parser.index += 1
            content = str(token.value).encode("latin-1")
            return Item(content + bytes(-len(content) % width))
        if token.text == "?" and ends:
            parser.index += 1
            return Item(bytes(width))
        expression = parser.parse()
        if (after := parser.peek()) is not None and str(after.value) == "dup":
            parser.index += 1
            if parser.accept("("):
                items = self._items(parser, width, word, depth + 1)
                parser.expect(")")
            else:
                items = [self._item(parser, width, word, depth + 1)]
            return Item(count=expression, items=items)
        if isinstance(expression, Constant) and isinstance(expression.value, int):
            return Item(_constant_bytes(expression.value, width, word))
        return Item(expression=expression)

    def _times(self, tokens: list[Token]) -> Statement:
        parser = ExpressionParser(tokens, self.qualify)
        count = parser.parse()
        rest = tokens[parser.index :]
        if not rest:
            raise SourceError("times needs something to repeat")
        inner = self.statement(rest)
        if isinstance(inner, Times):
            raise SourceError("times cannot repeat times")
        return Times(count, inner)

    def _incbin(self, tokens: list[Token]) -> Statement:
        parser = ExpressionParser(tokens, self.qualify)
        token = parser.peek()
        if token is None or token.kind is not STRING:
            raise SourceError("incbin needs a file name in quotes")
        parser.index += 1
        path = find_file(str(token.value), self._folder(), self._include_paths)
        content = read_regular(path, MAX_INCBIN_BYTES)
        numbers: list[int] = []
        while parser.accept(","):
            expression = parser.parse()
            if not isinstance(expression, Constant) or not isinstance(expression.value, int):
                raise SourceError("incbin: offset and length have to be plain numbers")
            numbers.append(expression.value)
        parser.expect_end()
        if len(numbers) > 2 or any(number < 0 for number in numbers):
            raise SourceError("incbin takes a file name, an offset and a length")
        start = numbers[0] if numbers else 0
        if start > len(content):
            raise SourceError(f"incbin: offset {start} is behind the end of '{path.name}'")
        end = start + numbers[1] if len(numbers) > 1 else len(content)
        return Content(content[start:end])

    # -- structures ------------------------------------------------------------------------------

    def _structure_line(self, word: str, tokens: list[Token]) -> list[Statement]:
        if word == "struc":
            return self._begin_structure(tokens)
        if word == "endstruc":
            if not self._structure:
                raise SourceError("endstruc without struc")
            name, self._structure = self._structure, ""
            return [EndAbsolute(name)]
        if word == "istruc":
            if len(tokens) != 1 or tokens[0].kind is not IDENTIFIER:
                raise SourceError("istruc needs the name of a structure")
            self._instances += 1
            self._instance = (tokens[0].text, f"..@istruc{self._instances}")
            return [Label(self._instance[1])]
        if self._instance is None:
            raise SourceError(f"{word} without istruc")
        name, start = self._instance
        if word == "iend":
            self._instance = None
            return [self._padding(f"{name}_size", start)]
        return self._member(name, start, tokens)

    def _begin_structure(self, tokens: list[Token]) -> list[Statement]:
        parser = ExpressionParser(tokens, self.qualify)
        token = parser.peek()
        if token is None or token.kind is not IDENTIFIER:
            raise SourceError("struc needs a name")
        if self._structure:
            raise SourceError(f"struc {token.text} inside of struc {self._structure}")
        parser.index += 1
        start: Expression = Constant(0)
        if parser.accept(","):
            start = parser.parse()
        parser.expect_end()
        self._structure = token.text
        return [directives.absolute(start), Label(self._define_label(token.text))]

    def _member(self, name: str, start: str, tokens: list[Token]) -> list[Statement]:
        """at member, statement: fill up to the member, then the statement."""
        parser = ExpressionParser(tokens, self.qualify)
        token = parser.peek()
        if token is None or token.kind is not IDENTIFIER:
            raise SourceError("at needs a member's name")
        parser.index += 1
        member = name + token.text if token.text.startswith(".") else token.text
        statements: list[Statement] = [self._padding(f"{member}-{name}", start)]
        if parser.accept(","):
            rest = list(tokens[parser.index :])
            if rest:
                statements.append(self.statement(rest))
        else:
            parser.expect_end()
        return statements

    def _padding(self, up_to: str, start: str) -> Statement:
        return Times(self.expression(tokenize(f"({up_to})-($-{start})")), Content(b"\0"))


def _counted_loop(
    word: str, operands: list[Operand], prefixes: WrittenPrefixes
) -> tuple[list[Operand], WrittenPrefixes]:
    """`loop target, cx`: the register says which address size counts."""
    counter = operands[1]
    if not isinstance(counter, RegisterOperand) or counter.register.name not in {"cx", "ecx"}:
        raise SourceError(f"{word} counts in cx or ecx")
    bits = counter.register.bits
    sized = WrittenPrefixes(prefixes.leading, prefixes.segment, prefixes.operand_bits, bits)
    return operands[:1], sized


def _exchanges_nothing(operands: list[Operand]) -> bool:
    """`xchg eax, eax` is encoded as the NOP it is."""
    if len(operands) != 2:
        return False
    left, right = operands
    return (
        isinstance(left, RegisterOperand)
        and isinstance(right, RegisterOperand)
        and left.register == right.register
        and left.register.name in {"ax", "eax"}
    )


def _constant_bytes(value: int, width: int, word: str) -> bytes:
    bits = width * 8
    if bits < 64 and not -(1 << bits) <= value < 1 << bits:
        raise SourceError(f"{word}: {value:#x} does not fit in {bits} bits")
    return (wrap(value) & ((1 << bits) - 1)).to_bytes(width, "little")
