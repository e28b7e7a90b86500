"""Capstone and our decoder read the same bytes the same way: length, mnemonic and operands.

First every form with operands of every shape; then every opcode with every ModRM.reg, and random
bytes after random prefixes, where it also matters which bytes are not an instruction at all. The
differences are listed here with their reasons; each listed one must occur, so that none outlives
its reason. Capstone's groups are not used.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import capstone
import pytest
from capstone import x86

from isa import operand_kinds as kinds
from isa.disassembly import DecodeError, decode
from isa.instruction import SEGMENTS, FarPointer, Immediate, Instruction, Memory, Register, Target
from isa.notation import PREFIX_BYTES, load_table
from tests.case_count import count_case
from tests.isa.instruction_samples import ADDRESS, address_samples, samples_of
from tests.oracles.address_space import forms_in_memory, loads, takes_memory
from tests.oracles.opcode_space import vectors

pytestmark = pytest.mark.oracle

# Capstone's names for what the table calls otherwise. In 16-bit code it calls CBW and CWD by the
# names of their 32-bit forms.
NAMES = {
    "pushaw": "pusha",
    "popaw": "popa",
    "pushal": "pushad",
    "popal": "popad",
    "ljmp": "jmp",
    "lcall": "call",
    "sal": "shl",
}
NAMES_16 = {"cwde": "cbw", "cdq": "cwd"}

HINTS = {"0f18", "0f19", "0f1a", "0f1b", "0f1c", "0f1d", "0f1e"}
NEAR_BRANCHES = {"e8", "e9"} | {f"0f8{condition:x}" for condition in range(16)}
NO_MODRM_IN_CAPSTONE = {"0fb9", "0fff"}  # it gives UD0 and UD1 no ModRM byte

# Bytes that are an instruction for us and not for capstone.
ONLY_OURS = {
    "0f0a": "TRAPDOOR is the project's own",
    "0fbc": "F2 before BSF has no effect on processors without TZCNT",
    "0fbd": "F2 before BSR has no effect on processors without LZCNT",
} | dict.fromkeys(HINTS - {"0f19"}, "reserved for hints: no operation, whatever ModRM says")

# Bytes that are another instruction for us, because capstone knows later processors.
RENAMED = {
    "0f09": "F3 makes it WBNOINVD",
    "0fbc": "F3 makes it TZCNT",
    "0fbd": "F3 makes it LZCNT",
} | dict.fromkeys(HINTS - {"0f19", "0f1d"}, "prefetches, MPX, CLDEMOTE and shadow stacks")

# Bytes that capstone takes for an instruction and we do not, by the reason.
LATER_PROCESSORS = (
    {"0f05", "0f07", "0f0d", "0f0e", "0f0f", "0f37", "0f38", "0f3a", "0fa6", "0fa7", "0fae"}
    | {"0f01", "0fb8", "0fc7", "c4", "c5", "c6", "c7", "62", "8f"}
    | {f"0f{opcode:02x}" for opcode in (*range(0x10, 0x18), *range(0x28, 0x30))}
    | {f"0f{opcode:02x}" for opcode in (*range(0x50, 0x80), *range(0xC2, 0xC7))}
    | {f"0f{opcode:02x}" for opcode in range(0xD0, 0xFF)}
)
# Faults of capstone's.
CUT_DISPLACEMENT = "capstone keeps 16 bits of a near displacement after a size prefix"
FORGOTTEN_LOCK = "capstone forgets a LOCK beside a repeat prefix"
REFUSED_MIXTURE = "capstone refuses some opcodes after both a repeat and a size prefix"
WIDER_NAME = "capstone names the 32-bit register that MOV to a segment register reads half of"

FLOATING_POINT = {f"{opcode:02x}" for opcode in range(0xD8, 0xE0)}
SYSTEM_MANAGEMENT = {"0faa"}  # RSM: the machine has no system-management mode
NO_SUCH_REGISTER = {"0f20", "0f22", "8e"}  # CR1, CR5 to CR7; CS as a destination


@dataclass(frozen=True)
class Difference:
    """How two readings of the same bytes differ; `kind` is empty when they do not."""

    kind: str
    prefixes: frozenset[int]
    opcode: str
    text: str


def split_prefixes(data: bytes) -> tuple[frozenset[int], str]:
    """The prefixes, and the opcode in hexadecimal with its escape byte."""
    rest = data.lstrip(bytes(PREFIX_BYTES))
    prefixes = frozenset(data[: len(data) - len(rest)])
    return prefixes, rest[: 2 if rest[:1] == b"\x0f" else 1].hex()


class Comparison:
    """Capstone and our decoder, for code of one size."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        mode = capstone.CS_MODE_32 if bits == 32 else capstone.CS_MODE_16
        self.engine = capstone.Cs(capstone.CS_ARCH_X86, mode)
        self.engine.detail = True

    def compare(self, data: bytes) -> Difference:
        count_case()
        theirs = next(self.engine.disasm(data, ADDRESS, 1), None)
        try:
            ours = decode(data, 0, self.bits, ADDRESS)
        except DecodeError:
            ours = None
        text = f"{data.hex(' ')}: "
        text += f"ours {ours.text if ours else 'none'}, "
        text += f"capstone {theirs.mnemonic} {theirs.op_str}" if theirs else "capstone none"
        return Difference(self._kind(ours, theirs), *split_prefixes(data), text)

    def _kind(self, ours: Instruction | None, theirs: capstone.CsInsn | None) -> str:
        if ours is None or theirs is None:
            return "only ours" if ours else "only capstone" if theirs else ""
        name = theirs.mnemonic.split()[-1]
        names = {NAMES.get(name, name)}
        if self.bits == 16:
            names.add(NAMES_16.get(name, name))
        if theirs.size != ours.length:
            return "length"
        if ours.form.mnemonic.lower() not in names:
            return "name"
        return "" if self._same_operands(ours, theirs) else "operands"

    def _same_operands(self, ours: Instruction, theirs: capstone.CsInsn) -> bool:
        if ours.form.repeat or ours.form.mnemonic == "XLATB":
            return True  # capstone makes the implicit memory of string instructions operands
        left = our_operands(ours)
        right = capstone_operands(theirs, ours)
        return left == right or (ours.form.mnemonic == "XCHG" and left[::-1] == right)


def constant_widths(instruction: Instruction) -> list[int]:
    """Bits of each constant operand: capstone extends many by their sign, we do not."""
    form = instruction.form
    widths = []
    for kind in form.kinds:
        if kind == kinds.K_IMM8S:
            widths.append(form.data_bits)
        elif kind in kinds.RELATIVE:
            widths.append(instruction.prefixes.operand_bits)
        elif kind in kinds.FAR_POINTER:
            widths += [16, kinds.KIND_BITS[kind] - 16]
        elif kind in kinds.IMMEDIATE | {kinds.K_ONE}:
            widths.append(kinds.KIND_BITS[kind] or 8)
    return widths


def our_operands(instruction: Instruction) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for operand in instruction.operands:
        match operand:
            case Register():
                found.append(("register", operand.name))
            case Immediate():
                found.append(("constant", operand.value))
            case Target():
                found.append(("constant", operand.address))
            case FarPointer():
                found += [("constant", operand.selector), ("constant", operand.offset)]
            case Memory():
                base = operand.base.name if operand.base else None
                index = operand.index.name if operand.index else None
                scale = operand.scale if index else 1
                displacement = operand.displacement % (1 << operand.address_bits)
                found.append(("memory", base, index, scale, displacement, operand.segment))
    return found


def capstone_operands(theirs: capstone.CsInsn, ours: Instruction) -> list[tuple[object, ...]]:
    """Capstone's operands in the same form."""
    found: list[tuple[object, ...]] = []
    widths = iter(constant_widths(ours))
    for operand in theirs.operands:
        if operand.type == x86.X86_OP_REG:
            found.append(("register", theirs.reg_name(operand.reg)))
        elif operand.type == x86.X86_OP_IMM:
            found.append(("constant", operand.imm % (1 << next(widths, 64))))
        else:
            memory = operand.mem
            base = theirs.reg_name(memory.base) if memory.base else None
            index = theirs.reg_name(memory.index) if memory.index else None
            index = None if index == "eiz" else index
            displacement = memory.disp % (1 << ours.prefixes.address_bits)
            segment = SEGMENTS.index(theirs.reg_name(memory.segment)) if memory.segment else None
            scale = memory.scale if index else 1
            found.append(("memory", base, index, scale, displacement, segment))
    return found


def explain(difference: Difference) -> str:
    """The documented reason for a difference, or nothing."""
    opcode = difference.opcode
    if opcode in FLOATING_POINT and difference.kind in ("only ours", "name", "only capstone"):
        return "floating point"
    match difference.kind:
        case "only ours":
            return ONLY_OURS.get(opcode, "") or explain_ours(difference)
        case "name":
            return RENAMED.get(opcode, "")
        case "length":
            return "UD0 and UD1" if opcode in NO_MODRM_IN_CAPSTONE else ""
        case "operands":
            return explain_operands(difference)
        case "only capstone":
            return explain_capstone(difference)
    return ""


def explain_ours(difference: Difference) -> str:
    repeat, size = difference.prefixes & {0xF2, 0xF3}, difference.prefixes & {0x66, 0x67}
    if repeat and size and (difference.opcode == "90" or difference.opcode.startswith("0f")):
        return REFUSED_MIXTURE
    return ""


def explain_operands(difference: Difference) -> str:
    if difference.opcode in HINTS | NO_MODRM_IN_CAPSTONE:
        return "hints: we have no second operand"
    if difference.opcode in NEAR_BRANCHES and difference.prefixes & {0x66, 0x67}:
        return CUT_DISPLACEMENT
    return WIDER_NAME if difference.opcode == "8e" else ""


def explain_capstone(difference: Difference) -> str:
    opcode, prefixes = difference.opcode, difference.prefixes
    if 0xF0 in prefixes and prefixes & {0xF2, 0xF3}:
        return FORGOTTEN_LOCK
    if opcode in LATER_PROCESSORS:
        return "later processors"
    if opcode in SYSTEM_MANAGEMENT:
        return "system management"
    if opcode in NO_SUCH_REGISTER:
        return "no such register"
    return "LOCK where it is not legal" if "capstone lock" in difference.text else ""


@pytest.mark.parametrize("bits", [16, 32])
def test_capstone_reads_every_form(bits):
    comparison = Comparison(bits)
    unexplained = []
    agreed = set()
    for form in load_table():
        for sample in samples_of(form, bits):
            difference = comparison.compare(sample.data)
            if not difference.kind:
                agreed.add(form.name)
            elif not explain(difference):
                unexplained.append(difference.text)
    assert not unexplained
    silent = {form.mnemonic for form in load_table() if form.name not in agreed}
    assert silent == {"NOP", "UD0", "UD1", "TRAPDOOR", "ESC"}
    assert {form.name for form in load_table() if not form.decode_only} - agreed == {
        "UD0_r32_rm32",
        "UD1_r32_rm32",
        "TRAPDOOR_imm8",
    }


@pytest.mark.parametrize("bits", [16, 32])
def test_capstone_reads_every_address(bits):
    comparison = Comparison(bits)
    for sample in address_samples(bits):
        difference = comparison.compare(sample.data)
        assert not difference.kind, difference.text


@pytest.mark.parametrize("bits", [16, 32])
def test_capstone_reads_every_shape_of_an_address(bits):
    comparison = Comparison(bits)
    count = 0
    for data in loads(bits):
        difference = comparison.compare(data)
        assert not difference.kind, difference.text
        count += 1
    assert count == 7 * (24 + 21 + 3 * 256)


@pytest.mark.compiled  # needs no compiling, but seconds; once is enough
@pytest.mark.parametrize("bits", [16, 32])
def test_capstone_reads_every_form_with_every_shape(bits):
    comparison = Comparison(bits)
    unexplained = []
    agreed = Counter()
    for form, data in forms_in_memory(bits):
        difference = comparison.compare(data)
        if not difference.kind:
            agreed[form.name] += 1
        elif not explain(difference):
            unexplained.append(difference.text)
    assert not unexplained
    silent = {
        form.mnemonic for form in load_table() if takes_memory(form) and not agreed[form.name]
    }
    assert silent <= {"NOP", "UD0", "UD1", "ESC"}


PREFIXES = (b"", b"\x66", b"\x67", b"\xf3", b"\xf2", b"\xf0", b"\x2e")


def random_bytes(seed: int, count: int) -> Iterator[bytes]:
    """Random bytes after up to three random prefixes."""
    source = random.Random(seed)
    prefixes = sorted(PREFIX_BYTES)
    for _ in range(count):
        head = bytes(source.choice(prefixes) for _ in range(source.choice((0, 0, 0, 1, 2, 3))))
        yield head + source.randbytes(16)


@pytest.mark.parametrize("bits", [16, 32])
def test_capstone_accepts_what_we_accept(bits):
    comparison = Comparison(bits)
    reasons = set()
    unexplained = []
    for data in (*vectors(PREFIXES), *random_bytes(bits, 20_000)):
        difference = comparison.compare(data)
        reason = explain(difference) if difference.kind else "same"
        reasons.add(reason)
        if not reason:
            unexplained.append(f"{difference.kind}: {difference.text}")
    assert not unexplained
    documented = {*ONLY_OURS.values(), *RENAMED.values(), "same", "UD0 and UD1"}
    documented |= {"later processors", "floating point", "system management", "no such register"}
    documented |= {"LOCK where it is not legal", "hints: we have no second operand"}
    documented |= {CUT_DISPLACEMENT, FORGOTTEN_LOCK}
    assert documented <= reasons <= documented | {REFUSED_MIXTURE, WIDER_NAME}
