; interrupt_storm.asm — the timer at almost its highest rate.
;
; End: exit, after a thousand interrupts. The handler keeps the count and leaves by itself, for the
; loop it interrupts may get nothing done at all.

    bits 32
%include "common.inc"

STORM           equ 1000
STORM_DIVISOR   equ 2
STORM_EXIT      equ 0x14
STORM_VECTOR    equ 0x20

attack:
    call idt_init
    mov eax, STORM_VECTOR
    mov edx, .tick
    call idt_gate
%include "timer.inc"
    sti
.wait:
    inc ecx
    jmp .wait
.tick:
    push eax
    mov al, 0x20
    out PIC1_COMMAND, al
    pop eax
    inc dword [.ticks]
    cmp dword [.ticks], STORM
    jae .enough
    iret
.enough:
    mov al, STORM_EXIT
    jmp leave
    align 4
.ticks:
    dd 0

announcement:
    db "hostile: calls for a thousand interrupts", 10, 0
