; table_nowhere.asm — a page table lies outside memory, and code is to run through it.
;
; End: shutdown.

    bits 32
%include "common.inc"

attack:
    call paging_init
    mov dword [DIRECTORY + 4], NOWHERE + PRESENT + WRITABLE
    mov eax, 0x00400000
    jmp eax

announcement:
    db "hostile: points a page table outside memory", 10, 0
