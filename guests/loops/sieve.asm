; sieve.asm — the primes below 65536: byte stores at strides, a branch that is hard to guess.

    bits 32
REPEATS     equ 50
RESULT      equ 6542
LIMIT       equ 65536
%include "common.inc"

FLAGS       equ DATA

benchmark:
    push edi
    push ebx
    mov edi, FLAGS
    mov ecx, LIMIT / 4
    mov eax, 0x01010101
    rep stosd
    xor ebx, ebx                        ; primes found
    mov edx, 2
    mov ecx, 4                          ; twice EDX
    jmp .candidate
.next:
    add edx, 1
    add ecx, 2
    cmp edx, LIMIT
    je .done
.candidate:
    cmp byte [FLAGS + edx], 0
    je .next
    add ebx, 1
    cmp ecx, LIMIT - 1
    ja .next
    mov eax, ecx
    align 8
.cross:
    mov byte [FLAGS + eax], 0
    add eax, edx
    cmp eax, LIMIT - 1
    jbe .cross
    jmp .next
.done:
    mov eax, ebx
    pop ebx
    pop edi
    ret
