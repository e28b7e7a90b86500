; pte_write.asm — a live page-table entry is pointed elsewhere: store, INVLPG, access.

    bits 32
REPEATS     equ 100000
%include "common.inc"

TOUCHED     equ 0x00200000
ENTRY       equ TABLE + (TOUCHED >> 12) * 4
FRAME       equ 0x00200000
OTHER_FRAME equ 0x00201000

measure:
    call paging_init
    mov dword [FRAME], FRAME
    mov dword [OTHER_FRAME], OTHER_FRAME
    mov ebx, FRAME
.next:
    xor ebx, FRAME ^ OTHER_FRAME
    lea eax, [ebx + PRESENT + WRITABLE + USER]
    mov [ENTRY], eax
    invlpg [TOUCHED]
    cmp [TOUCHED], ebx                  ; the page must be the one just mapped
    jne unexpected
    dec ecx
    jnz .next
    ret
