; divide_error.asm — ring 3 divides by zero; the kernel counts it and skips the instruction.

    bits 32
REPEATS     equ 2000
%define NAME "divide_error"
%include "common.inc"

VECTOR_DIVIDE_ERROR equ 0
VECTOR_SYSCALL      equ 0x80

measure:
    mov eax, VECTOR_DIVIDE_ERROR
    mov edx, divide_error
    call idt_gate
    mov eax, VECTOR_SYSCALL
    mov edx, kernel
    call idt_gate
    mov dword [COUNTER], 0
    mov eax, task
    jmp enter_ring3

task:
    mov edi, ecx
    xor ebx, ebx
.next:
    mov eax, edi
    xor edx, edx
    div ebx
    dec edi
    jnz .next
    int VECTOR_SYSCALL

divide_error:
    push eax
    mov eax, [esp + 4]
    add eax, 2                          ; behind DIV EBX
    mov [esp + 4], eax
    add dword [COUNTER], 1
    pop eax
    iret

kernel:
    mov ebx, [COUNTER]
    jmp finish
