; system_port.asm — IN from the system control port 61h, as a delay loop does it.

    bits 32
REPEATS     equ 2000
%define NAME "system_port"
%include "common.inc"

SYSTEM_CONTROL  equ 0x61

measure:
    xor ebx, ebx
.next:
    in al, SYSTEM_CONTROL
    and al, 0x10
    add ebx, 1
    cmp ebx, ecx
    jne .next
    jmp finish
