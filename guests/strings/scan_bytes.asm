; scan_bytes.asm — REPNE SCASB over 4 MiB, for a byte that is the last.

    bits 32
REPEATS     equ 2
RESULT      equ BLOCK_BYTES
%include "common.inc"

benchmark:
    push edi
    push esi
    mov byte [SOURCE + BLOCK_BYTES - 1], 0xA5
    mov edi, SOURCE
    mov ecx, BLOCK_BYTES + 1
    mov al, 0xA5
    repne scasb
    mov eax, edi
    sub eax, SOURCE
    pop esi
    pop edi
    ret
