; fast_call.asm — SYSENTER from ring 3, a call through the kernel's table, SYSEXIT.

    bits 32
REPEATS     equ 2000
%define NAME "fast_call"
%include "common.inc"

MSR_SYSENTER_CS     equ 0x174
MSR_SYSENTER_ESP    equ 0x175
MSR_SYSENTER_EIP    equ 0x176

measure:
    mov edi, ecx
    mov ecx, MSR_SYSENTER_CS
    mov eax, KERNEL_CS
    xor edx, edx
    wrmsr
    mov ecx, MSR_SYSENTER_ESP
    mov eax, STACK_TOP
    wrmsr
    mov ecx, MSR_SYSENTER_EIP
    mov eax, kernel
    wrmsr
    mov dword [COUNTER], 0
    mov eax, task
    jmp enter_ring3

task:
    xor esi, esi
.next:
    mov eax, 1                          ; number of the call: add
    mov ebx, 1                          ; its argument
    mov ecx, esp                        ; where the kernel returns to
    mov edx, .back
    sysenter
.back:
    mov esi, eax
    dec edi
    jnz .next
    xor eax, eax                        ; number of the call: end
    mov ebx, esi
    sysenter

kernel:
    cmp eax, (calls.end - calls) / 4
    jae .unknown
    push ecx
    push edx
    call [calls + eax * 4]
    pop edx
    pop ecx
.unknown:
    sysexit

call_add:
    mov edx, [COUNTER]
    add edx, ebx
    mov [COUNTER], edx
    mov eax, edx
    ret

calls:
    dd finish, call_add
.end:
