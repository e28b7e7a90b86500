; cli_sti.asm — CLI and STI: two privileged instructions that mean nothing to the hardware when a
; monitor keeps the interrupt flag. Counts pairs.

    bits 32
REPEATS     equ 100000
%include "common.inc"

measure:
    cli
    sti
    dec ecx
    jnz measure
    ret
