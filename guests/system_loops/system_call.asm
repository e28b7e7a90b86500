; system_call.asm — INT 80h from ring 3, a call through the kernel's table, IRET.

    bits 32
REPEATS     equ 2000
%define NAME "system_call"
%include "common.inc"

VECTOR_SYSCALL  equ 0x80

measure:
    mov eax, VECTOR_SYSCALL
    mov edx, kernel
    call idt_gate
    mov dword [COUNTER], 0
    mov eax, task
    jmp enter_ring3

task:
    mov edi, ecx
    xor esi, esi
.next:
    mov eax, 1                          ; number of the call: add
    mov ebx, 1                          ; its argument
    int VECTOR_SYSCALL
    mov esi, eax
    dec edi
    jnz .next
    xor eax, eax                        ; number of the call: end
    mov ebx, esi
    int VECTOR_SYSCALL

kernel:
    cmp eax, (calls.end - calls) / 4
    jae .unknown
    push ecx
    push edx
    call [calls + eax * 4]
    pop edx
    pop ecx
.unknown:
    iret

call_add:
    mov edx, [COUNTER]
    add edx, ebx
    mov [COUNTER], edx
    mov eax, edx
    ret

calls:
    dd finish, call_add
.end:
