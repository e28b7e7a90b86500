; unmapped_stack.asm — an exception finds no stack.
;
; End: shutdown. All handlers exist, but none can be entered: pushing the frame of the breakpoint
; faults, pushing the frame of that page fault faults, and so does pushing the double fault's.

    bits 32
%include "common.inc"

attack:
    call idt_init
    call paging_init
    mov ebx, 32
.gate:
    dec ebx
    mov eax, ebx
    mov edx, survived
    call idt_gate
    test ebx, ebx
    jnz .gate
    mov esp, 0x00800000                 ; not mapped
    int3

announcement:
    db "hostile: takes an exception without a stack", 10, 0
