"""Small guests, each about one thing that silicon does: the same state bare and in rings 1 and 3.

All registers, flags, selectors, control registers and all of RAM are compared at the end, so a log
of exceptions in memory is part of what must agree.
"""

from __future__ import annotations

import pytest

from hypervisor.bare import Bare
from hypervisor.ring_compression.technique import RingCompression
from hypervisor.technique import StopReason
from tests.hypervisor.small_guests import assert_equal, log_of, run

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
    "mov eax, 0x12345678\nmov dr0, eax\nmov al, 0\nmov dr7, eax\nmov ebx, dr7\nmov ecx, dr6",
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
    "jmp 0x28:0",  # the TSS of the task that runs, so it is busy
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


DEBUGGED = {
    "int1": "int1",
    "general detect": "mov eax, 0x2400\nmov dr7, eax\nmov ebx, dr0\nmov ecx, dr7",
    "steps": "xor ecx, ecx\ncli\nmov eax, cr0\npush eax\npop ebx",
    "steps of repetitions": """
        mov esi, SCRATCH
        mov edi, SCRATCH + 16
        mov edx, 0x61
        mov ecx, 3
        rep insb
        mov ecx, 3
        mov edx, 0x80
        rep outsb
        mov ecx, 2
        rep movsb
    """,
    "steps over a load of ss": "mov eax, KERNEL_DATA\nmov ss, eax\nnop\nnop",
}


@pytest.mark.parametrize("name", DEBUGGED)
def test_debug_exceptions_are_the_same(name):
    """With their frames, which the handler logs: EIP, and EFLAGS with RF and TF."""
    step = name.startswith("steps")
    ring = assert_equal(f"""
        {"push dword 0x102" if step else ""}
        {"popfd" if step else ""}
        {DEBUGGED[name]}
        {"push dword 2" if step else ""}
        {"popfd" if step else ""}
        mov eax, dr6
        mov [SCRATCH + 64], eax
    """)
    assert ring.exits["exception"] >= (5 if step else 1)


def test_a_guest_that_sets_umip_sees_its_own_tables():
    ring = assert_equal(
        """
        mov eax, 0x800
        mov cr4, eax
        sgdt [SCRATCH]
        sidt [SCRATCH + 8]
        str [SCRATCH + 16]
        sldt eax
        smsw ebx
        resume_at back
        user_at task
    task:
        sgdt [SCRATCH]
    back:
        ret
    """,
        cpu="p6+umip",
    )
    assert [entry[0] for entry in log_of(ring)] == [13]


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


# --- alignment ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prepare", "access"),
    [
        ("", "mov eax, [SCRATCH + 2]"),
        ("call paging_on", "mov [SCRATCH + 1], ax"),
        ("", "mov eax, [0xFFC00002]"),  # the monitor's addresses, where accesses are emulated
        ("", "mov [0xFFC00001], ax"),
        ("", "inc dword [0xFFC00003]"),
        ("", "mov esi, SCRATCH\nmov edi, 0xFFC00002\nmovsd"),
        ("call paging_on", "mov [TABLE + 0x802], eax"),  # traced
    ],
)
def test_a_task_is_held_to_alignment(prepare, access):
    ring = assert_equal(f"""
        {prepare}
        mov eax, cr0
        or eax, 0x40000
        mov cr0, eax
        or dword [user_flags], 0x40000
        resume_at .back
        user_at .task
    .task:
        mov eax, [SCRATCH]
        {access}
        int 0x40
    .back:
        mov eax, [SCRATCH + 2]
        and eax, 0
    """)
    assert [entry[0] for entry in log_of(ring)] == [17]


# --- virtual interrupts ------------------------------------------------------------------------


def test_virtual_8086_extensions_may_be_enabled_and_do_nothing_elsewhere():
    assert_equal("mov eax, 1\nmov cr4, eax\nmov ebx, cr4\ncli\nsti\nnop\ncli")


def test_protected_mode_virtual_interrupts_end_the_vm():
    _, stop = run(RingCompression, "mov eax, 2\nmov cr4, eax")
    assert stop.reason is StopReason.ERROR
    assert "virtual interrupts" in stop.detail
    assert run(Bare, "mov eax, 2\nmov cr4, eax")[1].reason is StopReason.EXIT
