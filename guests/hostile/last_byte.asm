; last_byte.asm — execution falls off the end of the address space.
;
; End: shutdown. The last byte of the last page is the first of a longer instruction. Whether the
; CPU sees the end of the segment (#GP) or goes on at linear 0, which is not mapped (#PF), there is
; no handler.

    bits 32
%include "common.inc"

LAST_FRAME  equ 0x00302000
LAST_TABLE  equ 0x00303000

attack:
    mov byte [LAST_FRAME + PAGE - 1], 0xB8      ; MOV EAX, and four more bytes
    mov edi, LAST_TABLE
    mov ecx, PAGE / 4
    xor eax, eax
    rep stosd
    mov dword [LAST_TABLE + 1023 * 4], LAST_FRAME + PRESENT + WRITABLE
    call paging_init
    mov dword [TABLE], 0
    mov dword [DIRECTORY + 1023 * 4], LAST_TABLE + PRESENT + WRITABLE
    mov eax, cr3
    mov cr3, eax
    mov eax, 0xFFFFFFFF
    jmp eax

announcement:
    db "hostile: jumps to the last byte of the address space", 10, 0
