"""Blocks at their edges: page ends, segment limits, the longest instruction, a full cache."""

from __future__ import annotations

import pytest

from isa import state, workspace
from isa.exits import Exit
from isa.registers import CS, EAX, EBX, ECX, EDX
from isa.vectors import GP, PF, UD
from tests.isa.assembly_machine import CODE, DONE, RAM_BYTES, STACK, AssemblyMachine

pytestmark = pytest.mark.bounds


@pytest.fixture(scope="module")
def made():
    return AssemblyMachine()


@pytest.fixture
def machine(made):
    made.reset()
    return made


@pytest.mark.parametrize("before", range(1, 8))
def test_an_instruction_may_cross_a_page(machine, before):
    machine.load(
        f"""
        mov ecx, 5
        jmp again
        times {0x1000 - before} - ($ - $$) nop
    again:
        add dword [{STACK:#x}], 0x01020304
        dec ecx
        jnz again
        trapdoor DONE
        """
    )
    machine.finish()
    assert machine.symbols["again"] == CODE + 0x1000 - before
    assert machine.peek(STACK) == 5 * 0x01020304 & 0xFFFFFFFF


def test_code_runs_across_many_pages(machine):
    machine.load("mov ebx, 0\ntimes 10000 inc ebx\ntrapdoor DONE\n")
    machine.finish()
    assert machine.register(EBX) == 10000
    assert machine.processor.retired_total == 10002


def test_an_instruction_of_15_bytes_runs(machine):
    machine.load("times 7 db 0x26\nmov dword [eax + 0x9000], 0x12345678\ntrapdoor DONE\n")
    machine.processor.gpr[EAX] = 0
    # 7 prefixes, opcode, ModRM, displacement and immediate of 4 bytes: 17 bytes
    assert machine.expect(GP).error == 0
    machine.load("times 5 db 0x26\nmov dword [eax + 0x9000], 0x12345678\ntrapdoor DONE\n")
    machine.processor.gpr[EAX] = 0
    machine.finish()
    assert machine.peek(0x9000) == 0x12345678


def test_nothing_but_prefixes_is_too_long(machine):
    machine.load("times 5000 db 0x66\n")
    event = machine.expect(GP)
    assert (event.error, event.eip) == (0, CODE)


@pytest.mark.parametrize("limit_after", [0, 1, 2, 3, 4])
def test_an_instruction_that_reaches_beyond_the_segment_faults(machine, limit_after):
    """MOV EAX, imm32 has five bytes: all of them must lie inside the limit."""
    machine.load("nop\nmov eax, 0x11223344\ntrapdoor DONE\n")
    machine.processor.cpu[state.LIMIT + CS] = CODE + 1 + limit_after
    machine.processor.gpr[EAX] = 0
    event = machine.expect(GP)
    fits = limit_after == 4
    assert event.eip == (CODE + 6 if fits else CODE + 1)
    assert machine.register(EAX) == (0x11223344 if fits else 0)


def test_a_loop_in_the_page_of_the_limit_runs(machine):
    machine.load("mov ecx, 300\nagain: dec ecx\njnz again\ntrapdoor DONE\n")
    machine.processor.cpu[state.LIMIT + CS] = CODE + 0x20
    machine.finish()
    assert machine.register(ECX) == 0


JUMPS = {
    "jmp": "jmp target",
    "jmp_register": "mov eax, target\njmp eax",
    "jmp_memory": "jmp [pointer]",
    "jcc": "cmp eax, eax\nje near target",
    "loop": "mov ecx, 2\nloop target",
    "jecxz": "mov ecx, 0\njecxz target",
    "call": "call target",
    "call_register": "mov eax, target\ncall eax",
    "call_memory": "call [pointer]",
    "ret": "push dword target\nret",
    "ret_imm": "push dword target\nret 8",
}


@pytest.mark.parametrize("name", JUMPS)
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "once"])
def test_a_transfer_beyond_the_limit_faults_at_the_transfer(machine, name, kept):
    """Nothing has happened then: neither EIP nor the stack has moved."""
    lines = JUMPS[name].split("\n")
    target = 0x20000 if name not in ("loop", "jecxz") else CODE + 0x50
    machine.load(
        f"""
        target equ {target:#x}
        push eax
        pop eax
        mov dword [pointer], target
        {chr(10).join(lines[:-1])}
    transfer:
        {lines[-1]}
        times 64 nop
        trapdoor DONE
        pointer equ {STACK:#x} + 0x100
        """
    )
    machine.processor.cpu[state.LIMIT + CS] = target - 1
    machine.poke(STACK - 8, 0x77777777)
    budget = 100_000 if kept else 10
    event = machine.expect(GP, budget)
    assert (event.eip, event.error) == (machine.symbols["transfer"], 0)
    pushed = 4 if name.startswith("ret") else 0
    assert machine.register(4) == STACK - pushed - 16
    assert machine.register(ECX) == {"loop": 2, "jecxz": 0}.get(name, machine.register(ECX))


def test_eip_past_the_limit_after_a_straight_line_faults_there(machine):
    machine.load("nop\nnop\nnop\nnop\n")
    machine.processor.cpu[state.LIMIT + CS] = CODE + 3
    event = machine.expect(GP)
    assert (event.eip, event.error) == (CODE + 4, 0)


def test_undefined_opcodes_fault_in_and_out_of_kept_blocks(machine):
    for padding in (0, 100):
        machine.load(f"times {padding} nop\nbad: db 0x0F, 0x0B\ntrapdoor DONE\n")
        event = machine.expect(UD)
        assert (event.eip, event.error) == (machine.symbols["bad"], None)
        assert machine.processor.retired_total >= padding
        machine.reset()


def test_lock_is_undefined_without_a_locked_memory_destination(machine):
    for text in ("lock\nadd eax, ebx", "lock\nmov [eax], ebx", "lock\nadd eax, [ebx]", "lock\nnop"):
        machine.reset()
        code = text.replace("lock", "db 0xF0")
        machine.load(f"{code}\ntrapdoor DONE\n")
        assert machine.expect(UD).eip == CODE


def test_code_beyond_memory_reads_as_all_ones(machine):
    machine.load(f"mov eax, {RAM_BYTES:#x}\njmp eax\n")
    assert machine.expect(UD).eip == RAM_BYTES


@pytest.mark.compiled
def test_a_full_cache_starts_over(machine):
    """More blocks than the cache has records for, twice over, each jumping to the next."""
    machine.load("nop\n")
    processor = machine.processor
    per_block, size = 60, 64
    blocks = 0x80000 // size
    assert blocks * per_block > 2 * workspace.OPS_RECORDS
    for block in range(blocks):
        code = b"\x43" * per_block  # inc ebx
        address = 0x20000 + block * size
        jump = b"\xeb\x02" if block < blocks - 1 else b"\x0f\x0a\xfe"
        processor.write_physical(address, code + jump)
    for _ in range(2):
        processor.eip = 0x20000
        processor.gpr[EBX] = 0
        assert machine.run(10_000_000) == Exit.TRAPDOOR
        assert machine.register(EBX) == blocks * per_block


def test_conditional_branches_do_not_end_a_block_but_end_its_count(machine):
    """A branch taken in the middle gives the rest of the block back to the budget."""
    machine.load(
        """
        xor ebx, ebx
    again:
        inc ebx
        cmp ebx, 10
        je ended
        cmp ebx, 20
        je ended
        jmp again
    ended:
        trapdoor DONE
        """
    )
    machine.finish()
    assert machine.processor.retired_total == 1 + 9 * 6 + 3 + 1


def test_a_page_fault_of_the_second_half_names_the_second_page(machine):
    table, directory = 0xB000, 0xA000
    for page in range(256):
        machine.poke(table + 4 * page, page << 12 | 7)
    machine.poke(directory, table | 7)
    machine.load("jmp start\ntimes 0xFFE - ($ - $$) nop\nstart: mov edx, 0x11223344\n")
    machine.poke(table + 4 * (CODE + 0x1000 >> 12), 0)
    machine.processor.load_cr3(directory)
    machine.processor.load_cr0(machine.processor.cr0 | 1 << 31)
    machine.processor.gpr[EDX] = 5
    event = machine.expect(PF)
    assert (event.eip, event.error) == (machine.symbols["start"], 0)
    assert machine.processor.cr2 == CODE + 0x1000
    assert machine.register(EDX) == 5


def test_done_is_what_ends_a_program(machine):
    machine.load("trapdoor DONE\n")
    machine.finish()
    assert machine.processor.detail[0] == DONE


def test_16_bit_code_does_not_wrap_at_64_kbytes(machine):
    """EIP goes on to 0x10000, which is beyond the usual limit of a 16-bit segment."""
    machine.load("nop\ninc bx\ninc bx\n", 0xFFFD, 16)
    machine.use_16_bit_code()
    machine.processor.gpr[EBX] = 0
    event = machine.expect(GP)
    assert (event.eip, event.error) == (0x10000, 0)
    assert machine.register(EBX) == 2


def test_16_bit_code_in_a_large_segment_goes_on_past_64_kbytes(machine):
    machine.load(
        "inc bx\nmov eax, 0x5678\njmp done\ntimes 70 nop\ndone: trapdoor DONE\n", 0xFFFE, 16
    )
    machine.use_16_bit_code()
    machine.processor.cpu[state.LIMIT + CS] = 0xFFFFFFFF
    machine.processor.gpr[EBX] = 0
    machine.processor.write_physical(0, b"\x0f\x0a\x77")  # where a jump of 16 bits leads instead
    assert machine.run() == Exit.TRAPDOOR
    assert machine.register(EBX) == 1
    assert machine.register(EAX) & 0xFFFF == 0x5678
    assert machine.processor.detail[0] != DONE


@pytest.mark.parametrize("at", [0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF])
def test_an_instruction_across_64_kbytes_faults(machine, at):
    """MOV AX, imm16 has three bytes: from 0xFFFE on they do not fit."""
    machine.load("mov ax, 0x1234\ntrapdoor DONE\n", at, 16)
    machine.use_16_bit_code()
    machine.processor.gpr[EAX] = 0
    event = machine.expect(GP)
    assert event.eip == (at if at > 0xFFFD else at + 3)


def test_every_budget_is_used_exactly(machine):
    """Whatever is left when the next block begins: a block is never entered that is too long."""
    machine.load(
        """
        mov ecx, 0
    again:
        inc eax
        test al, 1
        jz even
        add ebx, 3
        nop
        call count
        jmp again
    even:
        times 5 nop
        call count
        cmp eax, ebx
        jne again
        jmp again
    count:
        inc ecx
        ret
        """
    )
    processor = machine.processor
    start = processor.cpu.copy()
    expected = []
    for _ in range(260):
        expected.append(processor.cpu.copy())
        assert machine.run(1) == Exit.BUDGET
    for budget in range(260):
        processor.cpu[:] = start
        assert machine.run(budget) == Exit.BUDGET
        assert processor.retired_total == budget
        assert (processor.cpu == expected[budget]).all()


def test_a_loop_across_pages_is_decoded_once(machine):
    """Its crossing instruction too: records are made for the first round only."""
    machine.load(
        """
        mov ecx, 5000
        jmp again
        times 0xFFD - ($ - $$) nop
    again:
        add ebx, 0x01020304
        dec ecx
        jnz again
        trapdoor DONE
        """
    )
    core = machine.processor.core
    before = int(core[workspace.OPS_NEXT])
    machine.finish()
    assert int(core[workspace.OPS_NEXT]) - before < 30
    assert machine.register(EBX) == 5000 * 0x01020304 & 0xFFFFFFFF


def test_a_crossing_instruction_is_cut_by_a_shrunken_segment(machine):
    """It was decoded when the segment was longer; base and limit are looked at again."""
    machine.load("jmp again\ntimes 0xFFD - ($ - $$) nop\nagain: mov ebx, 0x01020304\njmp again\n")
    assert machine.run(1000) == Exit.BUDGET
    machine.processor.eip = machine.symbols["again"]
    machine.processor.cpu[state.LIMIT + CS] = CODE + 0x1000
    assert machine.expect(GP).eip == machine.symbols["again"]
