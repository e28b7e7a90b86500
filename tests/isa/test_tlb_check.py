"""A TLB that checks: stale translations are used, as on silicon, and noted; others are not."""

from __future__ import annotations

from random import Random

import pytest

from isa import paging, state
from isa import workspace as w
from isa.jit import ENABLED
from isa.page_walk import FRAME
from isa.registers import EAX, EBX, ESI, FEATURE_PAE
from isa.stale_translations import StaleTranslation, TlbMode
from tests.isa.assembly_machine import CODE, AssemblyMachine
from tests.isa.paged_machine import (
    DIRECTORY,
    PG,
    PGE,
    PS,
    PSE,
    TABLE,
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

OTHER_DIRECTORY, OTHER_TABLE = 0xC000, 0xD000
PTE_20 = TABLE + 4 * 0x20


@pytest.fixture(params=[TlbMode.CHECK, TlbMode.KEEP])
def machine(request):
    made = AssemblyMachine(tlb=request.param)
    use_paging(made)
    return made


def run(machine: AssemblyMachine, source: str) -> list[StaleTranslation]:
    machine.load(f"{source}\ntrapdoor DONE\n")
    machine.finish()
    return machine.processor.stale_translations


def test_a_forgotten_invlpg_is_noted_with_both_views(machine):
    machine.poke(0x20000, 1)
    machine.poke(0x21000, 2)
    [stale] = run(
        machine,
        f"""
        mov eax, [0x20000]
        mov dword [{PTE_20:#x}], 0x21005
    used:
        mov ebx, [0x20010 - 0x10]
        mov esi, [0x20004]
        """,
    )
    assert [machine.register(n) for n in (EAX, EBX)] == [1, 1]
    assert stale == StaleTranslation(
        gva=0x20000,
        eip=machine.symbols["used"],
        instructions=2,
        access="read",
        is_user=False,
        cached="page 0x20000 writable",
        tables="page 0x21000 read-only",
        uses=2,
    )
    assert machine.processor.core[machine.processor.core[w.TLB_CHECK] + w.CHECK_USES] == 2


INVALIDATIONS = {
    "invlpg": "invlpg [0x20FFF]",
    "cr3": "mov ecx, cr3\n mov cr3, ecx",
    "pge": f"mov ecx, {PGE}\n mov cr4, ecx",
    "wp": "mov ecx, cr0\n xor ecx, 0x10000\n mov cr0, ecx",
}


@pytest.mark.parametrize("name", INVALIDATIONS)
def test_a_guest_that_invalidates_is_right(machine, name):
    machine.poke(0x21000, 2)
    found = run(
        machine,
        f"""
        mov eax, [0x20000]
        mov [0x20000], eax
        mov dword [{PTE_20:#x}], 0x21007
        {INVALIDATIONS[name]}
        mov ebx, [0x20000]
        mov [0x20000], ebx
        """,
    )
    assert not found
    assert machine.register(EBX) == 2


@pytest.mark.parametrize(
    ("before", "after"),
    [(0, 0x20003), (0x20001, 0x20003), (0x20003, 0x20007), (0x20003, 0x20003 | A | D)],
)
def test_more_rights_need_no_invalidation(machine, before, after):
    set_page(machine, 0x20000, before)
    read = "mov eax, [0x20000]" if before else "nop"
    found = run(machine, f"{read}\nmov dword [{PTE_20:#x}], {after}\nmov [0x20000], eax")
    assert not found
    assert page(machine, 0x20000) & D


@pytest.mark.parametrize(
    ("after", "tables"),
    [(0, "#PF(0x2)"), (0x20001, "#PF(0x3)"), (0x20003, "page 0x20000 writable")],
)
def test_fewer_rights_and_a_cleared_dirty_bit_are_stale_for_writes(machine, after, tables):
    machine.processor.load_cr0(machine.processor.cr0 | 1 << 16)
    set_page(machine, 0x20000, 0x20003)
    [stale] = run(
        machine,
        f"mov [0x20000], eax\nmov dword [{PTE_20:#x}], {after}\nmov [0x20000], eax",
    )
    assert (stale.access, stale.cached) == ("write", "page 0x20000 writable dirty")
    assert stale.tables == tables
    assert page(machine, 0x20000) & D == 0


def test_code_that_runs_on_from_an_unmapped_page_is_noted(machine):
    """A loop in a page that its table no longer maps; every round looks it up again."""
    [stale] = run(
        machine,
        f"""
        mov ecx, 5
        and dword [{TABLE + 4 * (CODE >> 12):#x}], ~1
    again:
        dec ecx
        jnz again
        or dword [{TABLE + 4 * (CODE >> 12):#x}], 1
        """,
    )
    assert (stale.gva, stale.access, stale.tables) == (machine.symbols["again"], "read", "#PF(0x0)")
    assert stale.uses >= 4


def test_a_global_page_of_another_address_space_is_noted(machine):
    machine.processor.load_cr4(PGE)
    set_page(machine, 0x20000, 0x20003 | G)
    machine.poke(OTHER_DIRECTORY, OTHER_TABLE | P | W)
    for number in range(256):
        machine.poke(OTHER_TABLE + 4 * number, number << 12 | P | W)
    machine.poke(OTHER_TABLE + 4 * 0x20, 0x21003)
    machine.poke(0x20000, 1)
    [stale] = run(
        machine,
        f"""
        mov eax, [0x20000]
        mov ecx, {OTHER_DIRECTORY}
        mov cr3, ecx
        mov esi, [0x20000]
        """,
    )
    assert machine.register(ESI) == 1
    assert (stale.gva, stale.tables) == (0x20000, "page 0x21000 writable")


@pytest.mark.parametrize("tlb", [TlbMode.CHECK, TlbMode.KEEP])
def test_only_keep_holds_pages_whose_places_others_need(tlb):
    """0x20000 and 0x220000 share a place in the TLB."""
    machine = AssemblyMachine(tlb=tlb)
    use_paging(machine)
    machine.poke(TABLE + 4 * 0x220, 0x30003)
    found = run(
        machine,
        f"""
        mov eax, [0x20000]
        mov dword [{PTE_20:#x}], 0x21003
        mov eax, [0x220000]
        mov ebx, [0x20000]
        """,
    )
    assert len(found) == (tlb is TlbMode.KEEP)


def test_invlpg_of_a_large_page_lets_all_of_it_go(machine):
    machine.processor.load_cr4(PSE)
    machine.poke(DIRECTORY + 4, P | W | PS)
    found = run(
        machine,
        f"""
        mov eax, [0x420000]
        mov eax, [0x4F0000]
        mov dword [{DIRECTORY + 4:#x}], 0
        invlpg [0x400000]
        mov dword [{DIRECTORY + 4:#x}], {TABLE | P | W:#x}
        mov eax, [0x420000]
        mov eax, [0x4F0000]
        """,
    )
    assert not found


def test_findings_end_and_uses_are_still_counted():
    machine = AssemblyMachine(tlb=TlbMode.KEEP)
    use_paging(machine)
    for number in range(0x100, 0x400):
        set_page(machine, number << 12, 0x30003)
    found = run(
        machine,
        f"""
        cld
        mov ecx, 768
        mov esi, 0x100000
    fill:
        test [esi], al
        add esi, 4096
        loop fill
        mov edi, {TABLE + 4 * 0x100}
        mov eax, 0x40001
        mov ecx, 768
        rep stosd
        mov ecx, 768
        mov esi, 0x100000
    use:
        test [esi], al
        add esi, 4096
        loop use
        """,
    )
    assert len(found) == w.CHECK_FINDINGS_MOST
    assert machine.processor.core[machine.processor.core[w.TLB_CHECK] + w.CHECK_USES] == 768


class Model:
    """The TLB that the manual describes, one that never forgets by itself."""

    def __init__(self) -> None:
        self.held: dict[tuple[int, int], tuple[int, bool, bool]] = {}

    def forget(self, keep_global: bool) -> None:
        self.held = {key: entry for key, entry in self.held.items() if keep_global and entry[1]}

    def invalidate(self, number: int) -> None:
        for key in list(self.held):
            same_large = key[0] >> 10 == number >> 10 and self.held[key][2]
            if key[0] == number or same_large:
                del self.held[key]


def test_what_is_kept_is_what_the_manual_lets_live():
    """Random changes of tables, invalidations and reads; the frame says which entry was used."""
    rng = Random(5)
    machine = AssemblyMachine(tlb=TlbMode.KEEP)
    use_paging(machine)
    processor, model = machine.processor, Model()
    machine.poke(DIRECTORY + 4, TABLE | P | W)
    processor.load_cr4(PSE | PGE)
    arrays = processor.cpu, processor.core, processor.ram, processor.marks
    numbers = [0x20, 0x21, 0x220, 0x400, 0x401, 0x7FF]  # the last three by directory entry 1
    expected_uses = 0

    def tables_say(number: int) -> tuple[int, bool, bool]:
        directory = machine.peek(DIRECTORY + 4 * (number >> 10))
        if directory & PS:
            return directory & 0xFFC00000 | (number & 0x3FF) << 12, bool(directory & G), True
        entry = machine.peek(TABLE + 4 * (number & 0x3FF))
        return entry & ~0xFFF, bool(entry & G), False

    for _ in range(6000 if ENABLED else 1200):
        match rng.randrange(8):
            case 0 | 1:
                number = rng.choice(numbers)
                frame = rng.randrange(0x20, 0x40) << 12
                set_page(machine, (number & 0x3FF) << 12, frame | P | W | rng.choice((0, G)))
            case 2:
                large = rng.randrange(4) << 22 | P | W | PS | rng.choice((0, G))
                machine.poke(DIRECTORY + 4, rng.choice((large, TABLE | P | W)))
            case 3 if rng.random() < 0.4:
                processor.load_cr3(DIRECTORY)
                model.forget(keep_global=True)
            case 4 if rng.random() < 0.1:
                processor.load_cr4(processor.cr4 ^ PGE)
                processor.load_cr4(processor.cr4 ^ PGE)
                model.forget(keep_global=False)
            case 5:
                number = rng.choice(numbers)
                processor.invlpg(number << 12 | rng.randrange(4096))
                model.invalidate(number)
            case _:
                number = rng.choice(numbers)
                entry = int(paging.tlb_entry(*arrays, number << 12, 0, 0))
                now = tables_say(number)
                held = model.held.setdefault((number, 0), now)
                assert processor.core[entry + w.TLB_FRAME] & FRAME == held[0]
                expected_uses += held[0] != now[0]
    assert expected_uses > 50
    assert processor.core[processor.core[w.TLB_CHECK] + w.CHECK_USES] == expected_uses


def test_pae_is_checked_as_well(machine):
    processor = machine.processor
    processor.cpu[state.FEATURES] |= FEATURE_PAE
    processor.load_cr0(processor.cr0 & ~PG)
    machine.poke(0xCF20, 0xD000 | P, 8)
    machine.poke(0xD000, 0xE000 | P | W | U, 8)
    for number in range(256):
        machine.poke(0xE000 + 8 * number, number << 12 | P | W, 8)
    processor.load_cr4(1 << 5)
    processor.load_cr3(0xCF20)
    processor.load_cr0(processor.cr0 | PG)
    [stale] = run(
        machine, f"mov eax, [0x20000]\nmov dword [{0xE000 + 8 * 0x20 + 4}], 1\nmov eax, [0x20000]"
    )
    assert stale.tables == "page 0x100020000 writable"
