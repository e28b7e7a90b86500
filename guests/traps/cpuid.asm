; cpuid.asm — CPUID: free of privilege, yet always an exit under VT-x.

    bits 32
REPEATS     equ 100000
%include "common.inc"

measure:
    mov esi, ecx
.next:
    xor eax, eax
    cpuid
    dec esi
    jnz .next
    ret
