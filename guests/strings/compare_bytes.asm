; compare_bytes.asm — REPE CMPSB over 4 MiB that differ in the last byte.

    bits 32
REPEATS     equ 2
RESULT      equ BLOCK_BYTES
%include "common.inc"

benchmark:
    push edi
    push esi
    mov byte [SOURCE + BLOCK_BYTES - 1], 0xA5
    mov byte [TARGET + BLOCK_BYTES - 1], 0x5A
    mov esi, SOURCE
    mov edi, TARGET
    mov ecx, BLOCK_BYTES + 1
    repe cmpsb
    mov eax, edi
    sub eax, TARGET
    pop esi
    pop edi
    ret
