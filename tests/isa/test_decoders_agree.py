"""The machine's decoder and the plain one read the same bytes alike.

One makes operation records for compiled code, the other operands as values; both are driven by the
table. Undefined opcodes and instructions that are too long must be so for both.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest

from isa import decoder
from isa import operand_kinds as kinds
from isa import records as r
from isa.disassembly import OVERLONG, TRUNCATED, UNDEFINED, DecodeError, decode
from isa.instruction import FarPointer, Immediate, Instruction, Memory, Register, Target
from isa.modes import MODE_CODE32, MODE_TRAP
from isa.notation import PREFIX_BYTES, Form, load_table
from isa.specialise import H_INVALID, H_TOO_LONG
from tests.isa.instruction_samples import samples_of
from tests.oracles.address_space import forms_in_memory, loads

M32 = 0xFFFFFFFF
AT = 52  # index of the record in the workspace of the test
WORKSPACE = 64


class Machine:
    """Memory and a workspace, enough to decode into."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.core = np.zeros(WORKSPACE, dtype=np.int64)
        self.ram = np.zeros(64, dtype=np.uint8)
        # With the trap flag set no handler is specialised: the record keeps the operands' places.
        self.mode = MODE_TRAP | (MODE_CODE32 if bits == 32 else 0)

    def decode(self, data: bytes) -> int:
        """The length that the machine's decoder returns; the record is in the workspace."""
        self.ram[: len(data)] = np.frombuffer(data, dtype=np.uint8)
        return int(decoder.decode(self.core, self.ram, AT, 0, len(data), 0, self.mode))

    def word(self, number: int) -> int:
        return int(self.core[AT + number])


def describe(machine: Machine, length: int) -> dict[str, object]:
    """What a record says, without what its form does not use."""
    head = machine.word(0)
    handler = head & r.HANDLER_MASK
    if handler in (H_INVALID, H_TOO_LONG):
        return {"reason": UNDEFINED if handler == H_INVALID else OVERLONG}
    form = load_table()[head >> r.FORM_SHIFT & 0xFFF]
    found: dict[str, object] = {"form": form.name, "length": length}
    found["lock"] = bool(head & r.LOCK)
    found["repeat"] = (0, 0xF3, 0xF2)[head >> r.REPEAT_SHIFT & 3]
    found["address32"] = bool(head & r.ADDRESS32)
    if form.encoding.digits is None and form.encoding.has_modrm:
        found["reg"] = head >> r.A_SHIFT & 7
    if head & r.MEMORY:
        found["memory"] = (
            head >> r.BASE_SHIFT & 15,
            head >> r.INDEX_SHIFT & 15,
            1 << (head >> r.SCALE_SHIFT & 3),
            head >> r.SEGMENT_SHIFT & 7,
            machine.word(1) & (M32 if head & r.ADDRESS32 else 0xFFFF),
        )
    elif form.encoding.has_modrm or form.encoding.register_in_opcode:
        found["rm"] = head >> r.B_SHIFT & 7
    if form.encoding.immediates and not set(form.kinds) & kinds.RELATIVE:
        found["constants"] = constants_of(form, machine)
    return found


def constants_of(form: Form, machine: Machine) -> list[int]:
    """The record's constants; it extends a signed byte to 32 bits, whatever the operand size."""
    count = sum(kind in kinds.IMMEDIATE for kind in form.kinds)
    count = 2 if set(form.kinds) & kinds.FAR_POINTER else count
    mask = (1 << form.data_bits) - 1 if kinds.K_IMM8S in form.kinds else M32
    return [machine.word(2) & mask, machine.word(3)][:count]


def expected(instruction: Instruction) -> dict[str, object]:
    """The same description of a plainly decoded instruction."""
    form, prefixes = instruction.form, instruction.prefixes
    found: dict[str, object] = {"form": form.name, "length": instruction.length}
    found["lock"] = prefixes.lock
    found["repeat"] = prefixes.repeat
    found["address32"] = prefixes.address_bits == 32
    constants: list[int] = []
    for kind, operand in zip(form.kinds, instruction.operands, strict=True):
        match operand:
            case Register() if kind in kinds.IN_REG_FIELD:
                found["reg"] = operand.number
            case Register() if kind in kinds.IN_RM_FIELD | kinds.IN_OPCODE:
                found["rm"] = operand.number
            case Memory():
                found["memory"] = memory_of(operand)
            case Immediate() if kind != kinds.K_ONE:
                constants.append(operand.value)
            case FarPointer():
                constants += [operand.offset, operand.selector]
            case Target():
                pass
    if constants:
        found["constants"] = constants
    return found


def memory_of(memory: Memory) -> tuple[int, int, int, int, int]:
    return (
        memory.base.number if memory.base else r.NO_REGISTER,
        memory.index.number if memory.index else r.NO_REGISTER,
        memory.scale,
        memory.effective_segment,
        memory.displacement % (1 << memory.address_bits),
    )


def random_bytes(seed: int, count: int) -> Iterator[bytes]:
    """Opcodes of the table and random ones, after random prefixes."""
    source = random.Random(seed)
    prefixes = sorted(PREFIX_BYTES)
    for _ in range(count):
        head = bytes(source.choice(prefixes) for _ in range(source.choice((0, 0, 1, 2, 4, 13))))
        escape = b"\x0f" if source.random() < 0.4 else b""
        yield head + escape + source.randbytes(15)


def compare(machine: Machine, data: bytes) -> str:
    """How the two decoders differ; nothing if they agree."""
    length = machine.decode(data)
    try:
        wanted: dict[str, object] = expected(decode(data, 0, machine.bits))
    except DecodeError as error:
        wanted = {"reason": error.reason}
    found = {"reason": TRUNCATED} if length == decoder.MORE else describe(machine, length)
    return "" if found == wanted else f"{data.hex(' ')}: machine {found}, plain {wanted}"


@pytest.mark.parametrize("bits", [16, 32])
def test_every_form(bits):
    machine = Machine(bits)
    differences = [
        compare(machine, sample.data + bytes(15 - len(sample.data)))
        for form in load_table()
        for sample in samples_of(form, bits)
    ]
    assert not [text for text in differences if text]


@pytest.mark.parametrize("bits", [16, 32])
def test_every_shape_of_an_address(bits):
    machine = Machine(bits)
    vectors = [*loads(bits), *(data for _, data in forms_in_memory(bits))]
    differences = [compare(machine, data.ljust(16, b"\0")) for data in vectors]
    assert not [text for text in differences if text]


@pytest.mark.parametrize("bits", [16, 32])
def test_random_bytes(bits):
    machine = Machine(bits)
    differences = [compare(machine, data) for data in random_bytes(bits, 5000)]
    assert not [text for text in differences if text]


@pytest.mark.parametrize("bits", [16, 32])
def test_bytes_that_end_too_early(bits):
    machine = Machine(bits)
    for form in load_table()[::7]:
        for sample in samples_of(form, bits):
            for end in range(1, len(sample.data)):
                difference = compare(machine, sample.data[:end])
                assert not difference
