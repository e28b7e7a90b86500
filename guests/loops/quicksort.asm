; quicksort.asm — Hoare's quicksort of 32768 signed integers: compares, swaps, recursion.

    bits 32
REPEATS     equ 12
RESULT      equ 0x0299A506
%include "common.inc"

ARRAY       equ DATA
COUNT       equ 32768

benchmark:
    call fill
    push dword COUNT - 1
    push dword 0
    push dword ARRAY
    call sort
    add esp, 12

; Is it sorted? The answer is a hash of the elements in order, or 0.
check:
    push ebx
    mov edx, ARRAY
    xor eax, eax
    mov ecx, 0x80000000                 ; the least integer
    align 8
.element:
    mov ebx, [edx]
    cmp ebx, ecx
    jl .wrong
    mov ecx, ebx
    mov ebx, eax
    sal eax, 5
    sub eax, ebx
    add eax, ecx                        ; hash * 31 + element
    add edx, 4
    cmp edx, ARRAY + COUNT * 4
    jne .element
    pop ebx
    ret
.wrong:
    xor eax, eax
    pop ebx
    ret

fill:
    mov edx, ARRAY
    mov eax, 7
    align 8
.word:
    imul eax, eax, LCG_FACTOR
    add edx, 4
    add eax, LCG_STEP
    mov [edx - 4], eax
    cmp edx, ARRAY + COUNT * 4
    jne .word
    ret

; sort(array, low, high): the lower part by recursion, the upper part by going round.
sort:
    push ebp
    push edi
    push esi
    push ebx
    sub esp, 12
    mov ebp, [esp + 32]                 ; array
    mov eax, [esp + 36]                 ; low
    cmp eax, [esp + 40]                 ; high
    jge .done
.part:
    mov edx, [esp + 40]
    mov [esp + 8], eax                  ; low of this part
    mov edi, eax                        ; walks up
    mov esi, edx                        ; walks down
    add eax, edx
    sar eax, 1
    mov ebx, [ebp + eax * 4]            ; pivot
    align 8
.up:
    mov ecx, [ebp + edi * 4]
    cmp ecx, ebx
    jge .down
    add edi, 1
    jmp .up
.down_next:
    sub esi, 1
.down:
    mov eax, [ebp + esi * 4]
    cmp eax, ebx
    jg .down_next
    cmp edi, esi
    jg .split
    mov [ebp + edi * 4], eax
    add edi, 1
    mov [ebp + esi * 4], ecx
    sub esi, 1
    cmp edi, esi
    jle .up
.split:
    mov eax, [esp + 8]
    cmp eax, esi
    jge .upper
    push esi
    push eax
    push ebp
    call sort
    add esp, 12
.upper:
    mov eax, edi
    cmp eax, [esp + 40]
    jl .part
.done:
    add esp, 12
    pop ebx
    pop esi
    pop edi
    pop ebp
    ret
