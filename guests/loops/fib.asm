; fib.asm — Fibonacci number 24 by double recursion: calls, returns, pushes, pops.

    bits 32
REPEATS     equ 25
RESULT      equ 46368
ARGUMENT    equ 24
%include "common.inc"

benchmark:
    sub esp, 12
    push dword ARGUMENT
    call fib
    add esp, 16
    ret

; fib(n)
    align 8
fib:
    push esi
    push ebx
    sub esp, 4
    mov ebx, [esp + 16]
    mov eax, ebx
    cmp ebx, 1
    jle .small
    sub esp, 12
    lea eax, [ebx - 1]
    push eax
    call fib
    mov esi, eax
    sub ebx, 2
    mov [esp], ebx
    call fib
    add esp, 16
    add eax, esi
.small:
    add esp, 4
    pop ebx
    pop esi
    ret
