; read_cr0.asm — a control register read.

    bits 32
REPEATS     equ 100000
%include "common.inc"

measure:
    mov eax, cr0
    dec ecx
    jnz measure
    ret
