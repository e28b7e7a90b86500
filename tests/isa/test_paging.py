"""Pages as a program meets them: rights, accessed and dirty bits, large pages, the TLB."""

from __future__ import annotations

import pytest

from isa.exits import Exit
from isa.registers import EAX, EBX, ESI
from isa.vectors import PF
from tests.isa.assembly_machine import DONE, AssemblyMachine, Devices
from tests.isa.paged_machine import (
    DIRECTORY,
    PS,
    PSE,
    TABLE,
    A,
    D,
    P,
    U,
    W,
    page,
    set_page,
    use_paging,
)

pytestmark = pytest.mark.bounds


@pytest.fixture(scope="module")
def made():
    return AssemblyMachine()


@pytest.fixture
def machine(made):
    made.reset()
    return made


def test_the_dirty_bit_is_set_by_the_first_write_only(machine):
    use_paging(machine)
    machine.load("mov eax, [0x20000]\nnop\nmov [0x20000], eax\ntrapdoor DONE\n")
    machine.run(1)
    assert page(machine, 0x20000) & (A | D) == A
    machine.finish()
    assert page(machine, 0x20000) & (A | D) == A | D


def test_a_fetch_sets_the_accessed_bit_alone(machine):
    use_paging(machine)
    machine.load("jmp 0x11000\n")
    machine.poke(0x11000, 0xFE0A0F)
    machine.finish()
    assert page(machine, 0x11000) & (A | D) == A


@pytest.mark.parametrize("wp", [False, True])
def test_supervisor_writes_to_read_only_pages_depend_on_wp(machine, wp):
    use_paging(machine, wp)
    set_page(machine, 0x20000, 0x20000 | P | U)
    machine.load("mov eax, [0x20000]\nmov dword [0x20000], 5\ntrapdoor DONE\n")
    if wp:
        assert machine.expect(PF).error == 3
        assert machine.peek(0x20000) == 0
    else:
        machine.finish()
        assert machine.peek(0x20000) == 5
        assert page(machine, 0x20000) & D


def test_user_code_sees_user_pages_only(machine):
    use_paging(machine)
    set_page(machine, 0x20000, 0x20000 | P | W)
    machine.load("mov eax, [0x20000]\n")
    machine.enter_ring_3()
    event = machine.expect(PF)
    assert event.error == 5
    assert machine.processor.cr2 == 0x20000


def test_a_page_the_kernel_has_used_is_still_closed_to_users(machine):
    """The kernel's translation is in the TLB when user code tries."""
    use_paging(machine)
    set_page(machine, 0x20000, 0x20000 | P | W)
    machine.load("mov dword [0x20000], 1\ntrapdoor DONE\nuser: mov dword [0x20000], 2\n")
    machine.finish()
    machine.enter_ring_3()
    machine.processor.eip = machine.symbols["user"]
    assert machine.expect(PF).error == 7
    assert machine.peek(0x20000) == 1


def test_a_stale_translation_is_used_until_invlpg(machine):
    """What the manual allows, and what a guest that forgets INVLPG runs into."""
    use_paging(machine)
    machine.poke(0x20000, 1)
    machine.poke(0x21000, 2)
    machine.load(
        f"""
        mov eax, [0x20000]
        mov dword [{TABLE + 0x80:#x}], 0x21007
        mov ebx, [0x20000]
        invlpg [0x20123]
        mov esi, [0x20000]
        trapdoor DONE
        """
    )
    machine.finish()
    assert [machine.register(n) for n in (EAX, EBX, ESI)] == [1, 1, 2]


def test_a_load_of_cr3_forgets_translations(machine):
    use_paging(machine)
    machine.poke(0x20000, 1)
    machine.poke(0x21000, 2)
    machine.load(
        f"""
        mov eax, [0x20000]
        mov dword [{TABLE + 0x80:#x}], 0x21007
        mov ecx, cr3
        mov cr3, ecx
        mov esi, [0x20000]
        trapdoor DONE
        """
    )
    machine.finish()
    assert [machine.register(n) for n in (EAX, ESI)] == [1, 2]


def test_a_page_that_becomes_present_needs_no_invlpg(machine):
    """A fault leaves nothing in the TLB."""
    use_paging(machine)
    set_page(machine, 0x20000, 0x20000)
    machine.load("mov eax, [0x20000]\n")
    event = machine.expect(PF)
    assert event.error == 0
    set_page(machine, 0x20000, 0x20000 | P)
    machine.poke(0x20000, 0x77)
    machine.processor.gpr[4] += 16
    machine.processor.eip = event.eip
    assert machine.run(1) == Exit.BUDGET
    assert machine.register(EAX) == 0x77


def test_a_page_that_becomes_writable_needs_no_invlpg(machine):
    use_paging(machine)
    set_page(machine, 0x20000, 0x20000 | P)
    machine.load("mov eax, [0x20000]\nmov dword [0x20000], 5\ntrapdoor DONE\n")
    event = machine.expect(PF)
    assert event.error == 3
    set_page(machine, 0x20000, 0x20000 | P | W)
    machine.processor.gpr[4] += 16
    machine.processor.eip = event.eip
    machine.finish()
    assert machine.peek(0x20000) == 5


def test_pages_512_apart_share_a_tlb_entry_and_stay_apart(machine):
    use_paging(machine)
    set_page(machine, 0x300000, 0x30000 | P | W)
    set_page(machine, 0x100000, 0x40000 | P | W)
    machine.load(
        """
        mov ecx, 100
        xor eax, eax
    again:
        inc dword [0x100000]
        inc dword [0x300000]
        add eax, [0x100000]
        sub eax, [0x300000]
        dec ecx
        jnz again
        trapdoor DONE
        """
    )
    machine.finish()
    assert (machine.peek(0x30000), machine.peek(0x40000), machine.register(EAX)) == (100, 100, 0)


def test_a_large_page_translates_four_megabytes(machine):
    use_paging(machine)
    machine.poke(DIRECTORY + 4, P | W | U | PS)
    machine.processor.load_cr4(PSE)
    machine.load("mov dword [0x420000], 7\nmov eax, [0x20000]\ntrapdoor DONE\n")
    machine.finish()
    assert machine.register(EAX) == 7
    assert machine.peek(DIRECTORY + 4) & (A | D) == A | D


def test_without_pse_the_size_bit_means_nothing(machine):
    use_paging(machine)
    machine.poke(DIRECTORY + 4, TABLE | P | W | U | PS)
    machine.load("mov dword [0x420000], 7\nmov eax, [0x20000]\ntrapdoor DONE\n")
    machine.finish()
    assert machine.register(EAX) == 7
    assert machine.peek(DIRECTORY + 4) & (A | D) == A


def test_paging_structures_outside_memory_are_all_ones(machine):
    """Present, with a frame where there is nothing: a device read at the top of memory."""
    use_paging(machine)
    machine.poke(DIRECTORY + 4, 0x7FFFF000 | P | W | U)
    machine.load("mov eax, [0x400000]\ntrapdoor DONE\n")
    devices = Devices()
    assert machine.drive(devices) == Exit.TRAPDOOR
    assert machine.processor.detail[0] == DONE
    assert [access[:3] for access in devices.accesses] == [("read", 0xFFFFF000, 4)]


def test_page_tables_that_map_themselves(machine):
    """The last directory entry is the directory: a classic way to reach the tables."""
    use_paging(machine)
    machine.poke(DIRECTORY + 4092, DIRECTORY | P | W)
    machine.poke(0x21000, 0x5A)
    machine.load(
        """
        mov eax, [0xFFFFF000]           ; directory entry 0
        mov dword [0xFFC00000 + 0x20 * 4], 0x21003
        invlpg [0x20000]
        mov ebx, [0x20000]
        trapdoor DONE
        """
    )
    machine.finish()
    assert machine.register(EAX) & ~A == TABLE | P | W | U
    assert machine.register(EBX) == 0x5A
    assert machine.peek(DIRECTORY + 4092) & A
    assert machine.peek(DIRECTORY) & (A | D) == A | D  # it was the page-table entry of the store
