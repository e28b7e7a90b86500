; interrupt_mask.asm — a line of the interrupt controller masked and unmasked, as a driver does it.

    bits 32
REPEATS     equ 2000
%define NAME "interrupt_mask"
%include "common.inc"

measure:
    xor ebx, ebx
.next:
    in al, PIC1_DATA
    xor al, 0x10
    out PIC1_DATA, al
    add ebx, 1
    cmp ebx, ecx
    jne .next
    jmp finish
