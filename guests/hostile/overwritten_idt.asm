; overwritten_idt.asm — an interrupt table full of ones.
;
; End: shutdown. Every gate is present, and of a type that is no gate.

    bits 32
%include "common.inc"

attack:
    call idt_init
    mov edi, IDT
    mov ecx, 256 * 8 / 4
    mov eax, -1
    rep stosd
    xor ecx, ecx
    div ecx
    ret

announcement:
    db "hostile: overwrites its interrupt table", 10, 0
