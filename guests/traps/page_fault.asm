; page_fault.asm — ring 3 touches a page that is not there; the kernel maps it; ring 3 goes on, and
; has the kernel take it away again. One round is a page fault, an entry written, an IRET, a system
; call, an entry cleared and an INVLPG.

    bits 32
REPEATS     equ 50000
%include "common.inc"

VECTOR_PAGE_FAULT   equ 14
VECTOR_SYSCALL      equ 0x80
TOUCHED             equ 0x00200000
ENTRY               equ TABLE + (TOUCHED >> 12) * 4

measure:
    mov eax, VECTOR_PAGE_FAULT
    mov edx, page_fault
    call idt_gate
    mov eax, VECTOR_SYSCALL
    mov edx, kernel
    call idt_gate
    call paging_init
    mov dword [ENTRY], 0
    invlpg [TOUCHED]
    mov eax, task
    jmp enter_ring3

task:
    mov ebx, ecx
    xor eax, eax
.next:
    mov [TOUCHED], ebx
    int VECTOR_SYSCALL
    dec ebx
    jnz .next
    mov eax, 1
    int VECTOR_SYSCALL

page_fault:
    mov dword [ENTRY], TOUCHED + PRESENT + WRITABLE + USER
    add esp, 4                          ; error code
    iret

kernel:
    test eax, eax
    jnz .done
    mov dword [ENTRY], 0
    invlpg [TOUCHED]
    iret
.done:
    mov al, EXIT_GOOD
    jmp leave
