; debug_output.asm — bytes written to the debug console.

    bits 32
REPEATS     equ 100
%define NAME "debug_output"
%include "common.inc"

measure:
    xor ebx, ebx
.next:
    mov al, '.'
    out DEBUG_CONSOLE, al
    add ebx, 1
    cmp ebx, ecx
    jne .next
    jmp finish
