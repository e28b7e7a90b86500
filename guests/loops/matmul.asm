; matmul.asm — product of two 64 by 64 integer matrices: multiplications, strided loads.

    bits 32
REPEATS     equ 26
RESULT      equ 0x063CDED3
%include "common.inc"

ORDER       equ 64
ROW_BYTES   equ ORDER * 4
MATRIX      equ ORDER * ROW_BYTES
LEFT        equ DATA
RIGHT       equ DATA + MATRIX
PRODUCT     equ DATA + 2 * MATRIX

benchmark:
    call fill
    call multiply
    mov edx, PRODUCT                    ; the answer is a hash of the product
    xor eax, eax
.element:
    mov ecx, eax
    sal eax, 5
    sub eax, ecx
    add eax, [edx]
    add edx, 4
    cmp edx, PRODUCT + MATRIX
    jne .element
    ret

fill:
    push ebx
    mov edx, LEFT
    mov eax, 3
.word:
    imul eax, eax, LCG_FACTOR
    add eax, LCG_STEP
    mov ebx, eax
    sar ebx, 16
    mov [edx], ebx
    add edx, 4
    cmp edx, LEFT + 2 * MATRIX
    jne .word
    pop ebx
    ret

multiply:
    push ebp
    push edi
    push esi
    push ebx
    sub esp, 4
    xor eax, eax
.row:
    mov [esp], eax
    lea edi, [PRODUCT + eax]
    lea ebp, [LEFT + eax]
    mov esi, RIGHT + MATRIX
.column:
    mov ecx, ebp
    lea eax, [esi - MATRIX]
    xor ebx, ebx
    align 8
.term:
    mov edx, [ecx]
    imul edx, [eax]
    add eax, ROW_BYTES
    add ecx, 4
    add ebx, edx
    cmp eax, esi
    jne .term
    mov [edi], ebx
    lea esi, [eax + 4]
    add edi, 4
    cmp esi, RIGHT + MATRIX + ROW_BYTES
    jne .column
    mov eax, [esp]
    add eax, ROW_BYTES
    cmp eax, MATRIX
    jne .row
    add esp, 4
    pop ebx
    pop esi
    pop edi
    pop ebp
    ret
