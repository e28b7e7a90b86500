; fault_loop.asm — an exception handler that returns to the faulting instruction.
;
; End: budget. Each turn of the loop enters and leaves by the gate, so a monitor reflects and
; returns without end: its owner must get a word in.

    bits 32
%include "common.inc"

attack:
    call idt_init
    mov eax, 6
    mov edx, .invalid_opcode
    call idt_gate
    ud2
    ret
.invalid_opcode:
    iret

announcement:
    db "hostile: faults for ever", 10, 0
