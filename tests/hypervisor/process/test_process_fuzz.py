"""Random system calls: the host never fails, nothing outside the root changes, nothing hangs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor.process.calls.table import CALLS
from hypervisor.process.process import Process, Reason
from isa import state
from tests.hypervisor.process.small_processes import process_of

pytestmark = [pytest.mark.compiled, pytest.mark.usefixtures("compiled_machine")]

# The program takes eight words for each call from a table, until the table ends.
STUB = """
    mov ebp, table
next:
    mov eax, [ebp]
    cmp eax, -1
    je done
    mov ebx, [ebp + 4]
    mov ecx, [ebp + 8]
    mov edx, [ebp + 12]
    mov esi, [ebp + 16]
    mov edi, [ebp + 20]
    push ebp
    mov ebp, [ebp + 24]
    int 0x80
    pop ebp
    add ebp, 28
    jmp next
done:
    leave_with 0

section .data align=4096
names:
    db "file", 0, 0, 0, 0
    db "..", 0, 0, 0, 0, 0, 0
    db "../canary", 0, 0, 0, 0, 0, 0, 0
    db "/link", 0, 0, 0
    db "new", 0, 0, 0, 0, 0
    db "fifo", 0, 0, 0, 0
    db "/dev/zero", 0, 0, 0, 0, 0, 0, 0
    db "folder/x/../../../canary", 0
    align 16
space:
    times 512 db 0
table:
    times 28 * 24 + 4 db 0xFF
"""
CANARY = b"nobody has been here"
# Calls that end the process at once teach nothing.
NUMBERS = sorted(number for number in CALLS if number not in (1, 252, 119, 173))


def prepared(folder: Path) -> Path:
    root = folder / "root"
    (root / "folder" / "x").mkdir(parents=True)
    (root / "file").write_bytes(b"content" * 100)
    (root / "link").symlink_to("../canary")
    os.mkfifo(root / "fifo")
    (folder / "canary").write_bytes(CANARY)
    return root


def outside(root: Path) -> list[tuple[str, bytes | None]]:
    return sorted(
        (path.name, path.read_bytes() if path.is_file() else None) for path in root.parent.iterdir()
    )


def symbols(process: Process) -> dict[str, int]:
    return process.program.symbols


def words(places: dict[str, int]) -> st.SearchStrategy[int]:
    names = [places["names"] + offset for offset in (0, 8, 16, 32, 40, 48, 56, 72)]
    return st.one_of(
        st.sampled_from(names),
        st.sampled_from([places["space"] + offset for offset in (0, 4, 64, 256)]),
        st.integers(0, 12),
        st.sampled_from([0, 1, 2, 3, 4095, 4096, 8192, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]),
        st.sampled_from([0x40, 0x42, 0x241, 0x22, 0x32, 0x1000, 0xFFFFFF9C, 1000, 0x0BFFFFFF0]),
        st.sampled_from([0x10000000, 0xB7000000, 0xBFFFF000, 0xC0000000, 0xFFC00000]),
        st.integers(0, 0xFFFFFFFF),
    )


PLACES = symbols(process_of(STUB)[0])
CALL = st.tuples(st.sampled_from(NUMBERS), *[words(PLACES)] * 6)


@settings(max_examples=150)
@given(st.lists(CALL, min_size=1, max_size=24), st.booleans())
def test_random_calls_hurt_nobody(tmp_path_factory, calls, writable):
    root = prepared(tmp_path_factory.mktemp("fuzz"))
    before = outside(root)
    process, _ = process_of(STUB, root, writable=writable, stdin=b"some input\n")
    table = b"".join(word.to_bytes(4, "little") for call in calls for word in call)
    process.space.write(PLACES["table"], table)
    ending = process.run(budget=3_000_000, timeout_s=20)
    process.close()
    assert ending.reason in set(Reason) - {Reason.TIMEOUT}
    assert outside(root) == before
    assert process.space.resident_pages <= process.space.limit + 1024


@settings(max_examples=60)
@given(st.binary(min_size=1, max_size=300), st.lists(st.integers(0, 0xFFFFFFFF), min_size=8))
def test_random_instructions_hurt_nobody(tmp_path_factory, code, registers):
    root = prepared(tmp_path_factory.mktemp("fuzz"))
    before = outside(root)
    process, _ = process_of(STUB, root, writable=True)
    process.space.protect(PLACES["names"] & ~4095, (PLACES["table"] & ~4095) + 4096, 7)
    process.space.write(PLACES["table"], code)
    process.world.eip = PLACES["table"]
    for register in (0, 1, 2, 3, 5, 6, 7):
        process.world.cpu[state.GPR + register] = registers[register]
    ending = process.run(budget=200_000, timeout_s=20)
    process.close()
    assert ending.reason in set(Reason) - {Reason.TIMEOUT}
    assert outside(root) == before
