"""Small guests about paging: the same state bare and under shadow page tables.

As in test_small_guests.py, all registers and all of RAM are compared at the end.
"""

from __future__ import annotations

import pytest

from hypervisor.bare import Bare
from hypervisor.ring_compression.technique import RingCompression
from tests.hypervisor.small_guests import assert_equal, log_of, run

pytestmark = pytest.mark.compiled


def test_pages_fault_and_are_repaired():
    ring = assert_equal("""
        call paging_on
        mov dword [TABLE + 0x1E0 * 4], 0
        invlpg [0x1E0000]
        resume_at again
    again:
        mov dword [TABLE + 0x1E0 * 4], SCRATCH | PRESENT | WRITABLE
        cmp dword [log_at], LOG
        jne done
        mov dword [TABLE + 0x1E0 * 4], 0
        invlpg [0x1E0000]
        mov eax, [0x1E0008]
    done:
        mov dword [0x1E0008], 0x55
    """)
    assert ring.exits["page_fault_true"] == 1


@pytest.mark.parametrize("write_protect", [0, "CR0_WP"])
def test_read_only_pages_of_users_and_the_kernel(write_protect):
    assert_equal(f"""
        call paging_on
        mov dword [TABLE + 0x1E0 * 4], SCRATCH | PRESENT | USER
        invlpg [0x1E0000]
        mov eax, cr0
        or eax, {write_protect}
        mov cr0, eax
        resume_at task_part
        mov eax, [0x1E0000]
        mov dword [0x1E0000], 1
        mov dword [0x1E0004], 2
    task_part:
        resume_at back
        user_at task
    task:
        mov eax, [0x1E0000]
        mov dword [0x1E0000], 3
        int 0x40
    back:
        resume_at end
        mov dword [0x1E0008], 4
    end:
        ret
    """)


def test_supervisor_pages_are_hidden_from_tasks():
    assert_equal("""
        call paging_on
        mov dword [TABLE + 0x1E0 * 4], SCRATCH | PRESENT | WRITABLE
        invlpg [0x1E0000]
        mov dword [0x1E0000], 7
        resume_at back
        user_at task
    task:
        mov eax, [0x1E0000]
        int 0x40
    back:
        ret
    """)


def test_accessed_and_dirty_bits_appear_in_the_guests_tables():
    ring = assert_equal("""
        call paging_on
        mov dword [TABLE + 0x1E0 * 4], SCRATCH | PRESENT | WRITABLE | USER
        mov eax, [0x1E0000]
        mov ebx, [TABLE + 0x1E0 * 4]
        mov [SCRATCH + 4], ebx
        mov [0x1E0000], eax
        mov ebx, [TABLE + 0x1E0 * 4]
        mov [SCRATCH + 8], ebx
    """)
    assert ring.read_u32(0x1D0004) & 0x60 == 0x20
    assert ring.read_u32(0x1D0008) & 0x60 == 0x60


@pytest.mark.parametrize("write_protect", [0, "CR0_WP"])
def test_large_pages(write_protect):
    assert_equal(f"""
        mov eax, 0x10
        mov cr4, eax
        call paging_on
        mov eax, cr0
        or eax, {write_protect}
        mov cr0, eax
        mov dword [DIRECTORY + 4], 0 | PRESENT | WRITABLE | 0x80
        mov dword [DIRECTORY + 8], 0 | PRESENT | USER | 0x80
        mov eax, [0x400000 + SCRATCH]
        mov ebx, [DIRECTORY + 4]
        mov [0x400000 + SCRATCH], ebx
        mov ebx, [DIRECTORY + 4]
        mov [0x400000 + SCRATCH + 4], ebx
        mov eax, [0x800000 + SCRATCH]
        resume_at back
        mov [0x800000 + SCRATCH + 8], eax
    back:
        mov eax, [DIRECTORY + 8]
        ret
    """)


def test_page_tables_mapped_into_themselves():
    assert_equal("""
        call paging_on
        mov dword [DIRECTORY + 1022 * 4], DIRECTORY | PRESENT | WRITABLE
        mov eax, [0xFF800000 + 0x100 * 4]   ; the table, through the directory
        mov [SCRATCH], eax
        mov dword [0xFF800000 + 0x1E0 * 4], SCRATCH | PRESENT | WRITABLE
        invlpg [0x1E0000]
        mov dword [0x1E0010], 0x99
        mov eax, [0xFF800000 + 1022 * 0x1000 + 4]
        mov dword [0xFFBFE000 + 4], TABLE | PRESENT | WRITABLE
        mov eax, [0x400000 + SCRATCH]
    """)


def test_a_guest_that_maps_the_monitors_addresses():
    assert_equal("""
        call paging_on
        resume_at done
        mov dword [DIRECTORY + 1023 * 4], DIRECTORY | PRESENT | WRITABLE
        mov eax, [0xFFFFF000]
        mov [SCRATCH], eax
        mov dword [0xFFC00000 + 0x1E0 * 4], SCRATCH | PRESENT | WRITABLE
        invlpg [0x1E0000]
        mov dword [0x1E0010], 0x99
        mov esp, 0xFFC00000 + 0x1F0 * 4
        push dword 0
        pop eax
        mov esp, [resume_stack]
    done:
        ret
    """)


def test_a_page_directory_that_is_refilled_in_use():
    assert_equal("""
        call paging_on
        mov edi, 0x1E0000
        mov esi, DIRECTORY
        mov ecx, 1024
        rep movsd
        mov eax, 0x1E0000
        mov cr3, eax
        mov edi, DIRECTORY
        xor eax, eax
        mov ecx, 1024
        rep stosd
        mov dword [DIRECTORY], TABLE | PRESENT | WRITABLE
        mov eax, DIRECTORY
        mov cr3, eax
        mov edi, 0x1E0000
        mov ecx, 300
    .fill:
        mov [edi], ecx
        add edi, 4
        dec ecx
        jnz .fill
    """)


def test_paging_switched_off_and_on_again():
    assert_equal("""
        call paging_on
        mov dword [TABLE + 0x1E0 * 4], SCRATCH | PRESENT | WRITABLE
        invlpg [0x1E0000]
        mov dword [0x1E0000], 5
        mov eax, cr0
        and eax, ~CR0_PG
        mov cr0, eax
        mov dword [0x1E0000], 6
        mov eax, cr0
        or eax, CR0_PG
        mov cr0, eax
        mov dword [0x1E0004], 7
    """)


def test_a_descriptor_table_that_paging_moves():
    assert_equal("""
        call paging_on
        mov esi, gdt
        mov edi, SCRATCH
        mov ecx, 32
        rep movsd
        mov dword [SCRATCH + FREE_SEL], 0x1234FFFF
        mov dword [SCRATCH + FREE_SEL + 4], 0x00CF9200
        mov dword [gdt_free], 0x0000FFFF
        mov dword [gdt_free + 4], 0x00CF9200
        mov dword [TABLE + 0x1F0 * 4], 0x100000 | PRESENT | WRITABLE
        mov dword [SCRATCH + 0x800], 0x1F0000
        mov eax, gdt
        and eax, 0xFFF
        mov ebx, 0x1F0000
        add ebx, eax
        mov [SCRATCH + 0x802], ebx
        mov word [SCRATCH + 0x800], gdt_end - gdt - 1
        mov eax, gdt
        and eax, 0xFFFFF000
        or eax, PRESENT | WRITABLE
        mov [TABLE + 0x1F0 * 4], eax
        lgdt [SCRATCH + 0x800]
        mov eax, FREE_SEL
        mov fs, ax
        mov ebx, [fs:SCRATCH]
        mov eax, cr0
    """)


def test_a_stack_on_a_page_table():
    assert_equal("""
        resume_at done
        call paging_on
        mov esp, TABLE + 0x1F8 * 4
        push dword 0x1F7007
        pushfd
        pop eax
        pop ebx
        call called
    called:
        mov esp, [resume_stack]
    done:
        mov dword [TABLE + 0x1F6 * 4], 0x1F6007
        mov dword [TABLE + 0x1F7 * 4], 0x1F7007
        ret
    """)


def test_code_that_changes_itself_and_its_mapping():
    assert_equal("""
        call paging_on
        mov byte [patched], 0x40            ; INC EAX
        xor eax, eax
    patched:
        nop
        mov dword [SCRATCH], 0x00C3C3C3
        call SCRATCH
        mov dword [SCRATCH + 0x1000], 0x00C34343
        mov dword [TABLE + 0x1D0 * 4], (SCRATCH + 0x1000) | PRESENT | WRITABLE
        invlpg [SCRATCH]
        call SCRATCH
    """)


def test_reserved_bits_of_large_pages_and_of_table_entries_fault():
    """With CR4.PSE; without it the same entries are good."""
    ring = assert_equal("""
        call paging_on
        mov dword [TABLE + 0x1E0 * 4], SCRATCH | PRESENT | WRITABLE | 0x80
        invlpg [0x1E0000]
        mov eax, [0x1E0000]
        mov eax, cr4
        or eax, 1 << 4
        mov cr4, eax
        resume_at large
        mov ebx, [0x1E0000]
    large:
        mov dword [DIRECTORY + 4], PRESENT | WRITABLE | 0x80 | 0x2000
        resume_at again
        mov dword [0x400000 + SCRATCH], 5
    again:
        mov dword [DIRECTORY + 4], PRESENT | WRITABLE | 0x80
        invlpg [0x400000]
        resume_at end
        mov dword [0x400000 + SCRATCH], 6
    end:
    """)
    assert [entry[1] for entry in log_of(ring)] == [9, 0xB]


def test_global_pages_follow_their_tables():
    """A guest that invalidates as it should sees the same, whatever a TLB keeps."""
    assert_equal("""
        call paging_on
        mov eax, cr4
        or eax, 1 << 7
        mov cr4, eax
        mov dword [TABLE + 0x1E0 * 4], SCRATCH | PRESENT | WRITABLE | 0x100
        invlpg [0x1E0000]
        mov dword [0x1E0000], 1
        mov eax, cr3
        mov cr3, eax
        mov ebx, [0x1E0000]
        mov dword [TABLE + 0x1E0 * 4], (SCRATCH + 0x1000) | PRESENT | WRITABLE | 0x100
        invlpg [0x1E0000]
        mov esi, [0x1E0000]
        mov dword [TABLE + 0x1E0 * 4], SCRATCH | PRESENT | WRITABLE | 0x100
        mov eax, cr4
        xor eax, 1 << 7
        mov cr4, eax
        mov edi, [0x1E0000]
    """)


A20_LOW = """
        mov al, 0xD1
        out 0x64, al
        mov al, 0xDD
        out 0x60, al
"""


def test_line_20_makes_odd_megabytes_even():
    """Bare. The code itself is below 1 MiB while the line is low."""
    bare, stop = run(
        Bare,
        f"""
        mov esi, low
        mov edi, 0x7000
        mov ecx, low_end - low
        rep movsb
        mov dword [0x110000], 0x1111
        mov dword [0x10000], 0x2222
        mov eax, 0x7000
        call eax
        mov [SCRATCH + 4], eax
        ret
    low:
        {A20_LOW}
        mov eax, [0x110000]
        mov ebx, eax
        mov dword [0x110000], 0x3333
        mov al, 2
        out 0x92, al
        mov eax, ebx
        ret
    low_end:
        """,
    )
    assert stop.reason == "exit"
    assert bare.read_u32(0x1D0004) == 0x2222
    assert (bare.read_u32(0x10000), bare.read_u32(0x110000)) == (0x3333, 0x1111)


def test_a_vm_ends_when_its_guest_pulls_line_20_low():
    _, stop = run(RingCompression, A20_LOW)
    assert stop.reason == "error"
    assert "address line 20" in stop.detail
