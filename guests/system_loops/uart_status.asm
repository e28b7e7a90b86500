; uart_status.asm — the serial port polled until it takes another byte.

    bits 32
REPEATS     equ 2000
%define NAME "uart_status"
%include "common.inc"

measure:
    xor ebx, ebx
.next:
    mov edx, COM1_LSR
    in al, dx
    test al, LSR_THR_EMPTY
    jz unexpected
    add ebx, 1
    cmp ebx, ecx
    jne .next
    jmp finish
