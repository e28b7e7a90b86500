"""Small guests, each about one thing that silicon does: the same state bare and in rings 1 and 3.

All registers, flags, selectors, control registers and all of RAM are compared at the end, so a log
of exceptions in memory is part of what must agree.
"""

from __future__ import annotations

import pytest

from tests.hypervisor.small_guests import assert_equal, log_of

pytestmark = pytest.mark.compiled

# Ring-0 instructions that fault when the task at ring 3 gives them, and some that do not.
USER_INSTRUCTIONS = {
    "cli": 13,
    "sti": 13,
    "hlt": 13,
    "in al, 0x60": 13,
    "out dx, eax": 13,
    "mov eax, cr0": 13,
    "mov cr3, eax": 13,
    "mov eax, dr6": 13,
    "lgdt [0x1000]": 13,
    "lidt [0x1000]": 13,
    "lldt ax": 13,
    "ltr ax": 13,
    "lmsw ax": 13,
    "clts": 13,
    "invlpg [0x1000]": 13,
    "wbinvd": 13,
    "invd": 13,
    "rdmsr": 13,
    "wrmsr": 13,
    "sysexit": 13,
    "int 0x21": 13,
    "into": None,
    "int3": 3,
    "db 0xF1": 1,
    "ud2": 6,
    "mov ds, [bad]": 13,
    "mov ss, [kernel_data]": 13,
    "mov es, [kernel_data]": 13,
    "jmp 0x08:0": 13,
    "call 0x28:0": 13,
    "db 0x0F, 0x0A, 1": 13,
    "mov [0xFFFFFFFC], eax": 14,
    "mov eax, [cs:0xFFC00000]": 14,
    "mov eax, [0x80000000]": 14,
    "div dword [zero]": 0,
    "lock nop": 6,
    "rdtsc": None,
    "cpuid": None,
}


@pytest.mark.parametrize("instruction", USER_INSTRUCTIONS)
def test_what_a_task_may_not_do_faults_as_on_the_bare_machine(instruction):
    ring = assert_equal(f"""
        call paging_on
        resume_at back
        user_at task
    task:
        xor edx, edx
        {instruction}
        int 0x40
    back:
        ret
        align 4
    bad: dd 0x1230
    kernel_data: dd KERNEL_DATA
    zero: dd 0
    """)
    expected = USER_INSTRUCTIONS[instruction]
    vectors = [entry[0] for entry in log_of(ring)]
    assert vectors[0] == (0x40 if expected is None else expected)


KERNEL_INSTRUCTIONS = [
    "mov eax, cr0\nmov ebx, cr3\nmov ecx, cr4\nmov edx, cr2",
    "mov eax, cr0\nor eax, 8\nmov cr0, eax\nclts\nmov ebx, cr0",
    "mov eax, 0x80000000\nmov cr0, eax",  # PG without PE: #GP
    "mov eax, 0x20000011\nmov cr0, eax",  # NW without CD: #GP
    "mov eax, 0x10\nmov cr4, eax\nmov eax, 0x20\nmov cr4, eax",  # PAE does not exist: #GP
    "mov eax, 0x1234\nmov cr2, eax\nmov ebx, cr2",
    "db 0x0F, 0x22, 0xC8",  # MOV CR1
    "mov ax, 0xF\nlmsw ax\nmov ebx, cr0",
    "mov eax, 0x12345678\nmov dr0, eax\nmov dr7, eax\nmov ebx, dr7\nmov ecx, dr6",
    "mov eax, 8\nmov cr4, eax\nmov ebx, dr4",  # CR4.DE: #UD
    "mov ecx, 0x174\nmov eax, 8\nxor edx, edx\nwrmsr\nrdmsr",
    "mov ecx, 0x10\nmov eax, 1000\nwrmsr\nrdtsc",
    "mov ecx, 0x1B\nrdmsr",
    "mov ecx, 0x99\nrdmsr",
    "rdtsc\nmov ebx, eax\nrdtsc",
    "xor ecx, ecx\nrdpmc\nmov ecx, 5\nrdpmc",
    "wbinvd\ninvd\ninvlpg [0x1000]",
    "mov ds, [nothing]\nmov eax, [0]",
    "mov eax, 0x13\nmov ds, ax",  # DPL 0 with RPL 3: #GP
    "mov eax, USER_DATA\nmov ds, ax\nmov ebx, [ds:0x100000]\nmov eax, KERNEL_DATA\nmov ds, ax",
    "mov eax, USER_CODE\nmov fs, ax\nmov ebx, [fs:0x100000]",
    "mov eax, USER_DATA\nmov ss, ax",
    "mov eax, 0x30\nmov es, ax",  # a null descriptor
    "mov eax, 0x0FF8\nmov es, ax",  # outside the table
    "xor eax, eax\nmov gs, ax\nmov ebx, [gs:0]",
    "lss eax, [far_pointer]",
    "lds esi, [far_pointer]\nmov ebx, ds",
    "les edi, [far_pointer]\nlfs esi, [far_pointer]\nlgs ebp, [far_pointer]",
    "push ds\npop es\npush es\npop fs",
    "push KERNEL_DATA\npop ss",
    "jmp KERNEL_CODE:.l\n.l:",
    "jmp [code_pointer]\nin_code:",
    "jmp 0x28:0",  # a TSS: no hardware task switching
    "jmp 0:0",
    "jmp USER_CODE:0",
    "int 3\nint 0x30",
    "int 0x50",  # outside the IDT
    "mov eax, 0x7FFFFFFF\nadd eax, 1\ninto",
    "ud2",
    "mov eax, 1\nxor edx, edx\nxor ecx, ecx\ndiv ecx",
    "bound eax, [nothing]\nmov eax, 5\nbound eax, [nothing]",
    "arpl ax, bx\nbsf eax, ebx",
    "mov dx, 0x60\nin al, dx\nin ax, dx\nin eax, dx",
    "mov edi, SCRATCH\nmov ecx, 5\nmov dx, 0x61\nrep insb",
    "mov esi, SCRATCH\nmov ecx, 5\nmov dx, 0x80\nrep outsd",
    "mov edi, SCRATCH\nxor ecx, ecx\nmov dx, 0x61\nrep insb",
    "mov edi, SCRATCH\nmov dx, 0x61\nstd\ninsw\ncld",
    "mov ecx, 0x174\nmov eax, KERNEL_CODE\nxor edx, edx\nwrmsr\nsysenter",
    "mov eax, [0xFFFFFFF0]\nmov ebx, [0xA0000000]",
    "mov dword [0xFFFFFFF0], 5\nmov dword [0xA0000000], 6\nmov eax, [0xA0000000]",
    "add dword [0xFFFFFFFC], 1\nadc eax, [0xFFC00000]\npush dword [0xFFC00010]\npop eax",
    "mov esi, 0xFFFFFF00\nmov edi, SCRATCH\nmov ecx, 8\nrep movsd",
    "mov edi, 0xFFFFFF00\nmov ecx, 8\nrep stosd\nmov edi, 0xA0000000\nmov ecx, 8\nrep stosb",
    "mov eax, [0xFFFFFFFE]",  # across the end of the segment: #GP
    "mov esp, 0xFFFFFFF0\npush eax\npop ebx\ncall .l\n.l: mov esp, STACK_TOP",
    "xor esp, esp\npush eax\nmov esp, STACK_TOP",
    "jmp 0xFFFFFFF0",  # all ones are no instruction: #UD
    "mov eax, 0x90000000\njmp eax",
    "movzx eax, byte [0xFFD00000]\nmovsx ebx, word [0xFFD00000]\nxchg ecx, [0xFFD00000]",
    "inc dword [0xFFD00000]\nneg byte [0xFFD00000]\nnot word [0xFFD00000]",
    "cmp dword [0xFFD00000], -1\nsbb eax, eax\ntest byte [0xFFD00000], 1",
]


@pytest.mark.parametrize("paging", [False, True])
@pytest.mark.parametrize("code", KERNEL_INSTRUCTIONS)
def test_what_a_kernel_does_has_the_same_effect_at_ring_1(code, paging):
    assert_equal(
        f"""
        {"call paging_on" if paging else ""}
        resume_at back
        {code}
    back:
        mov ecx, KERNEL_DATA
        mov ds, cx
        mov esp, [resume_stack]
        ret
        align 4
    nothing: dd 0, 0
    far_pointer: dd 0x12345678
        dw KERNEL_DATA
    code_pointer: dd in_code
        dw KERNEL_CODE
    {"" if "in_code:" in code else "in_code:"}
    """,
        reason=None,
    )


def test_a_task_with_io_privilege_switches_interrupts_and_uses_ports():
    assert_equal("""
        resume_at back
        mov dword [user_flags], 0x3202      ; IOPL 3
        user_at task
    task:
        cli
        in al, 0x61
        out 0x80, al
        sti
        cli
        int 0x40
    back:
        ret
    """)


def test_the_io_bit_map_of_the_guest_opens_single_ports():
    ring = assert_equal("""
        mov dword [TSS + 104], 0xFFFFFFFF
        mov dword [TSS + 108], 0xFFFFFFFF
        mov dword [TSS + 112], 0xFFFFFFFF
        mov dword [TSS + 116], 0xFFFFFFFD   ; port 61h
        mov byte [gdt + TSS_SEL], 255       ; a longer TSS
        and byte [gdt + TSS_SEL + 5], ~2    ; not busy
        mov eax, TSS_SEL
        ltr ax
        resume_at back
        user_at task
    task:
        in al, 0x61
        in al, 0x62
        int 0x40
    back:
        ret
    """)
    assert [entry[0] for entry in log_of(ring)] == [13]


def test_descriptors_that_change_while_loaded_stay_as_they_were_loaded():
    assert_equal("""
        mov dword [gdt + KERNEL_CODE], 0
        mov dword [gdt + KERNEL_CODE + 4], 0
        mov dword [gdt + KERNEL_DATA], 0
        mov dword [gdt + KERNEL_DATA + 4], 0
        mov eax, cr0                        ; leaves the guest and comes back
        push eax
        pop ebx
        mov [SCRATCH], ebx
        mov dword [gdt + KERNEL_CODE], 0x0000FFFF
        mov dword [gdt + KERNEL_CODE + 4], 0x00CF9A00
        mov dword [gdt + KERNEL_DATA], 0x0000FFFF
        mov dword [gdt + KERNEL_DATA + 4], 0x00CF9200
        mov eax, KERNEL_DATA
        mov ds, ax
        mov ss, ax
        mov eax, cr0
    """)


def test_accessed_bits_of_descriptors_appear_in_the_guests_table():
    ring = assert_equal("""
        mov dword [gdt_free], 0x0000FFFF
        mov dword [gdt_free + 4], 0x00CF9200
        mov eax, FREE_SEL
        mov fs, ax
        mov ebx, [gdt_free + 4]
        mov [SCRATCH], ebx
        mov dword [gdt_free + 4], 0x00CF9200    ; clear it again
        mov gs, ax
        mov ebx, [gdt_free + 4]
        mov [SCRATCH + 4], ebx
    """)
    assert ring.read_u32(0x1D0000) & 0x100
    assert ring.read_u32(0x1D0004) & 0x100


def test_a_small_segment_keeps_its_limit_and_base():
    ring = assert_equal("""
        mov dword [gdt_free], (SCRATCH & 0xFFFF) << 16 | 15
        mov dword [gdt_free + 4], 0x00409200 | SCRATCH >> 16
        mov eax, FREE_SEL
        mov fs, ax
        resume_at back
        mov dword [fs:12], 0x77
        mov dword [fs:13], 0x77
    back:
        ret
    """)
    assert [entry[0] for entry in log_of(ring)] == [13]


def test_a_local_descriptor_table():
    ring = assert_equal("""
        mov dword [SCRATCH + 8], 0x0000FFFF
        mov dword [SCRATCH + 12], 0x00CF9200
        mov dword [SCRATCH + 16], 0x0000FFFF
        mov dword [SCRATCH + 20], 0x00CF9A00
        mov dword [gdt + LDT_SEL], (SCRATCH & 0xFFFF) << 16 | 23
        mov dword [gdt + LDT_SEL + 4], 0x00008200 | SCRATCH >> 16
        mov eax, LDT_SEL
        lldt ax
        mov eax, 0x0C
        mov fs, ax
        mov ss, ax
        jmp 0x14:.local
    .local:
        mov eax, cr0
        mov ebx, [fs:SCRATCH + 12]
        mov eax, KERNEL_DATA
        mov ss, ax
        jmp KERNEL_CODE:.global
    .global:
        resume_at back
        xor eax, eax
        lldt ax
        mov eax, 0x0C
        mov gs, ax                          ; there is no table any more: #GP
    back:
        ret
    """)
    assert [entry[:2] for entry in log_of(ring)] == [(13, 0x0C)]


def test_call_gates_and_far_returns_between_levels():
    assert_equal("""
        mov eax, gate_target
        mov [gdt_free], ax
        mov word [gdt_free + 2], KERNEL_CODE
        mov word [gdt_free + 4], 0xEC02     ; DPL 3, two parameters
        shr eax, 16
        mov [gdt_free + 6], ax
        resume_at back
        user_at task
    task:
        push dword 0x1111
        push dword 0x2222
        call FREE_SEL:0
        mov [SCRATCH], esp
        int 0x40
    gate_target:
        mov eax, [esp + 8]
        mov ebx, [esp + 12]
        mov ecx, esp
        retf 8
    back:
        mov byte [gdt_free + 4], 0          ; no parameters: the same gate from ring 0
        mov eax, gate_target2
        mov [gdt_free], ax
        call FREE_SEL:0
        jmp done
    gate_target2:
        mov eax, cr0
        retf
    done:
        ret
    """)


def test_fast_system_calls():
    assert_equal("""
        mov ecx, 0x174
        mov eax, KERNEL_CODE
        xor edx, edx
        wrmsr
        mov ecx, 0x175
        mov eax, TRAP_STACK
        wrmsr
        mov ecx, 0x176
        mov eax, entry
        wrmsr
        resume_at back
        user_at task
    task:
        mov edi, esp
        sysenter
    entry:
        mov eax, cr0
        mov edx, returned
        mov ecx, edi
        sti
        sysexit
    returned:
        int 0x40
    back:
        ret
    """)


def test_single_stepping_by_the_guest_meets_emulated_and_native_instructions():
    ring = assert_equal("""
        push dword 0x102
        popfd
        nop
        mov eax, cr0
        in al, 0x61
        push eax
        pop ebx
        cli
        int 0x30
        nop
        push dword 2
        popfd
        nop
    """)
    assert {entry[0] for entry in log_of(ring)} >= {1, 0x30}


def test_single_stepping_over_a_traced_write():
    assert_equal("""
        call paging_on
        mov eax, [TABLE]
        push dword 0x102
        popfd
        mov [TABLE + 4], eax
        mov [TABLE + 8], eax
        push dword 2
        popfd
        mov dword [TABLE + 4], 0x1007
        mov dword [TABLE + 8], 0x2007
    """)


def test_the_timer_interrupts_the_same_instruction():
    ring = assert_equal("""
        mov ecx, 50
        call timer_on
        sti
        xor ebx, ebx
    .wait:
        inc ebx
        in al, 0x61
        cmp dword [ticks], 9
        jb .wait
        cli
        mov [SCRATCH], ebx
    """)
    assert ring.exits["virtual_interrupt"] >= 9


def test_the_timer_interrupts_a_task_and_ends_halts():
    assert_equal("""
        call paging_on
        mov ecx, 100
        call timer_on
        sti
        hlt
        hlt
        cli
        sti
        nop
        sti
        hlt
        cli
        resume_at back
        mov dword [ticks], 0
        user_at task
    task:
        inc ebx
        cmp dword [ticks], 5
        jb task
        int 0x40
    back:
        mov [SCRATCH], ebx
        ret
    """)


def test_the_shadow_of_sti_and_of_mov_ss_holds_interrupts_off():
    assert_equal("""
        mov ecx, 3
        call timer_on
        mov ecx, 40
        mov edx, KERNEL_DATA
    .again:
        cli
        nop
        sti
        cli
        sti
        mov ss, dx
        nop
        mov ss, dx
        mov ss, dx
        nop
        sti
        dec ecx
        jnz .again
        cli
    """)


def test_repeated_port_input_is_interrupted_alike():
    assert_equal("""
        mov ecx, 20
        call timer_on
        sti
        mov edi, SCRATCH
        mov ecx, 200
        mov edx, 0x61
        rep insb
        nop
        hlt
        cli
    """)


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


def test_interrupt_gates_of_all_kinds():
    assert_equal("""
        mov word [IDT + 0x21 * 8 + 4], 0x8F00   ; trap gate
        mov word [IDT + 0x22 * 8 + 4], 0x0E00   ; not present
        mov word [IDT + 0x23 * 8 + 4], 0x8500   ; task gate
        mov word [IDT + 0x24 * 8 + 2], KERNEL_DATA
        mov word [IDT + 0x25 * 8 + 2], 0
        resume_at .a
        sti
        int 0x21
    .a: resume_at .b
        int 0x22
    .b: resume_at .c
        int 0x23
    .c: resume_at .d
        int 0x24
    .d: resume_at .e
        int 0x25
    .e: resume_at .f
        mov word [TSS + 8], USER_DATA
        user_at .f
    .f: mov word [TSS + 8], KERNEL_DATA
        cli
    """)


def test_16_bit_interrupt_gates_and_code():
    assert_equal("""
        mov eax, code16
        mov word [gdt_free], 0xFFFF
        mov [gdt_free + 2], ax
        shr eax, 16
        mov [gdt_free + 4], al
        mov byte [gdt_free + 5], 0x9A
        mov dword [IDT + 0x21 * 8], FREE_SEL << 16
        mov dword [IDT + 0x21 * 8 + 4], 0x8600
        int 0x21
    bits 16
    code16:
        mov ax, [bx]
        push ax
        mov eax, cr0
        cli
        db 0x66, 0xEA
        dd back
        dw KERNEL_CODE
    bits 32
    back:
        mov esp, STACK_TOP - 4
        ret
    """)


@pytest.mark.parametrize("handler", ["unmapped", "no gate", "bad stack"])
def test_double_and_triple_faults(handler):
    body = {
        "unmapped": "mov dword [IDT + 14 * 8], 0x08FFFF\nmov eax, [0x80000000]",
        "no gate": "mov dword [IDT + 6 * 8 + 4], 0\nud2",
        "bad stack": "mov esp, 0x80000000\nud2",
    }[handler]
    assert_equal(
        f"""
        call paging_on
        resume_at back
        {body}
    back:
        mov dword [IDT + 8 * 8 + 4], 0
        {body}
        """,
        reason="shutdown",
    )


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("cli\nhlt", "halt"),
        ("sti\nhlt", "halt"),
        ("mov al, 0xFE\nout 0x64, al\nnop", "shutdown"),
        (".l: jmp .l", "budget"),
        ("lidt [empty]\nint 3\nempty: dd 0, 0", "shutdown"),
    ],
)
def test_a_guest_ends_for_the_same_reason(code, reason):
    assert_equal(code, reason=reason)
