; garbage_jump.asm — execution runs into memory that holds no code.
;
; End: shutdown. FF FF is no instruction, the IDT has no entry for #UD, nor for the #GP that follows
; from that, nor for the double fault.

    bits 32
%include "common.inc"

GARBAGE     equ 0x00280000

attack:
    mov edi, GARBAGE
    mov ecx, PAGE / 4
    mov eax, -1
    rep stosd
    mov eax, GARBAGE
    jmp eax

announcement:
    db "hostile: jumps into garbage", 10, 0
