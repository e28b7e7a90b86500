; in_port.asm — IN from a port with a device: the line status of the serial port.

    bits 32
REPEATS     equ 100000
%include "common.inc"

measure:
    mov edx, COM1_LSR
.next:
    in al, dx
    dec ecx
    jnz .next
    ret
