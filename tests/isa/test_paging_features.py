"""Global and large pages, PAE, address line 20, and the accesses that nobody wrote down."""

from __future__ import annotations

import pytest

from isa import state
from isa.devices.bus import Bus
from isa.exits import Exit
from isa.registers import EAX, EBX, ESI, FEATURE_PAE, FS, TR
from isa.vectors import GP, PF
from tests.isa.assembly_machine import (
    GDT,
    IDT,
    INNER_STACK,
    TSS,
    AssemblyMachine,
    Devices,
    descriptor,
)
from tests.isa.paged_machine import (
    DIRECTORY,
    PAE,
    PG,
    PGE,
    PS,
    PSE,
    TABLE,
    WP,
    A,
    D,
    G,
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


# --- global pages ------------------------------------------------------------------------------

RELOAD_CR3 = "mov ecx, cr3\n mov cr3, ecx"
FORGETTING = {
    "nothing": ("nop", True),
    "cr3": (RELOAD_CR3, True),
    "invlpg": ("invlpg [0x20000]", False),
    "invlpg_elsewhere": ("invlpg [0x21000]", True),
    "pge": (f"mov ecx, cr4\n xor ecx, {PGE}\n mov cr4, ecx", False),
    "pse": (f"mov ecx, cr4\n xor ecx, {PSE}\n mov cr4, ecx", False),
    "pg": (
        f"mov ecx, cr0\n xor ecx, {PG}\n mov cr0, ecx\n xor ecx, {PG}\n mov cr0, ecx",
        False,
    ),
}


@pytest.mark.parametrize("name", FORGETTING)
def test_a_global_page_is_forgotten_by(machine, name):
    """Its entry is changed meanwhile: what a load finds shows what the TLB holds."""
    forgetting, survives = FORGETTING[name]
    use_paging(machine)
    machine.processor.load_cr4(PGE)
    set_page(machine, 0x20000, 0x20000 | P | W | G)
    machine.poke(0x20000, 1)
    machine.poke(0x22000, 2)
    machine.load(
        f"""
        mov eax, [0x20000]
        mov dword [{TABLE + 0x80:#x}], 0x22003
        {forgetting}
        mov esi, [0x20000]
        mov ebx, [0x20000]
        trapdoor DONE
        """
    )
    machine.finish()
    wanted = 1 if survives else 2
    assert [machine.register(n) for n in (EAX, ESI, EBX)] == [1, wanted, wanted]


@pytest.mark.parametrize("name", ["cr3", "invlpg", "pse"])
def test_without_pge_no_page_is_global(machine, name):
    use_paging(machine)
    set_page(machine, 0x20000, 0x20000 | P | W | G)
    machine.poke(0x22000, 2)
    machine.load(
        f"""
        mov eax, [0x20000]
        mov dword [{TABLE + 0x80:#x}], 0x22003
        {FORGETTING[name][0]}
        mov esi, [0x20000]
        trapdoor DONE
        """
    )
    machine.finish()
    assert machine.register(ESI) == 2


def test_a_global_page_sets_its_dirty_bit_after_a_load_of_cr3(machine):
    use_paging(machine)
    machine.processor.load_cr4(PGE)
    set_page(machine, 0x20000, 0x20000 | P | W | G)
    machine.load(f"mov eax, [0x20000]\n{RELOAD_CR3}\nmov [0x20000], eax\ntrapdoor DONE\n")
    machine.finish()
    assert page(machine, 0x20000) & (A | D) == A | D


# --- large pages -------------------------------------------------------------------------------


def test_invlpg_forgets_every_piece_of_a_large_page(machine):
    """The page becomes a table in between; small pages elsewhere stay as they are cached."""
    use_paging(machine)
    machine.processor.load_cr4(PSE)
    machine.poke(DIRECTORY + 4, P | W | PS)
    machine.poke(0x22000, 2)
    machine.load(
        f"""
        mov eax, [0x420000]
        mov eax, [0x421000]
        mov ebx, [0x23000]
        mov dword [{TABLE + 4 * 0x20:#x}], 0x22003
        mov dword [{TABLE + 4 * 0x23:#x}], 0x22003
        mov dword [{DIRECTORY + 4:#x}], {TABLE | P | W:#x}
        invlpg [0x555000]
        mov esi, [0x420000]
        mov ebx, [0x23000]
        trapdoor DONE
        """
    )
    machine.finish()
    assert (machine.register(ESI), machine.register(EBX)) == (2, 0)


def test_a_reserved_bit_of_a_large_page_faults(machine):
    use_paging(machine)
    machine.processor.load_cr4(PSE)
    machine.poke(DIRECTORY + 4, P | W | U | PS | 0x2000)
    machine.load("mov dword [0x400010], 7\n")
    event = machine.expect(PF)
    assert (event.error, machine.processor.cr2) == (0xB, 0x400010)
    assert machine.peek(DIRECTORY + 4) == P | W | U | PS | 0x2000


# --- PAE ---------------------------------------------------------------------------------------

POINTERS, PAE_DIRECTORY, PAE_TABLE = 0xCF20, 0xD000, 0xE000
MOVE_TO_CR4 = f"mov eax, {PAE}\nmov cr4, eax\n"


def poke64(machine: AssemblyMachine, address: int, value: int) -> None:
    machine.poke(address, value, 8)


def use_pae(machine: AssemblyMachine) -> None:
    """Identity map of 2 MiB by small pages, of the next 2 MiB by a large one."""
    machine.processor.cpu[state.FEATURES] |= FEATURE_PAE
    poke64(machine, POINTERS, PAE_DIRECTORY | P)
    for at in range(1, 4):
        poke64(machine, POINTERS + 8 * at, 0)
    poke64(machine, PAE_DIRECTORY, PAE_TABLE | P | W | U)
    poke64(machine, PAE_DIRECTORY + 8, P | W | U | PS)
    for number in range(512):
        poke64(machine, PAE_TABLE + 8 * number, number << 12 | P | W | U)
    machine.processor.load_cr4(PAE)
    machine.processor.load_cr3(POINTERS)
    machine.processor.load_cr0(machine.processor.cr0 | PG | WP)


def test_pae_needs_a_processor_that_has_it(machine):
    machine.load(f"{MOVE_TO_CR4}trapdoor DONE\n")
    assert machine.expect(GP).error == 0
    assert machine.processor.cr4 == 0
    machine.processor.cpu[state.FEATURES] |= FEATURE_PAE
    machine.load(f"{MOVE_TO_CR4}trapdoor DONE\n")
    machine.finish()
    assert machine.processor.cr4 == PAE


def test_pae_translates_small_and_large_pages(machine):
    use_pae(machine)
    machine.poke(0x22000, 5)
    poke64(machine, PAE_TABLE + 8 * 0x20, 0x22000 | P | W)
    machine.load("mov eax, [0x20000]\nadd eax, [0x222000]\nmov [0x230000], eax\ntrapdoor DONE\n")
    machine.finish()
    assert machine.peek(0x30000) == 10
    assert machine.peek(PAE_TABLE + 8 * 0x20) == 0x22000 | P | W | A
    assert machine.peek(PAE_DIRECTORY + 8) & (A | D) == A | D
    assert machine.peek(POINTERS) == PAE_DIRECTORY | P, "pointers have no accessed bit"


def test_the_pointers_are_registers(machine):
    """A change in memory counts when CR3 is loaded."""
    use_pae(machine)
    machine.load(
        f"""
        mov dword [{POINTERS + 8:#x}], {PAE_DIRECTORY | P:#x}
        mov eax, [0x40020000]
        """
    )
    assert machine.expect(PF).error == 0
    machine.load(f"{RELOAD_CR3}\nmov eax, [0x40020000]\ntrapdoor DONE\n")
    machine.finish()


LOADS = {
    "cr3": ("mov ecx, cr3\n mov edx, ecx", "mov cr3, ecx"),
    "pge": (f"mov ecx, cr4\n xor ecx, {PGE}", "mov cr4, ecx"),
    "cd": (f"mov ecx, cr0\n xor ecx, {1 << 30}", "mov cr0, ecx"),
}


@pytest.mark.parametrize("name", LOADS)
def test_a_reserved_bit_in_a_pointer_refuses_the_load(machine, name):
    use_pae(machine)
    before, load = LOADS[name]
    machine.load(f"mov dword [{POINTERS + 24:#x}], 0x21\n{before}\nload: {load}\n")
    controls = machine.processor.cr0, machine.processor.cr3, machine.processor.cr4
    event = machine.expect(GP)
    assert (event.error, event.eip) == (0, machine.symbols["load"])
    assert controls == (machine.processor.cr0, machine.processor.cr3, machine.processor.cr4)
    assert machine.processor.pdptes == (PAE_DIRECTORY | P, 0, 0, 0)


def test_task_switched_does_not_load_the_pointers(machine):
    use_pae(machine)
    machine.load(
        f"mov dword [{POINTERS + 24:#x}], 0x21\n"
        "mov ecx, cr0\nxor ecx, 8\nmov cr0, ecx\ntrapdoor DONE\n"
    )
    machine.finish()


def test_reserved_high_bits_fault_in_pae(machine):
    use_pae(machine)
    poke64(machine, PAE_TABLE + 8 * 0x20, 1 << 63 | 0x20000 | P | W)
    machine.load("mov eax, [0x20004]\n")
    assert machine.expect(PF).error == 9
    assert machine.processor.cr2 == 0x20004


def test_physical_memory_above_4_gigabytes_is_open_bus(machine):
    use_pae(machine)
    poke64(machine, PAE_TABLE + 8 * 0x20, 0x5_0002_0000 | P | W)
    machine.poke(0x20000, 0x1234)
    machine.load("mov eax, [0x20000]\nmov dword [0x20000], 1\ntrapdoor DONE\n")
    devices = Devices()
    assert machine.drive(devices) == Exit.TRAPDOOR
    assert [access[:3] for access in devices.accesses] == [
        ("read", 0x5_0002_0000, 4),
        ("write", 0x5_0002_0000, 4),
    ]
    assert machine.peek(0x20000) == 0x1234
    assert Bus().read_memory(0x5_0002_0000, 4) == 0xFFFFFFFF


# --- address line 20 ---------------------------------------------------------------------------


@pytest.mark.parametrize("paged", [False, True])
def test_with_line_20_low_odd_megabytes_are_even_ones(paged):
    machine = AssemblyMachine(3 << 20)
    if paged:
        use_paging(machine)
    machine.poke(0x20000, 1)
    machine.poke(0x120000, 2)
    source = "mov eax, [0x120000]\nmov dword [0x1FFFFE], 0x44332211\ntrapdoor DONE\n"
    machine.load(source)
    machine.finish()
    assert machine.register(EAX) == 2
    machine.processor.set_a20(False)
    machine.load(source)
    machine.finish()
    assert machine.register(EAX) == 1
    assert machine.peek(0xFFFFE, 2) == 0x2211
    assert machine.peek(0x200000, 2) == 0x4433
    machine.processor.set_a20(True)
    machine.load("mov eax, [0x120000]\ntrapdoor DONE\n")
    machine.finish()
    assert machine.register(EAX) == 2


def test_page_tables_are_reached_through_line_20():
    machine = AssemblyMachine(3 << 20)
    use_paging(machine)
    machine.processor.load_cr3(DIRECTORY | 1 << 20)
    machine.poke(DIRECTORY | 1 << 20, TABLE | 1 << 20 | P | W)
    machine.poke((TABLE | 1 << 20) + 4 * 0x20, 0x20000)
    machine.processor.set_a20(False)
    machine.load("mov eax, [0x20000]\ntrapdoor DONE\n")
    machine.finish()
    assert page(machine, 0x20000) & A


# --- implicit accesses -------------------------------------------------------------------------

SYSTEM_PAGES = {"gdt": GDT, "idt": IDT, "tss": TSS, "stack": INNER_STACK - 0x1000}


@pytest.mark.parametrize("name", SYSTEM_PAGES)
def test_system_tables_are_read_as_supervisor_from_ring_3(machine, name):
    """The page is not the user's, and with it absent the fault is a supervisor's."""
    use_paging(machine)
    set_page(machine, SYSTEM_PAGES[name], SYSTEM_PAGES[name] | P | W)
    machine.load("int 0x80\n")
    machine.enter_ring_3()
    machine.expect(0x80)
    assert machine.processor.cpl == 0


@pytest.mark.parametrize("present", [False, True])
def test_a_segment_load_in_ring_3_reads_its_descriptor_as_supervisor(machine, present):
    """The descriptor is in a page of its own, 0x6000."""
    use_paging(machine)
    machine.processor.cpu[state.GDTR_LIMIT] = 0xFFFF
    machine.processor.write_physical(0x6000, descriptor(0x13, 3))
    set_page(machine, 0x6000, 0x6000 | W | (P if present else 0))
    machine.load("mov eax, 0x5003\nload: mov fs, ax\n")
    machine.enter_ring_3()
    if present:
        assert machine.run(2) == Exit.BUDGET
        assert machine.processor.segment(FS).selector == 0x5003
        return
    event = machine.expect(PF)
    assert (event.error, event.eip) == (0, machine.symbols["load"])
    assert machine.processor.cr2 == 0x6000


@pytest.mark.parametrize("present", [False, True])
def test_the_port_map_is_read_as_supervisor(machine, present):
    """Of the TSS, with the map in page 0x6000."""
    use_paging(machine)
    machine.poke(TSS + 102, 0x6000 - TSS, 2)
    machine.processor.cpu[state.LIMIT + TR] = 0x6000 - TSS + 0x2000
    set_page(machine, 0x6000, 0x6000 | W | (P if present else 0))
    machine.load("mov edx, 0x3F8\nload: in al, dx\n")
    machine.enter_ring_3()
    if present:
        assert machine.run(2) == Exit.PORT_IN
        return
    event = machine.expect(PF)
    assert (event.error, machine.processor.cr2) == (0, 0x607F)
