; halted_forever.asm — HLT with interrupts off.
;
; End: halt. Nothing can ever wake this machine.

    bits 32
%include "common.inc"

attack:
    cli
    hlt
    jmp attack

announcement:
    db "hostile: halts for ever", 10, 0
