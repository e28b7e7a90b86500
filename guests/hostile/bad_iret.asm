; bad_iret.asm — IRET to a selector that is none.
;
; End: shutdown.

    bits 32
%include "common.inc"

attack:
    push dword 2                        ; EFLAGS
    push dword 0xFFFB                   ; CS: far beyond the table
    push dword survived
    iret

announcement:
    db "hostile: returns to a segment that is none", 10, 0
