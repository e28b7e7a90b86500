; list.asm — a linked list in shuffled memory, walked and reversed: dependent loads.

    bits 32
REPEATS     equ 75
RESULT      equ 0x832E5C49
%include "common.inc"

NODES       equ 4096
NODE_BYTES  equ 16                      ; next, value
ORDER       equ DATA                    ; the shuffled places
NODE        equ DATA + NODES * 4
WALKS       equ 16

benchmark:
    push edi
    push esi
    push ebx
    call shuffle
    call link
    mov esi, eax                        ; first node
    xor edi, edi                        ; sum
    mov ebx, WALKS
.walk:
    mov eax, esi
    call walk
    add edi, eax
    rol edi, 1
    mov eax, esi
    call reverse
    mov esi, eax
    sub ebx, 1
    jne .walk
    mov eax, edi
    pop ebx
    pop esi
    pop edi
    ret

; Places 0 to NODES - 1 in random order (Fisher and Yates).
shuffle:
    push esi
    push ebx
    xor eax, eax
.place:
    mov [ORDER + eax * 4], eax
    add eax, 1
    cmp eax, NODES
    jne .place
    mov esi, 13
    mov ecx, NODES - 1
.swap:
    imul esi, esi, LCG_FACTOR
    add esi, LCG_STEP
    mov eax, esi
    shr eax, 8
    xor edx, edx
    lea ebx, [ecx + 1]
    div ebx
    mov eax, [ORDER + ecx * 4]
    mov ebx, [ORDER + edx * 4]
    mov [ORDER + edx * 4], eax
    mov [ORDER + ecx * 4], ebx
    sub ecx, 1
    jne .swap
    pop ebx
    pop esi
    ret

; Link the nodes in that order; node n has value n. The first one in EAX.
link:
    push ebx
    xor eax, eax                        ; behind the last node comes none
    mov ecx, NODES
.node:
    mov edx, [ORDER + ecx * 4 - 4]
    mov ebx, edx
    sal edx, 4
    add edx, NODE
    mov [edx], eax
    mov [edx + 4], ebx
    mov eax, edx
    sub ecx, 1
    jne .node
    pop ebx
    ret

; A sum of the list at EAX that depends on its order, in EAX.
walk:
    xor edx, edx
    align 8
.node:
    rol edx, 3
    add edx, [eax + 4]
    mov eax, [eax]
    test eax, eax
    jne .node
    mov eax, edx
    ret

; Reverse the list at EAX; its new first node in EAX.
reverse:
    push ebx
    xor edx, edx
    align 8
.node:
    mov ebx, [eax]
    mov [eax], edx
    mov edx, eax
    mov eax, ebx
    test eax, eax
    jne .node
    mov eax, edx
    pop ebx
    ret
