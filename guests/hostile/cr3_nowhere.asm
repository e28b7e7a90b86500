; cr3_nowhere.asm — the page directory lies outside memory.
;
; End: shutdown. Absent memory maps nothing that could be executed, whatever it reads as.

    bits 32
%include "common.inc"

attack:
    call paging_init
    mov eax, NOWHERE
    mov cr3, eax
    ret

announcement:
    db "hostile: points CR3 outside memory", 10, 0
