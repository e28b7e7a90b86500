; outside_memory.asm — reads and writes where there is neither memory nor device.
;
; End: exit. Writes there are lost and reads bring anything, but memory must not change and the
; machine must live.

    bits 32
%include "common.inc"

ADDRESSES       equ 4096
STRIDE          equ 0x00010001          ; odd: accesses cross words, lines and pages
OUTSIDE_EXIT    equ 0x13

attack:
    call memory_sum
    mov ebp, eax
    mov edi, NOWHERE
    mov ecx, ADDRESSES
.next:
    mov [edi], eax
    mov bl, [edi]
    mov bx, [edi + 1]
    add [edi], eax
    lock xadd [edi], ebx
    add edi, STRIDE
    dec ecx
    jnz .next
    mov esi, NOWHERE                    ; and in blocks
    mov edi, NOWHERE + 0x01000000
    mov ecx, 4096
    rep movsd
    call memory_sum
    cmp eax, ebp
    jne survived
    mov al, OUTSIDE_EXIT
    jmp leave

; The sum of the first 256 KiB from 1 MiB on, program included, in EAX.
memory_sum:
    xor eax, eax
    mov esi, IMAGE_BASE
.next:
    add eax, [esi]
    add esi, 4
    cmp esi, IMAGE_BASE + 0x40000
    jb .next
    ret

announcement:
    db "hostile: writes outside memory", 10, 0
