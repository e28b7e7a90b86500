"""Code that changes: by itself, through another mapping, by the host; always right, cache on.

Each test also runs with everything derived dropped before every instruction, which is what the
machine without caches would do.
"""

from __future__ import annotations

from random import Random

import pytest

from isa import state
from isa.exits import Exit
from isa.jit import ENABLED
from isa.registers import EAX, EBX, EDX
from tests.isa.assembly_machine import CODE, DONE, STACK, AssemblyMachine

pytestmark = pytest.mark.bounds

DIRECTORY, TABLE = 0xA000, 0xB000


@pytest.fixture(scope="module")
def made():
    return AssemblyMachine()


@pytest.fixture
def machine(made):
    made.reset()
    return made


def finish_without_caches(machine: AssemblyMachine) -> None:
    """Run to `trapdoor DONE` as a machine without caches would."""
    while machine.run(1) == Exit.BUDGET:
        machine.processor.drop_derived()
    assert machine.processor.detail[0] == DONE


def both_ways(machine: AssemblyMachine, source: str, *registers: int) -> list[int]:
    """The registers named after a program, which must not depend on the caches."""
    machine.load(source)
    machine.finish()
    found = [machine.register(number) for number in registers]
    machine.reset()
    machine.load(source)
    finish_without_caches(machine)
    assert found == [machine.register(number) for number in registers]
    return found


# Ways to store 0x42 over the byte at `patch`, without changing EBX.
STORES = {
    "mov8": "mov byte [patch], 0x42",
    "mov8_register": "mov al, 0x42\nmov [patch], al",
    "mov32": "mov dword [patch], 0x42",
    "mov16": "mov ax, 0x42\nmov [patch], ax",
    "mov32_before": "mov dword [patch - 3], 0x42BB9090",
    "and_or": "and byte [patch], 0\nor byte [patch], 0x42",
    "add32": "add dword [patch], 0x42 - 0x11",
    "inc": "mov byte [patch], 0x41\ninc dword [patch]",
    "xchg": "mov eax, 0x42\nxchg [patch], eax",
    "cmpxchg": "mov eax, 0x11\nmov ecx, 0x42\ncmpxchg [patch], ecx",
    "cmpxchg8b": """
        mov eax, [patch]
        mov edx, [patch + 4]
        mov ecx, edx
        push ebx
        mov ebx, eax
        mov bl, 0x42
        cmpxchg8b [patch]
        pop ebx
    """,
    "bts": "btr dword [patch], 0\nbtr dword [patch], 4\nbts dword [patch], 1\nbts dword [patch], 6",
    "stosb": "mov al, 0x42\nmov edi, patch\nstosb",
    "rep_movsb": "mov esi, value\nmov edi, patch\nmov ecx, 1\nrep movsb",
    "rep_stosd": "mov eax, 0x42\nmov edi, patch\nmov ecx, 1\nrep stosd",
    "push": "mov esp, patch + 4\npush dword 0x42\nmov esp, stack",
    "pop": "push dword 0x42\npop dword [patch]",
    "setcc": "stc\nsetc byte [patch]\nadd byte [patch], 0x41",
    "sgdt": "sgdt [patch]\nmov dword [patch], 0x42",
}


@pytest.mark.parametrize("name", STORES)
def test_an_instruction_changes_the_next_one(machine, name):
    source = f"""
        stack equ {STACK:#x}
        mov ebx, 7
        jmp start
        align 64
    start:
        {STORES[name]}
        mov ebx, 0x11
    patch equ $ - 4
        nop
        nop
        nop
        nop
        trapdoor DONE
    value: db 0x42
    """
    [ebx] = both_ways(machine, source, EBX)
    assert ebx & 0xFF == 0x42


def test_a_loop_changes_itself_each_round(machine):
    source = """
        mov ecx, 50
        xor ebx, ebx
    again:
        add ebx, 0
    patch equ $ - 1
        inc byte [patch]
        dec ecx
        jnz again
        trapdoor DONE
    """
    assert both_ways(machine, source, EBX) == [sum(range(50))]


def test_a_conditional_branch_is_turned_round(machine):
    source = """
        mov ecx, 6
        xor ebx, ebx
    again:
        xor byte [branch], 1
        cmp ecx, ecx
    branch:
        je even
        inc ebx
        dec ecx
        jnz again
        trapdoor DONE
    even:
        add ebx, 0x100
        dec ecx
        jnz again
        trapdoor DONE
    """
    assert both_ways(machine, source, EBX) == [0x303]


def test_a_linked_jump_gets_another_target(machine):
    source = """
        mov ecx, 3
        xor ebx, ebx
        xor edx, edx
    again:
        jmp short one
    patch equ $ - 1
    one:
        inc ebx
        mov byte [patch], two - one
        dec ecx
        jnz again
        trapdoor DONE
    two:
        inc edx
        dec ecx
        jnz again
        trapdoor DONE
    """
    assert both_ways(machine, source, EBX, EDX) == [1, 2]


def test_the_second_half_of_an_instruction_across_pages_changes(machine):
    source = """
        mov ecx, 2
        jmp again
        times 0xFFD - ($ - $$) nop
    again:
        mov ebx, 0x11223344
        cmp ecx, 1
        je ended
        dec ecx
        mov byte [again + 4], 0x55
        jmp again
    ended:
        trapdoor DONE
    """
    assert both_ways(machine, source, EBX) == [0x55223344]


def test_a_store_in_the_page_but_not_in_code_keeps_the_code(machine):
    machine.load(
        """
        mov ecx, 200
    again:
        mov [place], ecx
        dec ecx
        jnz again
        trapdoor DONE
        times 64 db 0
    place: dd 0
        """
    )
    machine.finish()
    assert machine.peek(machine.symbols["place"]) == 1


def test_a_call_pushes_its_return_address_over_code(machine):
    """The return address 0x14342 is INC EDX, INC EBX, ADD [EAX], EAX."""
    source = f"""
        mov ecx, 2
        xor edx, edx
        xor ebx, ebx
        mov esp, {STACK:#x}
        jmp caller
    second:
        mov esp, patch + 4
        jmp caller
        times 0x433D - ($ - $$) nop
    caller:
        call target
        align 32
    target:
        mov eax, {STACK:#x}
    patch:
        times 4 nop
        dec ecx
        jnz near second
        trapdoor DONE
    """
    assert both_ways(machine, source, EDX, EBX) == [1, 1]


def test_rep_stos_overwrites_the_code_that_follows_it(machine):
    """Also the repeated instruction itself: it goes on as long as its bytes say so."""
    source = """
        mov edi, fill
        mov ecx, 64
        mov eax, 0x43434343      ; inc ebx
        xor ebx, ebx
        rep stosd
    fill:
        times 256 nop
        trapdoor DONE
    """
    machine.load(source)
    while machine.run() == Exit.YIELD:
        pass
    assert machine.processor.detail[0] == DONE
    assert machine.register(EBX) == 256


def test_the_host_writes_over_decoded_code(machine):
    machine.load(
        """
    again:
        inc ebx
        jmp again
        """
    )
    assert machine.run(1000) == Exit.BUDGET
    assert machine.register(EBX) == 500
    machine.processor.write_physical(CODE, b"\x42")  # inc edx
    assert machine.run(1000) == Exit.BUDGET
    assert machine.register(EBX) == 500
    assert machine.register(EDX) == 500


def map_page(machine: AssemblyMachine, linear: int, physical: int) -> None:
    machine.poke(TABLE + 4 * (linear >> 12), physical | 7)


def use_paging(machine: AssemblyMachine) -> None:
    """Identity map of the first 4 MByte, until `map_page` changes it."""
    for page in range(1024):
        map_page(machine, page << 12, page << 12)
    machine.poke(DIRECTORY, TABLE | 7)
    machine.processor.load_cr3(DIRECTORY)
    machine.processor.load_cr0(machine.processor.cr0 | 1 << 31)


def test_code_is_changed_through_a_second_mapping(machine):
    use_paging(machine)
    map_page(machine, 0x300000, CODE)
    machine.load(
        """
        mov ecx, 2
    again:
        mov ebx, 0x11
    patch equ $ - 4
        mov byte [patch - $$ + 0x300000], 0x42
        dec ecx
        jnz again
        trapdoor DONE
        """
    )
    machine.finish()
    assert machine.register(EBX) == 0x42


def test_one_page_is_executed_at_two_addresses(machine):
    """Relative branches stay at the address they are executed at."""
    use_paging(machine)
    map_page(machine, 0x300000, CODE + 0x1000)
    machine.load(
        """
        mov ecx, 100
    again:
        call shared
        mov edx, eax
        mov eax, 0x300000
        call eax
        dec ecx
        jnz again
        trapdoor DONE
        align 4096
    shared:
        jmp short inner
        nop
    inner:
        call where
    where:
        pop eax
        ret
        """
    )
    machine.finish()
    assert machine.register(EDX) == machine.symbols["where"]
    assert machine.register(EAX) == 0x300000 + machine.symbols["where"] - machine.symbols["shared"]


def test_a_page_remapped_under_running_code_is_found_after_invlpg(machine):
    use_paging(machine)
    machine.load(
        f"""
        call victim
        mov edx, eax
        mov dword [{TABLE + 4 * 0x12:#x}], 0x13007
        invlpg [0x12000]
        call victim
        trapdoor DONE
        align 4096
        times 4096 nop
    victim:                     ; page 0x12
        mov eax, 1
        ret
        align 4096
        mov eax, 2              ; page 0x13
        ret
        """
    )
    machine.finish()
    assert machine.symbols["victim"] == 0x12000
    assert (machine.register(EDX), machine.register(EAX)) == (1, 2)


def test_another_address_space_has_other_code_at_the_same_address(machine):
    use_paging(machine)
    other_directory, other_table = 0xC000, 0xD000
    machine.poke(other_directory, other_table | 7)
    for page in range(256):
        machine.poke(other_table + 4 * page, page << 12 | 7)
    machine.poke(other_table + 4 * 0x12, 0x13007)
    machine.load(
        f"""
        mov ecx, 5
        xor ebx, ebx
    again:
        call 0x12000
        mov eax, {other_directory}
        mov cr3, eax
        call 0x12000
        mov eax, {DIRECTORY}
        mov cr3, eax
        dec ecx
        jnz again
        trapdoor DONE
        align 4096
        times 4096 nop
        add ebx, 1               ; page 0x12
        ret
        align 4096
        add ebx, 0x100           ; page 0x13
        ret
        """
    )
    machine.finish()
    assert machine.register(EBX) == 0x505


def test_the_same_bytes_run_as_16_and_as_32_bit_code(machine):
    """B8 34 12 .. .. is a MOV of two or of four bytes."""
    source = "mov eax, 0x40401234\ntrapdoor DONE\n"  # in 16-bit code: mov ax; inc ax; inc ax
    machine.load(source)
    machine.finish()
    assert machine.register(EAX) == 0x40401234
    for _ in range(2):
        machine.processor.eip = CODE & 0xFFFF
        saved = machine.processor.cpu.copy()
        machine.processor.cpu[state.BASE + 1] = CODE - (CODE & 0xFFFF)
        machine.use_16_bit_code()
        machine.finish()
        assert machine.register(EAX) & 0xFFFF == 0x1236
        machine.processor.cpu[:] = saved
        machine.processor.eip = CODE
        machine.finish()
        assert machine.register(EAX) == 0x40401234


def test_a_page_table_in_a_page_of_code_sets_accessed_bits(machine):
    """The page walk stores to a page that holds decoded code; the code stays right."""
    use_paging(machine)
    map_page(machine, 0x300000, 0x20000)
    map_page(machine, 0x301000, 0x21000)
    machine.load("mov eax, [0x300000]\nmov eax, [0x301000]\ninc ebx\njmp $\n", TABLE + 0xF00)
    machine.processor.gpr[EBX] = 0
    assert machine.run(300) == Exit.BUDGET
    assert machine.register(EBX) == 1
    assert machine.peek(TABLE + 4 * 0x300) & 0x20
    assert machine.peek(TABLE + 4 * 0x301) & 0x20


def changing_program(rng: Random) -> str:
    """Instructions with immediates that other instructions of the same loop overwrite."""
    places = rng.randrange(3, 12)
    lines = [f"mov ecx, {rng.randrange(2, 20)}", "again:"]
    for place in range(places):
        lines += [
            f"    {rng.choice(('add', 'xor', 'sub', 'mov'))} {rng.choice(('eax', 'ebx'))}, 0x12345",
            f"place{place} equ $ - 4",
        ]
        target = rng.randrange(places)
        store = rng.choice(
            (
                f"mov [place{target}], eax",
                f"mov [place{target} + 1], al",
                f"inc dword [place{target}]",
                f"add [place{target}], ebx",
                f"mov edi, place{target}\n    stosd",
                f"push eax\n    pop dword [place{target}]",
                "nop",
                f"test eax, 4\n    jz .skip{place}",
            )
        )
        lines += [f"    {store}", f".skip{place}:"]
        if rng.random() < 0.1:
            lines.append("    times 300 nop")
    return "\n".join([*lines, "    dec ecx", "    jnz near again", "    trapdoor DONE"])


@pytest.mark.parametrize("seed", range(60 if ENABLED else 4))
def test_random_changing_programs_do_not_depend_on_the_caches(machine, seed):
    source = changing_program(Random(seed))
    machine.load(source)
    machine.finish()
    found = machine.processor.cpu.copy()
    code = machine.processor.read_physical(CODE, 0x8000)
    for slices in (1, 13, 90) if ENABLED else (13, 90):
        machine.reset()
        machine.load(source)
        while machine.run(slices) == Exit.BUDGET:
            machine.processor.drop_derived()
        assert machine.processor.detail[0] == DONE
        assert machine.processor.read_physical(CODE, 0x8000) == code
        cycles = found[state.CYCLES] = machine.processor.cpu[state.CYCLES]
        assert (found == machine.processor.cpu).all(), cycles
