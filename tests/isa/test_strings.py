"""String instructions: a page at a time must equal one by one; repeats end and resume exactly."""

from __future__ import annotations

from random import Random

import pytest

from isa import state, workspace
from isa.exits import Exit
from isa.jit import ENABLED
from isa.registers import DS, EAX, ECX, EDI, EFLAGS_DF, ES, ESI, ESP
from isa.vectors import GP, PF
from tests.isa.assembly_machine import DONE, AssemblyMachine

pytestmark = pytest.mark.bounds

AREA, AREA_BYTES = 0x20000, 0x6000
DIRECTORY, TABLE = 0xA000, 0xB000
NAMES = [name + size for name in ("movs", "stos", "lods", "scas", "cmps") for size in "bwd"]
SIZES = {"b": 1, "w": 2, "d": 4}
CASES = 60 if ENABLED else 8


@pytest.fixture(scope="module")
def made():
    return AssemblyMachine()


@pytest.fixture
def machine(made):
    made.reset()
    return made


def outcome(machine: AssemblyMachine) -> tuple[list[int], int, bytes]:
    memory = machine.processor.read_physical(AREA, AREA_BYTES)
    return [int(value) for value in machine.processor.gpr], machine.processor.eflags, memory


def model(
    name: str, repeat: str, registers: list[int], memory: bytearray, down: bool
) -> tuple[list[int], int | None]:
    """What the manual's pseudo-code does; registers afterwards and the last comparison."""
    size = SIZES[name[-1]]
    step = -size if down else size
    registers = registers.copy()
    difference = None

    def load(address: int) -> int:
        at = address - AREA
        return int.from_bytes(memory[at : at + size], "little")

    def store(address: int, value: int) -> None:
        at = address - AREA
        memory[at : at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")

    while not repeat or registers[ECX]:
        mask = (1 << 8 * size) - 1
        if name.startswith("movs"):
            store(registers[EDI], load(registers[ESI]))
        elif name.startswith("stos"):
            store(registers[EDI], registers[EAX])
        elif name.startswith("lods"):
            registers[EAX] = registers[EAX] & ~mask | load(registers[ESI])
        elif name.startswith("scas"):
            difference = (registers[EAX] & mask) - load(registers[EDI])
        else:
            difference = load(registers[ESI]) - load(registers[EDI])
        if name[:4] in ("movs", "lods", "cmps"):
            registers[ESI] += step
        if name[:4] in ("movs", "stos", "scas", "cmps"):
            registers[EDI] += step
        if not repeat:
            break
        registers[ECX] -= 1
        if difference is not None and (difference == 0) == (repeat == "repne"):
            break
    return registers, difference


def start(machine: AssemblyMachine, registers: list[int], memory: bytes, down: bool) -> None:
    machine.processor.write_physical(AREA, memory)
    machine.processor.gpr[:] = registers
    machine.processor.eflags = 2 | (EFLAGS_DF if down else 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_string_instruction_does_what_the_manual_says(machine, name):
    rng = Random(name)
    for case in range(CASES):
        repeat = rng.choice(("", "rep", "rep", "repne"))
        if repeat == "repne" and name[:4] not in ("scas", "cmps"):
            repeat = "rep"
        down = rng.random() < 0.3
        memory = bytes(rng.choice((0, 0, 0, 1)) for _ in range(AREA_BYTES))
        if name.startswith("movs"):
            memory = rng.randbytes(AREA_BYTES)
        registers = [rng.choice((0, 0, 1, rng.getrandbits(32))) for _ in range(8)]
        registers[ESP] = 0x9000
        registers[ECX] = rng.choice((0, 1, 2, 5, 100, 1000, 1500))
        registers[ESI] = AREA + 0x2000 + rng.randrange(0x1000)
        registers[EDI] = AREA + 0x2000 + rng.randrange(0x1000)
        if rng.random() < 0.4:  # close together: overlapping copies
            registers[EDI] = registers[ESI] + rng.randrange(-9, 10)
        prefix = {"": "", "rep": "rep ", "repne": "repne "}[repeat]
        if repeat == "rep" and name[:4] in ("scas", "cmps"):
            prefix = "repe "
        expected = bytearray(memory)
        after, difference = model(name, repeat, registers, expected, down)
        for flat in (True, False):
            machine.reset()
            machine.load(f"{prefix}{name}\ntrapdoor DONE\n")
            if not flat:  # keeps REP MOVS and REP STOS from going a page at a time
                for segment in (DS, ES):
                    machine.processor.cpu[state.LIMIT + segment] = 0xFFFFFFFE
            start(machine, registers, memory, down)
            machine.finish()
            found, eflags, left = outcome(machine)
            message = f"{prefix}{name} {case} {registers} {down} {flat}"
            assert found == after, message
            assert left == bytes(expected), message
            if difference is not None:
                assert bool(eflags & 0x40) == (difference == 0), message
                assert bool(eflags & 1) == (difference < 0), message


@pytest.mark.parametrize("name", ["movsb", "movsd", "stosw", "lodsd", "scasb", "cmpsw"])
@pytest.mark.parametrize("down", [False, True])
def test_a_page_fault_in_the_middle_is_resumed_exactly(machine, name, down):
    for page in range(256):
        machine.poke(TABLE + 4 * page, page << 12 | 7)
    machine.poke(DIRECTORY, TABLE | 7)
    for page in (0x22, 0x24):
        machine.poke(TABLE + 4 * page, page << 12 | 6)  # not present
    machine.processor.load_cr3(DIRECTORY)
    machine.processor.load_cr0(machine.processor.cr0 | 1 << 31)
    size = SIZES[name[-1]]
    prefix = "repe" if name[:4] in ("scas", "cmps") else "rep"
    machine.load(f"{prefix} {name}\ntrapdoor DONE\n")
    registers = [0, 0x1800 // size, 0, 0, 0x9000, 0, 0x21C01, 0x23C01]
    if down:
        registers[ESI], registers[EDI] = 0x22C01, 0x24C01
    memory = bytes(AREA_BYTES) if name[:4] in ("scas", "cmps") else Random(1).randbytes(AREA_BYTES)
    expected = bytearray(memory)
    after, _ = model(name, "rep", registers, expected, down)
    start(machine, registers, memory, down)
    faults = []
    while machine.run() == Exit.TRAPDOOR and machine.processor.detail[0] == PF:
        event = machine.event()
        faults.append(machine.processor.cr2 >> 12)
        partial = bytearray(memory)
        done = registers.copy()
        done[ECX] = registers[ECX] - machine.register(ECX)
        reached, _ = model(name, "rep", done, partial, down)
        assert (machine.register(ESI), machine.register(EDI)) == (reached[ESI], reached[EDI])
        machine.poke(TABLE + 4 * (machine.processor.cr2 >> 12), machine.processor.cr2 & ~0xFFF | 7)
        machine.processor.gpr[ESP] = 0x9000
        machine.processor.eip, machine.processor.eflags = event.eip, event.eflags
    assert machine.processor.detail[0] == DONE
    assert faults
    found, _, left = outcome(machine)
    assert found == after
    assert left == bytes(expected)


@pytest.mark.parametrize("name", [name for name in NAMES if name[:4] in ("scas", "cmps")])
@pytest.mark.parametrize("repeat", ["repe", "repne"])
def test_a_comparison_that_goes_on_for_pages_ends_where_it_must(machine, name, repeat):
    """Long runs of what does not end it, and one element, somewhere, that does."""
    rng = Random(name + repeat)
    for _ in range(CASES):
        goes_on, ends = (1, 0) if repeat == "repe" else (0, 1)  # in scas: equal to AL or not
        memory = bytearray((goes_on if name.startswith("scas") else 1,) * AREA_BYTES)
        registers = [0x01010101, 0x2000 // SIZES[name[-1]], 0, 0, 0x9000, 0, AREA, AREA + 0x3000]
        registers[ESI] += rng.randrange(8)
        registers[EDI] += rng.randrange(8)
        if name.startswith("cmps") and repeat == "repne":
            memory[0x3000:] = bytes(AREA_BYTES - 0x3000)
        end = registers[EDI] - AREA + rng.choice((0, 1, 5, 0xFF8, 0x1000, rng.randrange(0x2400)))
        memory[end : end + 4] = bytes((ends,)) * 4
        expected = bytearray(memory)
        after, difference = model(name, repeat, registers, expected, False)
        start(machine, registers, bytes(memory), False)
        machine.load(f"{repeat} {name}\ntrapdoor DONE\n")
        machine.finish()
        found, eflags, left = outcome(machine)
        assert found == after, f"{registers} {end:#x}"
        assert left == bytes(expected)
        assert difference is not None
        assert (bool(eflags & 0x40), bool(eflags & 1)) == (difference == 0, difference < 0)


@pytest.mark.parametrize("name", ["movsb", "movsd", "cmpsb", "cmpsd"])
def test_source_and_target_may_share_an_entry_of_the_tlb(machine, name):
    """Pages 2 MiB apart: one translation displaces the other."""
    far = workspace.TLB_ENTRIES << 12
    for page in range(256):
        machine.poke(TABLE + 4 * page, page << 12 | 7)
        machine.poke(TABLE + 4 * (page + workspace.TLB_ENTRIES), page + 2 << 12 | 7)
    machine.poke(DIRECTORY, TABLE | 7)
    machine.processor.load_cr3(DIRECTORY)
    machine.processor.load_cr0(machine.processor.cr0 | 1 << 31)
    size = SIZES[name[-1]]
    repeat = "rep" if name.startswith("movs") else "repe"
    memory = bytes(range(1, 129)) * (AREA_BYTES // 128)
    registers = [0, 0x1400 // size, 0, 0, 0x9000, 0, AREA + 0x80, AREA + 0x80 + far]
    near = registers.copy()
    near[EDI] = AREA + 0x2080  # where the far pages lie
    expected = bytearray(memory)
    after, _ = model(name, repeat, near, expected, False)
    start(machine, registers, memory, False)
    machine.load(f"{repeat} {name}\ntrapdoor DONE\n")
    machine.finish()
    after[EDI] += far - 0x2000
    found, _, left = outcome(machine)
    assert found == after
    assert left == bytes(expected)


@pytest.mark.parametrize(("name", "distance"), [("movsw", 1), ("movsd", 1), ("movsd", 3)])
def test_a_copy_onto_itself_goes_by_whole_elements(machine, name, distance):
    memory = bytes(range(256)) * (AREA_BYTES // 256)
    registers = [0, 50, 0, 0, 0x9000, 0, AREA + 0x100, AREA + 0x100 + distance]
    expected = bytearray(memory)
    model(name, "rep", registers, expected, False)
    start(machine, registers, memory, False)
    machine.load(f"mov [{AREA}], al\nrep {name}\ntrapdoor DONE\n")  # the store warms the TLB
    machine.finish()
    assert outcome(machine)[2] == bytes(expected)


def test_addresses_of_16_bits_wrap(machine):
    """The upper halves of the registers neither count nor change."""
    machine.load("a16 rep movsb\ntrapdoor DONE\n")
    machine.processor.write_physical(0xFFFE, b"\x11\x22")
    machine.processor.write_physical(0, b"\x33\x44")
    registers = [0, 0x00070004, 0, 0, 0x9000, 0, 0x0005FFFE, 0x00069000]
    machine.processor.gpr[:] = registers
    machine.finish()
    assert machine.processor.read_physical(0x9000, 4) == b"\x11\x22\x33\x44"
    assert machine.register(ESI) == 0x00050002
    assert machine.register(EDI) == 0x00069004
    assert machine.register(ECX) == 0x00070000


def test_a_segment_limit_stops_a_repeat_where_it_is(machine):
    machine.load("rep stosd\ntrapdoor DONE\n")
    machine.processor.cpu[state.LIMIT + ES] = 0x200FF
    machine.processor.gpr[:] = [0x5A5A5A5A, 100, 0, 0, 0x9000, 0, 0, 0x20000]
    assert machine.expect(GP).error == 0
    assert machine.register(EDI) == 0x20100
    assert machine.register(ECX) == 36
    assert machine.processor.read_physical(0x200FC, 8) == b"\x5a" * 4 + bytes(4)


def test_the_source_segment_may_be_overridden_and_the_target_may_not(machine):
    machine.load("fs movsb\ntrapdoor DONE\n")
    machine.processor.cpu[state.BASE + 4] = 0x1000
    machine.processor.write_physical(0x21000, b"\x77")
    machine.processor.gpr[ESI], machine.processor.gpr[EDI] = 0x20000, 0x22000
    machine.finish()
    assert machine.peek(0x22000, 1) == 0x77


def test_a_repeated_string_instruction_is_one_instruction(machine):
    machine.load("mov ecx, 10000\nmov edi, 0x20000\nrep stosb\ntrapdoor DONE\n")
    machine.finish()
    assert machine.processor.retired_total == 4
