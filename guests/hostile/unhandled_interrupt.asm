; unhandled_interrupt.asm — interrupts are on, the timer runs, and nobody answers.
;
; End: shutdown, at the first tick.

    bits 32
%include "common.inc"

STORM_DIVISOR   equ 1000
STORM_VECTOR    equ 0x20

attack:
%include "timer.inc"
    sti
.wait:
    jmp .wait

announcement:
    db "hostile: does not answer the timer", 10, 0
