; gdt_nowhere.asm — a descriptor table where there is no memory, then a far jump.
;
; End: shutdown. Whatever an absent memory reads as, it is not a code segment for ring 0.

    bits 32
%include "common.inc"

attack:
    lgdt [.pointer]
    jmp CODE:.reloaded
.reloaded:
    ret
.pointer:
    dw 0xFFFF
    dd NOWHERE

announcement:
    db "hostile: puts the descriptor table outside memory", 10, 0
