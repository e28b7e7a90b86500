; pte_write.asm — a page is mapped to one frame and another in turns: entry written, INVLPG, access.

    bits 32
REPEATS     equ 2000
%define NAME "pte_write"
%include "common.inc"

TOUCHED     equ 0x00300000
ENTRY       equ TABLE + (TOUCHED >> 12) * 4
FRAME       equ 0x00200000
OTHER_FRAME equ 0x00201000

measure:
    call paging_init
    mov dword [FRAME], 0
    mov dword [OTHER_FRAME], 0
    mov esi, FRAME
.next:
    xor esi, FRAME ^ OTHER_FRAME
    lea eax, [esi + PRESENT + WRITABLE]
    mov [ENTRY], eax
    invlpg [TOUCHED]
    add dword [TOUCHED], 1
    dec ecx
    jnz .next
    mov ebx, [FRAME]
    add ebx, [OTHER_FRAME]
    jmp finish
