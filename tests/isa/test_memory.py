"""Device memory: every kind of instruction accesses it exactly once and in order.

The same programs run against plain RAM give the expected results; what an instruction writes to
the device must be what it would have written to memory.
"""

from __future__ import annotations

import pytest

from isa import state
from isa.exits import Exit
from isa.registers import DS, EAX, EBX, ECX, EDI, EDX, ES, ESI, ESP, SS
from isa.vectors import GP, PF
from isa.vectors import SS as SS_FAULT
from tests.isa.assembly_machine import (
    CODE,
    CODE0,
    DEVICE,
    DONE,
    RAM_BYTES,
    STACK,
    AssemblyMachine,
    Devices,
)

pytestmark = pytest.mark.bounds

D = DEVICE


@pytest.fixture(scope="module")
def made():
    return AssemblyMachine()


@pytest.fixture
def machine(made):
    made.reset()
    return made


# Instruction, device contents, accesses in order.
CASES: dict[str, tuple[str, dict[int, int], list[tuple[str, int, int, int]]]] = {
    "load8": ("mov al, [DEVICE]", {D: 0x77}, [("read", D, 1, 0x77)]),
    "load16": ("mov ax, [DEVICE + 2]", {D + 2: 0x1234}, [("read", D + 2, 2, 0x1234)]),
    "load32": ("mov ebx, [DEVICE]", {D: 0x12345678}, [("read", D, 4, 0x12345678)]),
    "store8": ("mov byte [DEVICE], 7", {}, [("write", D, 1, 7)]),
    "store32": ("mov [DEVICE], esp", {}, [("write", D, 4, STACK)]),
    "add_to": (
        "add dword [DEVICE], 5",
        {D: 10},
        [("read", D, 4, 10), ("write", D, 4, 15)],
    ),
    "add_from": ("add ebx, [DEVICE]", {D: 10}, [("read", D, 4, 10)]),
    "compare": ("cmp dword [DEVICE], 5", {D: 10}, [("read", D, 4, 10)]),
    "test8": ("test byte [DEVICE], 5", {D: 10}, [("read", D, 1, 10)]),
    "inc": ("inc dword [DEVICE]", {D: 9}, [("read", D, 4, 9), ("write", D, 4, 10)]),
    "not": ("not byte [DEVICE]", {D: 9}, [("read", D, 1, 9), ("write", D, 1, 0xF6)]),
    "shl": ("shl word [DEVICE], 4", {D: 9}, [("read", D, 2, 9), ("write", D, 2, 0x90)]),
    "shld": (
        "mov eax, 0xF0000000\nshld [DEVICE], eax, 4",
        {D: 1},
        [("read", D, 4, 1), ("write", D, 4, 0x1F)],
    ),
    "xchg": (
        "mov eax, 3\nxchg eax, [DEVICE]",
        {D: 9},
        [("read", D, 4, 9), ("write", D, 4, 3)],
    ),
    "xadd": (
        "mov eax, 3\nxadd [DEVICE], eax",
        {D: 9},
        [("read", D, 4, 9), ("write", D, 4, 12)],
    ),
    "cmpxchg_equal": (
        "mov eax, 9\nmov ecx, 4\ncmpxchg [DEVICE], ecx",
        {D: 9},
        [("read", D, 4, 9), ("write", D, 4, 4)],
    ),
    "cmpxchg_other": (
        "mov eax, 8\nmov ecx, 4\ncmpxchg [DEVICE], ecx",
        {D: 9},
        [("read", D, 4, 9), ("write", D, 4, 9)],
    ),
    "cmpxchg8b": (
        "mov eax, 1\nmov edx, 2\nmov ebx, 3\nmov ecx, 4\ncmpxchg8b [DEVICE]",
        {D: 1, D + 4: 2},
        [("read", D, 4, 1), ("read", D + 4, 4, 2), ("write", D, 4, 3), ("write", D + 4, 4, 4)],
    ),
    "bts": (
        "mov eax, 33\nbts [DEVICE], eax",
        {D + 4: 1},
        [("read", D + 4, 4, 1), ("write", D + 4, 4, 3)],
    ),
    "bt": ("bt dword [DEVICE], 0", {D: 1}, [("read", D, 4, 1)]),
    "movzx": ("movzx eax, word [DEVICE]", {D: 0xFFFF}, [("read", D, 2, 0xFFFF)]),
    "cmov_false": ("stc\ncmovnc eax, [DEVICE]", {D: 1}, [("read", D, 4, 1)]),
    "setc": ("stc\nsetc [DEVICE]", {}, [("write", D, 1, 1)]),
    "mul": ("mov eax, 5\nmul dword [DEVICE]", {D: 6}, [("read", D, 4, 6)]),
    "imul": ("mov eax, 5\nimul eax, [DEVICE]", {D: 6}, [("read", D, 4, 6)]),
    "div": ("mov eax, 50\nmov edx, 0\ndiv dword [DEVICE]", {D: 6}, [("read", D, 4, 6)]),
    "push": ("push dword [DEVICE]", {D: 6}, [("read", D, 4, 6)]),
    "pop": ("push dword 8\npop dword [DEVICE]", {}, [("write", D, 4, 8)]),
    "xlat": ("mov ebx, DEVICE\nmov al, 5\nxlatb", {D + 5: 6}, [("read", D + 5, 1, 6)]),
    "lea": ("lea eax, [DEVICE]", {}, []),
    "nop": ("nop dword [DEVICE]", {}, []),
    "prefetch_nothing": ("mov eax, DEVICE\nmov ebx, eax", {}, []),
    "store_sreg": ("mov [DEVICE], cs", {}, [("write", D, 2, CODE0)]),
    "call_memory": ("call [DEVICE]\nend:", {D: CODE + 6}, [("read", D, 4, CODE + 6)]),
    "jump_memory": ("jmp [DEVICE]\nend:", {D: CODE + 6}, [("read", D, 4, CODE + 6)]),
    "sgdt": (
        "sgdt [DEVICE]",
        {},
        [("write", D, 2, 0x2F), ("write", D + 2, 4, 0x1000)],
    ),
    "stack_on_device": (
        "mov esp, DEVICE + 8\npush dword 5\npop eax\nmov esp, 0x9000",
        {D + 4: 5},
        [("write", D + 4, 4, 5), ("read", D + 4, 4, 5)],
    ),
    "call_on_device": (
        "mov esp, DEVICE + 8\ncall next\nnext:\nmov esp, 0x9000",
        {},
        [("write", D + 4, 4, CODE + 10)],
    ),
    "ret_on_device": (
        "mov esp, DEVICE\nret\nnext:\nmov esp, 0x9000",
        {D: CODE + 6},
        [("read", D, 4, CODE + 6)],
    ),
    "leave": (
        "mov ebp, DEVICE\nleave\nmov esp, 0x9000",
        {D: 5},
        [("read", D, 4, 5)],
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "once"])
def test_an_access_happens_once_and_in_order(machine, name, kept):
    source, values, expected = CASES[name]
    machine.load(f"{source}\ntimes 3 nop\ntrapdoor DONE\n")
    devices = Devices(values)
    reason = Exit.BUDGET
    while reason == Exit.BUDGET:
        reason = machine.drive(devices, 100_000 if kept else 1)
    assert (reason, machine.processor.detail[0]) == (Exit.TRAPDOOR, DONE)
    assert devices.accesses == expected
    lines = [line for line in source.split("\n") if not line.endswith(":")]
    assert machine.processor.retired_total == len(lines) + 3 + 1


def test_many_reads_of_one_instruction(machine):
    """POPAD from device memory: more reads than any other instruction of fixed length."""
    machine.load("mov esp, DEVICE\npopad\ntrapdoor DONE\n")
    devices = Devices({D + 4 * index: index + 1 for index in range(8)})
    assert machine.drive(devices) == Exit.TRAPDOOR
    assert [machine.register(n) for n in (EDI, ESI, EBX, EDX, ECX, EAX)] == [1, 2, 5, 6, 7, 8]
    reads = [access[1] for access in devices.accesses]
    assert reads == [D + 4 * index for index in range(8)]


def test_many_writes_of_one_instruction(machine):
    machine.load("mov esp, DEVICE + 32\npushad\nmov esp, 0x9000\ntrapdoor DONE\n")
    devices = Devices()
    assert machine.drive(devices) == Exit.TRAPDOOR
    assert [access[:3] for access in devices.accesses] == [
        ("write", D + 28 - 4 * index, 4) for index in range(8)
    ]


@pytest.mark.parametrize("level", [0, 1, 4, 31])
def test_a_frame_on_device_memory(machine, level):
    """ENTER writes all of its frame, however many levels there are."""
    machine.load(
        f"mov ebp, {STACK - 0x100}\nmov esp, DEVICE + 0x800\nenter 8, {level}\n"
        "mov esp, 0x9000\ntrapdoor DONE\n"
    )
    devices = Devices()
    assert machine.drive(devices) == Exit.TRAPDOOR
    writes = [access[1] for access in devices.accesses]
    assert writes == [D + 0x800 - 4 * (index + 1) for index in range(level + 1)]


def test_links_of_a_frame_in_device_memory(machine):
    """ENTER reads each of the 30 links of the deepest nesting once."""
    machine.load("mov ebp, DEVICE + 0x800\nenter 8, 31\nmov esp, 0x9000\ntrapdoor DONE\n")
    devices = Devices()
    assert machine.drive(devices) == Exit.TRAPDOOR
    assert [access[1] for access in devices.accesses] == [
        D + 0x800 - 4 * (index + 1) for index in range(30)
    ]


STRINGS = {
    "movs": (
        "mov esi, DEVICE\nmov edi, DEVICE + 0x100\nmov ecx, 3\nrep movsd",
        [
            access
            for index in range(3)
            for access in (("read", D + 4 * index, 4), ("write", D + 0x100 + 4 * index, 4))
        ],
    ),
    "stos": (
        "mov edi, DEVICE\nmov ecx, 3\nrep stosw",
        [("write", D + 2 * index, 2) for index in range(3)],
    ),
    "lods": (
        "mov esi, DEVICE\nmov ecx, 3\nrep lodsb",
        [("read", D + index, 1) for index in range(3)],
    ),
    "scas": (
        "mov eax, 0xAA55AA55\nmov edi, DEVICE\nmov ecx, 3\nrepe scasd",
        [("read", D + 4 * index, 4) for index in range(3)],
    ),
    "cmps": (
        "mov esi, DEVICE\nmov edi, DEVICE + 0x100\nmov ecx, 2\nrepe cmpsd",
        [
            access
            for index in range(2)
            for access in (("read", D + 4 * index, 4), ("read", D + 0x100 + 4 * index, 4))
        ],
    ),
    "movs_from_ram": (
        "mov esi, 0x9000\nmov edi, DEVICE\nmov ecx, 2\nrep movsb",
        [("write", D, 1), ("write", D + 1, 1)],
    ),
    "movs_backward": (
        "std\nmov esi, 0x9000\nmov edi, DEVICE\nmov ecx, 2\nrep movsd\ncld",
        [("write", D, 4), ("write", D - 4, 4)],
    ),
}


@pytest.mark.parametrize("name", STRINGS)
@pytest.mark.parametrize("budget", [100_000, 1])
def test_repeated_string_instructions_access_once_per_iteration(machine, name, budget):
    source, expected = STRINGS[name]
    machine.load(f"{source}\ntrapdoor DONE\n")
    devices = Devices()
    reason = Exit.BUDGET
    while reason == Exit.BUDGET:
        reason = machine.drive(devices, budget)
    assert (reason, machine.processor.detail[0]) == (Exit.TRAPDOOR, DONE)
    assert [access[:3] for access in devices.accesses] == expected
    assert machine.register(ECX) == 0
    assert machine.processor.retired_total == len(source.split("\n")) + 1


def test_reads_one_after_the_other_are_told_apart(machine):
    """An answer belongs to one instruction, even where the next one reads the same address."""
    machine.load(
        """
        mov ecx, 40
    again:
        mov eax, [DEVICE]
        add ebx, [DEVICE]
        movzx edx, byte [DEVICE + 4]
        dec ecx
        jnz again
        trapdoor DONE
        """
    )
    devices = Devices({D: 3, D + 4: 5})
    machine.processor.gpr[EBX] = 0
    assert machine.drive(devices) == Exit.TRAPDOOR
    one_round = [("read", D, 4, 3), ("read", D, 4, 3), ("read", D + 4, 1, 5)]
    assert devices.accesses == one_round * 40
    assert machine.register(EBX) == 120


def test_an_answer_to_an_abandoned_question_is_not_used(machine):
    machine.load("mov eax, [DEVICE]\n")
    assert machine.run() == Exit.MEMORY_READ
    machine.processor.answer_read(0x77)
    machine.load("nop\nnop\nmov eax, [DEVICE]\nmov ebx, [DEVICE + 4]\ntrapdoor DONE\n")
    devices = Devices({D: 1, D + 4: 2})
    assert machine.drive(devices) == Exit.TRAPDOOR
    assert (machine.register(EAX), machine.register(EBX)) == (1, 2)
    assert len(devices.accesses) == 2


def test_an_answer_to_another_question_is_not_used(machine):
    """As before, but the first instruction after it reads a device too."""
    machine.load("mov eax, [DEVICE]\n")
    assert machine.run() == Exit.MEMORY_READ
    machine.processor.answer_read(0x77)
    machine.load("mov ebx, [DEVICE + 4]\nmov eax, [DEVICE]\ntrapdoor DONE\n")
    devices = Devices({D: 1, D + 4: 2})
    assert machine.drive(devices) == Exit.TRAPDOOR
    assert (machine.register(EAX), machine.register(EBX)) == (1, 2)
    assert [access[1] for access in devices.accesses] == [D + 4, D]


BEYOND = {
    "load": ("mov eax, [0x30000]", GP),
    "load_across": ("mov eax, [0x2FFFD]", GP),
    "load8": ("mov al, [0x30000]", GP),
    "store": ("mov [0x30000], eax", GP),
    "add": ("add dword [0x30000], 1", GP),
    "push": ("mov esp, 0x30008\npush eax", SS_FAULT),
    "pop": ("mov esp, 0x30000\npop eax", SS_FAULT),
    "frame": ("mov ebp, 0x30000\nmov eax, [ebp]", SS_FAULT),
    "string": ("mov edi, 0x30000\nstosb", GP),
    "string_repeated": ("mov edi, 0x2F000\nmov ecx, 0x1001\nrep stosb", GP),
}


@pytest.mark.parametrize("name", BEYOND)
def test_a_truncated_flat_segment_ends_where_its_limit_says(machine, name):
    """The pages beyond are used before, through a larger segment, and are in the TLB."""
    source, vector = BEYOND[name]
    lines = ["mov [fs:0x30000], eax", "mov edx, [fs:0x30000]", *source.split("\n")]
    machine.load("\n".join([*lines[:-1], f"at: {lines[-1]}", "trapdoor DONE\n"]))
    for segment in (DS, ES, SS):
        machine.processor.cpu[state.LIMIT + segment] = 0x2FFFF
    reason = machine.run()
    if name == "push":  # nor does the handler's frame fit: a double fault, then a shutdown
        assert reason == Exit.SHUTDOWN
        assert machine.processor.eip == machine.symbols["at"]
        return
    assert reason == Exit.TRAPDOOR
    assert (machine.event().vector, machine.event().eip) == (vector, machine.symbols["at"])


def test_within_a_truncated_flat_segment_nothing_changes(machine):
    machine.load("mov dword [0x2FFFC], 7\nmov eax, [0x2FFFC]\ntrapdoor DONE\n")
    for segment in (DS, ES, SS):
        machine.processor.cpu[state.LIMIT + segment] = 0x2FFFF
    machine.finish()
    assert machine.register(EAX) == 7


def test_an_access_across_the_end_of_ram_is_split_by_bytes(machine):
    machine.load("mov eax, [end - 2]\ntrapdoor DONE\nend equ 0x100000\n")
    machine.poke(RAM_BYTES - 2, 0x2211, 2)
    devices = Devices({RAM_BYTES: 0x33, RAM_BYTES + 1: 0x44})
    assert machine.drive(devices) == Exit.TRAPDOOR
    assert machine.register(EAX) == 0x44332211
    assert devices.accesses == [("read", RAM_BYTES, 1, 0x33), ("read", RAM_BYTES + 1, 1, 0x44)]


def test_a_store_across_the_end_of_ram_is_split_by_bytes(machine):
    machine.load("mov dword [end - 2], 0x44332211\ntrapdoor DONE\nend equ 0x100000\n")
    devices = Devices()
    assert machine.drive(devices) == Exit.TRAPDOOR
    assert machine.peek(RAM_BYTES - 2, 2) == 0x2211
    assert devices.accesses == [("write", RAM_BYTES, 1, 0x33), ("write", RAM_BYTES + 1, 1, 0x44)]


def test_a_fault_after_a_device_read_leaves_nothing_behind(machine):
    """The write of MOVS faults; after the handler the read is made again."""
    machine.load("mov esi, DEVICE\nmov edi, 0x9000\nmovsd\ntrapdoor DONE\n")
    machine.processor.cpu[state.LIMIT + ES] = 0x8FFF
    devices = Devices()
    assert machine.drive(devices) == Exit.TRAPDOOR
    event = machine.event()
    assert (event.vector, event.eip) == (GP, CODE + 10)
    assert machine.register(ESI) == DEVICE
    machine.processor.cpu[state.LIMIT + ES] = 0xFFFFFFFF
    machine.processor.gpr[ESP] = STACK
    machine.processor.eip = CODE + 10
    assert machine.drive(devices) == Exit.TRAPDOOR
    assert machine.processor.detail[0] == DONE
    assert len(devices.accesses) == 2


def test_device_writes_are_carried_out_before_the_next_instruction(machine):
    machine.load("mov byte [DEVICE], 1\ninc ebx\nmov byte [DEVICE], 2\ninc ebx\ntrapdoor DONE\n")
    machine.processor.gpr[EBX] = 0
    seen = []
    devices = Devices()
    machine.drive(devices, between=lambda: seen.append(machine.register(EBX)))
    assert seen == [0, 1]


def test_a_page_fault_of_the_second_page_writes_nothing(machine):
    table, directory = 0xB000, 0xA000
    for page in range(256):
        machine.poke(table + 4 * page, page << 12 | 7)
    machine.poke(directory, table | 7)
    machine.poke(table + 4 * 0x21, 0x21000 | 5)  # read-only
    machine.processor.load_cr3(directory)
    machine.processor.load_cr0(machine.processor.cr0 | 1 << 31 | 1 << 16)
    machine.load("mov dword [0x20FFE], 0x44332211\n")
    event = machine.expect(PF)
    assert event.error == 3
    assert machine.processor.cr2 == 0x21000
    assert machine.peek(0x20FFC) == 0
    assert not machine.peek(table + 4 * 0x21) & 0x40
