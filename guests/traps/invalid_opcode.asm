; invalid_opcode.asm — an exception that the kernel raises against itself and skips.

    bits 32
REPEATS     equ 100000
%include "common.inc"

VECTOR_INVALID_OPCODE   equ 6

measure:
    mov eax, VECTOR_INVALID_OPCODE
    mov edx, .skip
    call idt_gate
.next:
    ud2
    dec ecx
    jnz .next
    ret
.skip:
    add dword [esp], 2                  ; behind UD2
    iret
