; zeroed_idt.asm — an interrupt table that has just worked is zeroed, then needed.
;
; End: shutdown. The first breakpoint is handled; the second finds a gate of type 0.

    bits 32
%include "common.inc"

attack:
    call idt_init
    mov eax, 3
    mov edx, .breakpoint
    call idt_gate
    int3
    mov edi, IDT
    mov ecx, 256 * 8 / 4
    xor eax, eax
    rep stosd
    int3
    ret
.breakpoint:
    mov esi, handled
    call print
    iret

announcement:
    db "hostile: zeroes its interrupt table", 10, 0
handled:
    db "hostile: breakpoint", 10, 0
