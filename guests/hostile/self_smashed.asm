; self_smashed.asm — a loop of stores walks forward over the program, itself included.
;
; End: halt. The store that hits its own first byte turns itself into HLT, with interrupts off. It is
; executed once more as what it was; on the next round it is what it has become.

    bits 32
%include "common.inc"

attack:
    mov edi, .target
    mov al, 0xF4                        ; HLT
    jmp .loop
.target:
    times 64 nop
.loop:
    mov [edi], al
    inc edi
    jmp .loop

announcement:
    db "hostile: smashes its instructions", 10, 0
