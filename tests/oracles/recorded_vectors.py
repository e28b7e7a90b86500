"""Single instructions recorded from a real processor: their packed form.

The tests are a part of SingleStepTests/80286, version 1.0.0, by Daniel Balsom: every opcode of the
80286 in real mode, recorded from a Harris N80C286-12. tests/oracles/vectors holds them in packed
form, one file per opcode form, under their own licence (LICENSE there); pack_vectors.py made them.

A test is an instruction followed by HLT: registers and the bytes of memory that matter before;
registers and bytes of memory that changed after, when the HLT (after the instruction, at the target
of a branch, or in the handler of an exception) has been executed.

A packed file is LZMA-compressed: numpy columns one after the other, multi-byte numbers with their
bytes apart (all low bytes, then all high bytes), addresses as distance to the one before.
"""

from __future__ import annotations

import lzma
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).with_name("vectors")
SUFFIX = ".xz"
REGISTERS = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "es", "cs", "ss", "ds", "ip", "flags")
CS, IP, FLAGS = 9, 12, 13  # places in REGISTERS, which begins like the encodings of registers
HLT = 0xF4
NO_EXCEPTION = -1

Words = NDArray[np.int64]


@dataclass(frozen=True)
class Recorded:
    """One recorded test.

    Attributes:
        index: number in the original set.
        length: bytes of the instruction, prefixes included, without the HLT.
        before, after: the 14 REGISTERS.
        places, values: memory before: physical addresses and bytes.
        changed_places, changed_values: bytes that changed.
        exception: vector raised, or NO_EXCEPTION.
        flags_at: physical address of the pushed FLAGS after an exception.
    """

    form: str
    index: int
    length: int
    before: Words
    after: Words
    places: Words
    values: Words
    changed_places: Words
    changed_values: Words
    exception: int
    flags_at: int

    @property
    def start(self) -> int:
        """Physical address of the instruction."""
        return int(self.before[CS]) * 16 + int(self.before[IP])

    @property
    def code(self) -> bytes:
        """The instruction's bytes."""
        memory = dict(zip(self.places.tolist(), self.values.tolist(), strict=True))
        segment, ip = int(self.before[CS]) * 16, int(self.before[IP])
        return bytes(memory[segment + (ip + at & 0xFFFF)] for at in range(self.length))

    def __str__(self) -> str:
        registers = " ".join(
            f"{name}={int(value):04x}" for name, value in zip(REGISTERS, self.before, strict=True)
        )
        return f"{self.form} number {self.index}: {self.code.hex(' ')}, {registers}"


def _apart(column: NDArray[np.integer]) -> bytes:
    """A column with the bytes of its numbers apart."""
    return np.ascontiguousarray(column.reshape(-1, 1).view(np.uint8).T).tobytes()


def _together(data: bytes, kind: str, count: int) -> NDArray[np.integer]:
    size = np.dtype(kind).itemsize
    matrix = np.frombuffer(data, np.uint8).reshape(size, count)
    return np.ascontiguousarray(matrix.T).view(kind).reshape(count)


def _distances(test: Recorded, places: Words) -> Words:
    return np.diff(places, prepend=test.start)


# Column name -> type; "places" columns are stored as distances.
_COLUMNS = (
    ("index", "<u4"),
    ("length", "<u1"),
    ("registers", "<u2"),  # by register, then by test
    ("changes", "<u2"),  # after - before, likewise
    ("exception", "<i2"),
    ("flags_at", "<i4"),
    ("count", "<u2"),
    ("places", "<i4"),
    ("values", "<u1"),
    ("changed_count", "<u2"),
    ("changed_places", "<i4"),
    ("changed_values", "<u1"),
)


def pack(tests: list[Recorded]) -> bytes:
    """The packed file of the tests of one form."""
    before = np.array([test.before for test in tests])
    after = np.array([test.after for test in tests])
    columns = {
        "index": np.diff([test.index for test in tests], prepend=0),
        "length": np.array([test.length for test in tests]),
        "registers": before.T.reshape(-1),
        "changes": (after - before & 0xFFFF).T.reshape(-1),
        "exception": np.array([test.exception for test in tests]),
        "flags_at": np.array([test.flags_at for test in tests]),
        "count": np.array([len(test.places) for test in tests]),
        "places": np.concatenate([_distances(test, test.places) for test in tests]),
        "values": np.concatenate([test.values for test in tests]),
        "changed_count": np.array([len(test.changed_places) for test in tests]),
        "changed_places": np.concatenate([_distances(test, test.changed_places) for test in tests]),
        "changed_values": np.concatenate([test.changed_values for test in tests]),
    }
    data = struct.pack("<I", len(tests))
    for name, kind in _COLUMNS:
        column = columns[name].astype(kind)
        data += struct.pack("<I", column.size) + _apart(column)
    return lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)


def unpack(form: str, packed: bytes) -> Iterator[Recorded]:
    """The tests of a packed file."""
    data = lzma.decompress(packed)
    (tests,) = struct.unpack_from("<I", data)
    at = 4
    columns: dict[str, Words] = {}
    for name, kind in _COLUMNS:
        (count,) = struct.unpack_from("<I", data, at)
        end = at + 4 + count * np.dtype(kind).itemsize
        columns[name] = _together(data[at + 4 : end], kind, count).astype(np.int64)
        at = end
    before = np.ascontiguousarray(columns["registers"].reshape(-1, tests).T)
    after = before + columns["changes"].reshape(-1, tests).T & 0xFFFF
    index = np.cumsum(columns["index"])
    first = np.concatenate([[0], np.cumsum(columns["count"])])
    first_changed = np.concatenate([[0], np.cumsum(columns["changed_count"])])
    for test in range(tests):
        start = int(before[test, CS]) * 16 + int(before[test, IP])
        memory = slice(first[test], first[test + 1])
        changed = slice(first_changed[test], first_changed[test + 1])
        yield Recorded(
            form,
            int(index[test]),
            int(columns["length"][test]),
            before[test],
            after[test],
            start + np.cumsum(columns["places"][memory]),
            columns["values"][memory],
            start + np.cumsum(columns["changed_places"][changed]),
            columns["changed_values"][changed],
            int(columns["exception"][test]),
            int(columns["flags_at"][test]),
        )


def forms() -> list[str]:
    """Names of the recorded opcode forms: "00" ... "FF.6"."""
    return sorted(path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}"))


def recordings_of(form: str) -> Iterator[Recorded]:
    """The recorded tests of an opcode form, in their original order."""
    return unpack(form, (FOLDER / f"{form}{SUFFIX}").read_bytes())
