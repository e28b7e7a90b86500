"""LLVM's assembler, from the llvmlite package: many lines in, the bytes of each line back.

LLVM ends the process that gives it a line it cannot read, so the work is done in a process of its
own: this file run as a program reads JSON from standard input.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from isa import operand_kinds as kinds
from isa.instruction import (
    SEGMENTS,
    FarPointer,
    Immediate,
    Memory,
    Register,
    Target,
)
from isa.notation import Form
from tests.case_count import count_case
from tests.isa.instruction_samples import ADDRESS, Sample

TRIPLE = "i386-unknown-linux-gnu"
SIZE_LETTERS = {8: "b", 16: "w", 32: "l"}
REPEATS = {0: "", 0xF3: "rep ", 0xF2: "repne "}

# AT&T names of what it names otherwise.
NAMES = {
    "CBW": "cbtw",
    "CWDE": "cwtl",
    "CWD": "cwtd",
    "CDQ": "cltd",
    "PUSHA": "pushaw",
    "PUSHAD": "pushal",
    "POPA": "popaw",
    "POPAD": "popal",
    "PUSHF": "pushfw",
    "PUSHFD": "pushfl",
    "POPF": "popfw",
    "POPFD": "popfl",
    "IRET": "iretw",
    "IRETD": "iretl",
    "RETF": "lret",
    "UD1": "ud1l",
    "XLATB": "xlat",
}
# Mnemonics that take a size letter. The others have none, or are named above.
# fmt: off
SIZED = frozenset({
    "ADD", "OR", "ADC", "SBB", "AND", "SUB", "XOR", "CMP", "TEST", "INC", "DEC", "NOT", "NEG",
    "MUL", "IMUL", "DIV", "IDIV", "ROL", "ROR", "RCL", "RCR", "SHL", "SHR", "SAR", "SHLD", "SHRD",
    "BT", "BTS", "BTR", "BTC", "BSF", "BSR", "BSWAP", "XCHG", "XADD", "CMPXCHG", "MOV", "LEA",
    "PUSH", "POP", "RET", "RETF", "LGDT", "LIDT", "SGDT", "SIDT", "NOP", "IN", "OUT", "LAR", "LSL",
})
# fmt: on
SYSTEM_KINDS = frozenset({kinds.K_SREG, kinds.K_CR, kinds.K_DR})
INTEL_ORDER = frozenset({"BOUND", "ENTER"})  # operands not reversed


def att_text(sample: Sample, label: str) -> str:
    """The instruction in AT&T syntax; `label` is its own address."""
    form = sample.form
    operands = [_operand(sample, position, label) for position in range(len(form.kinds))]
    if form.mnemonic not in INTEL_ORDER:
        operands.reverse()
    return f"{_prefixes(sample)}{_name(sample)} {', '.join(operands)}".rstrip()


def _prefixes(sample: Sample) -> str:
    prefixes = sample.prefixes
    words = ""
    memory = next((operand for operand in sample.operands if isinstance(operand, Memory)), None)
    absolute = memory is not None and memory.base is None and memory.index is None
    address_bits = memory.address_bits if memory and absolute else prefixes.address_bits
    if address_bits not in (0, sample.bits):
        words += f"addr{address_bits} "
    if memory is None and prefixes.segment is not None:
        words += f"{SEGMENTS[prefixes.segment]} "
    return words + ("lock " if prefixes.lock else "") + REPEATS[prefixes.repeat]


def _name(sample: Sample) -> str:
    form = sample.form
    letter = SIZE_LETTERS.get(form.data_bits, "")
    name = NAMES.get(form.mnemonic, form.mnemonic.lower())
    system = bool(SYSTEM_KINDS & set(form.kinds))
    if form.far and form.mnemonic in ("JMP", "CALL"):
        return f"l{name}{letter}"
    if form.mnemonic in ("MOVZX", "MOVSX"):
        return f"{name[:4]}{SIZE_LETTERS[kinds.KIND_BITS[form.kinds[1]]]}{letter}"
    if form.operation in ("JMP_INDIRECT", "CALL_INDIRECT"):
        return f"{name}{letter}"
    if form.operation == "MOV_FROM_SREG" and isinstance(sample.operands[0], Register):
        return f"mov{letter}"
    if form.repeat and form.data_bits == 32:
        return f"{name[:-1]}l"
    return name + letter if form.mnemonic in SIZED and not system else name


def _operand(sample: Sample, position: int, label: str) -> str:
    form, operand = sample.form, sample.operands[position]
    star = "*" if form.flow else ""
    match operand:
        case Register(file="dr"):
            return f"%db{operand.number}"
        case Register():
            return f"{star}%{operand.name}"
        case Memory():
            return star + _memory(operand)
        case Immediate():
            return f"${_signed(form, position, operand.value)}"
        case Target():
            return f"{label}{operand.address - ADDRESS:+d}"
        case FarPointer():
            return f"${operand.selector}, ${operand.offset}"


def _signed(form: Form, position: int, value: int) -> int:
    """A sign-extended byte is written with its sign."""
    negative = form.kinds[position] == kinds.K_IMM8S and value >> form.data_bits - 1
    return value - (1 << form.data_bits) if negative else value


def _memory(memory: Memory) -> str:
    segment = f"%{SEGMENTS[memory.segment]}:" if memory.segment is not None else ""
    if memory.base is None and memory.index is None:
        return f"{segment}{memory.displacement}"
    inner = f"%{memory.base.name}" if memory.base else ""
    if memory.index is not None:
        scale = f",{memory.scale}" if memory.address_bits == 32 else ""
        inner += f",%{memory.index.name}{scale}"
    return f"{segment}{memory.displacement}({inner})"


def assemble(lines: Sequence[str], bits: int) -> list[bytes]:
    """Assemble all lines in one run; AssertionError with LLVM's words if it refuses any."""
    run = subprocess.run(
        [sys.executable, str(Path(__file__))],
        input=json.dumps({"lines": list(lines), "bits": bits}),
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    count_case(len(lines))
    return [bytes.fromhex(text) for text in json.loads(run.stdout)]


def _assemble_here(lines: Sequence[str], bits: int) -> list[bytes]:
    import llvmlite.binding as llvm

    from tests.oracles.nasm_assembler import split_at_labels

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    text = [f".code{bits}"]
    for number, line in enumerate(lines):
        text += [f"i{number}:", line]
    text.append(f"i{len(lines)}:")
    module_asm = "\n".join(f'module asm "{line}"' for line in text)
    module = llvm.parse_assembly(f'target triple = "{TRIPLE}"\n{module_asm}\n')
    machine = llvm.Target.from_triple(TRIPLE).create_target_machine(cpu="pentiumpro")
    return split_at_labels(machine.emit_object(module), len(lines))


if __name__ == "__main__":
    request = json.load(sys.stdin)
    print(json.dumps([data.hex() for data in _assemble_here(request["lines"], request["bits"])]))
