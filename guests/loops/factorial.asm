; factorial.asm — the decimal digits of 600!: long multiplication and division with carries.

    bits 32
REPEATS     equ 100
RESULT      equ 5715
ARGUMENT    equ 600
%include "common.inc"

NUMBER      equ DATA                    ; little-endian words
BILLION     equ 1000000000

benchmark:
    push ebp
    push edi
    push esi
    push ebx
    mov dword [NUMBER], 1
    mov ebp, 1                          ; words in use
    mov edi, 2                          ; next factor
.factor:
    xor ecx, ecx                        ; carry
    xor ebx, ebx
    align 8
.word:
    mov eax, [NUMBER + ebx * 4]
    mul edi
    add eax, ecx
    adc edx, 0
    mov [NUMBER + ebx * 4], eax
    mov ecx, edx
    add ebx, 1
    cmp ebx, ebp
    jb .word
    test ecx, ecx
    je .no_carry
    mov [NUMBER + ebp * 4], ecx
    add ebp, 1
.no_carry:
    add edi, 1
    cmp edi, ARGUMENT
    jbe .factor

    xor esi, esi                        ; sum of the decimal digits
.nine_digits:
    mov edi, BILLION
    mov ebx, ebp
    xor edx, edx
    align 8
.divide:
    mov eax, [NUMBER + ebx * 4 - 4]
    div edi
    mov [NUMBER + ebx * 4 - 4], eax
    sub ebx, 1
    jne .divide
    mov eax, edx                        ; nine digits as a remainder
    mov ecx, 10
.digit:
    xor edx, edx
    div ecx
    add esi, edx
    test eax, eax
    jne .digit
    cmp dword [NUMBER + ebp * 4 - 4], 0
    jne .nine_digits
    sub ebp, 1
    jne .nine_digits
    mov eax, esi
    pop ebx
    pop esi
    pop edi
    pop ebp
    ret
