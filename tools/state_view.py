"""Registers and the next instructions of a stopped guest, as text.

What is shown is what the guest believes: under a monitor these are the virtual registers. Reads
through the technique's own interface only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from isa.disassembly import sweep
from tools.symbols import locate

if TYPE_CHECKING:
    from hypervisor.technique import Snapshot, Technique

_GENERAL: Final = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
_SEGMENTS: Final = ("es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr")
_FLAGS: Final = (
    (0, "CF"), (2, "PF"), (4, "AF"), (6, "ZF"), (7, "SF"), (8, "TF"), (9, "IF"), (10, "DF"),
    (11, "OF"), (14, "NT"), (16, "RF"), (17, "VM"), (18, "AC"),
)  # fmt: skip
# Eight instructions, and enough bytes that even the longest ones are whole.
_CODE_LINES: Final = 8
_CODE_BYTES: Final = 15 * _CODE_LINES
_BRANCH: Final = re.compile(r"(?:j|call|loop)\w* (?:short |near )?(0x[0-9a-f]+)")


def state_text(machine: Technique, symbols: Mapping[str, int] | None) -> str:
    """Registers, then the instructions from EIP on."""
    snapshot = machine.snapshot()
    lines = [*register_lines(snapshot), ""]
    code = machine.read_code(_CODE_BYTES)
    lines += code_lines(code, snapshot.eip, machine.code_bits, symbols)[:_CODE_LINES]
    return "\n".join(lines)


def register_lines(snapshot: Snapshot) -> list[str]:
    """The registers in four columns, EFLAGS with the names of the flags that are set."""
    general = [f"{name:>4} {value:08x}" for name, value in zip(_GENERAL, snapshot.gpr, strict=True)]
    control = [
        f"{name:>4} {value:08x}"
        for name, value in (
            ("cr0", snapshot.cr0),
            ("cr2", snapshot.cr2),
            ("cr3", snapshot.cr3),
            ("cr4", snapshot.cr4),
        )
    ]
    selectors = [
        f"{name:>4} {value:04x}" for name, value in zip(_SEGMENTS, snapshot.selectors, strict=True)
    ]
    flags = " ".join(name for bit, name in _FLAGS if snapshot.eflags >> bit & 1)
    iopl = snapshot.eflags >> 12 & 3
    return [
        "  ".join(general[:4]),
        "  ".join(general[4:]),
        f" eip {snapshot.eip:08x}  eflags {snapshot.eflags:08x}"
        f"  {flags} IOPL={iopl}  CPL={snapshot.cpl}",
        "  ".join(selectors),
        "  ".join(control),
        f"gdtr {snapshot.gdtr[0]:08x}+{snapshot.gdtr[1]:04x}"
        f"  idtr {snapshot.idtr[0]:08x}+{snapshot.idtr[1]:04x}"
        + ("  halted" if snapshot.halted else ""),
    ]


def code_lines(
    code: bytes, address: int, bits: int, symbols: Mapping[str, int] | None
) -> list[str]:
    """A listing: symbols as headings, then address, bytes and text, branch targets by name.

    Every symbol starts afresh, so that data in front of it cannot swallow its first instruction.
    """
    end = address + len(code)
    starts = {address, *(value for value in (symbols or {}).values() if address < value < end)}
    lines: list[str] = []
    for start, stop in pairwise([*sorted(starts), end]):
        name = locate(start, symbols)
        if name is not None:
            lines.append(f"{name}:")
        for at, part, text in sweep(code[start - address : stop - address], bits, start):
            lines.append(f"  {at:08x}  {part.hex(' '):<24}  {text}{_target(text, symbols)}")
    return lines


def _target(text: str, symbols: Mapping[str, int] | None) -> str:
    """Where a branch goes, by name."""
    branch = _BRANCH.fullmatch(text)
    name = locate(int(branch[1], 16), symbols) if branch else None
    return f"  ; {name}" if name else ""
