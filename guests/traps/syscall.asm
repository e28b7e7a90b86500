; syscall.asm — INT 80h from ring 3 and straight back, without paging.

    bits 32
REPEATS     equ 100000
%include "common.inc"

VECTOR_SYSCALL  equ 0x80

measure:
    mov eax, VECTOR_SYSCALL
    mov edx, kernel
    call idt_gate
    mov eax, task
    jmp enter_ring3

task:
    xor eax, eax
.next:
    int VECTOR_SYSCALL
    dec ecx
    jnz .next
    mov eax, 1
    int VECTOR_SYSCALL

kernel:
    test eax, eax
    jnz .done
    iret
.done:
    mov al, EXIT_GOOD
    jmp leave
