; recursive_tables.asm — the page directory is its own page table, and is erased through itself.
;
; End: shutdown. With its last entry pointing at itself the directory appears at FFFFF000 and every
; table in the 4 MiB below. The erasing goes through that mapping; the CR3 load then makes the CPU
; forget the translations it has kept, and the next fetch finds nothing. A monitor must notice writes
; to page tables at whatever linear address they come.

    bits 32
%include "common.inc"

SELF_TABLES     equ 0xFFC00000          ; the table for linear 0
SELF_DIRECTORY  equ 0xFFFFF000

attack:
    call paging_init
    mov dword [DIRECTORY + 1023 * 4], DIRECTORY + PRESENT + WRITABLE
    mov eax, [SELF_TABLES + 5 * 4]      ; the entry of page 5, read through the mapping
    and eax, 0xFFFFF000
    cmp eax, 5 * PAGE
    jne .wrong
    mov esi, mapped
    call print
    mov edi, SELF_TABLES
    mov ecx, PAGE / 4
    xor eax, eax
    rep stosd
    mov eax, cr3
    mov cr3, eax
.wrong:
    ret

announcement:
    db "hostile: maps the page tables onto themselves", 10, 0
mapped:
    db "hostile: erases them through the mapping", 10, 0
