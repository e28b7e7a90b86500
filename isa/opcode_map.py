"""From forms to the opcode map: which bytes select which form, and which are undefined.

The map decides #UD alone: an opcode that exists with memory operands only, with register operands
only, or for some values of ModRM.reg only, is a group whose other entries are undefined. Two rows
that claim the same bytes are refused here.

Source: SDM vol. 2D, "Opcode Map".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from isa import operand_kinds as kinds
from isa.notation import Form, NotationError
from isa.vocabulary import ACCESS_WRITE

UNDEFINED: Final = -1
FIRST_GROUP: Final = -2  # group g is stored as FIRST_GROUP - g
MAP_ENTRIES: Final = 4096
GROUP_ENTRIES: Final = 72  # 8 by ModRM.reg with memory, then 64 by ModRM.reg and ModRM.rm

# Control registers that exist. A MOV naming another one is an undefined opcode.
CONTROL_REGISTERS: Final = (0, 2, 3, 4)
SEGMENT_REGISTERS: Final = (0, 1, 2, 3, 4, 5)
LOADABLE_SEGMENT_REGISTERS: Final = (0, 2, 3, 4, 5)  # MOV CS, r/m16 does not exist


@dataclass(frozen=True, slots=True)
class OpcodeMap:
    """Both levels: `opcodes[map_index(...)]`, then `groups[72 * group + group_index(modrm)]`."""

    opcodes: tuple[int, ...]
    groups: tuple[int, ...]

    @property
    def group_count(self) -> int:
        return len(self.groups) // GROUP_ENTRIES


def map_index(repeat_f3: int, two_byte: int, operand32: int, address32: int, opcode: int) -> int:
    """Index into the first level; every argument but the opcode is 0 or 1."""
    return (((repeat_f3 * 2 + two_byte) * 2 + operand32) * 2 + address32) << 8 | opcode


def group_index(modrm: int) -> int:
    """Index into one group for a ModRM byte."""
    reg = modrm >> 3 & 7
    return reg if modrm < 0xC0 else 8 + reg * 8 + (modrm & 7)


def build(forms: tuple[Form, ...]) -> OpcodeMap:
    """Build both levels; a form with a mandatory F3 takes precedence in the F3 half."""
    cells: dict[int, list[int]] = {}
    for form in forms:
        if not form.encoding.mandatory:
            _enter(cells, forms, form, (0, 1), override=False)
    for form in forms:
        if form.encoding.mandatory:
            _enter(cells, forms, form, (1,), override=True)
    opcodes = [UNDEFINED] * MAP_ENTRIES
    groups: dict[tuple[int, ...], int] = {}
    for index, entries in cells.items():
        if min(entries) == max(entries):
            opcodes[index] = entries[0]
        else:
            group = groups.setdefault(tuple(entries), len(groups))
            opcodes[index] = FIRST_GROUP - group
    return OpcodeMap(tuple(opcodes), tuple(form for group in groups for form in group))


def _enter(
    cells: dict[int, list[int]],
    forms: tuple[Form, ...],
    form: Form,
    halves: tuple[int, ...],
    override: bool,
) -> None:
    """Enter one form into every cell it selects, or refuse it if another form is there."""
    places = tuple(_group_places(form))
    for index in _map_places(form, halves):
        entries = cells.setdefault(index, [UNDEFINED] * GROUP_ENTRIES)
        for number in set(entries) - {UNDEFINED}:
            if forms[number].encoding.has_modrm != form.encoding.has_modrm:
                line = forms[number].line
                raise NotationError(form.line, f"line {line} disagrees on a ModRM byte")
        for place in places:
            other = entries[place]
            if other != UNDEFINED and not override:
                raise NotationError(form.line, f"same encoding as line {forms[other].line}")
            entries[place] = form.number


def _map_places(form: Form, halves: tuple[int, ...]) -> Iterator[int]:
    encoding = form.encoding
    operand_sizes = (0, 1) if not encoding.operand_size else (int(encoding.operand_size == 32),)
    address_sizes = (0, 1) if not encoding.address_size else (int(encoding.address_size == 32),)
    for half in halves:
        for operand32 in operand_sizes:
            for address32 in address_sizes:
                for opcode in encoding.opcodes():
                    yield map_index(half, int(encoding.two_byte), operand32, address32, opcode)


def _group_places(form: Form) -> Iterator[int]:
    """Entries of a group that select the form; all of them when there is no ModRM byte."""
    encoding = form.encoding
    if not encoding.has_modrm:
        yield from range(GROUP_ENTRIES)
        return
    if encoding.fixed_modrm is not None:
        yield group_index(encoding.fixed_modrm)
        return
    rm_kind = next(kind for kind in form.kinds if kind in kinds.IN_RM_FIELD)
    for reg in encoding.digits or _register_numbers(form):
        yield reg
        if rm_kind not in kinds.MEMORY_ONLY:
            yield from range(8 + reg * 8, 16 + reg * 8)


def _register_numbers(form: Form) -> tuple[int, ...]:
    """Values of ModRM.reg that name a register of the operand's kind."""
    for kind, access in zip(form.kinds, form.access, strict=True):
        if kind == kinds.K_CR:
            return CONTROL_REGISTERS
        if kind == kinds.K_SREG:
            return LOADABLE_SEGMENT_REGISTERS if access & ACCESS_WRITE else SEGMENT_REGISTERS
    return tuple(range(8))
