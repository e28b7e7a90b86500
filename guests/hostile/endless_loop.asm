; endless_loop.asm — a jump to itself with interrupts off.
;
; End: budget. Nobody but the owner of the machine can stop it.

    bits 32
%include "common.inc"

attack:
    cli
.forever:
    jmp .forever

announcement:
    db "hostile: loops for ever", 10, 0
