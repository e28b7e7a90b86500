; fill_bytes.asm — REP STOSB over 4 MiB.

    bits 32
REPEATS     equ 2
RESULT      equ 0x5A5A5A5A
%include "common.inc"

benchmark:
    push edi
    push esi
    mov dword [TARGET + BLOCK_BYTES - 4], 0
    mov edi, TARGET
    mov ecx, BLOCK_BYTES
    mov al, 0x5A
    rep stosb
    mov eax, [TARGET + BLOCK_BYTES - 4]
    pop esi
    pop edi
    ret
