; page_fault.asm — ring 3 touches two pages in turns, of which the kernel maps one at a time.

    bits 32
REPEATS     equ 2000
%define NAME "page_fault"
%include "common.inc"

VECTOR_PAGE_FAULT   equ 14
VECTOR_SYSCALL      equ 0x80
FIRST               equ 0x00200000      ; the two pages
SECOND              equ FIRST + PAGE

measure:
    mov eax, VECTOR_PAGE_FAULT
    mov edx, page_fault
    call idt_gate
    mov eax, VECTOR_SYSCALL
    mov edx, kernel
    call idt_gate
    call paging_init
    mov dword [TABLE + (FIRST >> 12) * 4], 0
    mov dword [TABLE + (SECOND >> 12) * 4], 0
    invlpg [FIRST]
    invlpg [SECOND]
    mov dword [COUNTER], 0
    mov eax, task
    jmp enter_ring3

task:
    mov edi, ecx
    mov esi, FIRST
.next:
    mov [esi], edi
    mov eax, [esi]
    xor esi, FIRST ^ SECOND
    dec edi
    jnz .next
    int VECTOR_SYSCALL

; Map the page that was touched and take the other one away.
page_fault:
    push eax
    push edx
    mov eax, cr2
    mov edx, eax
    shr edx, 12
    and eax, -PAGE
    or eax, PRESENT + WRITABLE + USER
    mov [TABLE + edx * 4], eax
    xor edx, 1
    mov dword [TABLE + edx * 4], 0
    shl edx, 12
    invlpg [edx]
    add dword [COUNTER], 1
    pop edx
    pop eax
    add esp, 4                          ; error code
    iret

kernel:
    mov ebx, [COUNTER]
    jmp finish
