; post_port.asm — OUT to port 80h, the delay of old drivers.

    bits 32
REPEATS     equ 2000
%define NAME "post_port"
%include "common.inc"

measure:
    xor ebx, ebx
.next:
    out POST_PORT, al
    add ebx, 1
    cmp ebx, ecx
    jne .next
    jmp finish
