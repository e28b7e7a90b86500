; cr3_switch.asm — from one address space to another and a touch of four pages there.

    bits 32
REPEATS     equ 100000
%include "common.inc"

TOUCHED     equ 0x00200000

measure:
    call paging_init
    mov ebx, DIRECTORY
.next:
    xor ebx, DIRECTORY ^ OTHER_DIRECTORY
    mov cr3, ebx
    mov eax, [TOUCHED]
    mov eax, [TOUCHED + PAGE]
    mov eax, [TOUCHED + 2 * PAGE]
    mov eax, [TOUCHED + 3 * PAGE]
    dec ecx
    jnz .next
    ret
