; out_port.asm — OUT to a port without a device.

    bits 32
REPEATS     equ 100000
%include "common.inc"

measure:
    out POST_PORT, al
    dec ecx
    jnz measure
    ret
