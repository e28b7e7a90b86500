; Immediates and displacements whose size depends on symbols further down.
bits 32
    add eax, SMALL
    add eax, LARGE
    add ebx, SMALL
    push SMALL
    push LARGE
    mov eax, [ebx + SMALL]
    mov eax, [ebx + LARGE]
    mov eax, [ebx + ZERO]
    shl eax, ONE
    shl eax, SMALL
    imul eax, ebx, SMALL
    imul eax, LARGE
    add eax, end - start
    add eax, far_end - start
    mov eax, [ebx + end - start]
    push label
    mov eax, label
    mov [label], eax
    mov eax, [label]
    mov ax, [label]
    mov al, [label]
    mov [label], al
    mov ebx, [label]
    mov ebx, [label + ebx]
    mov ebx, [label + ebx*4 + 4]
    mov ebx, [byte ebx + SMALL]
    mov ebx, [dword ebx + SMALL]
    add dword [label], SMALL
    add dword [label], label
    add dword [ebx + SMALL], SMALL
    cmp byte [label], SMALL
    enter SMALL, ZERO
    ret SMALL
    int SMALL
    mov cr0, eax
    lgdt [label]
    test al, SMALL
    push strict dword SMALL
    add eax, strict dword SMALL
    add ax, strict word SMALL
    add eax, byte SMALL
start:
    times 10 nop
end:
    times 200 nop
far_end:
label:
    dd label, $, $$, $ - $$, label - start, SMALL
    dw end - start
    db end - start
SMALL equ 5
LARGE equ 500
ZERO equ 0
ONE equ 1
ALIAS equ ALIAS2 + 1
ALIAS2 equ SMALL + 1
    add eax, ALIAS
bits 16
    add ax, SMALL
    add ax, LARGE
    push SMALL
    push LARGE
    mov ax, [bx + SMALL]
    mov ax, [bp + ZERO]
    mov ax, [bx + ZERO]
    mov eax, [bx + si + LARGE]
    mov ax, [0x1234]
    mov ax, [dword 0x1234]
    mov ax, [ebx + SMALL]
    mov ax, 0xFFFF
    add ax, 0xFFFF
    add eax, 0xFFFFFFFF
    add ax, -1
    push 0xFFFF
    push dword 5
    push word 5
