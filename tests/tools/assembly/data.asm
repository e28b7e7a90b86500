; Data, reservations, repetition, alignment, structures.
org 0x7C00
bits 16
    db 1, 2, 'abc', "x", `\n`, -1, 255, -128
    dw 1, 'a', 'ab', 0xFFFF, -1, $, $$
    dd 1, 'abcd', $, 0xFFFFFFFF, -1, label
    dq 1, -1, 0x123456789ABCDEF0
    db 4 dup (0xAA), 3 dup (1, 2)
    dw 2 dup (?), ?
    db 2 dup (3 dup (1), 2)
label:
    times 5 db 0xCC
    times 3 dw 1, 2
    times 2 dd $, label
    times 4 - ($ - label) & 3 nop
    align 4
    db 1
    align 16
    db 2
    align 4, db 0
    db 3
    align 8, int3
    alignb 16
    resb 3
    resw 2
    resd 1
    resq 1
struc point
.x: resd 1
.y: resd 1
.tag: resb 1
    alignb 4
.next: resd 1
endstruc
struc shifted, 8
.a: resw 1
.b: resb 1
endstruc
    dd point_size, point.x, point.y, point.tag, point.next, shifted.a, shifted.b, shifted_size
instance:
    istruc point
        at point.x, dd 1
        at point.y, dd 2
        at .next, dd instance
    iend
    mov eax, [bx + point.y]
absolute 0x500
buffer: resb 16
count: resw 1
section .text
    mov ax, [count]
    mov di, buffer
    dw buffer, count
    times 300 - ($ - $$) db 0
    dw 0xAA55
