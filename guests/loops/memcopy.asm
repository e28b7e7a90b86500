; memcopy.asm — blocks filled and copied by string instructions, aligned and not.
;
; Counted in repetitions, a round is about 200,000 instructions; counted in instructions retired, a
; REP with all its repetitions is one.

    bits 32
REPEATS     equ 256
RESULT      equ 0x67A9ACAC
%include "common.inc"

BLOCK       equ 0x00040000              ; 256 KiB
SOURCE      equ DATA
TARGET      equ DATA + BLOCK
ODD         equ DATA + 2 * BLOCK
ODD_BYTES   equ 65535
SEEDS       equ 4096                    ; words of the source that are not the filling

benchmark:
    push edi
    push esi
    mov edi, SOURCE
    mov ecx, BLOCK / 4
    mov eax, 0xA5A5A5A5
    rep stosd
    mov edx, SOURCE
    mov eax, 5
.word:
    imul eax, eax, LCG_FACTOR
    add edx, 4
    add eax, LCG_STEP
    mov [edx - 4], eax
    cmp edx, SOURCE + SEEDS * 4
    jne .word
    mov esi, SOURCE
    mov edi, TARGET
    mov ecx, BLOCK / 4
    rep movsd
    mov esi, TARGET + 1                 ; from an odd address to another
    mov edi, ODD + 3
    mov ecx, ODD_BYTES
    rep movsb
    mov edx, ODD                        ; the answer is a hash of the last copy's beginning
    mov dword [edx], 0                  ; whose first three bytes were not copied
    xor eax, eax
.element:
    mov ecx, eax
    sal eax, 5
    sub eax, ecx
    add eax, [edx]
    add edx, 4
    cmp edx, ODD + SEEDS * 4
    jne .element
    pop esi
    pop edi
    ret
