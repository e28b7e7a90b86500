; fill_words.asm — REP STOSD over 4 MiB.

    bits 32
REPEATS     equ 2
RESULT      equ 0x12345678
%include "common.inc"

benchmark:
    push edi
    push esi
    mov dword [TARGET + BLOCK_BYTES - 4], 0
    mov edi, TARGET
    mov ecx, BLOCK_BYTES / 4
    mov eax, 0x12345678
    rep stosd
    mov eax, [TARGET + BLOCK_BYTES - 4]
    pop esi
    pop edi
    ret
