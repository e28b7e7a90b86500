; invlpg.asm — INVLPG of a page that is touched each time.

    bits 32
REPEATS     equ 100000
%include "common.inc"

TOUCHED     equ 0x00200000

measure:
    call paging_init
.next:
    invlpg [TOUCHED]
    mov eax, [TOUCHED]
    dec ecx
    jnz .next
    ret
