; cr3_switch.asm — from one address space to another, a page of its own and one of both touched there.

    bits 32
REPEATS     equ 2000
%define NAME "cr3_switch"
%include "common.inc"

SHARED      equ 0x00200000
OWN         equ 0x00400000              ; in the second 4 MiB, which the two spaces map differently
TABLE_OF    equ 0x001A1000              ; their tables for it
FRAME_OF    equ 0x00201000              ; and the frames

measure:
    call paging_init
    mov dword [TABLE_OF], FRAME_OF + PRESENT + WRITABLE
    mov dword [TABLE_OF + PAGE], FRAME_OF + PAGE + PRESENT + WRITABLE
    mov dword [DIRECTORY + 4], TABLE_OF + PRESENT + WRITABLE
    mov dword [OTHER_DIRECTORY + 4], TABLE_OF + PAGE + PRESENT + WRITABLE
    mov dword [FRAME_OF], 0
    mov dword [FRAME_OF + PAGE], 0
    mov dword [SHARED], 0
    mov esi, DIRECTORY
.next:
    xor esi, DIRECTORY ^ OTHER_DIRECTORY
    mov cr3, esi
    mov eax, [OWN]
    add eax, 1
    mov [OWN], eax
    add dword [SHARED], 1
    dec ecx
    jnz .next
    mov ebx, [FRAME_OF]
    add ebx, [FRAME_OF + PAGE]
    cmp ebx, [SHARED]
    je finish
    jmp unexpected
