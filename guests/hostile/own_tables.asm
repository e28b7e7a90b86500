; own_tables.asm — one page is directory, table and frame of everything.
;
; End: shutdown. Code, stack and interrupt table all turn into the page's own entries, the first of
; which, read as an instruction or as a gate, is no good.

    bits 32
%include "common.inc"

attack:
    call paging_init
    mov edi, DIRECTORY
    mov ecx, PAGE / 4
    mov eax, DIRECTORY + PRESENT + WRITABLE
    rep stosd
    mov eax, cr3
    mov cr3, eax
    ret

announcement:
    db "hostile: makes one page all page tables", 10, 0
