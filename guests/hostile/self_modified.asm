; self_modified.asm — the program rewrites the instruction it is about to execute.
;
; End: exit, with the value counted by the rewritten instructions. The jump after each change is what
; the SDM asks for (volume 3A, "Self-Modifying Code"); a machine that keeps decoded instructions has
; to notice the store.

    bits 32
%include "common.inc"

ROUNDS      equ 20

attack:
    xor eax, eax
    xor ecx, ecx
.round:
    mov [.patched + 1], cl              ; the immediate byte of the addition
    jmp .patched
.patched:
    add al, 0xFF
    mov byte [.flipped], 0x40           ; INC EAX
    jmp .flipped
.flipped:
    dec eax
    mov byte [.flipped], 0x48           ; DEC EAX again
    inc ecx
    cmp ecx, ROUNDS
    jb .round
    sub eax, ROUNDS * (ROUNDS - 1) / 2  ; what the patched additions make: 20 is left
    cmp eax, ROUNDS
    jne survived
    jmp leave

announcement:
    db "hostile: rewrites its instructions", 10, 0
