; empty_gdt.asm — a descriptor table of one byte, then a segment load.
;
; End: shutdown. The segments in use go on working from their hidden parts: only the load fails.

    bits 32
%include "common.inc"

attack:
    lgdt [.pointer]
    mov esi, still_running
    call print
    mov eax, DATA
    mov ds, ax
    ret
.pointer:
    dw 0
    dd gdt

announcement:
    db "hostile: empties the descriptor table", 10, 0
still_running:
    db "hostile: runs on", 10, 0
