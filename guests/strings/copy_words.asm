; copy_words.asm — REP MOVSD over 4 MiB.

    bits 32
REPEATS     equ 2
RESULT      equ 0x12345678
%include "common.inc"

benchmark:
    push edi
    push esi
    mov dword [SOURCE + BLOCK_BYTES - 4], 0x12345678
    mov dword [TARGET + BLOCK_BYTES - 4], 0
    mov esi, SOURCE
    mov edi, TARGET
    mov ecx, BLOCK_BYTES / 4
    rep movsd
    mov eax, [TARGET + BLOCK_BYTES - 4]
    pop esi
    pop edi
    ret
